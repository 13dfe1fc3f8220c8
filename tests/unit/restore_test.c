/* Checkpoints on their way to workers: whose file goes where. */
#include "tests/unit/unit.h"

#include "lib/buf.h"
#include "lib/channel.h"
#include "lib/control.h"
#include "lib/error.h"
#include "lib/file.h"
#include "lib/manifest.h"
#include "lib/memory.h"
#include "lib/pulse.h"
#include "lib/restore.h"
#include "lib/safetensors.h"
#include "tests/unit/scratch.h"

enum { COUNT = 5, WORLD_MOST = 5 };

static float debt(uint32_t rank, size_t i)
{
	return (float)(rank * 10 + i);
}

/* Debts, and something else that a rank has of its own. */
static void write_rank(const char *dir, uint32_t rank)
{
	float residual[COUNT], level = (float)rank;
	struct safetensor arrays[] = {
		{ .name = (char *)(uintptr_t) "level",
		  .dim = { 1 },
		  .rank = 1,
		  .count = 1,
		  .x = &level },
		{ .name = (char *)(uintptr_t) "residual",
		  .dim = { COUNT },
		  .rank = 1,
		  .count = COUNT,
		  .x = residual },
	};
	char *name = xasprintf("rank-%u.safetensors", rank), *path = path_join(dir, name);
	struct buf bytes = { 0 };
	struct error err;

	for (size_t i = 0; i < COUNT; i++)
		residual[i] = debt(rank, i);
	safetensors_header(&bytes, arrays, ARRAY_SIZE(arrays));
	buf_add(&bytes, &level, sizeof(level));
	buf_add(&bytes, residual, sizeof(residual));
	assert_int_equal(file_write(path, bytes.data, bytes.length, &err), 0);
	buf_release(&bytes);
	free(name);
	free(path);
}

static void make_checkpoint(struct manifest *manifest, const char *dir, uint32_t world)
{
	static const char *const shared[] = { "model.safetensors", "optimizer.safetensors" };
	struct error err;

	*manifest = (struct manifest){ .step = 7, .world = world };
	for (size_t i = 0; i < ARRAY_SIZE(shared); i++) {
		char *path = path_join(dir, shared[i]);

		assert_int_equal(file_write(path, "x", 1, &err), 0);
		assert_int_equal(manifest_add(manifest, dir, shared[i], &err), 0);
		free(path);
	}
	for (uint32_t rank = 0; rank < world; rank++) {
		char *name = xasprintf("rank-%u.safetensors", rank);

		write_rank(dir, rank);
		assert_int_equal(manifest_add(manifest, dir, name, &err), 0);
		free(name);
	}
}

/* What each rank was sent of its own, by the name. */
struct sent {
	char *name[WORLD_MOST];
	struct buf bytes[WORLD_MOST];
};

static void hear(struct sent *sent, const struct buf *out)
{
	struct control_reader reader = { 0 };
	struct control_frame frame;
	struct control_chunk chunk;
	struct error err;

	buf_add(&reader.in, out->data, out->length);
	while (control_next(&reader, &frame, &err) > 0) {
		assert_int_equal(control_get_chunk(&chunk, &frame, &err), 0);
		assert_int_equal(chunk.step, 7);
		if (chunk.size > 1) {
			assert_true(frame.rank < WORLD_MOST);
			free(sent->name[frame.rank]);
			sent->name[frame.rank] = chunk.name;
			buf_add(&sent->bytes[frame.rank], chunk.bytes, chunk.length);
		} else {
			free(chunk.name);
		}
	}
	control_reader_release(&reader);
}

/* A checkpoint of `before` ranks goes to `world` of them. */
static void restore(struct sent *sent, uint32_t before, uint32_t world)
{
	struct channel channel = { .ranks = world };
	struct manifest manifest;
	struct pulse *pulse;
	size_t none = 0;
	struct error err;

	*sent = (struct sent){ 0 };
	make_checkpoint(&manifest, ".", before);
	pulse = pulse_new(&channel, &none, &err);
	assert_non_null(pulse);
	if (restore_send(&channel, world, pulse, ".", &manifest, &err) < 0)
		fail_msg("%s", err.text);
	hear(sent, &channel.out);
	pulse_free(pulse);
	buf_release(&channel.out);
	manifest_release(&manifest);
}

static void release(struct sent *sent)
{
	for (size_t rank = 0; rank < WORLD_MOST; rank++) {
		free(sent->name[rank]);
		buf_release(&sent->bytes[rank]);
	}
}

/* What rank `rank` of `world` must have been given of the debts of `before` ranks, and no more. */
static void check_debts(const struct sent *sent, uint32_t rank, uint32_t before, uint32_t world)
{
	const struct buf *bytes = &sent->bytes[rank];
	struct safetensors file = { 0 };
	float x[COUNT];
	struct error err;

	if (rank >= before) {
		assert_null(sent->name[rank]);
		return;
	}
	assert_string_equal(sent->name[rank], "debts.safetensors");
	assert_int_equal(safetensors_read(&file, bytes->data, bytes->length, &err), 0);
	assert_int_equal(file.count, 1);
	assert_int_equal(safetensors_find(&file, "residual")->count, COUNT);
	safetensor_floats(safetensors_find(&file, "residual"), x);
	for (size_t i = 0; i < COUNT; i++) {
		float sum = 0;

		for (uint32_t old = rank; old < before; old += world)
			sum += debt(old, i);
		assert_true(x[i] == sum);
	}
	safetensors_release(&file);
}

static void ranks_of_another_number_take_over_all_debts(void **state)
{
	(void)state;
	for (uint32_t before = 1; before <= WORLD_MOST; before++)
		for (uint32_t world = 1; world <= WORLD_MOST; world++) {
			struct sent sent;

			if (before == world)
				continue;
			restore(&sent, before, world);
			for (uint32_t rank = 0; rank < world; rank++)
				check_debts(&sent, rank, before, world);
			release(&sent);
		}
}

static void as_many_ranks_get_back_what_they_had(void **state)
{
	struct sent sent;

	(void)state;
	restore(&sent, 3, 3);
	for (uint32_t rank = 0; rank < 3; rank++) {
		char *name = xasprintf("rank-%u.safetensors", rank);
		struct buf file = { 0 };
		struct error err;

		assert_string_equal(sent.name[rank], name);
		assert_int_equal(file_read(&file, name, SIZE_MAX / 2, &err), 0);
		assert_int_equal(file.length, sent.bytes[rank].length);
		assert_memory_equal(file.data, sent.bytes[rank].data, file.length);
		buf_release(&file);
		free(name);
	}
	release(&sent);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(ranks_of_another_number_take_over_all_debts),
		cmocka_unit_test(as_many_ranks_get_back_what_they_had),
	};

	return cmocka_run_group_tests(tests, scratch_make, scratch_remove);
}
