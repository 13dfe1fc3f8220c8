/* Philox4x32-10, as in runtime/rng.c: a draw in each lane of 64 bits. */
#include "runtime/device/simd/simd.h"

#include <string.h>

#include "runtime/rng.h"

enum { ROUNDS = 10, DRAWS = RNG_CHUNK / 4, LANES = WIDTH / 2 };

typedef uint64_t lanes __attribute__((vector_size(8 * LANES)));

/* Of the lower halves. */
INLINE lanes product(lanes a, uint32_t b)
{
#if WIDTH == 16
	return (lanes)_mm512_mul_epu32((__m512i)a, _mm512_set1_epi64(b));
#elif WIDTH == 8
	return (lanes)_mm256_mul_epu32((__m256i)a, _mm256_set1_epi64x(b));
#else
	return (a & UINT32_MAX) * b;
#endif
}

/* Only the lower halves of what is multiplied or comes out count, until the end. */
INLINE void draw(const lanes *keys, uint64_t stream, lanes counter, lanes *first, lanes *second)
{
	lanes zero = { 0 }, x0 = counter, x1 = counter >> 32;
	lanes x2 = zero + stream, x3 = zero + (stream >> 32);

	UNROLLED (round, ROUNDS) {
		lanes a = product(x0, 0xD2511F53), b = product(x2, 0xCD9E8D57);

		x0 = b >> 32 ^ x1 ^ keys[2 * round];
		x1 = b;
		x2 = a >> 32 ^ x3 ^ keys[2 * round + 1];
		x3 = a;
	}
	*first = (x0 & UINT32_MAX) | x1 << 32;
	*second = (x2 & UINT32_MAX) | x3 << 32;
}

void KERNEL(random_words)(const struct rng *rng, uint64_t chunk, uint32_t *words, size_t chunks)
{
	uint32_t key0 = (uint32_t)rng->seed, key1 = (uint32_t)(rng->seed >> 32);
	lanes place = { 0 }, zero = { 0 }, keys[2 * ROUNDS];

	for (size_t i = 0; i < ROUNDS; i++, key0 += 0x9E3779B9, key1 += 0xBB67AE85) {
		keys[2 * i] = zero + key0;
		keys[2 * i + 1] = zero + key1;
	}
	for (size_t i = 0; i < LANES; i++)
		place[i] = chunk * DRAWS + i;
	for (; chunks > 0; chunks--, words += RNG_CHUNK)
		for (size_t at = 0; at < DRAWS; at += LANES, place += LANES) {
			lanes first, second;

			draw(keys, rng->stream, place, &first, &second);
			memcpy(words + 2 * at, &first, sizeof(first));
			memcpy(words + 2 * (at + DRAWS), &second, sizeof(second));
		}
}
