/* A recipe with its names resolved to implementations and every value checked. */
#ifndef DSTRAIN_RUNTIME_JOB_H
#define DSTRAIN_RUNTIME_JOB_H

#include <stdbool.h>
#include <stddef.h>

#include "lib/opt.h"
#include "lib/registry.h"
#include "runtime/compress/rules.h"
#include "runtime/data/data.h"
#include "runtime/exchange.h"
#include "runtime/fault.h"
#include "runtime/feed.h"
#include "runtime/model/list.h"
#include "runtime/model/model.h"
#include "runtime/optim/optim.h"
#include "runtime/sync/sync.h"

struct plan;
struct plan_env;
struct plan_list;
struct problems;
struct settings;

/* The keys that belong to no implementation. */
struct job_params {
	char *name;
	size_t seed;
	char *hosts;
	size_t epochs, steps;			  /* steps > 0 counts, else epochs */
	double seconds;				  /* of training; 0: no limit */
	size_t batch;				  /* samples of one step, over all ranks */
	int share;				  /* enum share_rule */
	double clip;				  /* largest 2-norm of the gradient; 0: none */
	size_t threads;				  /* of one rank */
	size_t eval_every;			  /* epochs; 0: only at the end */
	int eval_ranks;				  /* enum eval_ranks */
	size_t checkpoint_every, checkpoint_keep; /* steps; how many */
	double timeout_s;			  /* of one wait on the data plane */
	char *port;				  /* "0", "40000" or "40000-40100" */
	char *emulate, *emulate_rtt;		  /* files of links between ranks; NULL: none */
};

/* Beside a preset's options, or the layers. */
struct model_params {
	int init;	 /* enum model_init_rule */
	char *init_from; /* safetensors file; NULL: from the seed */
};

/* How it is decided who synchronises with whom. */
struct job_plan {
	char *links; /* auto, probe, none, or a file */
	size_t consensus_period;
	double probe_s;
};

struct job {
	struct job_params params;
	struct job_plan plan;
	struct part data, model, optimizer, schedule, sync, compressor, transport;
	struct exchange_params exchange_params;
	struct compress_rules compress_rules;
	struct layer_list layers; /* of the model instead of a preset */
	struct model_params model_params;
	struct shard_params shard;
	struct feed_params feed_params;
	struct optim_params optim_params;
	struct schedule_params schedule_params;
	struct sync_params sync_params;
	struct fault_params fault;
};

/* One part of a recipe: where it stands, its rows, and the registry that its name comes from. */
struct job_section {
	const char *prefix;		 /* "train.optimizer"; "" for the top level */
	const struct opt *options;	 /* may be NULL */
	size_t params_offset;		 /* of what `options` fill, in struct job */
	const struct registry *registry; /* may be NULL, then so are the rest */
	const char *key, *fallback;	 /* of the name: "name", "sgd" */
	size_t part_offset;		 /* of the struct part, in struct job */
};
extern const struct job_section job_sections[]; /* ends with prefix NULL */

/* All registries, also those that no recipe key names (layers, losses); NULL-terminated. */
extern const struct registry *const job_registries[];

/*
 * Reads all of a recipe. What is wrong, unknown keys too, goes to `problems`; `resolved` gets every
 * key with its effective value, and is itself a recipe. `job` is releasable whatever happened.
 */
void job_read(struct job *job, struct settings *given, struct settings *resolved,
	      struct problems *problems);

/* Spells out what a recipe may abbreviate, so that --set can add to it. */
void job_expand(struct settings *given);

/* The environment of a model for such samples; the rest of it is the caller's to fill. */
struct model_env job_model_env(const struct job *job, const struct dataset *dataset);
int job_model_new(struct model **out, const struct job *job, const struct model_env *env,
		  struct error *err);

/* A span for each tensor; caller frees. */
struct coder_span *job_spans(const struct model *model, size_t *count);

/* Whether it makes a difference to this job who synchronises with whom. */
bool job_wants_plan(const struct job *job);
/* Whether something else than sums of float32 travels. */
bool job_compresses(const struct job *job);
/* What does that, for messages. */
const char *job_scheme(const struct job *job);
/* What a plan has to know of this job, whose parameters are so many bytes; the network's part, and
 * what was measured, is the caller's to fill. */
void job_foresee(const struct job *job, double bytes, struct plan_env *env);
/* The first plan of the list that this job can follow; NULL: none. */
const struct plan *job_choose_plan(const struct job *job, const struct plan_list *list);

/* The samples that one rank may have in a step. */
size_t job_rank_batch(const struct job *job, size_t ranks);
/* Bytes that one rank holds beside its samples. */
struct job_memory {
	double weights, gradient, slots, arena;
};
struct job_memory job_memory(const struct job *job, const struct model *model);

/* Weights come from a checkpoint: forgets what a run begins with otherwise. */
void job_begun(struct job *job);

/* Calls visit for every row of every table, with the struct that it fills. */
typedef void job_visit(void *arg, const char *prefix, const struct opt *row, void *params);
void job_rows(struct job *job, job_visit *visit, void *arg);

/* The files that workers need: what OPT_PATH and OPT_PATHS rows name, to read or to replace by
 * another path (owned by the job). Caller frees the array. */
char ***job_files(struct job *job, size_t *count);
void job_release(struct job *job);

#endif
