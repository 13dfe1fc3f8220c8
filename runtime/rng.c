/* Counter-based random numbers: Philox4x32-10 of Salmon et al. 2011. */
#include "runtime/rng.h"

#include <math.h>

__extension__ typedef unsigned __int128 uint128;

enum { ROUNDS = 10 };

/* The paper's figure 4 and table 2: two 32-bit multiplications a round, Weyl-sequence keys. */
static void philox(uint32_t x[4], uint64_t key)
{
	uint32_t key0 = (uint32_t)key, key1 = (uint32_t)(key >> 32);

	for (int round = 0; round < ROUNDS; round++) {
		uint64_t a = (uint64_t)x[0] * 0xD2511F53;
		uint64_t b = (uint64_t)x[2] * 0xCD9E8D57;

		x[0] = (uint32_t)(b >> 32) ^ x[1] ^ key0;
		x[1] = (uint32_t)b;
		x[2] = (uint32_t)(a >> 32) ^ x[3] ^ key1;
		x[3] = (uint32_t)a;
		key0 += 0x9E3779B9;
		key1 += 0xBB67AE85;
	}
}

struct words {
	uint64_t first, second;
};

static struct words draw(uint64_t key, uint64_t low, uint64_t high)
{
	uint32_t x[4] = { (uint32_t)low, (uint32_t)(low >> 32), (uint32_t)high,
			  (uint32_t)(high >> 32) };

	philox(x, key);
	return (struct words){ x[0] | (uint64_t)x[1] << 32, x[2] | (uint64_t)x[3] << 32 };
}

static double unit(uint64_t bits) /* [0, 1) */
{
	return (double)(bits >> 11) * 0x1p-53;
}

/* Which and step are whole words, so that they are mixed into a stream instead of packed. */
struct rng rng_make(uint64_t seed, enum rng_purpose purpose, uint64_t which, uint64_t step)
{
	return (struct rng){ .seed = seed, .stream = draw(purpose, which, step).first };
}

uint64_t rng_u64(const struct rng *rng, uint64_t counter)
{
	return draw(rng->seed, counter, rng->stream).first;
}

double rng_uniform(const struct rng *rng, uint64_t counter)
{
	return unit(rng_u64(rng, counter));
}

/* Box and Muller; 1 - u is never 0. */
double rng_normal(const struct rng *rng, uint64_t counter)
{
	struct words both = draw(rng->seed, counter, rng->stream);

	return sqrt(-2 * log(1 - unit(both.first))) * cos(2 * acos(-1) * unit(both.second));
}

/* The high word of a product: biased by less than bound / 2^64. */
uint64_t rng_below(const struct rng *rng, uint64_t counter, uint64_t bound)
{
	return (uint64_t)((uint128)rng_u64(rng, counter) * bound >> 64);
}

void rng_shuffle(const struct rng *rng, uint32_t *items, size_t count)
{
	for (size_t i = count; i > 1; i--) {
		size_t j = rng_below(rng, i, i);
		uint32_t kept = items[i - 1];

		items[i - 1] = items[j];
		items[j] = kept;
	}
}
