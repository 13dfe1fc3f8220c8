/*
 * IDX, the format of MNIST and its kin: big-endian u32 magic 00 00 TYPE RANK, RANK sizes as u32,
 * then the elements. Only bytes (type 8). Packed or not, as the content says.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "lib/error.h"
#include "lib/gzip.h"
#include "lib/memory.h"
#include "runtime/data/data.h"

enum { TYPE_BYTE = 8, MOST_RANK = 4, FIRST_READ = 1 << 20 };

struct idx_params {
	char *images[2], *labels[2]; /* by enum data_part */
	size_t classes;
	double scale, shift;
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
	{ "scale", OPT_REAL, offsetof(struct idx_params, scale), "0.00392156862745098",
	  "what a pixel is multiplied by" },
	{ "shift", OPT_REAL, offsetof(struct idx_params, shift), "0",
	  "what is added to it afterwards" },
	{ 0 }
};

/* An open file whose header was read. */
struct idx {
	struct gzip *file;
	const char *path;
	size_t dim[MOST_RANK], rank;
	size_t header; /* bytes */
	size_t bytes;  /* of all elements */
};

static size_t big_endian(const unsigned char *bytes)
{
	return (size_t)bytes[0] << 24 | (size_t)bytes[1] << 16 | (size_t)bytes[2] << 8 | bytes[3];
}

static int read_header(struct idx *idx, size_t rank, struct error *err)
{
	unsigned char header[4 + 4 * MOST_RANK];
	size_t got;

	if (gzip_read(idx->file, header, 4, &got, err) < 0)
		return -1;
	if (got < 4 || header[0] || header[1] || header[3] < 1 || header[3] > MOST_RANK)
		return error_set(err, "'%s' is not an IDX file", idx->path);
	if (header[2] != TYPE_BYTE)
		return error_set(err,
				 "'%s' has elements of type 0x%02x; only bytes (0x08) are read",
				 idx->path, (unsigned)header[2]);
	idx->rank = header[3];
	if (rank && idx->rank != rank)
		return error_set(err, "'%s' has %zu dimensions, not %zu", idx->path, idx->rank,
				 rank);
	if (gzip_read(idx->file, header + 4, 4 * idx->rank, &got, err) < 0)
		return -1;
	if (got < 4 * idx->rank)
		return error_set(err, "'%s' is cut short within its header", idx->path);
	idx->header = 4 + 4 * idx->rank;
	idx->bytes = 1;
	for (size_t i = 0; i < idx->rank; i++) {
		idx->dim[i] = big_endian(header + 4 + 4 * i);
		if (idx->dim[i] == 0)
			return error_set(err, "'%s' is empty: dimension %zu is 0", idx->path, i);
		if (idx->dim[i] > SIZE_MAX / 2 / idx->bytes)
			return error_set(err, "'%s' claims more elements than a file can hold",
					 idx->path);
		idx->bytes *= idx->dim[i];
	}
	return 0;
}

static void idx_close(struct idx *idx)
{
	gzip_close(idx->file);
	*idx = (struct idx){ 0 };
}

/* `rank` 0: any. */
static int idx_open(struct idx *idx, const char *path, size_t rank, struct error *err)
{
	*idx = (struct idx){ .path = path };
	if (gzip_open(&idx->file, path, err) < 0)
		return -1;
	if (read_header(idx, rank, err) == 0)
		return 0;
	idx_close(idx);
	return -1;
}

static int read_elements(struct idx *idx, uint8_t **bytes, struct error *err)
{
	size_t have = 0, got;
	uint8_t extra;

	while (have < idx->bytes) { /* memory grows with what is there, not with what is claimed */
		size_t left = idx->bytes - have;
		size_t more = have < FIRST_READ ? FIRST_READ : have;

		more = more < left ? more : left;
		*bytes = xrealloc(*bytes, have + more, 1);
		if (gzip_read(idx->file, *bytes + have, more, &got, err) < 0)
			return -1;
		have += got;
		if (got < more)
			return error_set(err, "'%s' is cut short: %zu of %zu elements are there",
					 idx->path, have, idx->bytes);
	}
	if (gzip_read(idx->file, &extra, 1, &got, err) < 0) /* checks the CRC, too */
		return -1;
	if (got)
		return error_set(err, "'%s' has extra bytes behind its %zu elements", idx->path,
				 idx->bytes);
	return 0;
}

/* NULL on failure. */
static uint8_t *idx_elements(struct idx *idx, struct error *err)
{
	uint8_t *bytes = NULL;

	if (read_elements(idx, &bytes, err) == 0)
		return bytes;
	free(bytes);
	return NULL;
}

static uint8_t *read_labels(const char *path, size_t *count, struct error *err)
{
	struct idx idx;
	uint8_t *labels;

	if (idx_open(&idx, path, 1, err) < 0)
		return NULL;
	labels = idx_elements(&idx, err);
	*count = idx.dim[0];
	idx_close(&idx);
	return labels;
}

static size_t classes_in(const uint8_t *labels, size_t count)
{
	size_t most = 0;

	for (size_t i = 0; i < count; i++)
		if (labels[i] > most)
			most = labels[i];
	return most + 1;
}

/* The training labels tell, as the test part need not hold every class. */
static int count_classes(const struct idx_params *params, size_t *classes, struct error *err)
{
	uint8_t *labels;
	size_t count;

	*classes = params->classes;
	if (*classes)
		return 0;
	labels = read_labels(params->labels[DATA_TRAIN], &count, err);
	if (!labels)
		return -1;
	*classes = classes_in(labels, count);
	free(labels);
	return 0;
}

static int load_labels(const struct idx_params *params, enum data_part part, struct dataset *out,
		       struct error *err)
{
	const char *path = params->labels[part];
	size_t count;
	uint8_t *labels;
	int status = 0;

	if (count_classes(params, &out->classes, err) < 0)
		return -1;
	labels = read_labels(path, &count, err);
	if (!labels)
		return -1;
	if (count != out->count)
		status = error_set(err, "'%s' has %zu labels, but '%s' has %zu images", path, count,
				   params->images[part], out->count);
	out->labels = 1;
	out->targets = xcalloc(count, sizeof(*out->targets));
	for (size_t i = 0; status == 0 && i < count; i++) {
		if (labels[i] >= out->classes)
			status = error_set(err, "'%s': record %zu: label %u is out of range 0..%zu",
					   path, i + 1, (unsigned)labels[i], out->classes - 1);
		out->targets[i] = labels[i];
	}
	free(labels);
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

static int load_images(const struct idx_params *params, enum data_part part, struct dataset *out,
		       struct error *err)
{
	struct idx idx;

	if (idx_open(&idx, params->images[part], 0, err) < 0)
		return -1;
	out->shape = sample_shape(&idx);
	out->count = idx.dim[0];
	if (unpacked_map(&out->unpacked, idx.path) &&
	    out->unpacked.length == idx.header + idx.bytes) {
		out->bytes = (uint8_t *)out->unpacked.bytes + idx.header;
	} else {
		unpacked_release(&out->unpacked);
		out->bytes = idx_elements(&idx, err);
	}
	out->scale = xcalloc(out->shape.dim[0], sizeof(*out->scale));
	out->shift = xcalloc(out->shape.dim[0], sizeof(*out->shift));
	for (size_t c = 0; c < out->shape.dim[0]; c++) {
		out->scale[c] = (float)params->scale;
		out->shift[c] = (float)params->shift;
	}
	idx_close(&idx);
	return out->bytes ? 0 : -1;
}

static int check_shape(const struct idx_params *params, const struct shape *shape,
		       struct error *err)
{
	struct idx train;
	struct shape wanted;

	if (idx_open(&train, params->images[DATA_TRAIN], 0, err) < 0)
		return -1;
	wanted = sample_shape(&train);
	idx_close(&train);
	if (memcmp(&wanted, shape, sizeof(wanted)) == 0)
		return 0;
	return error_set(err, "'%s' holds images of another size than '%s'",
			 params->images[DATA_TEST], params->images[DATA_TRAIN]);
}

static int describe(const void *params_of_format, struct dataset *out, struct error *err)
{
	const struct idx_params *params = params_of_format;
	struct idx idx;

	if (idx_open(&idx, params->images[DATA_TRAIN], 0, err) < 0)
		return -1;
	out->shape = sample_shape(&idx);
	out->count = idx.dim[0];
	out->labels = 1;
	idx_close(&idx);
	return count_classes(params, &out->classes, err);
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
	if (load_images(params, part, out, err) == 0 &&
	    (part == DATA_TRAIN || check_shape(params, &out->shape, err) == 0) &&
	    load_labels(params, part, out, err) == 0)
		return 0;
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
