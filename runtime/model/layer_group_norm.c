/*
 * Group normalisation (Wu and He, ECCV 2018): of each sample, groups of channels get mean 0 and
 * deviation 1, then each channel its own deviation `weight` and mean `bias`.
 */
#include <math.h>
#include <string.h>

#include "lib/error.h"
#include "lib/opt.h"
#include "runtime/device/kernels.h"
#include "runtime/device/plane_norm.h"
#include "runtime/device/team.h"
#include "runtime/model/layer.h"
#include "runtime/model/layer_params.h"

enum { WEIGHT, BIAS, TENSORS };

static const struct opt options[] = {
	{ "groups", OPT_COUNT, offsetof(struct group_norm_params, groups), "1",
	  "how many; the channels must be a multiple", .min = 1, .max = 65536 },
	{ "eps", OPT_REAL, offsetof(struct group_norm_params, eps), "1e-5", "added to the variance",
	  .min = 1e-12, .max = 1 },
	{ 0 }
};

/* Kept of each sample: mean and inverse deviation of its groups, two sums of each channel. */
static size_t sample_floats(size_t groups, size_t channels)
{
	return 2 * groups + 2 * channels;
}

static int plan_group_norm(const void *params, const struct shape *input,
			   const struct model_env *env, struct layer_plan *plan, struct error *err)
{
	const struct group_norm_params *norm = params;
	size_t channels = input->dim[0];
	struct shape shape = { .dim = { channels }, .rank = 1 };

	(void)env;
	if (input->rank != 3 && input->rank != 1)
		return error_set(err, "needs images, [channels][height][width], or features");
	if (channels % norm->groups != 0)
		return error_set(err, "%zu channels are not %zu groups of as many", channels,
				 norm->groups);
	plan->tensor[WEIGHT] =
		(struct layer_tensor){ .suffix = "weight", .shape = shape, .value = 1 };
	plan->tensor[BIAS] =
		(struct layer_tensor){ .suffix = "bias", .shape = shape, .bias = true };
	plan->tensors = TENSORS;
	plan->scratch_bytes = sample_floats(norm->groups, channels) * sizeof(float);
	plan->flops = 2.0 * (double)shape_count(input);
	return 0;
}

struct work {
	const struct layer_call *call;
	size_t channels, groups, inner;
	double eps;
	const float *in;
	float *out; /* forward's, or backward's din */
	float *dout;
};

static struct work work_of(const struct layer_call *call)
{
	const struct group_norm_params *norm = call->params;
	size_t channels = call->input->dim[0];

	return (struct work){ .call = call,
			      .channels = channels,
			      .groups = norm->groups,
			      .inner = call->inputs / channels,
			      .eps = norm->eps };
}

static float *kept_of(const struct work *work, size_t sample)
{
	return (float *)work->call->scratch + sample * sample_floats(work->groups, work->channels);
}

static struct plane_norm norm_of(const struct work *work, const float *group, size_t channel)
{
	float a = work->call->weight[WEIGHT][channel] * group[1];

	return (struct plane_norm){ .a = a,
				    .b = work->call->weight[BIAS][channel],
				    .mean = group[0],
				    .relu = work->call->relu };
}

static void normalise(void *arg, size_t sample, size_t member)
{
	const struct work *work = arg;
	const float *x = work->in + sample * work->call->inputs;
	float *y = work->out + sample * work->call->inputs, *kept = kept_of(work, sample);
	size_t members = work->channels / work->groups, count = members * work->inner;

	(void)member;
	for (size_t g = 0; g < work->groups; g++, kept += 2) {
		kernels()->plane_moments(x + g * count, count, &kept[0], &kept[1]);
		kept[1] = (float)(1 / sqrt((double)kept[1] / (double)count + work->eps));
		for (size_t c = g * members; c < (g + 1) * members; c++) {
			struct plane_norm norm = norm_of(work, kept, c);

			kernels()->plane_scale(y + c * work->inner, x + c * work->inner,
					       work->inner, &norm);
		}
	}
}

static void forward(const struct layer_call *call, const float *in, float *out)
{
	struct work work = work_of(call);

	work.in = in;
	work.out = out;
	team_run(call->team, call->batch, normalise, &work);
}

/* With s the inverse deviation of n numbers and g = weight dy: dx = s (g - sum(g)/n -
 * (x - mean) s^2 sum(g (x - mean))/n). */
static void group_slope(const struct work *work, size_t sample, size_t group)
{
	size_t members = work->channels / work->groups, at = sample * work->call->inputs;
	const float *kept = kept_of(work, sample) + 2 * group;
	float *sums = kept_of(work, sample) + 2 * work->groups;
	double total[2] = { 0 }, s = (double)kept[1], n = (double)(members * work->inner);

	for (size_t c = group * members; c < (group + 1) * members; c++) {
		struct plane_norm norm = norm_of(work, kept, c);

		kernels()->plane_sums(work->in + at + c * work->inner,
				      work->dout + at + c * work->inner, work->inner, &norm,
				      sums + 2 * c);
		for (size_t i = 0; i < 2; i++)
			total[i] += (double)(work->call->weight[WEIGHT][c] * sums[2 * c + i]);
		sums[2 * c + 1] *= kept[1];
	}
	for (size_t c = group * members; c < (group + 1) * members && work->out; c++) {
		struct plane_norm norm = norm_of(work, kept, c);

		norm.p = norm.a;
		norm.q = (float)(-s * s * s * total[1] / n);
		norm.r = (float)(-s * total[0] / n);
		kernels()->plane_slope(work->out + at + c * work->inner,
				       work->in + at + c * work->inner,
				       work->dout + at + c * work->inner, work->inner, &norm);
	}
}

static void sample_slope(void *arg, size_t sample, size_t member)
{
	const struct work *work = arg;

	(void)member;
	for (size_t g = 0; g < work->groups; g++)
		group_slope(work, sample, g);
}

static void backward(const struct layer_call *call, const float *in, const float *out, float *dout,
		     float *din)
{
	struct work work = work_of(call);
	float *bias = call->grad[BIAS], *weight = call->grad[WEIGHT];

	(void)out;
	work.in = in;
	work.dout = dout;
	work.out = din;
	team_run(call->team, call->batch, sample_slope, &work);
	memset(bias, 0, work.channels * sizeof(*bias));
	memset(weight, 0, work.channels * sizeof(*weight));
	for (size_t i = 0; i < call->batch; i++) {
		const float *sums = kept_of(&work, i) + 2 * work.groups;

		for (size_t c = 0; c < work.channels; c++) {
			bias[c] += sums[2 * c];
			weight[c] += sums[2 * c + 1];
		}
	}
}

const struct layer layer_group_norm = {
	.entry = { .name = "group_norm",
		   .summary = "groups of a sample's channels get mean 0 and deviation 1",
		   .options = options,
		   .params_size = sizeof(struct group_norm_params) },
	.reads_in = true,
	.in_place = true,
	.takes_relu = true,
	.plan = plan_group_norm,
	.forward = forward,
	.backward = backward,
};
