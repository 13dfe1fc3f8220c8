/* IDX files: what is read, and one clear line for everything that is wrong with them. */
#include "tests/unit/unit.h"

#include <stdlib.h>
#include <string.h>

#include "lib/buf.h"
#include "lib/digest.h"
#include "tests/unit/format.h"

#define FASHION "/usr/share/datasets/fashion-mnist/"
#define PLAIN	"train.images=images train.labels=labels "

/* Magic and sizes, then `length` elements 0, 1, 2 ... */
static struct buf idx_bytes(size_t rank, const size_t *dim, size_t length)
{
	struct buf out = { 0 };

	buf_add(&out, (unsigned char[]){ 0, 0, 8, (unsigned char)rank }, 4);
	for (size_t i = 0; i < rank; i++)
		for (int shift = 24; shift >= 0; shift -= 8)
			buf_add(&out, (unsigned char[]){ (unsigned char)(dim[i] >> shift) }, 1);
	for (size_t i = 0; i < length; i++)
		buf_add(&out, (unsigned char[]){ (unsigned char)i }, 1);
	return out;
}

static void write_idx(const char *name, size_t rank, const size_t *dim, size_t length)
{
	struct buf bytes = idx_bytes(rank, dim, length);

	scratch_write(name, bytes.data, bytes.length);
	buf_release(&bytes);
}

static void write_labels(const char *name, size_t count)
{
	write_idx(name, 1, &count, count);
}

static int make_files(void **state)
{
	if (scratch_make(state) < 0)
		return -1;
	write_idx("images", 3, (size_t[]){ 4, 2, 3 }, 24);
	write_labels("labels", 4); /* 0, 1, 2, 3 */
	return 0;
}

static void images_are_planes_of_scaled_bytes(void **state)
{
	struct dataset train = format_read("idx", PLAIN "shift=-0.5", DATA_TRAIN);

	(void)state;
	assert_int_equal(train.count, 4);
	assert_int_equal(train.shape.rank, 3);
	assert_int_equal(train.shape.dim[0], 1);
	assert_int_equal(train.shape.dim[1], 2);
	assert_int_equal(train.shape.dim[2], 3);
	assert_int_equal(dataset_sample(&train, 3)[5], 23);
	assert_true(train.scale[0] == 1.0f / 255 && train.shift[0] == -0.5f);
	assert_int_equal(train.classes, 4);
	assert_true(train.targets[3] == 3);
	dataset_release(&train);
}

static void one_to_four_dimensions_are_read(void **state)
{
	static const size_t dim[] = { 4, 3, 2, 2 };
	static const size_t expected[4][3] = { { 1 }, { 3 }, { 1, 3, 2 }, { 3, 2, 2 } };
	size_t length = 1;

	(void)state;
	for (size_t rank = 1; rank <= 4; rank++) {
		struct dataset train;

		length *= dim[rank - 1];
		write_idx("odd", rank, dim, length);
		train = format_read("idx", "train.images=odd train.labels=labels", DATA_TRAIN);
		assert_memory_equal(train.shape.dim, expected[rank - 1], sizeof(expected[0]));
		dataset_release(&train);
	}
}

static void gzip_is_known_by_content_not_by_name(void **state)
{
	struct dataset packed;

	(void)state;
	scratch_pack("images", "packed");
	scratch_pack("labels", "labels.idx");
	packed = format_read("idx", "train.images=packed train.labels=labels.idx", DATA_TRAIN);
	assert_int_equal(packed.count, 4);
	assert_int_equal(dataset_sample(&packed, 3)[5], 23);
	assert_true(packed.targets[2] == 2);
	dataset_release(&packed);
}

static void an_absent_test_part_is_empty(void **state)
{
	struct dataset test = format_read("idx", PLAIN, DATA_TEST);

	(void)state;
	assert_int_equal(test.count, 0);
	dataset_release(&test);
	format_refuses("idx", PLAIN "test.images=images", DATA_TEST,
		       "'test.images' and 'test.labels' go together; 'test.labels' is missing");
	format_refuses("idx", PLAIN "test.labels=labels", DATA_TEST,
		       "'test.images' and 'test.labels' go together; 'test.images' is missing");
}

static void the_training_labels_set_the_classes_of_the_test_part(void **state)
{
	struct dataset test;

	(void)state;
	write_idx("few", 3, (size_t[]){ 2, 2, 3 }, 12);
	write_labels("few-labels", 2);
	test = format_read("idx", PLAIN "test.images=few test.labels=few-labels", DATA_TEST);
	assert_int_equal(test.count, 2);
	assert_int_equal(test.classes, 4);
	dataset_release(&test);
	format_refuses("idx",
		       "train.images=few train.labels=few-labels test.images=images "
		       "test.labels=labels",
		       DATA_TEST, "'labels': record 3: label 2 is out of range 0..1");
	format_refuses("idx", PLAIN "classes=3", DATA_TRAIN,
		       "'labels': record 4: label 3 is out of range 0..2");
	test = format_read("idx", PLAIN "classes=7", DATA_TRAIN);
	assert_int_equal(test.classes, 7);
	dataset_release(&test);
}

static void parts_that_do_not_fit_each_other_are_refused(void **state)
{
	(void)state;
	write_idx("wide", 3, (size_t[]){ 4, 3, 2 }, 24);
	format_refuses("idx", PLAIN "test.images=wide test.labels=labels", DATA_TEST,
		       "'wide' holds images of another size than 'images'");
	write_labels("many", 5);
	format_refuses("idx", "train.images=images train.labels=many", DATA_TRAIN,
		       "'many' has 5 labels, but 'images' has 4 images");
	format_refuses("idx", "train.images=images train.labels=images", DATA_TRAIN,
		       "'images' has 3 dimensions, not 1");
}

static void refuses_bytes(const void *bytes, size_t length, const char *message)
{
	scratch_write("broken", bytes, length);
	format_refuses("idx", "train.images=broken train.labels=labels", DATA_TRAIN, message);
}

static void broken_files_are_refused(void **state)
{
	struct buf good = idx_bytes(3, (size_t[]){ 4, 2, 3 }, 25);

	(void)state;
	refuses_bytes("", 0, "'broken' is not an IDX file");
	refuses_bytes("\0\0\10", 3, "'broken' is not an IDX file");
	refuses_bytes("PK\3\4 a zip file", 15, "'broken' is not an IDX file");
	refuses_bytes("\0\0\10\0", 4, "'broken' is not an IDX file");
	refuses_bytes("\0\0\10\5", 4, "'broken' is not an IDX file");
	refuses_bytes("\0\0\15\1\0\0\0\1....", 12,
		      "'broken' has elements of type 0x0d; only bytes (0x08) are read");
	refuses_bytes(good.data, 15, "'broken' is cut short within its header");
	refuses_bytes(good.data, 16, "'broken' is cut short: 0 of 24 elements are there");
	refuses_bytes(good.data, 39, "'broken' is cut short: 23 of 24 elements are there");
	refuses_bytes(good.data, 41, "'broken' has extra bytes behind its 24 elements");
	refuses_bytes("\0\0\10\2\0\0\0\4\0\0\0\0", 12, "'broken' is empty: dimension 1 is 0");
	buf_release(&good);
	format_refuses("idx", "train.images=. train.labels=labels", DATA_TRAIN,
		       "'.' is not a regular file");
}

static void a_huge_claim_costs_no_memory(void **state)
{
	(void)state;
	refuses_bytes("\0\0\10\2\177\377\377\377\177\377\377\377....", 16,
		      "'broken' is cut short: 4 of 4611686014132420609 elements are there");
	refuses_bytes("\0\0\10\2\377\377\377\377\377\377\377\377....", 16,
		      "'broken' claims more elements than a file can hold");
}

static void a_cut_gzip_file_is_refused_at_every_length(void **state)
{
	struct buf packed = { 0 };
	struct error err;

	(void)state;
	scratch_pack("images", "packed");
	assert_int_equal(file_read(&packed, "packed", 10000, &err), 0);
	for (size_t length = 2; length < packed.length; length++)
		refuses_bytes(packed.data, length,
			      "'broken' is cut short: its packed data end early");
	packed.data[packed.length - 6] ^= 1; /* of the CRC */
	refuses_bytes(packed.data, packed.length, "'broken' is damaged: incorrect data check");
	buf_release(&packed);
}

/* Loads `name` with each of its bits flipped in turn: refused or read, but never a crash. */
static void flip_bits(const char *name, const char *settings)
{
	struct buf bytes = { 0 };
	struct part part = format_part("idx", settings);
	size_t refused = 0;
	struct error err;

	assert_int_equal(file_read(&bytes, name, 10000, &err), 0);
	for (size_t i = 0; i < 8 * bytes.length; i++) {
		struct dataset dataset;

		bytes.data[i / 8] ^= (char)(1 << i % 8);
		scratch_write("flipped", bytes.data, bytes.length);
		bytes.data[i / 8] ^= (char)(1 << i % 8);
		if (format_load(&part, DATA_TRAIN, &dataset, &err) == 0)
			dataset_release(&dataset);
		else
			refused++;
	}
	assert_true(refused >= 8 * 8);
	part_release(&part);
	buf_release(&bytes);
}

static void flipped_bits_never_crash(void **state)
{
	(void)state;
	scratch_pack("images", "packed");
	flip_bits("images", "train.images=flipped train.labels=labels");
	flip_bits("packed", "train.images=flipped train.labels=labels");
	flip_bits("labels", "train.images=images train.labels=flipped");
}

static void assert_digest(const void *bytes, size_t length, const char *expected)
{
	char hex[DIGEST_HEX];

	digest_bytes(hex, bytes, length);
	assert_string_equal(hex, expected);
}

static void assert_fashion(enum data_part which, size_t count, const char *digest)
{
	struct dataset part = format_read("idx",
					  "train.images=" FASHION "train-images-idx3-ubyte.gz "
					  "train.labels=" FASHION "train-labels-idx1-ubyte.gz "
					  "test.images=" FASHION "t10k-images-idx3-ubyte.gz "
					  "test.labels=" FASHION "t10k-labels-idx1-ubyte.gz",
					  which);
	size_t of_class[10] = { 0 };

	assert_int_equal(part.count, count);
	assert_int_equal(part.classes, 10);
	assert_int_equal(shape_count(&part.shape), 28 * 28);
	for (size_t i = 0; i < count; i++)
		of_class[(size_t)part.targets[i]]++;
	for (size_t c = 0; c < 10; c++)
		assert_int_equal(of_class[c], count / 10);
	assert_digest(dataset_sample(&part, 0), count * 28 * 28, digest);
	dataset_release(&part);
}

static void fashion_mnist_is_read_whole(void **state)
{
	(void)state;
	if (!file_exists(FASHION "train-images-idx3-ubyte.gz")) {
		print_message("dataset-fashion-mnist is not installed\n");
		skip();
	}
	assert_fashion(DATA_TRAIN, 60000,
		       "2e487a6c89124f78f2d7521542223cafe96f7123c3ca13d447772ac6ecbb3012");
	assert_fashion(DATA_TEST, 10000,
		       "c867c93ff95360594e8ec3287995350b824dd110b11595c0e13d5423f621867a");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(images_are_planes_of_scaled_bytes),
		cmocka_unit_test(one_to_four_dimensions_are_read),
		cmocka_unit_test(gzip_is_known_by_content_not_by_name),
		cmocka_unit_test(an_absent_test_part_is_empty),
		cmocka_unit_test(the_training_labels_set_the_classes_of_the_test_part),
		cmocka_unit_test(parts_that_do_not_fit_each_other_are_refused),
		cmocka_unit_test(broken_files_are_refused),
		cmocka_unit_test(a_huge_claim_costs_no_memory),
		cmocka_unit_test(a_cut_gzip_file_is_refused_at_every_length),
		cmocka_unit_test(flipped_bits_never_crash),
		cmocka_unit_test(fashion_mnist_is_read_whole),
	};

	return cmocka_run_group_tests(tests, make_files, scratch_remove);
}
