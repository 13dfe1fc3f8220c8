/*
 * Clusters by the rates of pairs alone, bottom-up: hosts that reach each other as fast as they
 * reach anybody are a cluster; then a flow at a time between clusters shows clusters of clusters.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "lib/memory.h"
#include "lib/survey_inside.h"

/* Rates between the clusters of a level. */
struct between {
	int count;
	double *rates;	   /* [count * count] the highest; NAN: unknown */
	bool *near;	   /* [count * count] as fast as they reach what is nearer */
	double *up, *down; /* [count] the best to and from any other */
};

struct edge {
	int a, b;
	double rate;
};

static struct between between_new(int count)
{
	size_t cells = (size_t)count * (size_t)count;
	struct between between = { .count = count,
				   .rates = xcalloc(cells, sizeof(double)),
				   .near = xcalloc(cells, sizeof(bool)),
				   .up = xcalloc((size_t)count, sizeof(double)),
				   .down = xcalloc((size_t)count, sizeof(double)) };

	for (size_t i = 0; i < cells; i++)
		between.rates[i] = NAN;
	return between;
}

static void between_release(struct between *between)
{
	free(between->rates);
	free(between->near);
	free(between->up);
	free(between->down);
}

static double rate(const struct between *between, int a, int b)
{
	return between->rates[a * between->count + b];
}

/* What was not read is as the other way, until it is. */
static double either_way(const struct survey *survey, int from, int to)
{
	double best = survey_measured(survey, from, to)->best;

	return isfinite(best) ? best : survey_measured(survey, to, from)->best;
}

static void read_pairs(const struct survey *survey, struct between *between)
{
	for (int from = 0; from < between->count; from++)
		for (int to = 0; to < between->count; to++)
			if (from != to)
				between->rates[from * between->count + to] =
					either_way(survey, from, to);
}

static void read_trials(const struct survey *survey, struct between *between)
{
	const struct levels *levels = &survey->levels;

	for (size_t t = survey->batch; t < survey->trial_count; t++) {
		const struct trial *trial = &survey->trials[t];

		for (size_t i = 0; i < trial->step.count; i++) {
			const struct survey_flow *flow = &trial->step.flows[i];
			int cell = levels->cluster[flow->from] * between->count +
				   levels->cluster[flow->to];
			double most = fmin(levels->up[flow->from], levels->down[flow->to]);

			between->rates[cell] = fmax(between->rates[cell], trial->rates[i]);
			if (trial->rates[i] >= SURVEY_FULL * most)
				between->near[cell] = true;
		}
	}
}

static void find_bests(struct between *between)
{
	for (int a = 0; a < between->count; a++) {
		between->up[a] = between->down[a] = NAN;
		for (int b = 0; b < between->count; b++) {
			if (a == b)
				continue;
			between->up[a] = fmax(between->up[a], rate(between, a, b));
			between->down[a] = fmax(between->down[a], rate(between, b, a));
		}
	}
}

static bool full(const struct between *between, int a, int b)
{
	return rate(between, a, b) >= SURVEY_FULL * fmin(between->up[a], between->down[b]);
}

static double strength(const struct between *between, int a)
{
	return fmin(between->up[a], between->down[a]);
}

static int faster(const void *a, const void *b)
{
	const struct edge *x = a, *y = b;

	if (x->rate != y->rate)
		return (x->rate < y->rate) - (x->rate > y->rate);
	return x->a != y->a ? x->a - y->a : x->b - y->b;
}

static struct edge *full_edges(const struct between *between, size_t *count)
{
	struct edge *edges = NULL;

	*count = 0;
	for (int a = 0; a < between->count; a++)
		for (int b = a + 1; b < between->count; b++) {
			if (!full(between, a, b) || !full(between, b, a))
				continue;
			edges = xgrow(edges, *count, sizeof(*edges));
			edges[(*count)++] =
				(struct edge){ a, b,
					       fmin(rate(between, a, b), rate(between, b, a)) };
		}
	if (edges)
		qsort(edges, *count, sizeof(*edges), faster);
	return edges;
}

static void unite(int *group, int count, int a, int b)
{
	int old = group[b];

	for (int i = 0; i < count; i++)
		if (group[i] == old)
			group[i] = group[a];
}

static int numbered(int *group, int count)
{
	int *number = xcalloc((size_t)count, sizeof(*number)), used = 0;

	for (int i = 0; i < count; i++)
		number[i] = -1;
	for (int i = 0; i < count; i++) {
		if (number[group[i]] < 0)
			number[group[i]] = used++;
		group[i] = number[group[i]];
	}
	free(number);
	return used;
}

/*
 * group[count]: the fastest edges first, as Kruskal does, but no edge joins two groups that are
 * both faster than it. So a slow host, that reaches everybody as fast as it can, does not join all;
 * where it could be in either of two it stands alone: doubtful[count].
 */
static int join(const struct between *between, int *group, bool *doubtful)
{
	int count = between->count;
	size_t edges_count;
	struct edge *edges = full_edges(between, &edges_count);
	double *strong = xcalloc((size_t)count, sizeof(*strong));

	for (int i = 0; i < count; i++) {
		group[i] = i;
		strong[i] = strength(between, i);
	}
	for (size_t i = 0; i < edges_count; i++) {
		int a = group[edges[i].a], b = group[edges[i].b];

		if (a == b || edges[i].rate < 0.8 * fmin(strong[a], strong[b]))
			continue;
		strong[a] = fmax(strong[a], strong[b]);
		unite(group, count, edges[i].a, edges[i].b);
	}
	for (size_t i = 0; i < edges_count; i++) {
		int a = edges[i].a, b = edges[i].b;

		if (group[a] == group[b])
			continue;
		if (strength(between, a) < 0.8 * strong[group[a]])
			doubtful[a] = true;
		if (strength(between, b) < 0.8 * strong[group[b]])
			doubtful[b] = true;
	}
	free(strong);
	free(edges);
	for (int i = 0; i < count; i++)
		if (doubtful[i] && group[i] == i)
			for (int j = 0, head = -1; j < count; j++)
				if (j != i && group[j] == i) {
					head = head < 0 ? j : head;
					group[j] = head;
				}
	for (int i = 0; i < count; i++)
		group[i] = doubtful[i] ? i : group[i];
	return numbered(group, count);
}

static void hint(struct survey *survey, const struct between *between)
{
	const struct levels *levels = &survey->levels;

	for (int from = 0; from < (int)survey->hosts; from++)
		for (int to = 0; to < (int)survey->hosts; to++) {
			int a = levels->cluster[from], b = levels->cluster[to];

			if (a != b && isfinite(rate(between, a, b)))
				survey_measured(survey, from, to)->hint =
					between->near[a * between->count + b]
						? fmin(levels->up[from], levels->down[to])
						: rate(between, a, b);
		}
}

/* Pairs within one cluster that were never alone can do as well as the others, and so can clusters
 * that were not measured. */
static void hint_within(struct survey *survey, const struct between *between, const int *group)
{
	const struct levels *levels = &survey->levels;

	for (int from = 0; from < (int)survey->hosts; from++)
		for (int to = 0; to < (int)survey->hosts; to++) {
			int a = levels->cluster[from], b = levels->cluster[to];

			if (a != b && (group[a] == group[b] || isnan(rate(between, a, b))))
				survey_measured(survey, from, to)->hint =
					fmin(between->up[a], between->down[b]);
		}
}

static void suspect_clusters(struct survey *survey)
{
	const struct levels *levels = &survey->levels;
	bool *members = xcalloc(survey->hosts, sizeof(*members));

	for (int cluster = 0; cluster < levels->count; cluster++) {
		bool doubtful = false;

		for (size_t host = 0; host < survey->hosts; host++) {
			members[host] = levels->cluster[host] == cluster;
			doubtful = doubtful || (members[host] && levels->doubtful[host]);
		}
		survey_suspect(survey, members, doubtful ? SUSPECT_DOUBTFUL : SUSPECT_SLOW);
	}
	free(members);
}

/* The hosts of each cluster that are there: members[c] [sizes[c]]. */
static void list_members(const struct survey *survey, int *hosts, int **members, size_t *sizes)
{
	const struct levels *levels = &survey->levels;
	size_t used = 0;

	for (int c = 0; c < levels->count; c++) {
		members[c] = hosts + used;
		for (int host = 0; host < (int)survey->hosts; host++)
			if (levels->cluster[host] == c && survey_alive(survey, host))
				members[c][sizes[c]++] = host;
		used += sizes[c];
	}
}

/* One flow out of each cluster and one into each at a time, its hosts in turn: not the same one, if
 * there are two. */
static bool add_rounds(struct survey *survey)
{
	size_t count = (size_t)survey->levels.count, turns = count > 8 ? 1 : 2, rounds, added = 0;
	struct survey_flow *flows = xcalloc(count, sizeof(*flows));
	int *hosts = xcalloc(survey->hosts, sizeof(*hosts));
	int **members = xcalloc(count, sizeof(*members));
	size_t *sizes = xcalloc(count, sizeof(*sizes)), *shifts = survey_shifts(count, &rounds);

	list_members(survey, hosts, members, sizes);
	for (size_t round = 0; round < turns * rounds; round++) {
		size_t made = 0;

		for (size_t a = 0; a < count; a++) {
			size_t b = (a + shifts[round % rounds]) % count;

			if (sizes[a] > 0 && sizes[b] > 0)
				flows[made++] =
					(struct survey_flow){ members[a][round % sizes[a]],
							      members[b][(round + 1) % sizes[b]] };
		}
		added += survey_add(survey, SURVEY_FLOWS, flows, made, "between clusters");
	}
	free(flows);
	free(hosts);
	free(members);
	free(sizes);
	free(shifts);
	return added > 0;
}

/* Clusters that turn out to be as near as their own hosts were taken apart by what was under way.
 */
static void mend(struct survey *survey, struct between *between)
{
	struct levels *levels = &survey->levels;
	int *group = xcalloc((size_t)levels->count, sizeof(*group));

	for (int i = 0; i < levels->count; i++)
		group[i] = i;
	for (int a = 0; a < levels->count; a++)
		for (int b = 0; b < a; b++)
			if (between->near[a * levels->count + b] &&
			    between->near[b * levels->count + a])
				unite(group, levels->count, a, b);
	levels->count = numbered(group, levels->count);
	for (size_t host = 0; host < survey->hosts; host++)
		levels->cluster[host] = group[levels->cluster[host]];
	free(group);
	between_release(between);
	*between = between_new(levels->count);
	read_trials(survey, between);
}

/* From clusters to clusters of them. False: there is nothing above. */
static bool ascend(struct survey *survey, const struct between *between)
{
	struct levels *levels = &survey->levels;
	int *group = xcalloc((size_t)levels->count, sizeof(*group)), count;
	bool *doubtful = xcalloc((size_t)levels->count, sizeof(*doubtful));
	bool more;

	count = join(between, group, doubtful);
	hint_within(survey, between, group);
	for (size_t host = 0; host < survey->hosts; host++) {
		int a = levels->cluster[host];

		levels->up[host] = between->up[a];
		levels->down[host] = between->down[a];
		levels->doubtful[host] = doubtful[a];
		levels->cluster[host] = group[a];
	}
	more = count > 1 && count < levels->count;
	levels->count = count;
	free(group);
	free(doubtful);
	return more;
}

static void begin(struct survey *survey)
{
	struct levels *levels = &survey->levels;

	levels->cluster = xcalloc(survey->hosts, sizeof(*levels->cluster));
	levels->doubtful = xcalloc(survey->hosts, sizeof(*levels->doubtful));
	levels->up = xcalloc(survey->hosts, sizeof(*levels->up));
	levels->down = xcalloc(survey->hosts, sizeof(*levels->down));
	levels->count = (int)survey->hosts;
	for (int host = 0; host < levels->count; host++)
		levels->cluster[host] = host;
}

bool survey_levels(struct survey *survey)
{
	struct levels *levels = &survey->levels;
	struct between between;
	bool more;

	if (survey->hosts < 3)
		return false;
	if (!levels->cluster) {
		begin(survey);
		between = between_new(levels->count);
		read_pairs(survey, &between);
	} else {
		between = between_new(levels->count);
		read_trials(survey, &between);
		hint(survey, &between);
		mend(survey, &between);
		if (levels->count > 1)
			suspect_clusters(survey);
	}
	find_bests(&between);
	more = levels->count > 1 && ascend(survey, &between);
	between_release(&between);
	return more && add_rounds(survey);
}
