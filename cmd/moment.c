/* A point in time, for people. */
#include "cmd/moment.h"

#include <stdio.h>
#include <time.h>

char *moment_show(char out[MOMENT_TEXT], double wall_s)
{
	time_t seconds = (time_t)wall_s;
	struct tm local;

	if (wall_s <= 0 || !localtime_r(&seconds, &local) ||
	    strftime(out, MOMENT_TEXT, "%Y-%m-%d %H:%M:%S", &local) == 0)
		snprintf(out, MOMENT_TEXT, "-");
	return out;
}
