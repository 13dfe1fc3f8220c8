/*
 * Batch normalisation (Ioffe and Szegedy, ICML 2015), algorithm 1: every channel gets the mean
 * `bias` and the deviation `weight` over the batch in training; in evaluation it is scaled by what
 * training saw on average. The statistics are those of a rank's own samples; what ranks note of
 * them is averaged as gradients are. A sample is channels that adjoin, or rows of one number for
 * each channel; its own mean and squares are found first, then those of the batch from them.
 */
#include <assert.h>
#include <math.h>
#include <string.h>

#include "lib/opt.h"
#include "runtime/device/kernels.h"
#include "runtime/device/plane_norm.h"
#include "runtime/device/team.h"
#include "runtime/model/layer.h"
#include "runtime/model/layer_params.h"

enum { WEIGHT, BIAS, RUNNING_MEAN, RUNNING_VAR, BATCHES, TENSORS };

static const struct opt options[] = {
	{ "eps", OPT_REAL, offsetof(struct batch_norm_params, eps), "1e-5", "added to the variance",
	  .min = 1e-12, .max = 1 },
	{ "momentum", OPT_REAL, offsetof(struct batch_norm_params, momentum), "0.1",
	  "share of a batch in the running statistics", .min = 1e-6, .max = 1 },
	{ 0 }
};

/* Per sample: channels; rows of them or numbers of each that adjoin. */
struct extent {
	size_t channels, rows, inner;
};

static struct extent extent_of(const struct shape *input)
{
	if (input->rank == 3)
		return (struct extent){ input->dim[0], 1, input->dim[1] * input->dim[2] };
	if (input->rank == 2)
		return (struct extent){ input->dim[1], input->dim[0], 1 };
	return (struct extent){ shape_count(input), 1, 1 };
}

static int plan_batch_norm(const void *params, const struct shape *input,
			   const struct model_env *env, struct layer_plan *plan, struct error *err)
{
	static const struct layer_tensor tensors[TENSORS] = {
		[WEIGHT] = { .suffix = "weight", .value = 1 },
		[BIAS] = { .suffix = "bias", .bias = true },
		[RUNNING_MEAN] = { .suffix = "running_mean" },
		[RUNNING_VAR] = { .suffix = "running_var", .value = 1 },
		[BATCHES] = { .suffix = "num_batches_tracked", .rate = 1 },
	};
	const struct batch_norm_params *norm = params;
	size_t channels = extent_of(input).channels;

	(void)env;
	(void)err;
	memcpy(plan->tensor, tensors, sizeof(tensors));
	for (size_t i = 0; i < BATCHES; i++)
		plan->tensor[i].shape = (struct shape){ .dim = { channels }, .rank = 1 };
	plan->tensor[RUNNING_MEAN].rate = plan->tensor[RUNNING_VAR].rate = norm->momentum;
	plan->tensors = TENSORS;
	plan->scratch_bytes = 2 * channels * sizeof(float);
	plan->kept_bytes = channels * sizeof(struct plane_norm) + 2 * channels * sizeof(double);
	plan->flops = 2.0 * (double)shape_count(input);
	return 0;
}

/* kept: of the batch, how each channel is normalised, its mean and its variance. scratch: two sums
 * of each channel and sample. */
struct work {
	const struct layer_call *call;
	struct extent extent;
	struct plane_norm *norm;
	double *mean, *variance;
	float *sums; /* [batch][2][channels] */
	const float *in;
	float *out; /* forward's, or backward's din */
	float *dout;
};

static struct work work_of(const struct layer_call *call)
{
	struct work work = { .call = call, .extent = extent_of(call->input) };

	work.mean = call->kept;
	work.variance = work.mean + work.extent.channels;
	work.norm = (struct plane_norm *)(void *)(work.variance + work.extent.channels);
	work.sums = call->scratch;
	return work;
}

static void row_moments(const struct extent *extent, const float *x, float *mean, float *squares)
{
	size_t channels = extent->channels, rows = extent->rows;

	memset(mean, 0, 2 * channels * sizeof(*mean));
	for (size_t i = 0; i < rows; i++)
		for (size_t c = 0; c < channels; c++)
			mean[c] += x[i * channels + c];
	for (size_t c = 0; c < channels; c++)
		mean[c] /= (float)rows;
	for (size_t i = 0; i < rows; i++)
		for (size_t c = 0; c < channels; c++) {
			float away = x[i * channels + c] - mean[c];

			squares[c] += away * away;
		}
}

static void note_moments(void *arg, size_t sample, size_t member)
{
	const struct work *work = arg;
	const struct extent *extent = &work->extent;
	const float *x = work->in + sample * work->call->inputs;
	float *mean = work->sums + sample * 2 * extent->channels;
	float *squares = mean + extent->channels;

	(void)member;
	if (extent->inner == 1)
		row_moments(extent, x, mean, squares);
	else
		for (size_t c = 0; c < extent->channels; c++)
			kernels()->plane_moments(x + c * extent->inner, extent->inner, &mean[c],
						 &squares[c]);
}

/* Of all samples, as many numbers in each: squares add up, and so do those of the means. */
static void combine_moments(struct work *work)
{
	size_t channels = work->extent.channels, batch = work->call->batch;
	double numbers = (double)(work->extent.rows * work->extent.inner);

	memset(work->mean, 0, 2 * channels * sizeof(double));
	for (size_t i = 0; i < batch; i++)
		for (size_t c = 0; c < channels; c++)
			work->mean[c] += (double)work->sums[i * 2 * channels + c];
	for (size_t c = 0; c < channels; c++)
		work->mean[c] /= (double)batch;
	for (size_t i = 0; i < batch; i++) {
		const float *mean = work->sums + i * 2 * channels, *squares = mean + channels;

		for (size_t c = 0; c < channels; c++) {
			double away = (double)mean[c] - work->mean[c];

			work->variance[c] += (double)squares[c] / numbers + away * away;
		}
	}
	for (size_t c = 0; c < channels; c++)
		work->variance[c] /= (double)batch;
}

static void take_running(struct work *work)
{
	for (size_t c = 0; c < work->extent.channels; c++) {
		work->mean[c] = (double)work->call->weight[RUNNING_MEAN][c];
		work->variance[c] = (double)work->call->weight[RUNNING_VAR][c];
	}
}

static double inverse_deviation(const struct work *work, size_t channel)
{
	const struct batch_norm_params *norm = work->call->params;

	return 1 / sqrt(work->variance[channel] + norm->eps);
}

static void find_scales(struct work *work)
{
	const struct layer_call *call = work->call;

	for (size_t c = 0; c < work->extent.channels; c++) {
		double a = (double)call->weight[WEIGHT][c] * inverse_deviation(work, c);

		work->norm[c] = (struct plane_norm){
			.a = (float)a,
			.b = call->weight[BIAS][c],
			.mean = (float)work->mean[c],
			.relu = call->relu,
		};
	}
}

static void scale_rows(const struct work *work, const float *x, float *y)
{
	size_t channels = work->extent.channels;

	for (size_t i = 0; i < work->extent.rows; i++)
		for (size_t c = 0; c < channels; c++) {
			const struct plane_norm *norm = &work->norm[c];
			float z = norm->a * (x[i * channels + c] - norm->mean) + norm->b;

			y[i * channels + c] = norm->relu && z < 0 ? 0 : z;
		}
}

/* From the last sample, which the cache still holds. */
static void scale(void *arg, size_t chunk, size_t member)
{
	const struct work *work = arg;
	size_t at = (work->call->batch - 1 - chunk) * work->call->inputs;
	size_t inner = work->extent.inner;

	(void)member;
	if (inner == 1)
		scale_rows(work, work->in + at, work->out + at);
	else
		for (size_t c = 0; c < work->extent.channels; c++)
			kernels()->plane_scale(work->out + at + c * inner,
					       work->in + at + c * inner, inner, &work->norm[c]);
}

static void forward(const struct layer_call *call, const float *in, float *out)
{
	struct work work = work_of(call);

	work.in = in;
	work.out = out;
	if (call->batch == 0)
		return;
	if (call->training) {
		team_run(call->team, call->batch, note_moments, &work);
		combine_moments(&work);
	} else {
		take_running(&work);
	}
	find_scales(&work);
	team_run(call->team, call->batch, scale, &work);
}

static void row_sums(const struct work *work, const float *x, const float *dy, float *sums)
{
	size_t channels = work->extent.channels;

	memset(sums, 0, 2 * channels * sizeof(*sums));
	for (size_t i = 0; i < work->extent.rows; i++)
		for (size_t c = 0; c < channels; c++) {
			const struct plane_norm *norm = &work->norm[c];
			float at = x[i * channels + c] - norm->mean, slope = dy[i * channels + c];

			slope = norm->relu && !(norm->a * at + norm->b > 0) ? 0 : slope;
			sums[2 * c] += slope;
			sums[2 * c + 1] += slope * at;
		}
}

static void note_sums(void *arg, size_t sample, size_t member)
{
	const struct work *work = arg;
	size_t at = sample * work->call->inputs, inner = work->extent.inner;
	float *sums = work->sums + sample * 2 * work->extent.channels;

	(void)member;
	if (inner == 1)
		row_sums(work, work->in + at, work->dout + at, sums);
	else
		for (size_t c = 0; c < work->extent.channels; c++)
			kernels()->plane_sums(work->in + at + c * inner,
					      work->dout + at + c * inner, inner, &work->norm[c],
					      sums + 2 * c);
}

/* With s = 1/sqrt(variance + eps), n numbers in all: dx = weight s (dy - sum(dy)/n -
 * (x - mean) s^2 sum(dy (x - mean))/n). */
static void combine_sums(struct work *work, size_t channel)
{
	const struct layer_call *call = work->call;
	size_t channels = work->extent.channels;
	double numbers = (double)(call->batch * work->extent.rows * work->extent.inner);
	double s = inverse_deviation(work, channel), sums[2] = { 0 };
	struct plane_norm *norm = &work->norm[channel];

	for (size_t i = 0; i < call->batch; i++) {
		const float *sample = work->sums + 2 * (i * channels + channel);

		sums[0] += (double)sample[0];
		sums[1] += (double)sample[1];
	}
	call->grad[BIAS][channel] = (float)sums[0];
	call->grad[WEIGHT][channel] = (float)(sums[1] * s);
	norm->p = (float)((double)call->weight[WEIGHT][channel] * s);
	if (!call->training)
		return;
	norm->q = (float)(-(double)norm->p * s * s * sums[1] / numbers);
	norm->r = (float)(-(double)norm->p * sums[0] / numbers);
}

/* What the running statistics move by: running -= momentum * (running - batch). */
static void note_statistics(struct work *work)
{
	const struct layer_call *call = work->call;
	double numbers = (double)(call->batch * work->extent.rows * work->extent.inner);
	double unbiased = numbers > 1 ? numbers / (numbers - 1) : 1;
	double share = call->training ? (double)call->batch / (double)call->total : 0;

	for (size_t c = 0; c < work->extent.channels; c++) {
		double mean = (double)call->weight[RUNNING_MEAN][c] - work->mean[c];
		double variance =
			(double)call->weight[RUNNING_VAR][c] - work->variance[c] * unbiased;

		call->grad[RUNNING_MEAN][c] = (float)(mean * share);
		call->grad[RUNNING_VAR][c] = (float)(variance * share);
	}
	*call->grad[BATCHES] = (float)-share;
}

static void slope_rows(const struct work *work, const float *x, const float *dy, float *dx)
{
	size_t channels = work->extent.channels;

	for (size_t i = 0; i < work->extent.rows; i++)
		for (size_t c = 0; c < channels; c++) {
			const struct plane_norm *norm = &work->norm[c];
			float at = x[i * channels + c] - norm->mean, slope = dy[i * channels + c];

			slope = norm->relu && !(norm->a * at + norm->b > 0) ? 0 : slope;
			dx[i * channels + c] = norm->p * slope + norm->q * at + norm->r;
		}
}

static void slope(void *arg, size_t chunk, size_t member)
{
	const struct work *work = arg;
	size_t at = (work->call->batch - 1 - chunk) * work->call->inputs;
	size_t inner = work->extent.inner;

	(void)member;
	if (inner == 1)
		slope_rows(work, work->in + at, work->dout + at, work->out + at);
	else
		for (size_t c = 0; c < work->extent.channels; c++)
			kernels()->plane_slope(work->out + at + c * inner,
					       work->in + at + c * inner,
					       work->dout + at + c * inner, inner, &work->norm[c]);
}

static void backward(const struct layer_call *call, const float *in, const float *out, float *dout,
		     float *din)
{
	struct work work = work_of(call);

	(void)out;
	work.in = in;
	work.dout = dout;
	work.out = din;
	if (call->batch == 0) {
		for (size_t i = 0; i < BATCHES; i++)
			memset(call->grad[i], 0, work.extent.channels * sizeof(float));
		*call->grad[BATCHES] = 0;
		return;
	}
	team_run(call->team, call->batch, note_sums, &work);
	for (size_t c = 0; c < work.extent.channels; c++)
		combine_sums(&work, c);
	note_statistics(&work);
	if (din)
		team_run(call->team, call->batch, slope, &work);
}

const struct layer layer_batch_norm = {
	.entry = { .name = "batch_norm",
		   .summary = "every channel gets one mean and deviation over the batch",
		   .options = options,
		   .params_size = sizeof(struct batch_norm_params) },
	.reads_in = true,
	.in_place = true,
	.takes_relu = true,
	.plan = plan_batch_norm,
	.forward = forward,
	.backward = backward,
};
