/* NumPy's files: what is read, and one clear line for everything that is wrong with them. */
#include "tests/unit/unit.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "lib/buf.h"
#include "tests/unit/format.h"

#define PLAIN "train.x=x train.y=y "

static int make_files(void **state)
{
	static const float x[] = { 1, -2, 3.5f, 4, 5, 6 };
	static const uint8_t y[] = { 0, 2, 1 };

	if (scratch_make(state) < 0)
		return -1;
	npy_write("x", "<f4", "3, 2", x, sizeof(x));
	npy_write("y", "|u1", "3,", y, sizeof(y));
	return 0;
}

static void floats_of_four_bytes_stay_in_the_file(void **state)
{
	struct dataset train = format_read("npy", PLAIN, DATA_TRAIN);

	(void)state;
	assert_int_equal(train.count, 3);
	assert_int_equal(train.shape.rank, 1);
	assert_int_equal(train.shape.dim[0], 2);
	assert_int_equal(train.classes, 3);
	assert_int_equal(train.file_count, 1);
	assert_true(train.floats[1] == -2 && train.floats[5] == 6);
	assert_true(train.targets[1] == 2);
	dataset_release(&train);
	scratch_pack("x", "packed");
	train = format_read("npy", "train.x=packed train.y=y", DATA_TRAIN);
	assert_true(train.floats[1] == -2 && train.floats[5] == 6);
	dataset_release(&train);
}

static void bytes_are_scaled_planes(void **state)
{
	static const uint8_t x[] = { 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11 };
	struct dataset train;

	(void)state;
	npy_write("bytes", "|u1", "3, 2, 2", x, sizeof(x));
	train = format_read("npy", "train.x=bytes train.y=y scale=2 shift=1", DATA_TRAIN);
	assert_int_equal(train.shape.rank, 3);
	assert_memory_equal(train.shape.dim, ((size_t[]){ 1, 2, 2 }), 3 * sizeof(size_t));
	assert_true(train.scale[0] == 2 && train.shift[0] == 1);
	assert_int_equal(dataset_sample(&train, 2)[3], 11);
	dataset_release(&train);
	train = format_read("npy", "train.x=bytes train.y=y standardise=yes", DATA_TRAIN);
	assert_true(fabs(train.shift[0] / train.scale[0] + 5.5) < 1e-5);
	dataset_release(&train);
	format_refuses("npy", PLAIN "standardise=yes", DATA_TRAIN,
		       "data.standardise is for bytes, and 'x' holds other numbers");
	format_refuses("npy", "train.x=bytes train.y=y test.x=x test.y=y", DATA_TEST,
		       "'x' holds samples of another shape or type than 'bytes'");
}

static void assert_converted(const char *type, const void *elements, size_t length)
{
	struct dataset train;

	npy_write("other", type, "3, 1", elements, length);
	train = format_read("npy", "train.x=other train.y=y", DATA_TRAIN);
	assert_true(train.floats[0] == 1 && train.floats[1] == 100 && train.floats[2] == -3);
	assert_true(dataset_bytes(&train) == 3 * 2 * sizeof(float)); /* with the labels */
	dataset_release(&train);
}

static void other_numbers_become_floats(void **state)
{
	(void)state;
	assert_converted("<f8", (double[]){ 1, 100, -3 }, 24);
	assert_converted("|i1", (int8_t[]){ 1, 100, -3 }, 3);
	assert_converted("<i2", (int16_t[]){ 1, 100, -3 }, 6);
	assert_converted("<i4", (int32_t[]){ 1, 100, -3 }, 12);
	assert_converted("<i8", (int64_t[]){ 1, 100, -3 }, 24);
	npy_write("large", "<f8", "3, 1", (double[]){ 1, 1e39, 1 }, 24);
	format_refuses("npy", "train.x=large train.y=y", DATA_TRAIN,
		       "'large': record 2: element 1 is no finite number of 32 bits");
	npy_write("nan", "<f4", "3, 2", (float[]){ 1, 1, 1, 1, 1, NAN }, 24);
	format_refuses("npy", "train.x=nan train.y=y", DATA_TRAIN,
		       "'nan': record 3: element 2 is no finite number of 32 bits");
}

static void labels_are_classes_or_values(void **state)
{
	struct dataset train;

	(void)state;
	npy_write("whole", "<i8", "3, 1", (int64_t[]){ 4, 0, 1 }, 24);
	train = format_read("npy", "train.x=x train.y=whole", DATA_TRAIN);
	assert_int_equal(train.classes, 5);
	assert_true(train.targets[0] == 4);
	dataset_release(&train);
	format_refuses("npy", "train.x=x train.y=whole classes=3", DATA_TRAIN,
		       "'whole': record 1: label 4 is out of range 0..2");
	npy_write("negative", "<i4", "3,", (int32_t[]){ 1, 0, -1 }, 12);
	format_refuses("npy", "train.x=x train.y=negative", DATA_TRAIN,
		       "'negative': record 3: label -1 is out of range 0..1");
	npy_write("real", "<f4", "3,", (float[]){ 1, 0.5, -1 }, 12);
	format_refuses("npy", "train.x=x train.y=real", DATA_TRAIN,
		       "'real': record 2: label 0.5 is not a class number; for values there is "
		       "data.task: regress");
	train = format_read("npy", "train.x=x train.y=real task=regress", DATA_TRAIN);
	assert_int_equal(train.classes, 0);
	assert_true(train.targets[1] == 0.5f);
	dataset_release(&train);
	npy_write("pairs", "<f4", "3, 2", (float[]){ 1, 2, 3, 4, 5, 6 }, 24);
	format_refuses("npy", "train.x=x train.y=pairs task=regress", DATA_TRAIN,
		       "'pairs' has 2 numbers for each record, not one label");
	npy_write("few", "|u1", "2,", "\0\1", 2);
	format_refuses("npy", "train.x=x train.y=few", DATA_TRAIN,
		       "'few' has 2 labels, but 'x' has 3 samples");
	format_refuses("npy", PLAIN "test.x=x", DATA_TEST,
		       "'test.x' and 'test.y' go together; 'test.y' is missing");
}

static void refuses_header(const char *header, const char *message)
{
	struct buf bytes = { 0 };

	buf_add(&bytes, "\x93NUMPY\2\0", 8);
	wire_put_u32(&bytes, (uint32_t)strlen(header));
	buf_addf(&bytes, "%s", header);
	buf_add(&bytes, (float[]){ 1, 2 }, 8);
	scratch_write("broken", bytes.data, bytes.length);
	format_refuses("npy", "train.x=broken train.y=y", DATA_TRAIN, message);
	buf_release(&bytes);
}

static void what_a_header_says_is_checked(void **state)
{
	(void)state;
	refuses_header("{'descr': '<f4', 'fortran_order': True, 'shape': (2,), }",
		       "'broken' is in Fortran order; save numpy.ascontiguousarray() of it");
	refuses_header("{'descr': '>f4', 'fortran_order': False, 'shape': (2,), }",
		       "'broken' has elements of type '>f4'; only little-endian integers and "
		       "floats of 4 or 8 bytes are read");
	refuses_header("{'descr': [('a', '<f4')], 'fortran_order': False, 'shape': (2,), }",
		       "'broken' has elements of type ''; only little-endian integers and floats "
		       "of 4 or 8 bytes are read");
	refuses_header("{'descr': '<f4', 'fortran_order': False, 'shape': (), }",
		       "'broken' holds no array, or a damaged header");
	refuses_header("{'descr': '<f4'}", "'broken' holds no array, or a damaged header");
	refuses_header("{'descr': '<f4', 'fortran_order': False, 'shape': (2, 0), }",
		       "'broken' is empty: dimension 1 is 0");
	refuses_header("{'descr': '<f4', 'fortran_order': False, 'shape': (1, 1, 1, 1, 1, 2)}",
		       "'broken' has more than 5 dimensions");
	refuses_header("{'descr': '<f4', 'fortran_order': False, 'shape': (3,)}",
		       "'broken' is cut short: 2 of 3 elements are there");
	refuses_header("{'descr': '<f4', 'fortran_order': False, 'shape': (1,)}",
		       "'broken' has extra bytes behind its 1 elements");
	refuses_header("{'descr': '<f4', 'fortran_order': False, 'shape': (4000000000, "
		       "4000000000)}",
		       "'broken' claims more elements than a file can hold");
}

static void refuses_bytes(const void *bytes, size_t length, const char *message)
{
	scratch_write("broken", bytes, length);
	format_refuses("npy", "train.x=broken train.y=y", DATA_TRAIN, message);
}

static void broken_files_are_refused(void **state)
{
	struct buf good = { 0 };
	struct error err;

	(void)state;
	assert_int_equal(file_read(&good, "x", 10000, &err), 0);
	refuses_bytes("", 0, "'broken' is not a .npy file");
	refuses_bytes("1,2,3\n4,5,6\n", 12, "'broken' is not a .npy file");
	refuses_bytes("PK\3\4 and more", 13,
		      "'broken' is an archive, maybe an .npz; unzip the .npy from it");
	refuses_bytes("\x93NUMPY\4\0\0\0", 10,
		      "'broken' has version 4 of .npy, which is not known");
	for (size_t length = 10; length < 128; length += 7)
		refuses_bytes(good.data, length, "'broken' is cut short within its header");
	refuses_bytes(good.data, good.length - 1,
		      "'broken' is cut short: 5 of 6 elements are there");
	buf_release(&good);
	format_refuses("npy", "train.x=. train.y=y", DATA_TRAIN, "'.' is not a regular file");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(floats_of_four_bytes_stay_in_the_file),
		cmocka_unit_test(bytes_are_scaled_planes),
		cmocka_unit_test(other_numbers_become_floats),
		cmocka_unit_test(labels_are_classes_or_values),
		cmocka_unit_test(what_a_header_says_is_checked),
		cmocka_unit_test(broken_files_are_refused),
	};

	return cmocka_run_group_tests(tests, make_files, scratch_remove);
}
