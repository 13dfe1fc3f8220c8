/* Made-up data: both parts tell of the same truth, with samples of their own. */
#include "tests/unit/unit.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "tests/unit/format.h"

enum { FEATURES = 3, CLASSES = 4 };

/* The mean of each class of a part. */
static void class_means(enum data_part which, double mean[CLASSES][FEATURES])
{
	struct dataset part =
		format_read("synthetic",
			    "samples=4000 test_samples=4000 features=3 classes=4 noise=0.5", which);
	size_t of_class[CLASSES] = { 0 };

	memset(mean, 0, sizeof(double[CLASSES][FEATURES]));
	for (size_t i = 0; i < part.count; i++) {
		size_t class = (size_t)part.targets[i];

		of_class[class]++;
		for (size_t f = 0; f < FEATURES; f++)
			mean[class][f] += part.floats[i * FEATURES + f];
	}
	for (size_t c = 0; c < CLASSES; c++) {
		assert_true(of_class[c] > 900);
		for (size_t f = 0; f < FEATURES; f++)
			mean[c][f] /= (double)of_class[c];
	}
	dataset_release(&part);
}

static void classes_are_clouds_around_the_same_centres_in_both_parts(void **state)
{
	double train[CLASSES][FEATURES], test[CLASSES][FEATURES], apart = 0;

	(void)state;
	class_means(DATA_TRAIN, train);
	class_means(DATA_TEST, test);
	for (size_t c = 0; c < CLASSES; c++) {
		for (size_t f = 0; f < FEATURES; f++) {
			assert_true(fabs(train[c][f] - test[c][f]) < 0.1); /* 4.5 sigma */
			apart = fmax(apart, fabs(train[c][f] - train[0][f]));
		}
	}
	assert_true(apart > 0.5);
}

static void no_sample_is_in_both_parts_or_twice(void **state)
{
	const char *settings = "samples=100 test_samples=100 features=1";
	struct dataset train = format_read("synthetic", settings, DATA_TRAIN);
	struct dataset test = format_read("synthetic", settings, DATA_TEST);

	(void)state;
	for (size_t i = 0; i < 100; i++) {
		for (size_t k = 0; k < 100; k++) {
			assert_true(train.floats[i] != test.floats[k]);
			assert_true(i == k || train.floats[i] != train.floats[k]);
		}
	}
	dataset_release(&train);
	dataset_release(&test);
}

/* Without noise, y is w x for one w: the weight of the first sample explains all others. */
static void values_come_from_one_linear_function(void **state)
{
	const char *settings = "task=regress features=1 noise=0 samples=50 test_samples=50";

	(void)state;
	for (int which = DATA_TRAIN; which <= DATA_TEST; which++) {
		struct dataset train = format_read("synthetic", settings, DATA_TRAIN);
		struct dataset part = format_read("synthetic", settings, which);
		float weight = train.targets[0] / train.floats[0];

		assert_int_equal(part.classes, 0);
		for (size_t i = 0; i < part.count; i++)
			assert_true(fabsf(part.targets[i] - weight * part.floats[i]) < 1e-5f);
		dataset_release(&train);
		dataset_release(&part);
	}
}

static void another_seed_is_another_truth(void **state)
{
	struct part part = format_part("synthetic", "samples=5 noise=0 classes=2 features=2");
	const struct data_format *format = (const struct data_format *)(const void *)part.entry;
	struct dataset one, two;
	struct error err;

	(void)state;
	assert_int_equal(format->load(part.params, DATA_TRAIN, 1, &one, &err), 0);
	assert_int_equal(format->load(part.params, DATA_TRAIN, 2, &two, &err), 0);
	for (size_t i = 0; i < 5; i++)
		for (size_t k = 0; k < 5; k++)
			assert_true(one.floats[2 * i] != two.floats[2 * k]);
	dataset_release(&one);
	dataset_release(&two);
	part_release(&part);
}

static void no_test_samples_are_no_test_part(void **state)
{
	struct dataset test = format_read("synthetic", "test_samples=0", DATA_TEST);

	(void)state;
	assert_int_equal(test.count, 0);
	dataset_release(&test);
}

static void a_shape_changes_nothing_but_the_shape(void **state)
{
	struct dataset row = format_read("synthetic", "samples=5 features=24", DATA_TRAIN);
	struct dataset cube = format_read("synthetic", "samples=5 shape=[2,3,4]", DATA_TRAIN);

	(void)state;
	assert_int_equal(row.shape.rank, 1);
	assert_int_equal(cube.shape.rank, 3);
	assert_int_equal(cube.shape.dim[0], 2);
	assert_int_equal(cube.shape.dim[1], 3);
	assert_int_equal(cube.shape.dim[2], 4);
	assert_memory_equal(row.floats, cube.floats, 5 * 24 * sizeof(float));
	dataset_release(&row);
	dataset_release(&cube);
}

static void shapes_beyond_reason_are_refused(void **state)
{
	(void)state;
	format_refuses("synthetic", "shape=[2,2,2,2,2]", DATA_TRAIN,
		       "data.shape has 5 dimensions; at most 4 are possible");
	format_refuses("synthetic", "shape=[65536,65536,65536,65536]", DATA_TRAIN,
		       "data.shape makes a sample of more than 1000000 numbers");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(classes_are_clouds_around_the_same_centres_in_both_parts),
		cmocka_unit_test(no_sample_is_in_both_parts_or_twice),
		cmocka_unit_test(values_come_from_one_linear_function),
		cmocka_unit_test(another_seed_is_another_truth),
		cmocka_unit_test(no_test_samples_are_no_test_part),
		cmocka_unit_test(a_shape_changes_nothing_but_the_shape),
		cmocka_unit_test(shapes_beyond_reason_are_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
