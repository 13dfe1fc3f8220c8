/* Ranks that go at their own pace: where they meet, and that nothing is under way there. */
#include "tests/unit/unit.h"

#include <stdatomic.h>

#include "runtime/rng.h"
#include "runtime/sync/sync.h"
#include "tests/unit/cluster.h"

enum { COUNT = 3, STEPS = 24, EVAL_EVERY = 6, SAVE_EVERY = 8, CUTS_MOST = 16 };

/* Each step hands a coin of weight[0] to another rank, in three hops, the first of which is
 * answered. If told to wait, ranks begin the next step only with as many answers as they handed out
 * coins, and odd ones only after a cut. */
struct purse {
	struct sync_env env;
	bool waits, was_cut;
	pthread_mutex_t lock; /* guards all below */
	size_t coins, answers, handed;
};

enum { COIN, ANSWER };

static int purse_init(void *memory, const void *params, const struct sync_env *env,
		      struct error *err)
{
	struct purse *purse = memory;

	(void)err;
	purse->env = *env;
	purse->waits = *(const bool *)params;
	return pthread_mutex_init(&purse->lock, NULL);
}

static void hand(struct purse *purse, size_t step, unsigned char hops)
{
	struct net *net = purse->env.net;
	struct rng rng = rng_make(7, RNG_SHUFFLE, (uint64_t)net_rank(net), step + hops);
	int n = net_world(net), by = 1 + (int)rng_below(&rng, 0, (uint64_t)(n - 1));
	struct error err;

	cluster_must(sync_give(purse->env.sync, (net_rank(net) + by) % n, COIN, &hops, 1, &err),
		     &err);
}

static int purse_weights(void *memory, size_t step, float *weight, struct error *err)
{
	struct purse *purse = memory;

	(void)err;
	if (net_world(purse->env.net) == 1)
		return 0;
	weight[0] -= 1;
	pthread_mutex_lock(&purse->lock);
	purse->handed++;
	pthread_mutex_unlock(&purse->lock);
	hand(purse, step, 2);
	return 0;
}

static void purse_serve(void *memory, int peer, uint64_t tag, const void *bytes, size_t length)
{
	struct purse *purse = memory;
	unsigned char hops = *(const unsigned char *)bytes;
	struct error err;

	assert(length == 1);
	pthread_mutex_lock(&purse->lock);
	purse->coins += tag == COIN && hops == 0;
	purse->answers += tag == ANSWER;
	pthread_mutex_unlock(&purse->lock);
	if (tag == COIN && hops == 2)
		cluster_must(sync_tell(purse->env.sync, peer, ANSWER, bytes, 1, &err), &err);
	if (tag == COIN && hops > 0)
		hand(purse, hops, (unsigned char)(hops - 1));
	sync_wake(purse->env.sync);
}

static int purse_go(void *memory, size_t step, float *weight, struct error *err)
{
	struct purse *purse = memory;
	int may;

	(void)step, (void)err;
	pthread_mutex_lock(&purse->lock);
	weight[0] += (float)purse->coins;
	purse->coins = 0;
	may = purse->answers == purse->handed &&
	      (purse->was_cut || net_rank(purse->env.net) % 2 == 0);
	pthread_mutex_unlock(&purse->lock);
	may |= !purse->waits;
	purse->was_cut &= !may;
	return may;
}

static int purse_settle(void *memory, float *weight, struct error *err)
{
	struct purse *purse = memory;

	purse_go(purse, 0, weight, err);
	purse->was_cut = true;
	assert(purse->answers == purse->handed); /* nothing is under way */
	return 0;
}

static void purse_fini(void *memory)
{
	pthread_mutex_destroy(&((struct purse *)memory)->lock);
}

static const struct sync_strategy purse_strategy = {
	.entry = { .name = "purse" },
	.state_size = sizeof(struct purse),
	.own_samples = true,
	.asynchronous = true,
	.init = purse_init,
	.weights = purse_weights,
	.go = purse_go,
	.settle = purse_settle,
	.serve = purse_serve,
	.fini = purse_fini,
};

struct run {
	bool waits;
	_Atomic int wish; /* enum sync_stop */
	size_t first;
	struct sync_cut cuts[CLUSTER_MAX][CUTS_MOST];
	size_t cut_count[CLUSTER_MAX], steps[CLUSTER_MAX];
};

static enum sync_stop wishes(void *arg)
{
	return (enum sync_stop)atomic_load((_Atomic int *)arg);
}

static void one_step(struct sync *sync, size_t step, float *weight, float *grad)
{
	struct error err;

	sync_step(sync, step, weight, grad);
	sync_ready(sync, 0, COUNT);
	cluster_must(sync_gradients(sync, &err), &err);
	cluster_must(sync_weights(sync, step, weight, &err), &err);
}

/* Nothing was lost or made on the way. */
static void check_sum(struct net *net, const struct group *world, const float *weight)
{
	float sum = weight[0];
	struct error err;

	cluster_must(coll_allreduce(net, world, COLL_AUTO, &sum, 1, &err), &err);
	assert(sum == 100 * (float)world->count);
}

static void train(int rank, struct net *net, void *arg)
{
	struct run *run = arg;
	struct part part = { .entry = &purse_strategy.entry, .params = &run->waits };
	struct sync_params params = { .bucket_bytes = 1024 };
	float weight[COUNT] = { 100 }, grad[COUNT] = { 0 };
	struct sync_cut cut = { 0 };
	int ranks[CLUSTER_MAX];
	struct group world = group_world(ranks, net_world(net), rank);
	struct sync_env env = { .net = net,
				.world = &world,
				.count = COUNT,
				.budget = { .first = run->first,
					    .steps = STEPS,
					    .eval_every = EVAL_EVERY,
					    .checkpoint_every = SAVE_EVERY,
					    .stop = wishes,
					    .arg = &run->wish } };
	struct sync *sync = NULL;
	struct error err;

	cluster_must(sync_new(&sync, &part, &params, &env, &err), &err);
	cluster_must(coll_barrier(net, &world, &err), &err);
	while (!cut.stop) {
		int go = sync_go(sync, weight, &err);

		cluster_must(go < 0 ? -1 : 0, &err);
		if (go) {
			/* Some are slower; a straggler among them does almost nothing. */
			for (int i = 0; i < rank % 3; i++)
				sched_yield();
			run->steps[rank]++;
			one_step(sync, sync_steps(sync), weight, grad);
			continue;
		}
		cluster_must(sync_cut(sync, weight, &cut, &err), &err);
		check_sum(net, &world, weight);
		assert(run->cut_count[rank] < CUTS_MOST);
		run->cuts[rank][run->cut_count[rank]++] = cut;
	}
	assert(sync_progress(sync) >= cut.completed || rank > 0);
	cluster_must(coll_barrier(net, &world, &err), &err);
	sync_free(sync);
}

static void check_cuts(const struct run *run, int world)
{
	size_t all = 0, seen = run->first;

	for (int rank = 0; rank < world; rank++) {
		all += run->steps[rank];
		assert(run->cut_count[rank] == run->cut_count[0]);
		for (size_t i = 0; i < run->cut_count[0]; i++)
			assert(run->cuts[rank][i].completed == run->cuts[0][i].completed &&
			       run->cuts[rank][i].evaluate == run->cuts[0][i].evaluate &&
			       run->cuts[rank][i].save == run->cuts[0][i].save);
	}
	assert(all >= (STEPS - run->first) * (size_t)world);
	for (size_t i = 0; i < run->cut_count[0]; i++) {
		const struct sync_cut *cut = &run->cuts[0][i];

		assert(cut->completed > seen);
		assert(cut->stop == (cut->completed == STEPS));
		assert(!cut->evaluate || cut->completed % EVAL_EVERY == 0);
		assert(!cut->save || cut->completed % SAVE_EVERY == 0);
		seen = cut->completed;
	}
	assert(seen == STEPS);
}

static void run_every(bool waits, size_t first)
{
	for (int world = 1; world <= 7; world += 2) {
		struct run run = { .waits = waits, .first = first };

		cluster_run("inproc", world, train, &run);
		check_cuts(&run, world);
		run = (struct run){ .waits = waits, .first = first };
		cluster_run("tcp", world, train, &run);
		check_cuts(&run, world);
	}
}

static void ranks_at_their_own_pace_meet_when_enough_is_done(void **state)
{
	(void)state;
	run_every(false, 0);
	run_every(false, 7); /* after a resume */
}

static void a_cut_comes_to_who_waits_for_another(void **state)
{
	(void)state;
	run_every(true, 0);
}

static void a_wish_to_stop_ends_in_a_cut_that_saves(void **state)
{
	(void)state;
	for (int wish = SYNC_STOP; wish <= SYNC_END; wish++) {
		struct run run = { .wish = wish, .waits = true };

		cluster_run("tcp", 4, train, &run);
		for (int rank = 0; rank < 4; rank++) {
			const struct sync_cut *cut = &run.cuts[rank][0];

			assert(run.cut_count[rank] == 1);
			assert(cut->stop && cut->completed < STEPS);
			assert(cut->save == (cut->completed > 0));
			assert(cut->evaluate == (wish == SYNC_END));
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(ranks_at_their_own_pace_meet_when_enough_is_done),
		cmocka_unit_test(a_cut_comes_to_who_waits_for_another),
		cmocka_unit_test(a_wish_to_stop_ends_in_a_cut_that_saves),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
