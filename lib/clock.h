/* Time. Deadlines are points on the monotonic clock, in seconds. */
#ifndef DSTRAIN_LIB_CLOCK_H
#define DSTRAIN_LIB_CLOCK_H

#include <pthread.h>

struct timespec;

double clock_now(void);	 /* monotonic, seconds */
double clock_wall(void); /* seconds since 1970 */
/* A condition whose timed waits take clock_timespec(deadline). */
void clock_cond_init(pthread_cond_t *cond);
struct timespec clock_timespec(double at);
int clock_poll_ms(double deadline); /* time left, for poll(): never negative */
void clock_sleep(double seconds);

#endif
