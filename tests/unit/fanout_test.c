/* Many items, a few threads: all done once, bounded, failures told apart. */
#include "tests/unit/unit.h"

#include <pthread.h>
#include <string.h>

#include "lib/error.h"
#include "lib/fanout.h"

enum { ITEMS = 50 };

struct work {
	pthread_mutex_t lock;
	pthread_cond_t changed;
	size_t running, most, wanted; /* under lock */
	int done[ITEMS];
	volatile int stop;
};

/* Returns only once `wanted` of them have been seen running together. */
static int meet(void *arg, size_t i, struct error *err)
{
	struct work *work = arg;

	(void)err;
	pthread_mutex_lock(&work->lock);
	work->done[i]++;
	work->running++;
	if (work->running > work->most)
		work->most = work->running;
	pthread_cond_broadcast(&work->changed);
	while (work->most < work->wanted)
		pthread_cond_wait(&work->changed, &work->lock);
	work->running--;
	pthread_mutex_unlock(&work->lock);
	return 0;
}

static int fail_odd(void *arg, size_t i, struct error *err)
{
	(void)arg;
	return i % 2 ? error_set(err, "item %zu failed", i) : 0;
}

static int stop_at_once(void *arg, size_t i, struct error *err)
{
	struct work *work = arg;

	(void)err;
	work->done[i]++;
	work->stop = 1;
	return 0;
}

static void width_items_run_together_and_no_more(void **state)
{
	struct work work = { .wanted = 7,
			     .lock = PTHREAD_MUTEX_INITIALIZER,
			     .changed = PTHREAD_COND_INITIALIZER };
	int status[ITEMS];
	struct error errors[ITEMS];

	(void)state;
	assert_int_equal(fanout(ITEMS, 7, meet, &work, status, errors, NULL), 0);
	assert_int_equal(work.most, 7);
	for (size_t i = 0; i < ITEMS; i++) {
		assert_int_equal(work.done[i], 1);
		assert_int_equal(status[i], 0);
	}
}

static void failures_are_told_apart(void **state)
{
	int status[ITEMS];
	struct error errors[ITEMS];

	(void)state;
	error_set(&errors[0], "untouched");
	assert_int_equal(fanout(ITEMS, 4, fail_odd, NULL, status, errors, NULL), ITEMS / 2);
	assert_int_equal(status[0], 0);
	assert_string_equal(errors[0].text, "untouched");
	assert_int_equal(status[49], -1);
	assert_string_equal(errors[49].text, "item 49 failed");
}

static void stop_ends_the_handing_out(void **state)
{
	struct work work = { 0 };
	int status[ITEMS];
	struct error errors[ITEMS];

	(void)state;
	assert_int_equal(fanout(ITEMS, 1, stop_at_once, &work, status, errors, &work.stop),
			 ITEMS - 1);
	assert_int_equal(status[0], 0);
	assert_int_equal(work.done[1], 0);
	assert_string_equal(errors[1].text, "interrupted");
}

static void no_items_are_no_work(void **state)
{
	(void)state;
	assert_int_equal(fanout(0, 32, fail_odd, NULL, NULL, NULL, NULL), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(width_items_run_together_and_no_more),
		cmocka_unit_test(failures_are_told_apart),
		cmocka_unit_test(stop_ends_the_handing_out),
		cmocka_unit_test(no_items_are_no_work),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
