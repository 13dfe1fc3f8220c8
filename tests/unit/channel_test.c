/* What the orchestrator's end of a worker moves, against a real program. */
#include "tests/unit/unit.h"

#include <poll.h>
#include <stdlib.h>
#include <string.h>

#include "lib/buf.h"
#include "lib/channel.h"
#include "lib/clock.h"
#include "lib/error.h"
#include "lib/hosts.h"
#include "lib/memory.h"

enum { CHECKPOINT_BYTES = 8 << 20 };

/* Moves bytes until nothing is left to write and `count` bytes came back. */
static void move_until(struct channel *channel, size_t count, double deadline)
{
	struct pollfd polls[CHANNEL_POLLS];

	while (channel->out.length > 0 || channel->reader.in.length < count) {
		assert_true(clock_now() < deadline && !channel->ended);
		channel_polls(channel, polls);
		poll(polls, CHANNEL_POLLS, 100);
		channel_move(channel, polls);
	}
}

static void a_long_text_goes_through_a_pipe_in_order(void **state)
{
	char program[] = "/bin/cat";
	char *argv[] = { program, NULL };
	char name[] = "here";
	const struct host host = { .name = name };
	struct channel channel = { .host = &host };
	unsigned char *bytes = xmalloc(CHECKPOINT_BYTES);
	struct error err;

	(void)state;
	for (size_t i = 0; i < CHECKPOINT_BYTES; i++)
		bytes[i] = (unsigned char)(i * 2654435761u >> 13);
	assert_int_equal(process_start(&channel.process, argv, NULL, &err), 0);
	assert_int_equal(channel_open(&channel, "/dev/null", &err), 0);
	buf_add(&channel.out, bytes, CHECKPOINT_BYTES);
	move_until(&channel, CHECKPOINT_BYTES, clock_now() + 60);
	assert_int_equal(channel.reader.in.length, CHECKPOINT_BYTES);
	assert_memory_equal(channel.reader.in.data, bytes, CHECKPOINT_BYTES);
	channel_end_input(&channel);
	assert_true(channel_reap(&channel, clock_now() + 60));
	assert_true(channel.status.exited && channel.status.code == 0);
	channel_close(&channel);
	free(bytes);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_long_text_goes_through_a_pipe_in_order),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
