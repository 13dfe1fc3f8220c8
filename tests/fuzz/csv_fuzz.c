/* A CSV file, gzipped or not; the first byte chooses among some ways to read it. */
#define _GNU_SOURCE
#include "tests/fuzz/fuzz.h"

#include "tests/fuzz/format.h"

static struct fuzz_ways ways;

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	(void)argc;
	(void)argv;
	ways = fuzz_ways("csv");
	fuzz_way(&ways, "csv", "");
	fuzz_way(&ways, "csv", "label=2 header=no standardise=yes");
	fuzz_way(&ways, "csv", "label=y header=yes classes=3");
	fuzz_way(&ways, "csv", "task=regress standardise=yes delimiter=semicolon");
	fuzz_way(&ways, "csv", "delimiter=tab classes=2");
	return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length)
{
	fuzz_ways_read(&ways, bytes, length);
	return 0;
}
