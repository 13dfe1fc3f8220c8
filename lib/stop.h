/* SIGINT, SIGTERM and SIGHUP as something to poll. */
#ifndef DSTRAIN_LIB_STOP_H
#define DSTRAIN_LIB_STOP_H

/* Installs the handlers; SIGPIPE is ignored. Call once, before threads. */
void stop_install(void);
int stop_fd(void);		     /* readable when a signal came; for poll() */
int stop_take(void);		     /* the next signal that came, or 0; does not block */
int stop_signal(void);		     /* the first signal that ever came, or 0 */
const volatile int *stop_flag(void); /* points at what stop_signal reads */

#endif
