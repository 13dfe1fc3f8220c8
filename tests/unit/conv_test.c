/* Convolutions against plain sums in float64, with every instruction set and number of threads. */
#include "tests/unit/unit.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/device/conv.h"
#include "runtime/device/kernels.h"
#include "runtime/device/team.h"
#include "tests/unit/part.h"

struct bench {
	struct conv conv;
	size_t batch, ins, outs, weights;
	float *in, *weight, *bias, *dout;
	float *out, *din, *weight_slope, *bias_slope; /* what is tested */
	double *sums;				      /* what is right */
};

static struct conv conv_of(size_t channels, size_t height, size_t width, size_t outputs,
			   size_t kernel, size_t stride, size_t padding, size_t groups)
{
	return (struct conv){
		.channels = channels,
		.height = height,
		.width = width,
		.outputs = outputs,
		.kernel = kernel,
		.stride = stride,
		.padding = padding,
		.groups = groups,
		.out_height = (height + 2 * padding - kernel) / stride + 1,
		.out_width = (width + 2 * padding - kernel) / stride + 1,
	};
}

static void bench_init(struct bench *b, struct conv conv, size_t batch)
{
	*b = (struct bench){ .conv = conv, .batch = batch };
	b->ins = batch * conv.channels * conv.height * conv.width;
	b->outs = batch * conv.outputs * conv.out_height * conv.out_width;
	b->weights = conv.outputs * (conv.channels / conv.groups) * conv.kernel * conv.kernel;
	b->in = filled(b->ins, 1, 0);
	b->weight = filled(b->weights, 2, 0);
	b->bias = filled(conv.outputs, 3, 0);
	b->dout = filled(b->outs, 4, 0);
	b->out = xaligned(b->outs * sizeof(float));
	b->din = xaligned(b->ins * sizeof(float));
	b->weight_slope = xaligned(b->weights * sizeof(float));
	b->bias_slope = xaligned(conv.outputs * sizeof(float));
	b->sums = xcalloc(b->ins + b->outs + b->weights + conv.outputs, sizeof(double));
}

static void bench_release(struct bench *b)
{
	float *arrays[] = { b->in,  b->weight, b->bias,		b->dout,
			    b->out, b->din,    b->weight_slope, b->bias_slope };

	for (size_t i = 0; i < ARRAY_SIZE(arrays); i++)
		free(arrays[i]);
	free(b->sums);
}

static void run(struct bench *b, size_t threads, bool relu)
{
	struct team *team = team_new(threads);
	struct conv_call call = { .conv = &b->conv,
				  .batch = b->batch,
				  .weight = b->weight,
				  .bias = b->bias,
				  .relu = relu,
				  .team = team };
	float *dout = xaligned(b->outs * sizeof(float));

	team_reserve(team, conv_workspace_bytes(&b->conv));
	call.room = xaligned(conv_room_bytes(&b->conv));
	memcpy(dout, b->dout, b->outs * sizeof(float));
	for (size_t i = 0; i < b->ins; i++)
		b->din[i] = NAN; /* all is overwritten */
	conv_forward(&call, b->in, b->out);
	conv_backward(&call, b->in, b->out, dout, b->weight_slope, b->bias_slope, b->din);
	free(dout);
	free(call.room);
	team_free(team);
}

/* One number of the output: calls visit for each product that it has. */
typedef void visit(struct bench *b, size_t out, size_t in, size_t weight);

static void visit_window(struct bench *b, size_t sample, size_t k, size_t y, size_t x,
			 visit *product)
{
	const struct conv *conv = &b->conv;
	size_t channels = conv->channels / conv->groups, outputs = conv->outputs / conv->groups;
	size_t out = ((sample * conv->outputs + k) * conv->out_height + y) * conv->out_width + x;

	for (size_t t = 0; t < channels * conv->kernel * conv->kernel; t++) {
		size_t c = t / conv->kernel / conv->kernel + k / outputs * channels;
		size_t row = y * conv->stride + t / conv->kernel % conv->kernel - conv->padding;
		size_t column = x * conv->stride + t % conv->kernel - conv->padding;

		if (row < conv->height && column < conv->width)
			product(b, out,
				((sample * conv->channels + c) * conv->height + row) * conv->width +
					column,
				k * channels * conv->kernel * conv->kernel + t);
	}
}

static void visit_all(struct bench *b, visit *product)
{
	const struct conv *conv = &b->conv;
	size_t area = conv->out_height * conv->out_width;

	for (size_t i = 0; i < b->outs; i++)
		visit_window(b, i / area / conv->outputs, i / area % conv->outputs,
			     i % area / conv->out_width, i % conv->out_width, product);
}

static void add_output(struct bench *b, size_t out, size_t in, size_t weight)
{
	b->sums[out] += (double)b->in[in] * (double)b->weight[weight];
}

static void add_slopes(struct bench *b, size_t out, size_t in, size_t weight)
{
	b->sums[b->outs + in] += (double)b->dout[out] * (double)b->weight[weight];
	b->sums[b->outs + b->ins + weight] += (double)b->dout[out] * (double)b->in[in];
}

/* Sums of n products of numbers up to 1, rounded to 2^-24 each. */
static void compare(const struct bench *b, const char *what, const float *x, const double *right,
		    size_t count, size_t n)
{
	for (size_t i = 0; i < count; i++)
		if (!(fabs((double)x[i] - right[i]) <= 1e-6 * sqrt((double)n) * 4))
			fail_msg("%s %zu of %zu is %g, not %g (%zux%zux%zu, %zu outputs, kernel "
				 "%zu, stride %zu, padding %zu, groups %zu)",
				 what, i, count, (double)x[i], right[i], b->conv.channels,
				 b->conv.height, b->conv.width, b->conv.outputs, b->conv.kernel,
				 b->conv.stride, b->conv.padding, b->conv.groups);
}

static void check_set(struct conv conv, size_t batch, bool relu)
{
	size_t area = conv.out_height * conv.out_width;
	double *out, *din, *weight, *bias;
	struct bench b;

	bench_init(&b, conv, batch);
	out = b.sums;
	din = out + b.outs;
	weight = din + b.ins;
	bias = weight + b.weights;
	run(&b, 1, relu);
	visit_all(&b, add_output);
	for (size_t i = 0; i < b.outs; i++) {
		out[i] += (double)b.bias[i / area % conv.outputs];
		if (relu && out[i] < 0)
			out[i] = 0;
	}
	compare(&b, "output", b.out, out, b.outs, b.weights / conv.outputs);
	for (size_t i = 0; i < b.outs; i++) {
		if (relu && !(b.out[i] > 0))
			b.dout[i] = 0;
		bias[i / area % conv.outputs] += (double)b.dout[i];
	}
	visit_all(&b, add_slopes);
	compare(&b, "derivative by input", b.din, din, b.ins,
		conv.outputs / conv.groups * conv.kernel * conv.kernel);
	compare(&b, "derivative by weight", b.weight_slope, weight, b.weights, batch * area);
	compare(&b, "derivative by bias", b.bias_slope, bias, conv.outputs, batch * area);
	bench_release(&b);
}

static void check(struct conv conv, size_t batch, bool relu)
{
	for (const struct kernels *const *set = kernels_all(); *set; set++) {
		kernels_choose(*set);
		check_set(conv, batch, relu);
	}
	kernels_choose(NULL);
}

static void odd_shapes_match_plain_sums(void **state)
{
	(void)state;
	for (size_t kernel = 1; kernel <= 5; kernel++)
		for (size_t stride = 1; stride <= 4; stride++)
			for (size_t padding = 0; padding < kernel; padding++) {
				size_t side = 4 + kernel + stride + padding;

				if ((kernel + stride + padding) % SPACING == 0)
					check(conv_of(3, side, side + 2, 5, kernel, stride, padding,
						      1),
					      3, padding % 2);
			}
}

static void shapes_of_networks_match_plain_sums(void **state)
{
	static const size_t convs[][8] = {
		{ 1, 28, 28, 6, 5, 1, 2, 1 },	{ 6, 14, 14, 16, 5, 1, 0, 1 },
		{ 3, 32, 32, 16, 3, 1, 1, 1 },	{ 16, 32, 32, 16, 3, 1, 1, 1 },
		{ 16, 32, 32, 32, 3, 2, 1, 1 }, { 16, 32, 32, 32, 1, 2, 0, 1 },
		{ 32, 16, 16, 32, 3, 1, 1, 1 }, { 32, 16, 16, 64, 3, 2, 1, 1 },
		{ 64, 8, 8, 64, 3, 1, 1, 1 },	{ 40, 4, 4, 20, 3, 1, 1, 1 },
		{ 17, 2, 2, 33, 3, 1, 1, 1 },	{ 8, 7, 9, 8, 1, 1, 0, 1 },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(convs); i += SPACING) {
		const size_t *c = convs[i];

		check(conv_of(c[0], c[1], c[2], c[3], c[4], c[5], c[6], c[7]), 2, i % 2);
	}
}

static void groups_do_not_meet(void **state)
{
	(void)state;
	check(conv_of(6, 9, 16, 4, 3, 1, 1, 2), 2, true);
	check(conv_of(12, 8, 16, 24, 3, 2, 1, 3), 2, false);
	check(conv_of(20, 7, 7, 20, 3, 1, 1, 20), 2, false);
	check(conv_of(5, 16, 32, 10, 5, 2, 2, 5), 9, true);
}

static void assert_same(const struct bench *a, const struct bench *b)
{
	assert_memory_equal(a->out, b->out, a->outs * sizeof(float));
	assert_memory_equal(a->din, b->din, a->ins * sizeof(float));
	assert_memory_equal(a->weight_slope, b->weight_slope, a->weights * sizeof(float));
	assert_memory_equal(a->bias_slope, b->bias_slope, a->conv.outputs * sizeof(float));
}

static void the_number_of_threads_changes_no_bit(void **state)
{
	struct conv conv = conv_of(6, 14, 14, 20, 5, 2, 2, 2);
	struct bench one, more;

	(void)state;
	bench_init(&one, conv, 13);
	run(&one, 1, true);
	for (size_t threads = 2; threads <= 3; threads++) {
		bench_init(&more, conv, 13);
		run(&more, threads, true);
		assert_same(&one, &more);
		bench_release(&more);
	}
	bench_release(&one);
}

static void an_empty_batch_has_no_slope(void **state)
{
	struct bench b;

	(void)state;
	bench_init(&b, conv_of(3, 5, 5, 4, 3, 1, 1, 1), 0);
	b.weight_slope[0] = b.bias_slope[0] = NAN;
	run(&b, 1, false);
	for (size_t i = 0; i < b.weights; i++)
		assert_true(b.weight_slope[i] == 0);
	assert_true(b.bias_slope[0] == 0);
	bench_release(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(odd_shapes_match_plain_sums),
		cmocka_unit_test(shapes_of_networks_match_plain_sums),
		cmocka_unit_test(groups_do_not_meet),
		cmocka_unit_test(the_number_of_threads_changes_no_bit),
		cmocka_unit_test(an_empty_batch_has_no_slope),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
