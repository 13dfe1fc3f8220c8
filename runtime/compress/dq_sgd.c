/*
 * Levels of a norm, more of them for larger gradients: B = log2(kappa a^((N - n) / 2) |g_n| + 1) +
 * 1 bits in step n of N (Yan et al., "Dynamic quantized SGD"). kappa is given, or follows from the
 * error that quantising may add, or from the bits that may be sent.
 */
#include "runtime/compress/compress.h"

#include <math.h>

#include "lib/opt.h"
#include "runtime/compress/width.h"

enum mode { MODE_BUDGET, MODE_ERROR, MODE_FIXED };
enum rounding { ROUND_CARRY, ROUND_NEAREST, ROUND_UP };

struct dq_params {
	struct width_params width;
	int mode, rounding;
	double budget, kappa, decay;
	double error, lr, smoothness;
};

static const char *const modes[] = { "budget", "error", "fixed", NULL };
static const char *const roundings[] = { "carry", "nearest", "up", NULL };

#define ROW(field) offsetof(struct dq_params, field)

static const struct opt options[] = {
	{ "mode", OPT_CHOICE, ROW(mode), "budget", "what decides how many bits", .choices = modes },
	WIDTH_OPTION,
	{ "rounding", OPT_CHOICE, ROW(rounding), "carry", "how bits become a whole number",
	  .choices = roundings },
	{ "budget", OPT_REAL, ROW(budget), "4.5", "mean bits of a coordinate, with mode budget",
	  .min = 2, .max = 8 },
	{ "kappa", OPT_REAL, ROW(kappa), "5", "levels per unit of the norm, with mode fixed",
	  .min = 1e-9, .max = 1e12 },
	{ "decay", OPT_REAL, ROW(decay), "1", "the smaller, the more bits come late; a per step",
	  .min = 0.9, .max = 1 },
	{ "error", OPT_REAL, ROW(error), "0.01",
	  "mean squared gradient that quantising may add, with mode error", .min = 1e-12,
	  .max = 1e12 },
	{ "lr", OPT_REAL, ROW(lr), "0.01", "learning rate, for mode error", .min = 1e-9,
	  .max = 1e3 },
	{ "smoothness", OPT_REAL, ROW(smoothness), "1", "of the loss, for mode error", .min = 1e-9,
	  .max = 1e9 },
	{ 0 }
};

/* What is kept; logarithms are to base 2. */
enum state {
	LEVEL, /* bits now */
	USED,  /* bits of all steps so far */
	FAST,  /* means of the norm's logarithm, over about 10 steps and 100 */
	SLOW,
	KAPPA,	 /* its logarithm */
	CARRIED, /* bits that rounding has kept back */
	STEPS,	 /* that had a norm */
	STATE
};

enum { SOLVE_EVERY = 20, HORIZON = 1000, SAMPLES = 64 };

/* log2(2^log + 1) + 1, within what codes can have. */
static double bits_of(double log)
{
	return fmin(fmax(log2(exp2(fmin(log, 40)) + 1) + 1, WIDTH_LEAST), WIDTH_MOST);
}

/* log2 of a^((N - n) / 2). */
static double log_decay(const struct dq_params *dq, const struct compress_step *step, double n)
{
	return step->steps ? log2(dq->decay) * ((double)step->steps - n) / 2 : 0;
}

/* With sums of squares of magnitudes below 2 / (smoothness lr), as the non-convex bound has it. */
static double kappa_of_error(const struct dq_params *dq, size_t count)
{
	double slack = fmax(2 - dq->smoothness * dq->lr, 0.1);

	return sqrt(dq->smoothness * (double)count * dq->lr / (6 * slack * dq->error));
}

/* By how much the norm's logarithm changes in a step: the slow mean lags behind the fast one by
 * about 90 steps. */
static double trend(const float *state)
{
	return (double)(state[FAST] - state[SLOW]) / 90;
}

/* Mean bits from step n to the end if norms go on as they did, by at most a factor of 8. */
static double mean_bits(const struct dq_params *dq, const struct compress_step *step,
			const float *state, double log_kappa, double left)
{
	double sum = 0;

	for (int i = 0; i < SAMPLES; i++) {
		double ahead = left * (i + 0.5) / SAMPLES;
		double drift = fmin(fmax(trend(state) * ahead, -3), 3);

		sum += bits_of(log_kappa + (double)state[FAST] + drift +
			       log_decay(dq, step, (double)step->step + ahead));
	}
	return sum / SAMPLES;
}

/* The kappa that spends what is left of the budget. */
static float solve(const struct dq_params *dq, const struct compress_step *step, const float *state)
{
	double n = (double)step->step, left = HORIZON, low = -200, high = 200, wanted;

	if (step->steps > step->step)
		left = (double)(step->steps - step->step);
	wanted = (dq->budget * (n + left) - (double)state[USED]) / left;
	for (int i = 0; i < 40; i++) {
		double middle = (low + high) / 2;

		if (mean_bits(dq, step, state, middle, left) < wanted)
			low = middle;
		else
			high = middle;
	}
	return (float)((low + high) / 2);
}

static void follow(const struct dq_params *dq, const struct compress_step *step, double norm,
		   float *state)
{
	float log = (float)log2(norm);

	if (state[STEPS] == 0)
		state[FAST] = state[SLOW] = log;
	state[FAST] += 0.1f * (log - state[FAST]);
	state[SLOW] += 0.01f * (log - state[SLOW]);
	if (dq->mode == MODE_FIXED)
		state[KAPPA] = (float)log2(dq->kappa);
	else if (dq->mode == MODE_ERROR)
		state[KAPPA] = (float)log2(kappa_of_error(dq, step->count));
	else if ((size_t)state[STEPS] % SOLVE_EVERY == 0)
		state[KAPPA] = solve(dq, step, state);
	state[STEPS]++;
}

/* What rounding keeps back is added next time: the mean is exact. */
static float whole(const struct dq_params *dq, double bits, float *state)
{
	float level;

	if (dq->rounding != ROUND_CARRY)
		return width_clip(dq->rounding == ROUND_UP ? ceil(bits) : bits);
	level = width_clip(bits + (double)state[CARRIED]);
	state[CARRIED] += (float)bits - level;
	return level;
}

static void adapt(const void *params, const struct compress_step *step, float *state)
{
	const struct dq_params *dq = params;
	double norm = dq->width.norm == WIDTH_EUCLIDEAN ? step->norm2 : step->norm_inf, bits;

	if (step->count && norm > 0) {
		follow(dq, step, norm, state);
		bits = bits_of((double)state[KAPPA] + log2(norm) +
			       log_decay(dq, step, (double)step->step));
		state[LEVEL] = whole(dq, bits, state);
	} else if (state[LEVEL] == 0) {
		state[LEVEL] = dq->mode == MODE_BUDGET ? width_clip(dq->budget) : WIDTH_MOST;
	}
	state[USED] += state[LEVEL];
}

const struct compressor compress_dq_sgd = {
	.entry = { .name = "dq_sgd",
		   .summary = "bits by the gradient's norm and the steps left: 2 to 8",
		   .options = options,
		   .params_size = sizeof(struct dq_params) },
	WIDTH_COMPRESSOR,
	.state_count = STATE,
	.adapt = adapt,
};
