/* Whether a run is to end before its last step, how, and by when. */
#ifndef DSTRAIN_LIB_HALT_H
#define DSTRAIN_LIB_HALT_H

#include <stdbool.h>

struct error;

/* Zeroed but for `usual_s`. */
struct halt {
	double usual_s;	  /* the grace time, where nothing else is said */
	bool holding;	  /* to finish the step, save a checkpoint, and end */
	bool abort;	  /* to end now */
	double deadline;  /* to have ended by, while holding */
	double grace_s;	  /* what made the deadline */
	double ends;	  /* when the time of training is over; 0: it has none */
	double signalled; /* when the last signal came; 0: none did */
};

/* Takes a signal if one came (lib/stop). Before training has begun any of them aborts; after that
 * a second interrupt within a second. */
void halt_take_signal(struct halt *halt, bool begun);
/* Somebody asks for it, as if by SIGTERM; grace_s NAN: the usual. */
void halt_ask(struct halt *halt, bool begun, double grace_s, bool now);
/* Asked to end now, or the grace time leaves only what workers need to end. err says why. */
bool halt_aborts(const struct halt *halt, struct error *err);
/* Whether all ranks are to hold: asked for, or the time is over. */
bool halt_is_due(const struct halt *halt);
double halt_leave_s(const struct halt *halt); /* what workers have then, while holding */

#endif
