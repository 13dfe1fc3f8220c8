/*
 * The sign of x and normal noise, for differential privacy: the Gaussian mechanism (Dwork and Roth,
 * 2014, theorem A.1) on a message whose Euclidean norm is at most `clip`, of which only signs are
 * kept. Drawn as one bit with the probability that it has. Two messages differ by 2 clip at most.
 */
#include "runtime/compress/compress.h"

#include <math.h>

#include "lib/opt.h"
#include "runtime/compress/bits.h"
#include "runtime/compress/votes.h"
#include "runtime/device/cpu.h"

struct dp_sign_params {
	double clip, epsilon, delta;
	bool vote;
};

#define ROW(field) offsetof(struct dp_sign_params, field)

static const struct opt options[] = {
	{ "clip", OPT_REAL, ROW(clip), "1", "a message's largest norm; what is longer is shrunk",
	  .min = 1e-9, .max = 1e9 },
	{ "epsilon", OPT_REAL, ROW(epsilon), "0.5", "privacy of a message: less is more private",
	  .min = 1e-6, .max = 1 },
	{ "delta", OPT_REAL, ROW(delta), "1e-5", "the probability that privacy fails", .min = 1e-12,
	  .max = 0.5 },
	{ "vote", OPT_BOOL, ROW(vote), "yes",
	  "what most ranks say counts, one for each number; or signs times a size are added" },
	{ 0 }
};

static double noise_of(const struct dp_sign_params *params)
{
	return 2 * params->clip / params->epsilon * sqrt(2 * log(1.25 / params->delta));
}

/* Small x are right on average: the normal density at 0 is 1 / (sqrt(2 pi) noise). */
static double size_of(const struct dp_sign_params *params)
{
	if (params->vote)
		return 1;
	return sqrt(acos(-1) / 2) * noise_of(params);
}

static size_t bound(const void *params, size_t count)
{
	(void)params;
	return bits_size(count, 1);
}

static enum vote vote(const void *params)
{
	return ((const struct dp_sign_params *)params)->vote ? VOTE_NORM : VOTE_NO;
}

/* Slices of a vote are one message. */
static double norm_of(const void *params, const struct compress_input *input)
{
	if (vote(params) == VOTE_NORM && input->norm > 0)
		return input->norm;
	return sqrt(cpu_sum_squares(input->x, input->count));
}

static size_t encode(const void *params, const struct compress_input *input, unsigned char *out)
{
	const struct dp_sign_params *dp_sign = params;
	double norm = norm_of(params, input);
	double shrink = norm > dp_sign->clip ? dp_sign->clip / norm : 1;
	struct codes_plan plan = { .kernel = kernels()->code_normal_votes,
				   .rng = &input->rng,
				   .first = input->first };

	plan.rule.scale = (float)(shrink / noise_of(dp_sign));
	codes_encode(&plan, input->x, input->count, 1, out);
	return bound(params, input->count);
}

static int decode_add(const void *params, const unsigned char *bytes, size_t length, float scale,
		      float *y, size_t count, struct error *err)
{
	if (codes_check_length(length, bound(params, count), err) < 0)
		return -1;
	return votes_add(bytes, (float)size_of(params), scale, y, count, err);
}

static double largest_error(const void *params, const struct compress_input *input)
{
	return votes_error(input->x, input->count, size_of(params));
}

const struct compressor compress_dp_sign = {
	.entry = { .name = "dp_sign",
		   .summary = "signs under noise that keeps data private: 1 bit",
		   .options = options,
		   .params_size = sizeof(struct dp_sign_params) },
	.payload = PAYLOAD_OPAQUE,
	.bound = bound,
	.encode = encode,
	.decode_add = decode_add,
	.error = largest_error,
	.vote = vote,
};
