/* The collectives that a bench measures: how each is run, and what it has to yield. */
#ifndef DSTRAIN_RUNTIME_BENCH_KIND_H
#define DSTRAIN_RUNTIME_BENCH_KIND_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "runtime/coll.h"

struct error;
struct net;

/* What one rank works on. Borrowed. */
struct bench_vectors {
	float *x;     /* [count] */
	float *other; /* [count] for kinds that are .apart */
	size_t count;
};

struct bench_kind {
	const char *name, *redop;
	bool sliced;   /* each rank has or gets its slice of the vector, all alike */
	bool apart;    /* what arrives goes to `other` */
	double passes; /* how often all but one n-th goes over a link; 0: the whole goes once */
	int (*run)(struct net *net, const struct group *group, enum coll_algorithm algorithm,
		   const struct bench_vectors *v, struct error *err);
	/* What this rank gives. Whatever has to arrive is set to what must not be there later. */
	void (*fill)(const struct bench_vectors *v, const struct group *group);
	/* After fill and run: how many elements are not what they must be. */
	uint64_t (*wrong)(const struct bench_vectors *v, const struct group *group);
};

extern const char *const bench_kind_names[]; /* NULL-terminated */

const struct bench_kind *bench_kind_find(const char *name); /* NULL: there is none */
/* Floats of a vector of so many bytes: slices are multiples of 16 bytes. 0: too few bytes. */
size_t bench_kind_count(const struct bench_kind *kind, uint64_t bytes, uint32_t world);
/* From bytes per second to what a link of the ring has to carry: algbw to busbw. */
double bench_kind_bus(const struct bench_kind *kind, uint32_t world);

#endif
