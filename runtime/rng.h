/*
 * Counter-based random numbers: Philox4x32-10 (Salmon et al., "Parallel random numbers: as easy as
 * 1, 2, 3", SC 2011). A draw depends on (seed, stream, counter) alone, never on what was drawn
 * before, so any rank can make any number of any step again.
 */
#ifndef DSTRAIN_RUNTIME_RNG_H
#define DSTRAIN_RUNTIME_RNG_H

#include <stddef.h>
#include <stdint.h>

/* What the numbers are for; the same seed gives unrelated numbers in each. */
enum rng_purpose {
	RNG_INIT = 1,
	RNG_SHUFFLE,
	RNG_SHARD,
	RNG_DROPOUT,
	RNG_DATA,
	RNG_COMPRESS,
	RNG_AUGMENT,
	RNG_FACTORS,
	RNG_GRAPH,
	RNG_FAULT
};

struct rng {
	uint64_t seed;
	uint64_t stream; /* purpose, and what else tells the draws apart: rank, layer, step */
};

struct rng rng_make(uint64_t seed, enum rng_purpose purpose, uint64_t which, uint64_t step);
uint64_t rng_u64(const struct rng *rng, uint64_t counter);
double rng_uniform(const struct rng *rng, uint64_t counter); /* [0, 1) */
double rng_normal(const struct rng *rng, uint64_t counter);  /* mean 0, variance 1 */
uint64_t rng_below(const struct rng *rng, uint64_t counter, uint64_t bound); /* 0 .. bound-1 */
/* Many at once, 32 bits each: chunk n, [RNG_CHUNK], holds the 16 bytes of each of the draws 16n to
 * 16n + 15, first the halves that are rng_u64's, then the others. The kernel random_words does it.
 */
enum { RNG_CHUNK = 64 };
void rng_shuffle(const struct rng *rng, uint32_t *items, size_t count); /* Fisher-Yates */

#endif
