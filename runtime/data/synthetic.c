/*
 * Made-up samples, for trying things out without files. Classes are clouds around random centres;
 * values to regress come from a random linear teacher. The seed alone decides.
 */
#include <math.h>
#include <stdlib.h>

#include "lib/error.h"
#include "lib/memory.h"
#include "runtime/data/data.h"
#include "runtime/rng.h"

enum { MOST_FEATURES = 1000000 };

enum task { TASK_CLASSIFY, TASK_REGRESS };

static const char *const tasks[] = { "classify", "regress", NULL };

struct synthetic_params {
	size_t count[2]; /* by enum data_part */
	size_t features, classes;
	struct opt_counts shape;
	double noise;
	int task;
};

static const struct opt synthetic_options[] = {
	{ "samples", OPT_COUNT, offsetof(struct synthetic_params, count[DATA_TRAIN]), "10000",
	  "training samples", .min = 1, .max = 100e6 },
	{ "test_samples", OPT_COUNT, offsetof(struct synthetic_params, count[DATA_TEST]), "2000",
	  "samples held out for evaluation", .min = 0, .max = 100e6 },
	{ "features", OPT_COUNT, offsetof(struct synthetic_params, features), "20",
	  "numbers in a sample", .min = 1, .max = MOST_FEATURES },
	{ "shape", OPT_COUNTS, offsetof(struct synthetic_params, shape), "",
	  "of a sample, if not one row of features: [3, 32, 32]", .min = 1, .max = 65536 },
	{ "classes", OPT_COUNT, offsetof(struct synthetic_params, classes), "10",
	  "number of classes, if it is to classify", .min = 2, .max = 1e6 },
	{ "noise", OPT_REAL, offsetof(struct synthetic_params, noise), "1",
	  "standard deviation around a centre, or of the value to regress", .min = 0, .max = 1e6 },
	{ "task", OPT_CHOICE, offsetof(struct synthetic_params, task), "classify",
	  "whether a sample has a class or a value", .choices = tasks },
	{ 0 }
};

static int find_shape(const struct synthetic_params *params, struct shape *out, struct error *err)
{
	const struct opt_counts *given = &params->shape;

	*out = (struct shape){ .dim = { params->features }, .rank = 1 };
	if (given->count == 0)
		return 0;
	if (given->count > SHAPE_DIMS)
		return error_set(err, "data.shape has %zu dimensions; at most %d are possible",
				 given->count, SHAPE_DIMS);
	out->rank = given->count;
	for (size_t i = 0, features = 1; i < given->count; i++) {
		out->dim[i] = given->values[i];
		features *= out->dim[i];
		if (features > MOST_FEATURES)
			return error_set(err, "data.shape makes a sample of more than %d numbers",
					 MOST_FEATURES);
	}
	return 0;
}

/* What the samples are made from: centres [classes][features], or weights [features]. */
static float *make_teacher(const struct synthetic_params *params, size_t features, uint64_t seed)
{
	size_t rows = params->task == TASK_CLASSIFY ? params->classes : 1;
	struct rng rng = rng_make(seed, RNG_DATA, 0, 0);
	float *teacher = xcalloc(rows * features, sizeof(*teacher));

	for (size_t i = 0; i < rows * features; i++)
		teacher[i] = (float)rng_normal(&rng, i);
	return teacher;
}

static float make_cloud_sample(const struct synthetic_params *params, const float *teacher,
			       size_t features, const struct rng *rng, float *x)
{
	size_t class = rng_below(rng, 0, params->classes);
	const float *centre = teacher + class * features;

	for (size_t f = 0; f < features; f++)
		x[f] = centre[f] + (float)(params->noise * rng_normal(rng, f + 1));
	return (float)class;
}

/* The value has variance 1 before the noise, about. */
static float make_linear_sample(const struct synthetic_params *params, const float *teacher,
				size_t features, const struct rng *rng, float *x)
{
	double value = 0;

	for (size_t f = 0; f < features; f++) {
		x[f] = (float)rng_normal(rng, f + 1);
		value += teacher[f] * x[f];
	}
	value /= sqrt((double)features);
	return (float)(value + params->noise * rng_normal(rng, 0));
}

static int describe(const void *params_of_format, struct dataset *out, struct error *err)
{
	const struct synthetic_params *params = params_of_format;

	out->count = params->count[DATA_TRAIN];
	out->classes = params->task == TASK_CLASSIFY ? params->classes : 0;
	out->labels = 1;
	return find_shape(params, &out->shape, err);
}

static int load(const void *params_of_format, enum data_part part, uint64_t seed,
		struct dataset *out, struct error *err)
{
	const struct synthetic_params *params = params_of_format;
	bool classify = params->task == TASK_CLASSIFY;
	struct shape shape;
	float *teacher;
	size_t features;

	*out = (struct dataset){ 0 };
	if (find_shape(params, &shape, err) < 0)
		return -1;
	if (params->count[part] == 0)
		return 0;
	out->count = params->count[part];
	out->shape = shape;
	features = shape_count(&shape);
	out->classes = classify ? params->classes : 0;
	out->floats = xcalloc(out->count, features * sizeof(*out->floats));
	out->labels = 1;
	out->targets = xcalloc(out->count, sizeof(*out->targets));
	teacher = make_teacher(params, features, seed);
	for (size_t i = 0; i < out->count; i++) {
		struct rng rng = rng_make(seed, RNG_DATA, 1 + part, i);
		float *x = out->floats + i * features;

		out->targets[i] = classify ? make_cloud_sample(params, teacher, features, &rng, x)
					   : make_linear_sample(params, teacher, features, &rng, x);
	}
	free(teacher);
	return 0;
}

const struct data_format format_synthetic = {
	.entry = { .name = "synthetic",
		   .summary = "random samples around class centres, or of a linear function",
		   .options = synthetic_options,
		   .params_size = sizeof(struct synthetic_params) },
	.load = load,
	.describe = describe,
};
