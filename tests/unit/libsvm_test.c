/* Files of libsvm: what is read, and the line of everything that is wrong with them. */
#include "tests/unit/unit.h"

#include <stdlib.h>
#include <string.h>

#include "tests/unit/format.h"

static struct dataset read_text(const char *text, const char *more)
{
	return format_read_text("libsvm", "rows", text, more);
}

static void refuses_text(const char *text, const char *more, const char *message)
{
	format_refuses_text("libsvm", "rows", text, more, message);
}

/* Rows (1: 0.5, 3: -2), () and (2: 1e-3), of classes 0, 1 and 0, however they are written. */
static void assert_usual(struct dataset dataset)
{
	static const size_t start[] = { 0, 2, 2, 3 };
	static const uint32_t index[] = { 0, 2, 1 };
	static const float value[] = { 0.5f, -2, 1e-3f }, targets[] = { 0, 1, 0 };

	assert_int_equal(dataset.count, 3);
	assert_int_equal(dataset.shape.rank, 1);
	assert_int_equal(dataset.shape.dim[0], 3);
	assert_int_equal(dataset.classes, 2);
	assert_int_equal(dataset.labels, 1);
	assert_memory_equal(dataset.sparse.start, start, sizeof(start));
	assert_memory_equal(dataset.sparse.index, index, sizeof(index));
	assert_memory_equal(dataset.sparse.value, value, sizeof(value));
	assert_memory_equal(dataset.targets, targets, sizeof(targets));
	dataset_release(&dataset);
}

static void many_ways_of_writing_are_read(void **state)
{
	(void)state;
	assert_usual(read_text("-1 1:0.5 3:-2\n+1\n-1 2:0.001\n", ""));
	assert_usual(read_text("-1 1:0.5 3:-2\n1\n-1 2:1e-3", ""));
	assert_usual(read_text("-1  1:.5\t3:-2.0 \r\n+1 \r\n-1 2:0.001 \r\n", ""));
	assert_usual(
		read_text("# a file\n\n-1 1:+0.5 3:-2. # first\n  +1#none\n-1 2:1.0e-03\n", ""));
	assert_usual(read_text("-1 0:0.5 2:-2\n+1\n-1 1:0.001\n", "first_index=0"));
	assert_usual(read_text("1 1:0.500000000000000000000 3:-2\n2\n1 2:0.001\n", ""));
	assert_usual(read_text("no 1:0.5 3:-2\nyes\nno 2:0.001\n", ""));
	assert_usual(read_text("0 1:0.5 3:-2\n1\n0 2:0.001\n", "classes=2"));
	write_text("rows", "-1 1:0.5 3:-2\n+1\n-1 2:0.001\n");
	scratch_pack("rows", "packed");
	assert_usual(format_read("libsvm", "train=packed", DATA_TRAIN));
}

static void the_training_part_sets_classes_and_columns(void **state)
{
	struct dataset test;

	(void)state;
	write_text("train", "3 1:1\n9 4:1\n5 2:1\n");
	write_text("test", "9 1:1\n5\n");
	test = format_read("libsvm", "train=train test=test", DATA_TEST);
	assert_int_equal(test.shape.dim[0], 4);
	assert_int_equal(test.classes, 3);
	assert_true(test.targets[0] == 2 && test.targets[1] == 1);
	dataset_release(&test);
	test = format_read("libsvm", "train=train", DATA_TEST);
	assert_int_equal(test.count, 0);
	dataset_release(&test);
	write_text("test", "9 1:1\n5 5:1\n");
	format_refuses("libsvm", "train=train test=test", DATA_TEST,
		       "test:2: index 5, but the training samples have 4 columns; see "
		       "data.features");
	test = format_read("libsvm", "train=train test=test features=7", DATA_TEST);
	assert_int_equal(test.shape.dim[0], 7);
	dataset_release(&test);
	format_refuses("libsvm", "train=train features=3", DATA_TRAIN,
		       "train:2: index 4, but there are 3 columns; see data.features");
	write_text("test", "9 1:1\n4 1:1\n");
	format_refuses("libsvm", "train=train test=test", DATA_TEST,
		       "test:2: label '4' does not occur in the training data");
}

static void values_to_regress_are_numbers(void **state)
{
	struct dataset dataset = read_text("2.5 1:1\n-1e3 1:2\n", "task=regress");

	(void)state;
	assert_int_equal(dataset.classes, 0);
	assert_true(dataset.targets[0] == 2.5f && dataset.targets[1] == -1000);
	dataset_release(&dataset);
	refuses_text("1 1:1\nx 1:1\n", "task=regress", "rows:2: label 'x' is not a number");
}

static void labels_are_checked(void **state)
{
	(void)state;
	refuses_text("1 1:1\n0.5 1:1\n", "",
		     "rows:2: label '0.5' is not a whole number; for values there is data.task: "
		     "regress");
	refuses_text("1 1:1\n2 1:1\n", "classes=2", "rows:2: label 2 is out of range 0..1");
	refuses_text("1 1:1\n-1 1:1\n", "classes=2", "rows:2: label -1 is out of range 0..1");
	refuses_text("1 1:1\ncat 1:1\n", "", "rows:2: label 'cat' is not a number");
	refuses_text("cat 1:1\n1 1:1\n", "", "rows:2: label '1' is a number, but others are words");
	refuses_text("1 1:1\n3:1 4:1\n", "", "rows:2: there is no label in front of '3:1'");
}

static void broken_lines_are_refused(void **state)
{
	(void)state;
	refuses_text("", "", "'rows' is empty");
	refuses_text("\n# nothing\n", "", "'rows' is empty");
	refuses_text("1\n2\n", "", "'rows' has no values");
	refuses_text("1 1:1\n\n1 2\n", "", "rows:3: '2' is not INDEX:VALUE");
	refuses_text("1 x:1\n", "", "rows:1: 'x:1' is not INDEX:VALUE");
	refuses_text("1 qid:3 1:1\n", "", "rows:1: 'qid:3' is not INDEX:VALUE");
	refuses_text("1 -1:1\n", "", "rows:1: '-1:1' is not INDEX:VALUE");
	refuses_text("1 1:\n", "", "rows:1: '' is not a finite number");
	refuses_text("1 1:one\n", "", "rows:1: 'one' is not a finite number");
	refuses_text("1 1:nan\n", "", "rows:1: 'nan' is not a finite number");
	refuses_text("1 1:1e39\n", "", "rows:1: '1e39' is too large");
	refuses_text("1 1:1:1\n", "", "rows:1: '1:1' is not a finite number");
	refuses_text("1 0:1\n", "",
		     "rows:1: index 0 is out of range 1..16777216; see data.first_index");
	refuses_text("1 16777217:1\n", "", "rows:1: index 16777217 is out of range 1..16777216");
	refuses_text("1 99999999999999999999:1\n", "",
		     "rows:1: index 99999999999999999999 is out of range 1..16777216");
	refuses_text("1 2:1 2:1\n", "", "rows:1: index 2 is not larger than the one before");
	refuses_text("1 3:1 2:1\n", "", "rows:1: index 2 is not larger than the one before");
	scratch_write("rows", "1 1:1\0\n", 7);
	format_refuses("libsvm", "train=rows", DATA_TRAIN, "'rows' is not a text file");
	format_refuses("libsvm", "train=.", DATA_TRAIN, "'.' is not a regular file");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(many_ways_of_writing_are_read),
		cmocka_unit_test(the_training_part_sets_classes_and_columns),
		cmocka_unit_test(values_to_regress_are_numbers),
		cmocka_unit_test(labels_are_checked),
		cmocka_unit_test(broken_lines_are_refused),
	};

	return cmocka_run_group_tests(tests, scratch_make, scratch_remove);
}
