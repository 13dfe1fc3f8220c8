/* A recipe with its names resolved to implementations and every value checked. */
#ifndef DSTRAIN_RUNTIME_JOB_H
#define DSTRAIN_RUNTIME_JOB_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/opt.h"
#include "lib/registry.h"
#include "runtime/data/data.h"
#include "runtime/optim/optim.h"
#include "runtime/sync/sync.h"

struct problems;
struct settings;

/* The keys that no registry entry owns. */
struct job_params {
	char *name;
	size_t seed;
	char *hosts;
	size_t epochs, steps; /* steps > 0 counts */
	size_t batch;	      /* over all ranks */
	double clip;
	size_t threads;
	double eval_every; /* epochs between evaluations; 0: only at the end */
	size_t checkpoint_every, checkpoint_keep;
	bool encrypt;
	double timeout_s;
	char *port_range;
};

struct job {
	struct job_params params;
	struct part data, model, optimizer, schedule, sync, compressor, transport;
	struct shard_params shard;
	struct schedule_params schedule_params;
	struct sync_params sync_params;
};

/* One part of a recipe: a prefix, the rows that stand there, and the registry that names it. */
struct job_section {
	const char *prefix;		 /* "train.optimizer"; "" for the top level */
	const struct opt *options;	 /* may be NULL */
	const struct registry *registry; /* may be NULL */
	const char *key, *fallback;	 /* of the name: "name", "sgd" */
};
extern const struct job_section job_sections[]; /* ends with prefix NULL */

/* All registries, also those that no recipe key names (layers, losses); NULL-terminated. For
 * `dstrain list`, completion and the tests. */
extern const struct registry *const job_registries[];

/*
 * Reads all of a recipe. What is wrong goes to `problems`; `resolved` gets every key with its
 * effective value, and is itself a recipe. `job` is releasable whatever happened.
 */
void job_read(struct job *job, struct settings *given, struct settings *resolved,
	      struct problems *problems);
/* The files that workers need, from the OPT_PATH rows. Points into `job`; caller frees the array.
 */
char **job_files(const struct job *job, size_t *count);
void job_release(struct job *job);

#endif
