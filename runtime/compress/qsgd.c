/*
 * Levels between 0 and a norm, rounded at random so that the mean is right: Alistarh et al.,
 * "QSGD", NeurIPS 2017. A code of B bits is a sign and one of s + 1 levels, s = 2^(B-1) - 1.
 */
#include "runtime/compress/compress.h"

#include <float.h>
#include <math.h>

#include "lib/error.h"
#include "lib/opt.h"
#include "runtime/compress/bits.h"
#include "runtime/compress/codes.h"
#include "runtime/compress/levels.h"
#include "runtime/device/cpu.h"

enum norm { NORM_INF, NORM_2 };
enum { SCALE = 4, WIDTH_MOST = 8 };

struct qsgd_params {
	size_t bits, block;
	int norm;
};

#define ROW(field) offsetof(struct qsgd_params, field)

static const char *const norms[] = { "inf", "2", NULL };

static const struct opt options[] = {
	{ "bits", OPT_COUNT, ROW(bits), "4", "of each element, its sign included", .min = 2,
	  .max = WIDTH_MOST },
	{ "norm", OPT_CHOICE, ROW(norm), "inf", "what the highest level stands for",
	  .choices = norms },
	{ "block", OPT_COUNT, ROW(block), "0", "elements that share a norm; 0: those of a message",
	  .min = 0, .max = 1 << 30 },
	{ 0 }
};

static size_t block_of(const struct qsgd_params *qsgd, size_t count)
{
	return qsgd->block && qsgd->block < count ? qsgd->block : count;
}

static size_t size_of(const struct qsgd_params *qsgd, size_t count)
{
	return SCALE + bits_size(count, (unsigned)qsgd->bits);
}

static size_t bound(const void *params, size_t count)
{
	size_t block = block_of(params, count);

	if (count == 0)
		return 0;
	return count / block * size_of(params, block) +
	       (count % block ? size_of(params, count % block) : 0);
}

/* At least the largest |x|, and finite, whatever is rounded. */
static float norm_of(const struct qsgd_params *qsgd, const float *x, size_t count)
{
	float largest = codes_largest(x, count);
	double norm = 0;

	if (qsgd->norm == NORM_2)
		norm = fmin(sqrt(cpu_sum_squares(x, count)), (double)FLT_MAX);
	return fmaxf((float)norm, largest);
}

static size_t encode(const void *params, const struct compress_input *input, unsigned char *out)
{
	const struct qsgd_params *qsgd = params;
	size_t block = block_of(qsgd, input->count), length = 0;
	struct codes_plan plan = { .kernel = kernels()->code_levels,
				   .rng = &input->rng,
				   .first = input->first };

	for (size_t at = 0; at < input->count; at += block) {
		size_t count = input->count - at < block ? input->count - at : block;
		float norm = norm_of(qsgd, input->x + at, count);

		plan.rule = levels_rule(norm, (uint32_t)levels_of((unsigned)qsgd->bits),
					(uint32_t)1 << (qsgd->bits - 1));
		codes_put_scale(out + length, norm);
		codes_encode(&plan, input->x + at, count, (unsigned)qsgd->bits,
			     out + length + SCALE);
		length += size_of(qsgd, count);
		plan.first += count;
	}
	return length;
}

static int decode_block(unsigned width, const unsigned char *bytes, float scale, float *y,
			size_t count, struct error *err)
{
	float table[1 << WIDTH_MOST], norm = codes_get_scale(bytes);

	if (codes_check_scale(norm, err) < 0 ||
	    codes_check_end(bytes + SCALE, count, width, err) < 0)
		return -1;
	levels_table(table, width, norm, scale);
	codes_add(bytes + SCALE, count, width, table, y);
	return 0;
}

static int decode_add(const void *params, const unsigned char *bytes, size_t length, float scale,
		      float *y, size_t count, struct error *err)
{
	const struct qsgd_params *qsgd = params;
	size_t block = block_of(qsgd, count);

	if (codes_check_length(length, bound(params, count), err) < 0)
		return -1;
	for (size_t at = 0; at < count; at += block) {
		size_t some = count - at < block ? count - at : block;

		if (decode_block((unsigned)qsgd->bits, bytes, scale, y + at, some, err) < 0)
			return -1;
		bytes += size_of(qsgd, some);
	}
	return 0;
}

/* A level each. */
static double largest_error(const void *params, const struct compress_input *input)
{
	const struct qsgd_params *qsgd = params;
	size_t block = block_of(qsgd, input->count);
	double sum = 0;

	for (size_t at = 0; at < input->count; at += block) {
		size_t count = input->count - at < block ? input->count - at : block;
		double most = levels_error(norm_of(qsgd, input->x + at, count),
					   levels_of((unsigned)qsgd->bits));

		sum += (double)count * most * most;
	}
	return sqrt(sum);
}

const struct compressor compress_qsgd = {
	.entry = { .name = "qsgd",
		   .summary = "levels of a norm, rounded at random: 2 to 8 bits",
		   .options = options,
		   .params_size = sizeof(struct qsgd_params) },
	.payload = PAYLOAD_OPAQUE,
	.bound = bound,
	.encode = encode,
	.decode_add = decode_add,
	.error = largest_error,
};
