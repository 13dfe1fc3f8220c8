/*
 * Whether a cluster's hosts share a way out, or in: all of them send to others at once, and the sum
 * falls short of what they do alone. TCP shares unfairly, so only sums mean something.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "lib/buf.h"
#include "lib/memory.h"
#include "lib/survey_inside.h"

bool survey_suspect(struct survey *survey, const bool *members, enum suspect_kind kind)
{
	struct suspect suspect = { .kind = kind };

	for (size_t host = 0; host < survey->hosts; host++)
		suspect.size += members[host];
	if (suspect.size == 0 || suspect.size == survey->hosts ||
	    (suspect.size == 1 && kind != SUSPECT_DOUBTFUL))
		return false;
	for (size_t i = 0; i < survey->suspect_count; i++)
		if (memcmp(survey->suspects[i].members, members, survey->hosts) == 0)
			return false;
	suspect.members = xcalloc(survey->hosts, sizeof(bool));
	memcpy(suspect.members, members, survey->hosts * sizeof(bool));
	survey->suspects = xgrow(survey->suspects, survey->suspect_count, sizeof(suspect));
	survey->suspects[survey->suspect_count++] = suspect;
	return true;
}

/* The name that all of them have as their group, and nobody else. */
static const char *group_name(const struct survey *survey, const bool *members)
{
	const char *name = NULL;

	for (size_t host = 0; survey->groups && host < survey->hosts; host++)
		if (members[host] && !name)
			name = survey->groups[host];
	for (size_t host = 0; name && host < survey->hosts; host++) {
		const char *group = survey->groups[host];

		if (members[host] != (group && strcmp(group, name) == 0))
			return NULL;
	}
	return name;
}

static char *segment_name(const struct survey *survey, const bool *members, enum survey_way way)
{
	static const char *const ways[] = { "up", "down" };
	const char *group = group_name(survey, members);
	struct buf name = { 0 };
	size_t listed = 0;

	if (group) {
		buf_addf(&name, "%s", group);
	} else {
		for (size_t host = 0; host < survey->hosts; host++)
			if (members[host])
				buf_addf(&name, "%s%s", listed++ ? "," : "{",
					 survey->links.names[host]);
		buf_addf(&name, "}");
	}
	buf_addf(&name, ".%s", ways[way]);
	return buf_take(&name);
}

size_t survey_add_segment(struct survey *survey, const bool *members, enum survey_way way,
			  double bytes_per_s)
{
	char *name = segment_name(survey, members, way);
	struct link_segment *segment = links_add_segment(&survey->model, name, bytes_per_s);

	for (size_t host = 0; host < survey->hosts; host++) {
		segment->from[host] = members[host] == (way == SURVEY_UP);
		segment->to[host] = !segment->from[host];
	}
	free(name);
	survey_remodel(survey);
	return survey->model.segment_count - 1;
}

/* The smallest cluster of a host, to see which hosts may share something; -1 - host: none. */
static int home(const struct survey *survey, int host)
{
	int best = -1 - host;

	for (size_t i = 0; i < survey->suspect_count; i++) {
		const struct suspect *suspect = &survey->suspects[i];

		if (suspect->members[host] && suspect->kind != SUSPECT_DOUBTFUL &&
		    (best < 0 || suspect->size < survey->suspects[best].size))
			best = (int)i;
	}
	return best;
}

/* Flows of a test while it is put together. */
struct draft {
	struct survey_flow *flows; /* [hosts + 1] */
	size_t count;
	bool *used;	  /* [hosts] */
	int *homes;	  /* [hosts] */
	unsigned *visits; /* [hosts] flows so far to hosts of its home */
};

static struct draft draft_new(const struct survey *survey)
{
	struct draft draft = { .flows = xcalloc(survey->hosts + 1, sizeof(*draft.flows)),
			       .used = xcalloc(survey->hosts, sizeof(*draft.used)),
			       .homes = xcalloc(survey->hosts, sizeof(*draft.homes)),
			       .visits = xcalloc(survey->hosts, sizeof(*draft.visits)) };

	for (int host = 0; host < (int)survey->hosts; host++)
		draft.homes[host] = home(survey, host);
	return draft;
}

static void draft_release(struct draft *draft)
{
	free(draft->flows);
	free(draft->used);
	free(draft->homes);
	free(draft->visits);
}

static struct survey_flow flow_of(enum survey_way way, int inner, int outer)
{
	return way == SURVEY_UP ? (struct survey_flow){ inner, outer }
				: (struct survey_flow){ outer, inner };
}

/* How good an other end is for a member's flow: rather one that no known segment is too narrow for,
 * where the fewest go already, and a fast one. */
static double merit(const struct survey *survey, struct draft *draft, enum survey_way way,
		    int inner, int outer)
{
	struct survey_flow flow = flow_of(way, inner, outer);
	double merit = links_pair(&survey->model, flow.from, flow.to)->bytes_per_s;

	draft->flows[draft->count] = flow;
	if (survey_crowded(survey, draft->flows, draft->count + 1, draft->count, SURVEY_NONE))
		merit *= 1e-9;
	return merit * pow(1e-3, draft->visits[outer]);
}

/* The other end for a member's flow; among equals any: neighbours may share what is not to be
 * measured. */
static int partner(struct survey *survey, struct draft *draft, enum survey_way way, int inner)
{
	int hosts = (int)survey->hosts, best = -1, first = (int)survey_draw(survey, survey->hosts);
	double most = 0;

	for (int i = 0; i < hosts; i++) {
		int outer = (i + first) % hosts;
		struct survey_flow flow = flow_of(way, inner, outer);
		double its;

		if (draft->used[outer] || !survey_works(survey, flow.from, flow.to))
			continue;
		its = merit(survey, draft, way, inner, outer);
		if (best >= 0 && its <= 1.1 * most)
			continue;
		best = outer;
		most = its;
	}
	return best;
}

static void draft_add(const struct survey *survey, struct draft *draft, enum survey_way way,
		      int inner, int outer)
{
	draft->flows[draft->count++] = flow_of(way, inner, outer);
	draft->used[outer] = true;
	for (size_t host = 0; host < survey->hosts; host++)
		draft->visits[host] += draft->homes[host] == draft->homes[outer];
}

/* A flow of each member; `spread`: no two go to one home. */
static void draft_members(struct survey *survey, struct draft *draft, const struct suspect *suspect,
			  enum survey_way way, bool spread)
{
	int hosts = (int)survey->hosts, first = (int)survey_draw(survey, survey->hosts);

	for (int i = 0; i < hosts; i++) {
		int inner = (i + first) % hosts, outer;

		if (!suspect->members[inner] || !survey_alive(survey, inner))
			continue;
		outer = partner(survey, draft, way, inner);
		if (outer < 0 || (spread && draft->visits[outer] > 0))
			continue;
		draft_add(survey, draft, way, inner, outer);
	}
}

/* Half of a test's flows, or every other one of them: members in order. */
static void halve(struct draft *draft, enum survey_way way, bool other)
{
	size_t half = (draft->count + 1) / 2;

	for (size_t i = 1; i < draft->count; i++)
		for (size_t j = i; j > 0; j--) {
			struct survey_flow *a = &draft->flows[j - 1], *b = &draft->flows[j],
					   old = *a;

			if (way == SURVEY_UP ? a->from < b->from : a->to < b->to)
				break;
			*a = *b;
			*b = old;
		}
	for (size_t i = 0; i < half; i++)
		draft->flows[i] = draft->flows[other ? 2 * i : i];
	draft->count = half;
}

static void hide(const struct survey *survey, struct draft *draft, const struct suspect *suspect)
{
	for (size_t host = 0; host < survey->hosts; host++)
		draft->used[host] = draft->used[host] || suspect->members[host];
}

/* One step of the test under way. False: there is none such. */
static bool add_turn(struct survey *survey, size_t turn)
{
	struct segment_test *test = &survey->test;
	const struct suspect *suspect = &survey->suspects[test->suspect];
	struct draft draft = draft_new(survey);
	bool useful;

	hide(survey, &draft, suspect);
	test->tail = 0;
	if (test->kind == TEST_JOIN)
		hide(survey, &draft, &survey->suspects[test->joining]);
	draft_members(survey, &draft, suspect, test->way, test->kind == TEST_SPREAD);
	if (test->kind == TEST_HALVES)
		halve(&draft, test->way, turn % 2 == 1);
	if (test->kind == TEST_JOIN) {
		size_t before = draft.count;

		draft_members(survey, &draft, &survey->suspects[test->joining], test->way, false);
		test->tail = draft.count - before;
	}
	useful = draft.count > 1 && (test->kind != TEST_JOIN || test->tail > 0) &&
		 survey_add(survey, SURVEY_FLOWS, draft.flows, draft.count, "shared links") > 1;
	draft_release(&draft);
	return useful;
}

static bool start(struct survey *survey, enum segment_test_kind kind, size_t turns)
{
	struct segment_test *test = &survey->test;
	size_t before = survey->trial_count;
	bool useful = true;

	test->kind = kind;
	test->short_count = test->fine_count = 0;
	for (size_t i = 0; i < turns && useful; i++)
		useful = add_turn(survey, i);
	if (survey->trial_count > before)
		return true;
	test->kind = TEST_NONE;
	return false;
}

/* The sum below which a trial falls short. */
static double least(struct survey *survey, const struct trial *trial)
{
	const struct segment_test *test = &survey->test;
	size_t count = trial->step.count;
	double *rates = xcalloc(count, sizeof(*rates)), all = 0, tail = 0;

	survey_expect(survey, trial, rates, NULL);
	for (size_t i = 0; i < count; i++) {
		all += rates[i];
		if (i + test->tail >= count)
			tail += rates[i];
	}
	free(rates);
	if (test->kind == TEST_JOIN)
		return tail > 0.12 * all ? all - 0.5 * tail : 0;
	return SURVEY_DEFICIT * all;
}

static void judge(struct survey *survey)
{
	struct segment_test *test = &survey->test;

	for (size_t t = survey->batch; t < survey->trial_count; t++) {
		const struct trial *trial = &survey->trials[t];
		double got = survey_sums(survey, trial).got;

		if (got < least(survey, trial) && got < 0.75 * survey->ceiling)
			test->sums[test->short_count++ % ARRAY_SIZE(test->sums)] = got;
		else
			test->fine_count++;
	}
}

/* With the new segment in the model, half of its members do what is expected of them: each half in
 * one of its two trials. */
static bool halves_fill(struct survey *survey)
{
	bool fills[2] = { false, false };

	for (size_t t = survey->batch; t < survey->trial_count; t++) {
		struct sums sums = survey_sums(survey, &survey->trials[t]);

		if (sums.got >= SURVEY_FULL * sums.expected)
			fills[(t - survey->batch) % 2] = true;
	}
	return fills[0] && fills[1];
}

static void drop_segment(struct survey *survey, size_t number)
{
	links_drop_segment(&survey->model, number);
	survey_remodel(survey);
}

static bool apart(const struct survey *survey, const struct suspect *a, const struct suspect *b)
{
	for (size_t host = 0; host < survey->hosts; host++)
		if (a->members[host] && b->members[host])
			return false;
	return true;
}

/* The next of those that may be a part of the segment just found. */
static bool next_join(struct survey *survey, size_t first)
{
	struct segment_test *test = &survey->test;

	for (test->joining = first; test->joining < survey->suspect_count; test->joining++)
		if (survey->suspects[test->joining].kind == SUSPECT_DOUBTFUL &&
		    apart(survey, &survey->suspects[test->suspect],
			  &survey->suspects[test->joining]) &&
		    start(survey, TEST_JOIN, 2))
			return true;
	test->kind = TEST_NONE;
	return false;
}

void survey_join(struct survey *survey, size_t number, enum survey_way way, const bool *joining)
{
	struct link_segment *segment = &survey->model.segments[number];

	for (size_t host = 0; host < survey->hosts; host++)
		if (joining[host]) {
			segment->from[host] = way == SURVEY_UP;
			segment->to[host] = way != SURVEY_UP;
		}
	free(segment->name);
	segment->name = segment_name(survey, way == SURVEY_UP ? segment->from : segment->to, way);
	survey_remodel(survey);
}

/*
 * Whether more steps are needed. What rates alone suggest is believed by most of three. What was
 * found or guessed must be short with whatever other ends, and by the same, since it could as well
 * be these.
 */
static bool undecided(const struct survey *survey)
{
	const struct segment_test *test = &survey->test;

	if (test->kind == TEST_HALVES)
		return false;
	switch (test->kind == TEST_JOIN ? SUSPECT_SLOW : survey->suspects[test->suspect].kind) {
	case SUSPECT_GUESSED: return test->fine_count == 0 && test->short_count < 3;
	case SUSPECT_FOUND: return test->fine_count == 0 && test->short_count < 5;
	default: return test->short_count == test->fine_count;
	}
}

static bool believed(struct survey *survey)
{
	struct segment_test *test = &survey->test;
	enum suspect_kind kind = survey->suspects[test->suspect].kind;
	unsigned count = test->short_count;

	if (test->kind == TEST_JOIN || (kind != SUSPECT_GUESSED && kind != SUSPECT_FOUND))
		return test->short_count > test->fine_count;
	if (test->fine_count > 0 || count < 2)
		return false;
	survey_plateau(test->sums, count); /* sorts */
	return test->sums[count > 2 ? count - 2 : count - 1] >= SURVEY_FULL * test->sums[0];
}

/* What follows from the test that is done. True: another one is under way. */
static bool conclude(struct survey *survey)
{
	struct segment_test *test = &survey->test;
	struct suspect *suspect = &survey->suspects[test->suspect];
	bool is_short = believed(survey);

	if (test->kind == TEST_JOIN) {
		if (is_short)
			survey_join(survey, test->segment, test->way,
				    survey->suspects[test->joining].members);
		return next_join(survey, test->joining + 1);
	}
	if (test->kind == TEST_HALVES) {
		if (halves_fill(survey))
			return next_join(survey, 0);
		drop_segment(survey, survey->model.segment_count - 1);
		suspect->proven = false;
		return false;
	}
	if (!is_short)
		return false;
	test->segment = survey_add_segment(survey, suspect->members, test->way,
					   survey_plateau(test->sums, test->short_count));
	suspect->tried[test->way] = TEST_SPREAD | TEST_ALL;
	suspect->proven = true;
	if (suspect->kind == SUSPECT_GUESSED && start(survey, TEST_HALVES, 4))
		return true;
	return next_join(survey, 0);
}

static bool smaller(const struct survey *survey, size_t a, size_t b)
{
	return survey->suspects[a].size < survey->suspects[b].size;
}

/* The smallest cluster that was not tried in this way. */
static bool next_suspect(struct survey *survey, enum segment_test_kind kind, enum survey_way way)
{
	struct segment_test *test = &survey->test;

	for (;;) {
		size_t best = survey->suspect_count;

		for (size_t i = 0; i < survey->suspect_count; i++)
			if (survey->suspects[i].kind != SUSPECT_DOUBTFUL &&
			    !(survey->suspects[i].tried[way] & kind) &&
			    (best == survey->suspect_count || smaller(survey, i, best)))
				best = i;
		if (best == survey->suspect_count)
			return false;
		survey->suspects[best].tried[way] |= kind;
		test->suspect = best;
		test->way = way;
		if (start(survey, kind, 2))
			return true;
	}
}

bool survey_segments(struct survey *survey)
{
	struct segment_test *test = &survey->test;

	if (survey->hosts < 3)
		return false;
	if (test->kind != TEST_NONE) {
		judge(survey);
		if (undecided(survey) && add_turn(survey, 0))
			return true;
		if (conclude(survey))
			return true;
		test->kind = TEST_NONE;
	}
	for (enum segment_test_kind kind = TEST_SPREAD; kind <= TEST_ALL; kind++)
		for (enum survey_way way = 0; way < SURVEY_WAYS; way++)
			if (next_suspect(survey, kind, way))
				return true;
	return false;
}

/* What flows over a segment do, and what the model expects of them. */
static struct sums over(struct survey *survey, const struct trial *trial, size_t s, double *alone)
{
	const struct link_segment *segment = &survey->model.segments[s];
	double *rates = xcalloc(trial->step.count, sizeof(*rates));
	struct sums sums = { 0 };

	*alone = 0;
	survey_expect(survey, trial, rates, NULL);
	for (size_t i = 0; i < trial->step.count; i++) {
		const struct survey_flow *flow = &trial->step.flows[i];

		if (isnan(trial->rates[i]) || !link_crosses(segment, flow->from, flow->to))
			continue;
		sums.expected += rates[i];
		sums.got += trial->rates[i];
		sums.flows++;
		*alone += links_rate(&survey->model, flow->from, flow->to);
	}
	free(rates);
	return sums;
}

/* Whether a trial should have filled a segment: then what went over it is a reading of it. */
static bool filled(struct survey *survey, const struct trial *trial, size_t s, struct sums *sums)
{
	double alone;

	if (trial->step.kind != SURVEY_FLOWS || trial->step.count < 2)
		return false;
	*sums = over(survey, trial, s, &alone);
	return sums->expected >= 0.98 * survey->model.segments[s].bytes_per_s &&
	       alone > 1.1 * sums->expected;
}

/* Every step that should have filled a segment is another reading of it. If no step shows a
 * difference between with and without it, or they are rather as if it was not there, it goes. */
static bool keep_segment(struct survey *survey, size_t s, double *readings)
{
	double *capacity = &survey->model.segments[s].bytes_per_s, was = *capacity, alone;
	double got = 0, with = 0, without = 0;
	size_t count = 0;

	for (size_t t = 0; t < survey->taken; t++) {
		struct sums sums, other;

		if (!filled(survey, &survey->trials[t], s, &sums))
			continue;
		readings[count++] = sums.got;
		*capacity = INFINITY;
		other = over(survey, &survey->trials[t], s, &alone);
		*capacity = was;
		if (other.expected < 1.1 * sums.expected)
			continue;
		got += sums.got;
		with += sums.expected;
		without += other.expected;
	}
	if (count > 2)
		*capacity = survey_plateau(readings, count);
	survey->model.segments[s].spread =
		count > 1 ? survey_interval(survey, readings, count, *capacity) : NAN;
	return got < 0.5 * (with + without);
}

size_t survey_fill(struct survey *survey, size_t number, bool *busy, struct survey_flow *flows)
{
	const struct link_segment *segment = &survey->model.segments[number];
	double wanted = 1.3 * segment->bytes_per_s;
	size_t hosts = survey->hosts, count = 0, first = survey_draw(survey, hosts * hosts);

	for (size_t i = 0; i < hosts * hosts && wanted > 0; i++) {
		size_t at = (first + i * (hosts + 1)) % (hosts * hosts);
		size_t from = at / hosts, to = at % hosts;

		if (busy[from] || busy[to] || !link_crosses(segment, from, to) ||
		    !survey_works(survey, (int)from, (int)to))
			continue;
		flows[count] = (struct survey_flow){ (int)from, (int)to };
		if (survey_crowded(survey, flows, count + 1, count, number))
			continue;
		wanted -= links_rate(&survey->model, from, to);
		busy[from] = busy[to] = true;
		count++;
	}
	for (size_t i = 0; i < count && wanted > 0; i++)
		busy[flows[i].from] = busy[flows[i].to] = false;
	return wanted > 0 ? 0 : count;
}

void survey_assume_segments(struct survey *survey)
{
	for (size_t i = 0; i < survey->suspect_count; i++) {
		const bool *members = survey->suspects[i].members;
		double up = 0, down = 0;

		for (int from = 0; from < (int)survey->hosts; from++)
			for (int to = 0; to < (int)survey->hosts; to++) {
				double rate = links_pair(&survey->model, from, to)->bytes_per_s;

				if (members[from] && !members[to])
					up = fmax(up, rate);
				if (!members[from] && members[to])
					down = fmax(down, rate);
			}
		survey_add_segment(survey, members, SURVEY_UP, up);
		survey_add_segment(survey, members, SURVEY_DOWN, down);
	}
}

void survey_refine(struct survey *survey)
{
	double *sums = xcalloc(survey->trial_count, sizeof(*sums));

	for (size_t s = survey->model.segment_count; s-- > 2 * survey->hosts;)
		if (!keep_segment(survey, s, sums))
			drop_segment(survey, s);
	free(sums);
}
