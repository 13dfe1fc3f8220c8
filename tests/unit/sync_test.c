/* The framework that runs a strategy: buckets, overlap, errors. */
#include "tests/unit/unit.h"

#include <stdatomic.h>

#include "lib/clock.h"
#include "runtime/compress/compress.h"
#include "runtime/exchange.h"
#include "runtime/sync/sync.h"
#include "tests/unit/cluster.h"

enum { COUNT = 4096, MOST = 64 };

/* A strategy that writes down what it is asked. The notes outlive the strategy's state. */
struct notes {
	pthread_mutex_t lock; /* guards all below */
	pthread_cond_t changed;
	size_t offsets[MOST], counts[MOST], buckets;
	size_t fail_at; /* bucket, from 1; 0: never */
	size_t weights_step;
	bool finished;
	int peer;
	uint64_t tag;
	char message[16];
};

struct witness {
	struct notes *notes;
	float array[3];
};

struct witness_params {
	struct notes *notes;
	bool fail;
};

static int witness_init(void *state, const void *params, const struct sync_env *env,
			struct error *err)
{
	const struct witness_params *given = params;
	struct witness *witness = state;

	assert(witness->array[0] == 0 && env->count == COUNT);
	witness->notes = given->notes;
	return given->fail ? error_set(err, "init failed by test") : 0;
}

static int witness_gradients(void *state, size_t step, size_t offset, float *grad, size_t count,
			     struct error *err)
{
	struct notes *notes = ((struct witness *)state)->notes;
	int status = 0;

	for (size_t i = 0; i < count; i++)
		grad[i] += (float)(step + 1);
	pthread_mutex_lock(&notes->lock);
	assert(notes->buckets < MOST);
	notes->offsets[notes->buckets] = offset;
	notes->counts[notes->buckets++] = count;
	if (notes->buckets == notes->fail_at)
		status = error_set(err, "bucket %zu failed by test", notes->buckets);
	pthread_cond_broadcast(&notes->changed);
	pthread_mutex_unlock(&notes->lock);
	return status;
}

static int witness_weights(void *state, size_t step, float *weight, struct error *err)
{
	struct notes *notes = ((struct witness *)state)->notes;

	(void)err;
	notes->weights_step = step;
	weight[0] += 1;
	return 0;
}

static void witness_serve(void *state, int peer, uint64_t tag, const void *bytes, size_t length)
{
	struct notes *notes = ((struct witness *)state)->notes;

	pthread_mutex_lock(&notes->lock);
	assert(length < sizeof(notes->message));
	memcpy(notes->message, bytes, length);
	notes->peer = peer;
	notes->tag = tag;
	pthread_cond_broadcast(&notes->changed);
	pthread_mutex_unlock(&notes->lock);
}

static size_t witness_state(void *state, struct state_array *arrays)
{
	struct witness *witness = state;

	arrays[0] = (struct state_array){ "array", witness->array, 3 };
	return 1;
}

static void witness_fini(void *state)
{
	((struct witness *)state)->notes->finished = true;
}

static const struct sync_strategy witness_gradient = {
	.entry = { .name = "witness" },
	.state_size = sizeof(struct witness),
	.init = witness_init,
	.gradients = witness_gradients,
	.state = witness_state,
	.fini = witness_fini,
};

static const struct sync_strategy witness_weight = {
	.entry = { .name = "witness" },
	.state_size = sizeof(struct witness),
	.init = witness_init,
	.weights = witness_weights,
	.fini = witness_fini,
};

static const struct sync_strategy witness_peer = {
	.entry = { .name = "witness" },
	.state_size = sizeof(struct witness),
	.init = witness_init,
	.serve = witness_serve,
};

static void notes_begin(struct notes *notes)
{
	*notes = (struct notes){ .peer = -1 };
	pthread_mutex_init(&notes->lock, NULL);
	pthread_cond_init(&notes->changed, NULL);
}

static void notes_end(struct notes *notes)
{
	pthread_mutex_destroy(&notes->lock);
	pthread_cond_destroy(&notes->changed);
}

static const int only_rank[] = { 0 };
static const struct group alone = { .ranks = only_rank, .count = 1 };

static struct sync *witness_open(const struct sync_strategy *strategy, struct notes *notes,
				 struct net *net, size_t bucket_bytes)
{
	struct witness_params params = { .notes = notes };
	struct part part = { .entry = &strategy->entry, .params = &params };
	struct sync_params common = { .bucket_bytes = bucket_bytes };
	struct sync_env env = { .net = net, .world = &alone, .count = COUNT };
	struct sync *sync = NULL;
	struct error err;

	cluster_must(sync_new(&sync, &part, &common, &env, &err), &err);
	return sync;
}

/* Backward of layers with these parameters, from the last layer to the first. */
static void ready_all(struct sync *sync, const size_t *layers, size_t count)
{
	size_t offset = COUNT;

	for (size_t i = 0; i < count; i++)
		sync_ready(sync, offset -= layers[i], layers[i]);
	assert_int_equal(offset, 0);
}

static void buckets_cover_the_block_once_and_are_large_enough(void **state)
{
	static const size_t layers[][6] = { { 4096 },
					    { 10, 0, 4000, 6, 80, 0 },
					    { 1000, 1000, 1000, 1000, 96 },
					    { 256, 256, 256, 3328 },
					    { 4095, 1 },
					    { 1, 4095 } };
	static const size_t buckets[] = { 1, 2, 5, 4, 2, 1 };
	float *grad = xcalloc(COUNT, sizeof(*grad));
	struct notes notes;
	struct error err;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(layers); i++) {
		struct sync *sync;
		size_t end = COUNT;

		notes_begin(&notes);
		sync = witness_open(&witness_gradient, &notes, NULL, 1024);
		sync_step(sync, i, grad, grad);
		ready_all(sync, layers[i], 6);
		cluster_must(sync_gradients(sync, &err), &err);
		assert_int_equal(notes.buckets, buckets[i]);
		for (size_t k = 0; k < notes.buckets; k++) {
			assert_int_equal(notes.offsets[k] + notes.counts[k], end);
			assert_true(notes.counts[k] >= 256 || notes.offsets[k] == 0);
			end = notes.offsets[k];
		}
		assert_int_equal(end, 0);
		sync_free(sync);
		assert_true(notes.finished);
		notes_end(&notes);
	}
	for (size_t i = 0; i < COUNT; i++)
		assert_true(grad[i] == 1 + 2 + 3 + 4 + 5 + 6);
	free(grad);
}

static void a_bucket_is_exchanged_while_backward_still_runs(void **state)
{
	float *grad = xcalloc(COUNT, sizeof(*grad));
	struct notes notes;
	struct sync *sync;
	struct error err;

	(void)state;
	notes_begin(&notes);
	sync = witness_open(&witness_gradient, &notes, NULL, 1024);
	sync_step(sync, 0, grad, grad);
	for (size_t i = 1; i <= 8; i++) {
		sync_ready(sync, COUNT - i * COUNT / 8, COUNT / 8);
		pthread_mutex_lock(&notes.lock);
		while (notes.buckets < i)
			pthread_cond_wait(&notes.changed, &notes.lock);
		pthread_mutex_unlock(&notes.lock);
	}
	cluster_must(sync_gradients(sync, &err), &err);
	sync_free(sync);
	notes_end(&notes);
	free(grad);
}

static void an_error_in_a_bucket_is_kept(void **state)
{
	float *grad = xcalloc(COUNT, sizeof(*grad));
	struct notes notes;
	struct sync *sync;
	struct error err;

	(void)state;
	notes_begin(&notes);
	notes.fail_at = 3;
	sync = witness_open(&witness_gradient, &notes, NULL, 1024);
	for (size_t step = 0; step < 2; step++) {
		sync_step(sync, step, grad, grad);
		for (size_t offset = COUNT; offset > 0; offset -= 512)
			sync_ready(sync, offset - 512, 512);
		err.text[0] = '\0';
		assert_int_equal(sync_gradients(sync, &err), -1);
		assert_string_equal(err.text, "bucket 3 failed by test");
	}
	assert_int_equal(notes.buckets, 3);
	sync_free(sync);
	notes_end(&notes);
	free(grad);
}

static void a_failed_init_is_cleaned_up(void **state)
{
	struct notes notes = { 0 };
	struct witness_params params = { .notes = &notes, .fail = true };
	struct part part = { .entry = &witness_gradient.entry, .params = &params };
	struct sync_params common = { .bucket_bytes = 1024 };
	struct sync_env env = { .world = &alone, .count = COUNT };
	struct sync *sync = NULL;
	struct error err;

	(void)state;
	assert_int_equal(sync_new(&sync, &part, &common, &env, &err), -1);
	assert_string_equal(err.text, "init failed by test");
	assert_null(sync);
	assert_true(notes.finished);
	sync_free(NULL);
}

static void a_strategy_of_weights_alone_sees_them_after_the_update(void **state)
{
	float *grad = xcalloc(COUNT, sizeof(*grad)), weight[1] = { 5 };
	struct state_array arrays[STATE_ARRAYS];
	struct notes notes;
	struct sync *sync;
	struct error err;

	(void)state;
	notes_begin(&notes);
	sync = witness_open(&witness_weight, &notes, NULL, 1024);
	sync_step(sync, 3, grad, grad);
	sync_ready(sync, 0, COUNT);
	cluster_must(sync_gradients(sync, &err), &err);
	cluster_must(sync_weights(sync, 3, weight, &err), &err);
	assert_int_equal(notes.weights_step, 3);
	assert_true(weight[0] == 6 && grad[0] == 0);
	assert_int_equal(sync_state(sync, arrays), 0);
	assert_true(sync_times(sync).exposed_s >= sync_times(sync).comm_s);
	sync_free(sync);
	notes_end(&notes);
	free(grad);
}

static void the_arrays_of_a_strategy_are_handed_out(void **state)
{
	struct state_array arrays[STATE_ARRAYS];
	struct notes notes;
	struct sync *sync;

	(void)state;
	notes_begin(&notes);
	sync = witness_open(&witness_gradient, &notes, NULL, 1024);
	assert_int_equal(sync_state(sync, arrays), 1);
	assert_string_equal(arrays[0].name, "array");
	assert_int_equal(arrays[0].count, 3);
	sync_free(sync);
	notes_end(&notes);
}

static void options_have_defaults_and_limits(void **state)
{
	static const struct place here = { .file = "recipe.yaml", .line = 1 };
	struct settings given = { 0 }, resolved = { 0 };
	struct problems problems = { 0 };
	struct sync_params params = { 0 };

	(void)state;
	opt_defaults(sync_options, &params);
	assert_int_equal(params.allreduce, COLL_AUTO);
	assert_int_equal(params.bucket_bytes, 1 << 20);
	settings_set(&given, "sync.allreduce", "halving_doubling", here);
	settings_set(&given, "sync.bucket", "1KiB", here);
	opt_read(sync_options, &given, "sync", &params, &resolved, &problems);
	assert_int_equal(problems.count, 0);
	assert_int_equal(params.allreduce, COLL_HALVING_DOUBLING);
	assert_int_equal(params.bucket_bytes, 1024);
	settings_set(&given, "sync.bucket", "1023", here);
	opt_read(sync_options, &given, "sync", &params, &resolved, &problems);
	assert_int_equal(problems.count, 1);
	settings_release(&given);
	settings_release(&resolved);
	problems_release(&problems);
}

static void serve_body(int rank, struct net *net, void *arg)
{
	struct notes *notes = &((struct notes *)arg)[rank];
	struct sync *sync = witness_open(&witness_peer, notes, net, 1024);
	int ranks[CLUSTER_MAX];
	struct group world = group_world(ranks, net_world(net), rank);
	struct error err;

	cluster_must(coll_barrier(net, &world, &err), &err); /* all listen */
	cluster_must(net_tell(net, 1 - rank, NET_TAG_UNSOLICITED + 5, "hello", 6, &err), &err);
	pthread_mutex_lock(&notes->lock);
	while (notes->peer < 0)
		pthread_cond_wait(&notes->changed, &notes->lock);
	assert(notes->peer == 1 - rank && notes->tag == NET_TAG_UNSOLICITED + 5);
	assert(strcmp(notes->message, "hello") == 0);
	notes->peer = -1; /* for the next transport */
	pthread_mutex_unlock(&notes->lock);
	sync_free(sync);
}

static void unsolicited_messages_reach_the_strategy(void **state)
{
	struct notes notes[2];

	(void)state;
	notes_begin(&notes[0]);
	notes_begin(&notes[1]);
	cluster_run_every(2, 0, serve_body, notes);
	notes_end(&notes[0]);
	notes_end(&notes[1]);
}

/* A rank that trains with bsp. */
struct trainee {
	struct part strategy, compressor;
	struct exchange *exchange;
	struct sync *sync;
	int ranks[CLUSTER_MAX];
	struct group world;
	float *grad;
};

static void trainee_open(struct trainee *t, struct net *net)
{
	struct exchange_env exchange_env = { .net = net, .count = COUNT };
	struct sync_params params = { .bucket_bytes = COUNT / 8 * sizeof(float) };
	struct sync_env env = { .net = net, .world = &t->world, .count = COUNT };
	struct error err;

	t->strategy = part_default(&sync_strategies, "bsp");
	t->compressor = part_default(&compressors, "none");
	t->world = group_world(t->ranks, net_world(net), net_rank(net));
	exchange_env.coder.compressor = &t->compressor;
	env.exchange = t->exchange = exchange_new(&exchange_env);
	t->grad = xcalloc(COUNT, sizeof(*t->grad));
	cluster_must(sync_new(&t->sync, &t->strategy, &params, &env, &err), &err);
}

static void trainee_close(struct trainee *t)
{
	sync_free(t->sync);
	exchange_free(t->exchange);
	part_release(&t->strategy);
	part_release(&t->compressor);
	free(t->grad);
}

/* Messages take 12 ms, a layer 40: the one or two of a bucket fit behind the next layer, even if
 * each of them takes three times as long as it should. */
static void overlap_body(int rank, struct net *net, void *arg)
{
	struct trainee t;
	struct sync_times times;
	struct error err;

	(void)rank;
	(void)arg;
	trainee_open(&t, net);
	net_inject(net, (struct net_fault){ .delay_s = 0.012 });
	sync_step(t.sync, 0, t.grad, t.grad);
	for (size_t layer = 1; layer <= 8; layer++) {
		clock_sleep(0.04);
		sync_ready(t.sync, COUNT - layer * COUNT / 8, COUNT / 8);
	}
	cluster_must(sync_gradients(t.sync, &err), &err);
	times = sync_times(t.sync);
	assert(times.comm_s >= 8 * 0.012);
	assert(times.exposed_s < times.comm_s * 3 / 4);
	trainee_close(&t);
}

static void communication_hides_behind_backward(void **state)
{
	(void)state;
	cluster_run_every(2, 0, overlap_body, NULL);
}

static void leaver_body(int rank, struct net *net, void *arg)
{
	struct trainee t;
	struct error err = { "" };
	int status = 0;

	(void)arg;
	trainee_open(&t, net);
	for (size_t step = 0; status == 0 && !(rank == 1 && step == 3); step++) {
		sync_step(t.sync, step, t.grad, t.grad);
		for (size_t offset = COUNT; offset > 0; offset -= COUNT / 8)
			sync_ready(t.sync, offset - COUNT / 8, COUNT / 8);
		status = sync_gradients(t.sync, &err);
	}
	assert(rank == 1 || strstr(err.text, "lost rank"));
	trainee_close(&t);
}

static void a_lost_rank_is_an_error_of_the_step(void **state)
{
	(void)state;
	cluster_run_every(3, 0, leaver_body, NULL);
}

static void abandoned_body(int rank, struct net *net, void *arg)
{
	pthread_barrier_t *end = arg;
	struct trainee t;

	trainee_open(&t, net);
	sync_step(t.sync, 0, t.grad, t.grad);
	if (rank != 0) /* the others wait for rank 0 */
		sync_ready(t.sync, COUNT / 2, COUNT / 2);
	net_abort(net, "stopped by test");
	trainee_close(&t);
	pthread_barrier_wait(end);
}

static void a_step_can_be_abandoned(void **state)
{
	pthread_barrier_t end;

	(void)state;
	pthread_barrier_init(&end, NULL, 3);
	for (int i = 0; i < 10; i++)
		cluster_run_every(3, 0, abandoned_body, &end);
	pthread_barrier_destroy(&end);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(buckets_cover_the_block_once_and_are_large_enough),
		cmocka_unit_test(a_bucket_is_exchanged_while_backward_still_runs),
		cmocka_unit_test(an_error_in_a_bucket_is_kept),
		cmocka_unit_test(a_failed_init_is_cleaned_up),
		cmocka_unit_test(a_strategy_of_weights_alone_sees_them_after_the_update),
		cmocka_unit_test(the_arrays_of_a_strategy_are_handed_out),
		cmocka_unit_test(options_have_defaults_and_limits),
		cmocka_unit_test(unsolicited_messages_reach_the_strategy),
		cmocka_unit_test(communication_hides_behind_backward),
		cmocka_unit_test(a_lost_rank_is_an_error_of_the_step),
		cmocka_unit_test(a_step_can_be_abandoned),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
