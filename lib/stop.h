/* The signals that ask a run to end, as something to poll. */
#ifndef DSTRAIN_LIB_STOP_H
#define DSTRAIN_LIB_STOP_H

#include <stdbool.h>

/* Installs the handlers for SIGINT, SIGTERM, SIGUSR1 and SIGHUP; SIGPIPE is ignored, and SIGHUP
 * too if `alone` or if it was before (nohup). Call once, before threads. */
void stop_install(bool alone);
int stop_fd(void);		     /* readable when a signal came; for poll() */
int stop_take(void);		     /* the next signal that came, or 0; does not block */
int stop_signal(void);		     /* the first signal that ever came, or 0 */
const volatile int *stop_flag(void); /* points at what stop_signal reads */
void stop_note(int signal);	     /* for stop_signal and stop_flag, as if it had come */

#endif
