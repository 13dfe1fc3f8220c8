/* CIFAR's binary files: what is read, and one clear line for everything that is wrong with them. */
#include "tests/unit/unit.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "lib/buf.h"
#include "tests/unit/format.h"

enum { PIXELS = 3072 };

/* Records of `labels` bytes from `label` on and pixels that are 10 * record + plane. */
static struct buf records(size_t count, size_t labels, unsigned label)
{
	struct buf out = { 0 };

	for (size_t i = 0; i < count; i++) {
		for (size_t k = 0; k < labels; k++)
			buf_add(&out, (unsigned char[]){ (unsigned char)(label + i + k) }, 1);
		for (size_t k = 0; k < PIXELS; k++)
			buf_add(&out, (unsigned char[]){ (unsigned char)(10 * i + k / 1024) }, 1);
	}
	return out;
}

static void write_records(const char *name, size_t count, size_t labels, unsigned label)
{
	struct buf bytes = records(count, labels, label);

	scratch_write(name, bytes.data, bytes.length);
	buf_release(&bytes);
}

static int make_files(void **state)
{
	if (scratch_make(state) < 0)
		return -1;
	write_records("one", 3, 1, 0);
	write_records("two", 2, 1, 7);
	return 0;
}

static void files_are_read_one_after_the_other(void **state)
{
	static const float labels[] = { 0, 1, 2, 7, 8 };
	struct dataset train = format_read("cifar10", "train=[one,two] test=two", DATA_TRAIN);
	struct dataset test = format_read("cifar10", "train=[one,two] test=two", DATA_TEST);

	(void)state;
	assert_int_equal(train.count, 5);
	assert_int_equal(train.classes, 10);
	assert_int_equal(train.shape.rank, 3);
	assert_memory_equal(train.shape.dim, ((size_t[]){ 3, 32, 32 }), 3 * sizeof(size_t));
	for (size_t i = 0; i < 5; i++) {
		assert_true(train.targets[i] == labels[i]);
		assert_int_equal(dataset_sample(&train, i)[0], 10 * (i % 3));
		assert_int_equal(dataset_sample(&train, i)[PIXELS - 1], 10 * (i % 3) + 2);
	}
	assert_int_equal(test.count, 2);
	assert_true(test.targets[0] == 7);
	dataset_release(&train);
	dataset_release(&test);
	test = format_read("cifar10", "train=one", DATA_TEST);
	assert_int_equal(test.count, 0);
	dataset_release(&test);
}

static void the_fine_label_or_the_coarse_one(void **state)
{
	struct dataset fine, coarse;

	(void)state;
	write_records("hundred", 2, 2, 18);
	fine = format_read("cifar100", "train=hundred", DATA_TRAIN);
	coarse = format_read("cifar100", "train=hundred label=coarse", DATA_TRAIN);
	assert_int_equal(fine.classes, 100);
	assert_int_equal(coarse.classes, 20);
	assert_true(fine.targets[0] == 19 && fine.targets[1] == 20);
	assert_true(coarse.targets[0] == 18 && coarse.targets[1] == 19);
	assert_int_equal(dataset_sample(&fine, 1)[0], 10);
	dataset_release(&fine);
	dataset_release(&coarse);
}

/* Planes of "one" are {0, 10, 20} + c: mean 10 + c, variance 200 / 3. */
static void standardised_channels_have_the_training_part_s_mean(void **state)
{
	const double deviation = sqrt(200.0 / 3);

	(void)state;
	for (int part = DATA_TRAIN; part <= DATA_TEST; part++) {
		struct dataset images = format_read("cifar10", "train=one test=two standardise=yes",
						    (enum data_part)part);

		for (size_t c = 0; c < 3; c++) {
			assert_true(fabs(images.scale[c] * deviation - 1) < 1e-6);
			assert_true(fabs(images.shift[c] * deviation + 10 + (double)c) < 1e-5);
		}
		dataset_release(&images);
	}
}

static void refuses(const void *bytes, size_t length, const char *message)
{
	scratch_write("broken", bytes, length);
	format_refuses("cifar10", "train=[one,broken]", DATA_TRAIN, message);
}

static void broken_files_are_refused(void **state)
{
	struct buf bytes = records(2, 1, 8);

	(void)state;
	refuses("", 0, "'broken' is empty");
	refuses("some text\n", 10,
		"'broken' is cut short or not of CIFAR's binary version: 10 bytes are left after 0 "
		"records of "
		"3073");
	refuses(bytes.data, 3074,
		"'broken' is cut short or not of CIFAR's binary version: 1 bytes are left after 1 "
		"records of "
		"3073");
	bytes.data[3073] = 10;
	refuses(bytes.data, bytes.length, "'broken': record 2: label 10 is out of range 0..9");
	buf_release(&bytes);
	format_refuses("cifar10", "train=.", DATA_TRAIN, "'.' is not a regular file");
	format_refuses("cifar10", "train=[one,missing]", DATA_TRAIN,
		       "cannot open 'missing': No such file or directory");
	format_refuses("cifar10", "train=one test=missing", DATA_TEST,
		       "cannot open 'missing': No such file or directory");
}

static void packed_files_are_read(void **state)
{
	struct dataset packed;
	struct buf bytes = { 0 };
	struct error err;

	(void)state;
	scratch_pack("one", "packed");
	packed = format_read("cifar10", "train=[packed,two]", DATA_TRAIN);
	assert_int_equal(packed.count, 5);
	assert_int_equal(dataset_sample(&packed, 2)[0], 20);
	dataset_release(&packed);
	assert_int_equal(file_read(&bytes, "packed", 100000, &err), 0);
	refuses(bytes.data, bytes.length - 3, "'broken' is cut short: its packed data end early");
	buf_release(&bytes);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(files_are_read_one_after_the_other),
		cmocka_unit_test(the_fine_label_or_the_coarse_one),
		cmocka_unit_test(standardised_channels_have_the_training_part_s_mean),
		cmocka_unit_test(broken_files_are_refused),
		cmocka_unit_test(packed_files_are_read),
	};

	return cmocka_run_group_tests(tests, make_files, scratch_remove);
}
