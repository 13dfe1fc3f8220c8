/*
 * Whether a cluster's hosts share a way out, or in: all of them send to others at once, and the sum
 * falls short of what they do alone. TCP shares unfairly, so only sums mean something.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "lib/buf.h"
#include "lib/flow.h"
#include "lib/memory.h"
#include "lib/survey_inside.h"

void survey_suspect(struct survey *survey, const bool *members, enum suspect_kind kind)
{
	struct suspect suspect = { .kind = kind };

	for (size_t host = 0; host < survey->hosts; host++)
		suspect.size += members[host];
	if (suspect.size == 0 || suspect.size == survey->hosts ||
	    (suspect.size == 1 && kind != SUSPECT_DOUBTFUL))
		return;
	for (size_t i = 0; i < survey->suspect_count; i++)
		if (memcmp(survey->suspects[i].members, members, survey->hosts) == 0)
			return;
	suspect.members = xcalloc(survey->hosts, sizeof(bool));
	memcpy(suspect.members, members, survey->hosts * sizeof(bool));
	survey->suspects = xgrow(survey->suspects, survey->suspect_count, sizeof(suspect));
	survey->suspects[survey->suspect_count++] = suspect;
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
	flow_net_free(survey->net);
	survey->net = NULL;
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
	struct survey_flow *flows; /* [hosts] */
	size_t count;
	bool *used;	  /* [hosts] */
	int *homes;	  /* [hosts] */
	unsigned *visits; /* [hosts] flows so far to hosts of its home */
};

static struct draft draft_new(const struct survey *survey)
{
	struct draft draft = { .flows = xcalloc(survey->hosts, sizeof(*draft.flows)),
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

static double alone(const struct survey *survey, enum survey_way way, int inner, int outer)
{
	return way == SURVEY_UP ? links_pair(&survey->model, inner, outer)->bytes_per_s
				: links_pair(&survey->model, outer, inner)->bytes_per_s;
}

/* The other end for a member's flow: where the fewest of them go already, and fastest. */
static int partner(const struct survey *survey, const struct draft *draft, enum survey_way way,
		   int inner, unsigned turn)
{
	int hosts = (int)survey->hosts, best = -1;

	for (int i = 0; i < hosts; i++) {
		int outer = (i + (int)turn * 3) % hosts;
		double gain;

		if (draft->used[outer] || !(way == SURVEY_UP ? survey_works(survey, inner, outer)
							     : survey_works(survey, outer, inner)))
			continue;
		if (best < 0 || draft->visits[outer] < draft->visits[best]) {
			best = outer;
			continue;
		}
		gain = alone(survey, way, inner, outer) / alone(survey, way, inner, best);
		if (draft->visits[outer] == draft->visits[best] && gain > 1.1)
			best = outer;
	}
	return best;
}

static void draft_add(const struct survey *survey, struct draft *draft, enum survey_way way,
		      int inner, int outer)
{
	draft->flows[draft->count++] = way == SURVEY_UP ? (struct survey_flow){ inner, outer }
							: (struct survey_flow){ outer, inner };
	draft->used[outer] = true;
	for (size_t host = 0; host < survey->hosts; host++)
		draft->visits[host] += draft->homes[host] == draft->homes[outer];
}

/* Members are chosen by `step`: all, or every other one; `spread`: no two go to one home. */
static void draft_members(const struct survey *survey, struct draft *draft,
			  const struct suspect *suspect, enum survey_way way, unsigned turn,
			  bool spread)
{
	int hosts = (int)survey->hosts;

	for (int i = 0; i < hosts; i++) {
		int inner = (i + (int)turn) % hosts, outer;

		if (!suspect->members[inner] || !survey_alive(survey, inner))
			continue;
		outer = partner(survey, draft, way, inner, turn);
		if (outer < 0 || (spread && draft->visits[outer] > 0))
			continue;
		draft_add(survey, draft, way, inner, outer);
	}
}

/* The first or the second half of the members, or every other one of them. */
static void halve(struct draft *draft, unsigned turn)
{
	size_t half = (draft->count + 1) / 2;

	for (size_t i = 0; i < half; i++)
		draft->flows[i] = draft->flows[turn % 2 ? 2 * i : i];
	draft->count = half;
}

static void hide(const struct survey *survey, struct draft *draft, const struct suspect *suspect)
{
	for (size_t host = 0; host < survey->hosts; host++)
		draft->used[host] = draft->used[host] || suspect->members[host];
}

/* One step of the test under way, the `turn`-th. False: there is none such. */
static bool add_turn(struct survey *survey)
{
	struct segment_test *test = &survey->test;
	const struct suspect *suspect = &survey->suspects[test->suspect];
	struct draft draft = draft_new(survey);
	bool useful;

	hide(survey, &draft, suspect);
	test->tail = 0;
	if (test->kind == TEST_JOIN)
		hide(survey, &draft, &survey->suspects[test->joining]);
	draft_members(survey, &draft, suspect, test->way, test->turn, test->kind == TEST_SPREAD);
	if (test->kind == TEST_HALVES)
		halve(&draft, test->turn);
	if (test->kind == TEST_JOIN) {
		size_t before = draft.count;

		draft_members(survey, &draft, &survey->suspects[test->joining], test->way,
			      test->turn, false);
		test->tail = draft.count - before;
	}
	test->turn++;
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
	test->turn = test->short_count = test->fine_count = 0;
	test->sum = 0;
	for (size_t i = 0; i < turns && useful; i++)
		useful = add_turn(survey);
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

	survey_expect(survey, trial, rates);
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

		if (got < least(survey, trial) && got < 0.75 * survey->ceiling) {
			test->short_count++;
			test->sum += got;
		} else {
			test->fine_count++;
		}
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

static void drop_segment(struct survey *survey)
{
	struct link_segment *segment = &survey->model.segments[--survey->model.segment_count];

	free(segment->name);
	free(segment->from);
	free(segment->to);
	flow_net_free(survey->net);
	survey->net = NULL;
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

static void take_in(struct survey *survey)
{
	const struct segment_test *test = &survey->test;
	struct link_segment *segment = &survey->model.segments[test->segment];
	const bool *joining = survey->suspects[test->joining].members;

	for (size_t host = 0; host < survey->hosts; host++)
		if (joining[host]) {
			segment->from[host] = test->way == SURVEY_UP;
			segment->to[host] = test->way != SURVEY_UP;
		}
	free(segment->name);
	segment->name = segment_name(survey, test->way == SURVEY_UP ? segment->from : segment->to,
				     test->way);
	flow_net_free(survey->net);
	survey->net = NULL;
}

/* What follows from the test that is done. True: another one is under way. */
static bool conclude(struct survey *survey)
{
	struct segment_test *test = &survey->test;
	struct suspect *suspect = &survey->suspects[test->suspect];
	bool is_short = test->short_count > test->fine_count;

	if (test->kind == TEST_JOIN) {
		if (is_short)
			take_in(survey);
		return next_join(survey, test->joining + 1);
	}
	if (test->kind == TEST_HALVES) {
		if (halves_fill(survey))
			return next_join(survey, 0);
		drop_segment(survey);
		return false;
	}
	if (!is_short)
		return false;
	test->segment = survey_add_segment(survey, suspect->members, test->way,
					   test->sum / test->short_count);
	suspect->tried[test->way] = TEST_SPREAD | TEST_ALL;
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
		if (test->kind != TEST_HALVES && test->short_count == test->fine_count &&
		    add_turn(survey))
			return true;
		if (conclude(survey))
			return true;
		test->kind = TEST_NONE;
	}
	for (enum segment_test_kind kind = TEST_SPREAD; kind <= TEST_ALL; kind <<= 1)
		for (enum survey_way way = 0; way < SURVEY_WAYS; way++)
			if (next_suspect(survey, kind, way))
				return true;
	return false;
}

/* The sum over a segment in a trial that should have filled it; NAN: it should not. */
static double filled(struct survey *survey, const struct trial *trial, size_t s)
{
	const struct link_segment *segment = &survey->model.segments[s];
	double *rates = xcalloc(trial->step.count, sizeof(*rates)), expected = 0, got = 0,
	       alone = 0;

	survey_expect(survey, trial, rates);
	for (size_t i = 0; i < trial->step.count; i++) {
		const struct survey_flow *flow = &trial->step.flows[i];

		if (isnan(trial->rates[i]) || !link_crosses(segment, flow->from, flow->to))
			continue;
		expected += rates[i];
		got += trial->rates[i];
		alone += links_rate(&survey->model, flow->from, flow->to);
	}
	free(rates);
	return expected >= 0.98 * segment->bytes_per_s && alone > 1.3 * expected ? got : NAN;
}

/* Every step that should have filled a segment is another reading of it. */
void survey_refine(struct survey *survey)
{
	double *sums = xcalloc(survey->trial_count, sizeof(*sums));

	for (size_t s = 2 * survey->hosts; s < survey->model.segment_count; s++) {
		size_t count = 0;

		for (size_t t = 0; t < survey->trial_count; t++) {
			const struct trial *trial = &survey->trials[t];
			double sum = trial->step.kind == SURVEY_FLOWS && t < survey->taken
					     ? filled(survey, trial, s)
					     : NAN;

			if (isfinite(sum))
				sums[count++] = sum;
		}
		if (count > 2)
			survey->model.segments[s].bytes_per_s = survey_plateau(sums, count);
	}
	free(sums);
}
