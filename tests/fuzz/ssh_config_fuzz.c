/* A file such as ~/.ssh/config. It may include itself, and no other file. */
#define _GNU_SOURCE
#include "tests/fuzz/fuzz.h"

#include "lib/ssh_config.h"

static struct fuzz_file file;

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	(void)argc;
	(void)argv;
	file = fuzz_file("config");
	setenv("DSTRAIN_SSH_CONFIG", file.path, 1);
	setenv("HOME", "/nonexistent", 1);
	log_level_set(LOG_ERROR);
	return 0;
}

/* Whether an Include could name a file other than ours. */
static bool leads_away(const char *text)
{
	for (const char *at = strcasestr(text, "include"); at; at = strcasestr(at + 1, "include")) {
		const char *path = at + strlen("include");

		path += strspn(path, " \t=\"");
		if (strcspn(path, "/~.*?[") < strcspn(path, "\n") &&
		    strncmp(path, "/proc/self/fd/3\n", 16) != 0)
			return true;
	}
	return false;
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length)
{
	char *text = xstrndup((const char *)bytes, length);
	struct ssh_config config = { 0 };
	struct error err;

	fuzz_fill(&file, bytes, length);
	if (!leads_away(text)) {
		(void)ssh_config_read(&config, "node1", NULL, &err);
		ssh_config_release(&config);
	}
	free(text);
	return 0;
}
