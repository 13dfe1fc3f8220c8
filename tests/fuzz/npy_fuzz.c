/* Two of NumPy's files; labels are classes, or values. */
#define _GNU_SOURCE
#include "tests/fuzz/fuzz.h"

#include "tests/fuzz/format.h"

static struct fuzz_pair files;

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	(void)argc;
	(void)argv;
	files = fuzz_pair("npy", "x", "y", "task=regress");
	return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length)
{
	fuzz_pair_read(&files, bytes, length);
	return 0;
}
