/*
 * When the arrays between layers live, and so where. Stage i of n runs forward at moment i, the
 * loss at n, stage i backward at 2n - i. An output lives until the last that reads it; a slope (the
 * derivative of the loss by an output) from the backward pass of the last stage that reads that
 * output to the one of its own.
 */
#include <assert.h>
#include <stdlib.h>

#include "lib/memory.h"
#include "runtime/model/arena.h"
#include "runtime/model/stage.h"

enum array { OUT, SLOPE, SCRATCH, KEPT, ROOM, BACK_ROOM, ADDEND_1, ADDEND_2, PARTS };

static size_t backward_at(const struct model *model, size_t stage)
{
	return 2 * model->stage_count - stage;
}

static size_t later(size_t a, size_t b)
{
	return a > b ? a : b;
}

/* The moment after which nobody reads the output of stage i. */
static size_t out_ends(const struct model *model, size_t i)
{
	const struct stage *stage = &model->stages[i];
	bool trains = !model->env.forward_only;
	size_t end = i;

	if (i + 1 == model->stage_count)
		end = later(end, model->stage_count);
	if (trains && stage_reads_out(stage))
		end = later(end, backward_at(model, i));
	for (size_t j = i + 1; j < model->stage_count; j++) {
		const struct stage *reader = &model->stages[j];

		for (size_t k = 0; k < reader->fed_by; k++) {
			if (reader->from[k] != (int)i)
				continue;
			end = later(end, j);
			if (trains && stage_reads_in(reader))
				end = later(end, backward_at(model, j));
		}
	}
	return end;
}

/* Nobody but stage i reads the output that it would overwrite, and it is not the batch's. */
static bool may_be_in_place(const struct model *model, const struct stage *stage)
{
	const struct stage *feeder;

	if (!stage->layer->in_place || stage->from[0] == FROM_BATCH)
		return false;
	feeder = &model->stages[stage->from[0]];
	return feeder->readers == 1;
}

static void choose_in_place(struct model *model)
{
	for (size_t i = 0; i < model->stage_count; i++) {
		struct stage *stage = &model->stages[i];

		if (!may_be_in_place(model, stage))
			continue;
		stage->slope_in_place = true;
		stage->in_place = model->env.forward_only ||
				  (!stage_reads_in(stage) &&
				   !stage_reads_out(&model->stages[stage->from[0]]));
	}
}

/* The stage whose array stage i uses: its own, or that of what it overwrites. */
static size_t out_owner(const struct model *model, size_t i)
{
	while (model->stages[i].in_place)
		i = (size_t)model->stages[i].from[0];
	return i;
}

/* ... and the slope: its own, or that of its only reader, which overwrites it. */
static size_t slope_owner(const struct model *model, size_t i)
{
	for (size_t next = i + 1; next < model->stage_count; next++)
		if (model->stages[next].slope_in_place && model->stages[next].from[0] == (int)i)
			i = next;
	return i;
}

/* Extends the life of `item` to all of [begin, end]. */
static void live(struct arena_item *item, size_t bytes, size_t begin, size_t end)
{
	if (item->bytes == 0) {
		*item = (struct arena_item){ .bytes = bytes, .begin = begin, .end = end };
		return;
	}
	item->bytes = later(item->bytes, bytes);
	item->begin = begin < item->begin ? begin : item->begin;
	item->end = later(item->end, end);
}

static size_t last_reader(const struct model *model, size_t i)
{
	size_t last = i;

	for (size_t j = i + 1; j < model->stage_count; j++)
		for (size_t k = 0; k < model->stages[j].fed_by; k++)
			if (model->stages[j].from[k] == (int)i)
				last = j;
	return last;
}

/* The slope of stage i begins with the first backward pass that adds to it: the loss's, or that of
 * its last reader. */
static size_t slope_begins(const struct model *model, size_t i)
{
	if (i + 1 == model->stage_count)
		return model->stage_count;
	return backward_at(model, last_reader(model, i));
}

/* Of the readers of an output, the last begins its slope; the others add to it. */
static bool adds_to_slope(const struct model *model, size_t i, size_t input)
{
	int from = model->stages[i].from[input];

	return from != FROM_BATCH && last_reader(model, (size_t)from) != i;
}

static void plan_stage(const struct model *model, size_t i, struct arena_item (*items)[PARTS])
{
	const struct stage *stage = &model->stages[i];
	size_t batch = model->env.max_batch, out_bytes = batch * stage->outputs * sizeof(float);
	size_t back = model->env.forward_only ? i : backward_at(model, i);

	live(&items[out_owner(model, i)][OUT], out_bytes, i, out_ends(model, i));
	items[i][SCRATCH] =
		(struct arena_item){ batch * stage->plan.scratch_bytes, .begin = i, .end = back };
	items[i][KEPT] = (struct arena_item){ stage->plan.kept_bytes, .begin = i, .end = back };
	items[i][ROOM] = (struct arena_item){ stage->plan.room_bytes, .begin = i, .end = i };
	if (model->env.forward_only)
		return;
	items[i][BACK_ROOM] =
		(struct arena_item){ stage->plan.room_bytes, .begin = back, .end = back };
	live(&items[slope_owner(model, i)][SLOPE], out_bytes, slope_begins(model, i), back);
	for (size_t k = 0; k < stage->fed_by; k++)
		if (adds_to_slope(model, i, k))
			items[i][ADDEND_1 + k] =
				(struct arena_item){ batch * stage->inputs * sizeof(float),
						     .begin = back, .end = back };
}

static void point(struct model *model, size_t i, struct arena_item (*items)[PARTS])
{
	struct stage *stage = &model->stages[i];
	unsigned char *arena = model->arena;

	stage->out = (float *)(void *)(arena + items[out_owner(model, i)][OUT].offset);
	stage->scratch = arena + items[i][SCRATCH].offset;
	stage->kept = arena + items[i][KEPT].offset;
	stage->room[0] = arena + items[i][ROOM].offset;
	if (model->env.forward_only)
		return;
	stage->room[1] = arena + items[i][BACK_ROOM].offset;
	stage->slope = (float *)(void *)(arena + items[slope_owner(model, i)][SLOPE].offset);
	for (size_t k = 0; k < stage->fed_by; k++)
		if (adds_to_slope(model, i, k))
			stage->addend[k] = (float *)(void *)(arena + items[i][ADDEND_1 + k].offset);
}

void model_place(struct model *model)
{
	struct arena_item(*items)[PARTS] = xcalloc(model->stage_count, sizeof(*items));

	choose_in_place(model);
	for (size_t i = 0; i < model->stage_count; i++)
		plan_stage(model, i, items);
	model->arena_bytes = arena_place(&items[0][0], model->stage_count * PARTS);
	if (!model->env.plan_only) {
		model->arena = xaligned(model->arena_bytes);
		for (size_t i = 0; i < model->stage_count; i++)
			point(model, i, items);
	}
	free(items);
}
