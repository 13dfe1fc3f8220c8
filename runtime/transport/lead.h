/* Which thread moves the bytes: one at a time, those who wait before all others. The lock is the
 * owner's. Zeroed is valid and free. */
#ifndef DSTRAIN_RUNTIME_LEAD_H
#define DSTRAIN_RUNTIME_LEAD_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

struct net_request;

struct lead {
	bool taken;
	const struct net_request *awaited; /* by the leader; NULL if it waits for nothing */
	uint64_t terms;			   /* of leaders who waited */
	uint64_t terms_seen;		   /* when lead_rest looked */
	bool resting;			   /* tell when it is free again */
};

bool lead_take(struct lead *lead, const struct net_request *awaited); /* false: it is taken */
void lead_drop(struct lead *lead, pthread_cond_t *freed);

/* Whether nobody who waits has led for as long as lead_rest took. */
bool lead_is_idle(const struct lead *lead);
/* Sleeps for quiet_s, or for as long as one and the same thread leads; or until `freed`, made by
 * clock_cond_init, is signalled. */
void lead_rest(struct lead *lead, pthread_cond_t *freed, pthread_mutex_t *lock, double quiet_s);

#endif
