/* Vectors of which few coordinates are there: added, packed and unpacked. */
#include "runtime/sparse_vector.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "lib/memory.h"
#include "runtime/compress/compress.h"
#include "runtime/compress/sparse.h"
#include "runtime/device/cpu.h"

void sparse_vector_reserve(struct sparse_vector *vector, size_t count)
{
	size_t room = count + count / 8 + 1; /* sizes differ a little from step to step */

	if (count < vector->room)
		return;
	vector->indices = xrealloc(vector->indices, room, sizeof(*vector->indices));
	vector->values = xrealloc(vector->values, room, sizeof(*vector->values));
	vector->room = room;
}

void sparse_vector_release(struct sparse_vector *vector)
{
	free(vector->indices);
	free(vector->values);
	*vector = (struct sparse_vector){ 0 };
}

size_t sparse_vector_find(const struct sparse_vector *vector, size_t index)
{
	size_t low = 0, high = vector->count;

	if (sparse_vector_is_dense(vector))
		return index < high ? index : high;
	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (vector->indices[middle] < index)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

/* The value if it is wanted, and -0, which adds nothing, if not: no branch that half of the time
 * goes the other way. */
static float value_if(bool wanted, float value)
{
	uint32_t bits, mask = -(uint32_t)wanted;

	memcpy(&bits, &value, sizeof(bits));
	bits = (bits & mask) | (~mask & UINT32_C(0x80000000));
	memcpy(&value, &bits, sizeof(bits));
	return value;
}

static size_t copy_rest(struct sparse_vector *sum, size_t at, const struct sparse_vector *x,
			size_t from)
{
	size_t rest = x->count - from;

	if (rest > 0) {
		memcpy(sum->indices + at, x->indices + from, rest * sizeof(*x->indices));
		memcpy(sum->values + at, x->values + from, rest * sizeof(*x->values));
	}
	return at + rest;
}

static void merge(struct sparse_vector *sum, const struct sparse_vector *x,
		  const struct sparse_vector *y)
{
	size_t i = 0, j = 0, at = 0;

	while (i < x->count && j < y->count) {
		uint32_t a = x->indices[i], b = y->indices[j];
		bool first = a <= b, second = b <= a;

		sum->indices[at] = first ? a : b;
		sum->values[at++] = value_if(first, x->values[i]) + value_if(second, y->values[j]);
		i += first;
		j += second;
	}
	at = copy_rest(sum, at, x, i);
	sum->count = copy_rest(sum, at, y, j);
}

/* In the order of the addends, for NaN's sake. */
static void scatter(float *values, const struct sparse_vector *x, bool first)
{
	for (size_t k = 0; k < x->count; k++) {
		float *at = &values[x->indices[k]];

		*at = first ? x->values[k] + *at : *at + x->values[k];
	}
}

void sparse_vector_sum(struct sparse_vector *sum, const struct sparse_vector *x,
		       const struct sparse_vector *y)
{
	bool first = sparse_vector_is_dense(x), second = sparse_vector_is_dense(y);
	size_t most = x->count + y->count;

	assert(x->space == y->space);
	sum->space = x->space;
	sparse_vector_reserve(sum, most < sum->space ? most : sum->space);
	if (!first && !second) {
		merge(sum, x, y);
		sparse_vector_thicken(sum);
		return;
	}
	sum->count = sum->space;
	if (sum->space > 0)
		memcpy(sum->values, first ? x->values : y->values,
		       sum->space * sizeof(*sum->values));
	if (!first)
		scatter(sum->values, x, true);
	else if (!second)
		scatter(sum->values, y, false);
	else
		cpu_add(sum->values, y->values, sum->space);
}

void sparse_vector_thicken(struct sparse_vector *vector)
{
	size_t k = vector->count, dense = vector->space * sizeof(float);

	if (k == vector->space || sparse_bound(k, vector->space) < dense)
		return;
	sparse_vector_reserve(vector, vector->space);
	vector->count = vector->space;
	for (size_t i = vector->space; i-- > 0;) {
		bool there = k > 0 && vector->indices[k - 1] == i;

		k -= there;
		vector->values[i] = there ? vector->values[k] : -0.0f;
	}
}

void sparse_vector_add_to(const struct sparse_vector *vector, float *x)
{
	if (sparse_vector_is_dense(vector))
		cpu_add(x, vector->values, vector->space);
	else
		scatter(x, vector, false);
}

void sparse_vector_cut(struct sparse_vector *cut, const struct sparse_vector *vector,
		       const struct sparse_part *part)
{
	size_t from = sparse_vector_find(vector, part->start);
	size_t count = sparse_vector_find(vector, part->start + part->space) - from;

	sparse_vector_reserve(cut, count);
	cut->space = part->space;
	cut->count = count;
	if (count > 0)
		memcpy(cut->values, vector->values + from, count * sizeof(*cut->values));
	for (size_t k = 0; k < count && count < cut->space; k++)
		cut->indices[k] = vector->indices[from + k] - (uint32_t)part->start;
}

size_t sparse_vector_bound(size_t count, size_t space)
{
	return sparse_bound(count, space);
}

size_t sparse_vector_pack(const struct sparse_vector *vector, const struct sparse_part *part,
			  size_t *count, unsigned char *out)
{
	size_t from = sparse_vector_find(vector, part->start);
	size_t to = sparse_vector_find(vector, part->start + part->space);

	*count = to - from;
	if (*count == 0)
		return 0;
	return sparse_pack(vector->indices + from, vector->values + from, *count, part->start,
			   part->space, out);
}

int sparse_vector_unpack(struct sparse_vector *vector, const struct sparse_part *part, size_t count,
			 const unsigned char *bytes, size_t length, struct error *err)
{
	struct compress_pairs pairs;
	size_t at = vector->count;

	assert(part->start + part->space <= vector->space);
	sparse_vector_reserve(vector, at + (count < part->space ? count : part->space));
	pairs.indices = vector->indices + at;
	pairs.values = vector->values + at;
	if (sparse_unpack(bytes, length, count, part->start, part->space, &pairs, err) < 0)
		return -1;
	vector->count = at + pairs.count;
	return 0;
}
