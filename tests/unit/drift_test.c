/* Figures of how far ranks are from each other: sums over ranks, and the way there and back. */
#include "tests/unit/unit.h"

#include <math.h>

#include "lib/buf.h"
#include "lib/drift.h"
#include "lib/wire.h"

static void figures_without_a_meaning_do_not_count(void **state)
{
	struct drift ranks[3] = { drift_none(), drift_none(), drift_none() }, merged;

	(void)state;
	ranks[0].staleness = 1;
	ranks[2].staleness = 2;
	ranks[1].staleness_most = 7;
	ranks[2].staleness_most = 3;
	ranks[0].worst_accuracy = 0.5;
	ranks[1].worst_accuracy = 0.25;
	ranks[0].worst_loss = 1;
	ranks[1].worst_loss = 2;
	merged = drift_merge(ranks, sizeof(*ranks), 3);
	assert_true(merged.staleness == 1.5 && merged.staleness_most == 7);
	assert_true(merged.worst_accuracy == 0.25 && merged.worst_loss == 2);
	assert_true(isnan(merged.participants) && isnan(merged.accepted));
}

static void what_is_sent_comes_out_and_is_shown(void **state)
{
	struct drift sent = drift_none(), got;
	struct buf message = { 0 };
	struct wire wire;
	char text[112];

	(void)state;
	assert_string_equal(drift_show(text, sizeof(text), &sent), "");
	sent.staleness = 1.25;
	sent.staleness_most = 4;
	sent.participants = 3;
	drift_put(&message, &sent);
	wire = wire_reader(message.data, message.length);
	got = drift_get(&wire);
	assert_true(!wire.failed && wire.left == 0);
	assert_true(got.staleness == 1.25 && isnan(got.waited_s));
	assert_string_equal(drift_show(text, sizeof(text), &got),
			    "  staleness 1.2 (most 4)  3.0 ranks met");
	buf_release(&message);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(figures_without_a_meaning_do_not_count),
		cmocka_unit_test(what_is_sent_comes_out_and_is_shown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
