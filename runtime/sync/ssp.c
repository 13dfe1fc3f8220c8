/*
 * Stale synchronous parallel: ranks wait for each other only where one is too many steps ahead. Ho
 * et al., "More effective distributed ML via a stale synchronous parallel parameter server", NIPS
 * 2013. Here clocks count completed steps and are never more than `bound` apart; what a rank
 * computes with has every update of all but the last `bound` steps.
 */
#include "lib/error.h"
#include "runtime/sync/server.h"

struct params {
	struct server_params server;
	struct dampening dampening;
	size_t bound;
	bool overlap;
};

static const struct opt options[] = { SERVER_OPTIONS(struct params, server),
				      SERVER_OVERLAP(struct params, overlap, "yes"),
				      { "bound", OPT_COUNT, offsetof(struct params, bound), "4",
					"steps that no rank may be ahead of another by more",
					.min = 1, .max = 1e6 },
				      DAMPENING_OPTIONS(struct params, dampening, "constant"),
				      { 0 } };

struct state {
	struct server *server;
};

static int init(void *memory, const void *params, const struct sync_env *env, struct error *err)
{
	struct state *state = memory;
	const struct params *given = params;
	struct server_rule rule = { .dampening = given->dampening,
				    .bound = given->bound,
				    .overlap = given->overlap };

	if (given->overlap && given->bound < 2)
		return error_set(err, "sync.bound: at least 2 where ranks compute ahead of their "
				      "answers; or set sync.overlap: no");
	state->server = server_new(&given->server, &rule, env, err);
	return state->server ? 0 : -1;
}

static void fini(void *memory)
{
	server_free(((struct state *)memory)->server);
}

const struct sync_strategy sync_ssp = {
	.entry = { .name = "ssp",
		   .summary =
			   "a parameter server whose ranks stay within bound steps of each other",
		   .options = options,
		   .params_size = sizeof(struct params) },
	.state_size = sizeof(struct state),
	.margin = 4,
	.init = init,
	SERVER_STRATEGY,
	.fini = fini,
};
