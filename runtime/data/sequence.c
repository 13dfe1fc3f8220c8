/* Rows of tokens, a sample being some that follow each other and its targets the ones after them.
 */
#include "runtime/data/sequence.h"

#include "lib/error.h"
#include "runtime/data/mapped.h"

static uint32_t token_at(const struct row *row, size_t i)
{
	const uint8_t *at = row->start + i * row->width;

	switch (row->width) {
	case 1: return at[0];
	case 2: return (uint32_t)(at[0] | at[1] << 8);
	default:
		return at[0] | (uint32_t)at[1] << 8 | (uint32_t)at[2] << 16 | (uint32_t)at[3] << 24;
	}
}

uint32_t row_largest(const struct row *row)
{
	uint32_t largest = 0;

	for (size_t i = 0; i < row->count; i++) {
		uint32_t token = token_at(row, i);

		largest = token > largest ? token : largest;
	}
	return largest;
}

int row_check(const struct row *row, size_t vocabulary, const char *path, struct error *err)
{
	for (size_t i = 0; i < row->count; i++)
		if (token_at(row, i) >= vocabulary)
			return error_set(err, "'%s': token %zu is %u, out of range 0..%zu", path,
					 i + 1, token_at(row, i), vocabulary - 1);
	return 0;
}

static int check(const struct sequence_params *params, const char *path, const struct row *row,
		 const struct dataset *out, struct error *err)
{
	if (row->count == 0)
		return error_set(err, "'%s' is empty", path);
	if (row->count <= params->length)
		return error_set(err,
				 "'%s' has %zu tokens, too few for a sample of %zu and the one "
				 "after it; see data.context",
				 path, row->count, params->length);
	if (out->token_width && out->token_width != row->width)
		return error_set(err, "'%s' has tokens of %zu bytes, those before it of %zu", path,
				 row->width, out->token_width);
	return 0;
}

/* Test samples do not overlap: no target counts twice. */
int sequence_add(const struct sequence_params *params, enum data_part part, const char *path,
		 struct mapped *file, const struct row *row, struct dataset *out, struct error *err)
{
	size_t stride = params->stride && part == DATA_TRAIN ? params->stride : params->length;

	if (check(params, path, row, out, err) < 0) {
		mapped_release(file);
		return -1;
	}
	out->shape = (struct shape){ .dim = { params->length }, .rank = 1 };
	out->labels = params->length;
	out->token_width = row->width;
	out->stride = stride * row->width;
	dataset_add_file(out, file, row->start, out->count);
	out->count += (row->count - params->length - 1) / stride + 1;
	if (out->count > UINT32_MAX)
		return error_set(err, "'%s' makes more than %u samples; see data.stride", path,
				 UINT32_MAX);
	return 0;
}
