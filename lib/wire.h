/* Little-endian integers, floats and counted bytes, to a buf and back, checked. */
#ifndef DSTRAIN_LIB_WIRE_H
#define DSTRAIN_LIB_WIRE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct buf;

void wire_put_u8(struct buf *buf, uint8_t value);
void wire_put_u16(struct buf *buf, uint16_t value);
void wire_put_u32(struct buf *buf, uint32_t value);
void wire_put_u64(struct buf *buf, uint64_t value);
void wire_put_f64(struct buf *buf, double value);
void wire_put_bytes(struct buf *buf, const void *bytes, size_t length); /* u32 length first */
void wire_put_text(struct buf *buf, const char *text);

/* Reads from bytes that came from outside. After the first failure every read gives zero. */
struct wire {
	const unsigned char *next; /* borrowed */
	size_t left;
	bool failed; /* something was missing: the message is malformed */
};

struct wire wire_reader(const void *bytes, size_t length);
uint8_t wire_get_u8(struct wire *wire);
uint16_t wire_get_u16(struct wire *wire);
uint32_t wire_get_u32(struct wire *wire);
uint64_t wire_get_u64(struct wire *wire);
double wire_get_f64(struct wire *wire);
const void *wire_get_bytes(struct wire *wire, size_t *length); /* points into the message */
char *wire_get_text(struct wire *wire);			       /* never NULL; caller frees */

#endif
