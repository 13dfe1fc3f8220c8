/* Functions of vectors by every set of kernels, beside the C library's in double. */
#include "tests/unit/unit.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/device/cross_entropy.h"
#include "runtime/device/kernels.h"
#include "runtime/device/norm.h"
#include "tests/unit/part.h"

static double sigmoid(double x)
{
	return 1 / (1 + exp(-x));
}

static double gelu(double x)
{
	return x * erfc(-x / sqrt(2)) / 2;
}

static double gelu_tanh(double x)
{
	return x * sigmoid(2 * sqrt(2 / acos(-1)) * (x + 0.044715 * x * x * x));
}

static double sigmoid_slope(double y)
{
	return y * (1 - y);
}

static double tanh_slope(double y)
{
	return 1 - y * y;
}

static double gelu_slope(double x)
{
	return erfc(-x / sqrt(2)) / 2 + x * exp(-x * x / 2) / sqrt(2 * acos(-1));
}

static double gelu_tanh_slope(double x)
{
	double k = 2 * sqrt(2 / acos(-1)), s = sigmoid(k * (x + 0.044715 * x * x * x));

	return s + x * s * (1 - s) * k * (1 + 3 * 0.044715 * x * x);
}

/* 0, extremes, and from -20 to 20, more of them near 0; a count that fills no whole vectors. */
enum { COUNT = 4003 };

static void arguments(float *x)
{
	const float special[] = { 0, -0.0f, 1e-30f, -1e-30f, 100, -100, 1e30f, -1e30f };

	for (size_t i = 0; i < COUNT; i++) {
		float at = ((float)i - COUNT / 2) / (COUNT / 2);

		x[i] = i % 2 ? at * 20 : at * at * at * 5;
	}
	memcpy(x, special, sizeof(special));
}

/* Small results are compared by their distance, as a sum in float would. */
static void check(const char *isa, const char *name, double tolerance, float x, float got,
		  double wanted)
{
	if (!(fabs(got - wanted) <= tolerance * fabs(wanted) + 1e-7 * fmin(1, fabs(x)) + 1e-37))
		fail_msg("%s %s(%.9g) is %.9g, not %.9g", isa, name, (double)x, (double)got,
			 wanted);
}

static void functions_match_the_library(void **state)
{
	float x[COUNT], y[COUNT];

	(void)state;
	arguments(x);
	for (const struct kernels *const *set = kernels_all(); *set; set++) {
		const struct {
			const char *name;
			void (*kernel)(float *y, const float *x, size_t count);
			double (*wanted)(double);
		} functions[] = { { "sigmoid", (*set)->sigmoid, sigmoid },
				  { "tanh", (*set)->tanh, tanh },
				  { "gelu", (*set)->gelu, gelu },
				  { "gelu_tanh", (*set)->gelu_tanh, gelu_tanh } };

		for (size_t f = 0; f < ARRAY_SIZE(functions); f++) {
			functions[f].kernel(y, x, COUNT);
			for (size_t i = 0; i < COUNT; i++)
				check((*set)->isa, functions[f].name, 3e-7, x[i], y[i],
				      functions[f].wanted(x[i]));
		}
	}
}

static void slopes_match_their_formulas(void **state)
{
	float x[COUNT], dy[COUNT], dx[COUNT];

	(void)state;
	arguments(x);
	for (const struct kernels *const *set = kernels_all(); *set; set++) {
		const struct {
			const char *name;
			void (*kernel)(float *dx, const float *x, const float *dy, size_t count);
			double (*wanted)(double);
		} slopes[] = { { "sigmoid'", (*set)->sigmoid_slope, sigmoid_slope },
			       { "tanh'", (*set)->tanh_slope, tanh_slope },
			       { "gelu'", (*set)->gelu_slope, gelu_slope },
			       { "gelu_tanh'", (*set)->gelu_tanh_slope, gelu_tanh_slope } };

		for (size_t i = 0; i < COUNT; i++)
			dy[i] = i % 3 ? 0.5f : -2;
		for (size_t f = 0; f < ARRAY_SIZE(slopes); f++) {
			slopes[f].kernel(dx, x, dy, COUNT);
			for (size_t i = 0; i < COUNT; i++)
				if (fabsf(x[i]) <= 100)
					check((*set)->isa, slopes[f].name, 1e-6, 8, dx[i],
					      slopes[f].wanted(x[i]) * dy[i]);
		}
	}
}

static void not_a_number_stays_one(void **state)
{
	(void)state;
	for (const struct kernels *const *set = kernels_all(); *set; set++) {
		float x[21], y[21];

		for (size_t i = 0; i < ARRAY_SIZE(x); i++)
			x[i] = i == 3 || i == 20 ? NAN : 1;
		(*set)->sigmoid(y, x, ARRAY_SIZE(x));
		assert_true(isnan(y[3]) && isnan(y[20]) && !isnan(y[4]));
		(*set)->tanh(y, x, ARRAY_SIZE(x));
		assert_true(isnan(y[3]) && isnan(y[20]) && !isnan(y[4]));
		(*set)->gelu(y, x, ARRAY_SIZE(x));
		assert_true(isnan(y[3]) && isnan(y[20]) && !isnan(y[4]));
		(*set)->gelu_tanh(y, x, ARRAY_SIZE(x));
		assert_true(isnan(y[3]) && isnan(y[20]) && !isnan(y[4]));
	}
}

static void rows_of_any_length_are_normalised(void **state)
{
	enum { ROWS = 3, MOST = 70 };
	float x[ROWS * MOST], y[ROWS * MOST], weight[MOST], bias[MOST], stats[2 * ROWS];

	(void)state;
	fill(weight, MOST, 2, 0);
	fill(bias, MOST, 3, 0);
	for (const struct kernels *const *set = kernels_all(); *set; set++)
		for (size_t count = 1; count <= MOST; count++) {
			fill(x, ROWS * count, count, 0);
			(*set)->norm_rows(&(struct norm_rows){ .rows = ROWS,
							       .count = count,
							       .x = x,
							       .weight = weight,
							       .bias = bias,
							       .epsilon = 1e-5f,
							       .stats = stats,
							       .y = y });
			for (size_t r = 0; r < ROWS; r++) {
				const float *row = x + r * count;
				double mean = 0, variance = 1e-5, z;

				for (size_t i = 0; i < count; i++)
					mean += row[i] / (double)count;
				for (size_t i = 0; i < count; i++)
					variance += pow(row[i] - mean, 2) / (double)count;
				for (size_t i = 0; i < count; i++) {
					z = (row[i] - mean) / sqrt(variance) * weight[i] + bias[i];
					assert_true(fabs(y[r * count + i] - z) < 1e-4);
				}
			}
		}
}

static void columns_are_summed(void **state)
{
	enum { ROWS = 5, STEP = 150 };
	float x[ROWS * STEP], sum[STEP];

	(void)state;
	fill(x, ROWS * STEP, 1, 0);
	for (const struct kernels *const *set = kernels_all(); *set; set++)
		for (size_t count = 1; count < STEP; count++) {
			sum[count] = 7;
			(*set)->sum_rows(sum, x, ROWS, STEP, count);
			assert_true(sum[count] == 7);
			for (size_t j = 0; j < count; j++) {
				float wanted = 0;

				for (size_t i = 0; i < ROWS; i++)
					wanted += x[i * STEP + j];
				assert_true(sum[j] == wanted);
			}
		}
}

static void a_cross_entropy_has_any_number_of_outputs(void **state)
{
	enum { MOST = 600 };
	float z[MOST], slopes[MOST];

	(void)state;
	for (const struct kernels *const *set = kernels_all(); *set; set++)
		for (size_t outputs = 2; outputs <= MOST; outputs += outputs < 70 ? 1 : 53) {
			float target = (float)(outputs / 3);
			double sum = 0, loss = 0, wanted;
			size_t correct = 0;

			fill(z, outputs, outputs, 0);
			for (size_t i = 0; i < outputs; i++) {
				z[i] = 10 * z[i] + 100;
				sum += exp(z[i]);
			}
			(*set)->cross_entropy(&(struct cross_entropy){ .rows = 1,
								       .outputs = outputs,
								       .logits = z,
								       .targets = &target,
								       .scale = 2,
								       .slopes = slopes },
					      &loss, &correct);
			/* cppcheck-suppress invalidFunctionArg ; sum is above 0 */
			wanted = log(sum) - z[(size_t)target];
			assert_true(fabs(loss - wanted) <= 3e-7 * wanted + 1e-12);
			for (size_t i = 0; i < outputs; i++) {
				wanted = 2 * (exp(z[i]) / sum - (i == (size_t)target));
				assert_true(fabs(slopes[i] - wanted) <= 1e-6);
			}
		}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(functions_match_the_library),
		cmocka_unit_test(slopes_match_their_formulas),
		cmocka_unit_test(not_a_number_stays_one),
		cmocka_unit_test(rows_of_any_length_are_normalised),
		cmocka_unit_test(columns_are_summed),
		cmocka_unit_test(a_cross_entropy_has_any_number_of_outputs),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
