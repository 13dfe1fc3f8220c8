/* The rows of a bench: they arrive as they were sent, or are refused. */
#include "tests/unit/unit.h"

#include <string.h>

#include "lib/control.h"
#include "lib/error.h"

static const struct control_row sent = { 1 << 20, 1 << 18, 77, 3, 0.25 };

/* The frame around the sent row, its payload cut to `length`, 0: whole. */
static int receive(struct control_row *row, size_t length, struct error *err)
{
	struct control_reader reader = { 0 };
	struct control_frame frame;
	int status;

	control_put_row(&reader.in, 2, &sent);
	assert_int_equal(control_next(&reader, &frame, err), 1);
	assert_int_equal(frame.type, CONTROL_ROW);
	assert_int_equal(frame.rank, 2);
	assert_int_equal(frame.length, 40);
	if (length)
		frame.length = length;
	status = control_get_row(row, &frame, err);
	control_reader_release(&reader);
	return status;
}

static void a_row_arrives_as_it_was_sent(void **state)
{
	struct control_row row;
	struct error err;

	(void)state;
	assert_int_equal(receive(&row, 0, &err), 0);
	assert_true(row.bytes == sent.bytes && row.count == sent.count);
	assert_true(row.iterations == sent.iterations && row.wrong == sent.wrong);
	assert_true(row.seconds == sent.seconds);
}

static void a_row_that_is_too_short_is_refused(void **state)
{
	struct error err;

	(void)state;
	for (size_t length = 1; length < 40; length++) {
		struct control_row row;

		assert_int_equal(receive(&row, length, &err), -1);
		assert_non_null(strstr(err.text, "malformed control message"));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_row_arrives_as_it_was_sent),
		cmocka_unit_test(a_row_that_is_too_short_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
