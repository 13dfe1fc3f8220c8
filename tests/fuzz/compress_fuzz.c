/* What a peer may send as a compressed vector: the first bytes choose scheme and count. */
#define _GNU_SOURCE
#include "tests/fuzz/fuzz.h"

#include <stdbool.h>

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

/* Pairs of what can be decoded rise below `count`, and what cannot gives none. */
static void check_pairs(const struct part *part, const unsigned char *payload, size_t length,
			size_t count, bool fine)
{
	const struct compressor *compressor = PART_AS(part, struct compressor);
	size_t most = count ? compressor->chosen(part->params, count) : 0;
	struct compress_pairs pairs = { .indices = xcalloc(most, sizeof(*pairs.indices)),
					.values = xcalloc(most, sizeof(*pairs.values)) };
	struct error err = { "" };
	int status =
		count ? compressor->pairs(part->params, payload, length, 5, count, &pairs, &err)
		      : -1;

	assert(count == 0 || (status == 0) == fine);
	assert(status < 0 || pairs.count <= most);
	for (size_t k = 0; status == 0 && k < pairs.count; k++)
		assert(pairs.indices[k] >= 5 && pairs.indices[k] < count + 5 &&
		       (k == 0 || pairs.indices[k] > pairs.indices[k - 1]));
	free(pairs.indices);
	free(pairs.values);
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
	bool fine;

	count = (count << 8 | fuzz_byte(&bytes, &length)) % MOST;
	payload = xmalloc(length);
	y = xcalloc(count, sizeof(*y));
	if (length > 0)
		memcpy(payload, bytes, length);
	fine = compressor->decode_add(part->params, payload, length, 0.5f, y, count, &err) == 0;
	if (fine)
		assert(length <= compressor->bound(part->params, count));
	else
		assert(err.text[0] != '\0');
	if (compressor->pairs)
		check_pairs(part, payload, length, count, fine);
	free(payload);
	free(y);
	return 0;
}
