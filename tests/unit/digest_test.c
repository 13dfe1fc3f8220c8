/* SHA-256 of bytes and of files. */
#include "tests/unit/unit.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/digest.h"
#include "lib/error.h"
#include "lib/file.h"
#include "lib/memory.h"

/* FIPS 180-4 example, and the digest of nothing. */
static void known_digests_come_out(void **state)
{
	char hex[DIGEST_HEX];

	(void)state;
	digest_bytes(hex, "abc", 3);
	assert_string_equal(hex,
			    "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
	digest_bytes(hex, "", 0);
	assert_string_equal(hex,
			    "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
}

static void a_file_digests_as_its_bytes_do(void **state)
{
	char directory[] = "/tmp/dstrain-digest-XXXXXX";
	char of_bytes[DIGEST_HEX], of_file[DIGEST_HEX];
	size_t length = 200001; /* not a whole number of chunks */
	char *bytes = xmalloc(length), *path;
	struct error err;

	(void)state;
	for (size_t i = 0; i < length; i++)
		bytes[i] = (char)(i * 31 + i / 256);
	assert_non_null(mkdtemp(directory));
	path = path_join(directory, "bytes");
	assert_int_equal(file_write(path, bytes, length, &err), 0);
	digest_bytes(of_bytes, bytes, length);
	assert_int_equal(digest_file(of_file, path, &err), 0);
	assert_string_equal(of_file, of_bytes);
	bytes[length - 1] ^= 1;
	digest_bytes(of_bytes, bytes, length);
	assert_string_not_equal(of_file, of_bytes);
	assert_int_equal(dir_remove(directory, &err), 0);
	free(path);
	free(bytes);
}

static void what_cannot_be_read_is_an_error(void **state)
{
	char hex[DIGEST_HEX];
	struct error err;

	(void)state;
	assert_int_equal(digest_file(hex, "/nonexistent/file", &err), -1);
	assert_string_equal(err.text, "cannot open '/nonexistent/file': No such file or directory");
	assert_int_equal(digest_file(hex, "/tmp", &err), -1);
	assert_string_equal(err.text, "cannot read '/tmp': Is a directory");
}

static void random_bytes_differ_from_call_to_call(void **state)
{
	unsigned char a[32] = { 0 }, b[32] = { 0 };
	struct error err;

	(void)state;
	assert_int_equal(random_bytes(a, sizeof(a), &err), 0);
	assert_int_equal(random_bytes(b, sizeof(b), &err), 0);
	assert_memory_not_equal(a, b, sizeof(a));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(known_digests_come_out),
		cmocka_unit_test(a_file_digests_as_its_bytes_do),
		cmocka_unit_test(what_cannot_be_read_is_an_error),
		cmocka_unit_test(random_bytes_differ_from_call_to_call),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
