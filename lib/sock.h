/* Stream sockets between numeric addresses. All are non-blocking, closed on exec, and never raise
 * SIGPIPE. */
#ifndef DSTRAIN_LIB_SOCK_H
#define DSTRAIN_LIB_SOCK_H

#include <stddef.h>
#include <stdint.h>

struct error;
struct iovec;

enum { SOCK_NAME = 64 }; /* "192.168.1.2:4000", "[fe80::1%eth0]:4000" */

/* *port 0 means any; it becomes the one that was got. */
int sock_listen(int *out, const char *address, uint16_t *port, struct error *err);
int sock_accept(int listener); /* a descriptor, or -1 with errno: EAGAIN if nobody knocks */

/* Begins to connect. When the socket is writable, sock_connected tells how it went. */
int sock_dial(int *out, const char *address, uint16_t port, struct error *err);
int sock_connected(int fd, struct error *err);
/* The same in one go, blocking until the deadline (clock_now). */
int sock_connect(int *out, const char *address, uint16_t port, double deadline, struct error *err);

/* How many bytes went through; 0: none just now; -1: the connection is lost, err says why. */
long sock_read(int fd, void *bytes, size_t length, struct error *err);
long sock_write(int fd, const struct iovec *parts, int count, struct error *err);
size_t sock_unsent(int fd); /* bytes that the peer has not acknowledged */
void sock_end(int fd);	    /* no more writing; the peer reads the end after what was written */

/* "ADDRESS:PORT", or "?" where there is none. Returns `out`. */
char *sock_peer_name(char out[SOCK_NAME], int fd);

#endif
