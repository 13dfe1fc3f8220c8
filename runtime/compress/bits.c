/* Fields of 1 to 16 bits. The kernels go by eight and a little too far: blocks are copied. */
#include "runtime/compress/bits.h"

#include <assert.h>
#include <string.h>

#include "runtime/device/kernels.h"

enum { GROUP = 8, BLOCK = 640, SLACK = 8 };

size_t bits_size(size_t count, unsigned width)
{
	return count / GROUP * width + (count % GROUP * width + 7) / 8;
}

static size_t less(size_t a, size_t b)
{
	return a < b ? a : b;
}

void bits_pack(unsigned char *out, const uint16_t *codes, size_t count, unsigned width)
{
	unsigned char bytes[2 * BLOCK + SLACK];
	uint16_t last[BLOCK];

	assert(width >= 1 && width <= BITS_MOST);
	for (size_t at = 0; at < count; at += BLOCK) {
		size_t length = less(count - at, BLOCK), groups = (length + GROUP - 1) / GROUP;
		const uint16_t *from = codes + at;

		if (length % GROUP != 0) {
			memcpy(last, from, length * sizeof(*from));
			memset(last + length, 0, (groups * GROUP - length) * sizeof(*from));
			from = last;
		}
		kernels()->bits_pack(bytes, from, groups, width);
		memcpy(out + at / GROUP * width, bytes, bits_size(length, width));
	}
}

void bits_unpack(uint16_t *codes, const unsigned char *bytes, size_t count, unsigned width)
{
	unsigned char from[2 * BLOCK + SLACK] = { 0 };
	uint16_t block[BLOCK];

	assert(width >= 1 && width <= BITS_MOST);
	for (size_t at = 0; at < count; at += BLOCK) {
		size_t length = less(count - at, BLOCK), groups = (length + GROUP - 1) / GROUP;
		bool whole = length % GROUP == 0;

		memcpy(from, bytes + at / GROUP * width, bits_size(length, width));
		kernels()->bits_unpack(whole ? codes + at : block, from, groups, width);
		if (!whole)
			memcpy(codes + at, block, length * sizeof(*codes));
	}
}

bool bits_end_well(const unsigned char *bytes, size_t count, unsigned width)
{
	size_t used = count % GROUP * width % 8;

	return used == 0 || bytes[bits_size(count, width) - 1] >> used == 0;
}
