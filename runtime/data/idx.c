/*
 * IDX, the format of MNIST and its kin: big-endian u32 magic 00 00 TYPE RANK, RANK sizes as u32,
 * then the elements. Only bytes (type 8). Packed or not, as the content says.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "lib/error.h"
#include "lib/memory.h"
#include "runtime/data/channel.h"
#include "runtime/data/data.h"
#include "runtime/data/mapped.h"

enum { TYPE_BYTE = 8, MOST_RANK = 4 };

struct idx_params {
	char *images[2], *labels[2]; /* by enum data_part */
	size_t classes;
	struct channel_params channels;
};

static const struct opt idx_options[] = {
	{ "train.images", OPT_PATH, offsetof(struct idx_params, images[DATA_TRAIN]), NULL,
	  "training images, may be gzipped" },
	{ "train.labels", OPT_PATH, offsetof(struct idx_params, labels[DATA_TRAIN]), NULL,
	  "training labels" },
	{ "test.images", OPT_PATH, offsetof(struct idx_params, images[DATA_TEST]), "",
	  "images held out for evaluation" },
	{ "test.labels", OPT_PATH, offsetof(struct idx_params, labels[DATA_TEST]), "",
	  "their labels" },
	{ "classes", OPT_COUNT, offsetof(struct idx_params, classes), "0",
	  "number of classes; 0: as the training labels say", .min = 0, .max = 256 },
	CHANNEL_OPTIONS(idx_params, channels),
	{ 0 }
};

/* A file whose header was read. */
struct idx {
	struct mapped file;
	size_t dim[MOST_RANK], rank;
	const uint8_t *elements;
};

static size_t big_endian(const uint8_t *bytes)
{
	return (size_t)bytes[0] << 24 | (size_t)bytes[1] << 16 | (size_t)bytes[2] << 8 | bytes[3];
}

/* `rank` 0: any. */
static int read_header(struct idx *idx, const char *path, size_t rank, struct error *err)
{
	const uint8_t *header = idx->file.bytes;
	size_t length = idx->file.length, bytes = 1, there;

	if (length < 4 || header[0] || header[1] || header[3] < 1 || header[3] > MOST_RANK)
		return error_set(err, "'%s' is not an IDX file", path);
	if (header[2] != TYPE_BYTE)
		return error_set(err,
				 "'%s' has elements of type 0x%02x; only bytes (0x08) are read",
				 path, (unsigned)header[2]);
	idx->rank = header[3];
	if (rank && idx->rank != rank)
		return error_set(err, "'%s' has %zu dimensions, not %zu", path, idx->rank, rank);
	if (length < 4 + 4 * idx->rank)
		return error_set(err, "'%s' is cut short within its header", path);
	for (size_t i = 0; i < idx->rank; i++) {
		idx->dim[i] = big_endian(header + 4 + 4 * i);
		if (idx->dim[i] == 0)
			return error_set(err, "'%s' is empty: dimension %zu is 0", path, i);
		if (idx->dim[i] > SIZE_MAX / 2 / bytes)
			return error_set(err, "'%s' claims more elements than a file can hold",
					 path);
		bytes *= idx->dim[i];
	}
	idx->elements = header + 4 + 4 * idx->rank;
	there = length - 4 - 4 * idx->rank;
	if (there < bytes)
		return error_set(err, "'%s' is cut short: %zu of %zu elements are there", path,
				 there, bytes);
	if (there > bytes)
		return error_set(err, "'%s' has extra bytes behind its %zu elements", path, bytes);
	return 0;
}

static int idx_open(struct idx *idx, const char *path, size_t rank, struct error *err)
{
	*idx = (struct idx){ 0 };
	if (mapped_open(&idx->file, path, err) < 0)
		return -1;
	if (read_header(idx, path, rank, err) == 0)
		return 0;
	mapped_release(&idx->file);
	return -1;
}

static size_t classes_in(const struct idx *labels)
{
	size_t most = 0;

	for (size_t i = 0; i < labels->dim[0]; i++)
		if (labels->elements[i] > most)
			most = labels->elements[i];
	return most + 1;
}

/* The training labels tell, as the test part need not hold every class. */
static int count_classes(const struct idx_params *params, size_t *classes, struct error *err)
{
	struct idx labels;

	*classes = params->classes;
	if (*classes)
		return 0;
	if (idx_open(&labels, params->labels[DATA_TRAIN], 1, err) < 0)
		return -1;
	*classes = classes_in(&labels);
	mapped_release(&labels.file);
	return 0;
}

static int take_labels(const struct idx *labels, const char *path, struct dataset *out,
		       struct error *err)
{
	out->labels = 1;
	out->targets = xcalloc(out->count, sizeof(*out->targets));
	for (size_t i = 0; i < out->count; i++) {
		unsigned label = labels->elements[i];

		if (label >= out->classes)
			return error_set(err, "'%s': record %zu: label %u is out of range 0..%zu",
					 path, i + 1, label, out->classes - 1);
		out->targets[i] = (float)label;
	}
	return 0;
}

static int load_labels(const struct idx_params *params, enum data_part part, struct dataset *out,
		       struct error *err)
{
	const char *path = params->labels[part];
	struct idx labels;
	int status;

	if (count_classes(params, &out->classes, err) < 0 || idx_open(&labels, path, 1, err) < 0)
		return -1;
	if (labels.dim[0] == out->count)
		status = take_labels(&labels, path, out, err);
	else
		status = error_set(err, "'%s' has %zu labels, but '%s' has %zu images", path,
				   labels.dim[0], params->images[part], out->count);
	mapped_release(&labels.file);
	return status;
}

/* 28 x 28 pixels are one plane: {1, 28, 28}. */
static struct shape sample_shape(const struct idx *idx)
{
	struct shape shape = { 0 };

	if (idx->rank == 3 || idx->rank == 1)
		shape.dim[shape.rank++] = 1;
	for (size_t i = 1; i < idx->rank; i++)
		shape.dim[shape.rank++] = idx->dim[i];
	return shape;
}

static int load_images(const char *path, struct dataset *out, struct error *err)
{
	struct idx idx;

	if (idx_open(&idx, path, 0, err) < 0)
		return -1;
	out->shape = sample_shape(&idx);
	out->count = idx.dim[0];
	out->stride = shape_count(&out->shape);
	dataset_add_file(out, &idx.file, idx.elements, 0);
	return 0;
}

/* The test part is of the kind of the training part, and scaled like it. */
static int fit_images(const struct idx_params *params, enum data_part part, struct dataset *out,
		      struct error *err)
{
	struct dataset train = { 0 };
	int status = 0;

	if (part == DATA_TRAIN) {
		channels_set(&params->channels, out, out);
		return 0;
	}
	if (load_images(params->images[DATA_TRAIN], &train, err) < 0)
		return -1;
	if (memcmp(&train.shape, &out->shape, sizeof(train.shape)) != 0)
		status = error_set(err, "'%s' holds images of another size than '%s'",
				   params->images[DATA_TEST], params->images[DATA_TRAIN]);
	else
		channels_set(&params->channels, &train, out);
	dataset_release(&train);
	return status;
}

static int describe(const void *params_of_format, struct dataset *out, struct error *err)
{
	const struct idx_params *params = params_of_format;

	if (load_images(params->images[DATA_TRAIN], out, err) < 0)
		return -1;
	out->labels = 1;
	if (count_classes(params, &out->classes, err) == 0)
		return 0;
	dataset_release(out);
	return -1;
}

static int load(const void *params_of_format, enum data_part part, uint64_t seed,
		struct dataset *out, struct error *err)
{
	const struct idx_params *params = params_of_format;
	const char *images = params->images[part], *labels = params->labels[part];

	(void)seed;
	*out = (struct dataset){ 0 };
	if (!images && !labels)
		return 0;
	if (!images || !labels)
		return error_set(err,
				 "'test.images' and 'test.labels' go together; '%s' is missing",
				 images ? "test.labels" : "test.images");
	if (load_images(images, out, err) == 0 && fit_images(params, part, out, err) == 0 &&
	    load_labels(params, part, out, err) == 0) {
		dataset_forget(out);
		return 0;
	}
	dataset_release(out);
	return -1;
}

const struct data_format format_idx = {
	.entry = { .name = "idx",
		   .summary = "images and labels as MNIST has them, gzipped or not",
		   .options = idx_options,
		   .params_size = sizeof(struct idx_params) },
	.load = load,
	.describe = describe,
};
