/* From links to plans: the candidates of bsp, and which of all is chosen. */
#include <assert.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/clock.h"
#include "lib/error.h"
#include "lib/flow.h"
#include "lib/links.h"
#include "lib/memory.h"
#include "lib/plan.h"
#include "lib/plan_draft.h"
#include "lib/plan_search.h"
#include "lib/units.h"

/* Something else than a ring must be so much better; what differs by less than a hundredth of the
 * seconds is as good. */
static const double WORTH = 1.05, TIE = 1.01;

/* Of the time for the search, what the order of the ring gets. */
static const double RING_PART = 0.3;

double plan_exposed(const struct plan_draft *draft, double comm_s, double overlap)
{
	return fmax(comm_s - overlap * draft->compute_s, 0);
}

char *plan_bottleneck(const struct cost_env *env, const struct cost *cost)
{
	const struct links *links = env->links;
	char rate[32];

	if (cost->seconds <= 0)
		return xstrdup("none: nothing is sent");
	if (cost->latency_s > cost->seconds / 2)
		return cost->latency_s < 1
			       ? xasprintf("latency, %.3g ms of messages in turn",
					   cost->latency_s * 1e3)
			       : xasprintf("latency, %.3g s of messages in turn", cost->latency_s);
	if (cost->limit >= 0) {
		const struct link_segment *segment = &links->segments[cost->limit];

		units_show_bits(rate, sizeof(rate), segment->bytes_per_s);
		return xasprintf("%s, %s, crossed by %d flow%s", segment->name, rate,
				 cost->crossing, cost->crossing == 1 ? "" : "s");
	}
	units_show_bits(rate, sizeof(rate), links_rate(links, cost->from, cost->to));
	return xasprintf("%s to %s, %s", links->names[cost->from], links->names[cost->to], rate);
}

void plan_list_add(struct plan_list *list, const struct plan *plan)
{
	list->plans = xgrow(list->plans, list->count, sizeof(*list->plans));
	list->plans[list->count++] = *plan;
}

typedef struct cost predict(const struct cost_env *env, const struct partition *partition);

/* A plan of bsp. Takes the schedule over; `name` is printed with `of`. */
static void add_bsp(struct plan_draft *draft, enum plan_kind kind, predict *cost_of,
		    struct schedule schedule, const char *of)
{
	struct cost cost = cost_of(&draft->cost, &schedule.phase[0]);
	double exposed = plan_exposed(draft, cost.seconds, draft->env->bsp_overlap);
	struct plan plan = { .kind = kind,
			     .name = xasprintf("%s, %s", plan_kind_name(kind), of),
			     .schedule = schedule,
			     .step_s = draft->compute_s + exposed,
			     .compute_s = draft->compute_s,
			     .comm_s = cost.seconds,
			     .exact_after = 1,
			     .contraction_per_s = INFINITY,
			     .bytes_sent = cost.bytes_sent,
			     .bottleneck = plan_bottleneck(&draft->cost, &cost) };

	plan_list_add(draft->out, &plan);
}

static double ring_seconds(void *arg, const int *order)
{
	const struct plan_draft *draft = arg;
	struct partition ring = partition_flat(draft->env->world, order);
	struct cost_env env = draft->cost;
	double seconds;

	env.brief = true;
	seconds = cost_ring(&env, &ring).seconds;
	partition_release(&ring);
	return seconds;
}

/* The best order for a ring becomes orders[ORDER_BEST]. */
static void search_ring(struct plan_draft *draft)
{
	int world = draft->env->world;
	size_t bytes = (size_t)world * sizeof(int);
	int *best = xmalloc(bytes), *greedy = xmalloc(bytes);
	struct plan_search search = { .order = best,
				      .world = world,
				      .ring = true,
				      .seconds = ring_seconds,
				      .arg = draft,
				      .seed = draft->env->seed };
	double left = draft->deadline - clock_now();

	plan_greedy_order(greedy, draft->cost.links, draft->rates, draft->cost.host_of, world);
	memcpy(best, draft->orders[ORDER_GIVEN].ranks, bytes);
	if (ring_seconds(draft, draft->layout.major) < ring_seconds(draft, best))
		memcpy(best, draft->layout.major, bytes);
	if (ring_seconds(draft, greedy) < ring_seconds(draft, best))
		memcpy(best, greedy, bytes);
	search.deadline = clock_now() + left * RING_PART;
	plan_search_run(&search);
	free(greedy);
	draft->orders[ORDER_BEST] = (struct plan_order){
		memcmp(best, draft->layout.major, bytes) == 0 ? "rack-major" : "searched order",
		best
	};
}

static void find_orders(struct plan_draft *draft)
{
	int world = draft->env->world, *given = xcalloc((size_t)world, sizeof(*given));

	for (int i = 0; i < world; i++)
		given[i] = i;
	draft->orders[ORDER_GIVEN] = (struct plan_order){ "given order", given };
	if (draft->layout.racks > 0) {
		draft->orders[ORDER_MAJOR] =
			(struct plan_order){ "rack-major", draft->layout.major };
		draft->orders[ORDER_INTERLEAVED] =
			(struct plan_order){ "interleaved", draft->layout.interleaved };
	}
	search_ring(draft);
}

static void add_rings(struct plan_draft *draft)
{
	const struct plan_order *given = &draft->orders[ORDER_GIVEN];
	const struct plan_order *best = &draft->orders[ORDER_BEST];
	int world = draft->env->world;

	add_bsp(draft, PLAN_RING, cost_ring, schedule_flat(world, given->ranks), given->name);
	if (ring_seconds(draft, best->ranks) * TIE < ring_seconds(draft, given->ranks))
		add_bsp(draft, PLAN_RING, cost_ring, schedule_flat(world, best->ranks), best->name);
}

static void add_round(struct plan_draft *draft, enum plan_kind kind, predict *cost_of,
		      const struct plan_order *order)
{
	add_bsp(draft, kind, cost_of, schedule_flat(draft->env->world, order->ranks), order->name);
}

/* On the order that suits it best, and on the given one: it may be all that is wanted. */
static void add_rounds(struct plan_draft *draft, enum plan_kind kind, predict *cost_of)
{
	struct cost_env env = draft->cost;
	double least = INFINITY;
	size_t best = ORDER_GIVEN;

	env.brief = true;
	for (size_t o = 0; o < ORDERS; o++) {
		struct partition all;
		double seconds;

		if (!draft->orders[o].ranks)
			continue;
		all = partition_flat(env.world, draft->orders[o].ranks);
		seconds = cost_of(&env, &all).seconds;
		if (seconds < least) {
			least = seconds;
			best = o;
		}
		partition_release(&all);
	}
	add_round(draft, kind, cost_of, &draft->orders[best]);
	if (best != ORDER_GIVEN)
		add_round(draft, kind, cost_of, &draft->orders[ORDER_GIVEN]);
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
static void add_hierarchical(struct plan_draft *draft)
{
	int world = draft->env->world, best = 0;
	struct cost_env env = draft->cost;
	double least = INFINITY;
	char of[64];

	env.brief = true;
	if (draft->layout.racks > 1 && draft->layout.racks < world) {
		struct partition racks;

		partition_copy(&racks, &draft->layout.rack);
		least = cost_hierarchical(&env, &racks).seconds / TIE;
		snprintf(of, sizeof(of), "%d racks", draft->layout.racks);
		add_bsp(draft, PLAN_HIERARCHICAL, cost_hierarchical, schedule_of_one(world, racks),
			of);
	}
	for (int size = 2; size <= world / 2; size++) {
		struct partition groups;
		double seconds;

		if (world % size != 0)
			continue;
		groups = chunks(draft, size);
		seconds = cost_hierarchical(&env, &groups).seconds;
		if (seconds < least) {
			least = seconds;
			best = size;
		}
		partition_release(&groups);
	}
	if (best == 0)
		return;
	snprintf(of, sizeof(of), "groups of %d", best);
	add_bsp(draft, PLAN_HIERARCHICAL, cost_hierarchical,
		schedule_of_one(world, chunks(draft, best)), of);
}

/* Steps until all have heard of all. */
static int period(const struct plan *plan)
{
	return plan->exact_after > 0 ? plan->exact_after : plan->schedule.phases;
}

static bool is_ring(const struct plan *plan)
{
	return plan->kind == PLAN_RING;
}

/* The least seconds per step; of those as good, the one that is exact soonest. */
static size_t fastest(const struct plan_list *list, bool rings_only)
{
	size_t best = 0; /* the first is a ring */
	double most;

	for (size_t i = 1; i < list->count; i++)
		if ((!rings_only || is_ring(&list->plans[i])) &&
		    list->plans[i].step_s < list->plans[best].step_s)
			best = i;
	most = list->plans[best].step_s * TIE;
	for (size_t i = 0; i < list->count; i++)
		if ((!rings_only || is_ring(&list->plans[i])) && list->plans[i].step_s <= most &&
		    period(&list->plans[i]) < period(&list->plans[best]))
			best = i;
	return best;
}

static int by_seconds(const void *left, const void *right)
{
	const struct plan *a = left, *b = right;

	if (a->step_s != b->step_s)
		return a->step_s < b->step_s ? -1 : 1;
	return period(a) != period(b) ? period(a) - period(b) : strcmp(a->name, b->name);
}

/* The choice first, the others by their seconds. */
static void rank_plans(struct plan_list *list)
{
	size_t ring = fastest(list, true), best = fastest(list, false);
	struct plan first;

	if (list->plans[ring].step_s < list->plans[best].step_s * WORTH)
		best = ring;
	first = list->plans[best];
	list->plans[best] = list->plans[0];
	list->plans[0] = first;
	qsort(list->plans + 1, list->count - 1, sizeof(first), by_seconds);
}

/* That of the slowest host that ranks are on. */
static double compute_of(const struct plan_env *env)
{
	double slowest = 0;

	if (!isnan(env->compute_s))
		return env->compute_s;
	for (int i = 0; i < env->world && env->links->compute_s; i++)
		slowest = fmax(slowest, env->links->compute_s[env->host_of[i]]); /* NAN loses */
	return slowest;
}

/*
 * What is not known cannot be planned with: such a pair counts as the slowest that is known. False:
 * nothing is known, although there are several hosts.
 */
static bool complete(struct links *links, double *rates, const struct plan_env *env)
{
	size_t n = env->links->hosts, unknown = 0;
	double slowest = INFINITY;
	bool *here = xcalloc(n, sizeof(*here));

	for (int i = 0; i < env->world; i++)
		here[env->host_of[i]] = true;
	links_copy(links, env->links);
	for (size_t i = 0; i < n * n; i++)
		if (here[i / n] && here[i % n]) {
			unknown += isnan(rates[i]);
			slowest = fmin(slowest, rates[i]);
		}
	for (size_t i = 0; i < n * n; i++)
		if (isnan(rates[i]))
			links->pairs[i].bytes_per_s = rates[i] = slowest;
	free(here);
	return unknown == 0 || isfinite(slowest);
}

int plan_build(struct plan_list *out, const struct plan_env *env, struct error *err)
{
	struct links links;
	struct plan_draft draft = { .env = env,
				    .cost = { .links = &links,
					      .host_of = env->host_of,
					      .world = env->world,
					      .bytes = env->bytes },
				    .rates = plan_rates(env->links),
				    .compute_s = compute_of(env),
				    .deadline = clock_now() + env->search_s,
				    .out = out };

	assert(env->world > 0);
	*out = (struct plan_list){ 0 };
	if (!complete(&links, draft.rates, env)) {
		links_release(&links);
		free(draft.rates);
		return error_set(err, "no rate between two of the hosts is known; measure them "
				      "with `dstrain probe`");
	}
	draft.cost.net = flow_net_new(&links);
	draft.layout = plan_layout_new(&links, env->host_of, env->world);
	find_orders(&draft);
	add_rings(&draft);
	if (env->world > 2) {
		add_rounds(&draft, PLAN_HALVING_DOUBLING, cost_halving_doubling);
		add_rounds(&draft, PLAN_TREE, cost_tree);
		add_hierarchical(&draft);
		plan_add_ds_sync(&draft);
	}
	rank_plans(out);
	free(draft.orders[ORDER_GIVEN].ranks);
	free(draft.orders[ORDER_BEST].ranks);
	free(draft.rates);
	plan_layout_release(&draft.layout);
	flow_net_free(draft.cost.net);
	links_release(&links);
	return 0;
}
