/* Named float32 arrays in the safetensors format; see the header. */
#include "lib/safetensors.h"

#include <stdlib.h>
#include <string.h>

#include "lib/buf.h"
#include "lib/error.h"
#include "lib/json.h"
#include "lib/memory.h"
#include "lib/wire.h"

enum { ALIGNMENT = 8, LONGEST_HEADER = 4 << 20 };

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

void safetensors_write(struct buf *out, const struct safetensor *tensors, size_t count)
{
	safetensors_header(out, tensors, count);
	for (size_t i = 0; i < count; i++)
		buf_add(out, tensors[i].x, tensors[i].count * sizeof(float));
}

/* Fills dims, rank and count. `most` is how many floats the file could hold. */
static int read_shape(struct safetensor *tensor, const struct json *shape, size_t most,
		      struct error *err)
{
	tensor->rank = json_size(shape);
	tensor->count = 1;
	if (!shape || tensor->rank > SAFETENSORS_DIMS)
		return error_set(err, "needs a 'shape' of at most %d dimensions", SAFETENSORS_DIMS);
	for (size_t i = 0; i < tensor->rank; i++) {
		uint64_t dim = json_count(json_at(shape, i), UINT64_MAX);

		if (dim == UINT64_MAX)
			return error_set(err, "'shape' must hold counts");
		if (dim && tensor->count > most / dim)
			return error_set(err, "is larger than the file");
		tensor->dim[i] = dim;
		tensor->count *= dim;
	}
	return 0;
}

static int read_range(struct safetensor *tensor, const struct json *range, const char *data,
		      size_t length, struct error *err)
{
	uint64_t start = json_count(json_at(range, 0), UINT64_MAX);
	uint64_t end = json_count(json_at(range, 1), UINT64_MAX);

	if (json_size(range) != 2 || start == UINT64_MAX || end == UINT64_MAX || start > end)
		return error_set(err, "needs 'data_offsets', a start and an end");
	if (end > length)
		return error_set(err, "ends at byte %llu of %zu bytes of data",
				 (unsigned long long)end, length);
	if (end - start != tensor->count * sizeof(float))
		return error_set(err, "has %llu bytes of data, but its shape needs %zu",
				 (unsigned long long)(end - start), tensor->count * sizeof(float));
	tensor->x = (const float *)(const void *)(data + start);
	return 0;
}

static int read_tensor(struct safetensor *tensor, const struct json *entry, const char *data,
		       size_t length, struct error *err)
{
	const char *type = json_get_text(entry, "dtype");

	if (!type || strcmp(type, "F32") != 0)
		return error_set(err, "has dtype '%s', not 'F32'", type ? type : "");
	if (read_shape(tensor, json_get(entry, "shape"), length / sizeof(float), err) < 0)
		return -1;
	return read_range(tensor, json_get(entry, "data_offsets"), data, length, err);
}

static int by_start(const void *a, const void *b)
{
	const struct safetensor *one = *(const struct safetensor *const *)a;
	const struct safetensor *two = *(const struct safetensor *const *)b;

	if (one->x != two->x)
		return one->x < two->x ? -1 : 1;
	return one->count < two->count ? -1 : one->count > two->count;
}

/* Every byte of data belongs to exactly one tensor. */
static int check_cover(const struct safetensors *file, const char *data, size_t length,
		       struct error *err)
{
	const struct safetensor **sorted = xcalloc(file->count, sizeof(struct safetensor *));
	const char *expected = data;
	int status = 0;

	for (size_t i = 0; i < file->count; i++)
		sorted[i] = &file->entries[i];
	qsort(sorted, file->count, sizeof(struct safetensor *), by_start);
	for (size_t i = 0; status == 0 && i < file->count; i++) {
		const char *start = (const char *)sorted[i]->x;

		if (start < expected)
			status = error_set(err, "tensor '%s' overlaps tensor '%s'", sorted[i]->name,
					   sorted[i - 1]->name);
		else if (start > expected)
			status = error_set(err, "%zu bytes before tensor '%s' belong to no tensor",
					   (size_t)(start - expected), sorted[i]->name);
		expected = start + sorted[i]->count * sizeof(float);
	}
	if (status == 0 && expected != data + length)
		status = error_set(err, "%zu bytes after the last tensor belong to no tensor",
				   (size_t)(data + length - expected));
	free(sorted);
	return status;
}

static int read_entries(struct safetensors *out, const struct json *header, const char *data,
			size_t length, struct error *err)
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
	const char *text = (const char *)wire.next;
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
	if (header_length % sizeof(float))
		return error_set(err, "header of %llu bytes: the data are not aligned",
				 (unsigned long long)header_length);
	header = json_parse(text, header_length, err);
	if (!header)
		return error_prefix(err, "safetensors header");
	status = read_entries(out, header, text + header_length, wire.left - header_length, err);
	json_free(header);
	if (status < 0)
		safetensors_release(out);
	return status;
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
