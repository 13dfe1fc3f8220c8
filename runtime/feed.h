/* A rank's batches: gathered from the data, changed at random if the recipe says so, and while one
 * step computes the batch of the next is made ready. */
#ifndef DSTRAIN_RUNTIME_FEED_H
#define DSTRAIN_RUNTIME_FEED_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/opt.h"
#include "runtime/data/augment.h"

struct batch;
struct dataset;
struct error;
struct feed;
struct shard;

enum prefetch { PREFETCH_AUTO, PREFETCH_NO, PREFETCH_YES };

struct feed_params {
	struct augment_params augment;
	int prefetch;
};

extern const struct opt feed_options[]; /* below "data" */

struct feed_env {
	const struct feed_params *params;
	const struct dataset *train, *test;
	struct shard *shard; /* none but the feed may call shard_step as long as it lives */
	uint64_t seed;
};

int feed_new(struct feed **out, const struct feed_env *env, struct error *err);
/* The training batch of this rank for `step`. Fastest if steps follow each other. */
const struct batch *feed_step(struct feed *feed, size_t step);
/* Test samples from `first` on: at most `most`, and as many as one batch can hold. */
const struct batch *feed_test(struct feed *feed, size_t first, size_t most);
/* What shard_share does, while the feed lives. */
void feed_share(struct feed *feed, size_t first, size_t count);
/* What either returned is valid until the next call of either. */
void feed_free(struct feed *feed); /* may be NULL */

#endif
