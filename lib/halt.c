/* Whether a run is to end before its last step, how, and by when. */
#include "lib/halt.h"

#include <math.h>
#include <signal.h>

#include "lib/clock.h"
#include "lib/error.h"
#include "lib/log.h"
#include "lib/stop.h"
#include "lib/units.h"

#define SECOND_S 1.0 /* within which a second interrupt aborts */
#define LEAVE_S	 1.0 /* of the grace time, for workers to end by themselves */
#define KILL_S	 1.0 /* and to be killed, also far away */

/* Asked again, the deadline can only get earlier. */
static void hold(struct halt *halt, double grace_s)
{
	double deadline = clock_now() + grace_s;

	if (!halt->holding || deadline < halt->deadline) {
		halt->deadline = deadline;
		halt->grace_s = grace_s;
	}
	halt->holding = true;
}

void halt_take_signal(struct halt *halt, bool begun)
{
	int signal = stop_take();
	bool again = halt->signalled != 0 && clock_now() - halt->signalled <= SECOND_S;

	if (!signal)
		return;
	halt->signalled = clock_now();
	/* Only a person means more by a second one: a terminal that closes hangs up twice. */
	halt->abort |= !begun || (signal == SIGINT && again);
	if (halt->abort)
		return;
	log_info("finishing the step and saving a checkpoint; press Ctrl-C twice within a second "
		 "to abort");
	hold(halt, halt->usual_s);
}

void halt_ask(struct halt *halt, bool begun, double grace_s, bool now)
{
	stop_note(SIGTERM);
	halt->abort |= now || !begun;
	if (halt->abort)
		return;
	log_info("asked to stop: finishing the step and saving a checkpoint");
	hold(halt, isnan(grace_s) ? halt->usual_s : grace_s);
}

static double part_of(const struct halt *halt, double seconds)
{
	return fmin(seconds, halt->grace_s / 4);
}

bool halt_is_due(const struct halt *halt)
{
	return halt->holding || (halt->ends > 0 && clock_now() >= halt->ends);
}

double halt_leave_s(const struct halt *halt)
{
	return part_of(halt, LEAVE_S);
}

bool halt_aborts(const struct halt *halt, struct error *err)
{
	char grace[32];

	if (halt->abort)
		error_set(err, "aborted");
	else if (halt->holding && clock_now() >= halt->deadline - fmin(LEAVE_S, halt->grace_s / 2))
		error_set(err,
			  "aborted: there was no complete checkpoint within the grace time "
			  "of %s",
			  units_show_seconds(grace, sizeof(grace), halt->grace_s));
	else
		return false;
	return true;
}
