/* Bulk synchronous: every step, all ranks add up their gradients. */
#include "runtime/sync/sync.h"

#include "runtime/exchange.h"

struct state {
	struct sync_env env;
};

static int init(void *memory, const void *params, const struct sync_env *env, struct error *err)
{
	struct state *state = memory;

	(void)params;
	(void)err;
	state->env = *env;
	return 0;
}

static int gradients(void *memory, size_t step, size_t offset, float *grad, size_t count,
		     struct error *err)
{
	struct state *state = memory;

	return exchange_sum(state->env.exchange, state->env.world, step, offset, grad, count, err);
}

const struct sync_strategy sync_bsp = {
	.entry = { .name = "bsp", .summary = "all ranks sum their gradients every step" },
	.state_size = sizeof(struct state),
	.replicated = true,
	.init = init,
	.gradients = gradients,
};
