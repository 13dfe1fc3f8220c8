/* What the system allows this process: open files, and memory where a cgroup bounds it. */
#define _DEFAULT_SOURCE /* sysconf(_SC_PHYS_PAGES) */
#include "lib/limit.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "lib/buf.h"
#include "lib/error.h"
#include "lib/file.h"
#include "lib/memory.h"

enum { FILE_BYTES = 1 << 20 };

int limit_descriptors(size_t wanted, const char *what, struct error *err)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) < 0 || limit.rlim_cur >= wanted)
		return 0;
	limit.rlim_cur = limit.rlim_max < wanted ? limit.rlim_max : wanted;
	setrlimit(RLIMIT_NOFILE, &limit);
	if (limit.rlim_cur >= wanted)
		return 0;
	return error_set(err,
			 "%s need up to %zu open files, and the limit is %llu; raise it, as with: "
			 "ulimit -n %zu",
			 what, wanted, (unsigned long long)limit.rlim_cur, wanted);
}

/* The names that version 1 and 2 of cgroups have for the same two numbers. */
struct hierarchy {
	const char *entry; /* in /proc/self/cgroup, before the path */
	const char *mount, *limit, *usage;
};

static const struct hierarchy hierarchies[] = {
	{ "0::", "/sys/fs/cgroup", "memory.max", "memory.current" },
	{ ":memory:", "/sys/fs/cgroup/memory", "memory.limit_in_bytes", "memory.usage_in_bytes" },
};

static void apply(struct limit_memory *memory, const struct hierarchy *kind, const char *group)
{
	char *limit = xasprintf("%s%s/%s", kind->mount, group, kind->limit);
	char *usage = xasprintf("%s%s/%s", kind->mount, group, kind->usage);
	uint64_t most = file_number(limit, ""), used = file_number(usage, "");

	if (most < memory->bytes)
		memory->bytes = most;
	if (most != UINT64_MAX && used != UINT64_MAX) {
		uint64_t left = used < most ? most - used : 0;

		if (left < memory->available_bytes)
			memory->available_bytes = left;
	}
	free(limit);
	free(usage);
}

/* A group is bound by all that it lies in, too. */
static void apply_all(struct limit_memory *memory, const struct hierarchy *kind, const char *groups)
{
	const char *at = strstr(groups, kind->entry);
	char *group, *slash;

	if (!at)
		return;
	at += strlen(kind->entry);
	group = xstrndup(at, strcspn(at, "\n"));
	while ((slash = strrchr(group, '/'))) {
		apply(memory, kind, group);
		*slash = '\0';
	}
	apply(memory, kind, "");
	free(group);
}

struct limit_memory limit_memory(void)
{
	struct limit_memory memory = {
		.bytes = (uint64_t)sysconf(_SC_PHYS_PAGES) * (uint64_t)sysconf(_SC_PAGESIZE),
		.available_bytes = file_number("/proc/meminfo", "MemAvailable:"),
	};
	struct buf groups = { 0 };
	struct error ignored;

	memory.available_bytes =
		memory.available_bytes == UINT64_MAX ? 0 : memory.available_bytes * 1024;
	if (file_read(&groups, "/proc/self/cgroup", FILE_BYTES, &ignored) == 0)
		for (size_t i = 0; i < ARRAY_SIZE(hierarchies); i++)
			apply_all(&memory, &hierarchies[i], buf_text(&groups));
	buf_release(&groups);
	return memory;
}
