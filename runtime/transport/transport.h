/*
 * How messages travel between ranks: the interface of a transport, and `net`, the thin call-through
 * that the rest of the runtime uses. `net` counts bytes, checks the contract, emulates links where
 * it is told to, and injects faults under test.
 *
 * A message has a tag. A receive is posted with the peer and the tag; messages of one peer with
 * equal tags arrive in the order in which they were posted. A message that nobody has posted a
 * receive for yet is kept until one is (copied: post early to avoid it). Tags from
 * NET_TAG_UNSOLICITED on never match a receive: they go to the handler of net_serve.
 */
#ifndef DSTRAIN_RUNTIME_TRANSPORT_H
#define DSTRAIN_RUNTIME_TRANSPORT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/registry.h"

struct emulator;
struct error;
struct net;

#define NET_TAG_UNSOLICITED (UINT64_C(1) << 63)

/*
 * A transport may have several connections to a peer, because some networks limit each of them. A
 * tag made by NET_TAG_STREAM goes through the one of that number, modulo net_streams; all others
 * through number 0. The number is part of the tag: sender and receiver give the same one.
 */
enum { NET_STREAMS_MAX = 16 };
#define NET_TAG_STREAM(tag, stream) ((tag) | (uint64_t)(stream) << 56)
#define NET_STREAM(tag)		    ((int)((tag) >> 56 & (NET_STREAMS_MAX - 1)))

#define NET_LENGTH_MAX (UINT64_C(1) << 34) /* bytes of one message */

enum { NET_KEY_BYTES = 32 };

/* One rank as its peers see it. */
struct net_peer {
	const char *host;    /* for messages: "node3" */
	const char *address; /* numeric; "" for transports without one */
	uint16_t port;
};

/* Called on the progress thread; must not block, post and wait there, or keep `bytes`. */
typedef void net_handler(void *arg, int peer, uint64_t tag, const void *bytes, size_t length);

/* All borrowed until net_close. */
struct net_env {
	int rank, world;
	uint64_t job;  /* run id: peers of another run are refused */
	uint32_t view; /* membership number, in every message; others are dropped */
	unsigned char key[NET_KEY_BYTES]; /* the run's random key; wiped once the net is open */
	int listener; /* listening socket from transport->listen; -1 if it has none; net owns it */
	const struct net_peer *peers; /* [world] */
	void *hub;	  /* what the ranks of one process share (inproc); NULL elsewhere */
	double timeout_s; /* bound of every wait, and of connecting */
};

/*
 * A posted send or receive. The caller owns it and the buffer, and leaves both alone until
 * net_wait returned. All fields belong to the transport.
 */
struct net_request {
	struct net_request *next;
	void *bytes;   /* borrowed; never written by a send */
	size_t length; /* once a receive is done, what came */
	uint64_t tag;
	int peer;
	bool receive;
	bool up_to;    /* a receive of a message that may be shorter than `length` */
	bool detached; /* a send that nobody waits for: heap memory, freed by the transport */
	bool done;
	const char *problem; /* NULL, or why it failed: a text that lives as long as the net */
};

/*
 * Memory that the ranks of one host have in common, NET_PLACE_BYTES for each of them. Zeroed at
 * first, mapped somewhere else by each rank; pages that nobody touches cost nothing.
 */
struct net_shared {
	unsigned char *bytes; /* [count * NET_PLACE_BYTES], aligned to pages */
	int count;
	const int *places; /* [world]: each rank's number among those of this host, or -1 */
};

#define NET_PLACE_BYTES ((size_t)4 << 20)

/* Bytes put on the wire so far, beside what the messages hold. */
struct net_overhead {
	uint64_t header;  /* frames around messages, and what encryption adds */
	uint64_t control; /* connecting, authenticating, finding the ranks of this host */
};

/*
 * A transport. Calls come from any thread unless said otherwise. On failure a call fills `err`
 * with what the user should read, naming the peer's rank and host.
 */
struct transport {
	struct entry entry;
	size_t state_size; /* the framework allocates it zeroed, and frees it after close */
	bool threads;	   /* ranks are threads of one process, and share a hub */

	/*
	 * Optional: opens the listening socket for a rank before its peers are known. `address` is
	 * numeric; *port is 0 or the wanted one, and what was got. Blocks not.
	 */
	int (*listen)(const void *params, const char *address, uint16_t *port, int *listener,
		      struct error *err);
	/* Connects to all peers, authenticates; blocks up to env->timeout_s. */
	int (*open)(void *state, const void *params, const struct net_env *env,
		    net_handler *deliver, void *arg, struct error *err);
	/* Starts a message; both never block on the network. */
	void (*post_send)(void *state, struct net_request *request);
	void (*post_recv)(void *state, struct net_request *request);
	/* Until done, the deadline (clock_now) or abort. A request that failed to finish is no
	 * longer posted. */
	int (*wait)(void *state, struct net_request *request, double deadline, struct error *err);
	/* Every wait, now and later, fails with `why`. Async-safe against all other calls. */
	void (*abort)(void *state, const char *why);
	/* Sends what is posted (up to a second), ends threads, closes sockets. Also after a failed
	 * open and after abort. */
	void (*close)(void *state);
	/* Optional. */
	struct net_overhead (*overhead)(void *state);
	/* Optional: how many connections lead to `peer`; the same answer from open to close. */
	int (*streams)(void *state, int peer);
	/* Optional, both or neither. What this rank shares with others of its host, or NULL; the
	 * same answer from open to close. */
	const struct net_shared *(*shared)(void *state);
	/* -1 with the reason once `peer` is lost, and after abort. Cheap. */
	int (*check)(void *state, int peer, struct error *err);
};

extern const struct registry transports;

/*
 * What was carried, since net_open. Payload is what posted messages hold, and what shared memory
 * carries; what all ranks send of it they receive, too; and what is given, which counts as sent
 * alone. Control is what other unsolicited messages hold, and what connecting took. Headers are
 * everything else on the wire.
 */
struct net_bytes {
	uint64_t payload_sent, payload_received, header_sent, control_sent;
};

struct net *net_open(const struct part *transport, const struct net_env *env, struct error *err);
int net_rank(const struct net *net);
int net_world(const struct net *net);
const char *net_host(const struct net *net, int rank);
int net_streams(const struct net *net, int peer); /* 1 .. NET_STREAMS_MAX, the same for both */
double net_timeout(const struct net *net);	  /* seconds that a wait may take */

/* `request` is filled here; a zero-length message is allowed (bytes may then be NULL). */
void net_post_send(struct net *net, int peer, uint64_t tag, const void *bytes, size_t length,
		   struct net_request *request);
/* The message must have exactly `length` bytes, or the wait fails. */
void net_post_recv(struct net *net, int peer, uint64_t tag, void *bytes, size_t length,
		   struct net_request *request);
/* The message may be of any length up to `most`; net_received tells of which, after the wait. */
void net_post_recv_up_to(struct net *net, int peer, uint64_t tag, void *bytes, size_t most,
			 struct net_request *request);
size_t net_received(const struct net_request *request);
/* Blocks, within net_env.timeout_s. */
int net_wait(struct net *net, struct net_request *request, struct error *err);
/* Waits for all, also when one fails (abort makes that quick); the first error counts. */
int net_wait_all(struct net *net, struct net_request *requests, size_t count, struct error *err);

/* Unsolicited messages: fire and forget on the sender's side (copied before it returns). */
int net_tell(struct net *net, int peer, uint64_t tag, const void *bytes, size_t length,
	     struct error *err);
/* The same for what counts as payload: weights and gradients. */
int net_give(struct net *net, int peer, uint64_t tag, const void *bytes, size_t length,
	     struct error *err);
/* Set before the first message can come; NULL drops them. Afterwards the handler that was set
 * before runs no more. Not to be called by a handler. */
void net_serve(struct net *net, net_handler *handler, void *arg);

/*
 * Shared memory, for collectives: NULL if this rank has it in common with nobody. Before it carries
 * something, net_shared_use counts the payload (what several ranks will read, once for each of
 * them, as if it were messages), and fails where a fault is injected. Who waits there asks
 * net_check now and then about those whom it waits for.
 */
const struct net_shared *net_shared(const struct net *net);
int net_shared_use(struct net *net, size_t sent, size_t received, struct error *err);
int net_check(struct net *net, int peer, struct error *err);
int net_check_all(struct net *net, struct error *err); /* about every peer */

void net_abort(struct net *net, const char *why); /* `why` is copied; the first one counts */
struct net_bytes net_bytes(const struct net *net);
uint64_t net_payload_sent(const struct net *net); /* of net_bytes, at no cost */
void net_close(struct net *net);		  /* may be NULL */

/* A hub for `world` ranks as threads of this process; for transports with .threads. */
void *net_hub_new(int world);
void net_hub_free(void *hub); /* after every net on it was closed */
/* Before any net on it is opened: links between the ranks are emulated, and they share no memory.
 * Borrowed until net_hub_free. */
void net_hub_emulate(void *hub, struct emulator *emulator);
struct emulator *net_hub_emulator(const void *hub); /* NULL: none */

/* Under test: each message is held back by delay_s; the message number `fail_after` (from 1) and
 * all later ones fail. 0: never. */
struct net_fault {
	double delay_s;
	uint64_t fail_after;
};
void net_inject(struct net *net, struct net_fault fault);

#endif
