/* A Unix socket in a directory that only the user can enter, to pass descriptors to processes of
 * the same user. Nothing is left behind. */
#ifndef DSTRAIN_RUNTIME_DOOR_H
#define DSTRAIN_RUNTIME_DOOR_H

#include <stddef.h>
#include <stdint.h>

struct error;

enum { DOOR_PATH = 108, DOOR_FDS = 200 }; /* the most that one message can pass: less than 253 */

struct door {
	int fd;
	char path[DOOR_PATH];
};

/* In $XDG_RUNTIME_DIR/dstrain or /tmp/dstrain-UID, under a name of these three. */
int door_open(struct door *door, uint64_t job, uint32_t view, int rank, struct error *err);
/* The next who has knocked: a descriptor, or -1: nobody any more. Other users are turned away. */
int door_admit(struct door *door);
void door_close(struct door *door); /* also the socket file, and the directory if it is empty */

/* Connects to another process's door; does not block. A descriptor, or -1. */
int door_knock(const char *path, struct error *err);

/* A message with descriptors. Both keep theirs; taken ones are closed on exec. */
int door_pass(int fd, const void *bytes, size_t length, const int *fds, int count,
	      struct error *err);
/* Exactly these many bytes and descriptors, within timeout_s; 0: it must be there. */
int door_take(int fd, void *bytes, size_t length, int *fds, int count, double timeout_s,
	      struct error *err);

#endif
