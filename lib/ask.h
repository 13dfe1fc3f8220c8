/* Asks a running orchestrator: the other end of lib/post. */
#ifndef DSTRAIN_LIB_ASK_H
#define DSTRAIN_LIB_ASK_H

#include "lib/buf.h"

struct error;
struct json;

struct ask {
	int fd; /* to poll */
	struct buf in;
};

/* Connects to the orchestrator of a run directory and puts a question. */
int ask_open(struct ask *ask, const char *dir, const struct json *question, struct error *err);
/* The next answer, which the caller frees: 1; 0: none by the deadline (clock_now); -1: no more will
 * come. Ends early, with 0, when a signal came. */
int ask_next(struct ask *ask, double deadline, struct json **out, struct error *err);
void ask_close(struct ask *ask);

struct json *ask_question(const char *ask); /* caller frees */

#endif
