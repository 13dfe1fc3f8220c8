/* Tells the workers that we live, and hears that they do, also while the main thread waits for a
 * disk or a host. */
#include "lib/pulse.h"

#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "lib/channel.h"
#include "lib/clock.h"
#include "lib/error.h"
#include "lib/memory.h"

#define HEAR_S 0.05 /* between two looks at what workers say */

struct pulse {
	struct channel *channels;
	const size_t *count;
	pthread_t thread;
	pthread_mutex_t lock; /* of the channels and what follows; the owner's unless it is away */
	pthread_cond_t over;
	double beat; /* when the last one was due */
	bool ending;
};

double pulse_beat(struct pulse *pulse)
{
	double now = clock_now();

	if (now < pulse->beat + CONTROL_BEAT_S)
		return pulse->beat + CONTROL_BEAT_S;
	pulse->beat = now;
	for (size_t i = 0; i < *pulse->count; i++)
		if (pulse->channels[i].out.length == 0 && !pulse->channels[i].ended)
			control_put(&pulse->channels[i].out, CONTROL_BEAT, 0, NULL, 0);
	return now + CONTROL_BEAT_S;
}

/* Gets the lock only while the owner is away. */
static void *stand_in(void *arg)
{
	struct pulse *pulse = arg;

	pthread_mutex_lock(&pulse->lock);
	while (!pulse->ending) {
		struct timespec until;

		pulse_beat(pulse);
		for (size_t i = 0; i < *pulse->count; i++) {
			channel_push(&pulse->channels[i]);
			channel_hear(&pulse->channels[i]);
		}
		until = clock_timespec(clock_now() + HEAR_S);
		pthread_cond_timedwait(&pulse->over, &pulse->lock, &until);
	}
	pthread_mutex_unlock(&pulse->lock);
	return NULL;
}

struct pulse *pulse_new(struct channel *channels, const size_t *count, struct error *err)
{
	struct pulse *pulse = xcalloc(1, sizeof(*pulse));
	sigset_t all, before;
	int problem;

	pulse->channels = channels;
	pulse->count = count;
	pthread_mutex_init(&pulse->lock, NULL);
	clock_cond_init(&pulse->over);
	pthread_mutex_lock(&pulse->lock);
	sigfillset(&all); /* signals are for the main thread */
	pthread_sigmask(SIG_SETMASK, &all, &before);
	problem = pthread_create(&pulse->thread, NULL, stand_in, pulse);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	if (problem == 0)
		return pulse;
	error_set(err, "cannot start a thread: %s", strerror(problem));
	pthread_mutex_unlock(&pulse->lock);
	free(pulse);
	return NULL;
}

void pulse_away(struct pulse *pulse)
{
	pthread_mutex_unlock(&pulse->lock);
}

void pulse_back(struct pulse *pulse)
{
	pthread_mutex_lock(&pulse->lock);
}

void pulse_free(struct pulse *pulse)
{
	if (!pulse)
		return;
	pulse->ending = true;
	pthread_cond_signal(&pulse->over);
	pthread_mutex_unlock(&pulse->lock);
	pthread_join(pulse->thread, NULL);
	pthread_cond_destroy(&pulse->over);
	pthread_mutex_destroy(&pulse->lock);
	free(pulse);
}
