/*
 * fedavg whose ranks correct their gradients by what they know of those of the others: Karimireddy
 * et al., "SCAFFOLD: Stochastic controlled averaging for federated learning", ICML 2020. A rank's
 * control variate c_i is the mean of its gradients in the last round in which it was a client, and
 * c the mean of all c_i, by samples; the gradient becomes g - c_i + c. With SGD that is option II
 * of the paper, c_i+ = c_i - c + (x - y_i) / (K lr), but needs no learning rate and suits any
 * optimizer.
 *
 * What a client sends is c_i+ - c_i. Where that is compressed its c_i moves by what was sent, so
 * that c stays the mean of all c_i.
 */
#include "runtime/sync/sync.h"

#include <stdlib.h>
#include <string.h>

#include "lib/memory.h"
#include "runtime/device/cpu.h"
#include "runtime/exchange.h"
#include "runtime/sync/round.h"

static const struct opt options[] = { { ROUND_PERIOD }, { ROUND_CLIENTS }, { 0 } };

struct state {
	struct round round;
	float *own, *all; /* [count] c_i, c */
	float *sum;	  /* [count] of this rank's gradients in the round */
	float *sent;	  /* [count] on average; NULL: nothing is lost */
};

static float *zeroed(size_t count)
{
	float *x = xaligned(count * sizeof(*x));

	memset(x, 0, count * sizeof(*x));
	return x;
}

static int init(void *memory, const void *params, const struct sync_env *env, struct error *err)
{
	struct state *state = memory;

	state->own = zeroed(env->count);
	state->all = zeroed(env->count);
	state->sum = zeroed(env->count);
	if (exchange_is_lossy(env->exchange))
		state->sent = xaligned(env->count * sizeof(*state->sent));
	return round_init(&state->round, params, env, err);
}

static int gradients(void *memory, size_t step, size_t offset, float *grad, size_t count,
		     struct error *err)
{
	struct state *state = memory;
	const float *own = state->own + offset, *all = state->all + offset;
	float *sum = state->sum + offset;

	(void)step;
	(void)err;
	for (size_t i = 0; i < count; i++) {
		sum[i] += grad[i];
		grad[i] += all[i] - own[i];
	}
	return 0;
}

/* change[count] of the clients becomes its mean over them. */
static int average_changes(struct state *state, size_t step, float *change, struct error *err)
{
	const struct round *round = &state->round;
	size_t count = round->env.count;
	float part = round_part(round, round->env.world);

	cpu_add(state->own, change, count);
	cpu_scale(change, part, count);
	if (state->sent)
		memset(state->sent, 0, count * sizeof(*state->sent));
	if (exchange_average(round->env.exchange, &round->clients, step, change, state->sent, err) <
	    0)
		return -1;
	if (!state->sent || round->clients.count == 1)
		return 0;
	for (size_t i = 0; i < count && part > 0; i++) /* all but the mean was not sent */
		state->own[i] -= (change[i] - state->sent[i]) / part;
	memcpy(change, state->sent, count * sizeof(*change));
	return 0;
}

static int move_variates(struct state *state, size_t step, struct error *err)
{
	struct round *round = &state->round;
	size_t count = round->env.count;
	float *change = state->sum;

	if (round->is_client) {
		cpu_scale(change, 1 / (float)round->params.period, count);
		cpu_axpy(change, -1, state->own, count);
		if (average_changes(state, step, change, err) < 0)
			return -1;
	}
	if (round_tell(round, change, err) < 0)
		return -1;
	cpu_scale(change, (float)round->clients.count / (float)round->env.world->count, count);
	cpu_add(state->all, change, count);
	memset(state->sum, 0, count * sizeof(*state->sum));
	return 0;
}

static int weights(void *memory, size_t step, float *weight, struct error *err)
{
	struct state *state = memory;

	if (!round_ends(&state->round, step))
		return 0;
	if (round_average(&state->round, step, weight, err) < 0)
		return -1;
	return move_variates(state, step, err);
}

static size_t arrays_of(void *memory, struct state_array *arrays)
{
	struct state *state = memory;
	size_t count = round_state(&state->round, arrays), each = state->round.env.count;

	arrays[count++] = (struct state_array){ "own", state->own, each };
	arrays[count++] = (struct state_array){ "all", state->all, each };
	arrays[count++] = (struct state_array){ "sum", state->sum, each };
	return count;
}

static void fini(void *memory)
{
	struct state *state = memory;

	round_release(&state->round);
	free(state->own);
	free(state->all);
	free(state->sum);
	free(state->sent);
}

const struct sync_strategy sync_scaffold = {
	.entry = { .name = "scaffold",
		   .summary = "fedavg whose ranks correct their gradients for those of the others",
		   .options = options,
		   .params_size = sizeof(struct round_params) },
	.state_size = sizeof(struct state),
	.own_samples = true,
	.differences = true,
	.margin = 2,
	.init = init,
	.average = round_begin,
	.gradients = gradients,
	.weights = weights,
	.report = round_report,
	.state = arrays_of,
	.fini = fini,
};
