/* Two IDX files, gzipped or not: images, and as the first byte says behind them labels. */
#define _GNU_SOURCE
#include "tests/fuzz/fuzz.h"

#include "tests/fuzz/format.h"

static struct fuzz_file images, labels;
static struct part given, told; /* the number of classes: by the labels, or by the recipe */

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	(void)argc;
	(void)argv;
	images = fuzz_file("images");
	labels = fuzz_file("labels");
	const char *pairs[] = { "train.images",
				images.path,
				"train.labels",
				labels.path,
				"test.images",
				images.path,
				"test.labels",
				labels.path,
				NULL,
				"3",
				NULL };

	told = fuzz_format("idx", pairs);
	pairs[8] = "classes";
	given = fuzz_format("idx", pairs);
	return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length)
{
	size_t behind = fuzz_byte(&bytes, &length);

	behind = behind < length ? behind : length;
	fuzz_fill(&images, bytes, length - behind);
	fuzz_fill(&labels, bytes + length - behind, behind);
	fuzz_load(&told, DATA_TRAIN);
	fuzz_load(&given, DATA_TEST);
	return 0;
}
