/* The training loop of one rank. */
#include "runtime/loop.h"

#include <math.h>
#include <stdint.h>

#include "lib/error.h"
#include "runtime/data/data.h"
#include "runtime/device/cpu.h"
#include "runtime/gate.h"
#include "runtime/model/model.h"
#include "runtime/optim/optim.h"
#include "runtime/slice.h"
#include "runtime/sync/sync.h"

enum { EVAL_SAMPLES = 256 }; /* evaluated at once, where a batch is as large */

static void ready(void *arg, size_t offset, size_t count)
{
	sync_ready(arg, offset, count);
}

static void next_batch(struct loop *loop, size_t step)
{
	struct batch *batch = &loop->batch;
	const uint32_t *index =
		shard_step(loop->shard, step, &batch->count, &batch->first, &batch->total);

	batch->step = step;
	batch->training = true;
	dataset_gather(loop->train, index, batch);
}

/* Each rank evaluates its slice of the test data. */
static void evaluate(struct loop *loop, size_t completed)
{
	struct score sum = { 0 };
	size_t length;
	size_t at = slice_start(loop->test->count, loop->world.count, loop->world.index, &length);
	uint32_t index[EVAL_SAMPLES];

	while (length > 0) {
		struct score part = { 0 };
		size_t most = loop->most < EVAL_SAMPLES ? loop->most : EVAL_SAMPLES;
		size_t count = length < most ? length : most;

		for (size_t i = 0; i < count; i++)
			index[i] = (uint32_t)(at + i);
		loop->batch.count = loop->batch.total = count;
		loop->batch.training = false;
		dataset_gather(loop->test, index, &loop->batch);
		model_forward(loop->model, loop->weight, &loop->batch, &part);
		sum.loss_sum += part.loss_sum;
		sum.correct += part.correct;
		sum.count += part.count;
		at += count;
		length -= count;
	}
	if (loop->test->count)
		metrics_eval(&loop->metrics, completed, &sum);
}

static int diverged(const char *what, size_t step, struct error *err)
{
	return error_set(err,
			 "the %s not finite at step %zu; a smaller train.optimizer.lr or "
			 "train.clip may help",
			 what, step);
}

static int save(struct loop *loop, size_t completed, struct error *err)
{
	/* The checkpoints before are worth more than this one. */
	if (!isfinite(cpu_sum_squares(loop->weight, model_count(loop->model))))
		return diverged("weights are", completed, err);
	loop->peer_failed = true; /* nothing else can go wrong there */
	if (checkpoint_save(&loop->parts, completed, loop->net, &loop->world, loop->outbox, err) <
	    0)
		return -1;
	loop->peer_failed = false;
	return 0;
}

static int train_step(struct loop *loop, size_t step, struct error *err)
{
	struct score score = { 0 };
	double norm;

	metrics_begin(&loop->metrics);
	next_batch(loop, step);
	metrics_data(&loop->metrics);
	model_forward(loop->model, loop->weight, &loop->batch, &score);
	if (!isfinite(score.loss_sum))
		return diverged("loss is", step + 1, err);
	sync_step(loop->sync, step, loop->grad);
	model_backward(loop->model, loop->weight, &loop->batch, loop->grad, ready, loop->sync);
	metrics_compute(&loop->metrics);
	loop->peer_failed = true;
	if (sync_gradients(loop->sync, err) < 0)
		return -1;
	metrics_other(&loop->metrics);
	norm = optim_step(loop->optim, step, loop->weight, loop->grad);
	metrics_compute(&loop->metrics);
	if (sync_weights(loop->sync, step, loop->weight, err) < 0)
		return -1;
	loop->peer_failed = false;
	metrics_step(&loop->metrics, step + 1, &score, optim_lr(loop->optim, step), norm);
	return 0;
}

static bool due(size_t every, size_t completed, size_t steps)
{
	return completed == steps || (every && completed % every == 0);
}

int loop_run(struct loop *loop, size_t *completed, struct error *err)
{
	size_t step = loop->first_step;
	size_t saved = step;

	for (; step < loop->steps && gate_pass(loop->gate, step); step++) {
		if (train_step(loop, step, err) < 0)
			return -1;
		if (due(loop->eval_every, step + 1, loop->steps))
			evaluate(loop, step + 1);
		if (due(loop->checkpoint_every, step + 1, loop->steps)) {
			saved = step + 1;
			if (save(loop, saved, err) < 0)
				return -1;
		}
	}
	*completed = step;
	return step > saved ? save(loop, step, err) : 0; /* stopped early */
}
