/* What a checkpoint directory holds: manifest.json, written last, names every file with its digest.
 */
#ifndef DSTRAIN_LIB_MANIFEST_H
#define DSTRAIN_LIB_MANIFEST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/digest.h"

struct error;

struct manifest_file {
	char *name; /* owned */
	uint64_t bytes;
	char digest[DIGEST_HEX];
};

struct manifest {
	uint64_t step, steps_per_epoch, samples; /* completed; the data cursor is made from these */
	uint64_t seed;
	uint32_t world;
	double elapsed_s; /* of training, over all resumes */
	char recipe_digest[DIGEST_HEX];
	struct manifest_file *files;
	size_t file_count;
};

/* Fills in bytes and digest of a file that lies in `dir`, and adds it. */
int manifest_add(struct manifest *manifest, const char *dir, const char *name, struct error *err);
int manifest_write(const struct manifest *manifest, const char *dir, struct error *err);
/* Reads it and checks every file's size and digest. */
int manifest_read(struct manifest *out, const char *dir, struct error *err);
/* Reads it alone: the files that it names may be missing or damaged. */
int manifest_parse(struct manifest *out, const char *dir, struct error *err);
/* A file's size, and unless `quick`, its digest. */
int manifest_check(const char *dir, const struct manifest_file *file, bool quick,
		   struct error *err);
uint64_t manifest_bytes(const struct manifest *manifest); /* of all files */
/* May be NULL. */
const struct manifest_file *manifest_find(const struct manifest *manifest, const char *name);
void manifest_release(struct manifest *manifest);

#endif
