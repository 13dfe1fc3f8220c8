/* Safetensors: what is written reads back; every lie in a header is found. */
#include "tests/unit/unit.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "lib/buf.h"
#include "lib/error.h"
#include "lib/memory.h"
#include "lib/wire.h"
#include "tests/safetensors.h"

static const float weights[6] = { 1, 2, 3, 4, 5, -6.5f };
static const float bias[3] = { 0.25f, -1e-30f, 7 };

static char weight_name[] = "fc1.weight", bias_name[] = "fc1.bias";

static const struct safetensor two[] = {
	{ .name = weight_name, .dim = { 3, 2 }, .rank = 2, .x = weights, .count = 6 },
	{ .name = bias_name, .dim = { 3 }, .rank = 1, .x = bias, .count = 3 },
};

static void arrays_read_back_bit_for_bit(void **state)
{
	const struct safetensor *found;
	struct safetensors file;
	struct buf bytes = { 0 };
	struct error err;
	float read[6];

	(void)state;
	safetensors_write(&bytes, two, ARRAY_SIZE(two));
	assert_int_equal(safetensors_read(&file, bytes.data, bytes.length, &err), 0);
	assert_int_equal(file.count, 2);
	found = safetensors_find(&file, "fc1.weight");
	assert_non_null(found);
	assert_int_equal(found->rank, 2);
	assert_int_equal(found->dim[0], 3);
	assert_int_equal(found->dim[1], 2);
	assert_int_equal(found->count, 6);
	safetensor_floats(found, read);
	assert_memory_equal(read, weights, sizeof(weights));
	safetensor_floats(safetensors_find(&file, "fc1.bias"), read);
	assert_memory_equal(read, bias, sizeof(bias));
	assert_null(safetensors_find(&file, "fc2.bias"));
	safetensors_release(&file);
	safetensors_release(&file);
	buf_release(&bytes);
}

static void the_layout_is_the_published_one(void **state)
{
	static const char header[] =
		"{\"fc1.weight\":{\"dtype\":\"F32\",\"shape\":[3,2],\"data_offsets\":[0,24]},"
		"\"fc1.bias\":{\"dtype\":\"F32\",\"shape\":[3],\"data_offsets\":[24,36]}}";
	struct buf bytes = { 0 };
	struct wire wire;
	size_t length;

	(void)state;
	safetensors_write(&bytes, two, ARRAY_SIZE(two));
	wire = wire_reader(bytes.data, bytes.length);
	length = (size_t)wire_get_u64(&wire);
	assert_int_equal(length % 8, 0);
	assert_true(length >= strlen(header) && length < strlen(header) + 8);
	assert_memory_equal(bytes.data + 8, header, strlen(header));
	assert_int_equal(bytes.length, 8 + length + 36);
	buf_release(&bytes);
}

static void no_tensors_and_empty_tensors_are_fine(void **state)
{
	char none[] = "none", scalar[] = "scalar";
	struct safetensor odd[] = { { .name = none, .dim = { 0, 5 }, .rank = 2, .x = bias },
				    { .name = scalar, .x = bias, .count = 1 } };
	struct safetensors file;
	struct buf bytes = { 0 };
	struct error err;
	float read;

	(void)state;
	safetensors_write(&bytes, NULL, 0);
	assert_int_equal(safetensors_read(&file, bytes.data, bytes.length, &err), 0);
	assert_int_equal(file.count, 0);
	safetensors_release(&file);
	buf_release(&bytes);
	safetensors_write(&bytes, odd, 2);
	assert_int_equal(safetensors_read(&file, bytes.data, bytes.length, &err), 0);
	assert_int_equal(safetensors_find(&file, "none")->count, 0);
	safetensor_floats(safetensors_find(&file, "scalar"), &read);
	assert_true(read == 0.25f);
	safetensors_release(&file);
	buf_release(&bytes);
}

/* A file with this header, padded, and `data` bytes of data. */
static struct buf file_with(const char *header, size_t data)
{
	struct buf bytes = { 0 };
	size_t padded = (strlen(header) + 7) / 8 * 8;

	wire_put_u64(&bytes, padded);
	buf_addf(&bytes, "%-*s", (int)padded, header);
	memset(buf_reserve(&bytes, data), 0, data + 1);
	bytes.length += data;
	return bytes;
}

/* What PyTorch may have written, not aligned to anything. */
static void every_type_is_read_as_floats(void **state)
{
	static const struct {
		const char *type;
		size_t bytes;
		unsigned char number[8];
		float value;
	} cases[] = {
		{ "F32", 4, { 0, 0, 0xc0, 0xbf }, -1.5f },
		{ "F64", 8, { 0, 0, 0, 0, 0, 0, 0xf8, 0xbf }, -1.5f },
		{ "F16", 2, { 0, 0xbe }, -1.5f },
		{ "F16", 2, { 0xff, 0x7b }, 65504 },
		{ "F16", 2, { 1, 0 }, 0x1p-24f },
		{ "F16", 2, { 0xff, 0x83 }, -1023 * 0x1p-24f },
		{ "F16", 2, { 0, 4 }, 0x1p-14f },
		{ "F16", 2, { 0, 0xfc }, -INFINITY },
		{ "BF16", 2, { 0xc0, 0xbf }, -1.5f },
		{ "I64", 8, { 0xfe, 255, 255, 255, 255, 255, 255, 255 }, -2 },
		{ "I32", 4, { 0, 0, 1, 0 }, 65536 },
		{ "U8", 1, { 200 }, 200 },
		{ "BOOL", 1, { 1 }, 1 },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		char *header =
			xasprintf("{\"pad\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":"
				  "[0,1]},\"a\":{\"dtype\":\"%s\",\"shape\":[1,1],"
				  "\"data_offsets\":[1,%zu]}}",
				  cases[i].type, 1 + cases[i].bytes);
		struct buf bytes = file_with(header, 1 + cases[i].bytes);
		struct safetensors file;
		struct error err;
		float read;

		memcpy(bytes.data + bytes.length - cases[i].bytes, cases[i].number, cases[i].bytes);
		assert_int_equal(safetensors_read(&file, bytes.data, bytes.length, &err), 0);
		safetensor_floats(safetensors_find(&file, "a"), &read);
		assert_true(read == cases[i].value);
		safetensors_release(&file);
		buf_release(&bytes);
		free(header);
	}
}

static void metadata_is_skipped(void **state)
{
	struct buf bytes = file_with("{\"__metadata__\":{\"format\":\"pt\"},\"a\":{\"dtype\":"
				     "\"F32\",\"shape\":[1],\"data_offsets\":[0,4]}}",
				     4);
	struct safetensors file;
	struct error err;

	(void)state;
	assert_int_equal(safetensors_read(&file, bytes.data, bytes.length, &err), 0);
	assert_int_equal(file.count, 1);
	safetensors_release(&file);
	buf_release(&bytes);
}

#define TENSOR(name, shape, offsets) \
	"\"" name "\":{\"dtype\":\"F32\",\"shape\":[" shape "],\"data_offsets\":[" offsets "]}"

#define TYPES "F32, F64, F16, BF16, I64, I32, U8, BOOL"

static void every_lie_in_the_header_is_named(void **state)
{
	static const struct {
		const char *header;
		size_t data;
		const char *message;
	} cases[] = {
		{ "{\"a\":{\"dtype\":\"F8\",\"shape\":[4],\"data_offsets\":[0,4]}}", 4,
		  "tensor 'a': has dtype 'F8', not one of " TYPES },
		{ "{\"a\":{\"dtype\":\"F16\",\"shape\":[4],\"data_offsets\":[0,4]}}", 4,
		  "tensor 'a': is larger than the file" },
		{ "{\"a\":{\"dtype\":\"F16\",\"shape\":[1],\"data_offsets\":[0,4]}}", 4,
		  "tensor 'a': has 4 bytes of data, but its shape needs 2" },
		{ "{\"a\":{\"shape\":[2],\"data_offsets\":[0,4]}}", 4,
		  "tensor 'a': has dtype '', not one of " TYPES },
		{ "{\"a\":[1]}", 4, "tensor 'a': has dtype '', not one of " TYPES },
		{ "{\"a\":{\"dtype\":\"F32\",\"data_offsets\":[0,4]}}", 4,
		  "tensor 'a': needs a 'shape' of at most 4 dimensions" },
		{ "{" TENSOR("a", "1,1,1,1,1", "0,4") "}", 4,
		  "tensor 'a': needs a 'shape' of at most 4 dimensions" },
		{ "{" TENSOR("a", "-1", "0,4") "}", 4, "tensor 'a': 'shape' must hold counts" },
		{ "{" TENSOR("a", "4294967296,4294967297", "0,4") "}", 4,
		  "tensor 'a': is larger than the file" },
		{ "{" TENSOR("a", "1", "4,0") "}", 4,
		  "tensor 'a': needs 'data_offsets', a start and an end" },
		{ "{" TENSOR("a", "1", "0") "}", 4,
		  "tensor 'a': needs 'data_offsets', a start and an end" },
		{ "{" TENSOR("a", "1", "4,8") "}", 4,
		  "tensor 'a': ends at byte 8 of 4 bytes of data" },
		{ "{" TENSOR("a", "1", "0,8") "}", 8,
		  "tensor 'a': has 8 bytes of data, but its shape needs 4" },
		{ "{" TENSOR("a", "2", "0,8") "," TENSOR("b", "2", "4,12") "}", 12,
		  "tensor 'b' overlaps tensor 'a'" },
		{ "{" TENSOR("b", "1", "8,12") "," TENSOR("a", "1", "0,4") "}", 12,
		  "4 bytes before tensor 'b' belong to no tensor" },
		{ "{" TENSOR("a", "1", "0,4") "}", 9,
		  "5 bytes after the last tensor belong to no tensor" },
		{ "{" TENSOR("a", "1", "0,4") "," TENSOR("a", "1", "4,8") "}", 8,
		  "safetensors header: line 1, column 57: duplicate object key near '\"a\"'" },
		{ "[1]", 4, "safetensors header: not an object" },
		{ "{\"a\"", 0,
		  "safetensors header: line 1, column 8: ':' expected near end of file" },
	};
	struct safetensors file;
	struct error err;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct buf bytes = file_with(cases[i].header, cases[i].data);

		assert_int_equal(safetensors_read(&file, bytes.data, bytes.length, &err), -1);
		assert_string_equal(err.text, cases[i].message);
		assert_int_equal(file.count, 0);
		buf_release(&bytes);
	}
}

static void a_cut_file_is_refused_at_every_length(void **state)
{
	struct buf bytes = { 0 };
	struct safetensors file;
	struct error err;

	(void)state;
	safetensors_write(&bytes, two, ARRAY_SIZE(two));
	for (size_t length = 0; length < bytes.length; length++) {
		float *copy = xmalloc(length); /* its end is guarded under sanitizers */

		memcpy(copy, bytes.data, length);
		assert_int_equal(safetensors_read(&file, copy, length, &err), -1);
		free(copy);
	}
	assert_int_equal(safetensors_read(&file, "\1\0\0", 3, &err), -1);
	assert_string_equal(err.text, "not a safetensors file: only 3 bytes");
	assert_int_equal(safetensors_read(&file, "GIF89a..........", 16, &err), -1);
	assert_non_null(strstr(err.text, "not a safetensors file, or cut short: header of "));
	buf_release(&bytes);
}

static float sum_of(const struct safetensor *tensor)
{
	float *x = xmalloc(tensor->count * sizeof(*x)), sum = 0;

	safetensor_floats(tensor, x);
	for (size_t i = 0; i < tensor->count; i++)
		sum += x[i];
	free(x);
	return sum;
}

static void flipped_bytes_never_lead_outside_the_file(void **state)
{
	struct buf bytes = { 0 };
	volatile float sum = 0;

	(void)state;
	safetensors_write(&bytes, two, ARRAY_SIZE(two));
	for (size_t i = 0; i < 8 * bytes.length; i++) {
		float *copy = xmalloc(bytes.length);
		struct safetensors file;
		struct error err;

		memcpy(copy, bytes.data, bytes.length);
		((unsigned char *)copy)[i / 8] ^= (unsigned char)(1u << i % 8);
		if (safetensors_read(&file, copy, bytes.length, &err) == 0) {
			for (size_t t = 0; t < file.count; t++)
				sum = sum + sum_of(&file.entries[t]);
			safetensors_release(&file);
		}
		free(copy);
	}
	buf_release(&bytes);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(arrays_read_back_bit_for_bit),
		cmocka_unit_test(the_layout_is_the_published_one),
		cmocka_unit_test(no_tensors_and_empty_tensors_are_fine),
		cmocka_unit_test(every_type_is_read_as_floats),
		cmocka_unit_test(metadata_is_skipped),
		cmocka_unit_test(every_lie_in_the_header_is_named),
		cmocka_unit_test(a_cut_file_is_refused_at_every_length),
		cmocka_unit_test(flipped_bytes_never_lead_outside_the_file),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
