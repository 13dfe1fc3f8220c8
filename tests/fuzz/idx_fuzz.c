/* Two IDX files, gzipped or not; the number of classes: by the labels, or by the recipe. */
#define _GNU_SOURCE
#include "tests/fuzz/fuzz.h"

#include "tests/fuzz/format.h"

static struct fuzz_pair files;

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	(void)argc;
	(void)argv;
	files = fuzz_pair("idx", "images", "labels", "classes=3");
	return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length)
{
	fuzz_pair_read(&files, bytes, length);
	return 0;
}
