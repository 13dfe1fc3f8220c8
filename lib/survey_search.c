/*
 * Looks for segments that no pair shows alone, such as a rack's uplink that two hosts do not fill:
 * random sets of flows are measured, and where a sum is short the set is reduced to those that
 * share something, from which the others that share it are found.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "lib/memory.h"
#include "lib/survey_inside.h"

enum { BARREN = 6, SLOW_PAIRS = 3, APART = 6 };

/* Of flows that no known segment is too narrow for: one of them, or their sum. */
static bool falls_short(struct survey *survey, const struct trial *trial)
{
	size_t count = trial->step.count;
	double *rates = xcalloc(count, sizeof(*rates)), got = 0, expected = 0;
	bool is_short = false;

	survey_expect(survey, trial, rates, NULL);
	for (size_t i = 0; i < count; i++) {
		if (isnan(trial->rates[i]))
			continue;
		got += trial->rates[i];
		expected += rates[i];
		is_short = is_short || trial->rates[i] < SURVEY_FULL * rates[i];
	}
	free(rates);
	return (is_short || got < 0.92 * expected) && got < 0.75 * survey->ceiling;
}

static bool last_is_short(struct survey *survey)
{
	return falls_short(survey, &survey->trials[survey->trial_count - 1]);
}

static bool ask(struct survey *survey, const struct survey_flow *flows, size_t count)
{
	return survey_add(survey, SURVEY_FLOWS, flows, count, "what else is shared") > 0;
}

/* A random set: nobody twice, and no known segment is overfull. Few
 * hosts do both, or there would hardly be a set. */
static bool hunt(struct survey *survey)
{
	struct search *search = &survey->search;
	size_t senders, receivers, count = 0;
	int *from = survey_alive_hosts(survey, &senders),
	    *to = survey_alive_hosts(survey, &receivers);
	bool *busy = xcalloc(survey->hosts, sizeof(*busy));

	search->phase = SEARCH_HUNT;
	search->again = false;
	search->flows = xrealloc(search->flows, survey->hosts + 1, sizeof(*search->flows));
	for (size_t i = 0; i < senders && count < survey->at_once; i++)
		for (size_t j = 0; j < receivers; j++) {
			search->flows[count] = (struct survey_flow){ from[i], to[j] };
			if (survey->hosts >= APART && (busy[from[i]] || busy[to[j]]))
				continue;
			if (!survey_works(survey, from[i], to[j]) ||
			    survey_crowded(survey, search->flows, count + 1, count, SURVEY_NONE))
				continue;
			busy[from[i]] = busy[to[j]] = true;
			count++;
			break;
		}
	search->count = count;
	free(busy);
	free(from);
	free(to);
	return count > 1 && ask(survey, search->flows, count);
}

static unsigned hunts_needed(const struct survey *survey)
{
	size_t needed = 5 * survey->hosts / survey->at_once;

	return needed < 4 ? 4 : needed > 12 ? 12 : (unsigned)needed;
}

struct ranked {
	struct survey_flow flow;
	double part;
};

static int lower(const void *a, const void *b)
{
	const struct ranked *x = a, *y = b;

	if (x->part != y->part)
		return (x->part > y->part) - (x->part < y->part);
	return x->flow.from - y->flow.from;
}

/* Those first that got the least of what was expected: they are in it. */
static void rank_flows(struct survey *survey)
{
	struct search *search = &survey->search;
	const struct trial *trial = &survey->trials[survey->trial_count - 1];
	struct ranked *ranked = xcalloc(trial->step.count, sizeof(*ranked));
	double *rates = xcalloc(trial->step.count, sizeof(*rates));

	survey_expect(survey, trial, rates, NULL);
	search->count = 0;
	for (size_t i = 0; i < trial->step.count; i++)
		if (!isnan(trial->rates[i]))
			ranked[search->count++] =
				(struct ranked){ trial->step.flows[i], trial->rates[i] / rates[i] };
	qsort(ranked, search->count, sizeof(*ranked), lower);
	for (size_t i = 0; i < search->count; i++)
		search->flows[i] = ranked[i].flow;
	free(ranked);
	free(rates);
}

static bool ask_first(struct survey *survey, size_t count)
{
	struct search *search = &survey->search;

	search->tested = count;
	return ask(survey, search->flows, count);
}

static bool begin_reduce(struct survey *survey)
{
	struct search *search = &survey->search;

	rank_flows(survey);
	search->phase = SEARCH_REDUCE;
	search->again = false;
	search->fixed = 0;
	search->low = 0;
	search->high = search->count;
	return search->count > 0 && ask_first(survey, (search->count + 1) / 2);
}

/* The one flow that makes the difference between too few and enough is needed: to the front. */
static void fix_flow(struct search *search)
{
	struct survey_flow needed = search->flows[search->high - 1];

	memmove(&search->flows[search->fixed + 1], &search->flows[search->fixed],
		(search->high - 1 - search->fixed) * sizeof(needed));
	search->flows[search->fixed++] = needed;
	search->count = search->high;
	search->low = search->fixed - 1;
}

/* Hosts that are not in the set, then those that are. */
static int *other_hosts(struct survey *survey, size_t *count)
{
	const struct search *search = &survey->search;
	int *hosts = survey_alive_hosts(survey, count);
	bool *used = xcalloc(survey->hosts, sizeof(*used));
	size_t outside = 0;

	for (size_t i = 0; i < search->fixed; i++)
		used[search->flows[i].from] = used[search->flows[i].to] = true;
	for (size_t i = 0; i < *count; i++)
		if (!used[hosts[i]]) {
			int host = hosts[i];

			hosts[i] = hosts[outside];
			hosts[outside++] = host;
		}
	free(used);
	return hosts;
}

static int *end_of(struct survey_flow *flow, enum survey_way way)
{
	return way == SURVEY_UP ? &flow->from : &flow->to;
}

/* The same ends on one side, others on the other side. */
static void ask_side(struct survey *survey, enum survey_way way)
{
	struct search *search = &survey->search;
	struct survey_flow *flows = xcalloc(search->fixed, sizeof(*flows));
	size_t others, next = 0, count = 0;
	int *hosts = other_hosts(survey, &others);
	bool *near = xcalloc(survey->hosts, sizeof(*near));

	for (size_t i = 0; i < search->fixed; i++)
		near[*end_of(&search->flows[i], way)] = true;
	for (size_t i = 0; i < search->fixed; i++) {
		while (next < others && near[hosts[next]])
			next++;
		if (next == others)
			break;
		flows[count] = search->flows[i];
		*end_of(&flows[count++], !way) = hosts[next++];
	}
	ask(survey, flows, count);
	free(flows);
	free(hosts);
	free(near);
}

static bool begin_sides(struct survey *survey)
{
	size_t before = survey->trial_count;

	survey->search.phase = SEARCH_SIDES;
	for (int turn = 0; turn < 2; turn++)
		for (enum survey_way way = 0; way < SURVEY_WAYS; way++)
			ask_side(survey, way);
	return survey->trial_count > before;
}

static bool reduce(struct survey *survey)
{
	struct search *search = &survey->search;
	bool is_short = last_is_short(survey);

	if (is_short && !search->again) {
		search->again = true;
		return ask_first(survey, search->tested);
	}
	search->again = false;
	if (is_short)
		search->high = search->tested;
	else
		search->low = search->tested;
	if (search->high - search->low == 1) {
		if (search->high == search->fixed)
			return begin_sides(survey);
		fix_flow(search);
		search->high = search->count;
		if (search->count == search->fixed)
			return begin_sides(survey);
	}
	return ask_first(survey, search->low + (search->high - search->low + 1) / 2);
}

/* A flow that is short alone: its pair is slower than it was taken to be. If there are some of
 * these, no pair is taken to do more than it was seen to do. */
static void lower_hints(struct survey *survey)
{
	const struct survey_flow *flow = &survey->search.flows[0];
	bool all = ++survey->search.slow_pairs >= SLOW_PAIRS;

	for (int from = 0; from < (int)survey->hosts; from++)
		for (int to = 0; to < (int)survey->hosts; to++)
			if (all || (from == flow->from && to == flow->to))
				survey_measured(survey, from, to)->hint =
					survey_measured(survey, from, to)->best;
}

static bool give_up(struct survey *survey)
{
	return ++survey->search.barren < BARREN && hunt(survey);
}

/* The other ends of the set, in any order; then hosts that are known to be strangers, then any.
 * hosts[*count], caller frees. */
static int *far_ends(struct survey *survey, size_t *count)
{
	struct search *search = &survey->search;
	int *hosts = survey_alive_hosts(survey, count), *ends = xcalloc(*count, sizeof(*ends));
	int *rank = xcalloc(survey->hosts, sizeof(*rank));
	size_t used = 0;

	for (size_t host = 0; host < survey->hosts; host++)
		rank[host] = search->members[host] ? 3 : 2;
	for (size_t i = 0; i < search->candidate; i++)
		if (!search->members[search->candidates[i]])
			rank[search->candidates[i]] = 1;
	for (size_t i = 0; i < search->fixed; i++)
		rank[*end_of(&search->flows[i], !search->way)] = 0;
	for (int wanted = 0; wanted < 3; wanted++)
		for (size_t i = 0; i < *count; i++)
			if (rank[hosts[i]] == wanted)
				ends[used++] = hosts[i];
	*count = used;
	free(hosts);
	free(rank);
	return ends;
}

/* Completes flows[made] from `near`: to the first that no known segment but the new one is too
 * narrow for, or else the first at all. Returns which; far_count: none. */
static size_t pick_end(struct survey *survey, struct survey_flow *flows, size_t made, int near,
		       const int *far, size_t far_count)
{
	struct search *search = &survey->search;
	size_t but = search->phase == SEARCH_BESIDE ? search->segments : SURVEY_NONE;
	size_t first = far_count;

	*end_of(&flows[made], search->way) = near;
	for (size_t i = 0; i < far_count; i++) {
		if (far[i] == near)
			continue;
		*end_of(&flows[made], !search->way) = far[i];
		if (!survey_crowded(survey, flows, made + 1, made, but))
			return i;
		first = first < i ? first : i;
	}
	if (first < far_count)
		*end_of(&flows[made], !search->way) = far[first];
	return first;
}

/* Sends from `near` [count] to distinct others, those first that are first in far_ends. */
static bool ask_ends(struct survey *survey, const int *near, size_t count)
{
	size_t far_count;
	int *far = far_ends(survey, &far_count);
	struct survey_flow *flows = xcalloc(count + 1, sizeof(*flows));
	size_t made = 0;
	bool asked;

	for (; made < count && far_count > 0; made++) {
		size_t i = pick_end(survey, flows, made, near[made], far, far_count);

		if (i == far_count)
			break;
		memmove(&far[i], &far[i + 1], (far_count - i - 1) * sizeof(*far));
		far_count--;
	}
	asked = made == count && ask(survey, flows, count);
	free(far);
	free(flows);
	return asked;
}

/* The next candidates, in the place of one of the set (so the rest is not enough: they are all
 * strangers if the sum is not short), or beside all members. */
static bool ask_members(struct survey *survey)
{
	struct search *search = &survey->search;
	size_t left = search->candidate_count - search->candidate, count = 0, out;
	size_t room = survey->at_once > search->fixed ? survey->at_once - search->fixed : 1;
	int *near = xcalloc(survey->hosts + 1, sizeof(*near));
	bool asked;

	search->batch = search->batch < left ? search->batch : left;
	search->batch = search->batch < room ? search->batch : room;
	out = survey_draw(survey, search->fixed);
	for (size_t i = 0; search->phase == SEARCH_MEMBERS && i < search->fixed; i++)
		if (i != out)
			near[count++] = *end_of(&search->flows[i], search->way);
	for (int host = 0; search->phase == SEARCH_BESIDE && host < (int)survey->hosts; host++)
		if (search->members[host] && survey_alive(survey, host))
			near[count++] = host;
	for (size_t i = 0; i < search->batch; i++)
		near[count++] = search->candidates[search->candidate + i];
	asked = ask_ends(survey, near, count);
	free(near);
	return asked;
}

/* Hosts that are not members yet, in any order. */
static void list_candidates(struct survey *survey)
{
	struct search *search = &survey->search;
	size_t hosts;

	free(search->candidates);
	search->candidates = survey_alive_hosts(survey, &hosts);
	search->candidate_count = 0;
	for (size_t i = 0; i < hosts; i++)
		if (!search->members[search->candidates[i]])
			search->candidates[search->candidate_count++] = search->candidates[i];
	search->candidate = 0;
	search->agreed = 0;
	search->batch = 2;
}

static bool after_members(struct survey *survey);
static bool more(struct survey *survey);

static bool next_members(struct survey *survey)
{
	struct search *search = &survey->search;

	while (search->candidate < search->candidate_count) {
		if (ask_members(survey))
			return true;
		if (search->batch == 1)
			search->candidate++;
		search->batch = 1;
	}
	return after_members(survey);
}

/* Whether at least one of those who were asked added nothing. */
static bool some_add_nothing(struct survey *survey)
{
	const struct trial *trial = &survey->trials[survey->trial_count - 1];
	size_t count = trial->step.count;
	double *rates = xcalloc(count, sizeof(*rates)), got = 0, expected = 0, least = INFINITY;

	survey_expect(survey, trial, rates, NULL);
	for (size_t i = 0; i < count; i++) {
		if (isnan(trial->rates[i]))
			continue;
		got += trial->rates[i];
		expected += rates[i];
		if (i + survey->search.batch >= count)
			least = fmin(least, rates[i]);
	}
	free(rates);
	return got < expected - 0.5 * fmin(least, 0.25 * expected);
}

static void take_in(struct survey *survey, int host)
{
	struct search *search = &survey->search;
	bool *joining;

	search->members[host] = true;
	if (search->phase == SEARCH_MEMBERS)
		return;
	joining = xcalloc(survey->hosts, sizeof(*joining));
	joining[host] = true;
	survey->suspects[search->suspect].members[host] = true;
	survey->suspects[search->suspect].size++;
	survey_join(survey, search->segments, search->way, joining);
	free(joining);
}

/* A stranger may seem a member by what else its flow crosses: more often if that goes anywhere, and
 * not to one of the ends that are known. */
static unsigned needed(const struct search *search, int host)
{
	if (search->phase == SEARCH_BESIDE)
		return 5;
	for (size_t i = 0; i < search->fixed; i++)
		if (*end_of((struct survey_flow *)&search->flows[i], !search->way) == host)
			return 5;
	return 2;
}

static bool members(struct survey *survey)
{
	struct search *search = &survey->search;
	bool is_short =
		search->phase == SEARCH_MEMBERS ? last_is_short(survey) : some_add_nothing(survey);

	if (is_short && search->batch > 1) {
		search->batch = (search->batch + 1) / 2;
		return next_members(survey);
	}
	if (is_short && ++search->agreed < needed(search, search->candidates[search->candidate]))
		return next_members(survey);
	search->agreed = 0;
	if (is_short)
		take_in(survey, search->candidates[search->candidate]);
	search->candidate += search->batch;
	search->batch = is_short ? 1 : 2 * search->batch;
	if (search->batch > 4 && search->batch > survey->hosts / 8)
		search->batch = survey->hosts / 8 > 4 ? survey->hosts / 8 : 4;
	return next_members(survey);
}

static bool begin_members(struct survey *survey, enum survey_way way)
{
	struct search *search = &survey->search;

	search->phase = SEARCH_MEMBERS;
	search->way = way;
	search->members = xrealloc(search->members, survey->hosts, sizeof(bool));
	memset(search->members, 0, survey->hosts * sizeof(bool));
	for (size_t i = 0; i < search->fixed; i++)
		search->members[*end_of(&search->flows[i], way)] = true;
	list_candidates(survey);
	return next_members(survey);
}

static bool sides(struct survey *survey)
{
	unsigned is_short[SURVEY_WAYS] = { 0, 0 };

	if (survey->search.fixed == 1) {
		lower_hints(survey);
		return hunt(survey);
	}
	for (size_t t = survey->batch; t < survey->trial_count; t++)
		is_short[(t - survey->batch) % 2] += falls_short(survey, &survey->trials[t]);
	return begin_members(survey, is_short[SURVEY_DOWN] > is_short[SURVEY_UP]);
}

static bool prove(struct survey *survey)
{
	struct search *search = &survey->search;

	search->phase = SEARCH_PROVE;
	search->segments = survey->model.segment_count;
	search->suspect = survey->suspect_count;
	if (!survey_suspect(survey, search->members, SUSPECT_FOUND))
		return give_up(survey);
	survey->suspects[search->suspect].tried[!search->way] = TEST_SPREAD | TEST_ALL;
	return survey_segments(survey) || give_up(survey);
}

/* The first set was so short that a member cannot have been missed. */
static bool fills_easily(const struct survey *survey)
{
	const struct search *search = &survey->search;
	double alone = 0;

	for (size_t i = 0; i < search->fixed; i++)
		alone += links_pair(&survey->model, search->flows[i].from, search->flows[i].to)
				 ->bytes_per_s;
	return survey->model.segments[search->segments].bytes_per_s < 0.8 * alone;
}

static bool proved(struct survey *survey)
{
	struct search *search = &survey->search;

	if (survey->test.kind != TEST_NONE && survey_segments(survey))
		return true;
	if (survey->model.segment_count == search->segments)
		return give_up(survey);
	search->phase = SEARCH_BESIDE;
	list_candidates(survey);
	return fills_easily(survey) ? more(survey) : next_members(survey);
}

static bool more(struct survey *survey)
{
	struct search *search = &survey->search;

	search->phase = SEARCH_MORE;
	search->barren = 0;
	search->clean = 0;
	survey->suspects[search->suspect].tried[!search->way] = TEST_SPREAD;
	survey_suspect_siblings(survey, search->suspect);
	return survey_segments(survey) || hunt(survey);
}

static bool after_members(struct survey *survey)
{
	return survey->search.phase == SEARCH_MEMBERS ? prove(survey) : more(survey);
}

static bool done_more(struct survey *survey)
{
	if (survey->test.kind != TEST_NONE && survey_segments(survey))
		return true;
	return hunt(survey);
}

/* Of many flows there is often one that something else has hit: but not the same one again. */
static bool short_twice(struct survey *survey)
{
	const struct trial *last = &survey->trials[survey->trial_count - 1], *before = last - 1;
	double *rates = xcalloc(last->step.count, sizeof(*rates)), expected = 0, got = 0;
	bool twice = false;

	survey_expect(survey, last, rates, NULL);
	for (size_t i = 0; i < last->step.count && i < before->step.count; i++) {
		double best = fmax(last->rates[i], before->rates[i]);

		if (isnan(best))
			continue;
		twice = twice || best < SURVEY_FULL * rates[i];
		got += 0.5 * (last->rates[i] + before->rates[i]);
		expected += rates[i];
	}
	free(rates);
	return twice || got < 0.92 * expected;
}

static bool hunted(struct survey *survey)
{
	struct search *search = &survey->search;

	if (!last_is_short(survey)) {
		if (++search->clean >= hunts_needed(survey))
			return false;
		return hunt(survey);
	}
	if (!search->again) {
		search->again = true;
		return ask(survey, search->flows, search->count);
	}
	return short_twice(survey) ? begin_reduce(survey) : hunt(survey);
}

bool survey_search(struct survey *survey)
{
	static bool (*const phases[])(struct survey *) = {
		[SEARCH_HUNT] = hunted,	    [SEARCH_REDUCE] = reduce, [SEARCH_SIDES] = sides,
		[SEARCH_MEMBERS] = members, [SEARCH_PROVE] = proved,  [SEARCH_BESIDE] = members,
		[SEARCH_MORE] = done_more,
	};

	if (survey->hosts < 3 ||
	    survey_time_is_up(survey, survey->search.phase == SEARCH_HUNT ? 0.7 : 0.95))
		return false;
	if (survey->passes++ == 0)
		return hunt(survey);
	return phases[survey->search.phase](survey);
}
