/* What a model sees of the data, and what it says of its fit. */
#ifndef DSTRAIN_RUNTIME_BATCH_H
#define DSTRAIN_RUNTIME_BATCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { SHAPE_DIMS = 4 };

/* Row-major; {1, 28, 28} is one plane of 28 rows. Unused dims are 0. */
struct shape {
	size_t dim[SHAPE_DIMS];
	size_t rank;
};

size_t shape_count(const struct shape *shape); /* product of the dims */
enum { SHAPE_TEXT = 96 };
/* "[16, 28, 28]", in `out`, which is returned. */
char *shape_show(char out[SHAPE_TEXT], const struct shape *shape);

/* One sample of which most features are 0: feature index[i] has value[i]. Indices grow. */
struct sparse_row {
	const uint32_t *index;
	const float *value;
	size_t count;
};

/* Samples are either dense, [count][features] in x, or sparse, in rows[count]; the other is NULL.
 * Where features are numbers of words (a vocabulary), x holds whole numbers. */
struct batch {
	float *x;
	struct sparse_row *rows;
	float *targets; /* [count][labels]: one per sample, or one per position of a text */
	size_t count;
	size_t first; /* position of sample 0 in the batch of all ranks */
	size_t total; /* samples in the batch of all ranks: gradients are divided by it */
	size_t step;
	bool training; /* dropout is on */
};

struct score {
	double loss_sum; /* over the samples, not divided */
	size_t correct;	 /* right answers; unused for regression */
	size_t count;	 /* targets: samples * labels */
};

#endif
