/* Time. Deadlines are points on the monotonic clock, in seconds. */
#include "lib/clock.h"

#include <limits.h>
#include <math.h>
#include <time.h>

static double read_clock(clockid_t id)
{
	struct timespec now;

	clock_gettime(id, &now);
	return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}

double clock_now(void)
{
	return read_clock(CLOCK_MONOTONIC);
}

double clock_wall(void)
{
	return read_clock(CLOCK_REALTIME);
}

void clock_cond_init(pthread_cond_t *cond)
{
	pthread_condattr_t monotonic;

	pthread_condattr_init(&monotonic);
	pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
	pthread_cond_init(cond, &monotonic);
	pthread_condattr_destroy(&monotonic);
}

struct timespec clock_timespec(double at)
{
	double whole = floor(at);

	return (struct timespec){ .tv_sec = (time_t)whole, .tv_nsec = (long)((at - whole) * 1e9) };
}

int clock_poll_ms(double deadline)
{
	double left = ceil((deadline - clock_now()) * 1e3);

	return left <= 0 ? 0 : left > INT_MAX ? INT_MAX : (int)left;
}

void clock_sleep(double seconds)
{
	struct timespec until = clock_timespec(clock_now() + seconds);

	while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, NULL) != 0)
		;
}
