/*
 * Fields of 1 to 16 bits, from and to numbers of 16 bits. Eight at a time fill whole bytes: pairs
 * of neighbours are joined until four are in one word, then two such words are written.
 */
#include <string.h>

#include "runtime/device/simd/simd.h"

enum { GROUP = 8, GROUPS = 80, BYTES = sizeof(uint64_t) };

static const uint64_t pairs = UINT64_C(0x0000ffff0000ffff);

static uint64_t lowest(unsigned bits)
{
	return bits < 64 ? (UINT64_C(1) << bits) - 1 : UINT64_MAX;
}

/* Words of four codes, 16 bits apart, become words of four codes, `width` bits apart. */
static void join(uint64_t *words, size_t count, unsigned width)
{
	for (size_t i = 0; i < count; i++) {
		uint64_t two = (words[i] & pairs) | (words[i] & ~pairs) >> (16 - width);

		words[i] = (two & UINT32_MAX) | two >> 32 << 2 * width;
	}
}

static void part(uint64_t *words, size_t count, unsigned width)
{
	uint64_t of_two = lowest(2 * width), of_one = lowest(width) * UINT64_C(0x100000001);

	for (size_t i = 0; i < count; i++) {
		uint64_t two = (words[i] & of_two) | (words[i] >> 2 * width & of_two) << 32;

		words[i] = (two & of_one) | (two >> width & of_one) << 16;
	}
}

static void pack(unsigned char *out, const uint16_t *codes, size_t groups, unsigned width)
{
	uint64_t words[2 * GROUPS];

	memcpy(words, codes, groups * GROUP * sizeof(*codes));
	join(words, 2 * groups, width);
	for (size_t i = 0; i < groups; i++) {
		/* In two steps: a shift by 64 is none. */
		uint64_t low = words[2 * i] | words[2 * i + 1] << 2 * width << 2 * width;

		memcpy(out + i * width, &low, BYTES);
		if (width > BYTES) {
			uint64_t high = words[2 * i + 1] >> (64 - 4 * width);

			memcpy(out + i * width + BYTES, &high, BYTES);
		}
	}
}

static void unpack(uint16_t *codes, const unsigned char *bytes, size_t groups, unsigned width)
{
	uint64_t words[2 * GROUPS], of_four = lowest(4 * width);

	for (size_t i = 0; i < groups; i++) {
		uint64_t low, high;

		memcpy(&low, bytes + i * width, BYTES);
		words[2 * i] = low & of_four;
		words[2 * i + 1] = low >> 2 * width >> 2 * width & of_four;
		if (width > BYTES) {
			memcpy(&high, bytes + i * width + BYTES, BYTES);
			words[2 * i + 1] |= high << (64 - 4 * width) & of_four;
		}
	}
	part(words, 2 * groups, width);
	memcpy(codes, words, groups * GROUP * sizeof(*codes));
}

void KERNEL(bits_pack)(unsigned char *out, const uint16_t *codes, size_t groups, unsigned width)
{
	for (size_t at = 0; at < groups; at += GROUPS)
		pack(out + at * width, codes + at * GROUP,
		     groups - at < GROUPS ? groups - at : GROUPS, width);
}

void KERNEL(bits_unpack)(uint16_t *codes, const unsigned char *bytes, size_t groups, unsigned width)
{
	for (size_t at = 0; at < groups; at += GROUPS)
		unpack(codes + at * GROUP, bytes + at * width,
		       groups - at < GROUPS ? groups - at : GROUPS, width);
}
