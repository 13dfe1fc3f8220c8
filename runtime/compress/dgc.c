/*
 * The largest coordinates of gradients with momentum: Lin et al., "Deep gradient compression", ICLR
 * 2018. Momentum that is corrected, and starts anew where it was sent, is runtime/residual.h's;
 * here is the warm-up, in which the share that is sent falls exponentially.
 */
#include "runtime/compress/compress.h"

#include <math.h>

#include "lib/opt.h"
#include "runtime/compress/sparse.h"

struct dgc_params {
	double share;
	size_t warmup;
};

static const struct opt options[] = {
	{ "share", OPT_REAL, offsetof(struct dgc_params, share), "0.001",
	  "part of a span's coordinates that is sent, at least one", 1e-9, 1 },
	{ "warmup", OPT_COUNT, offsetof(struct dgc_params, warmup), "0",
	  "steps in which that part falls from a quarter", 0, 1e12 },
	{ 0 },
};

static const double first_share = 0.25;

/* The largest of all steps. */
static size_t most(const void *params, size_t count)
{
	const struct dgc_params *dgc = params;

	return sparse_share(dgc->warmup ? fmax(dgc->share, first_share) : dgc->share, count);
}

static size_t chosen_of(const void *params, const struct compress_input *input)
{
	const struct dgc_params *dgc = params;
	double share = input->state ? (double)input->state[0] : dgc->share;
	size_t chosen = sparse_share(share, input->count), limit = most(params, input->count);

	return chosen < limit ? chosen : limit;
}

static size_t bound(const void *params, size_t count)
{
	size_t chosen = most(params, count);

	return SPARSE_HEADER +
	       (chosen < count ? sparse_bound(chosen, count) : sparse_bound_any(count));
}

static size_t encode(const void *params, const struct compress_input *input, unsigned char *out)
{
	size_t chosen = chosen_of(params, input);
	struct selection selection = select_largest(input->x, input->count, chosen);

	sparse_put_header(out, chosen);
	return SPARSE_HEADER +
	       sparse_encode(input->x, input->count, selection, chosen, out + SPARSE_HEADER);
}

static int decode_add(const void *params, const unsigned char *bytes, size_t length, float scale,
		      float *y, size_t count, struct error *err)
{
	return sparse_decode_any(bytes, length, most(params, count), scale, y, count, err);
}

static int pairs(const void *params, const unsigned char *bytes, size_t length, size_t first,
		 size_t count, struct compress_pairs *pairs, struct error *err)
{
	return sparse_unpack_any(bytes, length, most(params, count), first, count, pairs, err);
}

static double left_out(const void *params, const struct compress_input *input)
{
	size_t chosen = chosen_of(params, input);

	return sparse_error(input->x, input->count, select_largest(input->x, input->count, chosen));
}

/* From a quarter to the share, as if each step of the warm-up multiplied it. */
static void adapt(const void *params, const struct compress_step *step, float *state)
{
	const struct dgc_params *dgc = params;
	double done = step->step < dgc->warmup ? (double)step->step / (double)dgc->warmup : 1;

	state[0] = (float)dgc->share;
	if (dgc->share < first_share)
		state[0] = (float)(first_share * pow(dgc->share / first_share, done));
}

const struct compressor compress_dgc = {
	.entry = { .name = "dgc",
		   .summary = "the largest coordinates of momentum, with feedback",
		   .options = options,
		   .params_size = sizeof(struct dgc_params) },
	.payload = PAYLOAD_OPAQUE,
	.sparse = true,
	.feedback = FEEDBACK_MOMENTUM_CORRECTED,
	.bound = bound,
	.encode = encode,
	.decode_add = decode_add,
	.error = left_out,
	.chosen = most,
	.pairs = pairs,
	.state_count = 1,
	.adapt = adapt,
};
