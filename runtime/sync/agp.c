/*
 * Asynchronous gradient push, after Assran and Rabbat, "Asynchronous gradient push", IEEE
 * Transactions on Automatic Control 66, 2021. Rank i holds weights x_i with a mass y_i, at first 1.
 * After each step it adds what came, and gives equal parts of its mass to itself and to those where
 * its edges lead, which have its weights for as much:
 *
 *	x_i = (y_i x_i + sum of y_j x_j that came) / (y_i + sum of y_j)
 *
 * Nobody waits for a step of another. Mass is neither made nor lost: with what is under way it is
 * the number of ranks. What came is mixed with the weights that the step began with, of which most
 * was given away; then comes the step's update, so that it counts as much as the mass that its rank
 * has by then: about 1, and less while it is faster than those who give to it.
 *
 * So that no queue grows, the next step begins once what the one before it gave has come. So that
 *no mass becomes too small to divide by, who has little left while others are slow gives nothing.
 */
#include "runtime/sync/sync.h"

#include <math.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "lib/error.h"
#include "lib/memory.h"
#include "runtime/device/cpu.h"
#include "runtime/sync/topology.h"

struct params {
	struct topology_params graph;
};

static const struct opt options[] = { TOPOLOGY_PUSHED(params, graph), { 0 } };

#define LEAST (1.0 / 64) /* of a mass that is divided further */

/* Tags: a mass, and weights behind it; that they came. */
enum { PUSH, CAME };

struct state {
	struct sync_env env;
	struct graph *graph; /* one */
	size_t graphs;
	float *message; /* [1 + count] what was given last: a mass, weights */
	bool begun;	/* something was, and our weights have changed by a step since at most */
	float mass[2];	/* ours, as a sum: a float is too short for what is only ever cut up */

	pthread_mutex_t lock; /* guards all below */
	size_t under_way;     /* messages */
	float *sum;	      /* [count] of what came since the last step, mass times weights */
	double sum_mass;
	size_t came, came_before; /* messages; since the last step, in the one before */
	double consensus;
	bool failed;
	struct error problem;
};

static double mass_of(const struct state *state)
{
	return (double)state->mass[0] + (double)state->mass[1];
}

static void set_mass(struct state *state, double mass)
{
	state->mass[0] = (float)mass;
	state->mass[1] = (float)(mass - (double)state->mass[0]);
}

static int init(void *memory, const void *params, const struct sync_env *env, struct error *err)
{
	const struct params *given = params;
	struct state *state = memory;

	(void)err;
	state->env = *env;
	pthread_mutex_init(&state->lock, NULL);
	state->graph = topology_directed(&given->graph, env, &state->graphs);
	state->message = xaligned((1 + env->count) * sizeof(float));
	state->sum = xaligned(env->count * sizeof(float));
	set_mass(state, 1);
	return 0;
}

static void fail(struct state *state, const struct error *err)
{
	if (!state->failed)
		state->problem = *err;
	state->failed = true;
}

static void take(struct state *state, int peer, const float *message)
{
	struct error err;

	state->sum_mass += (double)message[0];
	cpu_axpy(state->sum, message[0], message + 1, state->env.count);
	state->came++;
	if (sync_tell(state->env.sync, peer, CAME, NULL, 0, &err) < 0)
		fail(state, &err);
}

static void serve(void *memory, int peer, uint64_t tag, const void *bytes, size_t length)
{
	struct state *state = memory;
	struct error err;

	pthread_mutex_lock(&state->lock);
	if (tag == CAME && state->under_way > 0) {
		state->under_way--;
		sync_wake(state->env.sync);
	} else if (tag == PUSH && length == (1 + state->env.count) * sizeof(float)) {
		take(state, peer, bytes);
	} else {
		error_set(&err, "rank %d pushed what are no weights; is it of this version?", peer);
		fail(state, &err);
	}
	pthread_mutex_unlock(&state->lock);
}

/* By the difference from the weights that the step began with. */
static void absorb(struct state *state, float *weight)
{
	const float *base = state->begun ? state->message + 1 : weight;
	size_t count = state->env.count;
	double mass = mass_of(state) + state->sum_mass;

	state->came_before = state->came;
	if (state->came == 0)
		return;
	cpu_axpy(state->sum, (float)-state->sum_mass, base, count);
	cpu_scale(state->sum, (float)(1 / mass), count);
	cpu_add(weight, state->sum, count);
	state->consensus =
		sqrt(cpu_sum_squares(state->sum, count) / cpu_sum_squares(weight, count));
	memset(state->sum, 0, count * sizeof(*weight));
	state->sum_mass = 0;
	state->came = 0;
	set_mass(state, mass);
}

static int push(struct state *state, const float *weight, struct error *err)
{
	const struct group *world = state->env.world;
	int degree;
	const int *ends = graph_ends(state->graph, world->index, &degree);
	double mass = mass_of(state);
	float part = (float)(mass / (degree + 1));

	state->message[0] = part;
	memcpy(state->message + 1, weight, state->env.count * sizeof(*weight));
	state->begun = true;
	if (mass < LEAST)
		return 0;
	for (int i = 0; i < degree; i++) {
		state->under_way++;
		mass -= (double)part;
		if (sync_give(state->env.sync, world->ranks[ends[i]], PUSH, state->message,
			      (1 + state->env.count) * sizeof(float), err) < 0)
			return -1;
	}
	set_mass(state, mass);
	return 0;
}

static int check(const struct state *state, struct error *err)
{
	if (state->failed)
		*err = state->problem;
	return state->failed ? -1 : 0;
}

static int weights(void *memory, size_t step, float *weight, struct error *err)
{
	struct state *state = memory;
	int status;

	(void)step;
	pthread_mutex_lock(&state->lock);
	absorb(state, weight);
	status = push(state, weight, err);
	pthread_mutex_unlock(&state->lock);
	return status;
}

static int go(void *memory, size_t step, float *weight, struct error *err)
{
	struct state *state = memory;
	int degree, status;

	(void)step;
	(void)weight;
	graph_ends(state->graph, state->env.world->index, &degree);
	pthread_mutex_lock(&state->lock);
	status = check(state, err) < 0 ? -1 : state->under_way <= (size_t)degree;
	pthread_mutex_unlock(&state->lock);
	return status;
}

static int settle(void *memory, float *weight, struct error *err)
{
	struct state *state = memory;

	int status;

	pthread_mutex_lock(&state->lock);
	absorb(state, weight);
	state->begun = false;
	status = check(state, err);
	pthread_mutex_unlock(&state->lock);
	return status;
}

static void report(void *memory, struct drift *drift)
{
	struct state *state = memory;

	pthread_mutex_lock(&state->lock);
	drift->participants = (double)state->came_before + 1;
	drift->staleness = drift->staleness_most = (double)state->came_before;
	if (state->came_before > 0)
		drift->consensus = state->consensus;
	pthread_mutex_unlock(&state->lock);
}

static size_t arrays_of(void *memory, struct state_array *arrays)
{
	struct state *state = memory;

	arrays[0] = (struct state_array){ "mass", state->mass, 2 };
	return 1;
}

static void fini(void *memory)
{
	struct state *state = memory;

	for (size_t i = 0; i < state->graphs; i++)
		graph_release(&state->graph[i]);
	pthread_mutex_destroy(&state->lock);
	free(state->graph);
	free(state->message);
	free(state->sum);
}

const struct sync_strategy sync_agp = {
	.entry = { .name = "agp",
		   .summary = "weights are pushed with a mass along edges that go one way; nobody "
			      "waits",
		   .options = options,
		   .params_size = sizeof(struct params) },
	.state_size = sizeof(struct state),
	.own_samples = true,
	.plain = SYNC_PLAIN_WEIGHTS,
	.asynchronous = true,
	.margin = 8,
	.init = init,
	.weights = weights,
	.go = go,
	.settle = settle,
	.report = report,
	.serve = serve,
	.state = arrays_of,
	.fini = fini,
};
