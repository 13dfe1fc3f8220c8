/* Exact selection by size in three rounds of a radix search, and walks over what was chosen. */
#include "runtime/compress/select.h"

#include <assert.h>
#include <stdbool.h>

enum {
	FIRST_BITS = 11, /* exponent and three bits of the mantissa */
	LATER_BITS = 10,
	FIRST_SHIFT = 31 - FIRST_BITS,
	SAMPLE_EVERY = 67,
	BINS = 1 << FIRST_BITS,
	BLOCK = 16, /* as many are passed over at once */
	INF_SIZE = 0x7f800000,
};

/* Which of size >> shift is the one with the wanted element, counted from the largest. */
static uint32_t find_bin(const size_t *bins, size_t count, size_t *wanted)
{
	uint32_t bin = (uint32_t)count - 1;

	for (; bins[bin] < *wanted; bin--)
		*wanted -= bins[bin];
	return bin;
}

static bool any_reaches(const float *x, int32_t size)
{
	int32_t any = 0;

	for (size_t i = 0; i < BLOCK; i++)
		any |= (int32_t)select_size(x[i]) >= size;
	return any;
}

/* Those whose size is at least `least`. */
static size_t count_bins(const float *x, size_t count, int32_t least, size_t *bins)
{
	size_t counted = 0;

	for (size_t start = 0; start < count; start += BLOCK) {
		size_t end = start + BLOCK < count ? start + BLOCK : count;

		if (end - start == BLOCK && !any_reaches(x + start, least))
			continue;
		for (size_t i = start; i < end; i++) {
			uint32_t size = select_size(x[i]);

			if ((int32_t)size < least)
				continue;
			bins[size >> FIRST_SHIFT]++;
			counted++;
		}
	}
	return counted;
}

/* What the chosen will hardly be smaller than, by a sample. */
static int32_t guess_least(const float *x, size_t count, size_t chosen)
{
	size_t bins[BINS] = { 0 }, samples = count / SAMPLE_EVERY;
	size_t wanted = 2 * (chosen / SAMPLE_EVERY) + 32;

	if (samples < 4 * wanted)
		return 0;
	for (size_t i = 0; i < samples; i++)
		bins[select_size(x[i * SAMPLE_EVERY]) >> FIRST_SHIFT]++;
	return (int32_t)(find_bin(bins, BINS, &wanted) << FIRST_SHIFT);
}

static uint32_t first_round(const float *x, size_t count, size_t *wanted)
{
	size_t bins[BINS] = { 0 };
	int32_t least = guess_least(x, count, *wanted);

	if (count_bins(x, count, least, bins) < *wanted) {
		memset(bins, 0, sizeof(bins));
		count_bins(x, count, 0, bins);
	}
	return find_bin(bins, BINS, wanted);
}

static bool any_begins(const float *x, unsigned shift, uint32_t begin)
{
	uint32_t any = 0;

	for (size_t i = 0; i < BLOCK; i++)
		any |= select_size(x[i]) >> shift == begin;
	return any;
}

/* Among the sizes that begin with `begin`: the next bits of the one that is wanted. */
static uint32_t later_round(const float *x, size_t count, unsigned shift, uint32_t begin,
			    size_t *wanted)
{
	size_t bins[1 << LATER_BITS] = { 0 };

	for (size_t start = 0; start < count; start += BLOCK) {
		size_t end = start + BLOCK < count ? start + BLOCK : count;

		if (end - start == BLOCK && !any_begins(x + start, shift + LATER_BITS, begin))
			continue;
		for (size_t i = start; i < end; i++) {
			uint32_t size = select_size(x[i]) >> shift;

			if (size >> LATER_BITS == begin)
				bins[size & ((1 << LATER_BITS) - 1)]++;
		}
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
	int32_t least = (int32_t)selection->size + (selection->equal == 0);
	size_t i = from;

	while (i < count) {
		size_t end = i + BLOCK < count ? i + BLOCK : count;

		if (end - i == BLOCK && !any_reaches(x + i, least)) {
			i = end;
			continue;
		}
		for (; i < end; i++)
			if ((int32_t)select_size(x[i]) >= least)
				break;
		if (i == end)
			continue;
		selection->equal -= select_size(x[i]) == selection->size;
		return i;
	}
	return count;
}
