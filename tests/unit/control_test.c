/* The control plane's messages: there and back, and whatever may arrive instead of them. */
#include "tests/unit/unit.h"

#include <stdlib.h>
#include <string.h>

#include "lib/control.h"
#include "lib/error.h"
#include "lib/memory.h"
#include "lib/wire.h"

enum { HEADER = 12 };

static char release[] = "0.1.0", digest[] = "ab12", machine[] = "x86_64", address[] = "10.0.0.7",
	    kernel[] = "Haswell";
static char empty[] = "", recipe[] = "name: x\n", images[] = "/data/images", labels[] = "/l";
static char collective[] = "allgather", host[] = "node3", loss[] = "hinge", text[] = "no such file";

/* The only frame in `bytes`, which it must fill. */
static struct control_frame frame_in(struct control_reader *reader, const struct buf *bytes)
{
	struct control_frame frame;
	struct error err;

	buf_add(&reader->in, bytes->data, bytes->length);
	assert_int_equal(control_next(reader, &frame, &err), 1);
	assert_int_equal(reader->taken, bytes->length);
	return frame;
}

static void put_hello(struct buf *out)
{
	control_put_hello(out, &(struct control_hello){ .release = release,
							.digest = digest,
							.machine = machine,
							.address = address,
							.kernel = kernel,
							.pid = 77,
							.cores = 16,
							.memory_bytes = UINT64_C(1) << 40,
							.wall_s = 1.5 });
}

static int get_hello(const struct control_frame *frame, struct error *err)
{
	struct control_hello hello;

	if (control_get_hello(&hello, frame, err) < 0)
		return -1;
	assert_int_equal(hello.version, CONTROL_VERSION);
	assert_string_equal(hello.release, release);
	assert_string_equal(hello.digest, digest);
	assert_string_equal(hello.machine, machine);
	assert_string_equal(hello.address, address);
	assert_string_equal(hello.kernel, kernel);
	assert_int_equal(hello.pid, 77);
	assert_int_equal(hello.cores, 16);
	assert_true(hello.memory_bytes == UINT64_C(1) << 40 && hello.wall_s == 1.5);
	control_hello_release(&hello);
	return 0;
}

static void put_plan(struct buf *out)
{
	char *paths[] = { images, labels }, *digests[] = { digest, empty };
	struct control_plan plan = { .recipe = recipe,
				     .job = UINT64_MAX,
				     .start_step = 9,
				     .view = 1,
				     .world = 8,
				     .first_rank = 6,
				     .ranks = 2,
				     .network = empty,
				     .data_addr = address,
				     .cache_dir = empty,
				     .paths = paths,
				     .digests = digests,
				     .files = 2,
				     .loopback_allowed = true,
				     .bench = { collective, 4096, 1 << 20, 4, 7 },
				     .probe = address,
				     .plan = recipe };

	memset(plan.key, 0xa5, sizeof(plan.key));
	control_put_plan(out, &plan);
}

static int get_plan(const struct control_frame *frame, struct error *err)
{
	static const uint64_t sizes[] = { 4096, 1 << 20, 4, 7 };
	struct control_plan plan;

	if (control_get_plan(&plan, frame, err) < 0)
		return -1;
	assert_int_equal(frame->rank, 6);
	assert_string_equal(plan.recipe, recipe);
	assert_true(plan.job == UINT64_MAX && plan.start_step == 9);
	assert_true(plan.view == 1 && plan.world == 8 && plan.first_rank == 6 && plan.ranks == 2 &&
		    plan.loopback_allowed);
	assert_true(plan.key[0] == 0xa5 && plan.key[CONTROL_KEY_BYTES - 1] == 0xa5);
	assert_true(plan.network[0] == '\0' && strcmp(plan.data_addr, address) == 0);
	assert_true(plan.files == 2 && strcmp(plan.paths[1], labels) == 0);
	assert_string_equal(plan.digests[0], digest);
	assert_string_equal(plan.bench.collective, collective);
	assert_memory_equal(&plan.bench.first_bytes, sizes, sizeof(sizes));
	assert_true(strcmp(plan.probe, address) == 0 && strcmp(plan.plan, recipe) == 0);
	control_plan_release(&plan);
	for (size_t i = 0; i < sizeof(plan.key); i++)
		assert_int_equal(plan.key[i], 0);
	return 0;
}

static void put_address(struct buf *out)
{
	control_put_address(out, 3, &(struct control_address){ host, address, 65535 });
}

static int get_address(const struct control_frame *frame, struct error *err)
{
	struct control_address got;

	if (control_get_address(&got, frame, err) < 0)
		return -1;
	assert_string_equal(got.host, host);
	assert_string_equal(got.address, address);
	assert_int_equal(got.port, 65535);
	control_address_release(&got);
	return 0;
}

static void put_peers(struct buf *out)
{
	struct control_address peers[] = { { host, address, 1 }, { empty, empty, 0 } };

	control_put_peers(out, peers, 2);
}

static int get_peers(const struct control_frame *frame, struct error *err)
{
	struct control_address *got;
	uint32_t count;

	if (control_get_peers(&got, &count, frame, err) < 0)
		return -1;
	assert_int_equal(count, 2);
	assert_string_equal(got[0].host, host);
	assert_int_equal(got[0].port, 1);
	assert_string_equal(got[1].address, "");
	control_address_release(&got[0]);
	control_address_release(&got[1]);
	free(got);
	return 0;
}

static void put_ready(struct buf *out)
{
	control_put_ready(out, 1, &(struct control_ready){ 1, 2, 3, 4, 5, loss, true, 6 });
}

static int get_ready(const struct control_frame *frame, struct error *err)
{
	struct control_ready got;

	if (control_get_ready(&got, frame, err) < 0)
		return -1;
	assert_true(got.parameters == 1 && got.samples == 2 && got.test_samples == 3);
	assert_true(got.steps == 4 && got.steps_per_epoch == 5 && got.accuracy && got.labels == 6);
	assert_string_equal(got.loss, loss);
	free(got.loss);
	return 0;
}

static void put_step(struct buf *out)
{
	control_put_step(out, CONTROL_EVAL, 2,
			 &(struct control_step){ .step = 1,
						 .loss_sum = 1e-300,
						 .lr = 2,
						 .gradient_norm = 3,
						 .correct = 4,
						 .count = 5,
						 .data_s = 6,
						 .compute_s = 7,
						 .comm_s = 8,
						 .exposed_comm_s = 9,
						 .step_s = 10,
						 .traffic = { 11, 12, 13, 14, 15, 16 },
						 .level = 17 });
}

static int get_step(const struct control_frame *frame, struct error *err)
{
	struct control_step got;

	if (control_get_step(&got, frame, err) < 0)
		return -1;
	assert_true(got.step == 1 && got.loss_sum == 1e-300 && got.lr == 2);
	assert_true(got.gradient_norm == 3 && got.correct == 4 && got.count == 5);
	assert_true(got.data_s == 6 && got.compute_s == 7 && got.comm_s == 8);
	assert_true(got.exposed_comm_s == 9 && got.step_s == 10 && got.level == 17);
	assert_memory_equal(&got.traffic, ((uint64_t[]){ 11, 12, 13, 14, 15, 16 }), 6 * 8);
	return 0;
}

static void put_number(struct buf *out)
{
	control_put_number(out, CONTROL_DONE, 65535, UINT64_MAX - 1);
}

static int get_number(const struct control_frame *frame, struct error *err)
{
	uint64_t got;

	if (control_get_number(&got, frame, err) < 0)
		return -1;
	assert_int_equal(frame->rank, 65535);
	assert_true(got == UINT64_MAX - 1);
	return 0;
}

static void put_chunk(struct buf *out)
{
	control_put_file(out, 4, 20, "rank-4.safetensors", "12345", 5);
}

static int get_chunk(const struct control_frame *frame, struct error *err)
{
	struct control_chunk got;

	if (control_get_chunk(&got, frame, err) < 0)
		return -1;
	assert_true(got.step == 20 && got.size == 5 && got.offset == 0 && got.length == 5);
	assert_string_equal(got.name, "rank-4.safetensors");
	assert_memory_equal(got.bytes, "12345", 5);
	free(got.name);
	return 0;
}

static void put_failure(struct buf *out)
{
	control_put_failure(out, 1, &(struct control_failure){ true, text });
}

static int get_failure(const struct control_frame *frame, struct error *err)
{
	struct control_failure got;

	if (control_get_failure(&got, frame, err) < 0)
		return -1;
	assert_true(got.lost_peer);
	assert_string_equal(got.text, text);
	free(got.text);
	return 0;
}

static void put_beat(struct buf *out)
{
	control_put_beat(out, &(struct control_beat){ 5, UINT64_MAX });
}

static int get_beat(const struct control_frame *frame, struct error *err)
{
	struct control_beat got;

	if (control_get_beat(&got, frame, err) < 0)
		return -1;
	assert_true(got.resident_bytes == 5 && got.available_bytes == UINT64_MAX);
	return 0;
}

static const struct message {
	enum control_type type;
	void (*put)(struct buf *out);
	int (*get)(const struct control_frame *frame, struct error *err);
} messages[] = {
	{ CONTROL_HELLO, put_hello, get_hello },	 { CONTROL_PLAN, put_plan, get_plan },
	{ CONTROL_LISTENING, put_address, get_address }, { CONTROL_PEERS, put_peers, get_peers },
	{ CONTROL_READY, put_ready, get_ready },	 { CONTROL_EVAL, put_step, get_step },
	{ CONTROL_DONE, put_number, get_number },	 { CONTROL_FILE, put_chunk, get_chunk },
	{ CONTROL_FAILED, put_failure, get_failure },	 { CONTROL_BEAT, put_beat, get_beat },
};

static void every_message_says_the_same_at_the_other_end(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(messages); i++) {
		struct control_reader reader = { 0 };
		struct control_frame frame;
		struct buf bytes = { 0 };
		struct error err;

		messages[i].put(&bytes);
		frame = frame_in(&reader, &bytes);
		assert_int_equal(frame.type, messages[i].type);
		assert_int_equal(messages[i].get(&frame, &err), 0);
		control_reader_release(&reader);
		buf_release(&bytes);
	}
}

/* Each length is copied to memory of exactly that size, so that sanitizers see a read beyond. */
static void a_payload_cut_anywhere_is_an_error(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(messages); i++) {
		struct buf bytes = { 0 };
		struct error err = { "" };

		messages[i].put(&bytes);
		for (size_t length = 0; length < bytes.length - HEADER; length++) {
			char *cut = xmalloc(length);
			struct control_frame frame = { .type = messages[i].type,
						       .payload = cut,
						       .length = length };

			memcpy(cut, bytes.data + HEADER, length);
			assert_int_equal(messages[i].get(&frame, &err), -1);
			assert_true(err.text[0]);
			free(cut);
		}
		buf_release(&bytes);
	}
}

static void a_payload_with_something_behind_it_is_an_error(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(messages); i++) {
		struct buf bytes = { 0 };
		struct control_frame frame = { .type = messages[i].type };
		struct error err;

		messages[i].put(&bytes);
		buf_add(&bytes, "x", 1);
		frame.payload = bytes.data + HEADER;
		frame.length = bytes.length - HEADER;
		assert_int_equal(messages[i].get(&frame, &err), -1);
		buf_release(&bytes);
	}
}

/* Any one byte: whatever comes of it, nothing is read or owned that should not be. */
static void a_payload_with_a_wrong_byte_does_no_harm(void **state)
{
	(void)state;
	for (size_t at = 0; at < 400; at++) {
		struct buf bytes = { 0 };
		struct control_frame frame = { .type = CONTROL_PLAN };
		struct control_plan plan;
		struct error err;

		put_plan(&bytes);
		if (HEADER + at >= bytes.length) {
			buf_release(&bytes);
			break;
		}
		bytes.data[HEADER + at] = (char)0xff;
		frame.payload = bytes.data + HEADER;
		frame.length = bytes.length - HEADER;
		if (control_get_plan(&plan, &frame, &err) == 0)
			control_plan_release(&plan);
		buf_release(&bytes);
	}
}

static void a_worker_of_another_version_is_named(void **state)
{
	struct buf bytes = { 0 };
	struct control_frame frame = { .type = CONTROL_HELLO };
	struct control_hello hello;
	struct error err;

	(void)state;
	wire_put_u32(&bytes, CONTROL_VERSION + 1);
	wire_put_text(&bytes, "9.9");
	wire_put_text(&bytes, "fields of the future");
	frame.payload = bytes.data;
	frame.length = bytes.length;
	assert_int_equal(control_get_hello(&hello, &frame, &err), -1);
	assert_non_null(strstr(err.text, "control protocol 2"));
	assert_non_null(strstr(err.text, "9.9"));
	buf_release(&bytes);
}

/* Takes all frames that are complete, and returns how many there were. */
static int take_frames(struct control_reader *reader)
{
	struct control_frame frame;
	struct error err;
	int got, count = 0;

	while ((got = control_next(reader, &frame, &err)) > 0) {
		if (frame.type == CONTROL_BEAT)
			assert_int_equal(get_beat(&frame, &err), 0);
		else
			assert_int_equal(get_chunk(&frame, &err), 0);
		count++;
	}
	assert_int_equal(got, 0);
	return count;
}

/* Three frames behind noise, in two pieces cut at every place, and byte by byte. */
static void a_stream_in_any_pieces_behind_any_noise_is_understood(void **state)
{
	static const char *const noises[] = { "",
					      "Welcome!\n",
					      "\xd5",
					      "\xd5\xd5"
					      "D",
					      "\xd5"
					      "DS",
					      "a longer banner than a frame's header: \xd5"
					      "DSx\n" };

	(void)state;
	for (size_t n = 0; n < ARRAY_SIZE(noises); n++) {
		struct control_reader bytewise = { 0 };
		struct buf bytes = { 0 };
		int count = 0;

		buf_add(&bytes, noises[n], strlen(noises[n]));
		put_beat(&bytes);
		put_chunk(&bytes);
		put_beat(&bytes);
		for (size_t cut = 0; cut <= bytes.length; cut++) {
			struct control_reader reader = { 0 };

			buf_add(&reader.in, bytes.data, cut);
			count = take_frames(&reader);
			buf_add(&reader.in, bytes.data + cut, bytes.length - cut);
			assert_int_equal(count + take_frames(&reader), 3);
			control_reader_release(&reader);
		}
		count = 0;
		for (size_t i = 0; i < bytes.length; i++) {
			buf_add(&bytewise.in, bytes.data + i, 1);
			count += take_frames(&bytewise);
		}
		assert_int_equal(count, 3);
		control_reader_release(&bytewise);
		buf_release(&bytes);
	}
}

static void noise_without_end_is_not_kept(void **state)
{
	struct control_reader reader = { 0 };

	(void)state;
	for (int i = 0; i < 1000; i++) {
		buf_add(&reader.in, "motd motd motd\n", 15);
		assert_int_equal(take_frames(&reader), 0);
		assert_true(reader.in.length < 4);
	}
	control_reader_release(&reader);
}

/* What control_next says of a good frame followed by `header`. */
static int next_after_frame(const char *header, size_t length)
{
	struct control_reader reader = { 0 };
	struct control_frame frame;
	struct error err;
	int got;

	put_beat(&reader.in);
	buf_add(&reader.in, header, length);
	assert_int_equal(control_next(&reader, &frame, &err), 1);
	got = control_next(&reader, &frame, &err);
	control_reader_release(&reader);
	return got;
}

static void what_is_no_frame_between_frames_is_an_error(void **state)
{
	struct buf good = { 0 };

	(void)state;
	control_put(&good, CONTROL_START, 0, NULL, 0);
	assert_int_equal(next_after_frame(good.data, good.length), 1);
	good.data[2] ^= 1; /* magic */
	assert_int_equal(next_after_frame(good.data, good.length), -1);
	good.data[2] ^= 1;
	good.data[4] = 0; /* type */
	assert_int_equal(next_after_frame(good.data, good.length), -1);
	good.data[4] = (char)CONTROL_TYPES;
	assert_int_equal(next_after_frame(good.data, good.length), -1);
	good.data[4] = CONTROL_START;
	good.data[8] = 1; /* length: one more than the largest */
	good.data[11] = CONTROL_LARGEST >> 24;
	assert_int_equal(next_after_frame(good.data, good.length), -1);
	good.data[8] = 0; /* the largest: the rest is awaited */
	assert_int_equal(next_after_frame(good.data, good.length), 0);
	buf_release(&good);
}

static int read_chunk_named(const char *name, uint64_t size, uint64_t offset)
{
	struct buf p = { 0 };
	struct control_frame frame = { .type = CONTROL_FILE };
	struct control_chunk chunk;
	struct error err;
	int status;

	wire_put_u64(&p, 1);
	wire_put_u64(&p, size);
	wire_put_u64(&p, offset);
	wire_put_text(&p, name);
	wire_put_bytes(&p, "abc", 3);
	frame.payload = p.data;
	frame.length = p.length;
	status = control_get_chunk(&chunk, &frame, &err);
	if (status == 0)
		free(chunk.name);
	buf_release(&p);
	return status;
}

static void a_file_name_cannot_leave_its_directory(void **state)
{
	char longest[200];

	(void)state;
	memset(longest, 'a', sizeof(longest));
	longest[sizeof(longest) - 1] = '\0';
	assert_int_equal(read_chunk_named("model.safetensors", 3, 0), 0);
	assert_int_equal(read_chunk_named("../model", 3, 0), -1);
	assert_int_equal(read_chunk_named("a/b", 3, 0), -1);
	assert_int_equal(read_chunk_named("/etc/passwd", 3, 0), -1);
	assert_int_equal(read_chunk_named("..", 3, 0), -1);
	assert_int_equal(read_chunk_named(".hidden", 3, 0), -1);
	assert_int_equal(read_chunk_named("a\x1b[2J", 3, 0), -1);
	assert_int_equal(read_chunk_named("", 3, 0), -1);
	assert_int_equal(read_chunk_named(longest, 3, 0), -1);
}

static void a_chunk_lies_within_its_file(void **state)
{
	(void)state;
	assert_int_equal(read_chunk_named("f", 10, 7), 0);
	assert_int_equal(read_chunk_named("f", 10, 8), -1);
	assert_int_equal(read_chunk_named("f", 2, 0), -1);
	assert_int_equal(read_chunk_named("f", 10, UINT64_MAX - 1), -1);
	assert_int_equal(read_chunk_named("f", 0, 0), -1);
}

static void files_of_every_size_arrive_whole(void **state)
{
	static const size_t sizes[] = {
		0, 1, CONTROL_CHUNK - 1, CONTROL_CHUNK, CONTROL_CHUNK + 1, 2 * CONTROL_CHUNK
	};
	char *bytes = xmalloc(2 * CONTROL_CHUNK);

	(void)state;
	for (size_t i = 0; i < 2 * CONTROL_CHUNK; i++)
		bytes[i] = (char)(i * 7 + i / 251);
	for (size_t k = 0; k < ARRAY_SIZE(sizes); k++) {
		struct control_reader reader = { 0 };
		struct control_frame frame;
		struct control_chunk chunk;
		struct error err;
		struct buf whole = { 0 };
		int frames = 0;

		control_put_file(&reader.in, 0, 1, "f", bytes, sizes[k]);
		for (; control_next(&reader, &frame, &err) > 0; frames++) {
			assert_int_equal(control_get_chunk(&chunk, &frame, &err), 0);
			assert_true(chunk.size == sizes[k] && chunk.offset == whole.length);
			buf_add(&whole, chunk.bytes, chunk.length);
			free(chunk.name);
		}
		assert_true(frames >= 1); /* an empty file exists too */
		assert_int_equal(whole.length, sizes[k]);
		if (whole.length)
			assert_memory_equal(whole.data, bytes, whole.length);
		buf_release(&whole);
		control_reader_release(&reader);
	}
	free(bytes);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_message_says_the_same_at_the_other_end),
		cmocka_unit_test(a_payload_cut_anywhere_is_an_error),
		cmocka_unit_test(a_payload_with_something_behind_it_is_an_error),
		cmocka_unit_test(a_payload_with_a_wrong_byte_does_no_harm),
		cmocka_unit_test(a_worker_of_another_version_is_named),
		cmocka_unit_test(a_stream_in_any_pieces_behind_any_noise_is_understood),
		cmocka_unit_test(noise_without_end_is_not_kept),
		cmocka_unit_test(what_is_no_frame_between_frames_is_an_error),
		cmocka_unit_test(a_file_name_cannot_leave_its_directory),
		cmocka_unit_test(a_chunk_lies_within_its_file),
		cmocka_unit_test(files_of_every_size_arrive_whole),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
