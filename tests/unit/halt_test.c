/* When a run is told to end: which signals mean what, and how long it may take. */
#include "tests/unit/unit.h"

#include <math.h>
#include <signal.h>
#include <string.h>

#include "lib/clock.h"
#include "lib/error.h"
#include "lib/halt.h"
#include "lib/log.h"
#include "lib/stop.h"

static void send(int signal, struct halt *halt)
{
	raise(signal);
	halt_take_signal(halt, true);
}

static void nothing_happens_without_a_signal(void **state)
{
	struct halt halt = { .usual_s = 30 };
	struct error err;

	(void)state;
	halt_take_signal(&halt, true);
	assert_false(halt.holding || halt.abort || halt_aborts(&halt, &err));
}

static void every_signal_asks_for_a_checkpoint(void **state)
{
	static const int signals[] = { SIGINT, SIGTERM, SIGUSR1, SIGHUP };
	struct error err;

	(void)state;
	for (size_t i = 0; i < 4; i++) {
		struct halt halt = { .usual_s = 30 };
		double before = clock_now();

		send(signals[i], &halt);
		assert_true(halt.holding && !halt_aborts(&halt, &err));
		assert_true(halt.deadline >= before + 30);
	}
}

static void only_a_second_interrupt_aborts(void **state)
{
	static const int patient[] = { SIGTERM, SIGUSR1, SIGHUP };
	struct error err;

	(void)state;
	for (size_t i = 0; i < 3; i++) {
		struct halt halt = { .usual_s = 30 };

		send(SIGINT, &halt);
		send(patient[i], &halt);
		send(patient[i], &halt);
		assert_false(halt_aborts(&halt, &err));
		send(SIGINT, &halt);
		assert_true(halt_aborts(&halt, &err));
		assert_string_equal(err.text, "aborted");
	}
}

static void interrupts_that_are_apart_do_not_abort(void **state)
{
	struct halt halt = { .usual_s = 30 };
	struct error err;

	(void)state;
	send(SIGINT, &halt);
	halt.signalled -= 1.1;
	send(SIGINT, &halt);
	assert_false(halt_aborts(&halt, &err));
}

static void before_training_there_is_nothing_to_save(void **state)
{
	struct halt halt = { .usual_s = 30 }, asked = { .usual_s = 30 };
	struct error err;

	(void)state;
	raise(SIGTERM);
	halt_take_signal(&halt, false);
	assert_true(halt_aborts(&halt, &err) && !halt.holding);
	halt_ask(&asked, false, NAN, false);
	assert_true(halt_aborts(&asked, &err) && !asked.holding);
}

static void the_deadline_only_gets_earlier(void **state)
{
	struct halt halt = { .usual_s = 30 };

	(void)state;
	halt_ask(&halt, true, 20, false);
	assert_true(halt.deadline < clock_now() + 20.5);
	send(SIGTERM, &halt);
	halt_ask(&halt, true, NAN, false);
	halt_ask(&halt, true, 3600, false);
	assert_true(halt.deadline < clock_now() + 20.5 && halt.grace_s == 20);
	halt_ask(&halt, true, 5, false);
	assert_true(halt.deadline < clock_now() + 5.5);
}

static void workers_are_ended_within_the_grace_time(void **state)
{
	struct error err;

	(void)state;
	for (double grace_s = 1; grace_s < 100; grace_s *= 3) {
		struct halt halt = { .usual_s = grace_s };

		send(SIGTERM, &halt);
		assert_false(halt_aborts(&halt, &err));
		halt.deadline = clock_now() + halt_leave_s(&halt);
		assert_true(halt_aborts(&halt, &err));
		assert_non_null(strstr(err.text, "no complete checkpoint within the grace time"));
		assert_true(halt_leave_s(&halt) > 0 && halt_leave_s(&halt) < grace_s / 2);
	}
}

static void now_is_now(void **state)
{
	struct halt halt = { .usual_s = 30 };
	struct error err;

	(void)state;
	halt_ask(&halt, true, NAN, true);
	assert_true(halt_aborts(&halt, &err) && !halt.holding);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(nothing_happens_without_a_signal),
		cmocka_unit_test(every_signal_asks_for_a_checkpoint),
		cmocka_unit_test(only_a_second_interrupt_aborts),
		cmocka_unit_test(interrupts_that_are_apart_do_not_abort),
		cmocka_unit_test(before_training_there_is_nothing_to_save),
		cmocka_unit_test(the_deadline_only_gets_earlier),
		cmocka_unit_test(workers_are_ended_within_the_grace_time),
		cmocka_unit_test(now_is_now),
	};

	log_level_set(LOG_ERROR);
	stop_install(false);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
