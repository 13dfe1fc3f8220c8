/*
 * Moves the bytes of a rank's connections. Who posts a send writes at once what the socket takes;
 * who waits reads and writes (mailbox_wait calls the engine); a progress thread sees to it while
 * nobody waits.
 */
#ifndef DSTRAIN_RUNTIME_ENGINE_H
#define DSTRAIN_RUNTIME_ENGINE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct engine;
struct error;
struct mailbox;
struct net_env;
struct net_overhead;
struct pipe_end;
struct pipe_sleeper;
struct pollfd;
struct stream;

/* Both are borrowed; the mailbox, which must be a new one, gets this engine. One who waits keeps
 * looking for look_s before it sleeps. */
struct engine *engine_new(struct mailbox *box, const struct net_env *env, int streams,
			  double look_s, struct error *err);
void engine_free(struct engine *engine); /* may be NULL */

/* Takes the stream over: connection `number` to the rank. */
void engine_add(struct engine *engine, int rank, int number, const struct stream *stream);
/* Ranks of this host, which ring `bell`, an eventfd: borrowed until engine_free, as all. Then, for
 * each of them, the memory that messages go through from here on. */
void engine_share(struct engine *engine, struct pipe_sleeper *sleeper, int bell);
void engine_use_pipes(struct engine *engine, int rank, const struct pipe_end *in,
		      const struct pipe_end *out);
/* A send was posted, or given up: writes what can be written. Does not block. */
void engine_push(struct engine *engine, int rank, int number);

/*
 * For the progress thread, which polls in between: engine_watch fills polls[engine_polls()], true
 * if it must not sleep; engine_awake must follow. Then, if mailbox_lead allows it, engine_move.
 */
size_t engine_polls(const struct engine *engine);
bool engine_watch(struct engine *engine, struct pollfd *polls);
void engine_awake(struct engine *engine, const struct pollfd *polls);
void engine_move(struct engine *engine, const struct pollfd *polls);
void engine_wake(struct engine *engine); /* the progress thread, if it sleeps now or next */

/* For the leader. Whether all peers have everything that was sent; says so to each as soon as it is
 * written. */
bool engine_all_delivered(struct engine *engine);
struct net_overhead engine_overhead(struct engine *engine);

#endif
