/* What a step took and gave, sent to the orchestrator. */
#ifndef DSTRAIN_RUNTIME_METRICS_H
#define DSTRAIN_RUNTIME_METRICS_H

#include <stddef.h>
#include <stdint.h>

#include "lib/traffic.h"
#include "runtime/model/batch.h"

struct net;
struct outbox;
struct sync;

struct metrics {
	struct outbox *outbox; /* borrowed, as all below */
	const struct net *net;
	struct sync *sync;
	const struct exchange *exchange;
	unsigned rank;
	double begun, lap; /* clock_now of the step's begin, of the last lap */
	double data_s, compute_s;
	uint64_t start;	       /* payload sent before the first step: control, as connecting is */
	struct traffic before; /* at the record before */
};

void metrics_start(struct metrics *metrics); /* before the first step */
void metrics_begin(struct metrics *metrics);
void metrics_data(struct metrics *metrics);    /* what passed since the last lap was the data's */
void metrics_compute(struct metrics *metrics); /* ... the model's and the optimizer's */
void metrics_other(struct metrics *metrics);   /* ... waiting, counted elsewhere */
/* `step` counts completed steps, from 1. */
void metrics_step(struct metrics *metrics, size_t step, const struct score *score, double lr,
		  double gradient_norm);
/* `score` of this rank's slice of the test data; `own`: of its own weights on all of it, or NULL.
 */
void metrics_eval(struct metrics *metrics, size_t step, const struct score *score,
		  const struct score *own);

#endif
