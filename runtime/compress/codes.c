/* Codes of few bits: made by a kernel, packed, and looked up in a table. */
#include "runtime/compress/codes.h"

#include <math.h>
#include <string.h>

#include "lib/error.h"
#include "runtime/compress/bits.h"
#include "runtime/rng.h"

static size_t less(size_t a, size_t b)
{
	return a < b ? a : b;
}

void codes_make(const struct codes_plan *plan, const float *x, size_t at, size_t count,
		uint16_t *codes)
{
	uint32_t words[CODES_BLOCK + RNG_CHUNK];
	size_t first = plan->first + at, skip = first % RNG_CHUNK;

	if (plan->rng)
		kernels()->random_words(plan->rng, first / RNG_CHUNK, words,
					(skip + count + RNG_CHUNK - 1) / RNG_CHUNK);
	plan->kernel(&plan->rule, x + at, words + skip, codes, count);
}

float codes_largest(const float *x, size_t count)
{
	float low, high;

	if (count == 0)
		return 0;
	kernels()->range(x, count, &low, &high);
	return fmaxf(-low, high);
}

void codes_encode(const struct codes_plan *plan, const float *x, size_t count, unsigned width,
		  unsigned char *out)
{
	uint16_t codes[CODES_BLOCK];

	for (size_t at = 0; at < count; at += CODES_BLOCK) {
		size_t length = less(count - at, CODES_BLOCK);

		codes_make(plan, x, at, length, codes);
		bits_pack(out + bits_size(at, width), codes, length, width);
	}
}

void codes_add(const unsigned char *bytes, size_t count, unsigned width, const float *table,
	       float *y)
{
	uint16_t codes[CODES_BLOCK];

	for (size_t at = 0; at < count; at += CODES_BLOCK) {
		size_t length = less(count - at, CODES_BLOCK);

		bits_unpack(codes, bytes + bits_size(at, width), length, width);
		kernels()->code_add(y + at, codes, table, (size_t)1 << width, length);
	}
}

int codes_check_length(size_t length, size_t wanted, struct error *err)
{
	if (length != wanted)
		return error_set(err, "a payload of %zu bytes where %zu were expected", length,
				 wanted);
	return 0;
}

int codes_check_end(const unsigned char *bytes, size_t count, unsigned width, struct error *err)
{
	if (!bits_end_well(bytes, count, width))
		return error_set(err, "a payload with bits behind its last element");
	return 0;
}

int codes_check_scale(float scale, struct error *err)
{
	if (!isfinite(scale) || scale < 0)
		return error_set(err, "a payload with the scale %g", (double)scale);
	return 0;
}

void codes_put_scale(unsigned char *out, float scale)
{
	memcpy(out, &scale, sizeof(scale));
}

float codes_get_scale(const unsigned char *bytes)
{
	float scale;

	memcpy(&scale, bytes, sizeof(scale));
	return scale;
}
