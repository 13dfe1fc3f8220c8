/* A rank's batches: gathered from the data, changed at random if the recipe says so, and while one
 * step computes the batch of the next is made ready. */
#include "runtime/feed.h"

#include <pthread.h>
#include <stdlib.h>

#include "lib/memory.h"
#include "runtime/data/data.h"
#include "runtime/rng.h"

enum {
	TEST_SAMPLES = 256,  /* at once, where a batch is as large */
	MUCH_WORK = 1 << 18, /* numbers of a batch: to hand over less takes longer than it saves */
};

enum state { IDLE, ASKED, READY };

struct feed {
	struct feed_env env;
	size_t most; /* samples of a batch */
	struct batch batch[2];
	uint32_t *index; /* [most], of test samples */
	float *spare;	 /* a sample */

	pthread_t thread;
	bool ahead; /* there is a thread that gathers */
	pthread_mutex_t lock;
	pthread_cond_t changed;
	enum state state; /* lock */
	size_t step;	  /* lock: what is asked for, or ready */
	size_t next;	  /* lock: into which batch it goes; the other one is in use */
	bool ended;	  /* lock */
};

static const char *const prefetches[] = { "auto", "no", "yes", NULL };

const struct opt feed_options[] = {
	{ "augment.crop", OPT_COUNT, offsetof(struct feed_params, augment.crop), "0",
	  "pixels put around a training image before a part of its size is cut out", .min = 0,
	  .max = 1024 },
	{ "augment.flip", OPT_BOOL, offsetof(struct feed_params, augment.flip), "no",
	  "mirror half of the training images, left to right" },
	{ "prefetch", OPT_CHOICE, offsetof(struct feed_params, prefetch), "auto",
	  "gather a step's batch while the one before computes; auto: if it is much work",
	  .choices = prefetches },
	{ 0 }
};

/* The same changes whatever the number of ranks. */
static void gather_changed(struct feed *feed, const uint32_t *index, const struct batch *batch)
{
	const struct dataset *train = feed->env.train;
	size_t features = shape_count(&train->shape);
	struct batch one = { .x = feed->spare, .targets = batch->targets, .count = 1 };

	for (size_t i = 0; i < batch->count; i++, one.targets += train->labels) {
		struct rng rng =
			rng_make(feed->env.seed, RNG_AUGMENT, batch->first + i, batch->step);

		dataset_gather(train, &index[i], &one);
		augment(&feed->env.params->augment, &rng, &train->shape, train->shift, one.x,
			batch->x + i * features);
	}
}

static void gather_step(struct feed *feed, struct batch *batch, size_t step)
{
	const uint32_t *index =
		shard_step(feed->env.shard, step, &batch->count, &batch->first, &batch->total);

	batch->step = step;
	batch->training = true;
	if (augment_wanted(&feed->env.params->augment))
		gather_changed(feed, index, batch);
	else
		dataset_gather(feed->env.train, index, batch);
}

static void *gather_ahead(void *arg)
{
	struct feed *feed = arg;

	pthread_mutex_lock(&feed->lock);
	while (!feed->ended) {
		if (feed->state != ASKED) {
			pthread_cond_wait(&feed->changed, &feed->lock);
			continue;
		}
		pthread_mutex_unlock(&feed->lock); /* nobody changes step or next while asked */
		gather_step(feed, &feed->batch[feed->next], feed->step);
		pthread_mutex_lock(&feed->lock);
		feed->state = READY;
		pthread_cond_broadcast(&feed->changed);
	}
	pthread_mutex_unlock(&feed->lock);
	return NULL;
}

static void ask(struct feed *feed, size_t step)
{
	feed->step = step;
	feed->state = ASKED;
	pthread_cond_broadcast(&feed->changed);
}

const struct batch *feed_step(struct feed *feed, size_t step)
{
	const struct batch *batch = &feed->batch[0];

	if (!feed->ahead) {
		gather_step(feed, &feed->batch[0], step);
		return batch;
	}
	pthread_mutex_lock(&feed->lock);
	while (feed->state != READY || feed->step != step) {
		if (feed->state == ASKED)
			pthread_cond_wait(&feed->changed, &feed->lock);
		else
			ask(feed, step);
	}
	batch = &feed->batch[feed->next];
	feed->next = 1 - feed->next;
	ask(feed, step + 1);
	pthread_mutex_unlock(&feed->lock);
	return batch;
}

void feed_share(struct feed *feed, size_t first, size_t count)
{
	pthread_mutex_lock(&feed->lock);
	while (feed->state == ASKED)
		pthread_cond_wait(&feed->changed, &feed->lock);
	feed->state = IDLE; /* what is ready was gathered for another share */
	shard_share(feed->env.shard, first, count);
	pthread_mutex_unlock(&feed->lock);
}

const struct batch *feed_test(struct feed *feed, size_t first, size_t most)
{
	struct batch *batch = &feed->batch[0];
	size_t limit = feed->most < TEST_SAMPLES ? feed->most : TEST_SAMPLES;

	if (feed->ahead) {
		pthread_mutex_lock(&feed->lock);
		batch = &feed->batch[1 - feed->next];
		pthread_mutex_unlock(&feed->lock);
	}
	batch->count = batch->total = most < limit ? most : limit;
	batch->first = first;
	batch->training = false;
	for (size_t i = 0; i < batch->count; i++)
		feed->index[i] = (uint32_t)(first + i);
	dataset_gather(feed->env.test, feed->index, batch);
	return batch;
}

static void make_room(struct feed *feed, struct batch *batch)
{
	const struct dataset *train = feed->env.train;

	if (train->sparse.start)
		batch->rows = xcalloc(feed->most, sizeof(*batch->rows));
	else
		batch->x = xaligned(feed->most * shape_count(&train->shape) * sizeof(float));
	batch->targets = xaligned(feed->most * train->labels * sizeof(float));
}

static bool is_worth_a_thread(const struct feed *feed)
{
	const struct feed_params *params = feed->env.params;
	const struct dataset *train = feed->env.train;

	if (params->prefetch != PREFETCH_AUTO)
		return params->prefetch == PREFETCH_YES;
	return !train->sparse.start && feed->most * shape_count(&train->shape) >= MUCH_WORK;
}

int feed_new(struct feed **out, const struct feed_env *env, struct error *err)
{
	struct feed *feed;

	if (augment_check(&env->params->augment, &env->train->shape, err) < 0)
		return -1;
	feed = *out = xcalloc(1, sizeof(*feed));
	feed->env = *env;
	feed->most = shard_most(env->shard);
	feed->index = xcalloc(feed->most, sizeof(*feed->index));
	feed->spare = xaligned(shape_count(&env->train->shape) * sizeof(float));
	pthread_mutex_init(&feed->lock, NULL);
	pthread_cond_init(&feed->changed, NULL);
	/* Without a thread of its own the step gathers for itself. */
	feed->ahead = is_worth_a_thread(feed) &&
		      pthread_create(&feed->thread, NULL, gather_ahead, feed) == 0;
	for (size_t i = 0; i < (feed->ahead ? 2 : 1); i++)
		make_room(feed, &feed->batch[i]);
	return 0;
}

void feed_free(struct feed *feed)
{
	if (!feed)
		return;
	if (feed->ahead) {
		pthread_mutex_lock(&feed->lock);
		feed->ended = true;
		pthread_cond_broadcast(&feed->changed);
		pthread_mutex_unlock(&feed->lock);
		pthread_join(feed->thread, NULL);
	}
	pthread_cond_destroy(&feed->changed);
	pthread_mutex_destroy(&feed->lock);
	for (size_t i = 0; i < ARRAY_SIZE(feed->batch); i++) {
		free(feed->batch[i].x);
		free(feed->batch[i].rows);
		free(feed->batch[i].targets);
	}
	free(feed->index);
	free(feed->spare);
	free(feed);
}
