/*
 * A link emulator for ranks that are threads of one process: `net` hands it every message, and it
 * hands them on to the transport when a network with such links would have delivered them. One
 * thread keeps the time for all ranks.
 */
#ifndef DSTRAIN_RUNTIME_EMULATE_H
#define DSTRAIN_RUNTIME_EMULATE_H

#include <stddef.h>

struct emulator;
struct error;
struct links;
struct net_request;
struct problems;

/*
 * How many ranks the network of a file (lib/links_file.h; rtt_path may be NULL) has room for: one
 * for each host, or its slots. Problems as links_load.
 */
int emulator_room(size_t *ranks, const char *path, const char *rtt_path, struct problems *problems,
		  struct error *err);

/* The same with the links themselves, and on which host each of `world` ranks is; caller frees
 * `host_of`. Neither is there after a failure. */
int emulator_network(struct links *links, int **host_of, int world, const char *path,
		     const char *rtt_path, struct error *err);

/* The ranks are on the file's hosts in their order. The links' changes begin now. */
struct emulator *emulator_new(const char *path, const char *rtt_path, int world, struct error *err);
void emulator_free(struct emulator *emulator); /* after all ranks left; may be NULL */
const char *emulator_host(const struct emulator *emulator, int rank);

/* Gives a message to the transport, which must have copied it when this returns. */
typedef void emulator_carry(void *arg, struct net_request *message);
void emulator_join(struct emulator *emulator, int rank, emulator_carry *carry, void *arg);

/* As the operations of a transport, for sends alone. A send is done when its bytes have left. */
void emulator_send(struct emulator *emulator, int rank, struct net_request *request);
int emulator_wait(struct emulator *emulator, int rank, struct net_request *request, double deadline,
		  struct error *err);
/* `why` is borrowed until the rank leaves. */
void emulator_abort(struct emulator *emulator, int rank, const char *why);
/* After what the rank has sent arrived, but no later than the deadline, nor after an abort. */
void emulator_leave(struct emulator *emulator, int rank, double deadline);

#endif
