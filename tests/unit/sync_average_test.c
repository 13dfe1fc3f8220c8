/* The framework that runs a strategy: averages of the weights that a step begins with. */
#include "tests/unit/unit.h"

#include "runtime/compress/compress.h"
#include "runtime/exchange.h"
#include "runtime/sync/sync.h"
#include "tests/unit/cluster.h"

enum { COUNT = 4096 };

/* What the strategy below is asked. The notes outlive its state. */
struct notes {
	pthread_mutex_t lock; /* guards all below */
	pthread_cond_t changed;
	bool go;      /* the average may be made */
	bool fail;    /* and fails */
	size_t step;  /* of the average */
	float weight; /* its first one */
	size_t buckets;
};

struct witness_params {
	struct notes *notes;
};

static int witness_init(void *state, const void *params, const struct sync_env *env,
			struct error *err)
{
	(void)env;
	(void)err;
	*(struct notes **)state = ((const struct witness_params *)params)->notes;
	return 0;
}

static int witness_average(void *state, size_t step, const float *weight, struct error *err)
{
	struct notes *notes = *(struct notes **)state;

	pthread_mutex_lock(&notes->lock);
	while (!notes->go)
		pthread_cond_wait(&notes->changed, &notes->lock);
	assert(notes->buckets == 0);
	notes->step = step;
	notes->weight = weight[0];
	pthread_mutex_unlock(&notes->lock);
	return notes->fail ? error_set(err, "the average failed by test") : 0;
}

static int witness_gradients(void *state, size_t step, size_t offset, float *grad, size_t count,
			     struct error *err)
{
	struct notes *notes = *(struct notes **)state;

	(void)offset;
	(void)grad;
	(void)count;
	(void)err;
	assert(notes->step == step);
	notes->buckets++;
	return 0;
}

static const struct sync_strategy witness_both = {
	.entry = { .name = "witness" },
	.state_size = sizeof(struct notes *),
	.init = witness_init,
	.average = witness_average,
	.gradients = witness_gradients,
};

static const struct sync_strategy witness_alone = {
	.entry = { .name = "witness" },
	.state_size = sizeof(struct notes *),
	.own_samples = true,
	.init = witness_init,
	.average = witness_average,
};

static const int ranks[] = { 0, 1, 2, 3, 4 };
static const struct group world = { .ranks = ranks, .count = ARRAY_SIZE(ranks) };

static struct sync *witness_open_with(const struct sync_strategy *strategy, struct notes *notes,
				      const double *share)
{
	struct witness_params params = { .notes = notes };
	struct part part = { .entry = &strategy->entry, .params = &params };
	struct sync_params common = { .bucket_bytes = 1024 };
	struct sync_env env = { .world = &world, .count = COUNT, .share = share };
	struct sync *sync = NULL;
	struct error err;

	*notes = (struct notes){ 0 };
	pthread_mutex_init(&notes->lock, NULL);
	pthread_cond_init(&notes->changed, NULL);
	cluster_must(sync_new(&sync, &part, &common, &env, &err), &err);
	return sync;
}

static struct sync *witness_open(const struct sync_strategy *strategy, struct notes *notes)
{
	return witness_open_with(strategy, notes, NULL);
}

static void let_go(struct notes *notes)
{
	pthread_mutex_lock(&notes->lock);
	notes->go = true;
	pthread_cond_broadcast(&notes->changed);
	pthread_mutex_unlock(&notes->lock);
}

static void witness_close(struct sync *sync, struct notes *notes)
{
	sync_free(sync);
	pthread_cond_destroy(&notes->changed);
	pthread_mutex_destroy(&notes->lock);
}

/* No average is made before all buckets are cut: the training thread does not wait for it. */
static void weights_are_averaged_while_the_step_computes_and_before_its_buckets(void **state)
{
	static float weight[COUNT] = { 7 }, grad[COUNT];
	struct notes notes;
	struct sync *sync = witness_open(&witness_both, &notes);
	struct error err;

	(void)state;
	for (size_t step = 5; step < 8; step++) {
		notes.go = false;
		notes.buckets = 0;
		sync_step(sync, step, weight, grad);
		sync_ready(sync, COUNT / 2, COUNT / 2);
		sync_ready(sync, 0, COUNT / 2);
		let_go(&notes);
		cluster_must(sync_gradients(sync, &err), &err);
		assert_int_equal(notes.step, step);
		assert_true(notes.weight == 7);
		assert_int_equal(notes.buckets, 2);
	}
	witness_close(sync, &notes);
}

static void a_gradient_of_own_samples_is_their_mean(void **state)
{
	static float weight[COUNT], grad[COUNT] = { 1 };
	struct notes notes;
	struct sync *sync = witness_open(&witness_alone, &notes);
	struct error err;

	(void)state;
	let_go(&notes);
	sync_step(sync, 2, weight, grad);
	sync_ready(sync, 1, COUNT - 1);
	grad[0] = 3;
	sync_ready(sync, 0, 1);
	cluster_must(sync_gradients(sync, &err), &err);
	assert_int_equal(notes.step, 2);
	assert_int_equal(notes.buckets, 0);
	assert_true(grad[0] == 15 && grad[1] == 0);
	assert_true(sync_times(sync).comm_s > 0);
	witness_close(sync, &notes);
}

static void a_gradient_of_a_share_of_the_samples_is_their_mean(void **state)
{
	static const double share[] = { 0.25, 0.25, 0.25, 0.125, 0.125 };
	static float weight[COUNT], grad[COUNT] = { 1 };
	struct notes notes;
	struct sync *sync = witness_open_with(&witness_alone, &notes, share);
	struct error err;

	(void)state;
	let_go(&notes);
	sync_step(sync, 2, weight, grad);
	sync_ready(sync, 0, COUNT);
	cluster_must(sync_gradients(sync, &err), &err);
	assert_true(grad[0] == 4);
	witness_close(sync, &notes);
}

static void an_average_that_fails_is_an_error_of_the_step(void **state)
{
	static float weight[COUNT], grad[COUNT];
	struct notes notes;
	struct sync *sync = witness_open(&witness_both, &notes);
	struct error err;

	(void)state;
	notes.fail = true;
	let_go(&notes);
	sync_step(sync, 3, weight, grad);
	sync_ready(sync, 0, COUNT);
	assert_int_equal(sync_gradients(sync, &err), -1);
	assert_string_equal(err.text, "the average failed by test");
	assert_int_equal(notes.buckets, 0);
	witness_close(sync, &notes);
}

static void mean_body(int rank, struct net *net, void *arg)
{
	const char *name = arg;
	struct part part = part_default(&sync_strategies, name);
	struct part none = part_default(&compressors, "none");
	struct exchange_env exchange = { .net = net,
					 .count = COUNT,
					 .coder = { .compressor = &none } };
	struct sync_params params = { .bucket_bytes = 1024 };
	int places[CLUSTER_MAX];
	struct group all = group_world(places, net_world(net), rank);
	struct sync_env env = { .net = net, .world = &all, .count = COUNT };
	float *weight = xcalloc(COUNT, sizeof(*weight));
	struct sync *sync = NULL;
	const float *mean;
	struct error err;

	env.exchange = exchange_new(&exchange);
	weight[1] = (float)rank;
	cluster_must(sync_new(&sync, &part, &params, &env, &err), &err);
	cluster_must(sync_mean(sync, weight, &mean, &err), &err);
	if (PART_AS(&part, struct sync_strategy)->replicated)
		assert(mean == weight);
	else
		assert(mean != weight && mean[0] == 0 && mean[1] == 1.5f);
	assert(weight[1] == (float)rank);
	sync_free(sync);
	exchange_free(env.exchange);
	part_release(&part);
	part_release(&none);
	free(weight);
}

static void the_mean_of_all_weights_leaves_them_as_they_are(void **state)
{
	(void)state;
	cluster_run("inproc", 4, mean_body, (char[]){ "bsp" });
	cluster_run("inproc", 4, mean_body, (char[]){ "local_sgd" });
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(
			weights_are_averaged_while_the_step_computes_and_before_its_buckets),
		cmocka_unit_test(a_gradient_of_own_samples_is_their_mean),
		cmocka_unit_test(a_gradient_of_a_share_of_the_samples_is_their_mean),
		cmocka_unit_test(an_average_that_fails_is_an_error_of_the_step),
		cmocka_unit_test(the_mean_of_all_weights_leaves_them_as_they_are),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
