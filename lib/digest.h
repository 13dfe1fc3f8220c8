/* SHA-256 and random bytes (OpenSSL). */
#ifndef DSTRAIN_LIB_DIGEST_H
#define DSTRAIN_LIB_DIGEST_H

#include <stddef.h>

struct error;

enum { DIGEST_HEX = 65 }; /* 64 hex digits and a NUL */

void digest_bytes(char hex[DIGEST_HEX], const void *bytes, size_t length);
int digest_file(char hex[DIGEST_HEX], const char *path, struct error *err);
int random_bytes(void *out, size_t length, struct error *err); /* for keys */

#endif
