/*
 * Asynchronous parallel: nobody waits for anybody. Dean et al., "Large scale distributed deep
 * networks", NIPS 2012.
 */
#include "runtime/sync/server.h"

struct params {
	struct server_params server;
	struct dampening dampening;
	bool overlap;
};

static const struct opt options[] = { SERVER_OPTIONS(struct params, server),
				      SERVER_OVERLAP(struct params, overlap, "yes"),
				      DAMPENING_OPTIONS(struct params, dampening, "constant"),
				      { 0 } };

struct state {
	struct server *server;
};

static int init(void *memory, const void *params, const struct sync_env *env, struct error *err)
{
	struct state *state = memory;
	const struct params *given = params;
	struct server_rule rule = { .dampening = given->dampening, .overlap = given->overlap };

	state->server = server_new(&given->server, &rule, env, err);
	return state->server ? 0 : -1;
}

static void fini(void *memory)
{
	server_free(((struct state *)memory)->server);
}

const struct sync_strategy sync_asp = {
	.entry = { .name = "asp",
		   .summary = "a parameter server on the ranks, which never wait for each other",
		   .options = options,
		   .params_size = sizeof(struct params) },
	.state_size = sizeof(struct state),
	.margin = 4,
	.init = init,
	SERVER_STRATEGY,
	.fini = fini,
};
