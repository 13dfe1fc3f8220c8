/* A model at work, with data of any kind, for tests. */
#ifndef DSTRAIN_TESTS_MODEL_BENCH_H
#define DSTRAIN_TESTS_MODEL_BENCH_H

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "lib/error.h"
#include "runtime/model/layer.h"
#include "runtime/model/list.h"
#include "runtime/model/stage.h"
#include "tests/unit/difference.h"
#include "tests/unit/part.h"

enum { BATCH = 8 };

/* What data may be like. */
static const struct kind {
	struct shape input;
	size_t classes, labels, vocabulary;
	bool sparse;
} kinds[] = {
	{ { .dim = { 1, 2, 3 }, .rank = 3 }, .classes = 0, .labels = 1 },
	{ { .dim = { 1, 2, 3 }, .rank = 3 }, .classes = 2, .labels = 1 },
	{ { .dim = { 1, 2, 3 }, .rank = 3 }, .classes = 3, .labels = 1 },
	{ { .dim = { 6 }, .rank = 1 }, .classes = 7, .labels = 6, .vocabulary = 7 },
	{ { .dim = { 30 }, .rank = 1 }, .classes = 0, .labels = 1, .sparse = true },
	{ { .dim = { 30 }, .rank = 1 }, .classes = 2, .labels = 1, .sparse = true },
};
static const struct kind *const three = &kinds[2];
static const struct shape large = { .dim = { 1, 32, 32 }, .rank = 3 }; /* if that is too small */

struct bench {
	struct part preset;
	struct layer_list list; /* in its place */
	struct model_env env;
	struct model *model;
	struct batch batch;
	size_t labels; /* of a sample */
	uint32_t index[BATCH][3];
	struct sparse_row rows[BATCH];
	size_t count;
	float *weight, *grad, *copy;
	size_t ready; /* where the next range must end */
	size_t calls;
};

static inline void bench_release(struct bench *b)
{
	model_free(b->model);
	free(b->batch.x);
	free(b->batch.targets);
	free(b->weight);
	free(b->grad);
	free(b->copy);
	part_release(&b->preset);
	layer_list_release(&b->list);
}

static inline struct model_env env_of(const struct kind *kind)
{
	return (struct model_env){ .input = kind->input,
				   .classes = kind->classes,
				   .labels = kind->labels,
				   .vocabulary = kind->vocabulary,
				   .sparse = kind->sparse,
				   .max_batch = BATCH,
				   .seed = 3 };
}

/* Three values each, which lie in x. */
static inline void fill_rows(struct bench *b)
{
	size_t columns = shape_count(&b->env.input);

	for (size_t i = 0; i < BATCH; i++) {
		for (uint32_t k = 0; k < 3; k++)
			b->index[i][k] = (uint32_t)(k * columns / 3 + i * 3 % (columns / 3));
		b->rows[i] = (struct sparse_row){ b->index[i], b->batch.x + 3 * i, 3 };
	}
	b->batch.rows = b->rows;
}

static inline void fill_batch(struct bench *b)
{
	const struct model_env *env = &b->env;
	size_t features = BATCH * shape_count(&env->input), targets = BATCH * env->labels;
	struct batch *batch = &b->batch;

	*batch = (struct batch){ .x = filled(features, 30, 0),
				 .targets = filled(targets, 31, 0),
				 .count = BATCH,
				 .total = BATCH,
				 .step = 4,
				 .training = true };
	for (size_t i = 0; i < features && env->vocabulary; i++)
		batch->x[i] = (float)(i * i % env->vocabulary);
	for (size_t i = 0; i < targets && env->classes; i++)
		batch->targets[i] = (float)(i % env->classes);
	if (env->sparse)
		fill_rows(b);
}

static inline void bench_start(struct bench *b)
{
	fill_batch(b);
	b->labels = b->env.labels;
	b->count = model_count(b->model);
	b->weight = xaligned(b->count * sizeof(float));
	b->grad = xaligned(b->count * sizeof(float));
	b->copy = xaligned(b->count * sizeof(float));
	model_init(b->model, b->weight);
}

/* Returns -1 if the preset refuses such data. */
static inline int bench_init(struct bench *b, const struct entry *entry, const char *const *options,
			     const struct kind *kind)
{
	struct error err;

	*b = (struct bench){ .preset = part_with(entry, options), .env = env_of(kind) };
	if (model_new(&b->model, &b->preset, &b->env, &err) < 0 && kind->input.rank == 3)
		b->env.input = large;
	if (!b->model && model_new(&b->model, &b->preset, &b->env, &err) < 0) {
		assert_non_null(strstr(err.text, entry->name));
		bench_release(b);
		return -1;
	}
	bench_start(b);
	return 0;
}

static inline void ignore(void *arg, size_t offset, size_t count)
{
	(void)arg;
	(void)offset;
	(void)count;
}

static inline double mean_loss(void *bench)
{
	struct bench *b = bench;
	struct score score;

	memset(b->model->arena, 0xff, b->model->arena_bytes); /* nobody relies on it */
	model_forward(b->model, b->weight, &b->batch, &score);
	assert_int_equal(score.count, b->batch.count * b->labels);
	return score.loss_sum / (double)(b->batch.total * b->labels);
}

static inline void gradient(struct bench *b, float *grad)
{
	mean_loss(b);
	for (size_t i = 0; i < b->count; i++)
		grad[i] = NAN; /* backward overwrites */
	model_backward(b->model, b->weight, &b->batch, grad, ignore, NULL);
}

/* Of a derivative that `gradient` left in grad. */
static inline double distance(struct bench *b, size_t i, float h)
{
	return difference_miss(mean_loss, b, &b->weight[i], b->grad[i], h);
}

#endif
