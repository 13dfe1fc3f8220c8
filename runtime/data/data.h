/* Samples in memory, the formats they are read from, and which rank trains on which of them. */
#ifndef DSTRAIN_RUNTIME_DATA_H
#define DSTRAIN_RUNTIME_DATA_H

#include <stddef.h>
#include <stdint.h>

#include "lib/opt.h"
#include "lib/registry.h"
#include "runtime/model/batch.h"

struct error;
struct mapped;
struct problems;
struct settings;

/* Samples of one file, at equal distances from each other. */
struct piece {
	const uint8_t *start; /* of the first one */
	size_t first;	      /* its number */
};

/* Rows of few values each: row i has those from start[i] to start[i + 1]. */
struct sparse_rows {
	size_t *start; /* [count + 1] */
	uint32_t *index;
	float *value;
};

/*
 * Samples of one shape, as one of: bytes (in pieces; value = byte * scale[c] + shift[c], c the
 * channel, which is the first dim), floats ([count][shape]), sparse rows (shape is the number of
 * columns), tokens (in pieces; shape is the length of a sample, whose targets are the tokens after
 * each of its own). What is set is owned, but pieces start within `files`, and so do the floats if
 * there are any files.
 */
struct dataset {
	size_t count;
	struct shape shape; /* of one sample */
	struct piece *pieces;
	size_t piece_count;
	size_t stride;	      /* bytes from one sample of a piece to the next */
	size_t token_width;   /* 1, 2 or 4 bytes, little-endian; 0: no tokens */
	float *scale, *shift; /* [channels]; of bytes, else NULL */
	float *floats;
	struct sparse_rows sparse;
	float *targets; /* [count][labels]: a class number, or a value to regress; NULL for tokens
			 */
	size_t labels;	/* targets of one sample */
	size_t classes; /* 0: regression */
	size_t vocabulary; /* features are numbers below this; 0: they are quantities */
	char **words;	   /* [vocabulary], owned: what each number stands for; NULL: unknown */
	struct mapped *files;
	size_t file_count;
};

/* The two parts of the data. Test may be empty (count 0). */
enum data_part { DATA_TRAIN, DATA_TEST };

struct data_format {
	struct entry entry;
	/* Reads one part, checks every record; messages name file and record (or line) number. An
	 * absent test part gives count 0. `seed` is for made-up data. */
	int (*load)(const void *params, enum data_part part, uint64_t seed, struct dataset *out,
		    struct error *err);
	/* Optional, where it is much cheaper than load: of the training part only what a model has
	 * to know (count, shape, labels, classes, vocabulary), no samples; of bytes, stride. */
	int (*describe)(const void *params, struct dataset *out, struct error *err);
};

extern const struct registry data_formats;

/* What a model has to know of the training part, which may come with samples or without. */
int dataset_describe(const struct part *format, uint64_t seed, struct dataset *out,
		     struct error *err);
double dataset_bytes(const struct dataset *dataset); /* of its samples, wherever they are */
void dataset_release(struct dataset *dataset);
/* For formats. Takes over *file; `start` (in it) is where the samples from number `first` on lie.
 */
void dataset_add_file(struct dataset *dataset, const struct mapped *file, const uint8_t *start,
		      size_t first);
/* What was read to check it need not stay resident: see mapped_forget. */
void dataset_forget(const struct dataset *dataset);
/* Where a sample of bytes or tokens lies. */
const uint8_t *dataset_sample(const struct dataset *dataset, size_t sample);
/* Copies samples index[0..batch->count) to batch->x and batch->targets; sparse samples are not
 * copied, batch->rows point to them. Needs room there. */
void dataset_gather(const struct dataset *dataset, const uint32_t *index, struct batch *batch);

/* Which rank sees which samples: `shard: iid | by_label | {classes: 5} | {dirichlet: 0.3}`. */
enum shard_kind { SHARD_IID, SHARD_BY_LABEL, SHARD_CLASSES, SHARD_DIRICHLET };

struct shard_params {
	int kind;
	size_t classes; /* of a rank */
	double alpha;	/* of the Dirichlet distribution */
};

/* Reads "data.shard". */
void shard_read(struct settings *given, struct shard_params *params, struct settings *resolved,
		struct problems *problems);

/*
 * The order of samples. With iid, step s of an epoch is the same `batch` samples of one shuffled
 * order whatever the world size is, and rank r takes the r-th slice of them (runtime/slice.h). The
 * other kinds give each rank samples of its own, of which it draws batch/world a step.
 * The last, smaller batch of an epoch is dropped, unless it is the only one.
 */
struct shard;

struct shard *shard_new(const struct shard_params *params, const struct dataset *dataset,
			size_t batch, int rank, int world, uint64_t seed);
size_t shard_steps_per_epoch(const struct shard *shard); /* the same on all ranks; at least 1 */
/* [world] how many samples each rank has of its own; NULL: all draw from all of them. */
const size_t *shard_sizes(const struct shard *shard);
/* The samples of this rank for a step counted from the start of training. *first is the position
 * of index[0] within the global batch, *total the samples of all ranks. Valid until the next call.
 */
const uint32_t *shard_step(struct shard *shard, size_t step, size_t *count, size_t *first,
			   size_t *total);
size_t shard_most(const struct shard *shard); /* upper bound of *count */
/* For another share than world's slice of the batch: how long it may be, and then, before the first
 * step, from where on and how long it is. */
void shard_reserve(struct shard *shard, size_t most);
void shard_share(struct shard *shard, size_t first, size_t count);
void shard_free(struct shard *shard); /* may be NULL */

#endif
