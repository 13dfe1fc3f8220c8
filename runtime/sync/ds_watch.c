/*
 * Whether links still carry what they did. A group that averages as fast as the model of its links
 * predicts shows that all segments on its way are as good as they were; so a segment is at least as
 * good as the best of the groups that crossed it, and one that all of these were slow on carries
 * just what they carried together. How far reality is from the model is found in the first windows,
 * and what slows everybody down, such as processors, changes nothing: only a segment that has
 * changed in comparison with the others, and stays so, is taken to be another one.
 */
#include "runtime/sync/ds_watch.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "lib/buf.h"
#include "lib/cost.h"
#include "lib/error.h"
#include "lib/flow.h"
#include "lib/groups.h"
#include "lib/links.h"
#include "lib/memory.h"
#include "lib/numbers.h"
#include "lib/plan.h"

enum {
	BASE = 2,    /* windows that tell what is usual */
	STRIKES = 3, /* windows in a row that a change has to last */
	DWELL = 6,   /* windows from one change of groups to the next, twice as many each time, */
	LONGEST = 4  /* but not more than so many times */
};
static const double NEWEST = 0.7; /* weight of a window in the average over windows */
static const double DRIFT = 0.6;  /* that part of a rate, or its inverse, is a change */
static const double WORTH = 0.95; /* other groups have to take less than that part of the time */
static const double LEAST = 0.02; /* of its measured rate no segment is taken to have less */

/* What is known of a segment: averages over windows. */
struct opinion {
	double speed; /* of the best group that crosses it, as a part of what the model predicts */
	double carried; /* bytes per second at the same time */
	double usual;	/* speed while it was as measured; 0: it has not been */
	int windows, strikes;
};

/* What a window shows of a segment; zero: nothing. */
struct sight {
	double speed, carried;
};

struct ds_watch {
	struct ds_watch_env env;
	struct cost_env cost; /* of the links as they were measured */
	size_t segments;
	struct opinion *opinions; /* [segments] */
	float *parts;		  /* [segments] of the measured rate, that groups are made for */
	int dwell;		  /* windows before groups may change again */
	int changes;		  /* of the groups */
};

struct ds_watch *ds_watch_new(const struct ds_watch_env *env)
{
	struct ds_watch *watch = xcalloc(1, sizeof(*watch));

	watch->env = *env;
	watch->cost = (struct cost_env){ .links = env->links,
					 .net = flow_net_new(env->links),
					 .host_of = env->host_of,
					 .world = env->world,
					 .bytes = env->bytes };
	watch->segments = env->links->segment_count;
	watch->opinions = xcalloc(watch->segments, sizeof(*watch->opinions));
	watch->parts = xcalloc(watch->segments, sizeof(*watch->parts));
	for (size_t i = 0; i < watch->segments; i++)
		watch->parts[i] = 1;
	return watch;
}

void ds_watch_free(struct ds_watch *watch)
{
	if (!watch)
		return;
	flow_net_free(watch->cost.net);
	free(watch->opinions);
	free(watch->parts);
	free(watch);
}

float *ds_watch_parts(struct ds_watch *watch)
{
	return watch->parts;
}

/* How often a group's ring crosses a segment. */
static int crossings(const struct ds_watch *watch, const struct link_segment *segment,
		     const int *ranks, int size)
{
	const int *host_of = watch->env.host_of;
	int count = 0;

	for (int i = 0; i < size; i++)
		count += link_crosses(segment, host_of[ranks[i]], host_of[ranks[(i + 1) % size]]);
	return count;
}

/* Who comes last to an average waits for nobody: what he needed is what the average takes. */
static double soonest(const struct ds_window *window, size_t step, const int *ranks, int count)
{
	double seconds = INFINITY;

	for (int i = 0; i < count; i++)
		seconds = fmin(seconds, window->seconds[(size_t)ranks[i] * window->steps + step]);
	return seconds;
}

/* What a group needed in the steps of a phase: in the middle, since some steps meet a hiccup. NAN:
 * there were none. */
static double needed(const struct ds_window *window, const struct schedule *schedule, int phase,
		     const int *ranks, int count)
{
	double *seconds = xcalloc(window->steps, sizeof(*seconds)), middle;
	size_t found = 0;

	for (size_t i = 0; i < window->steps; i++)
		if ((window->first + i) % (uint64_t)schedule->phases == (uint64_t)phase)
			seconds[found++] = soonest(window, i, ranks, count);
	middle = numbers_median(seconds, found);
	free(seconds);
	return middle;
}

/* What the groups of a phase needed, and what they would on the links as they were measured. */
struct phase {
	const struct partition *partition;
	double *needed, *predicted; /* [groups] seconds */
};

/* What this phase shows of a segment. */
static struct sight look_at(const struct ds_watch *watch, const struct link_segment *segment,
			    const struct phase *phase)
{
	const int *ranks = phase->partition->ranks;
	struct sight sight = { 0 };

	PARTITION_GROUPS (phase->partition, g, ranks) {
		int size = phase->partition->sizes[g];
		int times = crossings(watch, segment, ranks, size);
		double bytes = 2.0 * (size - 1) / size * watch->env.bytes;

		if (times == 0 || !(phase->needed[g] > 0))
			continue;
		sight.speed = fmax(sight.speed, phase->predicted[g] / phase->needed[g]);
		sight.carried += times * bytes / phase->needed[g];
	}
	return sight;
}

/* Adds what phase number `p` shows to sights[segments]. */
static void take_phase(const struct ds_watch *watch, const struct schedule *schedule, int p,
		       const struct ds_window *window, struct sight *sights)
{
	const struct partition *partition = &schedule->phase[p];
	size_t groups = (size_t)partition->groups;
	struct phase phase = { .partition = partition,
			       .needed = xcalloc(groups, sizeof(double)),
			       .predicted = xcalloc(groups, sizeof(double)) };
	const int *ranks = partition->ranks;

	PARTITION_GROUPS (partition, g, ranks)
		phase.needed[g] = needed(window, schedule, p, ranks, partition->sizes[g]);
	cost_ring_bytes(&watch->cost, partition, phase.predicted);
	for (size_t i = 0; i < watch->segments; i++) {
		struct sight sight = look_at(watch, &watch->env.links->segments[i], &phase);

		sights[i].speed = fmax(sights[i].speed, sight.speed);
		sights[i].carried = fmax(sights[i].carried, sight.carried);
	}
	free(phase.needed);
	free(phase.predicted);
}

static void form_opinions(struct ds_watch *watch, const struct sight *sights)
{
	for (size_t i = 0; i < watch->segments; i++) {
		struct opinion *opinion = &watch->opinions[i];

		if (sights[i].speed <= 0)
			continue;
		if (opinion->windows++ == 0) {
			opinion->speed = sights[i].speed;
			opinion->carried = sights[i].carried;
		}
		opinion->speed += NEWEST * (sights[i].speed - opinion->speed);
		opinion->carried += NEWEST * (sights[i].carried - opinion->carried);
		if (opinion->windows == BASE && watch->parts[i] >= 1)
			opinion->usual = opinion->speed;
	}
}

/* Of the segments for which there is one. */
static double median_of(const struct ds_watch *watch, double (*of)(const struct opinion *))
{
	double *known = xcalloc(watch->segments, sizeof(*known)), middle = 1;
	size_t count = 0;

	for (size_t i = 0; i < watch->segments; i++) {
		known[count] = of(&watch->opinions[i]);
		count += known[count] > 0;
	}
	if (count)
		middle = numbers_median(known, count);
	free(known);
	return middle;
}

static double usual_of(const struct opinion *opinion)
{
	return opinion->usual;
}

static double change_of(const struct opinion *opinion)
{
	return opinion->usual > 0 ? opinion->speed / opinion->usual : 0;
}

/* What the speed on a segment would be if it were as it was measured. One that was much slower than
 * others from the beginning had changed before. */
static double expected(const struct opinion *opinion, double usual)
{
	return opinion->usual >= DRIFT * usual ? opinion->usual : usual;
}

/* What of its measured rate each segment has, with the others as the measure; 0: nobody knows. One
 * that groups are not slow on has all of it, as far as one can see. */
static void compare_segments(const struct ds_watch *watch, double *parts)
{
	double usual = median_of(watch, usual_of), others = median_of(watch, change_of);

	for (size_t i = 0; i < watch->segments; i++) {
		const struct opinion *opinion = &watch->opinions[i];
		double speed = others * expected(opinion, usual);
		double rate = watch->env.links->segments[i].bytes_per_s;

		if (opinion->windows < BASE)
			parts[i] = 0;
		else if (opinion->speed >= DRIFT * speed)
			parts[i] = 1;
		else
			parts[i] = fmax(fmin(opinion->carried / (rate * speed), 1), LEAST);
	}
}

static bool has_changed(struct ds_watch *watch, const double *parts)
{
	bool changed = false;

	for (size_t i = 0; i < watch->segments; i++) {
		struct opinion *opinion = &watch->opinions[i];
		double ratio = parts[i] / (double)watch->parts[i];

		if (parts[i] > 0 && (ratio < DRIFT || ratio > 1 / DRIFT))
			opinion->strikes++;
		else
			opinion->strikes = 0;
		changed |= opinion->strikes >= STRIKES;
	}
	return changed;
}

static void adopt_parts(struct ds_watch *watch, const double *parts, struct buf *reason)
{
	for (size_t i = 0; i < watch->segments; i++) {
		struct opinion *opinion = &watch->opinions[i];

		if (opinion->strikes >= STRIKES)
			buf_addf(reason, "%s%s carries %.0f %% of what was measured, not %.0f %%",
				 reason->length ? ", " : "", watch->env.links->segments[i].name,
				 100 * parts[i], 100 * (double)watch->parts[i]);
		opinion->strikes = 0;
		if (parts[i] > 0)
			watch->parts[i] = (float)parts[i];
	}
}

static double mean_seconds(const struct cost_env *env, const struct schedule *schedule)
{
	double sum = 0;

	for (int p = 0; p < schedule->phases; p++)
		sum += cost_ring(env, &schedule->phase[p]).seconds;
	return sum / schedule->phases;
}

/* The best plan whose schedule can be used for averages: that of the changing groups, or a ring. */
static const struct plan *choose(const struct plan_list *list, int most)
{
	for (size_t i = 0; i < list->count; i++)
		if ((list->plans[i].kind == PLAN_DS_SYNC || list->plans[i].kind == PLAN_RING) &&
		    list->plans[i].schedule.phases <= most)
			return &list->plans[i];
	return NULL;
}

/* Are other groups faster on the links as they are now? */
static bool plan_again(struct ds_watch *watch, const struct schedule *schedule,
		       struct schedule *better, struct buf *reason)
{
	struct links now;
	struct plan_env env = { .links = &now,
				.host_of = watch->env.host_of,
				.world = watch->env.world,
				.bytes = watch->env.bytes,
				.compute_s = watch->env.compute_s,
				.ds_overlap = watch->env.overlap,
				.consensus_period = watch->env.consensus_period,
				.seed = watch->env.seed };
	struct cost_env cost = {
		.links = &now, .host_of = env.host_of, .world = env.world, .bytes = env.bytes
	};
	struct plan_list list = { 0 };
	const struct plan *plan = NULL;
	struct error ignored;
	double before, after = INFINITY;

	links_copy(&now, watch->env.links);
	for (size_t i = 0; i < watch->segments; i++)
		now.segments[i].bytes_per_s *= (double)watch->parts[i];
	cost.net = flow_net_new(&now);
	before = mean_seconds(&cost, schedule);
	if (plan_build(&list, &env, &ignored) == 0 &&
	    (plan = choose(&list, watch->env.most_phases)))
		after = mean_seconds(&cost, &plan->schedule);
	if (after < WORTH * before) {
		schedule_copy(better, &plan->schedule);
		buf_addf(reason, "; %s should average in %.3g ms instead of %.3g ms", plan->name,
			 1e3 * after, 1e3 * before);
	} else {
		buf_addf(reason, "; no other groups are faster");
	}
	plan_list_release(&list);
	flow_net_free(cost.net);
	links_release(&now);
	return after < WORTH * before;
}

bool ds_watch_take(struct ds_watch *watch, const struct schedule *schedule,
		   const struct ds_window *window, struct schedule *better, struct buf *reason)
{
	struct sight *sights = xcalloc(watch->segments, sizeof(*sights));
	double *parts = xcalloc(watch->segments, sizeof(*parts));
	bool found = false;

	for (int p = 0; p < schedule->phases; p++)
		take_phase(watch, schedule, p, window, sights);
	form_opinions(watch, sights);
	compare_segments(watch, parts);
	if (watch->dwell > 0)
		watch->dwell--;
	if (has_changed(watch, parts) && watch->dwell == 0) {
		adopt_parts(watch, parts, reason);
		found = plan_again(watch, schedule, better, reason);
		watch->changes += found;
		watch->dwell = DWELL << (watch->changes < LONGEST ? watch->changes : LONGEST);
	}
	free(sights);
	free(parts);
	return found;
}
