/*
 * Collects checkpoints from the ranks' files: into a directory with a temporary name, which is
 * renamed once every rank's part is complete, on disk, and listed in the manifest.
 */
#ifndef DSTRAIN_LIB_COLLECT_H
#define DSTRAIN_LIB_COLLECT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/manifest.h"

struct control_chunk;
struct error;

/* A checkpoint on its way. */
struct collect_pending {
	uint64_t step;
	uint32_t complete; /* ranks that sent everything */
	char *dir;
	struct {
		char *name;
		uint64_t written, size;
	} * files;
	size_t file_count;
};

struct collect {
	char *dir;		  /* "RUN/checkpoints"; owned */
	struct manifest likeness; /* what all manifests of this run have in common; no files */
	size_t keep;
	struct collect_pending *pending;
	size_t pending_count;
	uint64_t last_step;  /* of the newest complete checkpoint; 0: none yet */
	uint64_t last_bytes; /* of the newest one collected here; 0: none yet */
};

/* Removes what an earlier dstrain, killed, had begun to collect; nobody else may be collecting. */
void collect_remove_stale(struct collect *collect);

int collect_chunk(struct collect *collect, const struct control_chunk *chunk, struct error *err);
/* A rank's part of a step is complete. 1: with it the whole checkpoint is, and on disk. */
int collect_end(struct collect *collect, uint64_t step, double elapsed_s, struct error *err);
void collect_release(struct collect *collect); /* removes what is incomplete */

/* A checkpoint's directory, as found. */
struct collect_found {
	uint64_t step;
	char *path;	 /* owned */
	bool unfinished; /* it has a temporary name: being collected, or left by a dstrain killed */
};

/* All below `dir`, oldest first, the unfinished ones last; free with collect_found_free. */
struct collect_found *collect_list(const char *dir, size_t *count);
void collect_found_free(struct collect_found *found, size_t count);
/* Reads the manifest in `path`, which must be of that step. */
int collect_parse(struct manifest *out, const struct collect_found *found, struct error *err);

/*
 * The newest valid checkpoint below `dir`, as its directory (caller frees). Each newer one that is
 * not valid is logged with the reason. NULL and err if there is none.
 */
char *collect_newest(const char *dir, struct manifest *manifest, struct error *err);

#endif
