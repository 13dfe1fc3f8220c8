/* A rank that measures the links to the others instead of training. */
#ifndef DSTRAIN_RUNTIME_PROBE_H
#define DSTRAIN_RUNTIME_PROBE_H

/* The thread's main, as rank_main: reports READY, DONE or FAILED, and rank 0 a SURVEY frame after
 * each step. */
void *probe_main(void *rank);

#endif
