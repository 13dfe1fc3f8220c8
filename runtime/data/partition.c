/*
 * Which samples belong to which rank, where ranks see different data. Every rank computes the whole
 * partition by itself and takes its own part.
 */
#include "runtime/data/partition.h"

#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "lib/memory.h"
#include "runtime/data/data.h"
#include "runtime/rng.h"
#include "runtime/slice.h"

enum {
	VALUE_BINS = 10
}; /* what stands for labels in regression: equal parts by value, and in a
    * text: by position */

struct labelled {
	float target;
	uint32_t sample;
};

static int by_target(const void *a, const void *b)
{
	const struct labelled *one = a, *two = b;

	if (one->target != two->target)
		return one->target < two->target ? -1 : 1;
	return one->sample < two->sample ? -1 : 1;
}

static struct labelled *sort_samples(const struct dataset *dataset)
{
	struct labelled *sorted = xcalloc(dataset->count, sizeof(*sorted));

	for (size_t i = 0; i < dataset->count; i++)
		sorted[i] = (struct labelled){ dataset->targets ? dataset->targets[i] : 0,
					       (uint32_t)i };
	qsort(sorted, dataset->count, sizeof(*sorted), by_target);
	return sorted;
}

/* Marsaglia and Tsang, "A simple method for generating gamma variables", 2000: the logarithm of a
 * draw, as draws with a small alpha underflow. Below 1, gamma(a) = gamma(a + 1) u^(1/a). */
static double log_gamma_draw(const struct rng *rng, uint64_t *counter, double alpha)
{
	double boost = alpha < 1 ? log(1 - rng_uniform(rng, (*counter)++)) / alpha : 0;
	double d = (alpha < 1 ? alpha + 1 : alpha) - 1.0 / 3;
	double c = 1 / sqrt(9 * d);

	for (;;) {
		double x = rng_normal(rng, (*counter)++);
		double u = 1 - rng_uniform(rng, (*counter)++);
		double v = pow(1 + c * x, 3);

		if (v > 0 && log(u) < x * x / 2 + d - d * v + d * log(v))
			return log(d * v) + boost;
	}
}

/* share[world] adds up to 1. */
static void draw_dirichlet(const struct rng *rng, double alpha, double *share, size_t world)
{
	double most = -INFINITY, sum = 0;
	uint64_t counter = 0;

	for (size_t r = 0; r < world; r++) {
		share[r] = log_gamma_draw(rng, &counter, alpha);
		most = fmax(most, share[r]);
	}
	for (size_t r = 0; r < world; r++) {
		share[r] = exp(share[r] - most);
		sum += share[r];
	}
	for (size_t r = 0; r < world; r++)
		share[r] /= sum;
}

/* Where the label that starts at `start` ends; *label counts the labels. */
static size_t label_end(const struct dataset *dataset, const struct labelled *sorted, size_t start,
			size_t label)
{
	size_t end = start, length;

	if (dataset->classes == 0 || !dataset->targets) {
		end = slice_start(dataset->count, VALUE_BINS, label, &length);
		return end + length;
	}
	while (end < dataset->count && sorted[end].target == sorted[start].target)
		end++;
	return end;
}

/* Where each label starts in `sorted`, and where the last one ends: [*labels + 1]; caller frees. */
static size_t *label_starts(const struct dataset *dataset, const struct labelled *sorted,
			    size_t *labels)
{
	size_t *starts = xcalloc(dataset->count + 1, sizeof(*starts)), count = 0;

	while (starts[count] < dataset->count) {
		starts[count + 1] = label_end(dataset, sorted, starts[count], count);
		count++;
	}
	*labels = count;
	return starts;
}

/* Moves one sample to each rank that has none, from the rank that has most. */
static void feed_the_empty(uint32_t *owner, size_t *sizes, size_t world)
{
	for (size_t r = 0; r < world; r++) {
		size_t rich = 0, i = 0;

		if (sizes[r])
			continue;
		for (size_t other = 1; other < world; other++)
			if (sizes[other] > sizes[rich])
				rich = other;
		while (owner[i] != rich)
			i++;
		owner[i] = (uint32_t)r;
		sizes[rich]--;
		sizes[r]++;
	}
}

/* Hsu, Qi and Brown, "Measuring the effects of non-identical data distribution", 2019, in the form
 * that uses up every sample: each label is split among the ranks in proportions drawn anew. */
static void deal_labels(const struct dataset *dataset, const struct labelled *sorted, double alpha,
			size_t world, uint64_t seed, uint32_t *owner)
{
	double *share = xcalloc(world, sizeof(*share));
	size_t labels, *starts = label_starts(dataset, sorted, &labels);

	for (size_t label = 0; label < labels; label++) {
		struct rng rng = rng_make(seed, RNG_SHARD, label, 0);
		size_t start = starts[label], end = starts[label + 1], at = start;
		double reached = 0;

		draw_dirichlet(&rng, alpha, share, world);
		for (size_t r = 0; r < world; r++) {
			size_t stop;

			reached += share[r] * (double)(end - start);
			stop = r + 1 < world ? start + (size_t)(reached + 0.5) : end;
			for (; at < stop && at < end; at++)
				owner[at] = (uint32_t)r;
		}
	}
	free(share);
	free(starts);
}

/* Of the labels that the rank does not hold yet, one that was dealt least; at random among those.
 */
static size_t draw_label(const struct rng *rng, uint64_t *counter, const size_t *dealt,
			 const bool *held, size_t labels)
{
	size_t chosen = labels, alike = 0;

	for (size_t label = 0; label < labels; label++) {
		if (held[label] || (chosen < labels && dealt[label] > dealt[chosen]))
			continue;
		alike = chosen < labels && dealt[label] == dealt[chosen] ? alike + 1 : 1;
		if (rng_below(rng, (*counter)++, alike) == 0)
			chosen = label;
	}
	return chosen;
}

/* held[world][labels]: `classes` of each rank, or as many as it takes to have all held. */
static void deal_hands(const struct rng *rng, size_t classes, size_t world, size_t labels,
		       bool *held)
{
	size_t *dealt = xcalloc(labels, sizeof(*dealt));
	size_t needed = (labels + world - 1) / world;
	size_t hand = classes > needed ? classes : needed;
	uint64_t counter = 0;

	for (size_t i = 0; i < hand && i < labels; i++) {
		for (size_t r = 0; r < world; r++) {
			bool *own = held + r * labels;
			size_t label = draw_label(rng, &counter, dealt, own, labels);

			own[label] = true;
			dealt[label]++;
		}
	}
	free(dealt);
}

/* Each label in equal parts to the ranks that hold it. */
static void deal_classes(const struct dataset *dataset, const struct labelled *sorted,
			 size_t classes, size_t world, uint64_t seed, uint32_t *owner)
{
	struct rng rng = rng_make(seed, RNG_SHARD, 0, 1);
	size_t labels, *starts = label_starts(dataset, sorted, &labels);
	bool *held = xcalloc(world * labels, sizeof(*held));

	deal_hands(&rng, classes, world, labels, held);
	for (size_t label = 0; label < labels; label++) {
		size_t holders = 0, part = 0, length;

		for (size_t r = 0; r < world; r++)
			holders += held[r * labels + label];
		for (size_t r = 0; r < world; r++) {
			size_t at = starts[label];

			if (!held[r * labels + label])
				continue;
			at += slice_start(starts[label + 1] - at, holders, part++, &length);
			for (size_t i = at; i < at + length; i++)
				owner[i] = (uint32_t)r;
		}
	}
	free(starts);
	free(held);
}

static void deal_slices(size_t count, size_t world, uint32_t *owner)
{
	for (size_t r = 0; r < world; r++) {
		size_t length, start = slice_start(count, world, r, &length);

		for (size_t i = start; i < start + length; i++)
			owner[i] = (uint32_t)r;
	}
}

uint32_t *partition_of(const struct shard_params *params, const struct dataset *dataset, int rank,
		       int world, uint64_t seed, size_t *sizes)
{
	struct labelled *sorted = sort_samples(dataset);
	uint32_t *owner = xcalloc(dataset->count, sizeof(*owner)); /* of sorted[i] */
	uint32_t *own = xcalloc(dataset->count, sizeof(*own));
	bool enough = dataset->count >= (size_t)world;
	size_t count = 0;

	if (params->kind == SHARD_DIRICHLET && enough)
		deal_labels(dataset, sorted, params->alpha, (size_t)world, seed, owner);
	else if (params->kind == SHARD_CLASSES && enough)
		deal_classes(dataset, sorted, params->classes, (size_t)world, seed, owner);
	else
		deal_slices(dataset->count, (size_t)world, owner);
	memset(sizes, 0, (size_t)world * sizeof(*sizes));
	for (size_t i = 0; i < dataset->count; i++)
		sizes[owner[i]]++;
	if (enough)
		feed_the_empty(owner, sizes, (size_t)world);
	for (size_t i = 0; i < dataset->count; i++)
		if (owner[i] == (uint32_t)rank)
			own[count++] = sorted[i].sample;
	free(sorted);
	free(owner);
	return own;
}
