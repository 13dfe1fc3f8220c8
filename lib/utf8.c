/* Characters of UTF-8 and their numbers. */
#include "lib/utf8.h"

#include <stdbool.h>

static const uint32_t least[] = { 0, 0, 0x80, 0x800, 0x10000 }; /* of each length */

static bool is_character(uint32_t code)
{
	return code <= UTF8_MOST && (code < 0xd800 || code >= 0xe000);
}

size_t utf8_next(const unsigned char *text, size_t length, uint32_t *code)
{
	size_t bytes = text[0] < 0x80 ? 1 : text[0] < 0xe0 ? 2 : text[0] < 0xf0 ? 3 : 4;

	if (bytes == 1) {
		*code = text[0];
		return 1;
	}
	if (text[0] < 0xc0 || text[0] >= 0xf8)
		return 0;
	*code = text[0] & (0x7fU >> bytes);
	for (size_t i = 1; i < bytes; i++) {
		if (i == length || (text[i] & 0xc0) != 0x80)
			return 0;
		*code = *code << 6 | (text[i] & 0x3f);
	}
	return *code >= least[bytes] && is_character(*code) ? bytes : 0;
}

size_t utf8_put(unsigned char out[4], uint32_t code)
{
	size_t bytes = 1;

	while (bytes < 4 && code >= least[bytes + 1])
		bytes++;
	if (bytes == 1) {
		out[0] = (unsigned char)code;
		return 1;
	}
	for (size_t i = bytes; i-- > 1; code >>= 6)
		out[i] = (unsigned char)(0x80 | (code & 0x3f));
	out[0] = (unsigned char)(0xf00U >> bytes | code);
	return bytes;
}
