/* The coordinates whose magnitude reaches a fixed threshold: as many as there are. */
#include "runtime/compress/compress.h"

#include "lib/error.h"
#include "lib/opt.h"
#include "runtime/compress/sparse.h"

struct threshold_params {
	double tau;
};

static const struct opt options[] = {
	{ "tau", OPT_REAL, offsetof(struct threshold_params, tau), "0.001",
	  "least magnitude of a coordinate that is sent", 1e-30, 1e30 },
	{ 0 },
};

static struct selection reaching(const void *params)
{
	const struct threshold_params *threshold = params;

	return (struct selection){ .size = select_size((float)threshold->tau),
				   .equal = UINT32_MAX };
}

static size_t bound(const void *params, size_t count)
{
	(void)params;
	return SPARSE_HEADER + sparse_bound_any(count);
}

static size_t encode(const void *params, const struct compress_input *input, unsigned char *out)
{
	struct selection selection = reaching(params);
	size_t chosen = 0;

	for (size_t i = 0; i < input->count; i++)
		chosen += select_size(input->x[i]) >= selection.size;
	sparse_put_header(out, chosen);
	return SPARSE_HEADER +
	       sparse_encode(input->x, input->count, selection, chosen, out + SPARSE_HEADER);
}

static int decode_add(const void *params, const unsigned char *bytes, size_t length, float scale,
		      float *y, size_t count, struct error *err)
{
	(void)params;
	return sparse_decode_any(bytes, length, count, scale, y, count, err);
}

static size_t any(const void *params, size_t count)
{
	(void)params;
	return count;
}

static int pairs(const void *params, const unsigned char *bytes, size_t length, size_t first,
		 size_t count, struct compress_pairs *pairs, struct error *err)
{
	(void)params;
	return sparse_unpack_any(bytes, length, count, first, count, pairs, err);
}

static double left_out(const void *params, const struct compress_input *input)
{
	return sparse_error(input->x, input->count, reaching(params));
}

const struct compressor compress_threshold = {
	.entry = { .name = "threshold",
		   .summary = "coordinates from a magnitude on, with error feedback",
		   .options = options,
		   .params_size = sizeof(struct threshold_params) },
	.payload = PAYLOAD_OPAQUE,
	.sparse = true,
	.feedback = FEEDBACK_CLASSIC,
	.bound = bound,
	.encode = encode,
	.decode_add = decode_add,
	.error = left_out,
	.chosen = any,
	.pairs = pairs,
};
