/*
 * Sockets between processes of one user on one machine, as a file in a directory. How long the
 * directory's path is does not matter.
 */
#ifndef DSTRAIN_LIB_LOCAL_H
#define DSTRAIN_LIB_LOCAL_H

#include <stdbool.h>

struct error;

/* The descriptors are non-blocking and close-on-exec. A file of that name is replaced; the new one
 * is for this user alone. */
int local_listen(int *out, const char *dir, const char *name, struct error *err);
int local_connect(int *out, const char *dir, const char *name, struct error *err);
bool local_peer_is_ours(int fd); /* the process at the other end is of this user */

#endif
