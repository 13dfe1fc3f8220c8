/*
 * Bulk synchronous parallel by a parameter server: it applies the updates of a step once all of
 * them are there, in the order of the ranks, so that runs repeat bit for bit. With sgd, and no
 * momentum or any, that is bsp within rounding; optimizers that are not linear step by themselves.
 */
#include "runtime/sync/server.h"

struct params {
	struct server_params server;
};

static const struct opt options[] = { SERVER_OPTIONS(struct params, server), { 0 } };

struct state {
	struct server *server;
};

static int init(void *memory, const void *params, const struct sync_env *env, struct error *err)
{
	struct state *state = memory;
	const struct params *given = params;
	struct server_rule rule = { .bound = 1, .rounds = true };

	state->server = server_new(&given->server, &rule, env, err);
	return state->server ? 0 : -1;
}

static void fini(void *memory)
{
	server_free(((struct state *)memory)->server);
}

const struct sync_strategy sync_bsp_ps = {
	.entry = { .name = "bsp_ps",
		   .summary = "a parameter server that waits for all ranks in every step",
		   .options = options,
		   .params_size = sizeof(struct params) },
	.state_size = sizeof(struct state),
	.margin = 1,
	.init = init,
	SERVER_STRATEGY,
	.fini = fini,
};
