/* Samples in memory. */
#include "runtime/data/data.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

int dataset_describe(const struct part *format, uint64_t seed, struct dataset *out,
		     struct error *err)
{
	const struct data_format *chosen = PART_AS(format, struct data_format);

	*out = (struct dataset){ 0 };
	return chosen->describe ? chosen->describe(format->params, out, err)
				: chosen->load(format->params, DATA_TRAIN, seed, out, err);
}

void dataset_release(struct dataset *dataset)
{
	if (!dataset->unpacked.bytes)
		free(dataset->bytes);
	unpacked_release(&dataset->unpacked);
	free(dataset->floats);
	free(dataset->scale);
	free(dataset->shift);
	free(dataset->targets);
	*dataset = (struct dataset){ 0 };
}

static void gather_bytes(const struct dataset *dataset, size_t sample, size_t features, float *x)
{
	const uint8_t *bytes = dataset->bytes + sample * features;
	size_t channels = dataset->shape.dim[0], plane = features / channels;

	for (size_t c = 0; c < channels; c++, bytes += plane, x += plane) {
		float scale = dataset->scale[c], shift = dataset->shift[c];

		for (size_t i = 0; i < plane; i++)
			x[i] = bytes[i] * scale + shift;
	}
}

void dataset_gather(const struct dataset *dataset, const uint32_t *index, struct batch *batch)
{
	size_t features = shape_count(&dataset->shape);

	for (size_t i = 0; i < batch->count; i++) {
		size_t sample = index[i];
		float *x = batch->x + i * features;

		assert(sample < dataset->count);
		if (dataset->bytes)
			gather_bytes(dataset, sample, features, x);
		else
			memcpy(x, dataset->floats + sample * features, features * sizeof(*x));
		batch->targets[i] = dataset->targets[sample];
	}
}
