/* Characters of UTF-8 and their numbers. */
#ifndef DSTRAIN_LIB_UTF8_H
#define DSTRAIN_LIB_UTF8_H

#include <stddef.h>
#include <stdint.h>

enum { UTF8_MOST = 0x10ffff }; /* the largest number of a character */

/* How long the character at `text` is, of which at most `length` bytes are there, and its number;
 * 0: it is none. */
size_t utf8_next(const unsigned char *text, size_t length, uint32_t *code);
size_t utf8_put(unsigned char out[4], uint32_t code); /* its length */

#endif
