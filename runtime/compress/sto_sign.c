/*
 * A sign at random: plus with probability (b + x) / 2b, so that b times its mean is x. Jin et al.,
 * "Stochastic-sign SGD for federated learning with theoretical guarantees".
 */
#include "runtime/compress/compress.h"

#include <math.h>

#include "lib/opt.h"
#include "runtime/compress/bits.h"
#include "runtime/compress/votes.h"

enum { SCALE = 4 /* bytes */ };

enum largest { OF_RANKS, OF_MESSAGE };

struct sto_sign_params {
	double b;
	bool vote;
	int largest;
};

#define ROW(field) offsetof(struct sto_sign_params, field)

static const char *const largest_of[] = { "ranks", "message", NULL };

static const struct opt options[] = {
	{ "b", OPT_REAL, ROW(b), "0", "what |x| is cut to; 0: the largest", .min = 0, .max = 1e30 },
	{ "largest", OPT_CHOICE, ROW(largest), "ranks",
	  "of votes: of all ranks, which is agreed on first, or of each message",
	  .choices = largest_of },
	{ "vote", OPT_BOOL, ROW(vote), "yes",
	  "what most ranks say counts, one for each number; or signs times b are added" },
	{ 0 }
};

static size_t header(const struct sto_sign_params *params)
{
	return params->b > 0 || params->vote ? 0 : SCALE;
}

static size_t bound(const void *params, size_t count)
{
	return count ? header(params) + bits_size(count, 1) : 0;
}

static enum vote vote(const void *params)
{
	const struct sto_sign_params *sto_sign = params;

	if (!sto_sign->vote)
		return VOTE_NO;
	return sto_sign->b > 0 || sto_sign->largest == OF_MESSAGE ? VOTE_SIGNS : VOTE_LARGEST;
}

static float size_of(const struct sto_sign_params *params, const struct compress_input *input)
{
	if (params->b > 0)
		return (float)params->b;
	if (vote(params) == VOTE_LARGEST && input->largest > 0)
		return input->largest;
	return codes_largest(input->x, input->count);
}

static size_t encode(const void *params, const struct compress_input *input, unsigned char *out)
{
	struct codes_plan plan = { .kernel = kernels()->code_votes,
				   .rng = &input->rng,
				   .first = input->first };
	float size;

	if (input->count == 0)
		return 0;
	size = size_of(params, input);
	if (header(params) > 0)
		codes_put_scale(out, size);
	plan.rule.scale = size > 0 ? size : 1;
	codes_encode(&plan, input->x, input->count, 1, out + header(params));
	return bound(params, input->count);
}

static int decode_add(const void *params, const unsigned char *bytes, size_t length, float scale,
		      float *y, size_t count, struct error *err)
{
	const struct sto_sign_params *sto_sign = params;
	float size = sto_sign->vote ? 1 : (float)sto_sign->b;

	return votes_decode_add(bytes, length, header(params), size, scale, y, count, err);
}

static double largest_error(const void *params, const struct compress_input *input)
{
	const struct sto_sign_params *sto_sign = params;

	if (input->count == 0)
		return 0;
	return votes_error(input->x, input->count,
			   sto_sign->vote ? 1 : (double)size_of(params, input));
}

const struct compressor compress_sto_sign = {
	.entry = { .name = "sto_sign",
		   .summary = "a sign at random that is right on average: 1 bit",
		   .options = options,
		   .params_size = sizeof(struct sto_sign_params) },
	.payload = PAYLOAD_OPAQUE,
	.bound = bound,
	.encode = encode,
	.decode_add = decode_add,
	.error = largest_error,
	.vote = vote,
};
