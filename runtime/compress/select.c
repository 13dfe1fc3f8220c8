/* Exact selection by size in three rounds of a radix search, and walks over what was chosen. */
#include "runtime/compress/select.h"

#include <assert.h>

#include "runtime/device/kernels.h"

enum {
	FIRST_BITS = 11, /* exponent and three bits of the mantissa */
	LATER_BITS = 10,
	FIRST_SHIFT = 31 - FIRST_BITS,
	BINS = 1 << FIRST_BITS,
	SAMPLE_EVERY = 67,
	INF_SIZE = 0x7f800000,
};

/* The first from `from` on whose size is at least `least`, or `count`. */
static size_t find(const float *x, size_t count, size_t from, uint32_t least)
{
	return from + kernels()->find_size(x + from, count - from, least);
}

/* The bin with the wanted element, counted from the largest; what is left to count in it. */
static uint32_t find_bin(const size_t *bins, size_t count, size_t *wanted)
{
	uint32_t bin = (uint32_t)count - 1;

	for (; bins[bin] < *wanted; bin--)
		*wanted -= bins[bin];
	return bin;
}

/* What the chosen will hardly be smaller than, by a sample. */
static uint32_t guess_least(const float *x, size_t count, size_t chosen)
{
	size_t bins[BINS] = { 0 }, samples = count / SAMPLE_EVERY;
	size_t wanted = 2 * (chosen / SAMPLE_EVERY) + 32;

	if (samples < 4 * wanted)
		return 0;
	for (size_t i = 0; i < samples; i++)
		bins[select_size(x[i * SAMPLE_EVERY]) >> FIRST_SHIFT]++;
	return find_bin(bins, BINS, &wanted) << FIRST_SHIFT;
}

/* Returns the first bits of the wanted size. */
static uint32_t first_round(const float *x, size_t count, size_t *wanted)
{
	size_t bins[BINS] = { 0 }, counted = 0;
	uint32_t least = guess_least(x, count, *wanted);

	if (least > 0)
		for (size_t i = find(x, count, 0, least); i < count;
		     i = find(x, count, i + 1, least)) {
			bins[select_size(x[i]) >> FIRST_SHIFT]++;
			counted++;
		}
	if (counted < *wanted) {
		memset(bins, 0, sizeof(bins));
		for (size_t i = 0; i < count; i++)
			bins[select_size(x[i]) >> FIRST_SHIFT]++;
	}
	return find_bin(bins, BINS, wanted);
}

/* Among the sizes that begin with `begin`: those bits and the next of the wanted one. */
static uint32_t later_round(const float *x, size_t count, unsigned shift, uint32_t begin,
			    size_t *wanted)
{
	size_t bins[1 << LATER_BITS] = { 0 };
	uint32_t least = begin << (shift + LATER_BITS);

	for (size_t i = find(x, count, 0, least); i < count; i = find(x, count, i + 1, least)) {
		uint32_t size = select_size(x[i]) >> shift;

		if (size >> LATER_BITS == begin)
			bins[size & ((1 << LATER_BITS) - 1)]++;
	}
	return begin << LATER_BITS | find_bin(bins, 1 << LATER_BITS, wanted);
}

struct selection select_largest(const float *x, size_t count, size_t chosen)
{
	size_t wanted = chosen;
	uint32_t size;

	assert(chosen <= count && count <= UINT32_MAX);
	if (chosen == 0)
		return (struct selection){ .size = INF_SIZE };
	size = first_round(x, count, &wanted);
	size = later_round(x, count, LATER_BITS, size, &wanted);
	size = later_round(x, count, 0, size, &wanted);
	return (struct selection){ .size = size, .equal = wanted };
}

size_t select_next(struct selection *selection, const float *x, size_t count, size_t from)
{
	size_t i = find(x, count, from, selection->size + (selection->equal == 0));

	if (i < count)
		selection->equal -= select_size(x[i]) == selection->size;
	return i;
}
