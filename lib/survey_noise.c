/*
 * How sure a figure is that was read several times. Few readings say little of their own scatter,
 * so that of all readings counts beside it, as in moderated statistics (Smyth, "Linear models and
 * empirical Bayes methods", 2004): each variance is taken to have been seen PRIOR times before.
 */
#include <math.h>

#include "lib/survey_inside.h"

enum { PRIOR = 8 };
#define USUAL 0.025 /* standard deviation of a reading, as a part of it, on quiet hosts */
#define ALIKE 0.12  /* readings further from the figure were hit by something else */

/* Student's t for 95 %, two-sided, from 8 degrees of freedom. */
static double student(double freedom)
{
	return 1.96 + 2.75 / freedom;
}

double survey_interval(const struct survey *survey, const double *readings, size_t count,
		       double figure)
{
	double noise = survey->noise > 0 ? survey->noise : USUAL, square = PRIOR * noise * noise;
	double alike = 0;

	for (size_t i = 0; i < count; i++) {
		double off = readings[i] / figure - 1;

		if (fabs(off) > ALIKE)
			continue;
		square += off * off;
		alike++;
	}
	if (alike == 0)
		return NAN;
	return student(PRIOR + alike - 1) * sqrt(square / (PRIOR + alike - 1) / alike);
}

/* Of pairs that were read several times; of many hosts, some are enough to know it. */
void survey_note_noise(struct survey *survey)
{
	size_t hosts = survey->hosts < SURVEY_LARGE ? survey->hosts : SURVEY_LARGE;
	double square = PRIOR * USUAL * USUAL, freedom = PRIOR;

	for (size_t i = 0; i < hosts * hosts; i++) {
		int from = (int)(i / hosts), to = (int)(i % hosts);
		const struct measured *measured = survey_measured(survey, from, to);
		double figure = links_pair(&survey->model, from, to)->bytes_per_s;

		if (from == to || !measured->settled)
			continue;
		for (unsigned r = 0; r < measured->count; r++) {
			double off = measured->readings[r].bytes_per_s / figure - 1;

			if (fabs(off) > ALIKE || measured->count < 2)
				continue;
			square += off * off;
			freedom += 1 - 1.0 / measured->count;
		}
	}
	survey->noise = sqrt(square / freedom);
}
