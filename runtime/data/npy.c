/*
 * Arrays that NumPy saved: samples [count][...] and their labels [count]. Bytes and floats of 4
 * bytes stay where they are, other elements become floats.
 */
#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "lib/error.h"
#include "lib/memory.h"
#include "runtime/data/channel.h"
#include "runtime/data/data.h"
#include "runtime/data/npy_file.h"

enum { MOST_CLASSES = 1 << 20 };
enum task { TASK_CLASSIFY, TASK_REGRESS };

static const char *const tasks[] = { "classify", "regress", NULL };

struct npy_params {
	char *x[2], *y[2]; /* by enum data_part */
	size_t classes;
	int task;
	struct channel_params channels;
};

static const struct opt npy_options[] = {
	{ "train.x", OPT_PATH, offsetof(struct npy_params, x[DATA_TRAIN]), NULL,
	  "training samples, may be gzipped" },
	{ "train.y", OPT_PATH, offsetof(struct npy_params, y[DATA_TRAIN]), NULL, "their labels" },
	{ "test.x", OPT_PATH, offsetof(struct npy_params, x[DATA_TEST]), "",
	  "samples held out for evaluation" },
	{ "test.y", OPT_PATH, offsetof(struct npy_params, y[DATA_TEST]), "", "their labels" },
	{ "task", OPT_CHOICE, offsetof(struct npy_params, task), "classify",
	  "whether the label is a class or a value", .choices = tasks },
	{ "classes", OPT_COUNT, offsetof(struct npy_params, classes), "0",
	  "number of classes; 0: as the training labels say", .min = 0, .max = MOST_CLASSES },
	CHANNEL_OPTIONS(npy_params, channels),
	{ 0 }
};

static bool holds_bytes(const struct npy_file *x)
{
	return x->kind == 'u' && x->width == 1;
}

/* [count][28][28] are planes: {1, 28, 28}. */
static struct shape sample_shape(const struct npy_file *x)
{
	struct shape shape = { 0 };

	if (x->rank == 3 || x->rank == 1)
		shape.dim[shape.rank++] = 1;
	for (size_t i = 1; i < x->rank; i++)
		shape.dim[shape.rank++] = x->dim[i];
	return shape;
}

static int check_floats(const struct npy_file *x, const float *floats, struct error *err)
{
	size_t features = x->count / x->dim[0];

	for (size_t i = 0; i < x->count; i++)
		if (!isfinite(floats[i]))
			return error_set(err,
					 "'%s': record %zu: element %zu is no finite number of 32 "
					 "bits",
					 x->path, i / features + 1, i % features + 1);
	return 0;
}

/* Of these `file` keeps nothing. */
static int convert(const struct npy_file *x, struct dataset *out, struct error *err)
{
	out->floats = xcalloc(x->count, sizeof(*out->floats));
	for (size_t i = 0; i < x->count; i++) {
		double value = npy_file_element(x, i);

		out->floats[i] = fabs(value) <= FLT_MAX ? (float)value : INFINITY;
	}
	return check_floats(x, out->floats, err);
}

static int take_samples(struct npy_file *x, struct dataset *out, struct error *err)
{
	bool floats = x->kind == 'f' && x->width == sizeof(float) &&
		      (uintptr_t)x->elements % sizeof(float) == 0;

	if (x->dim[0] > UINT32_MAX)
		return error_set(err, "'%s' has more than %u records", x->path, UINT32_MAX);
	out->count = x->dim[0];
	out->shape = sample_shape(x);
	if (!floats && !holds_bytes(x))
		return convert(x, out, err);
	out->stride = x->width * (x->count / x->dim[0]);
	if (floats && check_floats(x, (const float *)(const void *)x->elements, err) < 0)
		return -1;
	if (floats)
		out->floats = (float *)(uintptr_t)x->elements;
	dataset_add_file(out, &x->file, x->elements, 0);
	x->file = (struct mapped){ 0 };
	return 0;
}

static int load_samples(const char *path, struct dataset *out, bool *bytes, struct error *err)
{
	struct npy_file x;
	int status;

	if (npy_file_open(&x, path, err) < 0)
		return -1;
	*bytes = holds_bytes(&x);
	status = take_samples(&x, out, err);
	npy_file_release(&x);
	return status;
}

/* The test part is of the kind of the training part, and scaled like it. */
static int fit_samples(const struct npy_params *params, enum data_part part, bool bytes,
		       struct dataset *out, struct error *err)
{
	struct dataset train = { 0 };
	bool train_bytes;
	int status;

	if (params->channels.standardise && !bytes)
		return error_set(err, "data.standardise is for bytes, and '%s' holds other numbers",
				 params->x[part]);
	if (part == DATA_TRAIN) {
		if (bytes)
			channels_set(&params->channels, out, out);
		return 0;
	}
	status = load_samples(params->x[DATA_TRAIN], &train, &train_bytes, err);
	if (status == 0 &&
	    (memcmp(&train.shape, &out->shape, sizeof(train.shape)) != 0 || train_bytes != bytes))
		status = error_set(err, "'%s' holds samples of another shape or type than '%s'",
				   params->x[DATA_TEST], params->x[DATA_TRAIN]);
	else if (status == 0 && bytes)
		channels_set(&params->channels, &train, out);
	dataset_release(&train);
	return status;
}

static int open_labels(struct npy_file *y, const char *path, struct error *err)
{
	if (npy_file_open(y, path, err) < 0)
		return -1;
	if (y->count == y->dim[0])
		return 0;
	error_set(err, "'%s' has %zu numbers for each record, not one label", path,
		  y->count / y->dim[0]);
	npy_file_release(y);
	return -1;
}

/* The training labels tell, as the test part need not hold every class. */
static int count_classes(const struct npy_params *params, size_t *classes, struct error *err)
{
	struct npy_file y;
	double most = 0;

	*classes = params->classes;
	if (*classes || params->task == TASK_REGRESS)
		return 0;
	if (open_labels(&y, params->y[DATA_TRAIN], err) < 0)
		return -1;
	for (size_t i = 0; i < y.count; i++)
		most = fmax(most, npy_file_element(&y, i));
	npy_file_release(&y);
	*classes = most < MOST_CLASSES ? (size_t)most + 1 : MOST_CLASSES;
	return 0;
}

static int take_labels(const struct npy_file *y, struct dataset *out, struct error *err)
{
	out->labels = 1;
	out->targets = xcalloc(out->count, sizeof(*out->targets));
	for (size_t i = 0; i < out->count; i++) {
		double label = npy_file_element(y, i);

		if (!(fabs(label) <= FLT_MAX))
			return error_set(err, "'%s': record %zu: the label is no finite number",
					 y->path, i + 1);
		if (out->classes && label != floor(label))
			return error_set(err,
					 "'%s': record %zu: label %g is not a class number; for "
					 "values there is data.task: regress",
					 y->path, i + 1, label);
		if (out->classes && (label < 0 || label >= (double)out->classes))
			return error_set(err, "'%s': record %zu: label %.0f is out of range 0..%zu",
					 y->path, i + 1, label, out->classes - 1);
		out->targets[i] = (float)label;
	}
	return 0;
}

static int load_labels(const struct npy_params *params, enum data_part part, struct dataset *out,
		       struct error *err)
{
	struct npy_file y;
	int status;

	if (count_classes(params, &out->classes, err) < 0 ||
	    open_labels(&y, params->y[part], err) < 0)
		return -1;
	if (y.count == out->count)
		status = take_labels(&y, out, err);
	else
		status = error_set(err, "'%s' has %zu labels, but '%s' has %zu samples", y.path,
				   y.count, params->x[part], out->count);
	npy_file_release(&y);
	return status;
}

static int describe(const void *params_of_format, struct dataset *out, struct error *err)
{
	const struct npy_params *params = params_of_format;
	struct npy_file x;

	if (npy_file_open(&x, params->x[DATA_TRAIN], err) < 0)
		return -1;
	*out = (struct dataset){ .count = x.dim[0], .shape = sample_shape(&x), .labels = 1 };
	out->stride = shape_count(&out->shape) * (holds_bytes(&x) ? 1 : sizeof(float));
	npy_file_release(&x);
	return count_classes(params, &out->classes, err);
}

static int load(const void *params_of_format, enum data_part part, uint64_t seed,
		struct dataset *out, struct error *err)
{
	const struct npy_params *params = params_of_format;
	const char *x = params->x[part], *y = params->y[part];
	bool bytes;

	(void)seed;
	*out = (struct dataset){ 0 };
	if (!x && !y)
		return 0;
	if (!x || !y)
		return error_set(err, "'test.x' and 'test.y' go together; '%s' is missing",
				 x ? "test.y" : "test.x");
	if (load_samples(x, out, &bytes, err) == 0 &&
	    fit_samples(params, part, bytes, out, err) == 0 &&
	    load_labels(params, part, out, err) == 0) {
		dataset_forget(out);
		return 0;
	}
	dataset_release(out);
	return -1;
}

const struct data_format format_npy = {
	.entry = { .name = "npy",
		   .summary = "arrays that NumPy saved",
		   .options = npy_options,
		   .params_size = sizeof(struct npy_params) },
	.load = load,
	.describe = describe,
};
