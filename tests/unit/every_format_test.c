/* What holds for every data format, found through the registry alone. */
#include "tests/unit/unit.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "tests/unit/format.h"

/* Recipes to try formats with. A format that is not here must do with its defaults. */
static const struct {
	const char *format, *settings;
} examples[] = {
	{ "idx", "train.images=images train.labels=labels test.images=images test.labels=labels "
		 "shift=-0.5" },
	{ "csv", "train=rows.csv test=rows.csv" },
};

static int make_files(void **state)
{
	static const char images[] = "\0\0\10\3\0\0\0\3\0\0\0\2\0\0\0\2"
				     "\0\1\2\3\4\5\6\7\10\11\12\377";
	static const char labels[] = "\0\0\10\1\0\0\0\3\1\0\2";
	static const char rows[] = "width,height,kind\n1,2,0\n-3.5,4e2,1\n5,6,2\n";

	if (scratch_make(state) < 0)
		return -1;
	scratch_write("images", images, sizeof(images) - 1);
	scratch_write("labels", labels, sizeof(labels) - 1);
	scratch_write("rows.csv", rows, sizeof(rows) - 1);
	return 0;
}

/* Later settings win: `more` may replace some of the example. */
static struct part example(const struct entry *entry, const char *more)
{
	const char *settings = "";
	struct part part;
	char *all;

	for (size_t i = 0; i < ARRAY_SIZE(examples); i++)
		if (strcmp(examples[i].format, entry->name) == 0)
			settings = examples[i].settings;
	all = xasprintf("%s %s", settings, more);
	part = format_part(entry->name, all);
	free(all);
	return part;
}

static void assert_sound(const struct dataset *dataset)
{
	size_t features = shape_count(&dataset->shape);

	assert_true(dataset->count > 0);
	assert_true(features > 0);
	assert_true((dataset->bytes == NULL) != (dataset->floats == NULL));
	for (size_t i = 0; i < dataset->count; i++) {
		assert_true(isfinite(dataset->targets[i]));
		if (dataset->classes) {
			assert_true(dataset->targets[i] >= 0);
			assert_true(dataset->targets[i] < (float)dataset->classes);
			assert_true(dataset->targets[i] == floorf(dataset->targets[i]));
		}
	}
	for (size_t i = 0; dataset->floats && i < dataset->count * features; i++)
		assert_true(isfinite(dataset->floats[i]));
}

static void both_parts_load_and_fit_each_other(void **state)
{
	(void)state;
	for (size_t f = 0; data_formats.entries[f]; f++) {
		struct part part = example(data_formats.entries[f], "");
		struct dataset train = format_loaded(&part, DATA_TRAIN);
		struct dataset test = format_loaded(&part, DATA_TEST);

		assert_sound(&train);
		assert_sound(&test);
		assert_memory_equal(&train.shape, &test.shape, sizeof(train.shape));
		assert_int_equal(train.classes, test.classes);
		dataset_release(&train);
		dataset_release(&test);
		dataset_release(&test); /* a released one is empty */
		part_release(&part);
	}
}

static void assert_same(const struct dataset *a, const struct dataset *b)
{
	size_t values = a->count * shape_count(&a->shape);

	assert_int_equal(a->count, b->count);
	assert_memory_equal(&a->shape, &b->shape, sizeof(a->shape));
	assert_memory_equal(a->targets, b->targets, a->count * sizeof(*a->targets));
	if (a->bytes)
		assert_memory_equal(a->bytes, b->bytes, values);
	else
		assert_memory_equal(a->floats, b->floats, values * sizeof(*a->floats));
}

static void loading_twice_gives_the_same(void **state)
{
	(void)state;
	for (size_t f = 0; data_formats.entries[f]; f++) {
		struct part part = example(data_formats.entries[f], "");

		for (int which = DATA_TRAIN; which <= DATA_TEST; which++) {
			struct dataset once = format_loaded(&part, which),
				       twice = format_loaded(&part, which);

			assert_same(&once, &twice);
			dataset_release(&once);
			dataset_release(&twice);
		}
		part_release(&part);
	}
}

static void batches_hold_the_samples_asked_for(void **state)
{
	(void)state;
	for (size_t f = 0; data_formats.entries[f]; f++) {
		struct part part = example(data_formats.entries[f], "");
		struct dataset train = format_loaded(&part, DATA_TRAIN);
		size_t features = shape_count(&train.shape);
		const uint32_t index[] = { 2, 0, 2 };
		struct batch batch = { .x = xcalloc(3 * features, sizeof(float)),
				       .targets = xcalloc(3, sizeof(float)),
				       .count = 3 };

		dataset_gather(&train, index, &batch);
		for (size_t i = 0; i < 3 * features; i++) {
			size_t at = index[i / features] * features + i % features;
			float expected = train.bytes
						 ? train.bytes[at] * train.scale[0] + train.shift[0]
						 : train.floats[at];

			assert_true(batch.x[i] == expected);
		}
		for (size_t i = 0; i < 3; i++)
			assert_true(batch.targets[i] == train.targets[index[i]]);
		free(batch.x);
		free(batch.targets);
		dataset_release(&train);
		part_release(&part);
	}
}

static void assert_missed(const struct entry *entry, const struct opt *row)
{
	char *setting = xasprintf("%s=/nonexistent/file", row->key);
	struct part part = example(entry, setting);
	size_t failures = 0;

	for (int which = DATA_TRAIN; which <= DATA_TEST; which++) {
		struct dataset dataset;
		struct error err;

		if (format_load(&part, which, &dataset, &err) == 0) {
			dataset_release(&dataset);
			continue;
		}
		assert_string_equal(err.text, "cannot open '/nonexistent/file': No such file or "
					      "directory");
		assert_null(dataset.targets);
		failures++;
	}
	assert_true(failures > 0);
	part_release(&part);
	free(setting);
}

static void every_file_that_is_missing_is_named(void **state)
{
	(void)state;
	for (size_t f = 0; data_formats.entries[f]; f++) {
		const struct entry *entry = data_formats.entries[f];

		for (const struct opt *row = entry->options; row && row->key; row++)
			if (row->type == OPT_PATH)
				assert_missed(entry, row);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(both_parts_load_and_fit_each_other),
		cmocka_unit_test(loading_twice_gives_the_same),
		cmocka_unit_test(batches_hold_the_samples_asked_for),
		cmocka_unit_test(every_file_that_is_missing_is_named),
	};

	return cmocka_run_group_tests(tests, make_files, scratch_remove);
}
