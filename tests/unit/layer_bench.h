/* One layer at work outside of a model, for tests. */
#ifndef DSTRAIN_TESTS_LAYER_BENCH_H
#define DSTRAIN_TESTS_LAYER_BENCH_H

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "lib/error.h"
#include "runtime/device/team.h"
#include "runtime/model/layer.h"
#include "tests/unit/part.h"

enum { BENCH_COLUMNS = 12, BENCH_WORDS = 11, BENCH_BATCH = 8 };

/* What a layer is tried with. */
struct trial {
	const struct entry *entry;
	const char *const *options; /* "key", "value", ..., NULL; may be NULL */
	struct shape input;
	size_t batch;
	bool words;  /* the input is numbers of words */
	bool sparse; /* the input is rows of few values */
	bool training;
	bool relu;
	size_t threads;
};

struct bench {
	struct trial trial;
	const struct layer *layer;
	struct part part;
	struct layer_plan plan;
	struct layer_call call;
	float *tensor[LAYER_TENSORS], *grad[LAYER_TENSORS];
	size_t count[LAYER_TENSORS];
	struct sparse_row rows[BENCH_BATCH];
	float *in, *in2, *out, *dout, *din, *din2;
};

/* Nobody may rely on what is in memory that is used again and again. */
static inline void poison(void *at, size_t bytes)
{
	if (bytes)
		memset(at, 0xff, bytes);
}

static inline bool bench_has_slope(const struct bench *b)
{
	return !b->trial.words && !b->trial.sparse;
}

/* Near what the layer begins with, but no two alike. */
static inline float *bench_tensor(const struct layer_tensor *how, size_t count, size_t which)
{
	float *x = filled(count, which, 0);

	for (size_t i = 0; i < count && how->init == INIT_CONSTANT; i++)
		x[i] = (float)how->value + (how->shape.rank ? 0.3f * x[i] : 0);
	return x;
}

static inline void bench_fill_rows(struct bench *b, const float *dense)
{
	size_t columns = b->call.inputs;

	for (size_t i = 0; i < b->call.batch; i++) {
		uint32_t *index = xmalloc(columns * sizeof(*index));
		float *value = xaligned(columns * sizeof(*value));
		size_t count = 0;

		for (uint32_t k = 0; k < columns; k++) {
			if (dense[i * columns + k] == 0)
				continue;
			index[count] = k;
			value[count++] = dense[i * columns + k];
		}
		b->rows[i] = (struct sparse_row){ index, value, count };
	}
}

static inline void bench_fill_input(struct bench *b)
{
	size_t count = b->call.batch * b->call.inputs;

	b->in = filled(count, 10, 0.05); /* away from relu's edge at 0 */
	for (size_t i = 0; i < count && b->trial.words; i++)
		b->in[i] = floorf((b->in[i] + 1) / 2.0001f * BENCH_WORDS);
	for (size_t i = 0; i < count && b->trial.sparse; i++)
		b->in[i] = i % 3 == 0 ? b->in[i] : 0;
	if (b->trial.sparse)
		bench_fill_rows(b, b->in);
	b->call.rows = b->trial.sparse ? b->rows : NULL;
}

/* False, with what the layer says against it, if it refuses such a trial. */
static inline bool bench_init(struct bench *b, const struct trial *trial, struct error *err)
{
	const struct model_env env = { .input = trial->input,
				       .classes = 5,
				       .vocabulary = trial->words ? BENCH_WORDS : 0,
				       .sparse = trial->sparse,
				       .max_batch = trial->batch };
	size_t bytes = trial->batch * shape_count(&trial->input) * sizeof(float);

	*b = (struct bench){ .trial = *trial,
			     .layer = (const struct layer *)trial->entry,
			     .part = part_with(trial->entry, trial->options) };
	b->plan.output = trial->input;
	if (b->layer->plan &&
	    b->layer->plan(b->part.params, &b->trial.input, &env, &b->plan, err) < 0) {
		part_release(&b->part);
		return false;
	}
	b->call = (struct layer_call){
		.params = b->part.params,
		.team = team_new(trial->threads ? trial->threads : 1),
		.batch = trial->batch,
		.total = trial->batch,
		.inputs = shape_count(&trial->input),
		.outputs = shape_count(&b->plan.output),
		.scratch = xaligned(trial->batch * b->plan.scratch_bytes),
		.kept = xaligned(b->plan.kept_bytes),
		.room = xaligned(b->plan.room_bytes),
		.training = trial->training,
		.relu = trial->relu,
		.rng = rng_make(5, RNG_DROPOUT, 1, 2),
	};
	team_reserve(b->call.team, b->plan.workspace_bytes);
	for (size_t i = 0; i < b->plan.tensors; i++) {
		b->count[i] = shape_count(&b->plan.tensor[i].shape);
		b->tensor[i] = bench_tensor(&b->plan.tensor[i], b->count[i], i);
		b->grad[i] = xaligned(b->count[i] * sizeof(float));
	}
	bench_fill_input(b);
	b->in2 = filled(trial->batch * b->call.inputs, 12, 0.05);
	b->din = xaligned(bytes);
	b->din2 = xaligned(bytes);
	b->out = xaligned(trial->batch * b->call.outputs * sizeof(float));
	b->dout = filled(trial->batch * b->call.outputs, 11, 0);
	return true;
}

static inline void bench_release(struct bench *b)
{
	for (size_t i = 0; i < b->plan.tensors; i++) {
		free(b->tensor[i]);
		free(b->grad[i]);
	}
	for (size_t i = 0; i < b->trial.batch && b->trial.sparse; i++) {
		free((void *)(uintptr_t)b->rows[i].index);
		free((void *)(uintptr_t)b->rows[i].value);
	}
	free(b->call.scratch);
	free(b->call.kept);
	free(b->call.room);
	team_free(b->call.team);
	free(b->in);
	free(b->in2);
	free(b->out);
	free(b->dout);
	free(b->din);
	free(b->din2);
	part_release(&b->part);
}

/* The call with its pointers as they are now: a bench may have moved. */
static inline struct layer_call *bench_call(struct bench *b)
{
	b->call.params = b->part.params;
	b->call.plan = &b->plan;
	b->call.input = &b->trial.input;
	b->call.output = &b->plan.output;
	b->call.weight = (const float *const *)b->tensor;
	b->call.grad = b->grad;
	b->call.rows = b->trial.sparse ? b->rows : NULL;
	b->call.in2 = b->layer->joins ? b->in2 : NULL;
	b->call.din2 = b->layer->joins ? b->din2 : NULL;
	poison(b->call.room, b->plan.room_bytes);
	for (size_t i = 0; i < team_threads(b->call.team); i++)
		poison(team_workspace(b->call.team, i), b->plan.workspace_bytes);
	return &b->call;
}

/* `out` may be b->in. */
static inline void bench_forward_to(struct bench *b, float *out)
{
	struct layer_call *call = bench_call(b);

	poison(call->scratch, call->batch * b->plan.scratch_bytes);
	poison(call->kept, b->plan.kept_bytes);
	if (out != b->in)
		poison(out, call->batch * call->outputs * sizeof(float));
	b->layer->forward(call, b->trial.sparse ? NULL : b->in, out);
}

static inline void bench_forward(struct bench *b)
{
	bench_forward_to(b, b->out);
}

/* After bench_forward. As a model would: what the layer does not read is not there. */
static inline void bench_backward_to(struct bench *b, float *dout, float *din)
{
	struct layer_call *call = bench_call(b);
	bool reads_out = b->layer->reads_out || call->relu;

	if (din != dout)
		poison(b->din, call->batch * call->inputs * sizeof(float));
	poison(b->din2, call->batch * call->inputs * sizeof(float));
	for (size_t i = 0; i < b->plan.tensors && !call->accumulate; i++)
		poison(b->grad[i], b->count[i] * sizeof(float));
	b->layer->backward(call, b->layer->reads_in && !b->trial.sparse ? b->in : NULL,
			   reads_out ? b->out : NULL, dout, bench_has_slope(b) ? din : NULL);
}

/* With a copy of dout, as a layer may overwrite it. */
static inline void bench_backward(struct bench *b)
{
	size_t bytes = b->call.batch * b->call.outputs * sizeof(float);
	float *dout = xaligned(bytes);

	memcpy(dout, b->dout, bytes);
	bench_backward_to(b, dout, b->din);
	free(dout);
}

#endif
