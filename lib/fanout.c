/* One action on many hosts, a bounded number at a time. */
#include "lib/fanout.h"

#include <pthread.h>
#include <signal.h>
#include <stdlib.h>

#include "lib/error.h"
#include "lib/memory.h"

struct fan {
	fanout_action *action;
	void *arg;
	int *status; /* each item's own thread writes it */
	struct error *errors;
	const volatile int *stop;
	size_t count;
	pthread_mutex_t lock;
	size_t next;   /* under lock */
	size_t failed; /* under lock */
};

static void act(struct fan *fan, size_t i)
{
	struct error err = { "" };

	if (fan->stop && *fan->stop)
		fan->status[i] = error_set(&err, "interrupted");
	else
		fan->status[i] = fan->action(fan->arg, i, &err);
	if (fan->status[i] == 0)
		return;
	fan->errors[i] = err;
	pthread_mutex_lock(&fan->lock);
	fan->failed++;
	pthread_mutex_unlock(&fan->lock);
}

static void *take_items(void *arg)
{
	struct fan *fan = arg;

	for (;;) {
		size_t i;

		pthread_mutex_lock(&fan->lock);
		i = fan->next++;
		pthread_mutex_unlock(&fan->lock);
		if (i >= fan->count)
			return NULL;
		act(fan, i);
	}
}

size_t fanout(size_t count, size_t width, fanout_action *action, void *arg, int *status,
	      struct error *errors, const volatile int *stop)
{
	struct fan fan = { .action = action,
			   .arg = arg,
			   .status = status,
			   .errors = errors,
			   .stop = stop,
			   .count = count };
	size_t wanted = width < count ? width : count, started = 0;
	pthread_t *threads = xcalloc(wanted, sizeof(*threads));
	sigset_t all, before;

	pthread_mutex_init(&fan.lock, NULL);
	/* Signals are for the thread that waits here. */
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	while (started < wanted && pthread_create(&threads[started], NULL, take_items, &fan) == 0)
		started++;
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	if (started == 0)
		take_items(&fan);
	for (size_t i = 0; i < started; i++)
		pthread_join(threads[i], NULL);
	pthread_mutex_destroy(&fan.lock);
	free(threads);
	return fan.failed;
}
