/*
 * Which of `count` coordinates a payload holds: rising indices as Rice codes of their differences.
 * For sets of any pattern their length has a bound that follows from the two numbers alone, and for
 * random ones it is within a tenth of a bit of the least; blocks of fields as wide as their largest
 * difference take a bit more an index. All of the coordinates, or none, take no bytes.
 */
#ifndef DSTRAIN_RUNTIME_COMPRESS_INDICES_H
#define DSTRAIN_RUNTIME_COMPRESS_INDICES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct index_writer {
	unsigned char *at;
	uint64_t bits; /* not yet written: `filled` of them, from the lowest */
	unsigned filled;
	unsigned low; /* bits of a difference that are written as they are */
	bool silent;
	size_t next; /* the least index that may come */
};

struct index_reader {
	const unsigned char *at, *end;
	uint64_t bits;
	unsigned filled;
	unsigned low;
	bool silent;
	size_t next, count;
};

/* The most bytes of `chosen` indices below `count`; at most 2^32 coordinates. */
size_t indices_bound(size_t chosen, size_t count);

/* Exactly `chosen` calls of indices_put follow, with rising indices. */
struct index_writer indices_write(unsigned char *at, size_t chosen, size_t count);
void indices_put(struct index_writer *writer, size_t index);
unsigned char *indices_end(struct index_writer *writer); /* behind the last byte */

struct index_reader indices_read(const unsigned char *bytes, size_t length, size_t chosen,
				 size_t count);
/* The next of them, below count and above the one before; false: there is none. */
bool indices_next(struct index_reader *reader, size_t *index);
bool indices_ended(const struct index_reader *reader); /* was that all, to the last bit? */

#endif
