/*
 * What arrives within a window of time. Rates are taken from one arrival to a later one, so that a
 * message that is half there at either end of a part does not count.
 */
#include "runtime/probe_tally.h"

#include <math.h>

bool probe_tally_add(struct probe_tally *tally, double now, size_t bytes)
{
	double part = tally->seconds / PROBE_PARTS, began;

	if (tally->count == 0) {
		tally->marks[tally->count++].at = now;
		return false;
	}
	began = tally->marks[0].at;
	tally->bytes += (double)bytes;
	/* The part in which the last mark lies is over. */
	if (floor((now - began) / part) >
		    floor((tally->marks[tally->count - 1].at - began) / part) &&
	    tally->count <= PROBE_PARTS) {
		tally->marks[tally->count].at = now;
		tally->marks[tally->count++].bytes = tally->bytes;
	}
	return tally->count > 1 && now >= began + tally->seconds;
}

/* The slope of a straight line through the marks (least squares): a receiver that slept has what
 * came meanwhile at once, and an end of the window there would tell another rate. */
double probe_tally_rate(const struct probe_tally *tally)
{
	double at = 0, bytes = 0, square = 0, product = 0;
	size_t count = tally->count;

	for (size_t i = 0; i < count; i++) {
		at += tally->marks[i].at / (double)count;
		bytes += tally->marks[i].bytes / (double)count;
	}
	for (size_t i = 0; i < count; i++) {
		double off = tally->marks[i].at - at;

		square += off * off;
		product += off * (tally->marks[i].bytes - bytes);
	}
	return product / square;
}

/* Student's t for 95 %, two-sided, by degrees of freedom. */
static double student(size_t freedom)
{
	static const double t[] = {
		INFINITY, 12.71, 4.30, 3.18, 2.78, 2.57, 2.45, 2.36, 2.31, 2.26
	};

	return freedom < sizeof(t) / sizeof(t[0]) ? t[freedom] : 1.96 + 2.6 / (double)freedom;
}

double probe_tally_spread(const struct probe_tally *tally)
{
	size_t count = tally->count - 1;
	double rate = probe_tally_rate(tally), off[PROBE_PARTS], square = 0, beside = 0, likeness;
	double mean = (tally->marks[count].at - tally->marks[0].at) / (double)count;

	if (count < 3)
		return 1;
	for (size_t i = 0; i < count; i++) {
		/* Parts are not equally long: what each is off weighs as much as it lasts. */
		off[i] = (tally->marks[i + 1].bytes - tally->marks[i].bytes -
			  rate * (tally->marks[i + 1].at - tally->marks[i].at)) /
			 mean;
		square += off[i] * off[i];
		beside += i ? off[i] * off[i - 1] : 0;
	}
	if (square == 0)
		return 0;
	/* Autocorrelation of the first order makes n samples worth n (1 - r) / (1 + r): more than n
	 * if what is late in one comes in the next. */
	likeness = fmin(fmax(beside / square, -0.6), 0.8);
	return student(count - 1) * sqrt(square / (double)(count - 1) / (double)count) *
	       sqrt((1 + likeness) / (1 - likeness)) / rate;
}
