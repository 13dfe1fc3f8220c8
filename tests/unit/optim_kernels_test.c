/* The optimizers' kernels: every instruction set against the formulas of optim_step.h in doubles.
 */
#include "tests/unit/unit.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/device/kernels.h"
#include "runtime/device/optim_step.h"
#include "tests/unit/part.h"

enum { MOST = 2100, ARRAYS = 4 };

static const size_t counts[] = { 0, 1, 7, 16, 33, 1024, MOST };

/* Weights, two slots of which the second is never negative, and the gradient. */
struct arrays {
	float *x[ARRAYS];
};

static struct arrays arrays_new(void)
{
	struct arrays a;

	for (size_t i = 0; i < ARRAYS; i++)
		a.x[i] = filled(MOST, i + 1, 0);
	for (size_t i = 0; i < MOST; i++)
		a.x[2][i] = a.x[2][i] * a.x[2][i];
	return a;
}

static void arrays_release(struct arrays *a)
{
	for (size_t i = 0; i < ARRAYS; i++)
		free(a->x[i]);
}

/* What a step makes of element i of each array; returns LAMB's direction. */
typedef double formula(double *w, double *slot0, double *slot1, double grad);

static const struct sgd_step sgd_step = { 0.5f, 0.1f, 0.2f, 0.9f, 0.7f, 1, 0.9f };
static const struct adam_step adam_step = {
	0.5f, 0.1f, 0.2f, 0.9f, 0.1f, 0.99f, 0.01f, 0.95f, 0.1f
};
static const struct adagrad_step adagrad_step = { 0.5f, 0.1f, 0.2f, 0.3f, 0.1f };
static const struct lamb_step lamb_step = { 0.5f, 0.1f, 0.2f, 0.9f, 0.1f, 0.99f, 0.01f, 2, 0.1f };

static double sgd(double *w, double *slot0, double *slot1, double grad)
{
	(void)slot0;
	(void)slot1;
	*w -= sgd_step.lr * (sgd_step.scale * grad + sgd_step.decay * *w);
	return 0;
}

static double sgd_momentum(double *w, double *slot0, double *slot1, double grad)
{
	double g = sgd_step.scale * grad + sgd_step.decay * *w;

	(void)slot1;
	*slot0 = sgd_step.momentum * *slot0 + sgd_step.rest * g;
	*w -= sgd_step.lr * (sgd_step.of_gradient * g + sgd_step.of_velocity * *slot0);
	return 0;
}

static double adam(double *w, double *slot0, double *slot1, double grad)
{
	double g = adam_step.scale * grad + adam_step.decay * *w;

	*slot0 = adam_step.beta1 * *slot0 + adam_step.rest1 * g;
	*slot1 = adam_step.beta2 * *slot1 + adam_step.rest2 * g * g;
	*w = adam_step.shrink * *w - adam_step.lr * *slot0 / (sqrt(*slot1) + adam_step.eps);
	return 0;
}

static double adagrad(double *w, double *slot0, double *slot1, double grad)
{
	double g = adagrad_step.scale * grad + adagrad_step.decay * *w;

	(void)slot0;
	*slot1 += adagrad_step.initial + g * g;
	*w -= adagrad_step.lr * g / (sqrt(*slot1) + adagrad_step.eps);
	return 0;
}

static double lamb(double *w, double *slot0, double *slot1, double grad)
{
	double g = lamb_step.scale * grad, direction;

	*slot0 = lamb_step.beta1 * *slot0 + lamb_step.rest1 * g;
	*slot1 = lamb_step.beta2 * *slot1 + lamb_step.rest2 * g * g;
	direction = lamb_step.correction * *slot0 / (sqrt(*slot1) + lamb_step.eps) +
		    lamb_step.decay * *w;
	*w -= lamb_step.lr * direction;
	return direction;
}

static double squares(const float *x, size_t count)
{
	double sum = 0;

	for (size_t i = 0; i < count; i++)
		sum += (double)x[i] * x[i];
	return sum;
}

/* `got` began as `from`; nothing behind `count` was touched. */
static double compare(const struct arrays *from, const struct arrays *got, size_t count,
		      formula *expected)
{
	double directions = 0;

	for (size_t i = 0; i < MOST; i++) {
		double x[ARRAYS] = { from->x[0][i], from->x[1][i], from->x[2][i], from->x[3][i] };
		double direction = i < count ? expected(&x[0], &x[1], &x[2], x[3]) : 0;

		directions += direction * direction;
		for (size_t j = 0; j < ARRAYS; j++)
			assert_true(fabs(got->x[j][i] - x[j]) < (i < count ? 2e-6 : 1e-30));
	}
	return directions;
}

static void check_set(const struct kernels *set, size_t count)
{
	static formula *const formulas[] = { sgd, sgd_momentum, adam, adagrad, lamb };
	struct arrays from = arrays_new();

	for (size_t i = 0; i < ARRAY_SIZE(formulas); i++) {
		struct arrays to = arrays_new();
		float *w = to.x[0], *slot0 = to.x[1], *slot1 = to.x[2], *grad = to.x[3];
		double sums[2] = { 1, 2 }, directions;

		switch (i) {
		case 0: set->sgd(&sgd_step, w, grad, count); break;
		case 1: set->sgd_momentum(&sgd_step, w, slot0, grad, count); break;
		case 2: set->adam(&adam_step, w, slot0, slot1, grad, count); break;
		case 3: set->adagrad(&adagrad_step, w, slot1, grad, count); break;
		default:
			set->lamb_measure(&lamb_step, w, slot0, slot1, grad, count, sums);
			assert_memory_equal(w, from.x[0], MOST * sizeof(*w));
			set->lamb(&lamb_step, w, slot0, slot1, count);
		}
		directions = compare(&from, &to, count, formulas[i]);
		if (i == 4) {
			assert_true(fabs(sums[0] - 1 - squares(from.x[0], count)) < 1e-9 * MOST);
			assert_true(fabs(sums[1] - 2 - directions) < 1e-5 * (1 + directions));
		}
		arrays_release(&to);
	}
	arrays_release(&from);
}

static void every_set_computes_the_formulas(void **state)
{
	(void)state;
	for (const struct kernels *const *set = kernels_all(); *set; set++)
		for (size_t i = 0; i < ARRAY_SIZE(counts); i++)
			check_set(*set, counts[i]);
}

static void sums_of_squares_are_the_same_on_all_sets(void **state)
{
	float *x = filled(MOST, 5, 0);

	(void)state;
	for (const struct kernels *const *set = kernels_all(); *set; set++)
		for (size_t i = 0; i < ARRAY_SIZE(counts); i++) {
			double sum = (*set)->sum_squares(x, counts[i]);

			assert_true(sum == kernels_all()[0]->sum_squares(x, counts[i]));
			assert_true(fabs(sum - squares(x, counts[i])) < 1e-9);
		}
	x[3] = INFINITY;
	assert_true(isinf(kernels()->sum_squares(x, MOST)));
	free(x);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_set_computes_the_formulas),
		cmocka_unit_test(sums_of_squares_are_the_same_on_all_sets),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
