/*
 * Runs a strategy for a rank. The training thread cuts what backward yields into buckets, which
 * depend on the order and sizes of its calls alone; one communication thread hands them to the
 * strategy in that order, after the weights that the step began with.
 */
#include "runtime/sync/sync.h"

#include <assert.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "lib/clock.h"
#include "lib/error.h"
#include "lib/memory.h"
#include "runtime/device/cpu.h"
#include "runtime/sync/pace.h"
#include "runtime/transport/transport.h"

static const char *const orders[] = { "given", "planned", NULL };

const struct opt sync_options[] = {
	{ "allreduce", OPT_CHOICE, offsetof(struct sync_params, allreduce), "auto",
	  "how sums are formed", .choices = coll_algorithm_names },
	{ "order", OPT_CHOICE, offsetof(struct sync_params, order), "given",
	  "how ranks stand in a ring: as they are numbered, or as the plan has it",
	  .choices = orders },
	{ "bucket", OPT_BYTES, offsetof(struct sync_params, bucket_bytes), "1MiB",
	  "gradients are exchanged in pieces of at least this size", .min = 1024, .max = 1e12 },
	{ 0 }
};

struct sync {
	const struct sync_strategy *strategy;
	void *state;
	struct net *net;
	const struct group *world;
	const double *samples; /* this rank's part of a batch; NULL: as all others */
	size_t count, bucket;  /* floats */
	float *mean;	       /* of the weights; NULL: all ranks have the same */
	pthread_t thread;
	bool threaded;

	struct pace *pace; /* of asynchronous ranks */

	/* The training thread's own. */
	size_t final; /* grad[final .. count) is */
	bool begun;   /* the strategy has seen the weights that the run begins with */
	double waited_s;
	/* For checkpoints: steps of this rank, over all resumes; whether go() has not said 1 since
	 * the last one. */
	float clock[2];

	pthread_mutex_t lock; /* guards all below */
	pthread_cond_t changed;
	const float *weight; /* still to be averaged; NULL: nothing is */
	float *grad;
	size_t step;
	size_t *bounds;	       /* bucket i is grad[bounds[i + 1] .. bounds[i]) */
	size_t cut, exchanged; /* buckets */
	bool stop, failed;
	struct error problem; /* the first one, if failed */
	struct sync_times times;
};

/* Runs unlocked: the fields it reads do not change while something is left to do. */
static int exchange_next(struct sync *sync, double *took_s, struct error *err)
{
	const struct sync_strategy *strategy = sync->strategy;
	double begin = clock_now();
	int status;

	if (sync->weight) {
		status = strategy->average(sync->state, sync->step, sync->weight, err);
	} else {
		size_t offset = sync->bounds[sync->exchanged + 1];

		status = strategy->gradients(sync->state, sync->step, offset, sync->grad + offset,
					     sync->bounds[sync->exchanged] - offset, err);
	}
	*took_s = clock_now() - begin;
	return status;
}

static bool is_done(const struct sync *sync)
{
	return !sync->weight && sync->exchanged == sync->cut;
}

static void *communicate(void *arg)
{
	struct sync *sync = arg;

	pthread_mutex_lock(&sync->lock);
	while (!sync->stop) {
		struct error err;
		double took_s;
		int status;

		if (is_done(sync)) {
			pthread_cond_wait(&sync->changed, &sync->lock);
			continue;
		}
		if (!sync->failed) {
			pthread_mutex_unlock(&sync->lock);
			status = exchange_next(sync, &took_s, &err);
			pthread_mutex_lock(&sync->lock);
			sync->times.comm_s += took_s;
			if (status < 0)
				sync->problem = err;
			sync->failed = status < 0;
		}
		if (sync->weight)
			sync->weight = NULL;
		else
			sync->exchanged++;
		pthread_cond_broadcast(&sync->changed);
	}
	pthread_mutex_unlock(&sync->lock);
	return NULL;
}

static void deliver(void *arg, int peer, uint64_t tag, const void *bytes, size_t length)
{
	struct sync *sync = arg;
	uint64_t own = tag & ~NET_TAG_UNSOLICITED;

	if (!sync->pace) {
		sync->strategy->serve(sync->state, peer, tag, bytes, length);
		return;
	}
	if (own >= SYNC_TAG_END) {
		pace_serve(sync->pace, peer, own, bytes, length);
		return;
	}
	sync->strategy->serve(sync->state, peer, own, bytes, length);
	pace_served(sync->pace);
}

int sync_tell(struct sync *sync, int peer, uint64_t tag, const void *bytes, size_t length,
	      struct error *err)
{
	assert(tag < SYNC_TAG_END && peer != net_rank(sync->net));
	pace_told(sync->pace);
	return net_tell(sync->net, peer, NET_TAG_UNSOLICITED | tag, bytes, length, err);
}

int sync_give(struct sync *sync, int peer, uint64_t tag, const void *bytes, size_t length,
	      struct error *err)
{
	assert(tag < SYNC_TAG_END && peer != net_rank(sync->net));
	pace_told(sync->pace);
	return net_give(sync->net, peer, NET_TAG_UNSOLICITED | tag, bytes, length, err);
}

void sync_wake(struct sync *sync)
{
	pace_wake(sync->pace);
}

static int start_thread(struct sync *sync, struct error *err)
{
	int problem;

	if (!sync->strategy->gradients && !sync->strategy->average)
		return 0;
	problem = pthread_create(&sync->thread, NULL, communicate, sync);
	if (problem != 0)
		return error_set(err, "cannot start the communication thread: %s",
				 strerror(problem));
	sync->threaded = true;
	return 0;
}

int sync_new(struct sync **out, const struct part *strategy, const struct sync_params *params,
	     const struct sync_env *env, struct error *err)
{
	struct sync *sync = xcalloc(1, sizeof(*sync));
	struct sync_env own = *env;

	own.sync = sync;
	sync->strategy = PART_AS(strategy, struct sync_strategy);
	sync->state = xcalloc(1, sync->strategy->state_size);
	sync->net = env->net;
	sync->world = env->world;
	sync->count = env->count;
	if (env->share)
		sync->samples = &env->share[env->world->ranks[env->world->index]];
	if (!sync->strategy->replicated && env->world->count > 1)
		sync->mean = xaligned(env->count * sizeof(*sync->mean));
	sync->bucket = params->bucket_bytes / sizeof(float);
	sync->bounds = xcalloc(env->count / sync->bucket + 2, sizeof(*sync->bounds));
	pthread_mutex_init(&sync->lock, NULL);
	pthread_cond_init(&sync->changed, NULL);
	sync->clock[0] = (float)env->budget.first;
	if (sync->strategy->asynchronous)
		sync->pace = pace_new(env->net, env->world, &env->budget);
	if (sync->strategy->init(sync->state, strategy->params, &own, err) < 0 ||
	    start_thread(sync, err) < 0) {
		sync_free(sync);
		return -1;
	}
	if (sync->strategy->serve || sync->pace)
		net_serve(sync->net, deliver, sync);
	*out = sync;
	return 0;
}

void sync_step(struct sync *sync, size_t step, const float *weight, float *grad)
{
	pthread_mutex_lock(&sync->lock);
	assert(is_done(sync));
	sync->weight = sync->strategy->average ? weight : NULL;
	sync->grad = grad;
	sync->step = step;
	sync->bounds[0] = sync->count;
	sync->cut = sync->exchanged = 0;
	sync->times =
		(struct sync_times){ .exposed_s = sync->waited_s, .waited_s = sync->waited_s };
	pthread_cond_broadcast(&sync->changed);
	pthread_mutex_unlock(&sync->lock);
	sync->final = sync->count;
	sync->waited_s = 0;
}

void sync_ready(struct sync *sync, size_t offset, size_t count)
{
	assert(count <= sync->final && offset == sync->final - count);
	sync->final = offset;
	if (sync->strategy->own_samples)
		cpu_scale(sync->grad + offset,
			  sync->samples ? (float)(1 / *sync->samples) : (float)sync->world->count,
			  count);
	if (!sync->strategy->gradients)
		return;
	pthread_mutex_lock(&sync->lock);
	if (offset < sync->bounds[sync->cut] &&
	    (offset == 0 || sync->bounds[sync->cut] - offset >= sync->bucket)) {
		sync->bounds[++sync->cut] = offset;
		pthread_cond_broadcast(&sync->changed);
	}
	pthread_mutex_unlock(&sync->lock);
}

int sync_gradients(struct sync *sync, struct error *err)
{
	double begin = clock_now();
	int status = 0;

	assert(sync->final == 0);
	pthread_mutex_lock(&sync->lock);
	while (!is_done(sync))
		pthread_cond_wait(&sync->changed, &sync->lock);
	sync->times.exposed_s += clock_now() - begin;
	if (sync->failed) {
		*err = sync->problem;
		status = -1;
	}
	pthread_mutex_unlock(&sync->lock);
	return status;
}

int sync_weights(struct sync *sync, size_t step, float *weight, struct error *err)
{
	double begin = clock_now(), took_s;
	int status = 0;

	if (sync->strategy->weights)
		status = sync->strategy->weights(sync->state, step, weight, err);
	took_s = clock_now() - begin;
	pthread_mutex_lock(&sync->lock);
	sync->times.comm_s += took_s;
	sync->times.exposed_s += took_s;
	pthread_mutex_unlock(&sync->lock);
	if (status < 0 || !sync->pace)
		return status;
	sync->clock[0] = (float)(step + 1);
	sync->clock[1] = sync->strategy->go != NULL;
	return pace_step(sync->pace, err);
}

static int await(struct sync *sync, float *weight, struct error *err)
{
	const struct sync_strategy *strategy = sync->strategy;
	bool cut;
	uint64_t wakes = pace_wakes(sync->pace, &cut);

	while (!cut && sync->clock[1] != 0) {
		int may = strategy->go(sync->state, sync_steps(sync) - 1, weight, err);

		if (may < 0 || (may == 0 && pace_wait(sync->pace, wakes, err) < 0))
			return -1;
		sync->clock[1] = may == 0;
		wakes = pace_wakes(sync->pace, &cut);
	}
	return !cut;
}

/* Nobody tells anything before all can listen. */
static int begin(struct sync *sync, float *weight, struct error *err)
{
	sync->begun = true;
	if (!sync->strategy->begin)
		return 0;
	if (sync->strategy->begin(sync->state, weight, err) < 0)
		return -1;
	return coll_barrier(sync->net, sync->world, err);
}

int sync_go(struct sync *sync, float *weight, struct error *err)
{
	double began = clock_now();
	int status = sync->begun ? 0 : begin(sync, weight, err);

	if (status == 0)
		status = await(sync, weight, err);
	sync->waited_s += clock_now() - began;
	return status;
}

int sync_cut(struct sync *sync, float *weight, struct sync_cut *cut, struct error *err)
{
	const struct sync_strategy *strategy = sync->strategy;

	*cut = pace_begin_cut(sync->pace);
	if (pace_settle(sync->pace, err) < 0 ||
	    (strategy->settle && strategy->settle(sync->state, weight, err) < 0) ||
	    coll_barrier(sync->net, sync->world, err) < 0)
		return -1;
	pace_end_cut(sync->pace);
	return 0;
}

size_t sync_steps(const struct sync *sync)
{
	return (size_t)sync->clock[0];
}

size_t sync_progress(const struct sync *sync)
{
	return pace_progress(sync->pace);
}

struct drift sync_drift(struct sync *sync)
{
	struct drift drift = drift_none();

	if (sync->strategy->report)
		sync->strategy->report(sync->state, &drift);
	if (sync->pace)
		drift.waited_s = sync->times.waited_s;
	return drift;
}

int sync_mean(struct sync *sync, const float *weight, const float **mean, struct error *err)
{
	*mean = weight;
	if (!sync->mean)
		return 0;
	memcpy(sync->mean, weight, sync->count * sizeof(*weight));
	if (coll_allreduce(sync->net, sync->world, COLL_AUTO, sync->mean, sync->count, err) < 0)
		return -1;
	cpu_scale(sync->mean, 1 / (float)sync->world->count, sync->count);
	*mean = sync->mean;
	return 0;
}

struct sync_times sync_times(const struct sync *sync)
{
	return sync->times;
}

size_t sync_state(struct sync *sync, struct state_array *arrays)
{
	size_t count = sync->strategy->state ? sync->strategy->state(sync->state, arrays) : 0;

	assert(count + 1 < STATE_ARRAYS);
	if (sync->pace)
		arrays[count++] = (struct state_array){ "clock", sync->clock, 2 };
	return count;
}

void sync_free(struct sync *sync)
{
	if (!sync)
		return;
	if (sync->threaded) {
		pthread_mutex_lock(&sync->lock);
		sync->stop = true;
		pthread_cond_broadcast(&sync->changed);
		pthread_mutex_unlock(&sync->lock);
		pthread_join(sync->thread, NULL);
	}
	if (sync->strategy->serve || sync->pace)
		net_serve(sync->net, NULL, NULL);
	if (sync->strategy->fini)
		sync->strategy->fini(sync->state);
	pace_free(sync->pace);
	pthread_cond_destroy(&sync->changed);
	pthread_mutex_destroy(&sync->lock);
	free(sync->mean);
	free(sync->bounds);
	free(sync->state);
	free(sync);
}
