/*
 * A byte pipe in memory that two ranks of a host share: one writes, the other one reads. Nobody
 * waits here. Whoever is about to sleep says so in the memory first, and only then does the other
 * side ring: it writes to an eventfd.
 */
#ifndef DSTRAIN_RUNTIME_PIPE_H
#define DSTRAIN_RUNTIME_PIPE_H

#include <stdalign.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct error;
struct iovec;

enum { PIPE_BYTES = 256 << 10, PIPE_LINE = 64 };

/* The parts that are in shared memory. Zeroed is valid: an empty pipe, a rank that is awake. */
struct pipe_memory {
	alignas(PIPE_LINE) _Atomic uint64_t written; /* bytes so far; the writer's */
	alignas(PIPE_LINE) _Atomic uint64_t read;    /* the reader's */
	_Atomic uint32_t full;			     /* the writer waits for room */
	alignas(PIPE_LINE) unsigned char bytes[PIPE_BYTES];
};

/* The threads of a rank that may sleep. */
enum pipe_thread { PIPE_LEADER, PIPE_PROGRESS, PIPE_THREADS };

struct pipe_sleeper {
	alignas(PIPE_LINE) _Atomic uint32_t asleep[PIPE_THREADS]; /* or about to be */
	_Atomic uint32_t rung; /* since when nobody needs to do it again */
};

/* One end, of one thread at a time. Zeroed: no pipe. */
struct pipe_end {
	struct pipe_memory *memory; /* borrowed, as all */
	struct pipe_sleeper *other; /* who is at the other end */
	int bell;		    /* the other one's eventfd */
	uint64_t at;		    /* bytes through this end: not read back from the memory */
	uint64_t seen;		    /* bytes through the other end, when last looked */
	uint64_t shown;		    /* a writer's, that the other side can see */
};

/* As sock_read and sock_write. -1: the memory says what cannot be. */
long pipe_read(struct pipe_end *end, void *bytes, size_t length, struct error *err);
long pipe_write(struct pipe_end *end, const struct iovec *parts, int count, struct error *err);

/*
 * A thread that is going to sleep until the rank's eventfd is readable calls pipe_sleeps and then
 * looks at every pipe: it must not sleep if one of them has something to do. pipe_awake follows.
 * Who is going to move bytes and finds the eventfd readable calls pipe_answer before.
 */
void pipe_sleeps(struct pipe_sleeper *self, enum pipe_thread thread);
void pipe_awake(struct pipe_sleeper *self, enum pipe_thread thread);
void pipe_answer(struct pipe_sleeper *self, int bell);
bool pipe_has_input(const struct pipe_end *end);
bool pipe_has_room(struct pipe_end *end); /* worth writing to; if not, the rank will be rung */

#endif
