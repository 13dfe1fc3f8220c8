/* The order in which a rank sees samples. */
#include <assert.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "lib/memory.h"
#include "lib/setting.h"
#include "runtime/data/data.h"
#include "runtime/data/partition.h"
#include "runtime/rng.h"
#include "runtime/slice.h"

struct shard {
	bool iid;
	int rank;
	uint64_t seed;
	size_t first, share, total; /* of the batch of all ranks: ours starts at, is, all is */
	size_t steps;		    /* of an epoch */
	uint32_t *samples;	    /* [count], what this rank draws from */
	size_t count;
	size_t *sizes;	 /* [world], what ranks draw from; NULL: all of all samples */
	uint32_t *order; /* [count], the samples as shuffled for `pass` */
	size_t pass;
	size_t most;	/* that `share` may be */
	uint32_t *step; /* [most] */
};

static const char *const shard_kinds[] = { "iid", "by_label", "classes", "dirichlet", NULL };

static const struct opt kind_options[] = {
	{ "shard", OPT_CHOICE, offsetof(struct shard_params, kind), "iid",
	  "which samples a rank sees; {classes: COUNT} and {dirichlet: ALPHA} skew labels",
	  .choices = shard_kinds },
	{ 0 }
};

/* "shard: dirichlet" takes the default; "shard: {dirichlet: 0.3}" must say. */
static void read_measure(struct settings *given, bool required, struct shard_params *params,
			 struct settings *resolved, struct problems *problems)
{
	const struct opt measures[][2] = {
		[SHARD_CLASSES] = { { "classes", OPT_COUNT, offsetof(struct shard_params, classes),
				      required ? NULL : "2", "classes that a rank has", .min = 1,
				      .max = 1e6 } },
		[SHARD_DIRICHLET] = { { "dirichlet", OPT_REAL, offsetof(struct shard_params, alpha),
					required ? NULL : "0.5", "skew of labels: small is much",
					.min = 1e-3, .max = 1e6 } },
	};

	opt_read(measures[params->kind], given, "data.shard", params, resolved, problems);
}

void shard_read(struct settings *given, struct shard_params *params, struct settings *resolved,
		struct problems *problems)
{
	const struct setting *whole = settings_find(given, "data.shard");

	*params = (struct shard_params){ 0 };
	if (settings_find(given, "data.shard.classes"))
		params->kind = SHARD_CLASSES;
	else if ((whole && whole->kind == SETTING_SECTION) ||
		 settings_find(given, "data.shard.dirichlet"))
		params->kind = SHARD_DIRICHLET;
	if (params->kind != SHARD_IID) {
		read_measure(given, true, params, resolved, problems);
		return;
	}
	opt_read(kind_options, given, "data", params, resolved, problems);
	if (params->kind >= SHARD_CLASSES) { /* what is resolved must be a recipe again */
		settings_remove(resolved, "data.shard");
		read_measure(given, false, params, resolved, problems);
	}
}

static void shuffle(struct shard *shard, size_t pass)
{
	struct rng rng = rng_make(shard->seed, RNG_SHUFFLE, pass,
				  shard->iid ? 0 : (uint64_t)shard->rank + 1);

	memcpy(shard->order, shard->samples, shard->count * sizeof(*shard->order));
	rng_shuffle(&rng, shard->order, shard->count);
	shard->pass = pass;
}

static uint32_t *all_samples(size_t count)
{
	uint32_t *samples = xcalloc(count, sizeof(*samples));

	for (size_t i = 0; i < count; i++)
		samples[i] = (uint32_t)i;
	return samples;
}

struct shard *shard_new(const struct shard_params *params, const struct dataset *dataset,
			size_t batch, int rank, int world, uint64_t seed)
{
	struct shard *shard = xcalloc(1, sizeof(*shard));

	assert(dataset->count > 0 && batch > 0 && rank < world);
	shard->iid = params->kind == SHARD_IID;
	shard->rank = rank;
	shard->seed = seed;
	shard->total = batch < dataset->count ? batch : dataset->count;
	shard->first = slice_start(shard->total, (size_t)world, (size_t)rank, &shard->share);
	shard->most = shard->share;
	shard->steps = dataset->count / shard->total;
	if (shard->iid) {
		shard->count = dataset->count;
		shard->samples = all_samples(shard->count);
	} else {
		shard->sizes = xcalloc((size_t)world, sizeof(*shard->sizes));
		shard->samples = partition_of(params, dataset, rank, world, seed, shard->sizes);
		shard->count = shard->sizes[rank];
	}
	assert(shard->count > 0 || shard->share == 0);
	shard->order = xcalloc(shard->count, sizeof(*shard->order));
	shard->step = xcalloc(shard->share, sizeof(*shard->step));
	shuffle(shard, 0);
	return shard;
}

size_t shard_steps_per_epoch(const struct shard *shard)
{
	return shard->steps;
}

const size_t *shard_sizes(const struct shard *shard)
{
	return shard->sizes;
}

/* The samples of a rank that has its own follow each other without end, pass after pass. */
static void draw_own(struct shard *shard, size_t step)
{
	for (size_t i = 0; i < shard->share; i++) {
		size_t position = step * shard->share + i;

		if (position / shard->count != shard->pass)
			shuffle(shard, position / shard->count);
		shard->step[i] = shard->order[position % shard->count];
	}
}

const uint32_t *shard_step(struct shard *shard, size_t step, size_t *count, size_t *first,
			   size_t *total)
{
	*count = shard->share;
	*first = shard->first;
	*total = shard->total;
	if (!shard->iid) {
		draw_own(shard, step);
		return shard->step;
	}
	if (step / shard->steps != shard->pass)
		shuffle(shard, step / shard->steps);
	return shard->order + step % shard->steps * shard->total + shard->first;
}

size_t shard_most(const struct shard *shard)
{
	return shard->most;
}

void shard_reserve(struct shard *shard, size_t most)
{
	shard->most = most;
	shard->step = xrealloc(shard->step, most, sizeof(*shard->step));
}

void shard_share(struct shard *shard, size_t first, size_t count)
{
	assert(count <= shard->most && first + count <= shard->total);
	shard->first = first;
	shard->share = count;
}

void shard_free(struct shard *shard)
{
	if (!shard)
		return;
	free(shard->samples);
	free(shard->sizes);
	free(shard->order);
	free(shard->step);
	free(shard);
}
