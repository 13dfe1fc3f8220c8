/* How far ranks that go at their own pace are from each other. */
#include "lib/drift.h"

#include <math.h>
#include <stdio.h>

#include "lib/json.h"
#include "lib/wire.h"

enum merge { MEAN, MOST, LEAST };

static const struct {
	const char *name;
	size_t offset;
	enum merge merge;
} figures[] = {
	{ "waited_s", offsetof(struct drift, waited_s) },
	{ "staleness", offsetof(struct drift, staleness) },
	{ "staleness_most", offsetof(struct drift, staleness_most), MOST },
	{ "participants", offsetof(struct drift, participants) },
	{ "consensus_distance", offsetof(struct drift, consensus) },
	{ "accepted", offsetof(struct drift, accepted) },
	{ "worst_loss", offsetof(struct drift, worst_loss), MOST },
	{ "worst_accuracy", offsetof(struct drift, worst_accuracy), LEAST },
};

enum { FIGURES = sizeof(figures) / sizeof(*figures) };

static double *figure(struct drift *drift, size_t i)
{
	void *at = (char *)drift + figures[i].offset;

	return at;
}

static double value(const struct drift *drift, size_t i)
{
	const void *at = (const char *)drift + figures[i].offset;

	return *(const double *)at;
}

struct drift drift_none(void)
{
	struct drift none;

	for (size_t i = 0; i < FIGURES; i++)
		*figure(&none, i) = NAN;
	return none;
}

static double merge_two(enum merge how, double a, double b)
{
	switch (how) {
	case MOST: return fmax(a, b);
	case LEAST: return fmin(a, b);
	default: return a + b;
	}
}

struct drift drift_merge(const struct drift *first, size_t stride, size_t count)
{
	struct drift merged = drift_none();

	for (size_t i = 0; i < FIGURES; i++) {
		double sum = NAN;
		size_t known = 0;

		for (size_t k = 0; k < count; k++) {
			const void *at = (const char *)first + k * stride;
			double x = value(at, i);

			if (isnan(x))
				continue;
			sum = known++ ? merge_two(figures[i].merge, sum, x) : x;
		}
		*figure(&merged, i) = figures[i].merge == MEAN && known ? sum / (double)known : sum;
	}
	return merged;
}

char *drift_show(char *text, size_t size, const struct drift *drift)
{
	char staleness[64] = "", met[48] = "";

	if (!isnan(drift->staleness))
		snprintf(staleness, sizeof(staleness), "  staleness %.1f (most %.0f)",
			 drift->staleness, drift->staleness_most);
	if (!isnan(drift->participants))
		snprintf(met, sizeof(met), "  %.1f ranks met", drift->participants);
	snprintf(text, size, "%s%s", staleness, met);
	return text;
}

void drift_put(struct buf *out, const struct drift *drift)
{
	for (size_t i = 0; i < FIGURES; i++)
		wire_put_f64(out, value(drift, i));
}

struct drift drift_get(struct wire *wire)
{
	struct drift drift;

	for (size_t i = 0; i < FIGURES; i++)
		*figure(&drift, i) = wire_get_f64(wire);
	return drift;
}

void drift_add_json(struct json *to, const struct drift *drift)
{
	for (size_t i = 0; i < FIGURES; i++)
		if (!isnan(value(drift, i)))
			json_add_real(to, figures[i].name, value(drift, i));
}
