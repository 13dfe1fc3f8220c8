/* A hosts file of any form, or an inline form; good ones come back the same when printed. */
#define _GNU_SOURCE
#include "tests/fuzz/fuzz.h"

#include "lib/buf.h"
#include "lib/hosts.h"
#include "lib/setting.h"

static struct fuzz_file file, again;

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	(void)argc;
	(void)argv;
	setenv("DSTRAIN_SSH_CONFIG", "/dev/null", 1);
	log_level_set(LOG_ERROR);
	file = fuzz_file("hosts");
	again = fuzz_file("printed");
	return 0;
}

static void load_again(const struct hosts *hosts)
{
	struct problems problems = { 0 };
	struct buf printed = { 0 };
	struct hosts same;
	struct error err;

	hosts_print(hosts, &printed);
	fuzz_fill(&again, printed.data, printed.length);
	assert(hosts_load(&same, again.path, &problems, &err) == 0);
	assert(same.count == hosts->count && hosts_slots(&same) == hosts_slots(hosts));
	hosts_release(&same);
	buf_release(&printed);
	problems_release(&problems);
}

static void load(const char *spec)
{
	struct problems problems = { 0 };
	struct hosts hosts;
	struct error err;

	if (hosts_load(&hosts, spec, &problems, &err) == 0) {
		load_again(&hosts);
		hosts_release(&hosts);
	}
	problems_release(&problems);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length)
{
	char *spec = xstrndup((const char *)bytes, length);

	fuzz_fill(&file, bytes, length);
	load(file.path);
	if (!strchr(spec, '/') && !file_exists(spec))
		load(spec);
	free(spec);
	return 0;
}
