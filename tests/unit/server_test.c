/* A parameter server on the ranks, and the strategies on top of it. */
#include "tests/unit/unit.h"

#include <math.h>
#include <sched.h>

#include "runtime/compress/compress.h"
#include "runtime/exchange.h"
#include "runtime/rng.h"
#include "runtime/sync/sync.h"
#include "tests/unit/cluster.h"

enum { COUNT = 37, STEPS = 20, WORLD = 4, CUTS = 4 };

/* Each rank pulls the weights towards a point of its own. */
struct run {
	const char *strategy, *scheme; /* NULL: none */
	size_t first, eval_every;
	size_t steps_more; /* than STEPS */
	bool lazy;	   /* rank 0 dawdles: it yields in every step */
	float lr;

	float weight[CLUSTER_MAX][COUNT]; /* at the end */
	size_t steps[CLUSTER_MAX];
	size_t cuts;
	bool resumes; /* from here: */
	float saved[CLUSTER_MAX][2 * STATE_ARRAYS][WORLD * COUNT + 4 * WORLD + 64];
	pthread_mutex_t lock; /* guards the clocks */
	size_t clock[CLUSTER_MAX], apart;
	struct drift drift;
	struct coder_report coded; /* by rank 0 */
	/* What each rank's steps began with: the first weights of the run, over all resumes. */
	float trail[CLUSTER_MAX][4 * STEPS][COUNT];
};

static float number(uint64_t which, uint64_t i)
{
	struct rng rng = rng_make(42, RNG_DATA, which, 0);

	return (float)rng_normal(&rng, i);
}

static void note_clock(struct run *run, int rank, int world, size_t clock)
{
	pthread_mutex_lock(&run->lock);
	run->clock[rank] = clock;
	for (int r = 0; r < world; r++)
		if (clock > run->clock[r] + run->apart)
			run->apart = clock - run->clock[r];
	pthread_mutex_unlock(&run->lock);
}

static void one_step(struct run *run, struct sync *sync, struct net *net, float *weight)
{
	size_t step = sync_steps(sync);
	float grad[COUNT] = { 0 };
	struct error err;

	if (step < 4 * STEPS) /* at their own pace some do more than others */
		memcpy(run->trail[net_rank(net)][step], weight, sizeof(grad));
	sync_step(sync, step, weight, grad);
	for (size_t i = 0; i < COUNT; i++)
		grad[i] = (weight[i] - number(1 + (uint64_t)net_rank(net), i)) /
			  (float)net_world(net);
	sync_ready(sync, 0, COUNT);
	cluster_must(sync_gradients(sync, &err), &err);
	for (int i = 0; run->lazy && net_rank(net) == 0 && i < 50; i++)
		sched_yield();
	for (size_t i = 0; i < COUNT; i++)
		weight[i] -= run->lr * grad[i];
	note_clock(run, net_rank(net), net_world(net), step + 1);
	cluster_must(sync_weights(sync, step, weight, &err), &err);
}

static void keep(struct run *run, struct sync *sync, struct exchange *exchange, int rank, bool back)
{
	struct state_array arrays[2 * STATE_ARRAYS];
	size_t count = sync_state(sync, arrays);

	count += exchange_state(exchange, arrays + count);
	for (size_t a = 0; a < count; a++) {
		float *kept = run->saved[rank][a];

		assert(arrays[a].count * sizeof(float) <= sizeof(run->saved[rank][a]));
		if (back)
			memcpy(arrays[a].x, kept, arrays[a].count * sizeof(float));
		else
			memcpy(kept, arrays[a].x, arrays[a].count * sizeof(float));
	}
}

/* After a cut all ranks have the same weights. */
static void check_same(struct run *run, struct sync *sync, const float *weight)
{
	struct error err;
	const float *mean;

	(void)run;
	cluster_must(sync_mean(sync, weight, &mean, &err), &err);
	for (size_t i = 0; i < COUNT; i++)
		assert(fabsf(mean[i] - weight[i]) <= 1e-6f * (1 + fabsf(weight[i])));
}

static void body(int rank, struct net *net, void *arg)
{
	struct run *run = arg;
	int ranks[CLUSTER_MAX];
	struct group world = group_world(ranks, net_world(net), rank);
	struct part strategy = part_default(&sync_strategies, run->strategy);
	struct part scheme = part_default(&compressors, run->scheme ? run->scheme : "none");
	struct exchange_env exchange_env = { .net = net,
					     .count = COUNT,
					     .coder = { .compressor = &scheme, .seed = 42 } };
	struct exchange *exchange = exchange_new(&exchange_env);
	struct sync_params params = { .bucket_bytes = 1024 };
	struct sync_env env = { .net = net,
				.exchange = exchange,
				.world = &world,
				.count = COUNT,
				.seed = 42,
				.budget = { .first = run->first,
					    .steps = run->first + STEPS + run->steps_more,
					    .eval_every = run->eval_every } };
	struct sync_cut cut = { 0 };
	float *weight = run->weight[rank];
	struct sync *sync = NULL;
	struct error err;

	for (size_t i = 0; i < COUNT && !run->resumes; i++)
		weight[i] = number(0, i);
	cluster_must(sync_new(&sync, &strategy, &params, &env, &err), &err);
	if (run->resumes)
		keep(run, sync, exchange, rank, true);
	cluster_must(coll_barrier(net, &world, &err), &err);
	while (!cut.stop) {
		int go = sync_go(sync, weight, &err);

		cluster_must(go < 0 ? -1 : 0, &err);
		if (go) {
			one_step(run, sync, net, weight);
			continue;
		}
		cluster_must(sync_cut(sync, weight, &cut, &err), &err);
		check_same(run, sync, weight);
		if (rank == 0)
			run->cuts++;
	}
	keep(run, sync, exchange, rank, false);
	run->steps[rank] = sync_steps(sync);
	if (rank == 0) {
		run->drift = sync_drift(sync);
		run->coded = exchange_report(exchange);
	}
	sync_free(sync);
	exchange_free(exchange);
	part_release(&strategy);
	part_release(&scheme);
}

static void train(struct run *run, int world)
{
	pthread_mutex_init(&run->lock, NULL);
	run->lr = run->lr > 0 ? run->lr : 0.1f;
	cluster_run("inproc", world, body, run);
	pthread_mutex_destroy(&run->lock);
}

static const char *const strategies[] = { "asp", "ssp", "bsp_ps", "kardam" };

static void all_ranks_have_the_holders_weights_at_a_cut(void **state)
{
	(void)state;
	for (size_t s = 0; s < ARRAY_SIZE(strategies); s++) {
		for (int world = 1; world <= WORLD; world++) {
			static struct run run;

			run = (struct run){ .strategy = strategies[s], .eval_every = STEPS / CUTS };
			train(&run, world);
			assert_int_equal(run.cuts, CUTS);
			for (int r = 1; r < world; r++)
				assert_memory_equal(run.weight[r], run.weight[0],
						    sizeof(run.weight[0]));
		}
	}
}

static void without_a_learning_rate_nothing_moves(void **state)
{
	(void)state;
	for (size_t s = 0; s < ARRAY_SIZE(strategies); s++) {
		static struct run run;

		run = (struct run){ .strategy = strategies[s], .lr = 1e-30f };
		train(&run, WORLD);
		for (size_t i = 0; i < COUNT; i++)
			assert_true(run.weight[0][i] == number(0, i));
	}
}

/* What bsp computes: the mean gradient, one step after the other. */
static void plain_descent(float *weight, size_t steps, int world, float lr)
{
	for (size_t i = 0; i < COUNT; i++) {
		weight[i] = number(0, i);
		for (size_t step = 0; step < steps; step++) {
			float grad = 0;

			for (int r = 0; r < world; r++)
				grad += weight[i] - number(1 + (uint64_t)r, i);
			weight[i] -= lr * grad / (float)world;
		}
	}
}

/* At the end of a run some ranks may have begun a round that others have not. */
static void bsp_ps_computes_what_bsp_does(void **state)
{
	(void)state;
	for (int world = 1; world <= WORLD; world++) {
		static struct run run;
		float want[COUNT];
		size_t least = SIZE_MAX;

		run = (struct run){ .strategy = "bsp_ps", .lazy = true };
		train(&run, world);
		for (int r = 0; r < world; r++)
			least = run.steps[r] < least ? run.steps[r] : least;
		assert_int_equal(run.apart, world > 1);
		plain_descent(want, least, world, 0.1f);
		for (size_t i = 0; i < COUNT; i++)
			assert_true(fabsf(run.weight[0][i] - want[i]) < 1e-5f);
	}
}

/* A round that was half done at the end of the first run is finished in the second one. */
static void a_run_goes_on_where_it_ended(void **state)
{
	static struct run run;
	float want[COUNT];
	size_t least = SIZE_MAX;

	(void)state;
	run = (struct run){ .strategy = "bsp_ps", .lazy = true };
	for (size_t part = 0; part < 3; part++) {
		run.first = part * STEPS;
		train(&run, WORLD);
		run.resumes = true;
	}
	for (int r = 0; r < WORLD; r++)
		least = run.steps[r] < least ? run.steps[r] : least;
	assert_true(least >= 3 * STEPS - 1);
	assert_int_equal(run.apart, 1);
	plain_descent(want, least, WORLD, 0.1f);
	for (size_t i = 0; i < COUNT; i++)
		assert_true(fabsf(run.weight[0][i] - want[i]) < 1e-5f);
}

static void ssp_keeps_clocks_together(void **state)
{
	(void)state;
	for (int resumed = 0; resumed < 3; resumed++) {
		static struct run run;

		if (resumed == 0)
			run = (struct run){ .strategy = "ssp", .lazy = true, .eval_every = 3 };
		run.resumes = resumed > 0;
		run.first = (size_t)resumed * STEPS;
		train(&run, WORLD);
		assert_true(run.apart >= 1 && run.apart <= 4);
	}
}

static void updates_come_late_and_none_is_refused(void **state)
{
	static struct run run;

	(void)state;
	run = (struct run){ .strategy = "asp" };
	train(&run, WORLD);
	assert_true(run.drift.accepted == 1);
	assert_true(run.drift.staleness >= 0 && run.drift.staleness <= run.drift.staleness_most);
	run = (struct run){ .strategy = "bsp_ps" };
	train(&run, WORLD);
	assert_true(run.drift.staleness_most == 0);
}

/* Of what each weight is pulled to, in relation to where they begin. */
static double left_to_go(const struct run *run)
{
	double left = 0, whole = 0;

	for (size_t i = 0; i < COUNT; i++) {
		float want = 0;

		for (uint64_t r = 0; r < WORLD; r++)
			want += number(1 + r, i) / WORLD;
		left += pow(run->weight[0][i] - want, 2);
		whole += pow(number(0, i) - want, 2);
	}
	return sqrt(left / whole);
}

static bool has_factors(const struct entry *scheme)
{
	struct part part = { .entry = scheme };

	return PART_AS(&part, struct compressor)->payload == PAYLOAD_FACTORS;
}

/* All that a rank does not tell it owes; noise alone brings nobody nearer. */
static void every_scheme_that_has_no_factors_goes_to_the_holders(void **state)
{
	(void)state;
	for (size_t c = 0; compressors.entries[c]; c++) {
		for (size_t s = 0; s < ARRAY_SIZE(strategies); s++) {
			static struct run run;
			const char *scheme = compressors.entries[c]->name;
			bool plain = strcmp(scheme, "none") == 0;

			if (has_factors(compressors.entries[c]) || (c + s) % SPACING != 0)
				continue;
			run = (struct run){ .strategy = strategies[s],
					    .scheme = scheme,
					    .eval_every = STEPS / CUTS };
			train(&run, WORLD);
			assert_true(isfinite(left_to_go(&run)));
			assert_int_equal(run.coded.coordinates,
					 plain ? 0 : run.steps[0] * (uint64_t)COUNT);
			for (int r = 1; r < WORLD; r++)
				assert_memory_equal(run.weight[r], run.weight[0],
						    sizeof(run.weight[0]));
		}
	}
}

static void half_precision_changes_little(void **state)
{
	static struct run plain, half;
	double apart = 0;

	(void)state;
	plain = (struct run){ .strategy = "bsp_ps" };
	half = (struct run){ .strategy = "bsp_ps", .scheme = "fp16" };
	train(&plain, WORLD);
	train(&half, WORLD);
	for (size_t i = 0; i < COUNT; i++)
		apart = fmax(apart,
			     fabs(half.trail[0][STEPS - 1][i] - plain.trail[0][STEPS - 1][i]));
	assert_true(apart > 0 && apart < 2e-3);
}

/* A coordinate of each message in a step: a quarter of all. */
static void what_is_left_out_comes_later(void **state)
{
	static struct run run;

	(void)state;
	run = (struct run){ .strategy = "bsp_ps", .scheme = "topk" };
	for (size_t part = 0; part < 4; part++) {
		run.first = part * STEPS;
		train(&run, WORLD);
		run.resumes = true;
	}
	assert_true(left_to_go(&run) < 0.2);
}

/* Some ranks may be a step ahead where a run ends, but what steps begin with is the same. */
static void a_compressed_run_goes_on_bit_for_bit(void **state)
{
	static const char *const schemes[] = { "topk", "qsgd", "dgc", "signum", "adaqs", "int8" };

	(void)state;
	for (size_t s = 0; s < ARRAY_SIZE(schemes); s++) {
		static struct run whole, parts;

		whole = (struct run){ .strategy = "bsp_ps",
				      .scheme = schemes[s],
				      .steps_more = STEPS };
		train(&whole, WORLD);
		parts = (struct run){ .strategy = "bsp_ps", .scheme = schemes[s], .lazy = true };
		train(&parts, WORLD);
		parts.first = STEPS;
		parts.resumes = true;
		train(&parts, WORLD);
		for (int r = 0; r < WORLD; r++)
			for (size_t step = 0; step < 2 * STEPS; step++)
				assert_memory_equal(parts.trail[r][step], whole.trail[r][step],
						    sizeof(whole.trail[r][step]));
	}
}

/* A peer that says what is no update. */
static void garble(int rank, struct net *net, void *arg)
{
	const char *scheme_name = arg;
	int ranks[CLUSTER_MAX];
	struct group world = group_world(ranks, net_world(net), rank);
	struct part strategy = part_default(&sync_strategies, "asp");
	struct part scheme = part_default(&compressors, scheme_name);
	struct exchange_env exchange = { .net = net,
					 .count = COUNT,
					 .coder = { .compressor = &scheme, .seed = 42 } };
	struct sync_params params = { .bucket_bytes = 1024 };
	struct sync_env env = { .net = net,
				.exchange = exchange_new(&exchange),
				.world = &world,
				.count = COUNT,
				.budget = { .steps = STEPS } };
	static const unsigned char message[40] = { 1 };
	float weight[COUNT] = { 0 };
	struct sync *sync = NULL;
	struct error err;
	int go;

	cluster_must(sync_new(&sync, &strategy, &params, &env, &err), &err);
	cluster_must(coll_barrier(net, &world, &err), &err);
	assert(sync_go(sync, weight, &err) == 1);
	if (rank == 1)
		cluster_must(sync_tell(sync, 0, 0, message, sizeof(message), &err), &err);
	else
		cluster_must(sync_weights(sync, 0, weight, &err), &err);
	while (rank == 0 && (go = sync_go(sync, weight, &err)) == 1)
		cluster_must(sync_weights(sync, sync_steps(sync), weight, &err), &err);
	if (rank == 0) {
		assert(go == -1 && strstr(err.text, "rank 1"));
		net_abort(net, err.text);
	} else {
		assert(coll_barrier(net, &world, &err) < 0);
	}
	sync_free(sync);
	exchange_free(env.exchange);
	part_release(&strategy);
	part_release(&scheme);
}

static void what_is_no_update_is_an_error_that_names_the_rank(void **state)
{
	static char none[] = "none", topk[] = "topk";

	(void)state;
	cluster_run("inproc", 2, garble, none);
	cluster_run("inproc", 2, garble, topk);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(all_ranks_have_the_holders_weights_at_a_cut),
		cmocka_unit_test(without_a_learning_rate_nothing_moves),
		cmocka_unit_test(bsp_ps_computes_what_bsp_does),
		cmocka_unit_test(a_run_goes_on_where_it_ended),
		cmocka_unit_test(ssp_keeps_clocks_together),
		cmocka_unit_test(updates_come_late_and_none_is_refused),
		cmocka_unit_test(every_scheme_that_has_no_factors_goes_to_the_holders),
		cmocka_unit_test(half_precision_changes_little),
		cmocka_unit_test(what_is_left_out_comes_later),
		cmocka_unit_test(a_compressed_run_goes_on_bit_for_bit),
		cmocka_unit_test(what_is_no_update_is_an_error_that_names_the_rank),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
