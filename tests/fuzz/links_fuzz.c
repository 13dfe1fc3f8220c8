/* Links from a file of any kind; good ones come back the same when printed. */
#define _GNU_SOURCE
#include "tests/fuzz/fuzz.h"

#include "lib/buf.h"
#include "lib/links_file.h"
#include "lib/setting.h"

static struct fuzz_file file;

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	(void)argc;
	(void)argv;
	log_level_set(LOG_ERROR);
	file = fuzz_file("links");
	return 0;
}

static void parse_again(const struct links *links)
{
	struct buf printed = { 0 }, same = { 0 };
	struct links again;
	struct error err;

	links_print(links, &printed);
	assert(links_parse(&again, printed.data, printed.length, &err) == 0);
	links_print(&again, &same);
	assert(strcmp(buf_text(&printed), buf_text(&same)) == 0);
	links_release(&again);
	buf_release(&printed);
	buf_release(&same);
}

/* Events speak of segments that are there. */
static void check(const struct links *links, const struct links_script *script)
{
	for (size_t i = 0; i < script->count; i++)
		assert(script->events[i].segment < links->segment_count &&
		       (i == 0 || script->events[i - 1].at_s <= script->events[i].at_s));
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length)
{
	struct problems problems = { 0 };
	struct links_script script;
	struct links links;
	struct error err;

	fuzz_fill(&file, bytes, length);
	if (links_load(&links, &script, file.path, NULL, &problems, &err) == 0) {
		check(&links, &script);
		if (links.hosts <= 100) /* or it takes long */
			parse_again(&links);
		links_release(&links);
		links_script_release(&script);
	}
	problems_release(&problems);
	return 0;
}
