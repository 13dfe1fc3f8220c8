/* How far ranks that go at their own pace, or meet only some of the others, are from each other. */
#ifndef DSTRAIN_LIB_DRIFT_H
#define DSTRAIN_LIB_DRIFT_H

#include <stddef.h>

struct buf;
struct json;
struct wire;

/* Of a rank's step, or of a step of all. NAN: has no meaning there. */
struct drift {
	double waited_s;		  /* for other ranks, before the step */
	double staleness, staleness_most; /* updates of others that weights missed: median, most */
	double participants;		  /* ranks that averaged with each other */
	double consensus;		  /* distance of weights from that average, relative */
	double accepted;		  /* part of the updates that were not refused */
	/* Of an evaluation: how well the rank's own weights do on all test data. */
	double worst_loss, worst_accuracy;
};

struct drift drift_none(void);
/* The mean of those of `count` for which a figure has a meaning; of staleness_most the most, of
 * worst_ the worst. They stand `stride` bytes from each other. */
struct drift drift_merge(const struct drift *first, size_t stride, size_t count);
/* "  staleness 1.5 (most 4)  3.0 ranks met"; "" where nothing has a meaning. Returns text. */
char *drift_show(char *text, size_t size, const struct drift *drift);
void drift_put(struct buf *out, const struct drift *drift);
struct drift drift_get(struct wire *wire);
void drift_add_json(struct json *to, const struct drift *drift); /* what has a meaning */

#endif
