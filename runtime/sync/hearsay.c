/* Compressed differences, told to neighbours and heard of them. */
#include "runtime/sync/hearsay.h"

#include <stdlib.h>
#include <string.h>

#include "lib/memory.h"
#include "runtime/device/cpu.h"

enum { ANEW = 1024 }; /* steps */

struct hearsay hearsay_new(const struct sync_env *env, struct mixing mixing, double gamma)
{
	size_t bytes = env->count * sizeof(float);

	return (struct hearsay){ .env = *env,
				 .mixing = mixing,
				 .gamma = gamma_new(gamma, env->world->count),
				 .known = xaligned(bytes),
				 .heard = xaligned(bytes),
				 .change = xaligned(bytes) };
}

void hearsay_release(struct hearsay *hearsay)
{
	mixing_release(&hearsay->mixing);
	free(hearsay->known);
	free(hearsay->heard);
	free(hearsay->change);
}

double hearsay_subtract(struct hearsay *hearsay, const float *a, const float *b)
{
	memcpy(hearsay->change, a, hearsay->env.count * sizeof(*a));
	cpu_axpy(hearsay->change, -1, b, hearsay->env.count);
	return cpu_sum_squares(hearsay->change, hearsay->env.count);
}

int hearsay_tell(struct hearsay *hearsay, size_t step, const float *x, bool first, float *mass,
		 struct error *err)
{
	const struct sync_env *env = &hearsay->env;
	float riders[] = { hearsay->gamma.state.said, mass ? *mass : 0 };
	const struct exchange_told told = { .x = hearsay->change,
					    .sum = hearsay->heard,
					    .riders = riders,
					    .rider_count = mass ? 2 : 1,
					    .exact = first || !exchange_is_lossy(env->exchange) ||
						     step % ANEW == 0 };
	double whole;

	if (told.exact) {
		memset(hearsay->known, 0, env->count * sizeof(*hearsay->known));
		memset(hearsay->heard, 0, env->count * sizeof(*hearsay->heard));
	}
	whole = hearsay_subtract(hearsay, x, hearsay->known);
	if (exchange_neighbours(env->exchange, env->world, step, &hearsay->mixing.edges, &told,
				err) < 0)
		return -1;
	cpu_add(hearsay->known, hearsay->change, env->count);
	hearsay->gamma.state.said = riders[0];
	if (mass)
		*mass = riders[1];
	if (told.exact)
		return 0;
	return gamma_begin(&hearsay->gamma, env, cpu_sum_squares(hearsay->change, env->count),
			   whole, err);
}

double hearsay_mix(struct hearsay *hearsay, float *x)
{
	double square = hearsay_subtract(hearsay, hearsay->heard, hearsay->known);

	cpu_axpy(x, hearsay->gamma.state.value, hearsay->change, hearsay->env.count);
	return square;
}

size_t hearsay_state(struct hearsay *hearsay, struct state_array *arrays)
{
	size_t count = hearsay->env.count;

	arrays[0] = (struct state_array){ "known", hearsay->known, count };
	arrays[1] = (struct state_array){ "heard", hearsay->heard, count };
	arrays[2] = gamma_array(&hearsay->gamma);
	return 3;
}
