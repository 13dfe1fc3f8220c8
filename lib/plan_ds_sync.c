/*
 * Schedules of groups as candidates: mixed radix over several orders of the ranks, with phases of
 * near ranks repeated where far ones are slow, and what comes close where nothing is exact. The
 * best of them are improved by local search.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "lib/clock.h"
#include "lib/memory.h"
#include "lib/plan_draft.h"
#include "lib/plan_search.h"
#include "lib/plan_shape.h"

enum {
	REPEATS = 7,	    /* near phases for each far one */
	ROTATING = 8,	    /* largest group that rotates */
	SLOTS = 2 * ORDERS, /* of each order the best plain one and the best with repeats */
	IMPROVED = 3,	    /* so many are searched from */
};

/* What takes longer than so much of another has won nothing over it that would be worth a longer
 * period, in which ranks drift apart. */
static const double TIE = 0.95;

/* Where nothing is exact within the period: the part of the distance from the mean that may be left
 * after it. */
static const double LEFT = 0.05;

/* Of a distance in floats: 24 bits of it are all there is to lose. */
static const double FLOAT_BITS = 24;

/* Of a base phase. */
struct phase_cost {
	double comm_s, codec_s;
};

struct choice {
	const struct plan_draft *draft;
	bool compressed;
	struct cost_env env;		/* of what is averaged */
	struct plan_shape slots[SLOTS]; /* length 0: none */
	/* Of the order at hand. */
	const struct plan_order *order;
	struct plan_shape *plain, *repeated; /* its slots */
	struct radix_cost {
		int stride, radix;
		struct phase_cost cost;
	} * costs;
	size_t cost_count;
};

static struct schedule base_phases(const struct choice *choice, const struct plan_shape *shape,
				   const int *order)
{
	return plan_shape_bases(shape, choice->env.world, order, &choice->draft->layout.rack);
}

static struct schedule whole_schedule(const struct choice *choice, const struct plan_shape *shape,
				      const int *order)
{
	return plan_shape_schedule(shape, choice->env.world, order, &choice->draft->layout.rack);
}

/* Seconds of a step, if base phases take `costs` each. */
static double step_seconds(const struct choice *choice, const struct plan_shape *shape,
			   const struct phase_cost *costs)
{
	const struct plan_draft *draft = choice->draft;
	double sum = 0;

	for (int p = 0; p < shape->length; p++) {
		const struct phase_cost *cost = &costs[shape->sequence[p]];

		sum += cost->codec_s + plan_exposed(draft, cost->comm_s, draft->env->ds_overlap);
	}
	return draft->compute_s + sum / shape->length;
}

/* Whether averages are exact, or near enough, within the period. */
static bool agrees(const struct choice *choice, struct plan_shape *shape)
{
	int period = choice->draft->env->consensus_period;
	struct schedule schedule;
	double contraction;

	if (shape->kind == SHAPE_RADIX || shape->kind == SHAPE_RADIX_AND_ALL) {
		shape->exact_after = plan_shape_wait(shape);
		return shape->exact_after <= period;
	}
	schedule = whole_schedule(choice, shape, choice->order->ranks);
	shape->exact_after = schedule_exact_after(&schedule);
	contraction = schedule_contraction(&schedule);
	schedule_release(&schedule);
	if (shape->exact_after > 0)
		return shape->exact_after <= period;
	return pow(contraction, (double)period / shape->length) <= LEFT;
}

static void keep_if_better(const struct choice *choice, struct plan_shape *slot,
			   struct plan_shape *shape, const struct phase_cost *costs)
{
	shape->step_s = step_seconds(choice, shape, costs);
	if ((slot->length == 0 || shape->step_s < slot->step_s * TIE) && agrees(choice, shape))
		*slot = *shape;
}

/* The shape plain and with repeats; base phases take `costs`. */
static void consider(struct choice *choice, struct plan_shape shape, const struct phase_cost *costs)
{
	double seconds[SHAPE_SEQUENCE];

	for (int base = 0; base < shape.bases; base++)
		seconds[base] = costs[base].comm_s + costs[base].codec_s;
	if (shape.kind != SHAPE_RADIX_AND_ALL) {
		plan_shape_plain(&shape);
		keep_if_better(choice, choice->plain, &shape, costs);
	}
	for (int repeats = 1; repeats <= REPEATS; repeats++)
		if (plan_shape_repeat(&shape, seconds, repeats))
			keep_if_better(choice, choice->repeated, &shape, costs);
}

static struct cost whole_cost(const struct choice *choice, const struct cost_env *env,
			      const struct partition *phase)
{
	return choice->compressed ? cost_differences(env, phase) : cost_ring(env, phase);
}

static struct phase_cost phase_cost(const struct choice *choice, const struct partition *phase)
{
	struct cost cost = whole_cost(choice, &choice->env, phase);

	return (struct phase_cost){ cost.seconds, cost.codec_s };
}

/* Of groups of `radix` ranks `stride` places apart; factorisations share them. */
static struct phase_cost radix_cost(struct choice *choice, int stride, int radix)
{
	int world = choice->env.world, all[3] = { stride, radix, world / stride / radix };
	struct schedule schedule;
	struct radix_cost found = { .stride = stride, .radix = radix };

	for (size_t i = 0; i < choice->cost_count; i++)
		if (choice->costs[i].stride == stride && choice->costs[i].radix == radix)
			return choice->costs[i].cost;
	schedule = schedule_radix(world, choice->order->ranks, all, 3);
	found.cost = phase_cost(choice, &schedule.phase[1]);
	schedule_release(&schedule);
	choice->costs = xgrow(choice->costs, choice->cost_count, sizeof(found));
	choice->costs[choice->cost_count++] = found;
	return found.cost;
}

/* All ordered factorisations whose first factors are in `shape`. */
static void factorise(struct choice *choice, struct plan_shape *shape, struct phase_cost *costs,
		      int stride)
{
	int left = choice->env.world / stride;

	if (left == 1) {
		struct plan_shape with_all = *shape;

		consider(choice, *shape, costs);
		with_all.kind = SHAPE_RADIX_AND_ALL;
		costs[shape->bases] = radix_cost(choice, 1, choice->env.world);
		consider(choice, with_all, costs);
		return;
	}
	if (shape->bases == SHAPE_AXES)
		return;
	for (int radix = 2; radix <= left; radix++) {
		if (left % radix != 0 || radix == choice->env.world)
			continue;
		costs[shape->bases] = radix_cost(choice, stride, radix);
		shape->radix[shape->bases++] = radix;
		factorise(choice, shape, costs, stride * radix);
		shape->bases--;
	}
}

static void base_costs(const struct choice *choice, const struct plan_shape *shape,
		       const int *order, struct phase_cost *costs)
{
	struct schedule bases = base_phases(choice, shape, order);

	for (int p = 0; p < bases.phases; p++)
		costs[p] = phase_cost(choice, &bases.phase[p]);
	schedule_release(&bases);
}

static void consider_bases(struct choice *choice, const struct plan_shape *shape)
{
	struct phase_cost costs[SHAPE_SEQUENCE];

	base_costs(choice, shape, choice->order->ranks, costs);
	consider(choice, *shape, costs);
}

/* For worlds that no schedule averages exactly within the period. */
static void consider_inexact(struct choice *choice)
{
	const struct plan_layout *layout = &choice->draft->layout;

	for (int size = 2; size <= ROTATING && size < choice->env.world; size++)
		for (int phases = 2; phases <= SHAPE_AXES; phases++)
			consider_bases(choice, &(struct plan_shape){ .kind = SHAPE_ROTATION,
								     .size = size,
								     .bases = phases });
	if (choice->order == &choice->draft->orders[ORDER_MAJOR] && layout->racks > 1 &&
	    layout->racks < choice->env.world)
		consider_bases(choice, &(struct plan_shape){ .kind = SHAPE_RACKS, .bases = 2 });
}

static bool is_prime(int n)
{
	for (int i = 2; i * i <= n; i++)
		if (n % i == 0)
			return false;
	return true;
}

/* The same order may go by several names: that of racks is preferred, then the first. */
static bool is_repeated(const struct plan_order *orders, size_t order, int world)
{
	for (size_t o = 0; o < ORDERS && order != ORDER_MAJOR; o++)
		if (orders[o].ranks && (o < order || o == ORDER_MAJOR) &&
		    memcmp(orders[o].ranks, orders[order].ranks, (size_t)world * sizeof(int)) == 0)
			return true;
	return false;
}

static void consider_order(struct choice *choice, size_t order)
{
	bool exact = !is_prime(choice->env.world) && choice->draft->env->consensus_period > 1;
	struct phase_cost costs[SHAPE_AXES + 1];

	choice->order = &choice->draft->orders[order];
	if (!choice->order->ranks || is_repeated(choice->draft->orders, order, choice->env.world))
		return;
	choice->plain = &choice->slots[2 * order];
	choice->repeated = choice->plain + 1;
	choice->cost_count = 0;
	if (exact)
		factorise(choice, &(struct plan_shape){ .kind = SHAPE_RADIX }, costs, 1);
	else
		consider_inexact(choice);
}

/* ln of the distance lost each second. */
static double contraction_per_s(const struct plan *plan)
{
	if (plan->exact_after > 0)
		return FLOAT_BITS * log(2) / (plan->exact_after * plan->step_s);
	return -log(fmax(schedule_contraction(&plan->schedule), exp2(-FLOAT_BITS))) /
	       (plan->schedule.phases * plan->step_s);
}

static void add_plan(const struct choice *choice, const struct plan_shape *shape, const int *order,
		     const char *order_name)
{
	const struct plan_draft *draft = choice->draft;
	char *name = plan_shape_name(shape, order_name);
	struct plan plan = { .kind = PLAN_DS_SYNC,
			     .compressed = choice->compressed,
			     .name = xasprintf("%s%s", name,
					       choice->compressed ? ", compressed" : ""),
			     .schedule = whole_schedule(choice, shape, order),
			     .compute_s = draft->compute_s,
			     .exact_after = shape->exact_after };
	struct cost_env env = choice->env;
	double exposed = 0, slowest = -1;

	env.brief = false;
	for (int p = 0; p < plan.schedule.phases; p++) {
		struct cost cost = whole_cost(choice, &env, &plan.schedule.phase[p]);

		exposed += plan_exposed(draft, cost.seconds, draft->env->ds_overlap);
		plan.comm_s += cost.seconds / plan.schedule.phases;
		plan.codec_s += cost.codec_s / plan.schedule.phases;
		plan.bytes_sent += cost.bytes_sent / plan.schedule.phases;
		if (cost.seconds <= slowest)
			continue;
		slowest = cost.seconds;
		free(plan.bottleneck);
		plan.bottleneck = plan_bottleneck(&env, &cost);
	}
	plan.step_s = plan.compute_s + plan.codec_s + exposed / plan.schedule.phases;
	plan.contraction_per_s = contraction_per_s(&plan);
	plan_list_add(draft->out, &plan);
	free(name);
}

struct trial {
	const struct choice *choice;
	const struct plan_shape *shape;
};

static double trial_seconds(void *arg, const int *order)
{
	const struct trial *trial = arg;
	struct phase_cost costs[SHAPE_SEQUENCE];

	base_costs(trial->choice, trial->shape, order, costs);
	return step_seconds(trial->choice, trial->shape, costs);
}

/* Adds the shape of a slot on a better order, if one is found in `seconds`. */
static void improve(const struct choice *choice, size_t slot, double seconds)
{
	const struct plan_shape *shape = &choice->slots[slot];
	const struct plan_order *from = &choice->draft->orders[slot / 2];
	size_t bytes = (size_t)choice->env.world * sizeof(int);
	struct trial trial = { choice, shape };
	struct plan_search search = { .order = xmalloc(bytes),
				      .world = choice->env.world,
				      .seconds = trial_seconds,
				      .arg = &trial,
				      .seed = choice->draft->env->seed + 1 + slot,
				      .deadline = clock_now() + seconds };

	memcpy(search.order, from->ranks, bytes);
	if (plan_search_run(&search) < shape->step_s * (1 - 1e-6))
		add_plan(choice, shape, search.order, "own order");
	free(search.order);
}

/* The slot with the least seconds that is not `done`; SLOTS: none. */
static size_t next_best(const struct choice *choice, const bool *done)
{
	size_t best = SLOTS;

	for (size_t s = 0; s < SLOTS; s++)
		if (choice->slots[s].length > 0 && !done[s] &&
		    (best == SLOTS || choice->slots[s].step_s < choice->slots[best].step_s))
			best = s;
	return best;
}

/* With repeats only where they win something. */
static void drop_idle_repeats(struct choice *choice)
{
	for (size_t s = 0; s < SLOTS; s += 2)
		if (choice->slots[s].length > 0 &&
		    choice->slots[s + 1].step_s > choice->slots[s].step_s * TIE)
			choice->slots[s + 1].length = 0;
}

void plan_add_ds_sync(struct plan_draft *draft, bool compressed)
{
	struct choice choice = { .draft = draft, .compressed = compressed, .env = draft->cost };
	bool done[SLOTS] = { false };

	choice.env.brief = true;
	choice.env.bytes *= draft->env->momentum ? 2 : 1;
	for (size_t order = 0; order < ORDERS; order++)
		consider_order(&choice, order);
	drop_idle_repeats(&choice);
	for (size_t s = 0; s < SLOTS; s++)
		if (choice.slots[s].length > 0)
			add_plan(&choice, &choice.slots[s], draft->orders[s / 2].ranks,
				 draft->orders[s / 2].name);
	for (int i = 0; i < IMPROVED && draft->env->search_s > 0; i++) {
		size_t slot = next_best(&choice, done);
		double left = draft->deadline - clock_now();

		if (slot == SLOTS || left <= 0)
			break;
		done[slot] = true;
		improve(&choice, slot, left / (IMPROVED - i));
	}
	free(choice.costs);
}
