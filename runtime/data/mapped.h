/* The content of a file as memory. All processes of a machine share it where it can be mapped. */
#ifndef DSTRAIN_RUNTIME_MAPPED_H
#define DSTRAIN_RUNTIME_MAPPED_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct error;

/* A mapped file must not be cut while it is in use: whoever reads what is gone is killed. */
struct mapped {
	const uint8_t *bytes;
	size_t length;
	bool shared; /* mapped; else memory of this process alone */
};

/* Regular files only. What is gzipped is unpacked: into the cache if it is large (lib/unpacked.h).
 */
int mapped_open(struct mapped *out, const char *path, struct error *err);
/* Takes memory that was allocated as if it were a file. */
struct mapped mapped_own(void *bytes, size_t length);
/* What was touched so far counts as memory of this process no longer, until it is touched again. */
void mapped_forget(const struct mapped *file);
void mapped_release(struct mapped *file); /* zeroed is fine */

#endif
