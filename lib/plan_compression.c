/* What a compressor costs and saves, by two plans: with it and without. */
#include <math.h>
#include <stdlib.h>

#include "lib/buf.h"
#include "lib/memory.h"
#include "lib/plan.h"

const struct plan *plan_first(const struct plan_list *list, bool compressed)
{
	for (size_t i = 0; i < list->count; i++)
		if (list->plans[i].compressed == compressed)
			return &list->plans[i];
	return NULL;
}

/* What of a step waits for the wire. */
static double exposed_s(const struct plan *plan)
{
	return plan->step_s - plan->compute_s - plan->codec_s;
}

/* "3.2 ms", of which thousandths are all that anybody wants. */
static void add_ms(struct buf *text, double seconds)
{
	double ms = round(fabs(seconds) * 1e6) * 1e-3;

	buf_addf(text, ms < 1000 ? "%.3g ms" : "%.0f ms", ms);
}

char *plan_compression(const char *scheme, const struct plan *dense, const struct plan *compressed,
		       bool done)
{
	double longer = compressed->step_s - dense->step_s;
	double saved = exposed_s(dense) - exposed_s(compressed);
	bool saves = saved > -1e-9;
	struct buf text = { 0 };

	buf_addf(&text, "compressing with %s %s a step ", scheme, done ? "makes" : "would make");
	add_ms(&text, longer);
	buf_addf(&text, " %s here (codec ", longer > 0 ? "longer" : "shorter");
	add_ms(&text, compressed->codec_s);
	buf_addf(&text, ", %s ", saves ? "saves" : "and");
	add_ms(&text, saved);
	buf_addf(&text, " %son the wire)", saves ? "" : "more ");
	return buf_take(&text);
}

char *plan_verdict(const char *scheme, const struct plan_list *list)
{
	const struct plan *dense = plan_first(list, false), *compressed = plan_first(list, true);
	bool done = list->plans[0].compressed;
	char *costs, *verdict;

	if (!compressed)
		return NULL;
	costs = plan_compression(scheme, dense, compressed, done);
	if (done)
		return costs;
	verdict = xasprintf("%s: %snot compressed", costs,
			    compressed->step_s < dense->step_s ? "not worth it, " : "");
	free(costs);
	return verdict;
}
