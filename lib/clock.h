/* Time. Deadlines are points on the monotonic clock, in seconds. */
#ifndef DSTRAIN_LIB_CLOCK_H
#define DSTRAIN_LIB_CLOCK_H

struct timespec;

double clock_now(void);			   /* monotonic, seconds */
double clock_wall(void);		   /* seconds since 1970 */
struct timespec clock_timespec(double at); /* a monotonic deadline, for pthread waits */
int clock_poll_ms(double deadline);	   /* time left, for poll(): never negative */
void clock_sleep(double seconds);

#endif
