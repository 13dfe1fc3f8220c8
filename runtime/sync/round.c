/* Rounds: ranks train alone, then the clients of the round average what they have. */
#include "runtime/sync/round.h"

#include <stdlib.h>
#include <string.h>

#include "lib/draw.h"
#include "lib/error.h"
#include "lib/memory.h"
#include "runtime/device/cpu.h"
#include "runtime/exchange.h"

enum { CLIENTS = 2, OTHERS }; /* ids of groups */

/* What is lost on the way, where not every rank is always a client: others keep what they owe. */
static bool keeps_debts(const struct round *round)
{
	return exchange_is_lossy(round->env.exchange) &&
	       round->params.clients < (size_t)round->env.world->count;
}

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
	if (keeps_debts(round))
		round->kept = xaligned(env->count * sizeof(*round->kept));
	round->drawn = xcalloc(world + 1, sizeof(*round->drawn));
	round->not_drawn = xcalloc(world + 1, sizeof(*round->not_drawn));
	return 0;
}

int round_begin(void *state, size_t step, const float *weight, struct error *err)
{
	struct round *round = state;
	size_t bytes = round->env.count * sizeof(*weight);

	(void)step;
	(void)err;
	round->weight = weight;
	if (round->begun != 0)
		return 0;
	round->begun = 1;
	memcpy(round->model, weight, bytes);
	if (round->kept)
		memcpy(round->kept, weight, bytes);
	return 0;
}

/* Knuth, "The Art of Computer Programming" volume 2, 3.4.2, algorithm S: in the order of the world,
 * each subset as likely as any other. From the seed alone, so that nobody has to be told. */
static void draw_clients(struct round *round, size_t number)
{
	const struct group *world = round->env.world;
	struct draw draw = { .seed = round->env.seed, .stream = number };
	size_t wanted = round->params.clients;
	int clients = 0, others = 1;

	for (int i = 0; i < world->count; i++) {
		size_t left = (size_t)(world->count - i);

		if (draw_below(&draw, (uint64_t)i, left) < wanted - (size_t)clients)
			round->drawn[clients++] = world->ranks[i];
		else
			round->not_drawn[others++] = world->ranks[i];
	}
	round->not_drawn[0] = round->drawn[0];
	round->clients = (struct group){ .ranks = round->drawn, .count = clients, .id = CLIENTS };
	round->others = (struct group){ .ranks = round->not_drawn, .count = others, .id = OTHERS };
}

static int place_of(const struct group *group, int rank)
{
	for (int i = 0; i < group->count; i++)
		if (group->ranks[i] == rank)
			return i;
	return -1;
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
	round->clients.index = place_of(&round->clients, own);
	round->others.index = place_of(&round->others, own);
	round->clients.cost = round->others.cost = world->cost;
	round->is_client = round->clients.index >= 0;
	return true;
}

/* By how much this rank counts in the mean: 1 on average. */
static float own_part(const struct round *round)
{
	const struct group *clients = &round->clients;
	const double *share = round->env.share;
	double sum = 0;

	if (!share)
		return 1;
	for (int i = 0; i < clients->count; i++)
		sum += share[clients->ranks[i]];
	return (float)(share[clients->ranks[clients->index]] * clients->count / sum);
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
	float part = own_part(round);

	stretch(round, weight, part);
	if (exchange_average(exchange, &round->clients, step, weight, round->model, err) < 0)
		return -1;
	if (exchange_is_lossy(exchange) && round->clients.count > 1)
		stretch(round, weight, part > 0 ? 1 / part : 0);
	else
		memcpy(round->model, weight, round->env.count * sizeof(*weight));
	return 0;
}

int round_tell(struct round *round, float *x, struct error *err)
{
	if (round->others.count == 1 || round->others.index < 0)
		return 0;
	return coll_broadcast(round->env.net, &round->others, 0, x, round->env.count * sizeof(*x),
			      err);
}

int round_average(struct round *round, size_t step, float *weight, struct error *err)
{
	size_t count = round->env.count;

	if (round->is_client) {
		if (average(round, step, weight, err) < 0)
			return -1;
	} else if (round->kept) {
		cpu_axpy(round->kept, -1, round->model, count);
	}
	if (round_tell(round, round->model, err) < 0)
		return -1;
	if (!round->is_client)
		memcpy(weight, round->model, count * sizeof(*weight));
	if (!round->is_client && round->kept)
		cpu_add(weight, round->kept, count);
	if (round->kept)
		memcpy(round->kept, weight, count * sizeof(*weight));
	return 0;
}

void round_report(void *state, struct drift *report)
{
	const struct round *round = state;

	if (round->ended)
		report->participants = round->clients.count;
}

size_t round_state(void *state, struct state_array *arrays)
{
	struct round *round = state;
	size_t count = 0;

	arrays[count++] = (struct state_array){ "begun", &round->begun, 1 };
	arrays[count++] = (struct state_array){ "model", round->model, round->env.count };
	if (round->kept)
		arrays[count++] = (struct state_array){ "kept", round->kept, round->env.count };
	return count;
}

void round_release(void *state)
{
	struct round *round = state;

	free(round->model);
	free(round->kept);
	free(round->drawn);
	free(round->not_drawn);
	*round = (struct round){ 0 };
}
