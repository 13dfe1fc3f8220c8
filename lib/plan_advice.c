/* What no grouping cures: one host that holds back whatever it takes part in. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "lib/links.h"
#include "lib/memory.h"
#include "lib/numbers.h"
#include "lib/plan.h"
#include "lib/plan_layout.h"
#include "lib/units.h"

/* A host is slow by itself if it does less than this part of what the middle one does. */
static const double SLOW = 0.6;

/* ... and holds a plan back if its part of a step is at least so much of it. */
static const double FELT = 0.5;

/* The hosts that ranks are on, and something of each. */
struct sample {
	size_t count;
	size_t *host;
	double *value;
};

static struct sample sample_new(const struct plan_env *env)
{
	struct sample sample = { .host = xcalloc(env->links->hosts, sizeof(size_t)),
				 .value = xcalloc(env->links->hosts, sizeof(double)) };
	bool *here = xcalloc(env->links->hosts, sizeof(*here));

	for (int i = 0; i < env->world; i++)
		here[env->host_of[i]] = true;
	for (size_t h = 0; h < env->links->hosts; h++)
		if (here[h])
			sample.host[sample.count++] = h;
	free(here);
	return sample;
}

static void sample_release(struct sample *sample)
{
	free(sample->host);
	free(sample->value);
}

/* The upper median, so that of two hosts one may be slow. NAN: something is unknown. */
static double median(const struct sample *sample)
{
	double *sorted = xcalloc(sample->count, sizeof(*sorted)), middle;

	for (size_t i = 0; i < sample->count; i++)
		if (isnan(sample->value[i])) {
			free(sorted);
			return NAN;
		}
	memcpy(sorted, sample->value, sample->count * sizeof(*sorted));
	numbers_sort(sorted, sample->count);
	middle = sorted[sample->count / 2];
	free(sorted);
	return middle;
}

/* The best that each host does in one direction, to or from any other: its own port, so to say. */
static void fill_ports(struct sample *sample, const double *rates, size_t hosts, bool sends)
{
	for (size_t i = 0; i < sample->count; i++) {
		sample->value[i] = NAN;
		for (size_t j = 0; j < sample->count; j++) {
			size_t from = sample->host[sends ? i : j];
			size_t to = sample->host[sends ? j : i];

			if (i != j)
				sample->value[i] = fmax(sample->value[i], rates[from * hosts + to]);
		}
	}
}

static size_t least_of(const struct sample *sample)
{
	size_t least = 0;

	for (size_t i = 1; i < sample->count; i++)
		if (sample->value[i] < sample->value[least])
			least = i;
	return least;
}

/* NULL: no host is slow. */
static char *slow_port(struct sample *sample, const struct links *links, const double *rates,
		       bool sends, const struct plan *chosen)
{
	char slow[32], usual[32];
	double middle;
	size_t least;

	fill_ports(sample, rates, links->hosts, sends);
	middle = median(sample);
	least = least_of(sample);
	if (!(sample->value[least] < SLOW * middle) ||
	    chosen->bytes_sent / sample->value[least] < FELT * chosen->step_s)
		return NULL;
	return xasprintf("%s %s at most %s, others %s: every group that it is in waits for its "
			 "bytes, so only sending less helps (a compressor, local_sgd), or leaving "
			 "it out",
			 links->names[sample->host[least]], sends ? "sends" : "receives",
			 units_show_bits(slow, sizeof(slow), sample->value[least]),
			 units_show_bits(usual, sizeof(usual), middle));
}

static char *slow_computer(struct sample *sample, const struct links *links,
			   const struct plan *chosen)
{
	double middle;
	size_t most = 0;

	for (size_t i = 0; i < sample->count; i++) {
		sample->value[i] = links->compute_s ? links->compute_s[sample->host[i]] : NAN;
		if (sample->value[i] > sample->value[most])
			most = i;
	}
	middle = median(sample);
	if (!(middle < SLOW * sample->value[most]) || sample->value[most] < FELT * chosen->step_s)
		return NULL;
	return xasprintf("%s computes %.1f times as long as others: everybody meets it within a "
			 "period, so no group goes around it; leave it out, or give it less to do",
			 links->names[sample->host[most]], sample->value[most] / middle);
}

char *plan_advice(const struct plan_env *env, const struct plan *chosen)
{
	struct sample sample = sample_new(env);
	char *advice = NULL;

	if (sample.count > 1)
		advice = slow_computer(&sample, env->links, chosen);
	if (sample.count > 2 && !advice) {
		double *rates = plan_rates(env->links);

		advice = slow_port(&sample, env->links, rates, true, chosen);
		if (!advice)
			advice = slow_port(&sample, env->links, rates, false, chosen);
		free(rates);
	}
	sample_release(&sample);
	return advice;
}
