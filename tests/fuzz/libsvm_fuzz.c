/* A file of libsvm; the first byte chooses among some ways to read it. */
#define _GNU_SOURCE
#include "tests/fuzz/fuzz.h"

#include "tests/fuzz/format.h"

static struct part ways[3];
static struct fuzz_file file;

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	static const char *const more[ARRAY_SIZE(ways)][5] = {
		{ NULL },
		{ "classes", "3", "features", "9", NULL },
		{ "task", "regress", "first_index", "0", NULL },
	};

	(void)argc;
	(void)argv;
	file = fuzz_file("libsvm");
	for (size_t i = 0; i < ARRAY_SIZE(ways); i++) {
		const char *pairs[16] = { "train", file.path, "test", file.path };

		for (size_t k = 0; more[i][k]; k++)
			pairs[4 + k] = more[i][k];
		ways[i] = fuzz_format("libsvm", pairs);
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
