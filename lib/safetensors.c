/* Named arrays in the safetensors format; see the header. */
#include "lib/safetensors.h"

#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "lib/buf.h"
#include "lib/error.h"
#include "lib/json.h"
#include "lib/memory.h"
#include "lib/wire.h"

enum { ALIGNMENT = 8, LONGEST_HEADER = 4 << 20 };

static float from_float(const unsigned char *from)
{
	float value;

	memcpy(&value, from, sizeof(value));
	return value;
}

static float from_double(const unsigned char *from)
{
	double value;

	memcpy(&value, from, sizeof(value));
	return (float)value;
}

/* The upper half of a float. */
static float from_bfloat(const unsigned char *from)
{
	const unsigned char whole[] = { 0, 0, from[0], from[1] };

	return from_float(whole);
}

/* IEEE 754: a sign, 5 bits of exponent, 10 of mantissa. */
static float from_half(const unsigned char *from)
{
	int exponent = from[1] >> 2 & 31, mantissa = (from[1] & 3) << 8 | from[0];
	float size = exponent == 31 ? (mantissa ? NAN : INFINITY)
		     : exponent	    ? ldexpf((float)(1024 + mantissa), exponent - 25)
				    : ldexpf((float)mantissa, -24);

	return from[1] >> 7 ? -size : size;
}

static float from_long(const unsigned char *from)
{
	int64_t value;

	memcpy(&value, from, sizeof(value));
	return (float)value;
}

static float from_int(const unsigned char *from)
{
	int32_t value;

	memcpy(&value, from, sizeof(value));
	return (float)value;
}

static float from_byte(const unsigned char *from)
{
	return *from;
}

static const struct type {
	const char *name;
	size_t bytes;
	float (*read)(const unsigned char *from);
} types[] = {
	{ "F32", 4, from_float },   { "F64", 8, from_double }, { "F16", 2, from_half },
	{ "BF16", 2, from_bfloat }, { "I64", 8, from_long },   { "I32", 4, from_int },
	{ "U8", 1, from_byte },	    { "BOOL", 1, from_byte },
};

static struct json *describe(const struct safetensor *tensor, size_t start)
{
	struct json *entry = json_object_new();
	struct json *shape = json_array_new();
	struct json *range = json_array_new();

	json_add_text(entry, "dtype", "F32");
	for (size_t i = 0; i < tensor->rank; i++)
		json_add_count(shape, NULL, tensor->dim[i]);
	json_add(entry, "shape", shape);
	json_add_count(range, NULL, start);
	json_add_count(range, NULL, start + tensor->count * sizeof(float));
	json_add(entry, "data_offsets", range);
	return entry;
}

size_t safetensors_header(struct buf *out, const struct safetensor *tensors, size_t count)
{
	struct json *header = json_object_new();
	struct buf text = { 0 };
	size_t start = 0;

	for (size_t i = 0; i < count; i++) {
		json_add(header, tensors[i].name, describe(&tensors[i], start));
		start += tensors[i].count * sizeof(float);
	}
	json_print(header, 0, &text);
	while (text.length % ALIGNMENT)
		buf_add(&text, " ", 1);
	wire_put_u64(out, text.length);
	buf_add(out, text.data, text.length);
	buf_release(&text);
	json_free(header);
	return start;
}

/* Fills dims, rank and count. `most` is how many numbers the file could hold. */
static int read_shape(struct safetensor *tensor, const struct json *shape, size_t most,
		      struct error *err)
{
	bool larger = false; /* a dimension of 0 may follow */

	tensor->rank = json_size(shape);
	tensor->count = 1;
	if (!shape || tensor->rank > SAFETENSORS_DIMS)
		return error_set(err, "needs a 'shape' of at most %d dimensions", SAFETENSORS_DIMS);
	for (size_t i = 0; i < tensor->rank; i++) {
		uint64_t dim = json_count(json_at(shape, i), UINT64_MAX);

		if (dim == UINT64_MAX)
			return error_set(err, "'shape' must hold counts");
		larger = dim && (larger || tensor->count > most / dim);
		tensor->dim[i] = dim;
		tensor->count = larger ? tensor->count : tensor->count * dim;
	}
	return larger ? error_set(err, "is larger than the file") : 0;
}

static int read_range(struct safetensor *tensor, const struct json *range,
		      const unsigned char *data, size_t length, struct error *err)
{
	uint64_t start = json_count(json_at(range, 0), UINT64_MAX);
	uint64_t end = json_count(json_at(range, 1), UINT64_MAX);

	if (json_size(range) != 2 || start == UINT64_MAX || end == UINT64_MAX || start > end)
		return error_set(err, "needs 'data_offsets', a start and an end");
	if (end > length)
		return error_set(err, "ends at byte %llu of %zu bytes of data",
				 (unsigned long long)end, length);
	if (end - start != tensor->count * types[tensor->type].bytes)
		return error_set(err, "has %llu bytes of data, but its shape needs %zu",
				 (unsigned long long)(end - start),
				 tensor->count * types[tensor->type].bytes);
	tensor->bytes = data + start;
	return 0;
}

static int read_type(struct safetensor *tensor, const char *name, struct error *err)
{
	struct buf known = { 0 };

	for (size_t i = 0; i < ARRAY_SIZE(types); i++) {
		buf_addf(&known, "%s%s", i ? ", " : "", types[i].name);
		if (name && strcmp(types[i].name, name) == 0) {
			tensor->type = i;
			buf_release(&known);
			return 0;
		}
	}
	error_set(err, "has dtype '%s', not one of %s", name ? name : "", buf_text(&known));
	buf_release(&known);
	return -1;
}

static int read_tensor(struct safetensor *tensor, const struct json *entry,
		       const unsigned char *data, size_t length, struct error *err)
{
	if (read_type(tensor, json_get_text(entry, "dtype"), err) < 0 ||
	    read_shape(tensor, json_get(entry, "shape"), length / types[tensor->type].bytes, err) <
		    0)
		return -1;
	return read_range(tensor, json_get(entry, "data_offsets"), data, length, err);
}

static int by_start(const void *a, const void *b)
{
	const struct safetensor *one = *(const struct safetensor *const *)a;
	const struct safetensor *two = *(const struct safetensor *const *)b;

	if (one->bytes != two->bytes)
		return one->bytes < two->bytes ? -1 : 1;
	return one->count < two->count ? -1 : one->count > two->count;
}

/* Every byte of data belongs to exactly one tensor. */
static int check_cover(const struct safetensors *file, const unsigned char *data, size_t length,
		       struct error *err)
{
	const struct safetensor **sorted = xcalloc(file->count, sizeof(struct safetensor *));
	const unsigned char *expected = data;
	int status = 0;

	for (size_t i = 0; i < file->count; i++)
		sorted[i] = &file->entries[i];
	qsort(sorted, file->count, sizeof(struct safetensor *), by_start);
	for (size_t i = 0; status == 0 && i < file->count; i++) {
		const unsigned char *start = sorted[i]->bytes;

		if (start < expected)
			status = error_set(err, "tensor '%s' overlaps tensor '%s'", sorted[i]->name,
					   sorted[i - 1]->name);
		else if (start > expected)
			status = error_set(err, "%zu bytes before tensor '%s' belong to no tensor",
					   (size_t)(start - expected), sorted[i]->name);
		expected = start + sorted[i]->count * types[sorted[i]->type].bytes;
	}
	if (status == 0 && expected != data + length)
		status = error_set(err, "%zu bytes after the last tensor belong to no tensor",
				   (size_t)(data + length - expected));
	free(sorted);
	return status;
}

static int read_entries(struct safetensors *out, const struct json *header,
			const unsigned char *data, size_t length, struct error *err)
{
	out->entries = xcalloc(json_size(header), sizeof(*out->entries));
	for (size_t i = 0; i < json_size(header); i++) {
		struct safetensor *tensor = &out->entries[out->count];
		const char *name = json_key_at(header, i);

		if (!name)
			return error_set(err, "safetensors header: not an object");
		if (strcmp(name, "__metadata__") == 0)
			continue;
		if (read_tensor(tensor, json_at(header, i), data, length, err) < 0)
			return error_prefix(err, "tensor '%s'", name);
		tensor->name = xstrdup(name);
		out->count++;
	}
	return check_cover(out, data, length, err);
}

int safetensors_read(struct safetensors *out, const void *bytes, size_t length, struct error *err)
{
	struct wire wire = wire_reader(bytes, length);
	uint64_t header_length = wire_get_u64(&wire);
	struct json *header;
	int status;

	*out = (struct safetensors){ 0 };
	if (wire.failed)
		return error_set(err, "not a safetensors file: only %zu bytes", length);
	if (header_length > wire.left || header_length > LONGEST_HEADER)
		return error_set(err,
				 "not a safetensors file, or cut short: header of %llu bytes "
				 "in a file of %zu",
				 (unsigned long long)header_length, length);
	header = json_parse((const char *)wire.next, header_length, err);
	if (!header)
		return error_prefix(err, "safetensors header");
	status = read_entries(out, header, wire.next + header_length, wire.left - header_length,
			      err);
	json_free(header);
	if (status < 0)
		safetensors_release(out);
	return status;
}

void safetensor_floats(const struct safetensor *tensor, float *to)
{
	const struct type *type = &types[tensor->type];

	for (size_t i = 0; i < tensor->count; i++)
		to[i] = type->read(tensor->bytes + i * type->bytes);
}

const struct safetensor *safetensors_find(const struct safetensors *file, const char *name)
{
	for (size_t i = 0; i < file->count; i++)
		if (strcmp(file->entries[i].name, name) == 0)
			return &file->entries[i];
	return NULL;
}

void safetensors_release(struct safetensors *file)
{
	for (size_t i = 0; i < file->count; i++)
		free(file->entries[i].name);
	free(file->entries);
	*file = (struct safetensors){ 0 };
}
