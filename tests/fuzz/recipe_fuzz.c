/* A recipe, read and judged as `dstrain check` does; a good one comes back good when printed. */
#define _GNU_SOURCE
#include "tests/fuzz/fuzz.h"

#include "cmd/flags.h"
#include "cmd/job_load.h"

static struct fuzz_file file, again;

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	(void)argc;
	(void)argv;
	file = fuzz_file("recipe");
	again = fuzz_file("printed");
	return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length)
{
	struct flags flags = { 0 };
	struct job_load load = { 0 };
	struct buf printed = { 0 };

	fuzz_fill(&file, bytes, length);
	if (job_load(&load, file.path, &flags) == 0) {
		struct job_load second = { 0 };

		settings_print(&load.resolved, &printed);
		fuzz_fill(&again, printed.data, printed.length);
		assert(job_load(&second, again.path, &flags) == 0);
		job_load_release(&second);
	}
	job_load_release(&load);
	buf_release(&printed);
	return 0;
}
