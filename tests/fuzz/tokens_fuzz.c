/* Files of tokens, of text and of CIFAR's pictures, which need few words to be taken apart; the
 * first byte chooses. */
#define _GNU_SOURCE
#include "tests/fuzz/fuzz.h"

#include "tests/fuzz/format.h"

static struct part ways[7];
static struct fuzz_file file;

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	static const struct {
		const char *format, *more[7];
	} make[ARRAY_SIZE(ways)] = {
		{ "tokens", { "context", "3", NULL } },
		{ "tokens", { "context", "2", "layout", "uint16", "stride", "1", NULL } },
		{ "tokens", { "context", "1", "layout", "uint32", "vocabulary", "70", NULL } },
		{ "text", { "context", "2", NULL } },
		{ "text", { "context", "1", "unit", "byte", "stride", "2", NULL } },
		{ "cifar10", { "standardise", "yes", NULL } },
		{ "cifar100", { "label", "coarse", NULL } },
	};

	(void)argc;
	(void)argv;
	file = fuzz_file("tokens");
	for (size_t i = 0; i < ARRAY_SIZE(ways); i++) {
		const char *pairs[16] = { "train", file.path, "test", file.path };

		for (size_t k = 0; make[i].more[k]; k++)
			pairs[4 + k] = make[i].more[k];
		ways[i] = fuzz_format(make[i].format, pairs);
	}
	return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length)
{
	const struct part *way = &ways[fuzz_byte(&bytes, &length) % ARRAY_SIZE(ways)];

	fuzz_fill(&file, bytes, length);
	fuzz_load(way, DATA_TRAIN);
	fuzz_load(way, DATA_TEST);
	return 0;
}
