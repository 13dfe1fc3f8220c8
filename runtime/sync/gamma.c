/* How far a step goes towards the mix of what neighbours made known. */
#include "runtime/sync/gamma.h"

#include <math.h>
#include <stdbool.h>

#include "runtime/sync/sync.h"

enum { LEAST_WINDOW = 8 };

/* Mixing undoes what steps drive apart, and so moves about as far as they do; where there are no
 * steps, less and less. Where it moves farther, and farther than before, it answers to its own
 * echo.
 */
#define FARTHER 4.0f /* than steps, in squares */
#define LEAST	0x1p-10f

struct gamma gamma_new(double given, int world)
{
	return (struct gamma){
		.window = given > 0		 ? 0
			  : world > LEAST_WINDOW ? (size_t)world
						 : LEAST_WINDOW,
		.state = { .value = given > 0 ? (float)given : 1 },
	};
}

/* What is stable grows with the part of a message's square that is told. */
int gamma_begin(struct gamma *gamma, const struct sync_env *env, double told, double whole,
		struct error *err)
{
	float part = whole > 0 ? (float)(told / whole) : 1;

	if (gamma->window == 0 || gamma->state.begun > 0)
		return 0;
	if (coll_allreduce(env->net, env->world, COLL_AUTO, &part, 1, err) < 0)
		return -1;
	gamma->state.begun = 1;
	gamma->state.value = fmaxf(fminf(part / (float)env->world->count, 1), LEAST);
	return 0;
}

void gamma_step(struct gamma *gamma, size_t step, double mixed, double stepped)
{
	struct gamma_state *state = &gamma->state;
	bool too_large;

	state->said = state->said > 0;
	if (gamma->window == 0)
		return;
	state->mixed += (float)mixed;
	state->stepped += (float)stepped;
	if ((step + 1) % gamma->window != 0)
		return;
	too_large = state->mixed > FARTHER * state->stepped && state->mixed > state->before &&
		    state->before > 0;
	if (state->said > 0 && state->value > LEAST) {
		state->value /= 2;
		too_large = false; /* which was of the larger one */
	}
	state->said = too_large;
	state->before = state->mixed;
	state->mixed = state->stepped = 0;
}

struct state_array gamma_array(struct gamma *gamma)
{
	return (struct state_array){ "gamma", (float *)(void *)&gamma->state,
				     sizeof(gamma->state) / sizeof(float) };
}
