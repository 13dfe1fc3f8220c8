/* Which build of dstrain this process is. */
#ifndef DSTRAIN_LIB_BUILD_H
#define DSTRAIN_LIB_BUILD_H

#include "lib/digest.h"

/* The linker's note (--build-id), read from memory; without one the SHA-256 of the program's file,
 * or "" if that cannot be read. */
void build_id(char hex[DIGEST_HEX]);

#endif
