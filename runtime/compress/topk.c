/* The coordinates of largest magnitude, a fixed number of each span. */
#include "runtime/compress/compress.h"

#include "lib/error.h"
#include "lib/opt.h"
#include "runtime/compress/sparse.h"

struct topk_params {
	double share;
	size_t count;
};

static const struct opt options[] = {
	{ "share", OPT_REAL, offsetof(struct topk_params, share), "0.01",
	  "part of a span's coordinates that is sent, at least one", 1e-9, 1 },
	{ "count", OPT_COUNT, offsetof(struct topk_params, count), "0",
	  "so many of a span instead; 0: as share says" },
	{ 0 },
};

static size_t chosen_of(const void *params, size_t count)
{
	const struct topk_params *topk = params;
	if (topk->count)
		return topk->count < count ? topk->count : count;
	return sparse_share(topk->share, count);
}

static size_t bound(const void *params, size_t count)
{
	return sparse_bound(chosen_of(params, count), count);
}

static size_t encode(const void *params, const struct compress_input *input, unsigned char *out)
{
	size_t chosen = chosen_of(params, input->count);
	struct selection selection = select_largest(input->x, input->count, chosen);

	return sparse_encode(input->x, input->count, selection, chosen, out);
}

static int decode_add(const void *params, const unsigned char *bytes, size_t length, float scale,
		      float *y, size_t count, struct error *err)
{
	return sparse_decode_add(bytes, length, chosen_of(params, count), scale, y, count, err);
}

static int pairs(const void *params, const unsigned char *bytes, size_t length, size_t first,
		 size_t count, struct compress_pairs *pairs, struct error *err)
{
	return sparse_unpack(bytes, length, chosen_of(params, count), first, count, pairs, err);
}

static double left_out(const void *params, const struct compress_input *input)
{
	size_t chosen = chosen_of(params, input->count);

	return sparse_error(input->x, input->count, select_largest(input->x, input->count, chosen));
}

const struct compressor compress_topk = {
	.entry = { .name = "topk",
		   .summary = "the largest coordinates with error feedback",
		   .options = options,
		   .params_size = sizeof(struct topk_params) },
	.payload = PAYLOAD_OPAQUE,
	.sparse = true,
	.feedback = FEEDBACK_CLASSIC,
	.bound = bound,
	.encode = encode,
	.decode_add = decode_add,
	.error = left_out,
	.chosen = chosen_of,
	.pairs = pairs,
};
