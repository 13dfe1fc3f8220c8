/*
 * How many bytes of a flow are under way at a time. The window doubles while that leaves no queue;
 * then it follows FAST TCP (Wei, Jin, Low and Hegde, IEEE/ACM Transactions on Networking 14(6),
 * 2006, equation 6): w <- w baseRTT / RTT + alpha, where alpha is what the flow keeps queued. Flows
 * that share a link have the same alpha but for a part that follows their rate, and so about the
 * same share.
 */
#include "runtime/probe_pace.h"

#include <math.h>

#define EPOCH_S	 0.005
#define QUEUE_S	 0.02 /* of its own rate: busy processors make others wait as long */
#define ENOUGH_S 0.25 /* for a flow to come up to speed, and ENOUGH_TRIPS */

enum { QUEUE_BYTES = 8 << 10, FIRST_WINDOW = 16 << 10, WINDOW_MOST = 256 << 20 };
enum { CHUNKS_PER_WINDOW = 8, CHUNKS_PER_EPOCH = 4, ENOUGH_TRIPS = 20 };

void probe_pace_begin(struct probe_pace *pace, double now, double rtt_least)
{
	*pace = (struct probe_pace){ .window = FIRST_WINDOW,
				     .rtt_least = rtt_least,
				     .growing = true,
				     .began = now,
				     .epoch_began = now };
}

static void end_epoch(struct probe_pace *pace, double now)
{
	double rate = pace->bytes / (now - pace->epoch_began);
	double rtt = pace->rtt_sum / (double)pace->chunks;
	double alpha = QUEUE_BYTES + rate * QUEUE_S;

	if (pace->growing && pace->window - rate * pace->rtt_least > alpha)
		pace->growing = false;
	if (pace->growing)
		pace->window *= 2;
	else
		pace->window = (pace->window + pace->window * pace->rtt_least / rtt + alpha) / 2;
	pace->window = fmin(pace->window, WINDOW_MOST);
	pace->rates[pace->epochs++ % PROBE_EPOCHS] = rate;
	pace->epoch_began = now;
	pace->bytes = pace->rtt_sum = 0;
	pace->chunks = 0;
}

void probe_pace_arrived(struct probe_pace *pace, double now, size_t bytes, double rtt_s)
{
	pace->bytes += (double)bytes;
	pace->rtt_sum += rtt_s;
	pace->chunks++;
	pace->rtt_least = fmin(pace->rtt_least, rtt_s);
	if (pace->chunks >= CHUNKS_PER_EPOCH &&
	    now > pace->epoch_began + fmax(EPOCH_S, pace->rtt_least))
		end_epoch(pace, now);
}

/* The newer half of the epochs looks like the older one. */
static bool is_level(const struct probe_pace *pace)
{
	double older = 0, newer = 0;

	for (size_t i = 0; i < PROBE_EPOCHS; i++) {
		double rate = pace->rates[(pace->epochs + i) % PROBE_EPOCHS];

		if (i < PROBE_EPOCHS / 2)
			older += rate;
		else
			newer += rate;
	}
	return fabs(newer - older) < 0.1 * older;
}

bool probe_pace_is_up(const struct probe_pace *pace, double now)
{
	if (now > pace->began + ENOUGH_S + ENOUGH_TRIPS * pace->rtt_least)
		return true;
	return !pace->growing && pace->epochs > PROBE_EPOCHS + 2 && is_level(pace);
}

size_t probe_pace_chunk(const struct probe_pace *pace)
{
	size_t chunk = PROBE_CHUNK_LEAST;

	while (chunk < PROBE_CHUNK_MOST && 2 * (double)chunk * CHUNKS_PER_WINDOW <= pace->window)
		chunk *= 2;
	return chunk;
}
