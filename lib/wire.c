/* Little-endian integers, floats and counted bytes, to a buf and back, checked. */
#include "lib/wire.h"

#include <assert.h>
#include <string.h>

#include "lib/buf.h"
#include "lib/memory.h"

static void put(struct buf *buf, uint64_t value, size_t width)
{
	unsigned char bytes[8];

	for (size_t i = 0; i < width; i++)
		bytes[i] = (unsigned char)(value >> (8 * i));
	buf_add(buf, bytes, width);
}

void wire_put_u8(struct buf *buf, uint8_t value)
{
	put(buf, value, 1);
}

void wire_put_u16(struct buf *buf, uint16_t value)
{
	put(buf, value, 2);
}

void wire_put_u32(struct buf *buf, uint32_t value)
{
	put(buf, value, 4);
}

void wire_put_u64(struct buf *buf, uint64_t value)
{
	put(buf, value, 8);
}

void wire_put_f64(struct buf *buf, double value)
{
	uint64_t bits;

	memcpy(&bits, &value, sizeof(bits));
	put(buf, bits, 8);
}

void wire_put_bytes(struct buf *buf, const void *bytes, size_t length)
{
	assert(length <= UINT32_MAX);
	put(buf, length, 4);
	buf_add(buf, bytes, length);
}

void wire_put_text(struct buf *buf, const char *text)
{
	wire_put_bytes(buf, text, strlen(text));
}

struct wire wire_reader(const void *bytes, size_t length)
{
	return (struct wire){ .next = bytes, .left = length };
}

static const unsigned char *take(struct wire *wire, size_t length)
{
	const unsigned char *at = wire->next;

	if (wire->failed || wire->left < length) {
		wire->failed = true;
		return NULL;
	}
	wire->next += length;
	wire->left -= length;
	return at;
}

static uint64_t get(struct wire *wire, size_t width)
{
	const unsigned char *bytes = take(wire, width);
	uint64_t value = 0;

	for (size_t i = 0; bytes && i < width; i++)
		value |= (uint64_t)bytes[i] << (8 * i);
	return value;
}

uint8_t wire_get_u8(struct wire *wire)
{
	return (uint8_t)get(wire, 1);
}

uint16_t wire_get_u16(struct wire *wire)
{
	return (uint16_t)get(wire, 2);
}

uint32_t wire_get_u32(struct wire *wire)
{
	return (uint32_t)get(wire, 4);
}

uint64_t wire_get_u64(struct wire *wire)
{
	return get(wire, 8);
}

double wire_get_f64(struct wire *wire)
{
	uint64_t bits = get(wire, 8);
	double value;

	memcpy(&value, &bits, sizeof(value));
	return value;
}

const void *wire_get_bytes(struct wire *wire, size_t *length)
{
	size_t wanted = wire_get_u32(wire);
	const void *bytes = take(wire, wanted);

	*length = bytes ? wanted : 0;
	return bytes;
}

char *wire_get_text(struct wire *wire)
{
	size_t length;
	const char *bytes = wire_get_bytes(wire, &length);

	return bytes ? xstrndup(bytes, length) : xstrdup("");
}
