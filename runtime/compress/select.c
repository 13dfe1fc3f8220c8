/* Exact selection by size in three rounds of a radix search, and walks over what was chosen. */
#include "runtime/compress/select.h"

#include <assert.h>
#include <math.h>

#include "runtime/device/kernels.h"

enum {
	FIRST_BITS = 11, /* exponent and three bits of the mantissa */
	LATER_BITS = 10,
	FIRST_SHIFT = 31 - FIRST_BITS,
	BINS = 1 << FIRST_BITS,
	SAMPLES = 8192,
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

/* Returns the first bits of the wanted size. */
static uint32_t first_round(const float *x, size_t count, size_t *wanted)
{
	size_t bins[BINS] = { 0 };

	for (size_t i = 0; i < count; i++)
		bins[select_size(x[i]) >> FIRST_SHIFT]++;
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

/* The size that, of a sample, so many reach that it is hardly above the wanted one; 0: unknown. */
static uint32_t guess_least(const float *x, size_t count, size_t wanted)
{
	float sample[SAMPLES];
	size_t step = count / SAMPLES, mean = wanted / (step + 1);
	size_t most = mean + mean / 8 + 3 * (size_t)sqrt((double)mean) + 4;
	uint32_t size;

	if (step < 16 || most > SAMPLES / 8)
		return 0;
	for (size_t i = 0; i < SAMPLES; i++)
		sample[i] = x[i * step];
	size = first_round(sample, SAMPLES, &most);
	return later_round(sample, SAMPLES, LATER_BITS, size, &most) << LATER_BITS;
}

/* All but the last bits of the wanted size if it is at least `least` and not far above; or 0. */
static uint32_t round_above(const float *x, size_t count, uint32_t least, size_t *wanted)
{
	size_t bins[BINS] = { 0 }, left = *wanted, counted = 0;
	uint32_t first = least >> LATER_BITS, bin;

	for (size_t i = find(x, count, 0, least); i < count; i = find(x, count, i + 1, least)) {
		bin = (select_size(x[i]) >> LATER_BITS) - first;
		bins[bin < BINS - 1 ? bin : BINS - 1]++;
		counted++;
	}
	if (counted < left)
		return 0;
	bin = find_bin(bins, BINS, &left);
	if (bin == BINS - 1)
		return 0;
	*wanted = left;
	return first + bin;
}

struct selection select_largest(const float *x, size_t count, size_t chosen)
{
	size_t wanted = chosen;
	uint32_t least, size = 0;

	assert(chosen <= count && count <= UINT32_MAX);
	if (chosen == 0)
		return (struct selection){ .size = INF_SIZE };
	least = guess_least(x, count, chosen);
	if (least > 0)
		size = round_above(x, count, least, &wanted);
	if (size == 0) {
		size = first_round(x, count, &wanted);
		size = later_round(x, count, LATER_BITS, size, &wanted);
	}
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
