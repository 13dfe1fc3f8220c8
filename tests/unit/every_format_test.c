/* What holds for every data format, found through the registry alone. */
#include "tests/unit/unit.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "lib/buf.h"
#include "tests/unit/format.h"

/* Recipes to try formats with. A format that is not here must do with its defaults. */
static const struct {
	const char *format, *settings;
} examples[] = {
	{ "idx", "train.images=images train.labels=labels test.images=images test.labels=labels "
		 "shift=-0.5" },
	{ "csv", "train=rows.csv test=rows.csv" },
	{ "libsvm", "train=rows.svm test=rows.svm" },
	{ "cifar10", "train=[batch,batch] test=batch standardise=yes" },
	{ "cifar100", "train=batch100 test=batch100 shift=1" },
	{ "npy", "train.x=x.npy train.y=y.npy test.x=x.npy test.y=y.npy" },
	{ "tokens", "train=[tokens,tokens] test=tokens layout=uint16 context=3 stride=2" },
	{ "text", "train=letters test=letters context=2" },
};

static void write_pictures(const char *name, size_t labels)
{
	struct buf bytes = { 0 };

	for (size_t i = 0; i < 3; i++) {
		for (size_t k = 0; k < labels; k++)
			buf_add(&bytes, (unsigned char[]){ (unsigned char)(i + 2 * k) }, 1);
		for (size_t k = 0; k < 3072; k++)
			buf_add(&bytes, (unsigned char[]){ (unsigned char)(i * 50 + k) }, 1);
	}
	scratch_write(name, bytes.data, bytes.length);
	buf_release(&bytes);
}

static int make_files(void **state)
{
	static const char images[] = "\0\0\10\3\0\0\0\3\0\0\0\2\0\0\0\2"
				     "\0\1\2\3\4\5\6\7\10\11\12\377";
	static const char labels[] = "\0\0\10\1\0\0\0\3\1\0\2";
	static const char rows[] = "width,height,kind\n1,2,0\n-3.5,4e2,1\n5,6,2\n";

	static const char svm[] = "-1 1:1 3:-0.5\n+1\n-1 2:4e2\n";
	static const char tokens[] = "\1\0\2\0\3\0\4\0\5\0\6\0\7\0\4\1";
	static const char letters[] = "a text of some letters";
	static const float x[] = { 1, 2, -3, 4, 5, 6 };
	static const uint8_t y[] = { 0, 2, 1 };

	if (scratch_make(state) < 0)
		return -1;
	scratch_write("rows.svm", svm, sizeof(svm) - 1);
	scratch_write("tokens", tokens, sizeof(tokens) - 1);
	scratch_write("letters", letters, sizeof(letters) - 1);
	npy_write("x.npy", "<f4", "3, 2", x, sizeof(x));
	npy_write("y.npy", "|u1", "3,", y, sizeof(y));
	write_pictures("batch", 1);
	write_pictures("batch100", 2);
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

static void gather(const struct dataset *dataset, const uint32_t *index, struct batch *batch)
{
	size_t features = shape_count(&dataset->shape);
	float *x = xcalloc(batch->count * features, sizeof(*x));

	batch->targets = xcalloc(batch->count * dataset->labels, sizeof(*batch->targets));
	if (!dataset->sparse.start) {
		batch->x = x;
		dataset_gather(dataset, index, batch);
		return;
	}
	batch->rows = xcalloc(batch->count, sizeof(*batch->rows));
	dataset_gather(dataset, index, batch);
	for (size_t i = 0; i < batch->count; i++)
		for (size_t k = 0; k < batch->rows[i].count; k++)
			x[i * features + batch->rows[i].index[k]] = batch->rows[i].value[k];
	batch->x = x; /* to compare with */
}

/* All samples in one batch. */
static struct batch all_of(const struct dataset *dataset)
{
	uint32_t *index = xcalloc(dataset->count, sizeof(*index));
	struct batch batch = { .count = dataset->count };

	for (size_t i = 0; i < dataset->count; i++)
		index[i] = (uint32_t)i;
	gather(dataset, index, &batch);
	free(index);
	return batch;
}

static void drop(struct batch *batch)
{
	free(batch->x);
	free(batch->rows);
	free(batch->targets);
}

static void assert_numbers(const float *values, size_t count, size_t below)
{
	for (size_t i = 0; i < count; i++) {
		assert_true(isfinite(values[i]));
		if (below) {
			assert_true(values[i] >= 0);
			assert_true(values[i] < (float)below);
			assert_true(values[i] == floorf(values[i]));
		}
	}
}

static void assert_sound(const struct dataset *dataset)
{
	size_t features = shape_count(&dataset->shape);
	struct batch all;

	assert_true(dataset->count > 0);
	assert_true(features > 0);
	assert_int_equal((dataset->scale != NULL) + (dataset->floats != NULL) +
				 (dataset->sparse.start != NULL) + (dataset->token_width != 0),
			 1);
	all = all_of(dataset);
	assert_numbers(all.x, dataset->count * features, dataset->vocabulary);
	assert_numbers(all.targets, dataset->count * dataset->labels, dataset->classes);
	drop(&all);
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
		assert_int_equal(train.labels, test.labels);
		assert_int_equal(train.vocabulary, test.vocabulary);
		dataset_release(&train);
		dataset_release(&test);
		dataset_release(&test); /* a released one is empty */
		part_release(&part);
	}
}

static void a_description_is_of_what_is_loaded(void **state)
{
	(void)state;
	for (size_t f = 0; data_formats.entries[f]; f++) {
		struct part part = example(data_formats.entries[f], "");
		struct dataset train = format_loaded(&part, DATA_TRAIN), described;
		struct error err;

		assert_int_equal(dataset_describe(&part, 1, &described, &err), 0);
		assert_int_equal(described.count, train.count);
		assert_memory_equal(&described.shape, &train.shape, sizeof(train.shape));
		assert_int_equal(described.labels, train.labels);
		assert_int_equal(described.classes, train.classes);
		assert_int_equal(described.vocabulary, train.vocabulary);
		assert_true(dataset_bytes(&described) == dataset_bytes(&train));
		dataset_release(&described);
		dataset_release(&train);
		part_release(&part);
	}
}

static void assert_same(const struct dataset *a, const struct dataset *b)
{
	struct batch of_a = all_of(a), of_b = all_of(b);

	assert_int_equal(a->count, b->count);
	assert_memory_equal(&a->shape, &b->shape, sizeof(a->shape));
	assert_memory_equal(of_a.x, of_b.x, a->count * shape_count(&a->shape) * sizeof(*of_a.x));
	assert_memory_equal(of_a.targets, of_b.targets,
			    a->count * a->labels * sizeof(*of_a.targets));
	drop(&of_a);
	drop(&of_b);
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
		size_t features = shape_count(&train.shape), labels = train.labels;
		const uint32_t index[] = { 2, 0, 2 };
		struct batch all = all_of(&train), batch = { .count = 3 };

		gather(&train, index, &batch);
		for (size_t i = 0; i < 3; i++) {
			assert_memory_equal(batch.x + i * features, all.x + index[i] * features,
					    features * sizeof(float));
			assert_memory_equal(batch.targets + i * labels,
					    all.targets + index[i] * labels,
					    labels * sizeof(float));
		}
		drop(&all);
		drop(&batch);
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
		assert_null(dataset.files);
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
			if (row->type == OPT_PATH || row->type == OPT_PATHS)
				assert_missed(entry, row);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(both_parts_load_and_fit_each_other),
		cmocka_unit_test(a_description_is_of_what_is_loaded),
		cmocka_unit_test(loading_twice_gives_the_same),
		cmocka_unit_test(batches_hold_the_samples_asked_for),
		cmocka_unit_test(every_file_that_is_missing_is_named),
	};

	return cmocka_run_group_tests(tests, make_files, scratch_remove);
}
