/* Arrays of fields of 1 to 16 bits, as a stream: the first field in the lowest bits of a byte. */
#ifndef DSTRAIN_RUNTIME_BITS_H
#define DSTRAIN_RUNTIME_BITS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { BITS_MOST = 16 };

/* How many bytes: `count` fields of `width` bits, and less than a byte of zeros. */
size_t bits_size(size_t count, unsigned width);

/* codes[i] < 2^width. Writes bits_size() bytes, reads no more of them. */
void bits_pack(unsigned char *out, const uint16_t *codes, size_t count, unsigned width);
void bits_unpack(uint16_t *codes, const unsigned char *bytes, size_t count, unsigned width);

/* Are the bits behind the last field zeros? */
bool bits_end_well(const unsigned char *bytes, size_t count, unsigned width);

#endif
