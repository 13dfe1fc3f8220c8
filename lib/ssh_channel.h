/* Between ssh_channel.c and ssh_pump.c: one command or tunnel, with local ends for its streams. */
#ifndef DSTRAIN_LIB_SSH_CHANNEL_H
#define DSTRAIN_LIB_SSH_CHANNEL_H

#include <pthread.h>
#include <stdbool.h>

#include "lib/buf.h"
#include "lib/process.h"

struct _LIBSSH2_CHANNEL;
struct ssh;

enum ssh_channel_kind {
	SSH_CHANNEL_COMMAND,
	SSH_CHANNEL_TUNNEL,
	SSH_CHANNEL_IDLE, /* runs nothing: libssh2 answers the server only through a channel */
};

enum ssh_channel_state {
	SSH_CHANNEL_OPENING,
	SSH_CHANNEL_STARTING,
	SSH_CHANNEL_RUNNING,
	SSH_CHANNEL_CLOSING,
	SSH_CHANNEL_ENDED,
};

/* One direction: our end of a local socket, and bytes that the other side did not take yet. */
struct ssh_stream {
	int fd; /* -1: nobody wants it any more */
	struct buf pending;
	bool ended;
};

struct ssh_channel {
	struct ssh_channel *next; /* the pump's; under the session's lock while it arrives */
	enum ssh_channel_kind kind;
	char *target; /* what to execute, or the address to dial */
	int port;
	struct ssh *ssh;

	/* The pump's alone. */
	struct _LIBSSH2_CHANNEL *remote;
	enum ssh_channel_state state;
	struct ssh_stream in, out, err;
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
int ssh_channel_step(struct ssh_channel *channel);
void ssh_channel_end(struct ssh_channel *channel, const struct process_status *status);
void ssh_channel_drop(struct ssh_channel *channel); /* by one of its owners */

#endif
