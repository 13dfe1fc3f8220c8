/* Checkpoints appear whole or not at all, and of several the newest undamaged one is taken. */
#include "tests/unit/unit.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/collect.h"
#include "lib/control.h"
#include "lib/error.h"
#include "lib/file.h"
#include "lib/memory.h"

static char root[] = "/tmp/collect_test.XXXXXX";

static struct collect new_collect(uint32_t world, size_t keep)
{
	struct collect collect = { .dir = path_join(root, "checkpoints"), .keep = keep };
	struct error err;

	collect.likeness.world = world;
	collect.likeness.seed = 42;
	collect.likeness.samples = 1000;
	assert_int_equal(dir_make(collect.dir, &err), 0);
	return collect;
}

static int empty_root(void **state)
{
	char *dir = path_join(root, "checkpoints");
	struct error err;
	int status = dir_remove(dir, &err);

	(void)state;
	free(dir);
	return status;
}

static int chunk(struct collect *collect, uint64_t step, const char *name, const char *bytes,
		 uint64_t size, uint64_t offset, struct error *err)
{
	char *copy = xstrdup(name);
	struct control_chunk part = { .step = step,
				      .size = size,
				      .offset = offset,
				      .name = copy,
				      .bytes = bytes,
				      .length = strlen(bytes) };
	int status = collect_chunk(collect, &part, err);

	free(copy);
	return status;
}

static void send_whole(struct collect *collect, uint64_t step, const char *name, const char *bytes)
{
	struct error err;

	assert_int_equal(chunk(collect, step, name, bytes, strlen(bytes), 0, &err), 0);
}

/* A checkpoint of one rank. */
static void save(struct collect *collect, uint64_t step)
{
	char *bytes = xasprintf("weights of step %llu", (unsigned long long)step);
	struct error err;

	send_whole(collect, step, "model.safetensors", bytes);
	send_whole(collect, step, "optimizer.safetensors", "momentum");
	assert_int_equal(collect_end(collect, step, 1.5, &err), 1);
	free(bytes);
}

static char *path_of(unsigned step, const char *file)
{
	return xasprintf("%s/checkpoints/step-%u%s%s", root, step, file[0] ? "/" : "", file);
}

static bool is_there(unsigned step, const char *file)
{
	char *path = path_of(step, file);
	bool there = file_exists(path);

	free(path);
	return there;
}

static char *newest(struct manifest *manifest, struct error *err)
{
	char *dir = path_join(root, "checkpoints");
	char *found = collect_newest(dir, manifest, err);

	free(dir);
	return found;
}

static void assert_newest(unsigned step)
{
	struct manifest manifest = { 0 };
	struct error err;
	char *wanted = path_of(step, ""), *found = newest(&manifest, &err);

	assert_non_null(found);
	assert_string_equal(found, wanted);
	assert_int_equal(manifest.step, step);
	manifest_release(&manifest);
	free(wanted);
	free(found);
}

static void it_is_there_once_every_rank_has_ended(void **state)
{
	struct collect collect = new_collect(3, 3);
	struct manifest manifest = { 0 };
	struct error err;
	char *found;

	(void)state;
	send_whole(&collect, 5, "rank-2.safetensors", "two");
	assert_int_equal(collect_end(&collect, 5, 1, &err), 0);
	send_whole(&collect, 5, "model.safetensors", "model");
	assert_int_equal(collect_end(&collect, 5, 2, &err), 0);
	assert_false(is_there(5, ""));
	assert_int_equal(collect.last_step, 0);
	assert_int_equal(collect_end(&collect, 5, 2.5, &err), 1);
	assert_true(is_there(5, "manifest.json"));
	assert_int_equal(collect.last_step, 5);
	found = newest(&manifest, &err);
	assert_non_null(found);
	assert_true(manifest.world == 3 && manifest.seed == 42 && manifest.samples == 1000);
	assert_true(manifest.elapsed_s == 2.5 && manifest.file_count == 2);
	assert_int_equal(manifest_find(&manifest, "rank-2.safetensors")->bytes, 3);
	assert_null(manifest_find(&manifest, "rank-1.safetensors"));
	manifest_release(&manifest);
	free(found);
	collect_release(&collect);
}

static void assert_content(unsigned step, const char *file, const char *wanted)
{
	char *path = path_of(step, file);
	struct buf got = { 0 };
	struct error err;

	assert_int_equal(file_read(&got, path, 1000, &err), 0);
	assert_string_equal(buf_text(&got), wanted);
	buf_release(&got);
	free(path);
}

static void chunks_of_files_and_steps_may_alternate(void **state)
{
	struct collect collect = new_collect(2, 3);
	struct error err;

	(void)state;
	assert_int_equal(chunk(&collect, 1, "model.safetensors", "ab", 4, 0, &err), 0);
	assert_int_equal(chunk(&collect, 1, "rank-1.safetensors", "x", 3, 0, &err), 0);
	assert_int_equal(chunk(&collect, 2, "model.safetensors", "AB", 2, 0, &err), 0);
	assert_int_equal(chunk(&collect, 1, "model.safetensors", "cd", 4, 2, &err), 0);
	assert_int_equal(chunk(&collect, 2, "rank-1.safetensors", "", 0, 0, &err), 0);
	assert_int_equal(chunk(&collect, 1, "rank-1.safetensors", "yz", 3, 1, &err), 0);
	for (int rank = 0; rank < 2; rank++) {
		assert_int_equal(collect_end(&collect, 1, 0, &err), rank);
		assert_int_equal(collect_end(&collect, 2, 0, &err), rank);
	}
	assert_content(1, "model.safetensors", "abcd");
	assert_content(1, "rank-1.safetensors", "xyz");
	assert_content(2, "model.safetensors", "AB");
	assert_content(2, "rank-1.safetensors", "");
	assert_newest(2);
	collect_release(&collect);
}

static void a_chunk_out_of_order_is_an_error(void **state)
{
	struct collect collect = new_collect(1, 3);
	struct error err;

	(void)state;
	assert_int_equal(chunk(&collect, 1, "f", "cd", 4, 2, &err), -1);
	assert_non_null(strstr(err.text, "'f' came out of order"));
	assert_int_equal(chunk(&collect, 1, "g", "ab", 4, 0, &err), 0);
	assert_int_equal(chunk(&collect, 1, "g", "ab", 4, 0, &err), -1);
	assert_int_equal(chunk(&collect, 1, "g", "cde", 5, 2, &err), -1); /* another size */
	collect_release(&collect);
	assert_false(is_there(1, ""));
}

static void a_file_that_is_not_whole_at_the_end_is_an_error(void **state)
{
	struct collect collect = new_collect(1, 3);
	struct error err;

	(void)state;
	assert_int_equal(chunk(&collect, 4, "model.safetensors", "ab", 4, 0, &err), 0);
	assert_int_equal(collect_end(&collect, 4, 0, &err), -1);
	assert_non_null(strstr(err.text, "step 4"));
	assert_non_null(strstr(err.text, "'model.safetensors'"));
	assert_false(is_there(4, ""));
	collect_release(&collect);
}

static size_t count_entries(void)
{
	char *command = xasprintf("ls -A %s/checkpoints | wc -l", root);
	FILE *pipe = popen(command, "r");
	size_t count = 99;

	assert_non_null(pipe);
	assert_int_equal(fscanf(pipe, "%zu", &count), 1);
	pclose(pipe);
	free(command);
	return count;
}

static void what_is_incomplete_is_removed(void **state)
{
	struct collect collect = new_collect(2, 3);
	struct error err;

	(void)state;
	send_whole(&collect, 1, "model.safetensors", "ab");
	assert_int_equal(collect_end(&collect, 1, 0, &err), 0);
	assert_int_equal(count_entries(), 1);
	collect_release(&collect);
	assert_int_equal(count_entries(), 0);
}

/* A dstrain that was killed leaves these. */
static void leftovers_of_an_earlier_try_go_with_the_next_checkpoint(void **state)
{
	struct collect collect = new_collect(1, 3);
	char *stale = path_join(root, "checkpoints/.step-7.tmp");
	struct error err;

	(void)state;
	assert_int_equal(dir_make(stale, &err), 0);
	send_whole(&collect, 9, "rank-0.safetensors", "still coming");
	save(&collect, 8);
	assert_false(file_exists(stale));
	send_whole(&collect, 9, "model.safetensors", "w");
	assert_int_equal(collect_end(&collect, 9, 0, &err), 1);
	assert_newest(9);
	free(stale);
	collect_release(&collect);
}

static void only_the_newest_are_kept(void **state)
{
	struct collect collect = new_collect(1, 2);

	(void)state;
	for (uint64_t step = 8; step <= 11; step++)
		save(&collect, step);
	assert_true(is_there(10, "") && is_there(11, ""));
	assert_int_equal(count_entries(), 2);
	collect_release(&collect);
}

static void damage(unsigned step, const char *file, const char *bytes, size_t length)
{
	char *path = path_of(step, file);
	FILE *to;

	if (bytes) {
		to = fopen(path, "w");
		assert_non_null(to);
		assert_int_equal(fwrite(bytes, 1, length, to), length);
		assert_int_equal(fclose(to), 0);
	} else {
		assert_int_equal(unlink(path), 0);
	}
	free(path);
}

/* A damaged one that was skipped must not push out the good one that the run went on from. */
static void skipped_ones_do_not_count_as_kept(void **state)
{
	struct collect collect = new_collect(1, 2);

	(void)state;
	save(&collect, 10);
	save(&collect, 30);
	damage(30, "model.safetensors", "?", 1);
	assert_newest(10);
	save(&collect, 20);
	assert_newest(20);
	assert_true(is_there(10, ""));
	save(&collect, 30); /* made anew */
	assert_newest(30);
	collect_release(&collect);
}

/* The reason that is logged for a newest checkpoint after `spoil`; the one before must be taken. */
static void assert_skipped(const char *file, const char *bytes, size_t length, const char *reason)
{
	struct collect collect = new_collect(1, 3);
	struct manifest manifest = { 0 };
	char *dir = path_of(20, "");
	struct error err;

	save(&collect, 10);
	save(&collect, 20);
	assert_newest(20);
	damage(20, file, bytes, length);
	assert_int_equal(manifest_read(&manifest, dir, &err), -1);
	if (!strstr(err.text, reason))
		fail_msg("'%s' does not say '%s'", err.text, reason);
	assert_newest(10);
	free(dir);
	collect_release(&collect);
	assert_int_equal(empty_root(NULL), 0);
}

static void every_kind_of_damage_is_skipped_with_its_reason(void **state)
{
	static const char newer[] = "{\"format\":\"dstrain-checkpoint\",\"version\":2}";
	static const char escaping[] = "{\"format\":\"dstrain-checkpoint\",\"version\":1,\"step\":"
				       "20,\"files\":[{\"name\":\"../x\",\"bytes\":1}]}";
	static const char no_model[] = "{\"format\":\"dstrain-checkpoint\",\"version\":1,\"step\":"
				       "20,\"files\":[]}";

	(void)state;
	assert_skipped("model.safetensors", NULL, 0, "model.safetensors': No such file");
	assert_skipped("model.safetensors", "short", 5, "'model.safetensors' has 5 bytes instead");
	assert_skipped("model.safetensors", "Weights of step 20", 18,
		       "the checksum of 'model.safetensors' is wrong");
	assert_skipped("optimizer.safetensors", "", 0, "'optimizer.safetensors' has 0 bytes");
	assert_skipped("manifest.json", NULL, 0, "manifest.json': No such file");
	assert_skipped("manifest.json", "", 0, "");
	assert_skipped("manifest.json", "{\"format\": \"dstrain-che", 23, "");
	assert_skipped("manifest.json", "\0\0\0\0", 4, "");
	assert_skipped("manifest.json", "[]", 2, "not a checkpoint's");
	assert_skipped("manifest.json", "{\"format\": \"other\"}", 19, "not a checkpoint's");
	assert_skipped("manifest.json", newer, sizeof(newer) - 1,
		       "version 2, this dstrain reads 1");
	assert_skipped("manifest.json", escaping, sizeof(escaping) - 1, "no plain name");
	assert_skipped("manifest.json", no_model, sizeof(no_model) - 1, "no 'model.safetensors'");
}

static void a_manifest_cut_anywhere_is_not_valid(void **state)
{
	struct collect collect = new_collect(1, 3);
	char *path = path_of(1, "manifest.json"), *dir = path_of(1, "");
	struct manifest manifest = { 0 };
	struct buf whole = { 0 };
	struct error err;

	(void)state;
	save(&collect, 1);
	assert_int_equal(file_read(&whole, path, 10000, &err), 0);
	for (size_t length = 0; length + 2 < whole.length; length++) {
		damage(1, "manifest.json", whole.data, length);
		assert_int_equal(manifest_read(&manifest, dir, &err), -1);
		assert_int_equal(manifest.file_count, 0);
	}
	buf_release(&whole);
	free(path);
	free(dir);
	collect_release(&collect);
}

/* Renamed, copied by hand: it is not what its name says. */
static void a_manifest_of_another_step_is_skipped(void **state)
{
	struct collect collect = new_collect(1, 3);
	char *from, *to;

	(void)state;
	save(&collect, 10);
	save(&collect, 20);
	from = path_of(20, "");
	to = path_of(30, "");
	assert_int_equal(rename(from, to), 0);
	assert_newest(10);
	free(from);
	free(to);
	collect_release(&collect);
}

static void other_entries_of_the_directory_are_left_alone(void **state)
{
	static const char *const names[] = { "step-", "step-x", "step-5x", "STEP-9", "notes" };
	struct collect collect = new_collect(1, 1);

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		char *path = xasprintf("%s/checkpoints/%s", root, names[i]);

		assert_int_equal(mkdir(path, 0700), 0);
		free(path);
	}
	save(&collect, 3);
	save(&collect, 4);
	assert_int_equal(count_entries(), 1 + ARRAY_SIZE(names));
	assert_newest(4);
	collect_release(&collect);
}

static void without_any_valid_one_the_error_says_where(void **state)
{
	struct manifest manifest = { 0 };
	struct error err;

	(void)state;
	assert_null(newest(&manifest, &err)); /* not even the directory */
	assert_non_null(strstr(err.text, "no valid checkpoint in '"));
	assert_non_null(strstr(err.text, root));
}

/* Not a permission, so that it also fails for root. */
static void a_directory_that_cannot_be_written_is_named(void **state)
{
	struct collect collect = new_collect(1, 1);
	char *blocked = xstrdup(collect.dir);
	struct error err;

	(void)state;
	assert_int_equal(rmdir(blocked), 0);
	assert_int_equal(file_write(blocked, "", 0, &err), 0);
	assert_int_equal(chunk(&collect, 1, "model.safetensors", "x", 1, 0, &err), -1);
	assert_non_null(strstr(err.text, blocked));
	assert_int_equal(collect_end(&collect, 1, 0, &err), -1);
	collect_release(&collect);
	assert_int_equal(unlink(blocked), 0);
	free(blocked);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(it_is_there_once_every_rank_has_ended, empty_root),
		cmocka_unit_test_teardown(chunks_of_files_and_steps_may_alternate, empty_root),
		cmocka_unit_test_teardown(a_chunk_out_of_order_is_an_error, empty_root),
		cmocka_unit_test_teardown(a_file_that_is_not_whole_at_the_end_is_an_error,
					  empty_root),
		cmocka_unit_test_teardown(what_is_incomplete_is_removed, empty_root),
		cmocka_unit_test_teardown(leftovers_of_an_earlier_try_go_with_the_next_checkpoint,
					  empty_root),
		cmocka_unit_test_teardown(only_the_newest_are_kept, empty_root),
		cmocka_unit_test_teardown(skipped_ones_do_not_count_as_kept, empty_root),
		cmocka_unit_test_teardown(every_kind_of_damage_is_skipped_with_its_reason,
					  empty_root),
		cmocka_unit_test_teardown(a_manifest_cut_anywhere_is_not_valid, empty_root),
		cmocka_unit_test_teardown(a_manifest_of_another_step_is_skipped, empty_root),
		cmocka_unit_test_teardown(other_entries_of_the_directory_are_left_alone,
					  empty_root),
		cmocka_unit_test_teardown(without_any_valid_one_the_error_says_where, empty_root),
		cmocka_unit_test_teardown(a_directory_that_cannot_be_written_is_named, empty_root),
	};
	int failed;

	if (!mkdtemp(root))
		return 1;
	failed = cmocka_run_group_tests(tests, NULL, NULL);
	rmdir(root);
	return failed;
}
