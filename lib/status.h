/* What there is to say of a run, as members of a JSON object: the same while it lasts and after. */
#ifndef DSTRAIN_LIB_STATUS_H
#define DSTRAIN_LIB_STATUS_H

#include <stdint.h>

struct channel;
struct json;
struct progress_totals;

void status_add_totals(struct json *to, const struct progress_totals *totals);
/* An object at the end of the array `ranks`. */
void status_add_rank(struct json *ranks, uint32_t rank, const struct channel *channel,
		     const char *state);

#endif
