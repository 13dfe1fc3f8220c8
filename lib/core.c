/*
 * Core files: none of a process that holds a run's key. A limit of one byte, not of none: the
 * kernel writes no file then either, and gives no dump to a program that collects them (core(5)).
 * Debuggers and /proc/PID stay as they are, which PR_SET_DUMPABLE would change.
 */
#include "lib/core.h"

#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

void core_forbid(void)
{
	const char *wanted = getenv("DSTRAIN_CORE");
	struct rlimit limit;

	if ((wanted && strcmp(wanted, "yes") == 0) || getrlimit(RLIMIT_CORE, &limit) < 0)
		return;
	if (limit.rlim_cur > 1)
		limit.rlim_cur = 1;
	setrlimit(RLIMIT_CORE, &limit);
}
