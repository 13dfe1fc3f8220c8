/* A rank's batches: the right ones in the right order, ahead or not, changed alike on any number of
 * ranks. */
#include "tests/unit/unit.h"

#include <stdlib.h>
#include <string.h>

#include "lib/error.h"
#include "lib/memory.h"
#include "runtime/data/data.h"
#include "runtime/feed.h"
#include "runtime/rng.h"

enum { SAMPLES = 103, SIDE = 6, CHANNELS = 2, FEATURES = CHANNELS * SIDE * SIDE, BATCH = 10 };

static float images[SAMPLES * FEATURES], targets[SAMPLES];
static const struct dataset dataset = { .count = SAMPLES,
					.shape = { .dim = { CHANNELS, SIDE, SIDE }, .rank = 3 },
					.floats = images,
					.targets = targets,
					.labels = 1,
					.classes = SAMPLES };

/* Every pixel has a number of its own, from 1. */
static int setup(void **state)
{
	(void)state;
	for (size_t i = 0; i < SAMPLES * FEATURES; i++)
		images[i] = (float)(i + 1);
	for (size_t i = 0; i < SAMPLES; i++)
		targets[i] = (float)i;
	return 0;
}

struct rank {
	struct shard *shard;
	struct feed *feed;
};

static struct rank new_rank(const struct feed_params *params, int rank, int world)
{
	const struct shard_params iid = { .kind = SHARD_IID };
	struct rank made = { .shard = shard_new(&iid, &dataset, BATCH, rank, world, 5) };
	struct feed_env env = { .params = params,
				.train = &dataset,
				.test = &dataset,
				.shard = made.shard,
				.seed = 5 };
	struct error err;

	assert_int_equal(feed_new(&made.feed, &env, &err), 0);
	return made;
}

static void end(struct rank *rank)
{
	feed_free(rank->feed);
	shard_free(rank->shard);
}

static void assert_same(const struct batch *a, const struct batch *b)
{
	assert_int_equal(a->count, b->count);
	assert_int_equal(a->first, b->first);
	assert_int_equal(a->total, b->total);
	assert_int_equal(a->step, b->step);
	assert_true(a->training && b->training);
	assert_memory_equal(a->targets, b->targets, a->count * sizeof(*a->targets));
	assert_memory_equal(a->x, b->x, a->count * FEATURES * sizeof(*a->x));
}

static void batches_ahead_are_the_same_batches(void **state)
{
	const struct feed_params ahead = { .prefetch = PREFETCH_YES },
				 at_once = { .prefetch = PREFETCH_NO };
	struct rank one = new_rank(&ahead, 0, 1), two = new_rank(&at_once, 0, 1);
	const size_t steps[] = { 7, 8, 9, 10, 11, 12, 30, 31, 31, 2, 3, 0, 1 };

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(steps); i++) {
		const struct batch *batch = feed_step(one.feed, steps[i]);

		assert_int_equal(batch->step, steps[i]);
		assert_same(batch, feed_step(two.feed, steps[i]));
	}
	end(&one);
	end(&two);
}

static void a_batch_holds_the_samples_of_its_step(void **state)
{
	const struct feed_params params = { .prefetch = PREFETCH_YES };
	struct rank rank = new_rank(&params, 0, 1), other = new_rank(&params, 0, 1);
	size_t count, first, total;

	(void)state;
	for (size_t step = 0; step < 25; step++) {
		const struct batch *batch = feed_step(rank.feed, step);
		/* nobody has asked the other feed, so its thread leaves this shard alone */
		const uint32_t *index = shard_step(other.shard, step, &count, &first, &total);

		assert_int_equal(batch->count, count);
		for (size_t i = 0; i < count; i++) {
			assert_true(batch->targets[i] == (float)index[i]);
			assert_memory_equal(batch->x + i * FEATURES, images + index[i] * FEATURES,
					    FEATURES * sizeof(*images));
		}
	}
	end(&rank);
	end(&other);
}

static void test_samples_come_between_steps(void **state)
{
	const struct feed_params params = { .augment = { .crop = 2, .flip = true },
					    .prefetch = PREFETCH_YES };
	struct rank rank = new_rank(&params, 0, 1), other = new_rank(&params, 0, 1);

	(void)state;
	for (size_t step = 0; step < 4; step++) {
		size_t at = 0;

		feed_step(rank.feed, step);
		while (at < SAMPLES) {
			const struct batch *batch = feed_test(rank.feed, at, SAMPLES - at);

			assert_true(batch->count > 0 && batch->count <= BATCH);
			assert_false(batch->training);
			assert_memory_equal(batch->x, images + at * FEATURES,
					    batch->count * FEATURES * sizeof(*images));
			at += batch->count;
		}
		assert_int_equal(at, SAMPLES);
	}
	assert_same(feed_step(rank.feed, 4), feed_step(other.feed, 4));
	end(&rank);
	end(&other);
}

static void any_number_of_ranks_sees_the_same_images(void **state)
{
	const struct feed_params params = { .augment = { .crop = 2, .flip = true } };
	struct rank alone = new_rank(&params, 0, 1), three[3];

	(void)state;
	for (int r = 0; r < 3; r++)
		three[r] = new_rank(&params, r, 3);
	for (size_t step = 0; step < 12; step++) {
		const struct batch *whole = feed_step(alone.feed, step);

		for (int r = 0; r < 3; r++) {
			const struct batch *part = feed_step(three[r].feed, step);

			assert_memory_equal(part->x, whole->x + part->first * FEATURES,
					    part->count * FEATURES * sizeof(*part->x));
		}
	}
	end(&alone);
	for (int r = 0; r < 3; r++)
		end(&three[r]);
}

/* What is seen of an image: where its pixel (0, 0) went, and whether it was mirrored. Returns
 * false unless every pixel is explained by that. */
static bool explain(const float *x, const float *image, int crop, int *down, int *right, bool *flip)
{
	for (int way = 0; way < 2 * (2 * crop + 1) * (2 * crop + 1); way++) {
		bool good = true;

		*flip = way % 2;
		*down = way / 2 % (2 * crop + 1) - crop;
		*right = way / 2 / (2 * crop + 1) - crop;
		for (int i = 0; i < FEATURES && good; i++) {
			int row = i / SIDE % SIDE - *down, column = i % SIDE;
			int plane = i / SIDE / SIDE * SIDE * SIDE;
			bool inside;

			column = (*flip ? SIDE - 1 - column : column) - *right;
			inside = row >= 0 && row < SIDE && column >= 0 && column < SIDE;
			good = x[i] == (inside ? image[plane + row * SIDE + column] : 0);
		}
		if (good)
			return true;
	}
	return false;
}

static void images_are_moved_and_mirrored_evenly(void **state)
{
	const struct feed_params params = { .augment = { .crop = 2, .flip = true } };
	struct rank rank = new_rank(&params, 0, 1);
	size_t seen[5][5] = { { 0 } }, mirrored = 0, images_seen = 0;

	(void)state;
	for (size_t step = 0; step < 200; step++) {
		const struct batch *batch = feed_step(rank.feed, step);

		for (size_t i = 0; i < batch->count; i++) {
			const float *image = images + (size_t)batch->targets[i] * FEATURES;
			int down, right;
			bool flip;

			assert_true(
				explain(batch->x + i * FEATURES, image, 2, &down, &right, &flip));
			seen[down + 2][right + 2]++;
			mirrored += flip;
			images_seen++;
		}
	}
	assert_in_range(mirrored, images_seen * 4 / 10, images_seen * 6 / 10);
	for (size_t i = 0; i < 25; i++) /* 80 expected, with a deviation of 9 */
		assert_in_range(seen[i / 5][i % 5], 35, 125);
	end(&rank);
}

static void around_an_image_there_is_what_it_is_told(void **state)
{
	const struct augment_params crop = { .crop = 3 };
	const struct rng rng = rng_make(1, RNG_AUGMENT, 0, 0);
	float x[FEATURES];
	const float around[] = { -7, -8 };
	size_t outside = 0;

	(void)state;
	augment(&crop, &rng, &dataset.shape, around, images, x);
	for (size_t i = 0; i < FEATURES; i++) {
		assert_true(x[i] > 0 || x[i] == around[i / SIDE / SIDE]);
		outside += x[i] < 0;
	}
	assert_true(outside > 0);
}

static void a_window_may_miss_the_image(void **state)
{
	const struct augment_params far = { .crop = 100, .flip = true };
	const struct rng rng = rng_make(1, RNG_AUGMENT, 0, 0);
	float x[FEATURES];

	(void)state;
	augment(&far, &rng, &dataset.shape, NULL, images, x);
	for (size_t i = 0; i < FEATURES; i++)
		assert_true(x[i] == 0);
}

static void only_images_can_be_changed(void **state)
{
	const struct augment_params none = { .crop = 0 }, flip = { .flip = true };
	const struct shape row = { .dim = { 20 }, .rank = 1 };
	struct error err;

	(void)state;
	assert_int_equal(augment_check(&none, &row, &err), 0);
	assert_int_equal(augment_check(&flip, &dataset.shape, &err), 0);
	assert_int_equal(augment_check(&flip, &row, &err), -1);
	assert_string_equal(err.text, "data.augment is for images, but a sample of these data has "
				      "1 dimension");
}

static void a_share_holds_from_the_next_batch_on(void **state)
{
	const struct feed_params ahead = { .prefetch = PREFETCH_YES };
	struct rank one = new_rank(&ahead, 0, 2), whole = new_rank(&ahead, 0, 1);
	const struct batch *batch;

	(void)state;
	assert_int_equal(feed_step(one.feed, 0)->count, BATCH / 2);
	feed_share(one.feed, 2, 3); /* step 1 may be ready, or on its way */
	for (size_t step = 1; step < 20; step++) {
		batch = feed_step(one.feed, step);
		assert_int_equal(batch->count, 3);
		assert_int_equal(batch->first, 2);
		assert_int_equal(batch->total, BATCH);
		assert_memory_equal(batch->targets, feed_step(whole.feed, step)->targets + 2,
				    3 * sizeof(float));
	}
	end(&one);
	end(&whole);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(batches_ahead_are_the_same_batches),
		cmocka_unit_test(a_batch_holds_the_samples_of_its_step),
		cmocka_unit_test(test_samples_come_between_steps),
		cmocka_unit_test(any_number_of_ranks_sees_the_same_images),
		cmocka_unit_test(images_are_moved_and_mirrored_evenly),
		cmocka_unit_test(around_an_image_there_is_what_it_is_told),
		cmocka_unit_test(a_window_may_miss_the_image),
		cmocka_unit_test(only_images_can_be_changed),
		cmocka_unit_test(a_share_holds_from_the_next_batch_on),
	};

	return cmocka_run_group_tests(tests, setup, NULL);
}
