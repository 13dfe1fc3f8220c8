/* Rounds: ranks train alone, then the clients of the round average what they have. */
#include "runtime/sync/round.h"

#include <stdlib.h>
#include <string.h>

#include "lib/draw.h"
#include "lib/error.h"
#include "lib/memory.h"
#include "runtime/device/cpu.h"
#include "runtime/exchange.h"

enum { CLIENTS = 2, AUDIENCE }; /* ids of groups */

int round_init(struct round *round, const struct round_params *params, const struct sync_env *env,
	       struct error *err)
{
	size_t world = (size_t)env->world->count;

	if (params->clients > world)
		return error_set(err, "sync.clients: %zu are more than the %zu ranks",
				 params->clients, world);
	round->env = *env;
	round->params = *params;
	if (params->clients == 0)
		round->params.clients = world;
	round->model = xaligned(env->count * sizeof(*round->model));
	if (exchange_is_lossy(env->exchange)) {
		round->debt = xaligned(env->count * sizeof(*round->debt));
		memset(round->debt, 0, env->count * sizeof(*round->debt));
	}
	round->drawn = xcalloc(world, sizeof(*round->drawn));
	round->not_drawn = xcalloc(world, sizeof(*round->not_drawn));
	round->hearing = xcalloc(world, sizeof(*round->hearing));
	return 0;
}

int round_begin(void *state, size_t step, const float *weight, struct error *err)
{
	struct round *round = state;

	(void)step;
	(void)err;
	round->weight = weight;
	if (round->begun != 0)
		return 0;
	round->begun = 1;
	memcpy(round->model, weight, round->env.count * sizeof(*weight));
	return 0;
}

/* Knuth, "The Art of Computer Programming" volume 2, 3.4.2, algorithm S: in the order of the world,
 * each subset as likely as any other. From the seed alone, so that nobody has to be told. */
static void draw_clients(struct round *round, size_t number)
{
	const struct group *world = round->env.world;
	struct draw draw = { .seed = round->env.seed, .stream = number };
	size_t wanted = round->params.clients;
	int clients = 0, others = 0;

	for (int i = 0; i < world->count; i++) {
		size_t left = (size_t)(world->count - i);

		if (draw_below(&draw, (uint64_t)i, left) < wanted - (size_t)clients)
			round->drawn[clients++] = world->ranks[i];
		else
			round->not_drawn[others++] = world->ranks[i];
	}
	round->clients = (struct group){ .ranks = round->drawn, .count = clients, .id = CLIENTS };
}

static int place_of(const int *ranks, int count, int rank)
{
	for (int i = 0; i < count; i++)
		if (ranks[i] == rank)
			return i;
	return -1;
}

/* The others are dealt to the clients in turn. */
static void find_audience(struct round *round, int own)
{
	int clients = round->clients.count, others = round->env.world->count - clients;
	int teller = round->clients.index, count = 0;

	if (teller < 0)
		teller = place_of(round->not_drawn, others, own) % clients;
	round->hearing[count++] = round->drawn[teller];
	for (int i = teller; i < others; i += clients)
		round->hearing[count++] = round->not_drawn[i];
	round->audience = (struct group){ .ranks = round->hearing,
					  .count = count,
					  .index = place_of(round->hearing, count, own),
					  .id = AUDIENCE };
}

bool round_ends(struct round *round, size_t step)
{
	const struct group *world = round->env.world;
	int own = world->ranks[world->index];

	round->ended = (step + 1) % round->params.period == 0;
	if (!round->ended)
		return false;
	draw_clients(round, step / round->params.period);
	if (round->clients.count == world->count)
		round->clients = *world;
	round->clients.index = place_of(round->clients.ranks, round->clients.count, own);
	find_audience(round, own);
	round->clients.cost = round->audience.cost = world->cost;
	round->is_client = round->clients.index >= 0;
	return true;
}

/* Samples that ranks have of their own count, or else what they take of those of all: n_k. */
static double samples_of(const struct sync_env *env, int rank)
{
	if (env->samples)
		return (double)env->samples[rank];
	return env->share ? env->share[rank] : 1;
}

/* n_k / n, times the number of members. */
float round_part(const struct round *round, const struct group *group)
{
	const struct sync_env *env = &round->env;
	double sum = 0;

	for (int i = 0; i < group->count; i++)
		sum += samples_of(env, group->ranks[i]);
	return (float)(samples_of(env, group->ranks[group->index]) * group->count / sum);
}

/* Makes the way from the model to x so much longer. */
static void stretch(const struct round *round, float *x, float factor)
{
	for (size_t i = 0; i < round->env.count && factor != 1; i++)
		x[i] = round->model[i] + factor * (x[i] - round->model[i]);
}

static int average(struct round *round, size_t step, float *weight, struct error *err)
{
	struct exchange *exchange = round->env.exchange;
	size_t count = round->env.count;
	float part = round_part(round, &round->clients);
	bool all_sent = !round->debt || round->clients.count == 1;

	if (round->debt)
		cpu_add(weight, round->debt, count);
	stretch(round, weight, part);
	if (exchange_average(exchange, &round->clients, step, weight, round->model, err) < 0)
		return -1;
	if (all_sent)
		memcpy(round->model, weight, count * sizeof(*weight));
	for (size_t i = 0; i < count && round->debt; i++)
		round->debt[i] = part > 0 ? (weight[i] - round->model[i]) / part : 0;
	return 0;
}

int round_tell(struct round *round, float *x, struct error *err)
{
	if (round->audience.count == 1)
		return 0;
	return coll_broadcast(round->env.net, &round->audience, 0, x, round->env.count * sizeof(*x),
			      err);
}

int round_average(struct round *round, size_t step, float *weight, struct error *err)
{
	if (round->is_client && average(round, step, weight, err) < 0)
		return -1;
	if (round_tell(round, round->model, err) < 0)
		return -1;
	memcpy(weight, round->model, round->env.count * sizeof(*weight));
	return 0;
}

void round_report(void *state, struct drift *drift)
{
	const struct round *round = state;

	if (round->ended)
		drift->participants = round->clients.count;
}

size_t round_state(void *state, struct state_array *arrays)
{
	struct round *round = state;
	size_t count = 0;

	arrays[count++] = (struct state_array){ "begun", &round->begun, 1 };
	arrays[count++] = (struct state_array){ "model", round->model, round->env.count };
	if (round->debt)
		arrays[count++] = (struct state_array){ "debt", round->debt, round->env.count };
	return count;
}

void round_release(void *state)
{
	struct round *round = state;

	free(round->model);
	free(round->debt);
	free(round->drawn);
	free(round->not_drawn);
	free(round->hearing);
	*round = (struct round){ 0 };
}
