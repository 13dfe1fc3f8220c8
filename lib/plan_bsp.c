/* The candidates of bsp: all ranks sum their gradients, in ways that take different times. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "lib/memory.h"
#include "lib/plan_draft.h"

/* A way of bsp to sum gradients. */
struct way {
	enum plan_kind kind;
	struct cost (*cost)(const struct cost_env *env, const struct partition *partition);
	bool compressed;
	const char *suffix; /* of its name */
};
static struct cost cost_chosen(const struct cost_env *env, const struct partition *partition)
{
	return cost_opaque(env, partition, COST_CHOSEN);
}

enum { RING, HALVING_DOUBLING, TREE, HIERARCHICAL, OPAQUE, ACROSS };
static const struct way ways[] = {
	[RING] = { PLAN_RING, cost_ring, false, "" },
	[HALVING_DOUBLING] = { PLAN_HALVING_DOUBLING, cost_halving_doubling, false, "" },
	[TREE] = { PLAN_TREE, cost_tree, false, "" },
	[HIERARCHICAL] = { PLAN_HIERARCHICAL, cost_hierarchical, false, "" },
	[OPAQUE] = { PLAN_RING, cost_chosen, true, ", compressed" },
	[ACROSS] = { PLAN_HIERARCHICAL, cost_across, true, ", compressed across" },
};

/* Takes the schedule over; the way's name is printed with `of`. */
static void add_bsp(struct plan_draft *draft, const struct way *way, struct schedule schedule,
		    const char *of)
{
	struct cost cost = way->cost(&draft->cost, &schedule.phase[0]);
	double exposed = plan_exposed(draft, cost.seconds, draft->env->bsp_overlap);
	struct plan plan = { .kind = way->kind,
			     .compressed = way->compressed,
			     .name = xasprintf("%s, %s%s", plan_kind_name(way->kind), of,
					       way->suffix),
			     .schedule = schedule,
			     .step_s = draft->compute_s + cost.codec_s + exposed,
			     .codec_s = cost.codec_s,
			     .compute_s = draft->compute_s,
			     .comm_s = cost.seconds,
			     .exact_after = 1,
			     .contraction_per_s = INFINITY,
			     .bytes_sent = cost.bytes_sent,
			     .bottleneck = plan_bottleneck(&draft->cost, &cost) };

	plan_list_add(draft->out, &plan);
}

static void add_flat(struct plan_draft *draft, const struct way *way,
		     const struct plan_order *order)
{
	add_bsp(draft, way, schedule_flat(draft->env->world, order->ranks), order->name);
}

static double seconds_of(const struct plan_draft *draft, const struct way *way,
			 const struct partition *groups)
{
	struct cost_env env = draft->cost;
	struct cost cost;

	env.brief = true;
	cost = way->cost(&env, groups);
	return cost.seconds + cost.codec_s;
}

static double flat_seconds(const struct plan_draft *draft, const struct way *way,
			   const struct plan_order *order)
{
	struct partition all = partition_flat(draft->env->world, order->ranks);
	double seconds = seconds_of(draft, way, &all);

	partition_release(&all);
	return seconds;
}

/* On the given order, and on that which is best for a ring where that wins something. */
static void add_rings(struct plan_draft *draft, const struct way *way)
{
	const struct plan_order *given = &draft->orders[ORDER_GIVEN];
	const struct plan_order *best = &draft->orders[ORDER_BEST];

	add_flat(draft, way, given);
	if (flat_seconds(draft, way, best) * PLAN_TIE < flat_seconds(draft, way, given))
		add_flat(draft, way, best);
}

/* On the order that suits it best, and on the given one: it may be all that is wanted. */
static void add_rounds(struct plan_draft *draft, const struct way *way)
{
	double least = INFINITY;
	size_t best = ORDER_GIVEN;

	for (size_t o = 0; o < ORDERS; o++) {
		double seconds;

		if (!draft->orders[o].ranks)
			continue;
		seconds = flat_seconds(draft, way, &draft->orders[o]);
		if (seconds < least) {
			least = seconds;
			best = o;
		}
	}
	add_flat(draft, way, &draft->orders[best]);
	if (best != ORDER_GIVEN)
		add_flat(draft, way, &draft->orders[ORDER_GIVEN]);
}

static struct schedule schedule_of_one(int world, struct partition phase)
{
	struct schedule schedule = schedule_new(world, 1);

	schedule.phase[0] = phase;
	return schedule;
}

/* Groups of `size`, in the order of a ring that is a good one. */
static struct partition chunks(const struct plan_draft *draft, int size)
{
	const int radix[] = { size, draft->env->world / size };
	struct schedule grid =
		schedule_radix(draft->env->world, draft->orders[ORDER_BEST].ranks, radix, 2);
	struct partition rows;

	partition_copy(&rows, &grid.phase[0]);
	schedule_release(&grid);
	return rows;
}

/* Within racks, and the best size of groups that a good ring is cut into, if that is better. */
static void add_groups(struct plan_draft *draft, const struct way *way)
{
	int world = draft->env->world, best = 0;
	double least = INFINITY;
	char of[64];

	if (draft->layout.racks > 1 && draft->layout.racks < world) {
		struct partition racks;

		partition_copy(&racks, &draft->layout.rack);
		least = seconds_of(draft, way, &racks) / PLAN_TIE;
		snprintf(of, sizeof(of), "%d racks", draft->layout.racks);
		add_bsp(draft, way, schedule_of_one(world, racks), of);
	}
	for (int size = 2; size <= world / 2; size++) {
		struct partition groups;
		double seconds;

		if (world % size != 0)
			continue;
		groups = chunks(draft, size);
		seconds = seconds_of(draft, way, &groups);
		if (seconds < least) {
			least = seconds;
			best = size;
		}
		partition_release(&groups);
	}
	if (best == 0)
		return;
	snprintf(of, sizeof(of), "groups of %d", best);
	add_bsp(draft, way, schedule_of_one(world, chunks(draft, best)), of);
}

void plan_add_bsp(struct plan_draft *draft, bool compressed)
{
	add_rings(draft, &ways[compressed ? OPAQUE : RING]);
	if (draft->env->world <= 2)
		return;
	if (!compressed) {
		add_rounds(draft, &ways[HALVING_DOUBLING]);
		add_rounds(draft, &ways[TREE]);
	}
	add_groups(draft, &ways[compressed ? ACROSS : HIERARCHICAL]);
}
