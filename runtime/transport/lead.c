/* Which thread moves the bytes. */
#include "runtime/transport/lead.h"

#include <stddef.h>
#include <time.h>

#include "lib/clock.h"

bool lead_take(struct lead *lead, const struct net_request *awaited)
{
	if (lead->taken)
		return false;
	lead->taken = true;
	lead->awaited = awaited;
	if (awaited)
		lead->terms++;
	return true;
}

void lead_drop(struct lead *lead, pthread_cond_t *freed)
{
	lead->taken = false;
	lead->awaited = NULL;
	if (lead->resting)
		pthread_cond_broadcast(freed);
}

bool lead_is_idle(const struct lead *lead)
{
	return !lead->taken && lead->terms == lead->terms_seen;
}

void lead_rest(struct lead *lead, pthread_cond_t *freed, pthread_mutex_t *lock, double quiet_s)
{
	bool waits_long = lead->taken && lead->terms == lead->terms_seen;
	struct timespec until;

	if (waits_long) { /* no need to look again and again */
		lead->resting = true;
		pthread_cond_wait(freed, lock);
		lead->resting = false;
		lead->terms_seen = lead->terms - 1; /* not idle yet: more waiting may follow */
		return;
	}
	lead->terms_seen = lead->terms;
	until = clock_timespec(clock_now() + quiet_s);
	pthread_cond_timedwait(freed, lock, &until);
}
