/* Shapes of schedules: as values, as schedules, and by name. */
#include "lib/plan_shape.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "lib/buf.h"
#include "lib/memory.h"
#include "lib/plan.h"

/* A phase is slow if it takes so much longer than the fastest. */
static const double FAR = 1.25;

/* Racks, then columns: as many as the smallest rack has ranks, with a share of every rack each. */
static struct schedule racks_and_columns(const struct partition *racks, const int *order, int world)
{
	struct schedule schedule = schedule_new(world, 2);
	struct partition *columns = &schedule.phase[1];
	int count = world, filled = 0;

	for (int g = 0; g < racks->groups; g++)
		count = racks->sizes[g] < count ? racks->sizes[g] : count;
	partition_copy(&schedule.phase[0], racks);
	memcpy(schedule.phase[0].ranks, order, (size_t)world * sizeof(int));
	*columns = (struct partition){ .ranks = xcalloc((size_t)world, sizeof(int)),
				       .sizes = xcalloc((size_t)count, sizeof(int)),
				       .groups = count };
	for (int c = 0; c < count; c++) {
		int start = 0, before = filled;

		PARTITION_GROUPS (racks, g, start)
			for (int j = 0; j < racks->sizes[g]; j++)
				if (j * count / racks->sizes[g] == c)
					columns->ranks[filled++] = order[start + j];
		columns->sizes[c] = filled - before;
	}
	return schedule;
}

static struct schedule radix_and_all(int world, const int *order, const struct plan_shape *shape)
{
	struct schedule radix = schedule_radix(world, order, shape->radix, shape->bases);
	struct schedule schedule = schedule_new(world, shape->bases + 1);

	for (int p = 0; p < shape->bases; p++)
		partition_copy(&schedule.phase[p], &radix.phase[p]);
	schedule.phase[shape->bases] = partition_flat(world, order);
	schedule_release(&radix);
	return schedule;
}

struct schedule plan_shape_bases(const struct plan_shape *shape, int world, const int *order,
				 const struct partition *racks)
{
	switch (shape->kind) {
	case SHAPE_RADIX: return schedule_radix(world, order, shape->radix, shape->bases);
	case SHAPE_RADIX_AND_ALL: return radix_and_all(world, order, shape);
	case SHAPE_ROTATION: return schedule_rotating(world, order, shape->size, shape->bases);
	case SHAPE_RACKS: break;
	}
	return racks_and_columns(racks, order, world);
}

struct schedule plan_shape_schedule(const struct plan_shape *shape, int world, const int *order,
				    const struct partition *racks)
{
	struct schedule bases = plan_shape_bases(shape, world, order, racks);
	struct schedule schedule = schedule_new(bases.world, shape->length);

	for (int p = 0; p < shape->length; p++)
		partition_copy(&schedule.phase[p], &bases.phase[shape->sequence[p]]);
	schedule_release(&bases);
	return schedule;
}

int plan_shape_wait(const struct plan_shape *shape)
{
	bool all = shape->kind == SHAPE_RADIX_AND_ALL;
	int longest = 0;

	for (int base = all ? shape->bases : 0; base < shape->bases + all; base++)
		for (int p = 0; p < shape->length; p++) {
			int wait = 1;

			if (shape->sequence[p] != base)
				continue;
			while (shape->sequence[(p + wait) % shape->length] != base)
				wait++;
			longest = wait > longest ? wait : longest;
		}
	return longest;
}

void plan_shape_plain(struct plan_shape *shape)
{
	shape->near = shape->far = 0;
	shape->length = shape->bases;
	for (int p = 0; p < shape->length; p++)
		shape->sequence[p] = p;
}

bool plan_shape_repeat(struct plan_shape *shape, const double *seconds, int repeats)
{
	int near[SHAPE_SEQUENCE], far[SHAPE_SEQUENCE], nears = 0, fars = 0, i = 0, j = 0;
	double least = INFINITY;

	for (int base = 0; base < shape->bases; base++)
		least = fmin(least, seconds[base]);
	for (int base = 0; base < shape->bases; base++)
		if (seconds[base] > FAR * least)
			far[fars++] = base;
		else
			near[nears++] = base;
	if (shape->kind == SHAPE_RADIX_AND_ALL) {
		far[0] = shape->bases;
		fars = 1;
	}
	if (fars == 0)
		return false;
	shape->length = 0;
	do {
		if (shape->length + repeats + 1 > SHAPE_SEQUENCE)
			return false;
		for (int r = 0; r < repeats; r++)
			shape->sequence[shape->length++] = near[i++ % nears];
		shape->sequence[shape->length++] = far[j++ % fars];
	} while (i % nears != 0 || j % fars != 0);
	shape->near = repeats;
	shape->far = 1;
	return true;
}

char *plan_shape_name(const struct plan_shape *shape, const char *order)
{
	struct buf name = { 0 };

	buf_addf(&name, "%s ", plan_kind_name(PLAN_DS_SYNC));
	if (shape->kind == SHAPE_ROTATION)
		buf_addf(&name, "groups of %d that rotate", shape->size);
	else if (shape->kind == SHAPE_RACKS)
		buf_addf(&name, "racks and columns");
	else
		for (int a = 0; a < shape->bases; a++)
			buf_addf(&name, "%s%d", a ? "x" : "", shape->radix[a]);
	if (shape->kind == SHAPE_RADIX_AND_ALL)
		buf_addf(&name, " (%d near, 1 of all)", shape->near);
	else if (shape->far)
		buf_addf(&name, " (%d near, %d far)", shape->near, shape->far);
	buf_addf(&name, ", %s", order);
	return buf_take(&name);
}
