/* What the system allows this process: open files, and memory and processors where a cgroup bounds
 * them. */
#define _GNU_SOURCE /* sysconf(_SC_PHYS_PAGES), sched_getaffinity */
#include "lib/limit.h"

#include <sched.h>
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

/* Where version 1 and 2 of cgroups keep the same two numbers. */
struct hierarchy {
	const char *entry; /* in /proc/self/cgroup, before the path */
	const char *mount, *first, *second;
};

static const struct hierarchy of_memory[] = {
	{ "0::", "/sys/fs/cgroup", "memory.max", "memory.current" },
	{ ":memory:", "/sys/fs/cgroup/memory", "memory.limit_in_bytes", "memory.usage_in_bytes" },
};

/* One file of version 2 has both: "200000 100000". */
static const struct hierarchy of_processors[] = {
	{ "0::", "/sys/fs/cgroup", "cpu.max", "cpu.max" },
	{ ":cpu,cpuacct:", "/sys/fs/cgroup/cpu,cpuacct", "cpu.cfs_quota_us", "cpu.cfs_period_us" },
	{ ":cpu:", "/sys/fs/cgroup/cpu", "cpu.cfs_quota_us", "cpu.cfs_period_us" },
};

typedef void apply(void *limit, const char *first, const char *second);

static void apply_memory(void *limit, const char *first, const char *second)
{
	struct limit_memory *memory = limit;
	uint64_t most = file_number(first, ""), used = file_number(second, "");

	if (most < memory->bytes)
		memory->bytes = most;
	if (most != UINT64_MAX && used != UINT64_MAX) {
		uint64_t left = used < most ? most - used : 0;

		if (left < memory->available_bytes)
			memory->available_bytes = left;
	}
}

/* Time that all threads may run in a period. */
static void apply_processors(void *limit, const char *first, const char *second)
{
	size_t *processors = limit;
	uint64_t quota = file_number(first, ""), period;
	char before[32] = "";

	if (quota == UINT64_MAX)
		return;
	if (strcmp(first, second) == 0)
		snprintf(before, sizeof(before), "%llu ", (unsigned long long)quota);
	period = file_number(second, before);
	if (period > 0 && quota / period < *processors)
		*processors = (size_t)(quota / period);
}

static void apply_group(const struct hierarchy *kind, const char *group, apply *to, void *limit)
{
	char *first = xasprintf("%s%s/%s", kind->mount, group, kind->first);
	char *second = xasprintf("%s%s/%s", kind->mount, group, kind->second);

	to(limit, first, second);
	free(first);
	free(second);
}

/* A group is bound by all that it lies in, too. */
static void apply_groups(const struct hierarchy *kind, const char *groups, apply *to, void *limit)
{
	const char *at = strstr(groups, kind->entry);
	char *group, *slash;

	if (!at)
		return;
	at += strlen(kind->entry);
	group = xstrndup(at, strcspn(at, "\n"));
	while ((slash = strrchr(group, '/'))) {
		apply_group(kind, group, to, limit);
		*slash = '\0';
	}
	apply_group(kind, "", to, limit);
	free(group);
}

static void apply_all(const struct hierarchy *kinds, size_t count, apply *to, void *limit)
{
	struct buf groups = { 0 };
	struct error ignored;

	if (file_read(&groups, "/proc/self/cgroup", FILE_BYTES, &ignored) == 0)
		for (size_t i = 0; i < count; i++)
			apply_groups(&kinds[i], buf_text(&groups), to, limit);
	buf_release(&groups);
}

struct limit_memory limit_memory(void)
{
	struct limit_memory memory = {
		.bytes = (uint64_t)sysconf(_SC_PHYS_PAGES) * (uint64_t)sysconf(_SC_PAGESIZE),
		.available_bytes = file_number("/proc/meminfo", "MemAvailable:"),
	};

	memory.available_bytes =
		memory.available_bytes == UINT64_MAX ? 0 : memory.available_bytes * 1024;
	apply_all(of_memory, ARRAY_SIZE(of_memory), apply_memory, &memory);
	return memory;
}

size_t limit_processors(void)
{
	size_t processors = (size_t)sysconf(_SC_NPROCESSORS_ONLN);
	cpu_set_t ours;

	if (sched_getaffinity(0, sizeof(ours), &ours) == 0)
		processors = (size_t)CPU_COUNT(&ours);
	apply_all(of_processors, ARRAY_SIZE(of_processors), apply_processors, &processors);
	return processors > 0 ? processors : 1;
}
