/*
 * The threads of one rank. Work is cut into chunks that do not depend on how many threads there
 * are, so that every sum has one order and no number of threads changes a result.
 */
#ifndef DSTRAIN_RUNTIME_TEAM_H
#define DSTRAIN_RUNTIME_TEAM_H

#include <stddef.h>

struct team;

/* Threads for one of the `ranks` that share this machine: `wanted`, or where that is 0 its share of
 * the processors, at least 1. */
size_t team_size(size_t wanted, size_t ranks);

/* The caller of team_run is member 0; threads - 1 others wait for work. */
struct team *team_new(size_t threads);
size_t team_threads(const struct team *team); /* NULL: 1 */

/*
 * Calls work(arg, chunk, member) once for every chunk in [0, chunks), each on some member, and
 * returns when all are done. Members run at the same time; one member's chunks follow each other.
 * `team` may be NULL: the caller does all. Not from within work. One caller at a time.
 */
typedef void team_work(void *arg, size_t chunk, size_t member);
void team_run(struct team *team, size_t chunks, team_work *work, void *arg);

/* Memory of one member's own, 64-byte aligned, at least what team_reserve last asked for. What is
 * in it does not outlive a team_run. `team` is not NULL. */
void team_reserve(struct team *team, size_t bytes);
void *team_workspace(struct team *team, size_t member);

void team_free(struct team *team); /* may be NULL */

#endif
