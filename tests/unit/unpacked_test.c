/* Copies of unpacked files: right or not used, whatever became of them. */
#include "tests/unit/unit.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include "lib/memory.h"
#include "lib/unpacked.h"
#include "tests/unit/scratch.h"

enum { LENGTH = (5 << 20) + 3 };

static unsigned char content(size_t i)
{
	return (unsigned char)(i >> 3 ^ i >> 13);
}

static void write_packed(size_t length)
{
	FILE *file = fopen("plain", "w");

	for (size_t i = 0; i < length; i++)
		putc(content(i), file);
	fclose(file);
	assert_int_equal(system("gzip -1c plain >packed.gz"), 0);
}

static int begin(void **state)
{
	char *cache = getcwd(NULL, 0);

	(void)state;
	setenv("XDG_CACHE_HOME", cache, 1);
	free(cache);
	write_packed(LENGTH);
	return system("rm -rf dstrain");
}

/* Of the only copy, or NULL; and how many files there are. */
static char *copy_path(size_t *count)
{
	DIR *dir = opendir("dstrain/data");
	const struct dirent *entry;
	char *path = NULL;

	*count = 0;
	while (dir && (entry = readdir(dir)))
		if (entry->d_name[0] != '.') {
			free(path);
			path = xasprintf("dstrain/data/%s", entry->d_name);
			++*count;
		}
	if (dir)
		closedir(dir);
	return path;
}

static void must_map(void)
{
	struct unpacked unpacked;
	const unsigned char *bytes;

	assert_true(unpacked_map(&unpacked, "packed.gz"));
	assert_int_equal(unpacked.length, LENGTH);
	bytes = unpacked.bytes;
	for (size_t i = 0; i < LENGTH; i++)
		if (bytes[i] != content(i))
			fail_msg("byte %zu is %u", i, (unsigned)bytes[i]);
	assert_int_equal(munmap(unpacked.bytes, unpacked.length), 0);
}

static void must_not_map(size_t files)
{
	struct unpacked unpacked;
	size_t count;

	assert_false(unpacked_map(&unpacked, "packed.gz"));
	assert_null(unpacked.bytes);
	free(copy_path(&count));
	assert_int_equal(count, files);
}

static void a_large_file_is_unpacked_once(void **state)
{
	struct stat first, second;
	size_t count;
	char *path;

	(void)state;
	must_map();
	path = copy_path(&count);
	assert_int_equal(count, 1);
	assert_int_equal(stat(path, &first), 0);
	must_map();
	assert_int_equal(stat(path, &second), 0);
	assert_int_equal(first.st_ino, second.st_ino);
	free(path);
}

static void a_copy_that_was_cut_or_changed_is_made_anew(void **state)
{
	size_t count;
	char *path;
	FILE *file;

	(void)state;
	must_map();
	path = copy_path(&count);
	assert_int_equal(truncate(path, LENGTH - 1), 0);
	must_map();
	file = fopen(path, "r+");
	fputc(content(0) + 1, file);
	fclose(file);
	must_map();
	assert_int_equal(unlink(path), 0);
	assert_int_equal(symlink("../../plain", path), 0);
	must_map();
	free(path);
}

static void half_a_copy_and_those_of_another_boot_are_removed(void **state)
{
	size_t count;
	char *path, *half;

	(void)state;
	must_map();
	path = copy_path(&count);
	half = xasprintf("%s.half", path);
	assert_int_equal(rename(path, half), 0);
	assert_int_equal(truncate(half, 10), 0);
	fclose(fopen("dstrain/data/unpacked-0-1-2", "w"));
	must_map();
	free(copy_path(&count));
	assert_int_equal(count, 1);
	free(half);
	free(path);
}

static void a_source_that_changed_is_unpacked_again(void **state)
{
	struct timespec times[2] = { { .tv_nsec = UTIME_OMIT }, { .tv_sec = 1000 } };
	struct stat about;
	size_t count;
	char *path;

	(void)state;
	must_map();
	assert_int_equal(utimensat(AT_FDCWD, "packed.gz", times, 0), 0);
	must_map();
	path = copy_path(&count);
	assert_int_equal(stat(path, &about), 0);
	assert_int_equal(about.st_mtime, 1000);
	free(path);
}

static void what_is_small_or_damaged_leaves_nothing(void **state)
{
	(void)state;
	write_packed(1000);
	must_not_map(0);
	assert_int_equal(system("cp plain packed.gz"), 0);
	must_not_map(0);
	write_packed(LENGTH);
	assert_int_equal(
		system("printf x | dd of=packed.gz bs=1 seek=5000 conv=notrunc 2>/dev/null"), 0);
	must_not_map(0);
	write_packed(LENGTH);
	assert_int_equal(
		system("cat packed.gz >twice && cat packed.gz >>twice && mv twice packed.gz"), 0);
	must_not_map(0);
}

static void without_room_there_is_no_copy(void **state)
{
	struct rlimit limit, before;

	(void)state;
	getrlimit(RLIMIT_FSIZE, &before);
	limit = before;
	limit.rlim_cur = LENGTH / 2;
	setrlimit(RLIMIT_FSIZE, &limit);
	must_not_map(0);
	setrlimit(RLIMIT_FSIZE, &before);
	setenv("XDG_CACHE_HOME", "/proc/nowhere", 1);
	must_not_map(0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(a_large_file_is_unpacked_once, begin),
		cmocka_unit_test_setup(a_copy_that_was_cut_or_changed_is_made_anew, begin),
		cmocka_unit_test_setup(half_a_copy_and_those_of_another_boot_are_removed, begin),
		cmocka_unit_test_setup(a_source_that_changed_is_unpacked_again, begin),
		cmocka_unit_test_setup(what_is_small_or_damaged_leaves_nothing, begin),
		cmocka_unit_test_setup(without_room_there_is_no_copy, begin),
	};

	return cmocka_run_group_tests(tests, scratch_make, scratch_remove);
}
