/*
 * Robust aggregation. Median and trimmed mean: Yin, Chen, Ramchandran and Bartlett,
 * "Byzantine-robust distributed learning: towards optimal statistical rates", ICML 2018. Krum:
 * Blanchard, El Mhamdi, Guerraoui and Stainer, "Machine learning with adversaries: Byzantine
 * tolerant gradient descent", NIPS 2017.
 */
#include "runtime/aggregate.h"

#include <math.h>
#include <stdlib.h>

#include "lib/error.h"
#include "lib/memory.h"
#include "lib/numbers.h"

struct aggregate {
	enum aggregate_rule rule;
	size_t n, tolerate;
	double *values;	      /* [n], of one coordinate, or of one row's distances */
	double *score;	      /* [n] */
	size_t *chosen, mean; /* rows, [mean] of them, by rules that choose */
};

const char *const aggregate_rules[] = { "median", "trimmed_mean", "majority",
					"krum",	  "multi_krum",	  NULL };

bool aggregate_chooses(const struct aggregate *aggregate)
{
	return aggregate->rule == AGGREGATE_KRUM || aggregate->rule == AGGREGATE_MULTI_KRUM;
}

static int check(const struct aggregate *aggregate, struct error *err)
{
	size_t n = aggregate->n, f = aggregate->tolerate;
	const char *name = aggregate_rules[aggregate->rule];

	if (aggregate_chooses(aggregate) && n < 2 * f + 3)
		return error_set(err,
				 "rule '%s' needs %zu ranks to bear %zu that are wrong, and there "
				 "are %zu",
				 name, 2 * f + 3, f, n);
	if (!aggregate_chooses(aggregate) && n < 2 * f + 1)
		return error_set(err,
				 "rule '%s' needs %zu ranks to bear %zu that are wrong, and there "
				 "are %zu",
				 name, 2 * f + 1, f, n);
	return 0;
}

struct aggregate *aggregate_new(enum aggregate_rule rule, size_t n, size_t tolerate,
				struct error *err)
{
	struct aggregate *aggregate = xcalloc(1, sizeof(*aggregate));

	*aggregate = (struct aggregate){ .rule = rule, .n = n, .tolerate = tolerate };
	if (check(aggregate, err) < 0) {
		free(aggregate);
		return NULL;
	}
	aggregate->values = xcalloc(n, sizeof(*aggregate->values));
	aggregate->score = xcalloc(n, sizeof(*aggregate->score));
	aggregate->chosen = xcalloc(n, sizeof(*aggregate->chosen));
	aggregate->mean = rule == AGGREGATE_MULTI_KRUM ? n - tolerate - 2 : 1;
	return aggregate;
}

void aggregate_free(struct aggregate *aggregate)
{
	if (!aggregate)
		return;
	free(aggregate->values);
	free(aggregate->score);
	free(aggregate->chosen);
	free(aggregate);
}

static double squared_distance(const float *a, const float *b, size_t count)
{
	double sum = 0;

	for (size_t i = 0; i < count; i++)
		sum += ((double)a[i] - b[i]) * ((double)a[i] - b[i]);
	return sum;
}

void aggregate_distances(const struct aggregate *aggregate, const float *const *rows, size_t count,
			 float *distance)
{
	size_t n = aggregate->n;

	for (size_t i = 0; i < n; i++)
		for (size_t j = 0; j <= i; j++)
			distance[i * n + j] = distance[j * n + i] =
				(float)squared_distance(rows[i], rows[j], count);
}

/* Of row i: the sum of the n - tolerate - 2 least distances to others. What is not finite is far
 * away: a row of which that is true has no near ones, and is near to nobody. */
static double score_of(const struct aggregate *aggregate, const float *distance, size_t i)
{
	size_t count = 0;
	double sum = 0;

	for (size_t j = 0; j < aggregate->n; j++) {
		double apart = distance[i * aggregate->n + j];

		if (j != i)
			aggregate->values[count++] = isfinite(apart) ? apart : (double)INFINITY;
	}
	numbers_sort(aggregate->values, count);
	for (size_t k = 0; k < aggregate->n - aggregate->tolerate - 2; k++)
		sum += aggregate->values[k];
	return sum;
}

int aggregate_choose(struct aggregate *aggregate, const float *distance, struct error *err)
{
	for (size_t i = 0; i < aggregate->n; i++)
		aggregate->score[i] = score_of(aggregate, distance, i);
	for (size_t k = 0; k < aggregate->mean; k++) {
		size_t best = 0;

		for (size_t i = 1; i < aggregate->n; i++)
			if (aggregate->score[i] < aggregate->score[best])
				best = i;
		if (!isfinite(aggregate->score[best]))
			return error_set(err,
					 "too few gradients are finite: more ranks are wrong than "
					 "the %zu of sync.tolerate",
					 aggregate->tolerate);
		aggregate->chosen[k] = best;
		aggregate->score[best] = (double)INFINITY;
	}
	return 0;
}

static double trimmed_mean(double *x, size_t count, size_t trim)
{
	double sum = 0;

	numbers_sort(x, count);
	for (size_t i = trim; i < count - trim; i++)
		sum += x[i];
	return sum / (double)(count - 2 * trim);
}

static double majority(double *x, size_t count)
{
	size_t plus = 0, minus = 0;
	double size;

	for (size_t i = 0; i < count; i++) {
		plus += x[i] > 0;
		minus += x[i] < 0;
		x[i] = fabs(x[i]);
	}
	size = numbers_median(x, count);
	return plus == minus ? 0 : plus > minus ? size : -size;
}

/* Coordinate k of those rows where it is finite: what is not was one of the wrong ones. */
static double mix_coordinate(struct aggregate *aggregate, const float *const *rows, size_t k)
{
	double *values = aggregate->values;
	size_t count = 0, refused;

	for (size_t i = 0; i < aggregate->n; i++)
		if (isfinite(rows[i][k]))
			values[count++] = rows[i][k];
	if (count == 0)
		return (double)NAN;
	if (aggregate->rule == AGGREGATE_MEDIAN)
		return numbers_median(values, count);
	if (aggregate->rule == AGGREGATE_MAJORITY)
		return majority(values, count);
	refused = aggregate->n - count;
	return trimmed_mean(values, count,
			    refused < aggregate->tolerate ? aggregate->tolerate - refused : 0);
}

static double mean_of_chosen(const struct aggregate *aggregate, const float *const *rows, size_t k)
{
	double sum = 0;

	for (size_t i = 0; i < aggregate->mean; i++)
		sum += rows[aggregate->chosen[i]][k];
	return sum / (double)aggregate->mean;
}

void aggregate_mix(struct aggregate *aggregate, const float *const *rows, size_t count, float *y)
{
	bool chooses = aggregate_chooses(aggregate);

	for (size_t k = 0; k < count; k++)
		y[k] = (float)(chooses ? mean_of_chosen(aggregate, rows, k)
				       : mix_coordinate(aggregate, rows, k));
}
