/* Two of NumPy's files: samples, and as the first byte says behind them labels. */
#define _GNU_SOURCE
#include "tests/fuzz/fuzz.h"

#include "tests/fuzz/format.h"

static struct fuzz_file x, y;
static struct part classes, values;

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	(void)argc;
	(void)argv;
	x = fuzz_file("x");
	y = fuzz_file("y");
	const char *pairs[] = { "train.x", x.path, "train.y", y.path, "test.x", x.path,
				"test.y",  y.path, NULL,      NULL,   NULL };

	classes = fuzz_format("npy", pairs);
	pairs[8] = "task";
	pairs[9] = "regress";
	values = fuzz_format("npy", pairs);
	return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length)
{
	size_t behind = fuzz_byte(&bytes, &length);

	behind = behind < length ? behind : length;
	fuzz_fill(&x, bytes, length - behind);
	fuzz_fill(&y, bytes + length - behind, behind);
	fuzz_load(&classes, DATA_TRAIN);
	fuzz_load(&values, DATA_TEST);
	return 0;
}
