/*
 * Divide and shuffle: the ranks of a group average their weights, and the groups change from step
 * to step, so that all ranks hear of each other within a few steps, while no group has to wait for
 * links that it does not use. Wang et al., "Divide-and-Shuffle Synchronization for Distributed
 * Machine Learning", INFOCOM 2021, arXiv 2007.03298. With weights X, one column per rank, the
 * group means W_t and the updates G:
 *
 *	step_then_average	X(t+1) = W_t (X_t - G(X_t))
 *	average_then_step	the same, but that the groups are one step ahead
 *	overlap			X(t+1) = W_t X_t - G(X_t)
 *
 * The mean over all ranks moves by the mean of the updates in each of them.
 */
#include "runtime/sync/sync.h"

#include <stdlib.h>
#include <string.h>

#include "lib/error.h"
#include "lib/memory.h"
#include "lib/plan.h"
#include "runtime/device/cpu.h"
#include "runtime/exchange.h"
#include "runtime/sync/ds_schedule.h"

enum variant { STEP_THEN_AVERAGE, AVERAGE_THEN_STEP, OVERLAP };
enum { GROUP = 2 }; /* the id of all of them: a rank is in one at a time */

struct params {
	int variant; /* enum variant */
	bool momentum;
	struct ds_schedule_params schedule;
};

static const char *const variant_names[] = { "step_then_average", "average_then_step", "overlap",
					     NULL };

static const struct opt options[] = {
	{ "variant", OPT_CHOICE, offsetof(struct params, variant), "step_then_average",
	  "when averages are made", .choices = variant_names },
	{ "momentum", OPT_BOOL, offsetof(struct params, momentum), "no",
	  "average the optimizer's state, too" },
	{ "schedule", OPT_CHOICE, offsetof(struct params, schedule.kind), "planned",
	  "how groups change", .choices = ds_schedule_names },
	{ "radix", OPT_COUNTS, offsetof(struct params, schedule.radix), "",
	  "sizes of the groups, one step after the other", .min = 2, .max = 65535 },
	{ "group", OPT_COUNT, offsetof(struct params, schedule.group), "2",
	  "ranks of a group where groups are random or rotate", .min = 2, .max = 65535 },
	{ 0 }
};

struct state {
	struct sync_env env;
	enum variant variant;
	struct ds_schedule schedule;
	size_t blocks; /* that are averaged: the weights, and the optimizer's if wanted */
	float *fused;  /* [blocks * count]; NULL: the weights are averaged where they are */
	bool averaged; /* `fused` is what has to be added */
};

static bool wants_plan(const void *params)
{
	return ((const struct params *)params)->schedule.kind == DS_PLANNED;
}

/* What is averaged while the step computes costs nothing until that is done. */
static void foresee(const void *params, struct plan_env *env)
{
	const struct params *given = params;

	env->momentum = given->momentum;
	env->ds_overlap = given->variant == OVERLAP;
}

static int init(void *memory, const void *params, const struct sync_env *env, struct error *err)
{
	struct state *state = memory;
	const struct params *given = params;

	state->env = *env;
	state->variant = (enum variant)given->variant;
	state->blocks = 1 + (given->momentum ? env->slot_count : 0);
	if (ds_schedule_init(&state->schedule, &given->schedule, env, err) < 0)
		return -1;
	if (state->blocks > 1 || state->variant == OVERLAP)
		state->fused = xaligned(state->blocks * env->count * sizeof(float));
	return 0;
}

static struct group group_at(struct state *state, size_t step)
{
	const struct group *world = state->env.world;
	const struct partition *partition = ds_schedule_at(&state->schedule, step);
	struct group group = { .id = GROUP, .cost = world->cost };

	group.index =
		partition_group(partition, world->ranks[world->index], &group.ranks, &group.count);
	return group;
}

static void gather(struct state *state, const float *weight)
{
	size_t count = state->env.count;

	memcpy(state->fused, weight, count * sizeof(float));
	for (size_t i = 1; i < state->blocks; i++)
		memcpy(state->fused + i * count, state->env.slots[i - 1], count * sizeof(float));
}

/* x[blocks * count] becomes the mean over this rank's group. */
static int average_in_group(struct state *state, const struct group *group, size_t step, float *x,
			    struct error *err)
{
	return exchange_mean(state->env.exchange, group, step, 0, x,
			     state->blocks * state->env.count, err);
}

/* What the average of a step changes is kept, to be added to what the update changes. */
static int average(void *memory, size_t step, const float *weight, struct error *err)
{
	struct state *state = memory;
	size_t count = state->env.count;
	struct group group;

	if (state->variant != OVERLAP)
		return 0;
	group = group_at(state, step);
	state->averaged = group.count > 1;
	if (!state->averaged)
		return 0;
	gather(state, weight);
	if (average_in_group(state, &group, step, state->fused, err) < 0)
		return -1;
	cpu_axpy(state->fused, -1, weight, count);
	for (size_t i = 1; i < state->blocks; i++)
		cpu_axpy(state->fused + i * count, -1, state->env.slots[i - 1], count);
	return 0;
}

static void add_average(struct state *state, float *weight)
{
	size_t count = state->env.count;

	cpu_add(weight, state->fused, count);
	for (size_t i = 1; i < state->blocks; i++)
		cpu_add(state->env.slots[i - 1], state->fused + i * count, count);
}

static int average_now(struct state *state, size_t step, float *weight, struct error *err)
{
	size_t count = state->env.count;
	struct group group = group_at(state, step);

	if (group.count == 1)
		return 0;
	if (!state->fused)
		return average_in_group(state, &group, step, weight, err);
	gather(state, weight);
	if (average_in_group(state, &group, step, state->fused, err) < 0)
		return -1;
	memcpy(weight, state->fused, count * sizeof(float));
	for (size_t i = 1; i < state->blocks; i++)
		memcpy(state->env.slots[i - 1], state->fused + i * count, count * sizeof(float));
	return 0;
}

static int weights(void *memory, size_t step, float *weight, struct error *err)
{
	struct state *state = memory;

	if (state->variant != OVERLAP)
		return average_now(state, step + (state->variant == AVERAGE_THEN_STEP), weight,
				   err);
	if (state->averaged)
		add_average(state, weight);
	return 0;
}

static void fini(void *memory)
{
	struct state *state = memory;

	ds_schedule_release(&state->schedule);
	free(state->fused);
}

const struct sync_strategy sync_ds_sync = {
	.entry = { .name = "ds_sync",
		   .summary = "weights are averaged every step, in groups that change",
		   .options = options,
		   .params_size = sizeof(struct params) },
	.state_size = sizeof(struct state),
	.own_samples = true,
	.exact = true,
	.wants_plan = wants_plan,
	.foresee = foresee,
	.init = init,
	.average = average,
	.weights = weights,
	.fini = fini,
};
