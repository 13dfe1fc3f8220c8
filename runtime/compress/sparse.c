/* Some coordinates of a span: what the schemes that choose coordinates have in common. */
#include "runtime/compress/sparse.h"

#include <math.h>
#include <string.h>

#include "lib/error.h"
#include "runtime/compress/compress.h"
#include "runtime/compress/indices.h"

size_t sparse_share(double share, size_t count)
{
	size_t chosen = (size_t)ceil(share * (double)count);

	return chosen < count ? chosen : count;
}

size_t sparse_bound(size_t chosen, size_t count)
{
	return chosen * sizeof(float) + indices_bound(chosen, count);
}

/* Values decide: as many indices as coordinates take a bit each, fewer less than the values that
 * are left out with them. */
size_t sparse_bound_any(size_t count)
{
	return count * sizeof(float) + (count + 7) / 8;
}

size_t sparse_encode(const float *x, size_t count, struct selection selection, size_t chosen,
		     unsigned char *out)
{
	unsigned char *values = out, *end = out + chosen * sizeof(float);
	struct index_writer writer = indices_write(end, chosen, count);

	for (size_t i = 0; values < end; i++) {
		i = select_next(&selection, x, count, i);
		memcpy(values, &x[i], sizeof(x[i]));
		values += sizeof(x[i]);
		indices_put(&writer, i);
	}
	return (size_t)(indices_end(&writer) - out);
}

/* A reader of the indices behind the values. */
static int open_payload(struct index_reader *reader, const unsigned char *bytes, size_t length,
			size_t chosen, size_t count, struct error *err)
{
	size_t values = chosen * sizeof(float);

	if (chosen > count || length < values)
		return error_set(err, "a payload of %zu bytes cannot hold %zu of %zu coordinates",
				 length, chosen, count);
	*reader = indices_read(bytes + values, length - values, chosen, count);
	return 0;
}

static int refuse_indices(size_t length, struct error *err)
{
	return error_set(err, "a payload of %zu bytes with damaged indices", length);
}

static int close_payload(const struct index_reader *reader, size_t length, size_t chosen,
			 struct error *err)
{
	if (indices_ended(reader))
		return 0;
	return error_set(err, "a payload of %zu bytes has more than its %zu coordinates", length,
			 chosen);
}

int sparse_decode_add(const unsigned char *bytes, size_t length, size_t chosen, float scale,
		      float *y, size_t count, struct error *err)
{
	struct index_reader reader;
	size_t i;

	if (open_payload(&reader, bytes, length, chosen, count, err) < 0)
		return -1;
	for (size_t k = 0; k < chosen; k++) {
		float value;

		if (!indices_next(&reader, &i))
			return refuse_indices(length, err);
		memcpy(&value, bytes + k * sizeof(value), sizeof(value));
		y[i] += scale * value;
	}
	return close_payload(&reader, length, chosen, err);
}

size_t sparse_pack(const uint32_t *indices, const float *values, size_t chosen, size_t first,
		   size_t count, unsigned char *out)
{
	unsigned char *end = out + chosen * sizeof(*values);
	struct index_writer writer = indices_write(end, chosen, count);

	if (chosen > 0)
		memcpy(out, values, chosen * sizeof(*values));
	for (size_t k = 0; k < chosen && chosen < count; k++)
		indices_put(&writer, indices[k] - first);
	return (size_t)(indices_end(&writer) - out);
}

int sparse_unpack(const unsigned char *bytes, size_t length, size_t chosen, size_t first,
		  size_t count, struct compress_pairs *pairs, struct error *err)
{
	struct index_reader reader;
	size_t i;

	if (open_payload(&reader, bytes, length, chosen, count, err) < 0)
		return -1;
	if (chosen > 0)
		memcpy(pairs->values, bytes, chosen * sizeof(*pairs->values));
	for (size_t k = 0; k < chosen; k++) {
		if (!indices_next(&reader, &i))
			return refuse_indices(length, err);
		pairs->indices[k] = (uint32_t)(first + i);
	}
	pairs->count = chosen;
	return close_payload(&reader, length, chosen, err);
}

double sparse_error(const float *x, size_t count, struct selection selection)
{
	size_t next = select_next(&selection, x, count, 0);
	double sum = 0;

	for (size_t i = 0; i < count; i++) {
		if (i == next)
			next = select_next(&selection, x, count, i + 1);
		else
			sum += (double)x[i] * x[i];
	}
	return sqrt(sum);
}

void sparse_put_header(unsigned char *out, size_t chosen)
{
	uint32_t word = (uint32_t)chosen;

	memcpy(out, &word, SPARSE_HEADER);
}

int sparse_get_header(const unsigned char *bytes, size_t length, size_t *chosen, struct error *err)
{
	uint32_t word;

	if (length < SPARSE_HEADER)
		return error_set(err, "a payload of %zu bytes is shorter than its header", length);
	memcpy(&word, bytes, SPARSE_HEADER);
	*chosen = word;
	return 0;
}

/* The number in front, which the rest has then to fit. */
static int get_number(const unsigned char *bytes, size_t length, size_t most, size_t *chosen,
		      struct error *err)
{
	if (sparse_get_header(bytes, length, chosen, err) < 0)
		return -1;
	if (*chosen > most)
		return error_set(err, "a payload of %zu coordinates where %zu are the most",
				 *chosen, most);
	return 0;
}

int sparse_decode_any(const unsigned char *bytes, size_t length, size_t most, float scale, float *y,
		      size_t count, struct error *err)
{
	size_t chosen = 0;

	if (get_number(bytes, length, most, &chosen, err) < 0)
		return -1;
	return sparse_decode_add(bytes + SPARSE_HEADER, length - SPARSE_HEADER, chosen, scale, y,
				 count, err);
}

int sparse_unpack_any(const unsigned char *bytes, size_t length, size_t most, size_t first,
		      size_t count, struct compress_pairs *pairs, struct error *err)
{
	size_t chosen = 0;

	if (get_number(bytes, length, most, &chosen, err) < 0)
		return -1;
	return sparse_unpack(bytes + SPARSE_HEADER, length - SPARSE_HEADER, chosen, first, count,
			     pairs, err);
}
