/* Three values, five in a byte: Wen et al., "TernGrad", NeurIPS 2017. The levels of qsgd for s = 1
 * and the largest |x|. */
#include "runtime/compress/compress.h"

#include <math.h>
#include <string.h>

#include "lib/error.h"
#include "runtime/compress/codes.h"
#include "runtime/compress/levels.h"

enum { SCALE = 4, TRITS = 5 /* in a byte */, BYTES = CODES_BLOCK / TRITS, WIDTH = 2, SIGN = 2 };
enum { BYTE_MOST = 242 };

static size_t bytes_of(size_t count)
{
	return (count + TRITS - 1) / TRITS;
}

static size_t bound(const void *params, size_t count)
{
	(void)params;
	return count ? SCALE + bytes_of(count) : 0;
}

static size_t less(size_t a, size_t b)
{
	return a < b ? a : b;
}

static size_t encode(const void *params, const struct compress_input *input, unsigned char *out)
{
	struct codes_plan plan = { .kernel = kernels()->code_levels,
				   .rng = &input->rng,
				   .first = input->first };
	uint16_t codes[CODES_BLOCK];
	float norm;

	if (input->count == 0)
		return 0;
	norm = codes_largest(input->x, input->count);
	plan.rule = levels_rule(norm, 1, SIGN);
	codes_put_scale(out, norm);
	out += SCALE;
	for (size_t at = 0; at < input->count; at += CODES_BLOCK) {
		size_t length = less(input->count - at, CODES_BLOCK), bytes = bytes_of(length);

		codes_make(&plan, input->x, at, length, codes);
		memset(codes + length, 0, (bytes * TRITS - length) * sizeof(*codes));
		kernels()->trits_pack(out, codes, bytes);
		out += bytes;
	}
	return bound(params, input->count);
}

static int check(const unsigned char *bytes, size_t length, struct error *err)
{
	unsigned most = 0;

	for (size_t i = 0; i < length; i++)
		most = bytes[i] > most ? bytes[i] : most;
	if (most > BYTE_MOST)
		return error_set(err, "a payload with the byte %u where %d is the most", most,
				 BYTE_MOST);
	return 0;
}

static int decode_add(const void *params, const unsigned char *bytes, size_t length, float scale,
		      float *y, size_t count, struct error *err)
{
	uint16_t codes[CODES_BLOCK];
	float table[1 << WIDTH], norm;

	if (codes_check_length(length, bound(params, count), err) < 0)
		return -1;
	if (count == 0)
		return 0;
	norm = codes_get_scale(bytes);
	bytes += SCALE;
	if (codes_check_scale(norm, err) < 0 || check(bytes, bytes_of(count), err) < 0)
		return -1;
	levels_table(table, WIDTH, norm, scale);
	for (size_t at = 0; at < count; at += CODES_BLOCK) {
		size_t some = less(count - at, CODES_BLOCK);

		kernels()->trits_unpack(codes, bytes + at / TRITS, bytes_of(some));
		for (size_t i = some; i < bytes_of(some) * TRITS; i++)
			if (codes[i] != 0)
				return error_set(err, "a payload with more than its last element");
		kernels()->code_add(y + at, codes, table, 1 << WIDTH, some);
	}
	return 0;
}

static double largest_error(const void *params, const struct compress_input *input)
{
	(void)params;
	return input->count ? levels_error(codes_largest(input->x, input->count), 1) *
				      sqrt((double)input->count)
			    : 0;
}

const struct compressor compress_terngrad = {
	.entry = { .name = "terngrad",
		   .summary = "zero or plus or minus the largest size, at random: 1.6 bits" },
	.payload = PAYLOAD_OPAQUE,
	.bound = bound,
	.encode = encode,
	.decode_add = decode_add,
	.error = largest_error,
};
