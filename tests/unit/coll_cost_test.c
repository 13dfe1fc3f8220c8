/* The model of what an allreduce costs, and the measurement that feeds it. */
#include "tests/unit/unit.h"

#include <math.h>

#include "runtime/coll_cost.h"
#include "runtime/coll_measure.h"
#include "tests/unit/cluster.h"

static const struct coll_cost lan = { .alpha_s = 100e-6, .beta_s = 8e-9, .message_s = 10e-6 };

static void predictions_follow_the_formulas(void **state)
{
	double all = (1 << 20) * lan.beta_s, alpha = lan.alpha_s, more = lan.message_s;

	(void)state;
	/* Adding is a small part of it. */
	assert_true(fabs(coll_cost_ring(&lan, 4, 1 << 20) - 6 * alpha - all * 6 / 4) < 0.01 * all);
	assert_true(fabs(coll_cost_direct(&lan, 4, 1 << 20) - 2 * (alpha + 2 * more) -
			 all * 6 / 4) < 0.02 * all);
	assert_true(fabs(coll_cost_flat(&lan, 4, 1 << 20) - alpha - 2 * more - all * 3) <
		    0.08 * all);
}

static int rank_of(enum coll_algorithm algorithm)
{
	return algorithm == COLL_FLAT ? 0 : algorithm == COLL_DIRECT ? 1 : 2;
}

static void the_larger_a_vector_the_fewer_bytes_are_sent(void **state)
{
	(void)state;
	for (int n = 3; n <= 64; n++) {
		int last = 0;

		assert_int_equal(coll_cost_best(&lan, n, 4), COLL_FLAT);
		assert_int_equal(coll_cost_best(&lan, n, (size_t)1 << 30), COLL_RING);
		for (size_t bytes = 4; bytes <= (size_t)1 << 30; bytes *= 2) {
			int now = rank_of(coll_cost_best(&lan, n, bytes));

			assert_true(now >= last);
			last = now;
		}
	}
}

static void a_longer_way_makes_steps_dearer(void **state)
{
	struct coll_cost far = lan;

	(void)state;
	far.alpha_s = 20e-3;
	assert_int_equal(coll_cost_best(&lan, 8, 256 << 10), COLL_DIRECT);
	assert_int_equal(coll_cost_best(&far, 8, 256 << 10), COLL_FLAT);
}

static void where_bytes_take_the_time_no_ring_is_left_for_a_little_latency(void **state)
{
	struct coll_cost slow = lan;

	(void)state;
	slow.beta_s = 80e-9;
	assert_true(coll_cost_direct(&slow, 8, 940584) < coll_cost_ring(&slow, 8, 940584));
	assert_int_equal(coll_cost_best(&slow, 8, 940584), COLL_RING);
}

static void within_a_host_nothing_goes_round_a_ring(void **state)
{
	struct coll_cost host = lan;

	(void)state;
	host.one_host = true;
	for (int n = 2; n <= 64; n++) {
		assert_int_equal(coll_cost_best(&host, n, (size_t)1 << 30), COLL_DIRECT);
		for (size_t bytes = 4; bytes <= (size_t)1 << 30; bytes *= 2)
			assert_int_not_equal(coll_cost_best(&host, n, bytes), COLL_RING);
	}
}

static struct coll_cost measured[CLUSTER_MAX];

static void measure_body(int rank, struct net *net, void *arg)
{
	int ranks[CLUSTER_MAX];
	struct group world = group_world(ranks, net_world(net), rank);
	struct error err;
	float x = 1;

	(void)arg;
	cluster_must(coll_measure(net, &world, &measured[rank], &err), &err);
	assert(world.cost == &measured[rank]);
	cluster_must(coll_allreduce(net, &world, COLL_AUTO, &x, 1, &err), &err);
	assert(x == (float)world.count);
}

static void all_members_measure_the_same(void **state)
{
	(void)state;
	for (int n = 1; n <= 4; n++) {
		cluster_run("tcp", n, measure_body, NULL);
		assert_true(measured[0].alpha_s > 0 && measured[0].alpha_s < 10);
		assert_true(measured[0].beta_s > 0 && measured[0].beta_s < 1e-3);
		assert_true(measured[0].message_s >= 0 &&
			    measured[0].message_s <= measured[0].alpha_s);
		for (int rank = 1; rank < n; rank++)
			assert_memory_equal(&measured[rank], &measured[0], sizeof(measured[0]));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(predictions_follow_the_formulas),
		cmocka_unit_test(the_larger_a_vector_the_fewer_bytes_are_sent),
		cmocka_unit_test(a_longer_way_makes_steps_dearer),
		cmocka_unit_test(where_bytes_take_the_time_no_ring_is_left_for_a_little_latency),
		cmocka_unit_test(within_a_host_nothing_goes_round_a_ring),
		cmocka_unit_test(all_members_measure_the_same),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
