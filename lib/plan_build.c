/* From links to plans: orders of the ranks, all candidates on them, and which is chosen. */
#include <assert.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "lib/clock.h"
#include "lib/error.h"
#include "lib/flow.h"
#include "lib/links.h"
#include "lib/memory.h"
#include "lib/numbers.h"
#include "lib/plan.h"
#include "lib/plan_draft.h"
#include "lib/plan_search.h"
#include "lib/units.h"

/* Something else than a ring must be so much better. */
static const double WORTH = 1.05;

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

/* Steps until all have heard of all. */
static int period(const struct plan *plan)
{
	return plan->exact_after > 0 ? plan->exact_after : plan->schedule.phases;
}

static bool is_ring(const struct plan *plan)
{
	return plan->kind == PLAN_RING && !plan->compressed;
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
	most = list->plans[best].step_s * PLAN_TIE;
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

/* [hosts] Which of them ranks are on. Caller frees. */
static bool *hosts_here(const struct plan_env *env)
{
	bool *here = xcalloc(env->links->hosts, sizeof(*here));

	for (int i = 0; i < env->world; i++)
		here[env->host_of[i]] = true;
	return here;
}

/*
 * What is not known cannot be planned with: such a pair counts as the slowest that is known. False:
 * nothing is known, although there are several hosts.
 */
static bool complete(struct links *links, double *rates, const struct plan_env *env)
{
	size_t n = env->links->hosts, unknown = 0;
	double slowest = INFINITY;
	bool *here = hosts_here(env);

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

/* How many times as long the slowest host takes for the same as the one in the middle. */
static double slowness(const struct plan_env *env)
{
	const struct links *links = env->links;
	double *seconds = xcalloc(links->hosts, sizeof(*seconds)), slow = 1;
	size_t count = 0;
	bool *here = hosts_here(env);

	for (size_t h = 0; links->compute_s && h < links->hosts; h++)
		if (here[h] && links->compute_s[h] > 0)
			seconds[count++] = links->compute_s[h];
	if (count > 0) {
		double middle = numbers_median(seconds, count);

		slow = seconds[count - 1] / middle;
	}
	free(seconds);
	free(here);
	return slow;
}

static struct cost_codec codec_of(const struct plan_env *env)
{
	struct cost_codec codec = env->codec;
	double slow = codec.ratio > 0 ? slowness(env) : 1;

	codec.encode_s *= slow;
	codec.decode_s *= slow;
	return codec;
}

int plan_build(struct plan_list *out, const struct plan_env *env, struct error *err)
{
	struct links links;
	struct plan_draft draft = { .env = env,
				    .cost = { .links = &links,
					      .host_of = env->host_of,
					      .world = env->world,
					      .bytes = env->bytes,
					      .codec = codec_of(env) },
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
	plan_add_bsp(&draft, false);
	if (env->world > 2)
		plan_add_ds_sync(&draft, false);
	if (env->codec.ratio > 0 && env->world > 1)
		plan_add_bsp(&draft, true);
	if (env->codec.ratio > 0 && env->world > 2 && !env->momentum) /* of which no differences */
		plan_add_ds_sync(&draft, true);
	rank_plans(out);
	free(draft.orders[ORDER_GIVEN].ranks);
	free(draft.orders[ORDER_BEST].ranks);
	free(draft.rates);
	plan_layout_release(&draft.layout);
	flow_net_free(draft.cost.net);
	links_release(&links);
	return 0;
}
