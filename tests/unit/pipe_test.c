/* The byte pipe between two ranks of a host: what goes in comes out, and nobody sleeps too long. */
#include "tests/unit/unit.h"

#undef NDEBUG
#include <assert.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/uio.h>
#include <unistd.h>

#include "lib/error.h"
#include "lib/memory.h"
#include "runtime/rng.h"
#include "runtime/transport/pipe.h"

enum { PATIENCE_MS = 60000 };

/* One side of a pair. */
struct side {
	struct pipe_sleeper sleeper;
	int bell;
};

struct pair {
	struct pipe_memory memory;
	struct side writer, reader;
	struct pipe_end in, out;
};

static struct pair *pair_new(void)
{
	struct pair *pair = xaligned(sizeof(*pair));

	pair->writer.bell = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	pair->reader.bell = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	pair->in = (struct pipe_end){ .memory = &pair->memory,
				      .other = &pair->writer.sleeper,
				      .bell = pair->writer.bell };
	pair->out = (struct pipe_end){ .memory = &pair->memory,
				       .other = &pair->reader.sleeper,
				       .bell = pair->reader.bell };
	return pair;
}

static void pair_free(struct pair *pair)
{
	close(pair->writer.bell);
	close(pair->reader.bell);
	free(pair);
}

static bool rung(struct side *side)
{
	struct pollfd bell = { .fd = side->bell, .events = POLLIN };
	bool is = poll(&bell, 1, 0) == 1;

	if (is)
		pipe_answer(&side->sleeper, side->bell);
	return is;
}

static void sleep_on(struct side *side)
{
	struct pollfd bell = { .fd = side->bell, .events = POLLIN };

	assert(poll(&bell, 1, PATIENCE_MS) == 1);
	pipe_answer(&side->sleeper, side->bell);
}

static unsigned char byte_at(uint64_t number)
{
	return (unsigned char)(number * 31 + (number >> 13));
}

static long write_bytes(struct pipe_end *out, const void *bytes, size_t length)
{
	struct iovec part = { (void *)(uintptr_t)bytes, length };
	struct error err;

	return pipe_write(out, &part, 1, &err);
}

enum { TOTAL = 6 << 20, LONGEST = 3 * PIPE_BYTES };

/* Pieces of any length, in two parts, until the pipe is full; then it sleeps. */
static void *write_all(void *arg)
{
	struct pair *pair = arg;
	struct rng rng = rng_make(7, RNG_DATA, 0, 0);
	unsigned char *bytes = xmalloc(LONGEST);
	uint64_t at = 0, turn = 0;
	struct error err;

	while (at < TOTAL) {
		uint64_t longest = turn % 2 ? LONGEST : 100, left = TOTAL - at;
		size_t wanted = 1 + (size_t)rng_below(&rng, 2 * turn, longest);
		size_t length = wanted < left ? wanted : (size_t)left;
		size_t first = (size_t)rng_below(&rng, 2 * turn + 1, length);
		long put;

		turn++;
		for (size_t i = 0; i < length; i++)
			bytes[i] = byte_at(at + i);
		put = pipe_write(
			&pair->out,
			(struct iovec[]){ { bytes, first }, { bytes + first, length - first } }, 2,
			&err);
		assert(put >= 0 && put <= (long)length);
		at += (uint64_t)put;
		pipe_sleeps(&pair->writer.sleeper, PIPE_LEADER);
		if (put < (long)length && !pipe_has_room(&pair->out))
			sleep_on(&pair->writer);
		pipe_awake(&pair->writer.sleeper, PIPE_LEADER);
	}
	free(bytes);
	return NULL;
}

static void what_is_written_is_read_in_order_and_nobody_sleeps_for_ever(void **state)
{
	struct pair *pair = pair_new();
	struct rng rng = rng_make(8, RNG_DATA, 0, 0);
	unsigned char *bytes = xmalloc(LONGEST);
	uint64_t at = 0, turn = 0;
	pthread_t thread;
	struct error err;

	(void)state;
	assert_int_equal(pthread_create(&thread, NULL, write_all, pair), 0);
	while (at < TOTAL) {
		long got = pipe_read(&pair->in, bytes, 1 + (size_t)rng_below(&rng, turn++, LONGEST),
				     &err);

		assert_true(got >= 0);
		for (long i = 0; i < got; i++)
			assert(bytes[i] == byte_at(at + (uint64_t)i));
		at += (uint64_t)got;
		if (got > 0)
			continue;
		pipe_sleeps(&pair->reader.sleeper, PIPE_PROGRESS);
		if (!pipe_has_input(&pair->in))
			sleep_on(&pair->reader);
		pipe_awake(&pair->reader.sleeper, PIPE_PROGRESS);
	}
	pthread_join(thread, NULL);
	free(bytes);
	pair_free(pair);
}

static void who_sleeps_is_rung_once_and_who_is_awake_is_not(void **state)
{
	struct pair *pair = pair_new();
	char bytes[8];
	uint64_t rings;
	struct error err;

	(void)state;
	assert_int_equal(write_bytes(&pair->out, "a", 1), 1);
	assert_false(rung(&pair->reader));
	assert_int_equal(pipe_read(&pair->in, bytes, 8, &err), 1);
	pipe_sleeps(&pair->reader.sleeper, PIPE_LEADER);
	assert_false(pipe_has_input(&pair->in));
	assert_int_equal(write_bytes(&pair->out, "bc", 2), 2);
	assert_int_equal(write_bytes(&pair->out, "d", 1), 1);
	assert_int_equal(read(pair->reader.bell, &rings, sizeof(rings)), sizeof(rings));
	assert_int_equal(rings, 1);
	assert_true(pipe_has_input(&pair->in));
	assert_int_equal(pipe_read(&pair->in, bytes, 8, &err), 3);
	assert_memory_equal(bytes, "bcd", 3);
	assert_int_equal(pipe_read(&pair->in, bytes, 8, &err), 0);
	pipe_answer(&pair->reader.sleeper, pair->reader.bell);
	assert_int_equal(write_bytes(&pair->out, "e", 1), 1);
	assert_true(rung(&pair->reader)); /* the other thread of the rank may still sleep */
	pipe_awake(&pair->reader.sleeper, PIPE_LEADER);
	assert_int_equal(write_bytes(&pair->out, "f", 1), 1);
	assert_false(rung(&pair->reader));
	pair_free(pair);
}

static void a_writer_that_waits_is_rung_when_there_is_room_worth_it(void **state)
{
	struct pair *pair = pair_new();
	unsigned char *bytes = xcalloc(1, PIPE_BYTES + 1);
	struct error err;

	(void)state;
	assert_int_equal(write_bytes(&pair->out, bytes, PIPE_BYTES + 1), PIPE_BYTES);
	pipe_sleeps(&pair->writer.sleeper, PIPE_LEADER);
	assert_int_equal(write_bytes(&pair->out, bytes, 1), 0);
	assert_false(pipe_has_room(&pair->out));
	assert_int_equal(pipe_read(&pair->in, bytes, 100, &err), 100);
	assert_false(rung(&pair->writer));
	assert_false(pipe_has_room(&pair->out));
	assert_int_equal(pipe_read(&pair->in, bytes, PIPE_BYTES, &err), PIPE_BYTES - 100);
	assert_true(rung(&pair->writer));
	assert_true(pipe_has_room(&pair->out));
	free(bytes);
	pair_free(pair);
}

static void a_damaged_memory_is_told_and_not_followed(void **state)
{
	struct pair *pair = pair_new();
	char bytes[64] = { 0 };
	struct error err;

	(void)state;
	atomic_store(&pair->memory.written, PIPE_BYTES + 1);
	assert_true(pipe_has_input(&pair->in));
	assert_int_equal(pipe_read(&pair->in, bytes, 64, &err), -1);
	assert_string_equal(err.text, "has damaged the memory that both ranks share");
	atomic_store(&pair->memory.read, UINT64_MAX);
	pair->out.seen = 0;
	pair->out.at = PIPE_BYTES;
	assert_int_equal(write_bytes(&pair->out, bytes, 64), -1);
	pair_free(pair);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_written_is_read_in_order_and_nobody_sleeps_for_ever),
		cmocka_unit_test(who_sleeps_is_rung_once_and_who_is_awake_is_not),
		cmocka_unit_test(a_writer_that_waits_is_rung_when_there_is_room_worth_it),
		cmocka_unit_test(a_damaged_memory_is_told_and_not_followed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
