/* Which updates a server takes if some of its workers may send anything. */
#include "runtime/sync/kardam_filter.h"

#include <assert.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "lib/memory.h"
#include "lib/numbers.h"

/* A worker's last coefficients, in a ring by age, and the norm of its last update. */
struct record {
	double *ring; /* [window] */
	size_t known, next;
	double norm; /* NAN: none came yet */
};

struct kardam_filter {
	struct kardam_params params;
	struct record *records; /* [workers] */
	size_t *taken;		/* [2 f] workers, the oldest first */
	size_t taken_count;
	double *sorted; /* [workers], scratch */
	uint64_t counts[KARDAM_VERDICTS];
	uint64_t received, refused_in_row, hatched;
};

struct kardam_filter *kardam_filter_new(const struct kardam_params *params)
{
	struct kardam_filter *filter = xcalloc(1, sizeof(*filter));

	assert(params->workers >= 3 * params->f + 1 && params->window > 0);
	filter->params = *params;
	filter->records = xcalloc(params->workers, sizeof(*filter->records));
	for (size_t w = 0; w < params->workers; w++)
		filter->records[w] =
			(struct record){ .ring = xcalloc(params->window,
							 sizeof(*filter->records[w].ring)),
					 .norm = NAN };
	filter->taken = xcalloc(2 * params->f + 1, sizeof(*filter->taken));
	filter->sorted = xcalloc(params->workers, sizeof(*filter->sorted));
	return filter;
}

static double most_of(const struct record *record)
{
	double most = record->ring[0];

	for (size_t i = 1; i < record->known; i++)
		most = fmax(most, record->ring[i]);
	return most;
}

static void note(struct kardam_filter *filter, const struct kardam_update *update)
{
	struct record *record = &filter->records[update->worker];

	record->norm = update->norm;
	if (!isfinite(update->own))
		return;
	record->ring[record->next] = update->own;
	record->next = (record->next + 1) % filter->params.window;
	if (record->known < filter->params.window)
		record->known++;
}

/* The order statistic, not interpolated; NAN while nobody has a coefficient. */
static double threshold(struct kardam_filter *filter)
{
	size_t n = filter->params.workers, known = 0;

	for (size_t w = 0; w < n; w++)
		if (filter->records[w].known > 0)
			filter->sorted[known++] = most_of(&filter->records[w]);
	if (known == 0)
		return NAN;
	numbers_sort(filter->sorted, known);
	return filter->sorted[((n - filter->params.f) * known + n - 1) / n - 1];
}

static bool has_usual_norm(struct kardam_filter *filter, double norm)
{
	size_t f = filter->params.f, known = 0;

	for (size_t w = 0; w < filter->params.workers; w++)
		if (!isnan(filter->records[w].norm))
			filter->sorted[known++] = filter->records[w].norm;
	if (known < 2 * f + 1)
		return false;
	numbers_sort(filter->sorted, known);
	return norm <= 2 * filter->sorted[known - 1 - f];
}

static bool grows_as_usual(struct kardam_filter *filter, const struct kardam_update *update)
{
	double most;

	if (filter->params.f == 0)
		return true;
	if (!has_usual_norm(filter, update->norm))
		return false;
	if (filter->received <= filter->params.warmup || isnan(update->growth))
		return true;
	most = threshold(filter);
	return isnan(most) || update->growth <= most;
}

/* Of 2f + 1 places no f workers have more than f, if and only if all are different ones'. */
static bool is_frequent(const struct kardam_filter *filter, size_t worker)
{
	for (size_t i = 0; i < filter->taken_count; i++)
		if (filter->taken[i] == worker)
			return true;
	return false;
}

static void take(struct kardam_filter *filter, size_t worker)
{
	size_t most = 2 * filter->params.f;

	filter->refused_in_row = 0;
	if (most == 0)
		return;
	if (filter->taken_count == most)
		memmove(filter->taken, filter->taken + 1, --filter->taken_count * sizeof(size_t));
	filter->taken[filter->taken_count++] = worker;
}

static enum kardam_verdict verdict_on(struct kardam_filter *filter,
				      const struct kardam_update *update)
{
	if (!isfinite(update->norm))
		return KARDAM_NOT_FINITE;
	note(filter, update);
	if (filter->params.hatch && filter->refused_in_row >= filter->params.workers) {
		filter->hatched++;
		return KARDAM_ACCEPTED;
	}
	if (!grows_as_usual(filter, update))
		return KARDAM_GREW;
	return is_frequent(filter, update->worker) ? KARDAM_FREQUENT : KARDAM_ACCEPTED;
}

enum kardam_verdict kardam_filter_judge(struct kardam_filter *filter,
					const struct kardam_update *update)
{
	enum kardam_verdict verdict;

	filter->received++;
	verdict = verdict_on(filter, update);
	filter->counts[verdict]++;
	filter->refused_in_row++;
	if (verdict == KARDAM_ACCEPTED)
		take(filter, update->worker);
	return verdict;
}

bool kardam_filter_take_late(struct kardam_filter *filter, size_t worker)
{
	if (is_frequent(filter, worker))
		return false;
	take(filter, worker);
	return true;
}

uint64_t kardam_filter_count(const struct kardam_filter *filter, enum kardam_verdict verdict)
{
	return filter->counts[verdict];
}

uint64_t kardam_filter_hatched(const struct kardam_filter *filter)
{
	return filter->hatched;
}

void kardam_filter_free(struct kardam_filter *filter)
{
	if (!filter)
		return;
	for (size_t w = 0; w < filter->params.workers; w++)
		free(filter->records[w].ring);
	free(filter->records);
	free(filter->taken);
	free(filter->sorted);
	free(filter);
}
