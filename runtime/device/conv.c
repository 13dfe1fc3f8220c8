/* Convolutions: what is copied, in which order weights lie, and who does which sample. */
#include "runtime/device/conv.h"

#include <assert.h>
#include <string.h>

#include "runtime/device/conv_view.h"
#include "runtime/device/kernels.h"
#include "runtime/device/team.h"
#include "runtime/slice.h"

enum { LANES = CONV_LANES, PARTS = 8, LINE = 64, MOST_PASSES = CONV_MAX_STRIDE * CONV_MAX_STRIDE };

/* Takes memory from a room; with `at` NULL, only counts. */
struct room {
	char *at;
	size_t bytes;
};

static void *take(struct room *room, size_t bytes)
{
	void *taken = room->at ? room->at + room->bytes : NULL;

	room->bytes += slice_round_up(bytes, LINE);
	return taken;
}

/* Sums that all have the same taps: of the forward pass, or of every stride-th pixel of din. */
struct pass {
	struct conv_view view;
	size_t taps, pixels, pixel_groups, copy_floats;
	size_t channels, blocks, block; /* of each group's output */
	size_t *tap_at, *group_at;
	float *weight, *bias; /* [groups][blocks * block ...] */
	size_t first_row, first_column;
};

static void lay_out(struct conv_view *view)
{
	view->by_row = view->out_width % LANES == 0 && view->columns > 1;
	if (view->by_row) {
		view->copies_down = 1;
		view->copies_across = view->step < view->columns ? view->step : view->columns;
		view->row_step = 1;
		view->lines = (view->out_height - 1) * view->step + view->rows;
		view->pitch = view->out_width + (view->columns - 1) / view->step;
	} else {
		view->copies_down = view->step < view->rows ? view->step : view->rows;
		view->copies_across = view->columns;
		view->row_step = view->step;
		view->lines = view->out_height + (view->rows - 1) / view->step;
		view->pitch = view->out_width;
	}
}

static size_t tap_at(const struct conv_view *view, size_t channel, size_t row, size_t column)
{
	size_t down = view->by_row ? 0 : row % view->step;
	size_t across = view->by_row ? column % view->step : column;
	size_t line = view->by_row ? row : row / view->step;
	size_t at = view->by_row ? column / view->step : 0;
	size_t copy = (down * view->copies_across + across) * view->channels + channel;

	return (copy * view->lines + line) * view->pitch + at;
}

static size_t group_at(const struct conv_view *view, size_t group)
{
	size_t y = group * LANES / view->out_width, x = group * LANES % view->out_width;

	return view->by_row ? y * view->step * view->pitch + x : group * LANES;
}

static void plan_pass(struct pass *pass, size_t groups, size_t channels, struct room *room)
{
	struct conv_view *view = &pass->view;

	lay_out(view);
	pass->taps = view->channels * view->rows * view->columns;
	pass->pixels = view->out_height * view->out_width;
	pass->pixel_groups = slice_pieces(pass->pixels, LANES);
	pass->copy_floats = view->copies_down * view->copies_across * view->channels * view->lines *
				    view->pitch +
			    LANES;
	pass->channels = channels;
	pass->blocks = slice_pieces(channels, CONV_BLOCK);
	pass->block = slice_pieces(channels, pass->blocks);
	pass->tap_at = take(room, pass->taps * sizeof(size_t));
	pass->group_at = take(room, pass->pixel_groups * sizeof(size_t));
	pass->weight = take(room, groups * pass->blocks * pass->block * pass->taps * sizeof(float));
	pass->bias = take(room, groups * pass->blocks * pass->block * sizeof(float));
	if (!room->at)
		return;
	for (size_t c = 0, t = 0; c < view->channels; c++)
		for (size_t i = 0; i < view->rows; i++)
			for (size_t j = 0; j < view->columns; j++)
				pass->tap_at[t++] = tap_at(view, c, i, j);
	for (size_t g = 0; g < pass->pixel_groups; g++)
		pass->group_at[g] = group_at(view, g);
}

static void plan_forward(const struct conv *conv, struct pass *pass, struct room *room)
{
	pass->view = (struct conv_view){
		.channels = conv->channels / conv->groups,
		.height = conv->height,
		.width = conv->width,
		.top = -(ptrdiff_t)conv->padding,
		.left = -(ptrdiff_t)conv->padding,
		.rows = conv->kernel,
		.columns = conv->kernel,
		.step = conv->stride,
		.out_height = conv->out_height,
		.out_width = conv->out_width,
	};
	plan_pass(pass, conv->groups, conv->outputs / conv->groups, room);
}

/* Of the rows (or columns) a, a + stride, ... of din: which rows of the kernel reach them, and from
 * which rows of dout. The last of them comes first. */
struct reach {
	size_t taps, last;
	ptrdiff_t from;
	size_t length;
};

static struct reach reach_of(const struct conv *conv, size_t a, size_t length)
{
	size_t first = (a + conv->padding) % conv->stride;
	struct reach reach = { .length = a < length ? slice_pieces(length - a, conv->stride) : 0 };

	if (first >= conv->kernel)
		return reach;
	reach.taps = (conv->kernel - 1 - first) / conv->stride + 1;
	reach.last = first + (reach.taps - 1) * conv->stride;
	reach.from =
		((ptrdiff_t)(a + conv->padding) - (ptrdiff_t)reach.last) / (ptrdiff_t)conv->stride;
	return reach;
}

/* The pass for the pixels (a + i * stride, b + j * stride) of din; without taps these are 0. */
static void plan_backward(const struct conv *conv, size_t a, size_t b, struct pass *pass,
			  struct room *room)
{
	struct reach down = reach_of(conv, a, conv->height);
	struct reach across = reach_of(conv, b, conv->width);

	*pass = (struct pass){ .first_row = down.last, .first_column = across.last };
	pass->view = (struct conv_view){
		.channels = conv->outputs / conv->groups,
		.height = conv->out_height,
		.width = conv->out_width,
		.top = down.from,
		.left = across.from,
		.rows = down.taps,
		.columns = across.taps,
		.step = 1,
		.out_height = down.length,
		.out_width = across.length,
	};
	if (down.taps * across.taps * down.length * across.length > 0)
		plan_pass(pass, conv->groups, conv->channels / conv->groups, room);
}

struct work {
	const struct conv_call *call;
	const struct conv *conv;
	struct pass forward;
	struct pass backward[MOST_PASSES];
	size_t passes;
	float *parts;			  /* [PARTS][part_floats] */
	size_t slabs, lanes, part_floats; /* of a group's outputs: slabs of so many lanes */
	size_t copy_floats, turned_floats;
	const float *in, *out;
	float *to, *dout, *din, *weight_slope, *bias_slope;
};

/* The same layout whoever asks: to size it, to run forward, to run backward. */
static struct room plan(const struct conv *conv, struct work *work, char *memory)
{
	struct room room = { .at = memory };

	*work = (struct work){ .conv = conv, .passes = conv->stride * conv->stride };
	plan_forward(conv, &work->forward, &room);
	work->copy_floats = work->forward.copy_floats;
	for (size_t i = 0; i < work->passes; i++) {
		plan_backward(conv, i / conv->stride, i % conv->stride, &work->backward[i], &room);
		if (work->backward[i].copy_floats > work->copy_floats)
			work->copy_floats = work->backward[i].copy_floats;
	}
	work->lanes = conv->outputs / conv->groups > LANES ? 2 * LANES : LANES;
	work->slabs = slice_pieces(conv->outputs / conv->groups, work->lanes);
	work->part_floats = conv->groups * work->slabs * (work->forward.taps + 1) * work->lanes;
	work->parts = take(&room, PARTS * work->part_floats * sizeof(float));
	work->turned_floats = work->forward.pixel_groups * LANES * work->lanes;
	return room;
}

size_t conv_room_bytes(const struct conv *conv)
{
	struct work work;

	return plan(conv, &work, NULL).bytes;
}

static size_t workspace_floats(const struct work *work)
{
	size_t phase = work->conv->stride > 1 ? work->conv->height * work->conv->width : 0;

	return work->copy_floats + work->turned_floats + phase * work->conv->channels;
}

size_t conv_workspace_bytes(const struct conv *conv)
{
	struct work work;

	plan(conv, &work, NULL);
	return workspace_floats(&work) * sizeof(float);
}

/* One block of one group. weight: [groups][blocks][taps][block] */
static void pack_forward(void *arg, size_t number, size_t member)
{
	const struct work *work = arg;
	const struct pass *pass = &work->forward;
	size_t group = number / pass->blocks, first = number % pass->blocks * pass->block;
	float *to = pass->weight + number * pass->block * pass->taps;
	float *bias = pass->bias + number * pass->block;

	(void)member;
	for (size_t k = 0; k < pass->block; k++) {
		size_t output = group * pass->channels + first + k;
		bool real = first + k < pass->channels;
		const float *from = work->call->weight + output * pass->taps;

		for (size_t t = 0; t < pass->taps; t++)
			to[t * pass->block + k] = real ? from[t] : 0;
		bias[k] = real && work->call->bias ? work->call->bias[output] : 0;
	}
}

static void multiply(const struct work *work, const struct pass *pass, size_t group,
		     const float *copy, float *out, size_t plane)
{
	size_t padded = pass->blocks * pass->block;

	kernels()->conv_product(&(struct conv_product){
		.copy = copy,
		.tap_at = pass->tap_at,
		.group_at = pass->group_at,
		.taps = pass->taps,
		.groups = pass->pixel_groups,
		.pixels = pass->pixels,
		.weight = pass->weight + group * padded * pass->taps,
		.bias = pass == &work->forward && work->call->bias ? pass->bias + group * padded
								   : NULL,
		.channels = pass->channels,
		.block = pass->block,
		.relu = pass == &work->forward && work->call->relu,
		.out = out,
		.plane = plane,
	});
}

static void forward_sample(void *arg, size_t sample, size_t member)
{
	const struct work *work = arg;
	const struct conv *conv = work->conv;
	const struct pass *pass = &work->forward;
	float *copy = team_workspace(work->call->team, member);

	for (size_t g = 0; g < conv->groups; g++) {
		size_t planes = (sample * conv->groups + g) * pass->view.channels;
		size_t outputs = (sample * conv->groups + g) * pass->channels;

		kernels()->conv_copy(&pass->view, work->in + planes * conv->height * conv->width,
				     copy);
		multiply(work, pass, g, copy, work->to + outputs * pass->pixels, pass->pixels);
	}
}

void conv_forward(const struct conv_call *call, const float *in, float *out)
{
	struct work work;

	plan(call->conv, &work, call->room);
	work.call = call;
	work.in = in;
	work.to = out;
	team_run(call->team, call->conv->groups * work.forward.blocks, pack_forward, &work);
	team_run(call->team, call->batch, forward_sample, &work);
}

/* The kernel upside down, from the outputs of a group to one of its channels; `to` has a number at
 * every block-th place. */
static void turn_kernel(const struct work *work, const struct pass *pass, const float *weight,
			float *to)
{
	const struct conv *conv = work->conv;
	const struct conv_view *view = &pass->view;
	size_t area = conv->kernel * conv->kernel;

	for (size_t output = 0; output < view->channels; output++) {
		const float *from = weight + output * pass->channels * area;

		for (size_t i = 0; i < view->rows; i++)
			for (size_t j = 0; j < view->columns; j++, to += pass->block)
				*to = from[(pass->first_row - i * conv->stride) * conv->kernel +
					   pass->first_column - j * conv->stride];
	}
}

/* One block of one group, for all passes; they have the same blocks. */
static void pack_backward(void *arg, size_t number, size_t member)
{
	const struct work *work = arg;
	const struct conv *conv = work->conv;
	size_t channels = conv->channels / conv->groups, area = conv->kernel * conv->kernel;

	(void)member;
	for (size_t i = 0; i < work->passes; i++) {
		const struct pass *pass = &work->backward[i];
		size_t floats = pass->block * pass->taps, group, first;

		if (pass->taps == 0)
			continue;
		group = number / pass->blocks;
		first = number % pass->blocks * pass->block;
		memset(pass->weight + number * floats, 0, floats * sizeof(float));
		for (size_t k = 0; k < pass->block && first + k < channels; k++)
			turn_kernel(work, pass,
				    work->call->weight +
					    (group * pass->view.channels * channels + first + k) *
						    area,
				    pass->weight + number * floats + k);
	}
}

/* Pixels of one pass to where they belong in din. */
static void spread(const struct conv *conv, const struct pass *pass, size_t a, size_t b,
		   const float *from, float *din)
{
	for (size_t c = 0; c < conv->channels / conv->groups;
	     c++, din += conv->height * conv->width)
		for (size_t y = 0; y < pass->view.out_height; y++) {
			float *to = din + (a + y * conv->stride) * conv->width + b;

			for (size_t x = 0; x < pass->view.out_width; x++)
				to[x * conv->stride] = pass->taps ? *from++ : 0;
		}
}

static void group_din(const struct work *work, size_t group, const float *dout, float *din,
		      float *copy)
{
	const struct conv *conv = work->conv;
	float *phase = copy + work->copy_floats + work->turned_floats;

	for (size_t i = 0; i < work->passes; i++) {
		const struct pass *pass = &work->backward[i];

		if (pass->taps > 0) {
			kernels()->conv_copy(&pass->view, dout, copy);
			multiply(work, pass, group, copy, work->passes > 1 ? phase : din,
				 pass->pixels);
		}
		if (work->passes > 1)
			spread(conv, pass, i / conv->stride, i % conv->stride, phase, din);
	}
}

static void group_slope(const struct work *work, size_t group, const float *in, const float *dout,
			float *part, float *copy)
{
	const struct pass *pass = &work->forward;
	float *turned = copy + work->copy_floats;

	kernels()->conv_copy(&pass->view, in, copy);
	for (size_t i = 0; i < work->slabs; i++) {
		size_t first = i * work->lanes, left = pass->channels - first;
		float *sum = part + (group * work->slabs + i) * (pass->taps + 1) * work->lanes;

		kernels()->conv_turn(dout + first * pass->pixels, pass->pixels,
				     left < work->lanes ? left : work->lanes, pass->pixels, turned,
				     work->lanes);
		kernels()->conv_slope(&(struct conv_slope){
			.copy = copy,
			.tap_at = pass->tap_at,
			.group_at = pass->group_at,
			.taps = pass->taps,
			.groups = pass->pixel_groups,
			.lanes = work->lanes,
			.turned = turned,
			.sum = sum,
			.bias = work->bias_slope ? sum + pass->taps * work->lanes : NULL,
		});
	}
}

static void backward_sample(const struct work *work, size_t sample, float *part, float *workspace)
{
	const struct conv *conv = work->conv;
	const struct pass *pass = &work->forward;
	size_t in_group = pass->view.channels * conv->height * conv->width;
	size_t out_group = pass->channels * pass->pixels;

	for (size_t g = 0; g < conv->groups; g++) {
		size_t at = sample * conv->groups + g;
		float *dout = work->dout + at * out_group;

		if (work->call->relu)
			kernels()->relu_slope(dout, work->out + at * out_group, dout, out_group);
		group_slope(work, g, work->in + at * in_group, dout, part, workspace);
		if (work->din)
			group_din(work, g, dout, work->din + at * in_group, workspace);
	}
}

/* Every eighth of the samples has sums of its own. */
static void backward_part(void *arg, size_t number, size_t member)
{
	const struct work *work = arg;
	size_t batch = work->call->batch;
	float *part = work->parts + number * work->part_floats;
	float *workspace = team_workspace(work->call->team, member);

	memset(part, 0, work->part_floats * sizeof(*part));
	for (size_t i = number * batch / PARTS; i < (number + 1) * batch / PARTS; i++)
		backward_sample(work, i, part, workspace);
}

/* The sums of the parts, for one slab of outputs. */
static void add_parts(void *arg, size_t number, size_t member)
{
	const struct work *work = arg;
	const struct pass *pass = &work->forward;
	size_t group = number / work->slabs, lane = number % work->slabs * work->lanes;
	size_t first = group * pass->channels + lane, left = pass->channels - lane;
	size_t lanes = left < work->lanes ? left : work->lanes;

	(void)member;
	for (size_t t = 0; t <= pass->taps; t++) {
		const float *from = work->parts + (number * (pass->taps + 1) + t) * work->lanes;
		float sum[2 * LANES] = { 0 };

		for (size_t i = 0; i < PARTS; i++, from += work->part_floats)
			for (size_t k = 0; k < work->lanes; k++)
				sum[k] += from[k];
		for (size_t k = 0; k < lanes; k++) {
			if (t < pass->taps)
				work->weight_slope[(first + k) * pass->taps + t] = sum[k];
			else if (work->bias_slope)
				work->bias_slope[first + k] = sum[k];
		}
	}
}

void conv_backward(const struct conv_call *call, const float *in, const float *out, float *dout,
		   float *weight_slope, float *bias_slope, float *din)
{
	struct work work;

	plan(call->conv, &work, call->room);
	work.call = call;
	work.in = in;
	work.out = out;
	work.dout = dout;
	work.din = din;
	work.weight_slope = weight_slope;
	work.bias_slope = bias_slope;
	if (din)
		team_run(
			call->team,
			call->conv->groups *
				slice_pieces(call->conv->channels / call->conv->groups, CONV_BLOCK),
			pack_backward, &work);
	team_run(call->team, PARTS, backward_part, &work);
	team_run(call->team, call->conv->groups * work.slabs, add_parts, &work);
}
