/* Between the ssh*.c files: one connection, and what moves bytes through it. Only these include
 * <libssh2.h>. */
#ifndef DSTRAIN_LIB_SSH_SESSION_H
#define DSTRAIN_LIB_SSH_SESSION_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>

#include "lib/buf.h"
#include "lib/hosts.h"

struct _LIBSSH2_SESSION;
struct ssh_channel;
struct error;
struct pollfd;
struct process;

/* What ends a wait. */
struct ssh_wait {
	double deadline;
	const volatile int *stop; /* may be NULL */
};

#define SSH_GLANCE_S 0.2 /* between looks at `stop` */

static inline bool ssh_is_stopped(struct ssh_wait until)
{
	return until.stop && *until.stop;
}

struct ssh {
	const struct host *host;
	int fd;				  /* to the server, or to the jump session's pump */
	struct ssh_wait until;		  /* while connecting; its `stop` also later */
	struct _LIBSSH2_SESSION *session; /* the pump's alone once it runs */
	struct ssh *jump;		  /* the session that carries this one, or NULL */
	struct host jump_host;
	/* What libssh2 wants to send: it may only be asked for the next packet when the last one is
	 * gone, whichever channel it was for, so each is taken whole and waits here. */
	struct buf outgoing;
	char lost[128]; /* why the connection is unusable; "" while it is not */

	/* The pump; see ssh_pump.c. */
	bool pumping; /* its thread exists */
	pthread_t thread;
	int wake; /* eventfd */
	struct ssh_channel *channels;
	struct pollfd *polls;
	size_t poll_room;
	bool progress, waits; /* in this round bytes moved; libssh2 waits for the server */

	pthread_mutex_t lock;
	struct ssh_channel *arrivals; /* under lock: channels for the pump to take over */
	bool closing;		      /* under lock */
	bool stopped;		      /* under lock: the pump takes no more channels */
	struct ssh *sibling;	      /* under lock: when the server opens no more channels here */
};

/* A non-blocking TCP connection, resolved and made before the deadline. */
int ssh_dial(const struct host *host, struct ssh_wait until, struct error *err);

/* Before the handshake: ask for the kinds of key that are known for the host. */
void ssh_prefer_known_keys(struct ssh *ssh);
int ssh_check_host_key(struct ssh *ssh, struct error *err);
char *ssh_base64(const void *bytes, size_t length); /* caller frees */

int ssh_log_in(struct ssh *ssh, struct error *err);

/* While connecting: waits until a libssh2 call that said EAGAIN is worth another try. */
int ssh_settle(struct ssh *ssh, const char *what, struct error *err);
void ssh_flush(struct ssh *ssh);	 /* sends what the socket takes */
const char *ssh_reason(struct ssh *ssh); /* of the last libssh2 failure */

int ssh_pump_start(struct ssh *ssh, struct error *err);
void ssh_pump_stop(struct ssh *ssh);
/* ssh_start with a wait of its own for the server to start the command. */
int ssh_start_by(struct ssh *ssh, const char *command, struct ssh_wait until, struct process *out,
		 struct error *err);
/* A connection to an address seen from the server; *fd is the local end. */
int ssh_tunnel(struct ssh *ssh, const struct host *to, struct ssh_wait until, int *fd,
	       struct error *err);
/* Polls one descriptor until then: 1 ready, 0 not. */
int ssh_await(struct pollfd *one, struct ssh_wait until);

#endif
