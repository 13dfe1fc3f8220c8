/* Workers are told that we live, whatever keeps the main thread. */
#include "tests/unit/unit.h"

#include <fcntl.h>
#include <poll.h>
#include <unistd.h>

#include "lib/buf.h"
#include "lib/channel.h"
#include "lib/clock.h"
#include "lib/error.h"
#include "lib/pulse.h"

/* The next frame that the worker's end gets, within seconds. */
static void expect_beat(int fd, struct control_reader *reader, double seconds)
{
	double deadline = clock_now() + seconds;
	struct control_frame frame;
	struct error err;
	int got;

	while ((got = control_next(reader, &frame, &err)) == 0) {
		struct pollfd poll_in = { .fd = fd, .events = POLLIN };

		assert_int_equal(poll(&poll_in, 1, clock_poll_ms(deadline)), 1);
		reader->in.length += (size_t)read(fd, buf_reserve(&reader->in, 4096), 4096);
	}
	assert_int_equal(got, 1);
	assert_int_equal(frame.type, CONTROL_BEAT);
}

static void those_away_are_stood_in_for(void **state)
{
	struct channel channels[2] = { { 0 } };
	struct control_reader reader = { 0 };
	size_t count = 1; /* the second one is not started */
	struct pulse *pulse;
	struct error err;
	int ends[2];

	(void)state;
	assert_int_equal(pipe(ends), 0);
	fcntl(ends[1], F_SETFL, O_NONBLOCK);
	channels[0].process.in = ends[1];
	channels[0].process.out = channels[0].process.err = -1;
	pulse = pulse_new(channels, &count, &err);
	assert_non_null(pulse);
	pulse_away(pulse);
	expect_beat(ends[0], &reader, 60);
	expect_beat(ends[0], &reader, 60);
	pulse_back(pulse);
	assert_int_equal(channels[1].out.length, 0);
	pulse_free(pulse);
	control_reader_release(&reader);
	channel_close(&channels[0]);
	close(ends[0]);
	close(ends[1]);
}

static void who_is_being_told_something_needs_no_beat(void **state)
{
	struct channel channels[2] = { { 0 } };
	size_t count = 2;
	struct pulse *pulse;
	struct error err;
	double before, next;

	(void)state;
	channels[0].process.in = channels[1].process.in = -1;
	pulse = pulse_new(channels, &count, &err);
	assert_non_null(pulse);
	buf_addf(&channels[0].out, "x");
	before = clock_now();
	next = pulse_beat(pulse);
	assert_true(next >= before + CONTROL_BEAT_S && next <= clock_now() + CONTROL_BEAT_S);
	assert_int_equal(channels[0].out.length, 1);
	assert_true(channels[1].out.length > 1);
	pulse_free(pulse);
	channel_close(&channels[0]);
	channel_close(&channels[1]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(those_away_are_stood_in_for),
		cmocka_unit_test(who_is_being_told_something_needs_no_beat),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
