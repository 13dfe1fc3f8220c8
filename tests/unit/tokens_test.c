/* Token files and plain texts: samples, targets, and what is refused. */
#include "tests/unit/unit.h"

#include <stdlib.h>
#include <string.h>

#include "lib/buf.h"
#include "lib/utf8.h"
#include "tests/unit/format.h"

#define TEXT "train=text "

/* In llm.c's layout, whose header claims `claimed` tokens. */
static void write_tokens(const char *name, uint32_t magic, uint32_t version, uint32_t claimed,
			 size_t count, const uint32_t *ids)
{
	struct buf bytes = { 0 };

	wire_put_u32(&bytes, magic);
	wire_put_u32(&bytes, version);
	wire_put_u32(&bytes, claimed);
	while (bytes.length < 1024)
		wire_put_u32(&bytes, 0);
	for (size_t i = 0; i < count; i++) {
		if (magic == 20240801)
			wire_put_u32(&bytes, ids[i]);
		else
			wire_put_u16(&bytes, (uint16_t)ids[i]);
	}
	scratch_write(name, bytes.data, bytes.length);
	buf_release(&bytes);
}

static int make_files(void **state)
{
	static const uint32_t ids[] = { 5, 300, 2, 7, 1, 0, 9, 4, 3, 6 };

	if (scratch_make(state) < 0)
		return -1;
	write_tokens("ten", 20240520, 1, 10, 10, ids);
	write_tokens("seven", 20240520, 1, 7, 7, ids + 3);
	write_tokens("wide", 20240801, 7, 10, 10, ids);
	write_text("text", "to be or not to be");
	return 0;
}

/* Sample `i` is these tokens, each the target of the one before it. */
static void assert_sample(const struct dataset *dataset, uint32_t i, const float *tokens)
{
	size_t length = dataset->labels;
	float x[16], targets[16];
	struct batch batch = { .x = x, .targets = targets, .count = 1 };

	assert_int_equal(shape_count(&dataset->shape), length);
	dataset_gather(dataset, &i, &batch);
	assert_memory_equal(x, tokens, length * sizeof(*x));
	assert_memory_equal(targets, tokens + 1, length * sizeof(*x));
}

static void samples_follow_each_other_within_a_file(void **state)
{
	struct dataset train = format_read("tokens", "train=[ten,seven] context=3", DATA_TRAIN);

	(void)state;
	assert_int_equal(train.count, 5); /* the last token of seven is a target only */
	assert_int_equal(train.vocabulary, 301);
	assert_int_equal(train.classes, 301);
	assert_null(train.targets);
	assert_sample(&train, 0, (float[]){ 5, 300, 2, 7 });
	assert_sample(&train, 2, (float[]){ 9, 4, 3, 6 });
	assert_sample(&train, 3, (float[]){ 7, 1, 0, 9 });
	assert_sample(&train, 4, (float[]){ 9, 4, 3, 6 });
	dataset_release(&train);
	train = format_read("tokens", "train=wide context=3", DATA_TRAIN);
	assert_int_equal(train.count, 3);
	assert_sample(&train, 0, (float[]){ 5, 300, 2, 7 });
	dataset_release(&train);
}

static void a_stride_is_for_training_only(void **state)
{
	const char *settings = "train=ten test=seven context=3 stride=2 vocabulary=1000";
	struct dataset train = format_read("tokens", settings, DATA_TRAIN);
	struct dataset test = format_read("tokens", settings, DATA_TEST);

	(void)state;
	assert_int_equal(train.count, 4);
	assert_sample(&train, 1, (float[]){ 2, 7, 1, 0 });
	assert_sample(&train, 3, (float[]){ 9, 4, 3, 6 });
	assert_int_equal(test.count, 2);
	assert_sample(&test, 1, (float[]){ 9, 4, 3, 6 });
	assert_int_equal(train.vocabulary, 1000);
	dataset_release(&train);
	dataset_release(&test);
	train = format_read("tokens", "train=ten context=9", DATA_TRAIN);
	assert_int_equal(train.count, 1);
	dataset_release(&train);
}

static void plain_numbers_are_read_if_the_recipe_says_so(void **state)
{
	struct dataset train;

	(void)state;
	scratch_write("plain", "\1\0\2\0\3\0\4\1", 8);
	train = format_read("tokens", "train=plain layout=uint16 context=3", DATA_TRAIN);
	assert_int_equal(train.count, 1);
	assert_sample(&train, 0, (float[]){ 1, 2, 3, 260 });
	dataset_release(&train);
	scratch_pack("plain", "packed");
	train = format_read("tokens", "train=packed layout=uint16 context=3", DATA_TRAIN);
	assert_sample(&train, 0, (float[]){ 1, 2, 3, 260 });
	dataset_release(&train);
	scratch_write("plain", "\1\0\0\0\2\0\1\0", 8);
	train = format_read("tokens", "train=plain layout=uint32 context=1", DATA_TRAIN);
	assert_sample(&train, 0, (float[]){ 1, 65538 });
	dataset_release(&train);
	format_refuses("tokens", "train=ten layout=uint32 context=2", DATA_TRAIN,
		       "'ten': token 1 is 20240520, out of range 0..16777215");
	scratch_write("plain", "\1\0\0", 3);
	format_refuses("tokens", "train=plain layout=uint16", DATA_TRAIN,
		       "'plain' is cut short: 3 bytes are no whole number of tokens");
	scratch_write("plain", "", 0);
	format_refuses("tokens", "train=plain layout=uint16", DATA_TRAIN, "'plain' is empty");
}

static void broken_token_files_are_refused(void **state)
{
	static const uint32_t ids[] = { 1, 2, 3, 4 };

	(void)state;
	format_refuses("tokens", "train=text", DATA_TRAIN,
		       "'text' is not a token file as llm.c writes them; if it has no header, say "
		       "so with data.layout");
	write_tokens("odd", 20240520, 2, 4, 4, ids);
	format_refuses("tokens", "train=odd", DATA_TRAIN,
		       "'odd' has version 2 of its layout, which is not known");
	write_tokens("odd", 20240520, 1, 5, 4, ids);
	format_refuses("tokens", "train=odd", DATA_TRAIN,
		       "'odd' is cut short: its header says 5 tokens, and 4 are there");
	write_tokens("odd", 20240520, 1, 3, 4, ids);
	format_refuses("tokens", "train=odd", DATA_TRAIN,
		       "'odd' has extra bytes: its header says 3 tokens, and 4 are there");
	format_refuses("tokens", "train=ten context=10", DATA_TRAIN,
		       "'ten' has 10 tokens, too few for a sample of 10 and the one after it; see "
		       "data.context");
	format_refuses("tokens", "train=seven test=ten context=2", DATA_TEST,
		       "'ten': token 2 is 300, out of range 0..9");
	format_refuses("tokens", "train=[ten,wide] context=2", DATA_TRAIN,
		       "'wide' has tokens of 4 bytes, those before it of 2");
	format_refuses("tokens", "train=.", DATA_TRAIN, "'.' is not a regular file");
}

static void a_text_is_its_characters_in_sorted_order(void **state)
{
	static const char *const words[] = { " ", "b", "e", "n", "o", "r", "t" };
	struct dataset train = format_read("text", TEXT "context=4", DATA_TRAIN);

	(void)state;
	assert_int_equal(train.count, 4);
	assert_int_equal(train.vocabulary, 7);
	assert_int_equal(train.classes, 7);
	for (size_t i = 0; i < 7; i++)
		assert_string_equal(train.words[i], words[i]);
	assert_sample(&train, 0, (float[]){ 6, 4, 0, 1, 2 });
	dataset_release(&train);
	scratch_pack("text", "packed");
	train = format_read("text", "train=packed context=4", DATA_TRAIN);
	assert_int_equal(train.count, 4);
	dataset_release(&train);
}

static void the_end_of_a_text_may_be_held_out(void **state)
{
	const char *settings = TEXT "context=2 test_share=0.25"; /* 18 characters: 13 and 5 */
	struct dataset train = format_read("text", settings, DATA_TRAIN);
	struct dataset test = format_read("text", settings, DATA_TEST);

	(void)state;
	assert_int_equal(train.count, 6);
	assert_int_equal(test.count, 2);
	assert_sample(&train, 5, (float[]){ 4, 6, 0 });
	assert_sample(&test, 0, (float[]){ 6, 4, 0 });
	assert_int_equal(test.vocabulary, 7);
	dataset_release(&train);
	dataset_release(&test);
	format_refuses(
		"text", TEXT "test=text test_share=0.5", DATA_TRAIN,
		"data.test and data.test_share exclude each other; set data.test_share to 0");
	write_text("other", "to\nbee\nor a bee");
	format_refuses("text", TEXT "test=other context=2", DATA_TEST,
		       "other:1: character 10 does not occur in the training text");
	write_text("other", "to a bee");
	format_refuses("text", TEXT "test=other context=2", DATA_TEST,
		       "other:1: 'a' does not occur in the training text");
	test = format_read("text", TEXT, DATA_TEST);
	assert_int_equal(test.count, 0);
	dataset_release(&test);
}

static void characters_may_have_many_bytes(void **state)
{
	static const char *const words[] = { "a", "\xc3\xa4", "\xe2\x82\xac", "\xf0\x9f\x90\x9d" };
	struct dataset train;

	(void)state;
	write_text("umlauts", "a\xc3\xa4\xf0\x9f\x90\x9d\xe2\x82\xac"
			      "a");
	train = format_read("text", "train=umlauts context=4", DATA_TRAIN);
	assert_int_equal(train.vocabulary, 4);
	for (size_t i = 0; i < 4; i++)
		assert_string_equal(train.words[i], words[i]);
	assert_sample(&train, 0, (float[]){ 0, 1, 3, 2, 0 });
	dataset_release(&train);
	train = format_read("text", "train=umlauts context=4 unit=byte", DATA_TRAIN);
	assert_int_equal(train.vocabulary, 10);
	assert_string_equal(train.words[9], "\xf0");
	dataset_release(&train);
}

static void what_is_no_text_is_refused(void **state)
{
	(void)state;
	write_text("broken", "");
	format_refuses("text", "train=broken", DATA_TRAIN, "'broken' is empty");
	scratch_write("broken", "a\0b", 3);
	format_refuses("text", "train=broken", DATA_TRAIN,
		       "'broken' is not a text file: byte 2 is 0");
	write_text("broken", "a\nb\xff");
	format_refuses("text", "train=broken", DATA_TRAIN,
		       "broken:2: byte 4 of the file is not UTF-8; with data.unit: byte it does "
		       "not matter");
	write_text("broken", "a\xe2\x82");
	format_refuses("text", "train=broken", DATA_TRAIN,
		       "broken:1: byte 2 of the file is not UTF-8; with data.unit: byte it does "
		       "not matter");
	format_refuses("text", TEXT "context=18", DATA_TRAIN,
		       "'text' has 18 tokens, too few for a sample of 18 and the one after it; "
		       "see data.context");
	format_refuses("text", "train=.", DATA_TRAIN, "'.' is not a regular file");
}

static void every_character_is_what_it_was(void **state)
{
	(void)state;
	for (uint32_t code = 0; code <= UTF8_MOST; code++) {
		unsigned char bytes[4];
		size_t length = utf8_put(bytes, code);
		bool surrogate = code >= 0xd800 && code < 0xe000;
		uint32_t back;

		assert_int_equal(utf8_next(bytes, length, &back), surrogate ? 0 : length);
		assert_true(surrogate || back == code);
		assert_true(length == 1 || utf8_next(bytes, length - 1, &back) == 0);
	}
	assert_int_equal(utf8_next((const unsigned char *)"\xc0\x80", 2, &(uint32_t){ 0 }), 0);
	assert_int_equal(utf8_next((const unsigned char *)"\xf4\x90\x80\x80", 4, &(uint32_t){ 0 }),
			 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(samples_follow_each_other_within_a_file),
		cmocka_unit_test(a_stride_is_for_training_only),
		cmocka_unit_test(plain_numbers_are_read_if_the_recipe_says_so),
		cmocka_unit_test(broken_token_files_are_refused),
		cmocka_unit_test(a_text_is_its_characters_in_sorted_order),
		cmocka_unit_test(the_end_of_a_text_may_be_held_out),
		cmocka_unit_test(characters_may_have_many_bytes),
		cmocka_unit_test(what_is_no_text_is_refused),
		cmocka_unit_test(every_character_is_what_it_was),
	};

	return cmocka_run_group_tests(tests, make_files, scratch_remove);
}
