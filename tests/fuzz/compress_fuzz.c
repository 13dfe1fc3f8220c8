/* What a peer may send as a compressed vector: the first bytes choose scheme and count. */
#define _GNU_SOURCE
#include "tests/fuzz/fuzz.h"

#include "runtime/compress/compress.h"

enum { MOST = 1 << 12 };

static size_t schemes;
static struct part *parts;

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	(void)argc;
	(void)argv;
	for (size_t i = 0; compressors.entries[i]; i++) {
		struct part part = part_default(&compressors, compressors.entries[i]->name);

		if (!PART_AS(&part, struct compressor)->decode_add) {
			part_release(&part);
			continue;
		}
		parts = xgrow(parts, schemes, sizeof(*parts));
		parts[schemes++] = part;
	}
	return 0;
}

/* Both in blocks of their own, so that an access beyond them is seen. */
int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length)
{
	const struct part *part = &parts[fuzz_byte(&bytes, &length) % schemes];
	const struct compressor *compressor = PART_AS(part, struct compressor);
	size_t count = fuzz_byte(&bytes, &length);
	struct error err = { "" };
	unsigned char *payload;
	float *y;

	count = (count << 8 | fuzz_byte(&bytes, &length)) % MOST;
	payload = xmalloc(length);
	y = xcalloc(count, sizeof(*y));
	if (length > 0)
		memcpy(payload, bytes, length);
	if (compressor->decode_add(part->params, payload, length, 0.5f, y, count, &err) == 0)
		assert(length <= compressor->bound(part->params, count));
	else
		assert(err.text[0] != '\0');
	free(payload);
	free(y);
	return 0;
}
