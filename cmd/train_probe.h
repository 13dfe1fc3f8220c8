/* Of a run that is about to begin: measures the links between its hosts. */
#ifndef DSTRAIN_CMD_TRAIN_PROBE_H
#define DSTRAIN_CMD_TRAIN_PROBE_H

struct train;

/* Fills the plan's links, in the order of the hosts. Returns the exit status; what failed was
 * said. */
int train_probe(struct train *train);

#endif
