/* One action on many hosts, a bounded number at a time. */
#ifndef DSTRAIN_LIB_FANOUT_H
#define DSTRAIN_LIB_FANOUT_H

#include <stddef.h>

struct error;

/* Acts on item i; called on threads, so it must not print. */
typedef int fanout_action(void *arg, size_t i, struct error *err);

/*
 * Runs action for 0 .. count-1, at most `width` at once, and waits for all. errors[i] (caller's
 * array) is filled where status[i] is -1; others are untouched. Returns how many failed. Between
 * actions *stop (may be NULL) ends the handing out of further items; those get "interrupted".
 */
size_t fanout(size_t count, size_t width, fanout_action *action, void *arg, int *status,
	      struct error *errors, const volatile int *stop);

#endif
