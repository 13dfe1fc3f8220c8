/* A trained model that a command names: a run, one checkpoint of it, or a file. */
#ifndef DSTRAIN_CMD_TRAINED_H
#define DSTRAIN_CMD_TRAINED_H

#include <stdint.h>

struct error;
struct flags;
struct job;

struct trained {
	char *model;   /* the safetensors file */
	char *recipe;  /* of the run that it belongs to, or --recipe */
	uint64_t step; /* 0: unknown */
};

typedef int trained_use(const struct trained *trained, const struct job *job,
			const struct flags *flags, struct error *err);

/*
 * Calls `use` with what the first operand names, and the job of its recipe: a run directory or the
 * name of a run (its newest valid checkpoint), the directory of a checkpoint (which is verified),
 * or a safetensors file. Returns an exit status, after logging why it is not EXIT_DONE.
 */
int trained_run(const struct flags *flags, trained_use *use);

#endif
