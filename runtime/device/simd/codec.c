/*
 * From floats to codes of few bits and back. Random words make fractions of 24 bits, which floats
 * hold exactly. Compiled without fused multiply-add: every instruction set gives the same.
 */
#include <math.h>
#include <string.h>

#include "runtime/device/codec.h"
#include "runtime/device/simd/math.h"
#include "runtime/device/simd/simd.h"

enum { LANES = 16, BLOCK = 1024 };

INLINE float uniform(uint32_t word) /* [0, 1) */
{
	return (float)(int)(word >> 8) * 0x1p-24f;
}

static size_t count_negative(const float *x, size_t count)
{
	uint32_t below = 0;

	for (size_t i = 0; i < count; i++)
		below += x[i] < 0;
	return below;
}

/* Twice the sums of what is above 0 (side 1), or of what is below (side -1). */
static void measure_side(const float *x, size_t count, double side, double *sums)
{
	double lane[LANES] = { 0 };

	for (size_t i = 0; i < count; i += LANES)
		for (size_t j = 0; j < LANES; j++)
			lane[j] += (double)x[i + j] + side * fabs((double)x[i + j]);
	for (size_t j = 0; j < LANES; j++)
		sums[j] += lane[j];
}

static void measure_sums(const float *x, size_t count, double *below, double *above)
{
	measure_side(x, count, -1, below);
	measure_side(x, count, 1, above);
}

/* Sixteen sums over every sixteenth element, then those from first to last, as sum_squares does. */
void KERNEL(code_measure)(const float *x, size_t count, struct code_measure *measure)
{
	double below[LANES] = { 0 }, above[LANES] = { 0 };

	*measure = (struct code_measure){ 0 };
	for (size_t at = 0; at < count; at += BLOCK) {
		size_t length = count - at < BLOCK ? count - at : BLOCK;
		size_t whole = length - length % LANES;
		float rest[LANES] = { 0 };

		memcpy(rest, x + at + whole, (length - whole) * sizeof(float));
		measure->negative += count_negative(x + at, length);
		measure_sums(x + at, whole, below, above);
		measure_sums(rest, LANES, below, above);
	}
	for (size_t j = 0; j < LANES; j++) {
		measure->below += below[j] / 2;
		measure->above += above[j] / 2;
	}
}

/* QSGD: |x| in units of a level, up to the next one with the probability of what is left. */
void KERNEL(code_levels)(const struct code_rule *rule, const float *restrict x,
			 const uint32_t *restrict words, uint16_t *restrict codes, size_t count)
{
	const struct code_rule r = *rule;

	for (size_t i = 0; i < count; i++) {
		float size = fabsf(x[i]) * r.up * r.inverse;
		int level = (int)size;
		uint32_t code;

		level += uniform(words[i]) < size - (float)level;
		code = (uint32_t)level < r.most ? (uint32_t)level : r.most;
		codes[i] = (uint16_t)(code | (bits_of(x[i]) >> 31) * r.sign);
	}
}

/* Natural compression: what is added to the mantissa carries into the exponent as often as it
 * should. Below the lowest power: that or zero. */
void KERNEL(code_powers)(const struct code_rule *rule, const float *restrict x,
			 const uint32_t *restrict words, uint16_t *restrict codes, size_t count)
{
	const struct code_rule r = *rule;

	for (size_t i = 0; i < count; i++) {
		uint32_t size = bits_of(x[i]) & 0x7fffffff;
		uint32_t code = ((size + (words[i] >> 9)) >> 23) - r.low + 1;
		float units = fabsf(x[i]) * r.inverse;
		uint32_t one = uniform(words[i]) < units;

		code = pick(units < 1, one, code < r.most ? code : r.most);
		codes[i] = (uint16_t)(code | (bits_of(x[i]) >> 31) * r.sign);
	}
}

void KERNEL(code_signs)(const struct code_rule *rule, const float *restrict x,
			const uint32_t *restrict words, uint16_t *restrict codes, size_t count)
{
	(void)rule;
	(void)words;
	for (size_t i = 0; i < count; i++)
		codes[i] = x[i] < 0;
}

/* Sto-sign: plus with probability (b + x) / 2b. */
void KERNEL(code_votes)(const struct code_rule *rule, const float *restrict x,
			const uint32_t *restrict words, uint16_t *restrict codes, size_t count)
{
	const float b = rule->scale;

	for (size_t i = 0; i < count; i++)
		codes[i] = !(uniform(words[i]) < 0.5f + 0.5f * (x[i] / b));
}

/* The sign of x and normal noise: plus with the probability that the noise exceeds -x. */
void KERNEL(code_normal_votes)(const struct code_rule *rule, const float *x, const uint32_t *words,
			       uint16_t *codes, size_t count)
{
	for (size_t at = 0; at < count; at += WIDTH) {
		size_t some = count - at < WIDTH ? count - at : WIDTH;
		vec z = vec_load_rest(x + at, count - at) * rule->scale;
		vec tail = vec_normal_tail(z, vec_exp(-0.5f * z * z));
		float plus[WIDTH];

		vec_store(plus, vec_pick(z < 0, tail, 1 - tail));
		for (size_t j = 0; j < some; j++)
			codes[at + j] = !(uniform(words[at + j]) < plus[j]);
	}
}

#if WIDTH > 4
INLINE vec_mask look_up_places(const uint16_t *codes)
{
#if WIDTH == 16
	return (vec_mask)_mm512_cvtepu16_epi32(_mm256_loadu_si256((const void *)codes));
#else
	return (vec_mask)_mm256_cvtepu16_epi32(_mm_loadu_si128((const void *)codes));
#endif
}

INLINE vec look_up(vec table, vec_mask places)
{
#if WIDTH == 16
	return (vec)_mm512_permutexvar_ps((__m512i)places, table);
#else
	return (vec)_mm256_permutevar8x32_ps((__m256)table, (__m256i)places);
#endif
}
#endif

/* A table that fits in a register is looked up there. */
static size_t add_lanes(float *y, const uint16_t *codes, const float *table, size_t entries,
			size_t count)
{
	size_t i = 0;

#if WIDTH > 4
	if (entries <= WIDTH) {
		vec all = vec_load_part(table, entries);

		for (; i + WIDTH <= count; i += WIDTH)
			vec_store(y + i, vec_load(y + i) + look_up(all, look_up_places(codes + i)));
	}
#else
	(void)y, (void)codes, (void)table, (void)entries, (void)count;
#endif
	return i;
}

void KERNEL(code_add)(float *restrict y, const uint16_t *restrict codes,
		      const float *restrict table, size_t entries, size_t count)
{
	for (size_t i = add_lanes(y, codes, table, entries, count); i < count; i++)
		y[i] += table[codes[i]];
}

/* Codes of levels 0 and 1 and a sign: 0 and 2 are zero, 1 and 3 are one with its sign. */
INLINE uint32_t trit_of(uint32_t code)
{
	return (code & 1) + (code & code >> 1 & 1);
}

void KERNEL(trits_pack)(unsigned char *restrict out, const uint16_t *restrict codes, size_t bytes)
{
	for (size_t j = 0; j < bytes; j++) {
		uint32_t sum = trit_of(codes[j + 4 * bytes]);

		sum = 3 * sum + trit_of(codes[j + 3 * bytes]);
		sum = 3 * sum + trit_of(codes[j + 2 * bytes]);
		sum = 3 * sum + trit_of(codes[j + bytes]);
		out[j] = (unsigned char)(3 * sum + trit_of(codes[j]));
	}
}

void KERNEL(trits_unpack)(uint16_t *restrict codes, const unsigned char *restrict in, size_t bytes)
{
	for (size_t j = 0; j < bytes; j++) {
		uint16_t left = in[j];

		for (size_t k = 0; k < 5; k++) {
			uint16_t third = (uint16_t)(left * 171u >> 9); /* left / 3, up to 255 */
			uint16_t trit = (uint16_t)(left - 3u * third);

			codes[j + k * bytes] = (uint16_t)(trit + (trit >> 1)); /* 0, 1 or 3 */
			left = third;
		}
	}
}

/* Zero is plus zero. */
void KERNEL(range)(const float *x, size_t count, float *low, float *high)
{
	vec lows[2] = { vec_all(x[0]), vec_all(x[0]) }, highs[2] = { lows[0], lows[0] };
	size_t i = 0;

	for (; i + 2 * WIDTH <= count; i += 2 * WIDTH)
		UNROLLED (j, 2) {
			vec next = vec_load(x + i + j * WIDTH);

			lows[j] = vec_pick(next < lows[j], next, lows[j]);
			highs[j] = vec_max(next, highs[j]);
		}
	*high = vec_largest(vec_max(highs[0], highs[1]));
	*low = -vec_largest(vec_max(-lows[0], -lows[1]));
	for (; i < count; i++) {
		*low = x[i] < *low ? x[i] : *low;
		*high = x[i] > *high ? x[i] : *high;
	}
	*low += 0;
	*high += 0;
}

/* The nearest of 0 to 255: 1.5 * 2^23 leaves no room for a fraction. */
void KERNEL(range_pack)(unsigned char *restrict out, const float *restrict x, size_t count,
			float low, float inverse)
{
	for (size_t i = 0; i < count; i++)
		out[i] = (unsigned char)bits_of((x[i] - low) * inverse + 0x1.8p23f);
}

void KERNEL(range_add)(float *restrict y, const unsigned char *restrict bytes, size_t count,
		       float low, float step)
{
	for (size_t i = 0; i < count; i++)
		y[i] += low + step * (float)bytes[i];
}
