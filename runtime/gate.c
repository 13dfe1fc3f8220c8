/* Where a rank may be stopped, in agreement with all the others. */
#include "runtime/gate.h"

#include <errno.h>
#include <stdint.h>
#include <time.h>

#include "lib/clock.h"

void gate_init(struct gate *gate, size_t first_step)
{
	pthread_mutex_init(&gate->lock, NULL);
	clock_cond_init(&gate->changed);
	gate->next = first_step;
	gate->hold = gate->until = SIZE_MAX;
	gate->ends = false;
}

bool gate_pass(struct gate *gate, size_t step)
{
	bool pass;

	pthread_mutex_lock(&gate->lock);
	while (step >= gate->hold && step < gate->until)
		pthread_cond_wait(&gate->changed, &gate->lock);
	pass = step < gate->until;
	if (pass)
		gate->next = step + 1;
	pthread_mutex_unlock(&gate->lock);
	return pass;
}

size_t gate_hold(struct gate *gate)
{
	size_t held;

	pthread_mutex_lock(&gate->lock);
	if (gate->hold == SIZE_MAX)
		gate->hold = gate->next;
	pthread_cond_broadcast(&gate->changed);
	held = gate->hold;
	pthread_mutex_unlock(&gate->lock);
	return held;
}

static void close_at(struct gate *gate, size_t step, bool ends)
{
	pthread_mutex_lock(&gate->lock);
	gate->hold = SIZE_MAX;
	gate->until = step;
	gate->ends = ends;
	pthread_cond_broadcast(&gate->changed);
	pthread_mutex_unlock(&gate->lock);
}

void gate_until(struct gate *gate, size_t step)
{
	close_at(gate, step, false);
}

void gate_end(struct gate *gate, size_t step)
{
	close_at(gate, step, true);
}

bool gate_ends(struct gate *gate)
{
	bool ends;

	pthread_mutex_lock(&gate->lock);
	ends = gate->ends;
	pthread_mutex_unlock(&gate->lock);
	return ends;
}

bool gate_doze(struct gate *gate, double until)
{
	struct timespec at = clock_timespec(until);
	bool late = false, held;

	pthread_mutex_lock(&gate->lock);
	while (gate->hold == SIZE_MAX && gate->until == SIZE_MAX && !late)
		late = pthread_cond_timedwait(&gate->changed, &gate->lock, &at) == ETIMEDOUT;
	held = gate->hold != SIZE_MAX || gate->until != SIZE_MAX;
	pthread_mutex_unlock(&gate->lock);
	return !held;
}

bool gate_closes(struct gate *gate)
{
	bool closes;

	pthread_mutex_lock(&gate->lock);
	closes = gate->until != SIZE_MAX;
	pthread_mutex_unlock(&gate->lock);
	return closes;
}
