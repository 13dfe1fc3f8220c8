/* Pseudo-random choices: the finaliser of SplitMix64, over and over. */
#include "lib/draw.h"

/* Steele, Lea and Flood, "Fast splittable pseudorandom number generators" (2014), with Stafford's
 * constants. */
static uint64_t mix(uint64_t x)
{
	x = (x ^ x >> 30) * 0xBF58476D1CE4E5B9;
	x = (x ^ x >> 27) * 0x94D049BB133111EB;
	return x ^ x >> 31;
}

uint64_t draw_u64(const struct draw *draw, uint64_t counter)
{
	const uint64_t weyl = 0x9E3779B97F4A7C15;

	return mix(mix(mix(draw->seed + weyl) + draw->stream + weyl) + counter + weyl);
}

/* Biased by less than bound / 2^64. */
uint64_t draw_below(const struct draw *draw, uint64_t counter, uint64_t bound)
{
	return draw_u64(draw, counter) % bound;
}

void draw_shuffle(const struct draw *draw, int *items, size_t count)
{
	for (size_t i = count; i > 1; i--) {
		size_t j = draw_below(draw, i, i);
		int kept = items[i - 1];

		items[i - 1] = items[j];
		items[j] = kept;
	}
}
