/* A trained model that a command names: a run, one checkpoint of it, or a file. */
#ifndef DSTRAIN_CMD_TRAINED_H
#define DSTRAIN_CMD_TRAINED_H

#include <stdint.h>

struct error;

/* Zeroed is valid and empty. */
struct trained {
	char *model;   /* the safetensors file */
	char *recipe;  /* of the run that it belongs to */
	uint64_t step; /* 0: unknown */
};

/*
 * `word` is a run directory or the name of a run (its newest valid checkpoint), the directory of a
 * checkpoint (which is verified), or a safetensors file. `recipe` (may be NULL) is used in place of
 * the run's. Returns an exit status; err says why it is not EXIT_DONE.
 */
int trained_find(struct trained *out, const char *word, const char *recipe, struct error *err);
void trained_release(struct trained *trained);

#endif
