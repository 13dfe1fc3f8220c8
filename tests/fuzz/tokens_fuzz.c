/* Files of tokens, of text and of CIFAR's pictures, which need few words to be taken apart; the
 * first byte chooses. */
#define _GNU_SOURCE
#include "tests/fuzz/fuzz.h"

#include "tests/fuzz/format.h"

static struct fuzz_ways ways;

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	(void)argc;
	(void)argv;
	ways = fuzz_ways("tokens");
	fuzz_way(&ways, "tokens", "context=3");
	fuzz_way(&ways, "tokens", "context=2 layout=uint16 stride=1");
	fuzz_way(&ways, "tokens", "context=1 layout=uint32 vocabulary=70");
	fuzz_way(&ways, "text", "context=2");
	fuzz_way(&ways, "text", "context=1 unit=byte stride=2");
	fuzz_way(&ways, "cifar10", "standardise=yes");
	fuzz_way(&ways, "cifar100", "label=coarse");
	return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length)
{
	fuzz_ways_read(&ways, bytes, length);
	return 0;
}
