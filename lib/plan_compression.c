/* What a compressor costs and saves, by two plans: with it and without. */
#include <math.h>
#include <stdlib.h>

#include "lib/buf.h"
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

char *plan_compression(const char *scheme, const struct plan *dense, const struct plan *compressed,
		       bool done)
{
	double longer = compressed->step_s - dense->step_s;
	double saved = exposed_s(dense) - exposed_s(compressed);
	struct buf text = { 0 };

	buf_addf(&text, "compressing with %s %s a step %.3g ms %s here (codec %.3g ms, ", scheme,
		 done ? "makes" : "would make", fabs(longer) * 1e3,
		 longer > 0 ? "longer" : "shorter", compressed->codec_s * 1e3);
	if (saved >= 0)
		buf_addf(&text, "saves %.3g ms on the wire)", saved * 1e3);
	else
		buf_addf(&text, "and %.3g ms more on the wire)", -saved * 1e3);
	return buf_take(&text);
}
