/* What averaging in groups that change must do, for 2 to 16 ranks, primes too, on real transports.
 */
#include "tests/unit/unit.h"

#include "lib/groups.h"
#include "lib/plan.h"
#include "tests/unit/ds_sync.h"

static const char *const variants[] = { "step_then_average", "average_then_step", "overlap" };
static const char *const transports_here[] = { "inproc", "tcp encrypt=no", "tcp" };

static bool is_prime(int n)
{
	for (int d = 2; d * d <= n; d++)
		if (n % d == 0)
			return false;
	return true;
}

/* How many prime factors: the steps until all ranks agree. */
static size_t factors_of(int n)
{
	size_t count = 0;

	for (int d = 2; n > 1; d++)
		for (; n % d == 0; n /= d)
			count++;
	return count;
}

/* Without updates, all ranks have the mean after one period, whatever phase it began with, and not
 * before; the mean itself never moves. */
static void check_consensus(int world, const char *variant, const char *transport)
{
	const char *const options[] = { "variant", variant, NULL };
	size_t period = factors_of(world);
	struct trial *t = trial_new(&(struct trial){ .options = options, .world = world });

	for (t->first_step = 0; t->first_step < period; t->first_step++) {
		t->steps = period;
		trial_run(t, transport);
		for (size_t s = 1; s <= period; s++) {
			double spread = trial_spread(t->x[s], world);

			assert_true(s < period ? spread > 1e-3 : spread < 1e-6);
			for (size_t i = 0; i < COUNT; i++)
				assert_true(fabs(trial_mean(t->x[s], world, i) -
						 trial_mean(t->x[0], world, i)) < 1e-6);
		}
	}
	free(t);
}

static void any_period_from_any_phase_gives_the_mean_and_no_shorter_time_does(void **state)
{
	(void)state;
	for (int world = 2; world <= WORLD_MAX; world++)
		if (!is_prime(world) || world <= 3)
			check_consensus(world, variants[world % 3],
					transports_here[world <= 8 ? world % 2 : 0]);
	for (size_t v = 0; v < ARRAY_SIZE(variants); v++) {
		check_consensus(8, variants[v], "tcp encrypt=no");
		check_consensus(12, variants[v], "inproc");
	}
}

/* No groups smaller than all give the exact mean of 5, 7, 11 or 13: it comes nearer and nearer. */
static void prime_numbers_of_ranks_come_together_and_keep_their_mean(void **state)
{
	static const int primes[] = { 5, 7, 11, 13 };

	(void)state;
	for (size_t p = 0; p < ARRAY_SIZE(primes); p++) {
		int world = primes[p];
		struct trial *t = trial_new(&(struct trial){ .world = world, .steps = STEPS_MAX });

		trial_run(t, transports_here[p % 2]);
		assert_true(trial_spread(t->x[STEPS_MAX], world) <
			    1e-3 * trial_spread(t->x[0], world));
		for (size_t i = 0; i < COUNT; i++)
			assert_true(fabs(trial_mean(t->x[STEPS_MAX], world, i) -
					 trial_mean(t->x[0], world, i)) < 1e-6);
		free(t);
	}
}

/* From x = I a step makes X = W. Rows and columns sum to 1, W = W', W W = W, and the places that
 * are not 0 are disjoint groups of everybody. */
static void check_matrix(float (*w)[COUNT], int world)
{
	for (int i = 0; i < world; i++) {
		double row = 0, column = 0;
		int members = 0;

		for (int j = 0; j < world; j++) {
			double squared = 0;

			for (int k = 0; k < world; k++)
				squared += (double)w[i][k] * w[k][j];
			assert_true(fabs(squared - w[i][j]) < 1e-6);
			assert_true(w[i][j] == w[j][i]);
			row += w[i][j];
			column += w[j][i];
			members += w[i][j] != 0;
		}
		assert_true(w[i][i] != 0);
		assert_true(fabs(row - 1) < 1e-6 && fabs(column - 1) < 1e-6);
		for (int j = 0; j < world; j++)
			assert_true(w[i][j] == 0 || fabs(w[i][j] - 1.0 / members) < 1e-7);
	}
}

static void every_step_averages_within_disjoint_groups_of_everybody(void **state)
{
	static const char *const schedules[] = { "planned", "random", "rotating" };
	static const char *const sizes[] = { "2", "3", "5" };

	(void)state;
	for (int world = 2; world <= WORLD_MAX; world += SPACING) {
		for (size_t s = 0; s < ARRAY_SIZE(schedules); s++) {
			const char *const options[] = { "schedule", schedules[s],
							"group",    sizes[(world + s) % 3],
							"variant",  variants[(world + s) % 3],
							NULL };
			struct trial *t = trial_new(&(struct trial){
				.options = options, .world = world, .identity = true, .steps = 1 });

			for (t->first_step = 0; t->first_step < 3; t->first_step++) {
				trial_run(t, "inproc");
				check_matrix(t->x[1], world);
			}
			free(t);
		}
	}
}

static bool same_bits(const float *x, const float *y)
{
	return memcmp(x, y, COUNT * sizeof(*x)) == 0;
}

/* With training going on: W of the same step tells the groups. */
static void members_of_a_group_have_the_same_bits_after_their_average(void **state)
{
	static const int worlds[] = { 3, 4, 6, 7, 9, 16 };

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(worlds); i += SPACING) {
		struct trial *t =
			trial_new(&(struct trial){ .world = worlds[i], .steps = 6, .rate = 0.1 });
		struct trial *w = trial_new(
			&(struct trial){ .world = worlds[i], .steps = 1, .identity = true });

		trial_run(t, transports_here[i % 3]);
		for (w->first_step = 0; w->first_step < t->steps; w->first_step++) {
			trial_run(w, "inproc");
			for (int r = 0; r < worlds[i]; r++)
				for (int q = 0; q < worlds[i]; q++)
					if (w->x[1][r][q] != 0)
						assert_true(same_bits(t->x[w->first_step + 1][r],
								      t->x[w->first_step + 1][q]));
		}
		free(t);
		free(w);
	}
}

/* y = W y over the ranks, of the schedule's phase at `step`. */
static void average(const struct schedule *schedule, size_t step, double (*y)[COUNT])
{
	const struct partition *p = &schedule->phase[step % (size_t)schedule->phases];
	const int *group = p->ranks;

	PARTITION_GROUPS (p, g, group)
		for (size_t i = 0; i < COUNT; i++) {
			double sum = 0;

			for (int k = 0; k < p->sizes[g]; k++)
				sum += y[group[k]][i];
			for (int k = 0; k < p->sizes[g]; k++)
				y[group[k]][i] = sum / p->sizes[g];
		}
}

/* Steps then averages, from equal weights: X(t+1) - mean = -eta sum (W_t ... W_(t-j) - J) G_(t-j),
 * j = 0 .. k - 2. */
static void check_deviation(const struct trial *t, const struct schedule *schedule, size_t step)
{
	double(*sum)[COUNT] = xcalloc(WORLD_MAX, sizeof(*sum));
	double(*y)[COUNT] = xcalloc(WORLD_MAX, sizeof(*y));
	size_t terms = (size_t)schedule->phases - 1;

	for (size_t j = 0; j < terms && j <= step; j++) {
		for (int r = 0; r < t->world; r++)
			for (size_t i = 0; i < COUNT; i++)
				y[r][i] = t->gradient[step - j][r][i];
		for (size_t s = step - j; s <= step; s++)
			average(schedule, s, y);
		for (size_t i = 0; i < COUNT; i++) {
			double mean = 0;

			for (int r = 0; r < t->world; r++)
				mean += y[r][i] / t->world;
			for (int r = 0; r < t->world; r++)
				sum[r][i] -= t->rate * (y[r][i] - mean);
		}
	}
	for (int r = 0; r < t->world; r++)
		for (size_t i = 0; i < COUNT; i++) {
			double mean = 0;

			for (int q = 0; q < t->world; q++)
				mean += (double)t->x[step + 1][q][i] / t->world;
			assert_true(fabs(t->x[step + 1][r][i] - mean - sum[r][i]) < 1e-5);
		}
	free(sum);
	free(y);
}

static void ranks_differ_by_the_last_gradients_of_a_period_alone(void **state)
{
	static const struct {
		const char *text;
		int radix[4], axes, world;
	} cases[] = { { "[2, 2, 2]", { 2, 2, 2 }, 3, 8 },
		      { "[3, 4]", { 3, 4 }, 2, 12 },
		      { "[2, 2, 2, 2]", { 2, 2, 2, 2 }, 4, 16 },
		      { "[5, 3]", { 5, 3 }, 2, 15 },
		      { "[7]", { 7 }, 1, 7 } };

	(void)state;
	for (size_t c = 0; c < ARRAY_SIZE(cases); c++) {
		const char *const options[] = { "radix", cases[c].text, NULL };
		struct schedule schedule =
			schedule_radix(cases[c].world, NULL, cases[c].radix, cases[c].axes);
		struct trial *t = trial_new(&(struct trial){ .options = options,
							     .world = cases[c].world,
							     .steps = 10,
							     .rate = 0.3,
							     .equal = true });

		trial_run(t, transports_here[c % 2]);
		for (size_t step = 0; step < t->steps; step++)
			check_deviation(t, &schedule, step);
		schedule_release(&schedule);
		free(t);
	}
}

/* In any variant, with any groups: gradient descent with everybody's gradient where he stands. */
static void the_mean_moves_by_the_mean_of_the_gradients(void **state)
{
	static const char *const schedules[] = { "planned", "random", "rotating" };

	(void)state;
	for (int world = 2; world <= WORLD_MAX; world += SPACING) {
		const char *const options[] = { "variant", variants[world % 3], "schedule",
						schedules[world / 3 % 3], NULL };
		struct trial *t = trial_new(&(struct trial){
			.options = options, .world = world, .steps = 8, .rate = 0.3 });

		trial_run(t, world < 8 ? "tcp encrypt=no" : "inproc");
		for (size_t s = 0; s < t->steps; s++)
			for (size_t i = 0; i < COUNT; i++) {
				double moved = trial_mean(t->x[s + 1], world, i) -
					       trial_mean(t->x[s], world, i);
				double wanted = t->rate * trial_mean(t->gradient[s], world, i);

				assert_true(fabs(moved + wanted) < 1e-5);
			}
		free(t);
	}
}

/* In rings of s: 2 (s - 1) messages, which together are 2 (s - 1) / s of the vector. */
static void a_step_sends_what_a_ring_of_the_group_sends(void **state)
{
	static const struct {
		const char *radix;
		int world;
		size_t size;
	} cases[] = { { "[2, 2]", 4, 2 }, { "[4]", 4, 4 }, { "[3, 3]", 9, 3 }, { "[6]", 6, 6 } };
	uint64_t header = 0;

	(void)state;
	for (size_t c = 0; c < ARRAY_SIZE(cases); c++) {
		const char *const options[] = { "radix", cases[c].radix, NULL };
		size_t s = cases[c].size, steps = 4;
		struct trial *t = trial_new(&(struct trial){ .options = options,
							     .world = cases[c].world,
							     .steps = steps,
							     .rate = 0.1,
							     .algorithm = COLL_RING });
		uint64_t before;

		trial_run(t, "tcp encrypt=no");
		for (int r = 0; r < t->world; r++)
			assert_int_equal(t->payload[r],
					 steps * 2 * (s - 1) * COUNT * sizeof(float) / s);
		before = t->headers[0];
		t->steps *= 2;
		trial_run(t, "tcp encrypt=no");
		assert_int_equal((t->headers[0] - before) % (steps * 2 * (s - 1)), 0);
		before = (t->headers[0] - before) / (steps * 2 * (s - 1));
		assert_true(header == 0 || header == before);
		header = before;
		free(t);
	}
}

static void check_pairs(const struct trial *like, const int (*partner)[4])
{
	struct trial *t = trial_new(like);

	t->world = 4;
	t->identity = true;
	t->steps = 1;
	for (t->first_step = 0; t->first_step < 4; t->first_step++) {
		trial_run(t, "inproc");
		for (int r = 0; r < 4; r++)
			for (int q = 0; q < 4; q++)
				assert_true((t->x[1][r][q] != 0) ==
					    (q == r || q == partner[t->first_step % 2][r]));
	}
	free(t);
}

/* The paper's own code for four workers has the rows and columns of {{0, 1}, {3, 2}}. */
static void four_ranks_are_rows_and_columns_of_the_order_they_stand_in(void **state)
{
	static const int plain[2][4] = { { 1, 0, 3, 2 }, { 2, 3, 0, 1 } };
	static const int table[2][4] = { { 1, 0, 3, 2 }, { 3, 2, 1, 0 } };
	static const int order[] = { 0, 1, 3, 2 }, radix[] = { 2, 2 };
	struct plan plan = { .kind = PLAN_DS_SYNC, .name = (char[]){ "test" } };

	(void)state;
	check_pairs(&(struct trial){ 0 }, plain);
	check_pairs(&(struct trial){ .order = order }, table);
	plan.schedule = schedule_radix(4, order, radix, 2);
	check_pairs(&(struct trial){ .plan = &plan }, table);
	schedule_release(&plan.schedule);
}

/* With all ranks in one group, plain gradient descent from equal weights is that of bsp. */
static void one_group_of_all_is_bulk_synchronous(void **state)
{
	static const struct {
		const char *radix;
		int world;
	} cases[] = { { "[2]", 2 }, { "[3]", 3 }, { "[8]", 8 }, { "[13]", 13 } };

	(void)state;
	for (size_t c = 0; c < ARRAY_SIZE(cases); c++) {
		const char *const options[] = { "radix", cases[c].radix, NULL };
		struct trial *t = trial_new(&(struct trial){ .options = options,
							     .world = cases[c].world,
							     .steps = 10,
							     .rate = 0.3,
							     .equal = true });
		double x[COUNT];

		trial_run(t, transports_here[c % 2]);
		for (size_t i = 0; i < COUNT; i++)
			x[i] = t->x[0][0][i];
		for (size_t s = 0; s < t->steps; s++)
			for (size_t i = 0; i < COUNT; i++) {
				double pull = 0;

				for (int r = 0; r < t->world; r++)
					pull += 0.5 * (x[i] - trial_number(r + 100, s, i));
				x[i] -= t->rate * pull / t->world;
				assert_true(fabs(t->x[s + 1][0][i] - x[i]) < 1e-6);
			}
		free(t);
	}
}

enum { DRAWS = 2000 };

struct draws {
	const char *const *options;
	int world;
	float x[DRAWS][WORLD_MAX]; /* after an average, of weights 0, 1, 2, ... */
};

static void draws_body(int rank, struct net *net, void *arg)
{
	struct draws *draws = arg;
	struct trial *t =
		trial_new(&(struct trial){ .options = draws->options, .world = draws->world });
	struct ds_sync_rank self;
	float slot[COUNT] = { 0 };

	ds_sync_open(&self, t, rank, net, slot);
	for (size_t step = 0; step < DRAWS; step++) {
		float x[COUNT];

		for (size_t i = 0; i < COUNT; i++)
			x[i] = (float)rank;
		t->first_step = step;
		trial_step(t, self.sync, rank, step, x, slot);
		draws->x[step][rank] = x[0];
	}
	ds_sync_close(&self);
	free(t);
}

/* The sum over the ranks of (x - mean)^2. */
static double scatter(const float *x, int world)
{
	double mean = 0, sum = 0;

	for (int r = 0; r < world; r++)
		mean += (double)x[r] / world;
	for (int r = 0; r < world; r++)
		sum += pow(x[r] - mean, 2);
	return sum;
}

/* E |X - mean|^2 after / before = (N - s) / (s (N - 1)) for groups of s drawn at random. */
static void random_groups_contract_as_they_should(void **state)
{
	static const struct {
		int world, size;
		const char *text;
	} cases[] = { { 4, 2, "2" }, { 16, 4, "4" }, { 16, 2, "2" } };
	float before[WORLD_MAX];

	(void)state;
	for (int r = 0; r < WORLD_MAX; r++)
		before[r] = (float)r;
	for (size_t c = 0; c < ARRAY_SIZE(cases); c++) {
		const char *const options[] = { "schedule", "random", "group", cases[c].text,
						NULL };
		struct draws *draws = xcalloc(1, sizeof(*draws));
		double n = cases[c].world, size = cases[c].size, sum = 0;

		draws->options = options;
		draws->world = cases[c].world;
		cluster_run("inproc", draws->world, draws_body, draws);
		for (size_t i = 0; i < DRAWS; i++)
			sum += scatter(draws->x[i], draws->world) / scatter(before, draws->world);
		assert_true(fabs(sum / DRAWS / ((n - size) / (size * (n - 1))) - 1) < 0.03);
		free(draws);
	}
}

static void averaging_before_the_step_uses_the_groups_of_the_next_one(void **state)
{
	static const char *const options[] = { "variant", "average_then_step", NULL };
	struct trial like = { .world = 8, .identity = true, .steps = 3 };
	struct trial *later = trial_new(&like), *t = trial_new(&like);

	(void)state;
	later->first_step = 1;
	t->options = options;
	trial_run(later, "inproc");
	trial_run(t, "inproc");
	assert_memory_equal(t->x, later->x, sizeof(t->x));
	free(later);
	free(t);
}

static void the_state_of_the_optimizer_is_averaged_on_request(void **state)
{
	(void)state;
	for (size_t v = 0; v < ARRAY_SIZE(variants); v++)
		for (int wanted = 0; wanted < 2; wanted++) {
			const char *const options[] = { "momentum", wanted ? "yes" : "no",
							"variant", variants[v], NULL };
			struct trial *t = trial_new(
				&(struct trial){ .options = options, .world = 8, .steps = 3 });

			trial_run(t, transports_here[v]);
			assert_true(trial_spread(t->x[3], 8) < 1e-6);
			if (wanted)
				assert_true(trial_spread(t->slot[3], 8) < 1e-6);
			else
				assert_memory_equal(t->slot[3], t->slot[0], sizeof(t->slot[0]));
			free(t);
		}
}

/* Where average and update come together, slots are averaged as they were before the update. */
static void the_overlapped_average_is_of_what_the_step_began_with(void **state)
{
	static const char *const options[] = { "momentum", "yes", "variant", "overlap", NULL };
	struct trial *t = trial_new(
		&(struct trial){ .options = options, .world = 2, .steps = 4, .rate = 0.3 });

	(void)state;
	trial_run(t, "tcp");
	for (size_t s = 0; s < t->steps; s++)
		for (int r = 0; r < 2; r++)
			for (size_t i = 0; i < COUNT; i++) {
				double mean = trial_mean(t->x[s], 2, i), g = t->gradient[s][r][i];
				double slots = trial_mean(t->slot[s], 2, i);
				double change = 0.9 * t->slot[s][r][i] + g - t->slot[s][r][i];

				assert_true(fabs(t->x[s + 1][r][i] - (mean - 0.3 * g)) < 1e-6);
				assert_true(fabs(t->slot[s + 1][r][i] - (slots + change)) < 1e-6);
			}
	free(t);
}

/* Nothing but the weights and the number of the step goes from one period to the next. */
static void a_run_that_stops_within_a_period_goes_on_as_if_it_had_not(void **state)
{
	static const char *const schedules[] = { "planned", "random", "rotating" };

	(void)state;
	for (size_t v = 0; v < ARRAY_SIZE(variants); v++) {
		const char *const options[] = { "variant",  variants[v],  "momentum", "yes",
						"schedule", schedules[v], NULL };
		struct trial like = { .options = options, .world = 8, .steps = 11, .rate = 0.3 };
		struct trial *whole = trial_new(&like), *first = trial_new(&like);
		struct trial *second = trial_new(&like);

		first->steps = 4; /* one step into the second period of three */
		second->first_step = 4;
		second->steps = 7;
		second->from = first;
		trial_run(whole, "inproc");
		trial_run(first, "tcp");
		trial_run(second, "inproc");
		assert_memory_equal(second->x[7], whole->x[11], sizeof(whole->x[0]));
		assert_memory_equal(second->slot[7], whole->slot[11], sizeof(whole->slot[0]));
		free(whole);
		free(first);
		free(second);
	}
}

static void every_transport_gives_the_same_bits(void **state)
{
	struct trial *like = trial_new(&(struct trial){ .world = 6, .steps = 5, .rate = 0.2 });
	struct trial *other = trial_new(like);

	(void)state;
	trial_run(like, "inproc");
	cluster_run_every(6, 0, trial_body, other);
	assert_memory_equal(like->x, other->x, sizeof(like->x));
	free(like);
	free(other);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(any_period_from_any_phase_gives_the_mean_and_no_shorter_time_does),
		cmocka_unit_test(prime_numbers_of_ranks_come_together_and_keep_their_mean),
		cmocka_unit_test(every_step_averages_within_disjoint_groups_of_everybody),
		cmocka_unit_test(members_of_a_group_have_the_same_bits_after_their_average),
		cmocka_unit_test(ranks_differ_by_the_last_gradients_of_a_period_alone),
		cmocka_unit_test(the_mean_moves_by_the_mean_of_the_gradients),
		cmocka_unit_test(a_step_sends_what_a_ring_of_the_group_sends),
		cmocka_unit_test(four_ranks_are_rows_and_columns_of_the_order_they_stand_in),
		cmocka_unit_test(one_group_of_all_is_bulk_synchronous),
		cmocka_unit_test(random_groups_contract_as_they_should),
		cmocka_unit_test(averaging_before_the_step_uses_the_groups_of_the_next_one),
		cmocka_unit_test(the_state_of_the_optimizer_is_averaged_on_request),
		cmocka_unit_test(the_overlapped_average_is_of_what_the_step_began_with),
		cmocka_unit_test(a_run_that_stops_within_a_period_goes_on_as_if_it_had_not),
		cmocka_unit_test(every_transport_gives_the_same_bits),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
