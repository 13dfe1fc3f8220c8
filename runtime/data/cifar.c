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

static int open_file(struct mapped *file, const char *path, const struct layout *layout,
		     struct error *err)
{
	size_t record = layout->labels + PIXELS;

	if (mapped_open(file, path, err) < 0)
		return -1;
	if (file->length > 0 && file->length % record == 0)
		return 0;
	if (file->length == 0)
		error_set(err, "'%s' is empty", path);
	else
		error_set(err,
			  "'%s' is cut short or not of CIFAR's binary version: %zu bytes are left "
			  "after %zu records of %zu",
			  path, file->length % record, file->length / record, record);
	mapped_release(file);
	return -1;
}

static int add_file(const char *path, const struct layout *layout, struct dataset *out,
		    struct error *err)
{
	size_t record = layout->labels + PIXELS, count;
	struct mapped file;

	if (open_file(&file, path, layout, err) < 0)
		return -1;
	if (check_labels(path, &file, layout, err) < 0) {
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

static struct dataset no_pictures(const struct layout *layout)
{
	return (struct dataset){ .shape = { .dim = { PLANES, SIDE, SIDE }, .rank = 3 },
				 .stride = layout->labels + PIXELS,
				 .labels = 1,
				 .classes = layout->classes };
}

static int add_files(const struct opt_texts *paths, const struct layout *layout,
		     struct dataset *out, struct error *err)
{
	*out = no_pictures(layout);
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

static int describe(const struct cifar_params *params, const struct layout *layout,
		    struct dataset *out, struct error *err)
{
	const struct opt_texts *paths = &params->paths[DATA_TRAIN];

	*out = no_pictures(layout);
	for (size_t i = 0; i < paths->count; i++) {
		struct mapped file;

		if (open_file(&file, paths->values[i], layout, err) < 0)
			return -1;
		out->count += file.length / (layout->labels + PIXELS);
		mapped_release(&file);
	}
	return 0;
}

static struct layout layout_10(void)
{
	return (struct layout){ .labels = 1, .classes = 10 };
}

static struct layout layout_100(const struct cifar_params *params)
{
	return params->label == LABEL_FINE ? (struct layout){ 2, 1, 100 }
					   : (struct layout){ 2, 0, 20 };
}

static int load_cifar10(const void *params, enum data_part part, uint64_t seed, struct dataset *out,
			struct error *err)
{
	const struct layout layout = layout_10();

	(void)seed;
	return load(params, part, &layout, out, err);
}

static int describe_cifar10(const void *params, struct dataset *out, struct error *err)
{
	const struct layout layout = layout_10();

	return describe(params, &layout, out, err);
}

static int load_cifar100(const void *params, enum data_part part, uint64_t seed,
			 struct dataset *out, struct error *err)
{
	const struct layout layout = layout_100(params);

	(void)seed;
	return load(params, part, &layout, out, err);
}

static int describe_cifar100(const void *params, struct dataset *out, struct error *err)
{
	const struct layout layout = layout_100(params);

	return describe(params, &layout, out, err);
}

const struct data_format format_cifar10 = {
	.entry = { .name = "cifar10",
		   .summary = "pictures of 10 classes, in CIFAR-10's binary files",
		   .options = cifar10_options,
		   .params_size = sizeof(struct cifar_params) },
	.load = load_cifar10,
	.describe = describe_cifar10,
};

const struct data_format format_cifar100 = {
	.entry = { .name = "cifar100",
		   .summary = "pictures of 100 classes, in CIFAR-100's binary files",
		   .options = cifar100_options,
		   .params_size = sizeof(struct cifar_params) },
	.load = load_cifar100,
	.describe = describe_cifar100,
};
