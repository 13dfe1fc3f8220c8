/* CSV files: what is read, and the line and column of everything that is wrong with them. */
#include "tests/unit/unit.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "tests/unit/format.h"

static struct dataset read_text(const char *text, const char *more)
{
	return format_read_text("csv", "rows.csv", text, more);
}

static void refuses_text(const char *text, const char *more, const char *message)
{
	format_refuses_text("csv", "rows.csv", text, more, message);
}

static void assert_floats(const float *x, const float *expected, size_t count)
{
	for (size_t i = 0; i < count; i++)
		assert_true(x[i] == expected[i]);
}

/* Two samples, (1, 2) of class 1 and (-3.5, 400) of class 0, however they are written. */
static void assert_usual(struct dataset dataset)
{
	assert_int_equal(dataset.count, 2);
	assert_int_equal(dataset.shape.rank, 1);
	assert_int_equal(dataset.shape.dim[0], 2);
	assert_int_equal(dataset.classes, 2);
	assert_floats(dataset.floats, (float[]){ 1, 2, -3.5f, 400 }, 4);
	assert_floats(dataset.targets, (float[]){ 1, 0 }, 2);
	dataset_release(&dataset);
}

static void many_ways_of_writing_are_read(void **state)
{
	(void)state;
	assert_usual(read_text("1,2,1\n-3.5,4e2,0\n", ""));
	assert_usual(read_text("1,2,1\n-3.5,4e2,0", ""));
	assert_usual(read_text("1,2,1\r\n-3.5,4e2,0\r\n", ""));
	assert_usual(read_text("1,2,1\r\n-3.5,4e2,0\r", ""));
	assert_usual(read_text("\n\r\n1,2,1\n  \n\n-3.5,4e2,0\n\n", ""));
	assert_usual(read_text(" 1 ,\t2, 1\n-3.5 , +400.0,0 \n", ""));
	assert_usual(read_text("\"1\",\"2\" , 1\n\"-3.5\",4e2,\"0\"\n", ""));
	assert_usual(read_text("\xef\xbb\xbf"
			       "1,2,1\n-3.5,4e2,0\n",
			       ""));
	assert_usual(read_text("1;2;1\n-3.5;4e2;0\n", "delimiter=semicolon"));
	assert_usual(read_text("1\t2\t1\n-3.5\t4e2\t0\n", "delimiter=tab"));
	assert_usual(read_text("1|2|1\n-3.5|4e2|0\n", "delimiter=pipe"));
}

static void the_label_is_found_by_name_or_number(void **state)
{
	(void)state;
	assert_usual(read_text("a,b,c\n1,2,1\n-3.5,4e2,0\n", ""));
	assert_usual(read_text("a,b,c\n1,1,2\n-3.5,0,4e2\n", "label=b"));
	assert_usual(read_text("a,b,c\n1,1,2\n-3.5,0,4e2\n", "label=1 label=2"));
	assert_usual(read_text("1,1,2\n0,-3.5,4e2\n", "label=1"));
	assert_usual(read_text("3,2,1\n1,2,1\n-3.5,4e2,0\n", "header=yes"));
	assert_usual(read_text("3,2,1\n1,1,2\n-3.5,0,4e2\n", "header=yes label=2"));
	assert_usual(read_text("\"a, or\n\"\"b\"\"\",b,c\n1,2,1\n-3.5,4e2,0\n", ""));
	refuses_text("width,kind\n1,2\n", "label=knid",
		     "'rows.csv' has no column 'knid'; did you mean 'kind'?");
	refuses_text("width,kind\n1,2\n", "label=3", "'rows.csv' has no column '3' among its 2");
	refuses_text("1,2\n1,2\n", "label=kind",
		     "'rows.csv' has no column 'kind' among its 2 and no line that names them");
}

static void words_are_numbered_in_sorted_order(void **state)
{
	struct dataset train, test;

	(void)state;
	write_text("train.csv", "1,cat\n2,ant\n3,dog\n4,cat\n");
	write_text("test.csv", "5,dog\n6,cat\n");
	train = format_read("csv", "train=train.csv test=test.csv", DATA_TRAIN);
	test = format_read("csv", "train=train.csv test=test.csv", DATA_TEST);
	assert_floats(train.targets, (float[]){ 1, 0, 2, 1 }, 4);
	assert_floats(test.targets, (float[]){ 2, 1 }, 2);
	assert_int_equal(train.classes, 3);
	assert_int_equal(test.classes, 3);
	dataset_release(&train);
	dataset_release(&test);
	write_text("test.csv", "5,dog\n\n6,cow\n");
	format_refuses("csv", "train=train.csv test=test.csv", DATA_TEST,
		       "test.csv:3: label 'cow' does not occur in the training data");
	format_refuses("csv", "train=train.csv classes=2", DATA_TRAIN,
		       "'train.csv' has 3 classes, not 2");
}

static void class_numbers_are_checked(void **state)
{
	(void)state;
	refuses_text("1,0\n1,1\n1,-1\n", "", "rows.csv:3: label '-1' is not a class number");
	refuses_text("1,0\n1,1.5\n", "", "rows.csv:2: label '1.5' is not a class number");
	refuses_text("1,0\n1,cat\n", "", "rows.csv:2: label 'cat' is not a class number");
	refuses_text("1,cat\n1,0\n", "", "rows.csv:2: label '0' is a number, but others are words");
	refuses_text("1,cat\n1,\n", "", "rows.csv:2: the label is empty");
	refuses_text("1,0\n1,4000000000\n", "",
		     "rows.csv:2: label 4000000000 is out of range 0..1048575");
	refuses_text("1,0\n1,2\n", "classes=2", "rows.csv:2: label 2 is out of range 0..1");
	write_text("train.csv", "1,0\n2,1\n");
	write_text("test.csv", "1,0\n2,2\n");
	format_refuses("csv", "train=train.csv test=test.csv", DATA_TEST,
		       "test.csv:2: label 2 is out of range 0..1");
}

static void values_to_regress_are_numbers(void **state)
{
	struct dataset dataset = read_text("1,2.5\n2,-1e3\n", "task=regress");

	(void)state;
	assert_int_equal(dataset.classes, 0);
	assert_floats(dataset.targets, (float[]){ 2.5f, -1000 }, 2);
	dataset_release(&dataset);
	refuses_text("1,2\n2,x\n", "task=regress",
		     "rows.csv:2: column 2: 'x' is not a finite number");
}

static void broken_files_are_refused_with_line_and_column(void **state)
{
	(void)state;
	refuses_text("", "", "'rows.csv' is empty");
	refuses_text("\n \n", "", "'rows.csv' is empty");
	refuses_text("a,b\n", "", "'rows.csv' has no records below its header");
	refuses_text("1\n2\n", "", "'rows.csv' has one column only; is the delimiter a comma?");
	refuses_text("1,2,0\n\n1,0\n", "", "rows.csv:3: 2 fields, but the first record has 3");
	refuses_text("1,2,0\n1,2,3,0\n", "", "rows.csv:2: 4 fields, but the first record has 3");
	refuses_text("1,2,0\n1,x,0\n", "",
		     "rows.csv:2: column 2: 'x' is not a finite number; a column of words belongs "
		     "into data.categorical or data.text");
	refuses_text("1,2,0\n,2,0\n", "",
		     "rows.csv:2: column 1: '' is not a finite number; a column of words belongs "
		     "into data.categorical or data.text");
	refuses_text("1,2,0\n1,nan,0\n", "",
		     "rows.csv:2: column 2: 'nan' is not a finite number; a column of words "
		     "belongs into data.categorical or data.text");
	refuses_text("1,2,0\ninf,1,0\n", "",
		     "rows.csv:2: column 1: 'inf' is not a finite number; a column of words "
		     "belongs into data.categorical or data.text");
	refuses_text("1,2,0\n1e39,1,0\n", "",
		     "rows.csv:2: column 1: '1e39' is too large; a column of words belongs into "
		     "data.categorical or data.text");
	refuses_text("1,2,0\n\"1\n\n\n,2,0\n", "",
		     "rows.csv:2: column 1: the quote that opens here is never closed");
	refuses_text("1,2,0\n1,\"2\"x,0\n", "",
		     "rows.csv:2: column 2: text follows the closing quote");
	refuses_text("a,b,\"c\nd\"\n1,2,0\n1,?,0\n", "",
		     "rows.csv:4: column 2: '?' is not a finite number; a column of words belongs "
		     "into data.categorical or data.text");
	scratch_write("rows.csv", "1,2\0,0\n", 7);
	format_refuses("csv", "train=rows.csv", DATA_TRAIN, "'rows.csv' is not a text file");
}

static void test_samples_have_the_columns_of_the_training_ones(void **state)
{
	(void)state;
	write_text("train.csv", "1,2,0\n3,4,1\n");
	write_text("test.csv", "1,0\n");
	format_refuses("csv", "train=train.csv test=test.csv", DATA_TEST,
		       "'test.csv' has 2 columns, but 'train.csv' has 3");
}

static void standardised_features_have_mean_0_and_variance_1(void **state)
{
	struct dataset train, test;

	(void)state;
	write_text("train.csv", "1,7,0\n3,7,1\n");
	write_text("test.csv", "4,8,1\n");
	train = format_read("csv", "train=train.csv test=test.csv standardise=yes", DATA_TRAIN);
	test = format_read("csv", "train=train.csv test=test.csv standardise=yes", DATA_TEST);
	assert_floats(train.floats, (float[]){ -1, 0, 1, 0 }, 4);
	assert_floats(test.floats, (float[]){ 2, 1 }, 2);
	dataset_release(&train);
	dataset_release(&test);
}

/* The columns: the number, the categories by frequency, the words of the texts by frequency. */
static void words_become_sparse_rows(void **state)
{
	static const char settings[] = "train=train.csv test=test.csv label=1 categorical=city "
				       "text=said vocabulary=3 classes=2";
	struct dataset train, test;
	static const uint32_t index[] = { 0, 1, 3, 4, 2, 3, 5, 0, 1 };
	static const float value[] = { 2, 1, 2, 1, 1, 1, 1, -1, 1 };

	(void)state;
	write_text("train.csv", "kind,city,age,said\n0,Rome,2,\"To be, to\"\n"
				"1,Oslo,0,to do?\n0,Rome,-1,\n");
	write_text("test.csv", "kind,city,age,said\n1,Bern,5,be-be what\n");
	train = format_read("csv", settings, DATA_TRAIN);
	test = format_read("csv", settings, DATA_TEST);
	assert_null(train.floats);
	assert_int_equal(train.shape.dim[0], 6); /* age, Rome, Oslo, to, be, do */
	assert_memory_equal(train.sparse.start, ((size_t[]){ 0, 4, 7, 9 }), 4 * sizeof(size_t));
	assert_memory_equal(train.sparse.index, index, sizeof(index));
	assert_floats(train.sparse.value, value, ARRAY_SIZE(value));
	assert_int_equal(test.shape.dim[0], 6);
	assert_int_equal(test.sparse.start[1], 2); /* nobody knows Bern, nor what */
	assert_memory_equal(test.sparse.index, ((uint32_t[]){ 0, 4 }), 2 * sizeof(uint32_t));
	assert_floats(test.sparse.value, (float[]){ 5, 2 }, 2);
	dataset_release(&train);
	dataset_release(&test);
}

static void columns_of_words_exist_and_are_used_once(void **state)
{
	(void)state;
	refuses_text("a,b,c\n1,x,0\n", "categorical=d", "'rows.csv' has no column 'd' among its 3");
	refuses_text("a,b,c\n1,x,0\n", "categorical=b text=2",
		     "'rows.csv': column '2' is used twice");
	refuses_text("a,b,c\n1,x,0\n", "text=c",
		     "'rows.csv': column 'c' is the label; see data.label");
	refuses_text("a,b\n?!,0\n--,1\n", "text=a", "'rows.csv' has no word in any of its columns");
}

static void packed_files_are_read(void **state)
{
	struct dataset dataset;

	(void)state;
	write_text("rows.csv", "1,2,1\n-3.5,4e2,0\n");
	scratch_pack("rows.csv", "packed");
	dataset = format_read("csv", "train=packed", DATA_TRAIN);
	assert_usual(dataset);
}

/* Cuts and changes a file in every place: refused or read, but never a crash. */
static void damaged_text_never_crashes(void **state)
{
	static const char text[] =
		"a,\"b \"\"q\"\"\",kind\r\n1,\"2\",cat\n\n3.5,-4e2,\"d\nog\"\r\n";
	static const char strange[] = "\"\n\r,x1\0 -";
	struct part part = format_part("csv", "train=rows.csv");

	(void)state;
	for (size_t i = 0; i < sizeof(text); i++) {
		for (size_t s = 0; s < sizeof(strange); s++) {
			char changed[sizeof(text)];
			struct dataset dataset;
			struct error err;

			memcpy(changed, text, sizeof(text));
			changed[i] = strange[s];
			scratch_write("rows.csv", changed, s ? sizeof(text) - 1 : i);
			if (format_load(&part, DATA_TRAIN, &dataset, &err) == 0)
				dataset_release(&dataset);
		}
	}
	part_release(&part);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(many_ways_of_writing_are_read),
		cmocka_unit_test(the_label_is_found_by_name_or_number),
		cmocka_unit_test(words_are_numbered_in_sorted_order),
		cmocka_unit_test(class_numbers_are_checked),
		cmocka_unit_test(values_to_regress_are_numbers),
		cmocka_unit_test(broken_files_are_refused_with_line_and_column),
		cmocka_unit_test(test_samples_have_the_columns_of_the_training_ones),
		cmocka_unit_test(standardised_features_have_mean_0_and_variance_1),
		cmocka_unit_test(words_become_sparse_rows),
		cmocka_unit_test(columns_of_words_exist_and_are_used_once),
		cmocka_unit_test(packed_files_are_read),
		cmocka_unit_test(damaged_text_never_crashes),
	};

	return cmocka_run_group_tests(tests, scratch_make, scratch_remove);
}
