/* Between ssh_channel.c and ssh_pump.c: one command or tunnel, with local ends for its streams. */
#ifndef DSTRAIN_LIB_SSH_CHANNEL_H
#define DSTRAIN_LIB_SSH_CHANNEL_H

#include <pthread.h>
#include <stdbool.h>

#include "lib/buf.h"
#include "lib/process.h"

struct _LIBSSH2_CHANNEL;
struct ssh;

enum channel_kind {
	CHANNEL_COMMAND,
	CHANNEL_TUNNEL,
	CHANNEL_IDLE, /* runs nothing: libssh2 answers the server only through a channel */
};

enum channel_state {
	CHANNEL_OPENING,
	CHANNEL_STARTING,
	CHANNEL_RUNNING,
	CHANNEL_CLOSING,
	CHANNEL_ENDED,
};

/* One direction: our end of a local socket, and bytes that the other side did not take yet. */
struct stream {
	int fd; /* -1: nobody wants it any more */
	struct buf pending;
	bool ended;
};

struct channel {
	struct channel *next; /* the pump's; under the session's lock while it arrives */
	enum channel_kind kind;
	char *target; /* what to execute, or the address to dial */
	int port;
	struct ssh *ssh;

	/* The pump's alone. */
	struct _LIBSSH2_CHANNEL *remote;
	enum channel_state state;
	struct stream in, out, err;
	bool end_sent;
	bool cut; /* closed before it ended by itself */

	int wake; /* the pump's eventfd, a duplicate */
	pthread_mutex_t lock;
	pthread_cond_t changed;
	/* All under lock: */
	int owners; /* the pump, and who started it */
	bool no_input, unwanted;
	bool started, ended, refused;
	struct process_status status; /* once ended */
};

/* One round of whatever can be done now; -1: the connection is lost. */
int channel_step(struct channel *channel);
void channel_end(struct channel *channel, const struct process_status *status);
void channel_drop(struct channel *channel); /* by one of its owners */

#endif
