/* A rank that measures a collective instead of training. */
#ifndef DSTRAIN_RUNTIME_BENCH_H
#define DSTRAIN_RUNTIME_BENCH_H

/* The thread's main, as rank_main: reports READY, DONE or FAILED, and rank 0 a ROW for each size.
 */
void *bench_main(void *rank);

#endif
