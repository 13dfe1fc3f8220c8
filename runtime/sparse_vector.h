/*
 * Vectors of which few coordinates are there, as pairs of an index and a value; and on the wire,
 * where differences of indices take the room of a few bits. A vector that has all its coordinates
 * is dense: its indices are not looked at. After the streams of Renggli et al., "SparCML:
 * high-performance sparse communication for machine learning", SC 2019, but as indices take a bit
 * or two where many are there, being dense only pays once nearly all are.
 */
#ifndef DSTRAIN_RUNTIME_SPARSE_VECTOR_H
#define DSTRAIN_RUNTIME_SPARSE_VECTOR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct error;

struct sparse_vector {
	size_t space;	   /* coordinates, at most UINT32_MAX */
	size_t count;	   /* of them, those that are there */
	uint32_t *indices; /* [count], each above the one before */
	float *values;	   /* [count] */
	size_t room;	   /* of both */
};

/* Makes room for `count` pairs, and keeps those that are there. Never shrinks. */
void sparse_vector_reserve(struct sparse_vector *vector, size_t count);
/* Zeroed again. */
void sparse_vector_release(struct sparse_vector *vector);

static inline bool sparse_vector_is_dense(const struct sparse_vector *vector)
{
	return vector->count == vector->space;
}

/* The place of the first pair whose index is at least `index`, or count. */
size_t sparse_vector_find(const struct sparse_vector *vector, size_t index);

/*
 * sum = x + y, of one space; none is another. What is in one of them alone comes out with the same
 * bits, and what adds up to zero stays a pair, so that sizes do not depend on values. Dense where
 * sparse_vector_thicken makes it so.
 */
void sparse_vector_sum(struct sparse_vector *sum, const struct sparse_vector *x,
		       const struct sparse_vector *y);
/* Makes it dense if on the wire that is shorter: what was not there is -0, which adds nothing to
 * whatever it meets. */
void sparse_vector_thicken(struct sparse_vector *vector);
/* x[space] += vector */
void sparse_vector_add_to(const struct sparse_vector *vector, float *x);

/* The coordinates [start, start + space) on the wire: values, then indices. */
struct sparse_part {
	size_t start, space;
};
/* `cut` becomes those of the vector, counted from the start. */
void sparse_vector_cut(struct sparse_vector *cut, const struct sparse_vector *vector,
		       const struct sparse_part *part);
/* The most bytes of `count` pairs. */
size_t sparse_vector_bound(size_t count, size_t space);
/* Writes the part's pairs, says how many, and returns their bytes. */
size_t sparse_vector_pack(const struct sparse_vector *vector, const struct sparse_part *part,
			  size_t *count, unsigned char *out);
/* Appends `count` pairs of a part to the vector, whose indices lie below it. Bytes come from a
 * peer: what pack cannot have made is an error, and the vector is then as before. */
int sparse_vector_unpack(struct sparse_vector *vector, const struct sparse_part *part, size_t count,
			 const unsigned char *bytes, size_t length, struct error *err);

#endif
