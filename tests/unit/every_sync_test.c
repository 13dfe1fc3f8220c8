/* What every synchronisation strategy of the registry must do, shown on a linear regression. */
#include "tests/unit/unit.h"

#include <math.h>
#include <stdatomic.h>

#include "lib/clock.h"
#include "runtime/compress/compress.h"
#include "runtime/exchange.h"
#include "runtime/rng.h"
#include "runtime/sync/sync.h"
#include "tests/unit/cluster.h"

/* STEPS is a multiple of any likely period, so that a strategy has just synchronised at the end. */
enum { COUNT = 300, BATCH = 8, STEPS = 240 };
enum { LONGER = 6 }; /* momentum from average to average takes so many times the steps */

/* Sanitizers see enough in a few steps; how near to the solution and each other all come after more
 * is judged without. */
enum { JUDGED = SPACING == 1, FEW = JUDGED ? STEPS : STEPS / 4 };

#define RATE 0.5f

#define STEP_S 1e-4

static const int worlds[] = { 1, 2, 4 };

/* Under sanitizers: the largest alone. */
enum { FIRST_WORLD = SPACING > 1 ? 2 : 0 };

struct run {
	const struct part *strategy, *compressor;
	bool same_samples; /* every rank trains on the whole batch: one would be enough */
	size_t steps;
	bool still; /* nothing is learnt: what changes the weights is the strategy alone */
	enum coll_algorithm algorithm;

	_Atomic uint64_t digests[CLUSTER_MAX]; /* of each rank's weights at the end */
	_Atomic uint64_t sent;		       /* payload bytes of rank 0 */
	float weight[COUNT];		       /* rank 0's */
	double distance;		       /* of these to the solution, relative */
	double apart; /* the ranks' weights from each other, at most, as a part of their size */
};

static float number(enum rng_purpose purpose, uint64_t which, uint64_t step, uint64_t i)
{
	struct rng rng = rng_make(42, purpose, which, step);

	return (float)(2 * rng_uniform(&rng, i) - 1);
}

/* Sample k of a step has x at a few places; its label is w*.x, with w* = `solution`. */
static void add_gradient(float *grad, const float *weight, const float *solution, size_t step,
			 size_t k, float share)
{
	enum { FEATURES = 20 };
	struct rng rng = rng_make(42, RNG_SHUFFLE, k, step);
	size_t at[FEATURES];
	float x[FEATURES], miss = 0;

	for (uint64_t j = 0; j < FEATURES; j++) {
		at[j] = rng_below(&rng, j, COUNT);
		x[j] = number(RNG_DATA, k, step, j);
		miss += x[j] * (weight[at[j]] - solution[at[j]]);
	}
	for (size_t j = 0; j < FEATURES; j++)
		grad[at[j]] += share * miss * x[j];
}

static void backward(const struct run *run, const struct group *world, const float *weight,
		     const float *solution, size_t step, float *grad)
{
	size_t each = BATCH / (size_t)world->count, first = each * (size_t)world->index;

	memset(grad, 0, COUNT * sizeof(*grad));
	if (run->same_samples)
		for (size_t k = 0; k < BATCH; k++)
			add_gradient(grad, weight, solution, step, k,
				     1 / (float)(BATCH * world->count));
	else
		for (size_t k = first; k < first + each; k++)
			add_gradient(grad, weight, solution, step, k, 1 / (float)BATCH);
}

static void train_step(struct sync *sync, size_t step, float rate, float *weight, float *grad)
{
	struct error err;

	sync_step(sync, step, weight, grad);
	sync_ready(sync, 200, COUNT - 200);
	sync_ready(sync, 0, 200);
	cluster_must(sync_gradients(sync, &err), &err);
	for (size_t i = 0; i < COUNT; i++)
		weight[i] -= rate * grad[i];
	cluster_must(sync_weights(sync, step, weight, &err), &err);
}

static bool is_asynchronous(const struct part *strategy)
{
	return PART_AS(strategy, struct sync_strategy)->asynchronous;
}

/* Where ranks go at their own pace, a batch is what its number says, whenever it is its turn. */
static void train_paced(const struct run *run, struct sync *sync, const struct group *world,
			const float *solution, float *weight, float *grad)
{
	struct sync_cut cut = { 0 };
	struct error err;

	while (!cut.stop) {
		size_t step = sync_steps(sync);
		int go = sync_go(sync, weight, &err);

		cluster_must(go < 0 ? -1 : 0, &err);
		if (go) {
			backward(run, world, weight, solution, step, grad);
			clock_sleep(STEP_S); /* so that all are about as fast */
			train_step(sync, step, run->still ? 0 : RATE, weight, grad);
		} else {
			cluster_must(sync_cut(sync, weight, &cut, &err), &err);
		}
	}
}

static uint64_t digest_of(const float *x)
{
	uint64_t digest = 14695981039346656037u;

	for (size_t i = 0; i < COUNT; i++) {
		uint32_t bits;

		memcpy(&bits, &x[i], sizeof(bits));
		digest = (digest ^ bits) * 1099511628211u;
	}
	return digest;
}

/* How far any rank's weights are from those of rank 0. */
static double distance_from_first(struct net *net, const struct group *world, const float *weight)
{
	float *all = xcalloc(COUNT * (size_t)world->count, sizeof(*all)), *mine;
	double most = 0, size = 0;
	struct error err;

	mine = all + (size_t)world->index * COUNT;
	memcpy(mine, weight, COUNT * sizeof(*all));
	cluster_must(coll_allreduce(net, world, COLL_RING, all, COUNT * (size_t)world->count, &err),
		     &err);
	for (size_t i = 0; i < COUNT; i++)
		size += pow(all[i], 2);
	for (size_t i = 0; i < COUNT * (size_t)world->count; i++)
		most = fmax(most, fabs(all[i] - all[i % COUNT]));
	free(all);
	return most / sqrt(size / COUNT);
}

/* What a rank may ask for the loss of. */
struct samples {
	const struct run *run;
	const struct group *world;
	const float *solution;
};

/* Of the quadratic whose gradient the samples have, up to a constant. */
static double loss_of(void *arg, size_t step, const float *weight)
{
	const struct samples *samples = arg;
	float grad[COUNT];
	double sum = 0;

	backward(samples->run, samples->world, weight, samples->solution, step, grad);
	for (size_t i = 0; i < COUNT; i++)
		sum += 0.5 * grad[i] * (weight[i] - samples->solution[i]);
	return sum * samples->world->count;
}

static float still_weight(size_t i)
{
	return number(RNG_INIT, 1, 0, i);
}

static void train_body(int rank, struct net *net, void *arg)
{
	struct run *run = arg;
	int ranks[CLUSTER_MAX];
	struct group world = group_world(ranks, net_world(net), rank);
	struct exchange_env exchange_env = { .net = net,
					     .algorithm = run->algorithm,
					     .count = COUNT,
					     .coder = { .compressor = run->compressor,
							.seed = 42 } };
	struct exchange *exchange = exchange_new(&exchange_env);
	float weight[COUNT] = { 0 }, grad[COUNT], solution[COUNT];
	struct samples samples = { .run = run, .world = &world, .solution = solution };
	struct sync_env env = {
		.exchange = exchange,
		.net = net,
		.world = &world,
		.count = COUNT,
		.seed = 42,
		.budget = { .steps = run->steps },
		.loss = loss_of,
		.loss_arg = &samples,
	};
	struct sync_params params = { .bucket_bytes = 100 * sizeof(float) };
	struct sync *sync = NULL;
	struct error err;

	for (size_t i = 0; i < COUNT; i++) {
		solution[i] = number(RNG_INIT, 0, 0, i);
		weight[i] = run->still ? still_weight(i) : 0;
	}
	cluster_must(sync_new(&sync, run->strategy, &params, &env, &err), &err);
	cluster_must(coll_barrier(net, &world, &err), &err);
	if (is_asynchronous(run->strategy))
		train_paced(run, sync, &world, solution, weight, grad);
	for (size_t step = 0; step < run->steps && !is_asynchronous(run->strategy); step++) {
		backward(run, &world, weight, solution, step, grad);
		train_step(sync, step, run->still ? 0 : RATE, weight, grad);
	}
	atomic_store(&run->digests[rank], digest_of(weight));
	if (rank == 0) {
		double missed = 0, size = 0;

		for (size_t i = 0; i < COUNT; i++) {
			missed += pow(weight[i] - solution[i], 2);
			size += pow(solution[i], 2);
		}
		run->distance = sqrt(missed / size);
		memcpy(run->weight, weight, sizeof(weight));
		atomic_store(&run->sent, net_bytes(net).payload_sent);
	}
	if (rank == 0)
		run->apart = distance_from_first(net, &world, weight);
	else
		distance_from_first(net, &world, weight);
	sync_free(sync);
	exchange_free(exchange);
}

static void train(struct run *run, const char *strategy, const char *compressor, int world)
{
	struct part parts[] = { part_default(&sync_strategies, strategy),
				part_default(&compressors, compressor) };

	run->strategy = &parts[0];
	run->compressor = &parts[1];
	run->steps = run->steps ? run->steps : STEPS;
	cluster_run("inproc", world, train_body, run);
	run->strategy = run->compressor = NULL;
	part_release(&parts[0]);
	part_release(&parts[1]);
}

/* From `s` on, the first that trains itself: one that the plan chooses does not. */
static size_t next(size_t s)
{
	for (; sync_strategies.entries[s]; s++) {
		struct part part = { .entry = sync_strategies.entries[s] };

		if (!PART_AS(&part, struct sync_strategy)->chosen_by_plan)
			break;
	}
	return s;
}

/* Ranks that need not have the same weights have nearly the same: they are as far apart as a step
 * or two bring them, and what compressors leave out. */
static void check_agreement(const struct sync_strategy *strategy, const struct compressor *scheme,
			    const struct run *run, int world)
{
	bool lossy = scheme->payload != PAYLOAD_SUMS;
	/* Neighbours hear nothing but each other's noise where a scheme is made of it. */
	double noisy = strategy->pairs ? 8 : 4, exact = strategy->asynchronous ? 0.4 : 0.15;
	double most = strategy->replicated ? 0 : lossy ? noisy : exact;

	for (int r = 0; r < world && strategy->replicated; r++)
		assert_true(run->digests[r] == run->digests[0]);
	if (JUDGED && run->apart > most)
		fail_msg("%s with %s, %d ranks: %g apart", strategy->entry.name, scheme->entry.name,
			 world, run->apart);
}

static bool repeats(const struct entry *strategy)
{
	struct part part = { .entry = strategy };

	return !is_asynchronous(&part);
}

/* Factors are for sums, and some strategies compress nothing. */
static bool fits(const struct entry *strategy, const struct entry *compressor)
{
	struct part part = { .entry = strategy }, scheme = { .entry = compressor };
	enum payload payload = PART_AS(&scheme, struct compressor)->payload;

	if (PART_AS(&part, struct sync_strategy)->plain)
		return strcmp(compressor->name, "none") == 0;
	return !PART_AS(&part, struct sync_strategy)->pairs || payload != PAYLOAD_FACTORS;
}

static void check_pair(const struct entry *strategy, const struct entry *compressor, int world)
{
	struct part part = { .entry = strategy }, scheme = { .entry = compressor };
	bool lossy = PART_AS(&scheme, struct compressor)->payload != PAYLOAD_SUMS;
	/* What is not compared with a second run need not be as long. */
	struct run first = { .steps = lossy && !repeats(strategy) ? STEPS / 8 : FEW };
	struct run second = { 0 };

	train(&first, strategy->name, compressor->name, world);
	check_agreement(PART_AS(&part, struct sync_strategy), PART_AS(&scheme, struct compressor),
			&first, world);
	if (!JUDGED || !repeats(strategy) || world < worlds[ARRAY_SIZE(worlds) - 1])
		return;
	train(&second, strategy->name, compressor->name, world);
	for (int r = 0; r < world; r++)
		assert_true(second.digests[r] == first.digests[r]);
}

static void ranks_agree_and_runs_repeat(void **state)
{
	(void)state;
	for (size_t s = next(0); sync_strategies.entries[s]; s = next(s + 1))
		for (size_t c = 0; compressors.entries[c]; c++)
			for (size_t w = FIRST_WORLD; w < ARRAY_SIZE(worlds); w++)
				if ((s + c) % SPACING == 0 &&
				    fits(sync_strategies.entries[s], compressors.entries[c]))
					check_pair(sync_strategies.entries[s],
						   compressors.entries[c], worlds[w]);
}

static void every_strategy_approaches_the_solution(void **state)
{
	(void)state;
	for (size_t s = next(0); sync_strategies.entries[s]; s = next(s + 1)) {
		for (size_t w = FIRST_WORLD; w < ARRAY_SIZE(worlds); w++) {
			struct run run = { .steps = (size_t)(JUDGED ? LONGER * STEPS : FEW) };

			train(&run, sync_strategies.entries[s]->name, "none", worlds[w]);
			if (JUDGED && run.distance > 0.2)
				fail_msg("%s, %d ranks: %g away", sync_strategies.entries[s]->name,
					 worlds[w], run.distance);
		}
	}
}

/* Ranks that all do the same work must get what one rank gets: no strategy changes the scale with
 * their number. */
static void ranks_with_equal_samples_train_as_one(void **state)
{
	(void)state;
	for (size_t s = next(0); sync_strategies.entries[s]; s = next(s + 1)) {
		struct run alone = { 0 };

		if (!repeats(sync_strategies.entries[s]))
			continue;
		train(&alone, sync_strategies.entries[s]->name, "none", 1);
		for (size_t w = FIRST_WORLD; w < ARRAY_SIZE(worlds); w++) {
			struct run run = { .same_samples = true };

			train(&run, sync_strategies.entries[s]->name, "none", worlds[w]);
			for (size_t i = 0; i < COUNT; i++)
				assert_true(fabsf(run.weight[i] - alone.weight[i]) < 1e-5f);
		}
	}
}

/* The mean of equal numbers is that number only where a division rounds nothing. */
/* Whether it takes means over groups: exact where all are equal and their number is a power of 2.
 * Who mixes by other weights rounds. */
static bool averages(const struct entry *entry)
{
	struct part part = { .entry = entry };
	const struct sync_strategy *strategy = PART_AS(&part, struct sync_strategy);

	return strategy->replicated || (strategy->differences && !strategy->pairs);
}

static void equal_weights_that_learn_nothing_stay_as_they_are(void **state)
{
	float begin[COUNT];

	(void)state;
	for (size_t i = 0; i < COUNT; i++)
		begin[i] = still_weight(i);
	for (size_t s = next(0); sync_strategies.entries[s]; s = next(s + 1)) {
		for (int world = SPACING > 1 ? 3 : 1; world <= 4; world++) {
			struct run run = { .still = true, .steps = 100 };

			train(&run, sync_strategies.entries[s]->name, "none", world);
			for (size_t i = 0; i < COUNT; i++)
				assert_true(fabsf(run.weight[i] - begin[i]) < 1e-5f);
			assert_true(run.apart < 1e-5);
			for (int r = 0; r < world && averages(sync_strategies.entries[s]); r++)
				assert_true(run.digests[r] == run.digests[0]);
			if (world != 3 && averages(sync_strategies.entries[s]))
				assert_true(run.digests[0] == digest_of(begin));
		}
	}
}

static void bsp_does_not_depend_on_the_number_of_ranks(void **state)
{
	struct run alone = { 0 };

	(void)state;
	train(&alone, "bsp", "none", 1);
	for (size_t w = 0; w < ARRAY_SIZE(worlds); w++) {
		struct run run = { 0 };

		train(&run, "bsp", "none", worlds[w]);
		for (size_t i = 0; i < COUNT; i++)
			assert_true(fabsf(run.weight[i] - alone.weight[i]) < 1e-5f);
	}
}

static void other_strategies_send_other_amounts_than_bsp(void **state)
{
	struct run bsp = { .algorithm = COLL_RING };

	(void)state;
	train(&bsp, "bsp", "none", 4);
	assert_int_equal(bsp.sent, (uint64_t)STEPS * COUNT * sizeof(float) * 2 * 3 / 4);
	for (size_t s = next(0); sync_strategies.entries[s]; s = next(s + 1)) {
		struct run run = { .algorithm = COLL_RING };

		if (strcmp(sync_strategies.entries[s]->name, "bsp") == 0)
			continue;
		train(&run, sync_strategies.entries[s]->name, "none", 4);
		assert_true(run.sent != bsp.sent || run.digests[0] != bsp.digests[0]);
	}
}

static void local_sgd_averages_once_in_a_period(void **state)
{
	struct run before = { .steps = 31 }, after = { .steps = 32 };

	(void)state;
	train(&before, "local_sgd", "none", 2);
	assert_true(before.digests[0] != before.digests[1]);
	assert_int_equal(before.sent, COUNT * sizeof(float));
	train(&after, "local_sgd", "none", 2);
	assert_true(after.digests[0] == after.digests[1]);
	assert_int_equal(after.sent, 2 * COUNT * sizeof(float));
}

static void every_transport_gives_the_same_bits(void **state)
{
	(void)state;
	for (size_t s = next(0); sync_strategies.entries[s]; s = next(s + 1)) {
		const char *name = sync_strategies.entries[s]->name;
		struct part strategy = part_default(&sync_strategies, name);
		struct part compressor = part_default(&compressors, "none");
		struct run first = { .steps = FEW };
		bool same = repeats(strategy.entry);
		struct run run = { .strategy = &strategy, .compressor = &compressor, .steps = FEW };

		train(&first, name, "none", 4);
		for (size_t t = 0; transports.entries[t]; t++) {
			cluster_run(transports.entries[t]->name, 4, train_body, &run);
			for (int r = 0; r < 4; r++)
				assert_true(run.digests[r] == first.digests[r] || !same);
		}
		part_release(&strategy);
		part_release(&compressor);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(ranks_agree_and_runs_repeat),
		cmocka_unit_test(every_strategy_approaches_the_solution),
		cmocka_unit_test(ranks_with_equal_samples_train_as_one),
		cmocka_unit_test(equal_weights_that_learn_nothing_stay_as_they_are),
		cmocka_unit_test(bsp_does_not_depend_on_the_number_of_ranks),
		cmocka_unit_test(other_strategies_send_other_amounts_than_bsp),
		cmocka_unit_test(local_sgd_averages_once_in_a_period),
		cmocka_unit_test(every_transport_gives_the_same_bits),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
