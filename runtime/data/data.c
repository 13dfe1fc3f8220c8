/* Samples in memory. */
#include "runtime/data/data.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "lib/memory.h"
#include "runtime/data/mapped.h"
#include "runtime/device/kernels.h"

int dataset_describe(const struct part *format, uint64_t seed, struct dataset *out,
		     struct error *err)
{
	const struct data_format *chosen = PART_AS(format, struct data_format);

	*out = (struct dataset){ 0 };
	return chosen->describe ? chosen->describe(format->params, out, err)
				: chosen->load(format->params, DATA_TRAIN, seed, out, err);
}

double dataset_bytes(const struct dataset *dataset)
{
	double count = (double)dataset->count;
	double targets = dataset->token_width ? 0 : count * (double)dataset->labels * sizeof(float);

	if (dataset->sparse.start)
		return targets + (double)dataset->sparse.start[dataset->count] *
					 (sizeof(uint32_t) + sizeof(float));
	if (dataset->stride)
		return targets + count * (double)dataset->stride;
	return targets + count * (double)shape_count(&dataset->shape) * sizeof(float);
}

void dataset_release(struct dataset *dataset)
{
	if (!dataset->file_count)
		free(dataset->floats);
	for (size_t i = 0; i < dataset->file_count; i++)
		mapped_release(&dataset->files[i]);
	for (size_t i = 0; dataset->words && i < dataset->vocabulary; i++)
		free(dataset->words[i]);
	free(dataset->words);
	free(dataset->files);
	free(dataset->pieces);
	free(dataset->scale);
	free(dataset->shift);
	free(dataset->sparse.start);
	free(dataset->sparse.index);
	free(dataset->sparse.value);
	free(dataset->targets);
	*dataset = (struct dataset){ 0 };
}

void dataset_add_file(struct dataset *dataset, const struct mapped *file, const uint8_t *start,
		      size_t first)
{
	dataset->files = xgrow(dataset->files, dataset->file_count, sizeof(*dataset->files));
	dataset->files[dataset->file_count++] = *file;
	dataset->pieces = xgrow(dataset->pieces, dataset->piece_count, sizeof(*dataset->pieces));
	dataset->pieces[dataset->piece_count++] = (struct piece){ start, first };
}

void dataset_forget(const struct dataset *dataset)
{
	for (size_t i = 0; i < dataset->file_count; i++)
		mapped_forget(&dataset->files[i]);
}

const uint8_t *dataset_sample(const struct dataset *dataset, size_t sample)
{
	size_t low = 0, high = dataset->piece_count;

	assert(sample < dataset->count);
	while (high - low > 1) {
		size_t middle = (low + high) / 2;

		if (dataset->pieces[middle].first <= sample)
			low = middle;
		else
			high = middle;
	}
	return dataset->pieces[low].start + (sample - dataset->pieces[low].first) * dataset->stride;
}

static void gather_bytes(const struct dataset *dataset, size_t sample, size_t features, float *x)
{
	const uint8_t *bytes = dataset_sample(dataset, sample);
	size_t channels = dataset->shape.dim[0], plane = features / channels;

	if (plane == 1) {
		for (size_t c = 0; c < channels; c++)
			x[c] = bytes[c] * dataset->scale[c] + dataset->shift[c];
		return;
	}
	for (size_t c = 0; c < channels; c++, bytes += plane, x += plane)
		kernels()->scale_bytes(x, bytes, plane, dataset->scale[c], dataset->shift[c]);
}

static struct sparse_row sparse_row(const struct sparse_rows *rows, size_t sample)
{
	size_t start = rows->start[sample];

	return (struct sparse_row){ .index = rows->index + start,
				    .value = rows->value + start,
				    .count = rows->start[sample + 1] - start };
}

static float token(const uint8_t *at, size_t width)
{
	uint32_t id = at[0];

	for (size_t i = 1; i < width; i++)
		id |= (uint32_t)at[i] << 8 * i;
	return (float)id;
}

/* Each target is the token after it, so all but one token are both. */
static void gather_tokens(const struct dataset *dataset, size_t sample, float *x, float *targets)
{
	const uint8_t *at = dataset_sample(dataset, sample);
	size_t length = dataset->labels, width = dataset->token_width;

	for (size_t i = 0; i < length; i++)
		x[i] = token(at + i * width, width);
	memcpy(targets, x + 1, (length - 1) * sizeof(*x));
	targets[length - 1] = token(at + length * width, width);
}

void dataset_gather(const struct dataset *dataset, const uint32_t *index, struct batch *batch)
{
	size_t features = shape_count(&dataset->shape), labels = dataset->labels;

	for (size_t i = 0; i < batch->count; i++) {
		size_t sample = index[i];
		float *x = batch->x ? batch->x + i * features : NULL;
		float *targets = batch->targets + i * labels;

		assert(sample < dataset->count);
		if (dataset->sparse.start)
			batch->rows[i] = sparse_row(&dataset->sparse, sample);
		else if (dataset->token_width)
			gather_tokens(dataset, sample, x, targets);
		else if (dataset->floats)
			memcpy(x, dataset->floats + sample * features, features * sizeof(*x));
		else
			gather_bytes(dataset, sample, features, x);
		if (dataset->targets)
			memcpy(targets, dataset->targets + sample * labels,
			       labels * sizeof(*targets));
	}
}
