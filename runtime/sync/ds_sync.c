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

#include "lib/clock.h"
#include "lib/error.h"
#include "lib/links.h"
#include "lib/memory.h"
#include "lib/plan.h"
#include "runtime/device/cpu.h"
#include "runtime/exchange.h"
#include "runtime/sync/ds_adapt.h"
#include "runtime/sync/ds_schedule.h"
#include "runtime/sync/reference.h"

enum variant { STEP_THEN_AVERAGE, AVERAGE_THEN_STEP, OVERLAP };
enum {
	GROUP = 2,	  /* the id of all of them: a rank is in one at a time */
	LEAST_WINDOW = 10 /* steps; in fewer no group comes twice */
};

struct params {
	int variant; /* enum variant */
	bool momentum;
	struct ds_schedule_params schedule;
	size_t replan;
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
	{ "replan", OPT_COUNT, offsetof(struct params, replan), "50",
	  "steps between looks at the links, whose change may change groups; 0: never", .min = 0,
	  .max = 1e6 },
	{ 0 }
};

struct state {
	struct sync_env env;
	enum variant variant;
	struct ds_schedule schedule;
	struct references references; /* of each phase */
	struct ds_adapt *adapt;	      /* NULL: groups change as the schedule says and no more */
	size_t blocks; /* that are averaged: the weights, and the optimizer's if wanted */
	float *fused;  /* [blocks * count]; NULL: the weights are averaged where they are */
};

static bool wants_plan(const void *params)
{
	return ds_schedule_wants_plan(&((const struct params *)params)->schedule);
}

/* What is averaged while the step computes costs nothing until that is done. */
static void foresee(const void *params, struct plan_env *env)
{
	const struct params *given = params;

	env->momentum = given->momentum;
	env->ds_overlap = given->variant == OVERLAP;
}

/* Only links of which it is known what they have in common can be told apart. */
static int start_adapting(struct state *state, const struct params *given, struct error *err)
{
	struct ds_adapt_params params = { .every = given->replan,
					  .bytes = (double)(state->blocks * state->env.count) *
						   sizeof(float),
					  .overlap = state->variant == OVERLAP };

	if (given->replan == 0 || state->references.x || !state->schedule.planned ||
	    !state->env.links || state->env.links->segment_count == 0)
		return 0;
	if (given->replan < LEAST_WINDOW)
		return error_set(err, "sync.replan: 0, or at least %d steps", LEAST_WINDOW);
	state->adapt = ds_adapt_new(&state->env, &params);
	return 0;
}

/* Groups that never come again have nothing to refer to. */
static int prepare_references(struct state *state, const struct params *given, struct error *err)
{
	if (given->momentum)
		return error_set(err,
				 "sync.momentum: averages are not compressed; leave it out, or "
				 "use compress.scheme: none");
	if (!state->schedule.fixed.phases)
		return error_set(err,
				 "sync.schedule: random groups cannot be compressed, as they "
				 "never meet again; use another one, or compress.scheme: none");
	state->references = references_new(&state->env, (size_t)state->schedule.fixed.phases);
	return 0;
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
	if (exchange_is_lossy(env->exchange) && prepare_references(state, given, err) < 0)
		return -1;
	if (state->blocks > 1 || state->variant == OVERLAP)
		state->fused = xaligned(state->blocks * env->count * sizeof(float));
	return start_adapting(state, given, err);
}

/* This rank's group in a step. */
static int group_at(struct state *state, size_t step, struct group *group, struct error *err)
{
	const struct group *world = state->env.world;
	const struct partition *partition;

	if (state->adapt && ds_adapt_step(state->adapt, step, &state->schedule.fixed, err) < 0)
		return -1;
	partition = ds_schedule_at(&state->schedule, step);
	*group = (struct group){ .id = GROUP, .cost = world->cost };
	group->index = partition_group(partition, world->ranks[world->index], &group->ranks,
				       &group->count);
	return 0;
}

static void gather(struct state *state, const float *weight)
{
	size_t count = state->env.count;

	memcpy(state->fused, weight, count * sizeof(float));
	for (size_t i = 1; i < state->blocks; i++)
		memcpy(state->fused + i * count, state->env.slots[i - 1], count * sizeof(float));
}

/* The optimizer's blocks stand beside the weights only where nothing is lost. */
static int mean_of_group(struct state *state, const struct group *group, size_t step, float *x,
			 struct error *err)
{
	const struct sync_env *env = &state->env;
	size_t phases = (size_t)state->schedule.fixed.phases;

	if (state->blocks > 1 || phases == 0)
		return exchange_mean(env->exchange, group, step, 0, x, state->blocks * env->count,
				     err);
	return reference_average(&state->references, env, group, step % phases, step, x, err);
}

/* x[blocks * count] becomes the mean over this rank's group. */
static int average_in_group(struct state *state, const struct group *group, size_t step, float *x,
			    struct error *err)
{
	double begin = clock_now();

	if (group->count > 1 && mean_of_group(state, group, step, x, err) < 0)
		return -1;
	if (!state->adapt)
		return 0;
	return ds_adapt_took(state->adapt, step, group->count > 1 ? clock_now() - begin : 0, err);
}

/* What the average of a step changes is kept, to be added to what the update changes. */
static int average(void *memory, size_t step, const float *weight, struct error *err)
{
	struct state *state = memory;
	size_t count = state->env.count;
	struct group group;

	if (state->variant != OVERLAP)
		return 0;
	if (group_at(state, step, &group, err) < 0)
		return -1;
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
	struct group group;

	if (group_at(state, step, &group, err) < 0)
		return -1;
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
	add_average(state, weight);
	return 0;
}

static void serve(void *memory, int peer, uint64_t tag, const void *bytes, size_t length)
{
	struct state *state = memory;

	if (state->adapt)
		ds_adapt_serve(state->adapt, peer, tag, bytes, length);
}

static size_t arrays_of(void *memory, struct state_array *arrays)
{
	struct state *state = memory;

	if (state->adapt)
		return ds_adapt_state(state->adapt, &state->schedule.fixed, arrays);
	return references_state(&state->references, arrays);
}

static void fini(void *memory)
{
	struct state *state = memory;

	ds_adapt_free(state->adapt);
	references_release(&state->references);
	ds_schedule_release(&state->schedule);
	free(state->fused);
}

const struct sync_strategy sync_ds_sync = {
	.entry = { .name = "ds_sync",
		   .summary = "weights are averaged every step, in groups that change",
		   .options = options,
		   .params_size = sizeof(struct params) },
	.state_size = sizeof(struct state),
	.margin = 1,
	.own_samples = true,
	.differences = true,
	.wants_plan = wants_plan,
	.foresee = foresee,
	.init = init,
	.average = average,
	.weights = weights,
	.serve = serve,
	.state = arrays_of,
	.fini = fini,
};
