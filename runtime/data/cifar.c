/*
 * The binary files of CIFAR-10 and CIFAR-100: records of one or two labels of a byte each and the
 * red, the green and the blue plane of 32 rows of 32 pixels. The data are all files together.
 */
#include <stdlib.h>

#include "lib/error.h"
#include "lib/memory.h"
#include "runtime/data/channel.h"
#include "runtime/data/data.h"
#include "runtime/data/mapped.h"

enum { PLANES = 3, SIDE = 32, PIXELS = PLANES * SIDE * SIDE };

struct cifar_params {
	struct opt_texts paths[2]; /* by enum data_part */
	struct channel_params channels;
	int label; /* of cifar100: enum label */
};

enum label { LABEL_FINE, LABEL_COARSE };

static const char *const label_names[] = { "fine", "coarse", NULL };

/* clang-format off */
#define CIFAR_OPTIONS \
	{ "train", OPT_PATHS, offsetof(struct cifar_params, paths[DATA_TRAIN]), NULL, \
	  "training images, may be gzipped" }, \
	{ "test", OPT_PATHS, offsetof(struct cifar_params, paths[DATA_TEST]), "", \
	  "images held out for evaluation" }, \
	CHANNEL_OPTIONS(cifar_params, channels)
/* clang-format on */

static const struct opt cifar10_options[] = { CIFAR_OPTIONS, { 0 } };

static const struct opt cifar100_options[] = {
	CIFAR_OPTIONS,
	{ "label", OPT_CHOICE, offsetof(struct cifar_params, label), "fine",
	  "which label: of 100 classes, or of 20 that group them", .choices = label_names },
	{ 0 }
};

struct layout {
	size_t labels, label; /* bytes in front of the pixels; which of them */
	size_t classes;
};

static int check_labels(const char *path, const struct mapped *file, const struct layout *layout,
			struct error *err)
{
	size_t record = layout->labels + PIXELS;

	for (size_t i = 0; i < file->length / record; i++) {
		unsigned label = file->bytes[i * record + layout->label];

		if (label >= layout->classes)
			return error_set(err, "'%s': record %zu: label %u is out of range 0..%zu",
					 path, i + 1, label, layout->classes - 1);
	}
	return 0;
}

static int check_file(const char *path, const struct mapped *file, const struct layout *layout,
		      struct error *err)
{
	size_t record = layout->labels + PIXELS;

	if (file->length == 0)
		return error_set(err, "'%s' is empty", path);
	if (file->length % record)
		return error_set(err,
				 "'%s' is cut short or no CIFAR file: %zu bytes are left after "
				 "%zu records of %zu",
				 path, file->length % record, file->length / record, record);
	return check_labels(path, file, layout, err);
}

static int add_file(const char *path, const struct layout *layout, struct dataset *out,
		    struct error *err)
{
	size_t record = layout->labels + PIXELS, count;
	struct mapped file;

	if (mapped_open(&file, path, err) < 0)
		return -1;
	if (check_file(path, &file, layout, err) < 0) {
		mapped_release(&file);
		return -1;
	}
	count = file.length / record;
	out->targets = xrealloc(out->targets, out->count + count, sizeof(*out->targets));
	for (size_t i = 0; i < count; i++)
		out->targets[out->count + i] = file.bytes[i * record + layout->label];
	dataset_add_file(out, &file, file.bytes + layout->labels, out->count);
	out->count += count;
	if (out->count > UINT32_MAX)
		return error_set(err, "'%s' is one file too many: there are more than %u images",
				 path, UINT32_MAX);
	return 0;
}

static int add_files(const struct opt_texts *paths, const struct layout *layout,
		     struct dataset *out, struct error *err)
{
	out->shape = (struct shape){ .dim = { PLANES, SIDE, SIDE }, .rank = 3 };
	out->stride = layout->labels + PIXELS;
	out->labels = 1;
	out->classes = layout->classes;
	for (size_t i = 0; i < paths->count; i++)
		if (add_file(paths->values[i], layout, out, err) < 0)
			return -1;
	return 0;
}

static int scale(const struct cifar_params *params, enum data_part part,
		 const struct layout *layout, struct dataset *out, struct error *err)
{
	struct dataset train = { 0 };
	int status = 0;

	if (part == DATA_TRAIN || !params->channels.standardise) {
		channels_set(&params->channels, out, out);
		return 0;
	}
	status = add_files(&params->paths[DATA_TRAIN], layout, &train, err);
	if (status == 0)
		channels_set(&params->channels, &train, out);
	dataset_release(&train);
	return status;
}

static int load(const struct cifar_params *params, enum data_part part, const struct layout *layout,
		struct dataset *out, struct error *err)
{
	*out = (struct dataset){ 0 };
	if (params->paths[part].count == 0)
		return 0;
	if (add_files(&params->paths[part], layout, out, err) == 0 &&
	    scale(params, part, layout, out, err) == 0) {
		dataset_forget(out);
		return 0;
	}
	dataset_release(out);
	return -1;
}

static int load_cifar10(const void *params, enum data_part part, uint64_t seed, struct dataset *out,
			struct error *err)
{
	const struct layout layout = { .labels = 1, .classes = 10 };

	(void)seed;
	return load(params, part, &layout, out, err);
}

static int load_cifar100(const void *params_of_format, enum data_part part, uint64_t seed,
			 struct dataset *out, struct error *err)
{
	const struct cifar_params *params = params_of_format;
	const struct layout fine = { .labels = 2, .label = 1, .classes = 100 };
	const struct layout coarse = { .labels = 2, .label = 0, .classes = 20 };

	(void)seed;
	return load(params, part, params->label == LABEL_FINE ? &fine : &coarse, out, err);
}

const struct data_format format_cifar10 = {
	.entry = { .name = "cifar10",
		   .summary = "pictures of 10 classes, in CIFAR-10's binary files",
		   .options = cifar10_options,
		   .params_size = sizeof(struct cifar_params) },
	.load = load_cifar10,
};

const struct data_format format_cifar100 = {
	.entry = { .name = "cifar100",
		   .summary = "pictures of 100 classes, in CIFAR-100's binary files",
		   .options = cifar100_options,
		   .params_size = sizeof(struct cifar_params) },
	.load = load_cifar100,
};
