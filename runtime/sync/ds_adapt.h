/*
 * Groups that follow the network: every rank measures its averages and tells rank 0, which watches
 * the links and has all ranks change to other groups where these are faster. Calls of one rank come
 * from one thread at a time, but for ds_adapt_serve.
 */
#ifndef DSTRAIN_RUNTIME_DS_ADAPT_H
#define DSTRAIN_RUNTIME_DS_ADAPT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct ds_adapt;
struct error;
struct schedule;
struct state_array;
struct sync_env;

struct ds_adapt_params {
	size_t every; /* steps from one report to the next */
	double bytes; /* that are averaged */
	bool overlap; /* while the step computes */
};

/* `env`, with a plan and links, is borrowed. */
struct ds_adapt *ds_adapt_new(const struct sync_env *env, const struct ds_adapt_params *params);
void ds_adapt_free(struct ds_adapt *adapt); /* may be NULL */

/* Before the group of a step is formed: *schedule may be replaced. All ranks call it at the same
 * steps, in rising order; the first call is a collective. */
int ds_adapt_step(struct ds_adapt *adapt, uint64_t step, struct schedule *schedule,
		  struct error *err);
/* After it: what the average took; 0: there was none. */
int ds_adapt_took(struct ds_adapt *adapt, uint64_t step, double seconds, struct error *err);
void ds_adapt_serve(struct ds_adapt *adapt, int peer, uint64_t tag, const void *bytes,
		    size_t length);
/* As the op of a strategy; `schedule` is the one in force. */
size_t ds_adapt_state(struct ds_adapt *adapt, const struct schedule *schedule,
		      struct state_array *arrays);

#endif
