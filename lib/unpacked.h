/*
 * What is in a large gzipped file, as memory that all processes of this machine share: a copy in
 * the user's cache (${XDG_CACHE_HOME:-~/.cache}/dstrain/data), mapped for reading. `dstrain clean`
 * removes the copies; they are few, of bounded size, and not used after the system was restarted,
 * so that no write has to be waited for.
 */
#ifndef DSTRAIN_LIB_UNPACKED_H
#define DSTRAIN_LIB_UNPACKED_H

#include <stdbool.h>
#include <stddef.h>

struct unpacked {
	void *bytes; /* NULL: nothing is mapped; not to be written; the caller's, to munmap */
	size_t length;
};

/*
 * Maps the copy; the first of several processes makes it, the others wait some seconds. False where
 * there is to be none or can be none (a small file, one that is not packed or is damaged, no room,
 * no such directory): read the file itself then, and hear what is wrong with it.
 */
bool unpacked_map(struct unpacked *out, const char *path);

#endif
