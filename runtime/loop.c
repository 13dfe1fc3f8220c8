/* The training loop of one rank. */
#include "runtime/loop.h"

#include <math.h>
#include <stdint.h>

#include "lib/clock.h"
#include "lib/error.h"
#include "runtime/data/data.h"
#include "runtime/device/cpu.h"
#include "runtime/evaluate.h"
#include "runtime/feed.h"
#include "runtime/gate.h"
#include "runtime/model/model.h"
#include "runtime/optim/optim.h"
#include "runtime/slice.h"
#include "runtime/sync/sync.h"
#include "runtime/transport/transport.h"

/* A step on its way from forward to the last of its gradients. */
struct pass {
	struct loop *loop;
	size_t step;
	double begun; /* clock_now */
};

/* A step that is to last longer sleeps, unless there is no use in it any more. */
static void linger(const struct pass *pass)
{
	enum { SLICES_PER_S = 10 };
	struct loop *loop = pass->loop;
	struct error ignored;
	double now = clock_now();
	double until = pass->begun + fault_lasts(&loop->fault, pass->step, now - pass->begun);

	while (now < until && net_check_all(loop->net, &ignored) == 0) {
		if (!gate_doze(loop->gate, fmin(until, now + 1.0 / SLICES_PER_S)))
			return;
		now = clock_now();
	}
}

static void ready(void *arg, size_t offset, size_t count)
{
	struct pass *pass = arg;
	struct loop *loop = pass->loop;

	fault_gradient(&loop->fault, pass->step, offset, loop->grad + offset, count);
	if (offset == 0)
		linger(pass);
	sync_ready(loop->sync, offset, count);
}

static bool wants_own(const struct loop *loop, bool last)
{
	return !loop->parts.replicated && (loop->eval_ranks == EVAL_RANKS_ALWAYS ||
					   (loop->eval_ranks == EVAL_RANKS_END && last));
}

/* Each rank evaluates the model that all of them train, on its slice of the test data. */
static int evaluate_slice(struct loop *loop, size_t completed, bool last, struct error *err)
{
	size_t length;
	size_t at = slice_start(loop->test->count, loop->world.count, loop->world.index, &length);
	const float *mean;
	struct score score, own;

	if (loop->test->count == 0)
		return 0;
	loop->peer_failed = true;
	if (sync_mean(loop->sync, loop->weight, &mean, err) < 0)
		return -1;
	loop->peer_failed = false;
	score = evaluate(loop->model, mean, loop->feed, at, length);
	if (wants_own(loop, last))
		own = evaluate(loop->model, loop->weight, loop->feed, 0, loop->test->count);
	metrics_eval(&loop->metrics, completed, &score, wants_own(loop, last) ? &own : NULL);
	return 0;
}

/* `batch` may be NULL where the weights have it. */
static int diverged(const struct loop *loop, const char *what, const struct batch *batch,
		    size_t step, struct error *err)
{
	const char *where = model_nonfinite(loop->model, loop->weight, batch);

	return error_set(err,
			 "the %s not finite at step %zu, first in '%s'; a smaller "
			 "train.optimizer.lr or train.clip may help",
			 what, step, where ? where : model_loss_name(loop->model));
}

static int save(struct loop *loop, size_t completed, struct error *err)
{
	/* The checkpoints before are worth more than this one. */
	if (!isfinite(cpu_sum_squares(loop->weight, model_count(loop->model))))
		return diverged(loop, "weights are", NULL, completed, err);
	loop->peer_failed = true; /* nothing else can go wrong there */
	if (checkpoint_save(&loop->parts, completed, loop->net, loop->outbox, err) < 0)
		return -1;
	loop->peer_failed = false;
	return 0;
}

/* `done`: what schedules go by, steps of all ranks; `step`: this rank's. */
static int train_step(struct loop *loop, size_t step, size_t done, struct error *err)
{
	struct score score = { 0 };
	struct pass pass = { .loop = loop, .step = step };
	const struct batch *batch;
	double norm;

	metrics_begin(&loop->metrics);
	batch = feed_step(loop->feed, step);
	metrics_data(&loop->metrics);
	pass.begun = clock_now();
	sync_step(loop->sync, step, loop->weight, loop->grad);
	model_forward(loop->model, loop->weight, batch, &score);
	if (!isfinite(score.loss_sum) && !loop->fault.wrong)
		return diverged(loop, "loss is", batch, step + 1, err);
	model_backward(loop->model, loop->weight, batch, loop->grad, ready, &pass);
	metrics_compute(&loop->metrics);
	loop->peer_failed = true;
	if (sync_gradients(loop->sync, err) < 0)
		return -1;
	metrics_other(&loop->metrics);
	norm = optim_step(loop->optim, done, loop->weight, loop->grad);
	metrics_compute(&loop->metrics);
	if (sync_weights(loop->sync, step, loop->weight, err) < 0)
		return -1;
	loop->peer_failed = false;
	metrics_step(&loop->metrics, step + 1, &score, optim_lr(loop->optim, done), norm);
	return 0;
}

static bool due(size_t every, size_t completed, size_t steps)
{
	return completed == steps || (every && completed % every == 0);
}

static int meet(struct loop *loop, struct sync_cut *cut, struct error *err)
{
	loop->peer_failed = true;
	if (sync_cut(loop->sync, loop->weight, cut, err) < 0)
		return -1;
	loop->peer_failed = false;
	if (cut->evaluate && evaluate_slice(loop, cut->completed, cut->stop, err) < 0)
		return -1;
	return cut->save ? save(loop, cut->completed, err) : 0;
}

static size_t least(size_t a, size_t b)
{
	return a < b ? a : b;
}

int loop_run_paced(struct loop *loop, size_t *completed, struct error *err)
{
	struct sync_cut cut = { .stop = loop->first_step >= loop->steps };

	metrics_start(&loop->metrics);
	while (!cut.stop) {
		int go;

		loop->peer_failed = true;
		go = sync_go(loop->sync, loop->weight, err);
		if (go < 0)
			return -1;
		loop->peer_failed = false;
		if ((go ? train_step(loop, sync_steps(loop->sync),
				     least(sync_progress(loop->sync), loop->steps - 1), err)
			: meet(loop, &cut, err)) < 0)
			return -1;
	}
	*completed = cut.completed;
	return 0;
}

double loop_loss(void *arg, size_t step, const float *weight)
{
	struct loop *loop = arg;
	struct score score = { 0 };

	model_forward(loop->model, weight, feed_step(loop->feed, step), &score);
	return score.loss_sum / (double)score.count;
}

int loop_run(struct loop *loop, size_t *completed, struct error *err)
{
	size_t step = loop->first_step;
	size_t saved = step;

	metrics_start(&loop->metrics);
	for (; step < loop->steps && gate_pass(loop->gate, step); step++) {
		if (train_step(loop, step, step, err) < 0)
			return -1;
		if (due(loop->eval_every, step + 1, loop->steps) &&
		    evaluate_slice(loop, step + 1, step + 1 == loop->steps, err) < 0)
			return -1;
		if (due(loop->checkpoint_every, step + 1, loop->steps)) {
			saved = step + 1;
			if (save(loop, saved, err) < 0)
				return -1;
		}
	}
	*completed = step;
	if (!due(loop->eval_every, step, loop->steps) && gate_ends(loop->gate) &&
	    evaluate_slice(loop, step, true, err) < 0)
		return -1;
	return step > saved ? save(loop, step, err) : 0; /* stopped early */
}
