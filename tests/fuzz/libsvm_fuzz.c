/* A file of libsvm; the first byte chooses among some ways to read it. */
#define _GNU_SOURCE
#include "tests/fuzz/fuzz.h"

#include "tests/fuzz/format.h"

static struct fuzz_ways ways;

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	(void)argc;
	(void)argv;
	ways = fuzz_ways("libsvm");
	fuzz_way(&ways, "libsvm", "");
	fuzz_way(&ways, "libsvm", "classes=3 features=9");
	fuzz_way(&ways, "libsvm", "task=regress first_index=0");
	return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length)
{
	fuzz_ways_read(&ways, bytes, length);
	return 0;
}
