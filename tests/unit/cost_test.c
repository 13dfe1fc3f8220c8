/* Predicted seconds: what the arithmetic of a few networks says by hand. */
#include "tests/unit/unit.h"

#include <math.h>

#include "lib/cost.h"
#include "lib/flow.h"
#include "tests/unit/rack_links.h"

/* Of a rank's own work for each message. */
static const double MESSAGE_S = 30e-6;

static const int self[64] = { 0,  1,  2,  3,  4,  5,  6,  7,  8,  9,  10, 11, 12, 13, 14, 15,
			      16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31 };

static void assert_near(double value, double expected)
{
	if (!(fabs(value - expected) <= 1e-9 * fabs(expected)))
		fail_msg("%.17g is not %.17g", value, expected);
}

static struct cost_env env_of(const struct links *links, double bytes)
{
	return (struct cost_env){ .links = links,
				  .net = flow_net_new(links),
				  .host_of = self,
				  .world = (int)links->hosts,
				  .bytes = bytes };
}

/* Mean of the phases, without what does not depend on the bytes. */
static double bandwidth_s(const struct cost_env *env, struct schedule schedule)
{
	double sum = 0;

	for (int p = 0; p < schedule.phases; p++) {
		struct cost cost = cost_ring(env, &schedule.phase[p]);

		sum += (cost.seconds - cost.latency_s) / schedule.phases;
	}
	schedule_release(&schedule);
	return sum;
}

/* Four racks of four, NICs of 1, uplinks of 4 / r: a shuffle across racks pays r times. */
static void groups_across_an_oversubscribed_core_are_as_slow_as_the_core(void **state)
{
	static const size_t sizes[] = { 4, 4, 4, 4 };
	static const int grid[] = { 4, 4 }, hypercube[] = { 2, 2, 2, 2 };

	(void)state;
	for (int r = 1; r <= 4; r *= 2) {
		struct links links = racks_of(sizes, 4, 1, 4.0 / r);
		struct cost_env env = env_of(&links, 1);

		assert_near(bandwidth_s(&env, schedule_flat(16, NULL)), 1.875 * fmax(1, r / 4.0));
		assert_near(bandwidth_s(&env, schedule_radix(16, NULL, grid, 2)), 0.75 * (1 + r));
		assert_near(bandwidth_s(&env, schedule_radix(16, NULL, hypercube, 4)),
			    0.5 * (1 + r));
		flow_net_free(env.net);
		links_release(&links);
	}
}

static void a_ring_that_crosses_the_uplink_twice_takes_twice_as_long(void **state)
{
	static const size_t sizes[] = { 2, 2 };
	static const int crossing[] = { 0, 2, 1, 3 };
	struct links links = racks_of(sizes, 2, 125e6, 25e6);
	struct cost_env env = env_of(&links, 16 << 20);
	struct partition good = partition_flat(4, NULL), bad = partition_flat(4, crossing);
	struct cost once = cost_ring(&env, &good), twice = cost_ring(&env, &bad);

	(void)state;
	assert_near(once.seconds - once.latency_s, 1.5 * (16 << 20) / 25e6);
	assert_near(twice.seconds - twice.latency_s, 1.5 * (16 << 20) / 12.5e6);
	assert_string_equal(links.segments[twice.limit].name, "rack0.up");
	assert_int_equal(twice.crossing, 2);
	assert_int_equal(once.crossing, 1);
	partition_release(&good);
	partition_release(&bad);
	flow_net_free(env.net);
	links_release(&links);
}

static void bytes_sent_are_those_of_the_algorithm(void **state)
{
	static const size_t sizes[] = { 7 };
	struct links links = racks_of(sizes, 1, 1, 0);
	struct cost_env env = env_of(&links, 840);
	struct partition all = partition_flat(7, NULL), pairs = partition_random(7, 2, 1, 1);

	(void)state;
	assert_near(cost_ring(&env, &all).bytes_sent, 2 * 6 * 840 / 7.0);
	assert_near(cost_ring(&env, &pairs).bytes_sent, 840);
	assert_near(cost_halving_doubling(&env, &all).bytes_sent, 2 * 840 * 3 / 4.0 + 840);
	assert_near(cost_tree(&env, &all).bytes_sent, 3 * 840);
	partition_release(&all);
	partition_release(&pairs);
	flow_net_free(env.net);
	links_release(&links);
}

/* A slice passes s - 1 ranks twice: it waits for all hops twice but for two that adjoin. */
static void latency_of_a_ring_is_that_of_its_longest_way(void **state)
{
	static const size_t sizes[] = { 4 };
	struct links links = racks_of(sizes, 1, 1e9, 0);
	struct cost_env env = env_of(&links, 4);
	struct partition all = partition_flat(4, NULL);
	struct cost cost;

	(void)state;
	set_rtt(&links, 0.010);
	assert_near(cost_ring(&env, &all).latency_s, 6 * (0.005 + MESSAGE_S));
	links_pair(&links, 1, 2)->rtt_s = 0.100;
	cost = cost_ring(&env, &all);
	assert_near(cost.latency_s, 2 * 0.050 + 4 * 0.005 + 6 * MESSAGE_S);
	assert_true(cost.seconds > cost.latency_s);
	partition_release(&all);
	flow_net_free(env.net);
	links_release(&links);
}

static void rounds_of_halving_and_of_trees_follow_each_other(void **state)
{
	static const size_t sizes[] = { 6 };
	struct links links = racks_of(sizes, 1, 1, 0);
	struct cost_env env = env_of(&links, 8);
	struct partition six = partition_flat(6, NULL);
	struct cost cost = cost_halving_doubling(&env, &six);

	(void)state;
	/* two more ranks hand over all and get all back; 4 + 2 and 2 + 4 between */
	assert_near(cost.latency_s, 6 * MESSAGE_S);
	assert_near(cost.seconds - cost.latency_s, 8 + 4 + 2 + 2 + 4 + 8);
	/* three rounds up; the root to three children at once, then they to theirs */
	cost = cost_tree(&env, &six);
	assert_near(cost.latency_s, 5 * MESSAGE_S);
	assert_near(cost.seconds - cost.latency_s, 3 * 8 + 24 + 8);
	partition_release(&six);
	flow_net_free(env.net);
	links_release(&links);
}

/* Two racks of two: half a vector within, a slice each across the shared uplink, half within. */
static void hierarchical_takes_its_three_stages_in_turn(void **state)
{
	static const size_t sizes[] = { 2, 2 };
	static const int radix[] = { 2, 2 };
	struct links links = racks_of(sizes, 2, 10, 1);
	struct cost_env env = env_of(&links, 40);
	struct schedule grid = schedule_radix(4, NULL, radix, 2);
	struct cost cost = cost_hierarchical(&env, &grid.phase[0]);

	(void)state;
	assert_near(cost.seconds - cost.latency_s, 2 + 2 * 20 + 2);
	assert_near(cost.latency_s, 4 * MESSAGE_S);
	assert_near(cost.bytes_sent, 20 + 20 + 20);
	assert_string_equal(links.segments[cost.limit].name, "rack0.up");
	assert_int_equal(cost.crossing, 2);
	schedule_release(&grid);
	flow_net_free(env.net);
	links_release(&links);
}

static void what_stays_on_a_host_is_free(void **state)
{
	static const size_t sizes[] = { 2 };
	static const int host_of[] = { 0, 0, 1, 1 }, pairs[] = { 2, 2 };
	struct links links = racks_of(sizes, 1, 1, 0);
	struct cost_env env = env_of(&links, 3);
	struct schedule schedule = schedule_radix(4, NULL, pairs, 2);
	struct partition alone = partition_random(2, 1, 0, 0);
	struct cost within, across;

	(void)state;
	env.host_of = host_of;
	env.world = 4;
	within = cost_ring(&env, &schedule.phase[0]);
	across = cost_ring(&env, &schedule.phase[1]);
	assert_near(within.seconds, within.latency_s);
	assert_near(across.seconds - across.latency_s, 2 * 3); /* two rings share each NIC */
	env.world = 2;
	assert_near(cost_ring(&env, &alone).seconds, 0);
	schedule_release(&schedule);
	partition_release(&alone);
	flow_net_free(env.net);
	links_release(&links);
}

static void a_pair_of_its_own_rate_is_named_as_the_limit(void **state)
{
	static const size_t sizes[] = { 3 };
	struct links links = racks_of(sizes, 1, 100, 0);
	struct cost_env env = env_of(&links, 300);
	struct partition all = partition_flat(3, NULL);
	struct cost cost;

	(void)state;
	links_pair(&links, 1, 2)->bytes_per_s = 7;
	cost = cost_ring(&env, &all);
	assert_int_equal(cost.limit, -1);
	assert_int_equal(cost.from, 1);
	assert_int_equal(cost.to, 2);
	assert_near(cost.seconds - cost.latency_s, 400 / 7.0);
	env.brief = true;
	assert_near(cost_ring(&env, &all).seconds, cost.seconds);
	partition_release(&all);
	flow_net_free(env.net);
	links_release(&links);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(groups_across_an_oversubscribed_core_are_as_slow_as_the_core),
		cmocka_unit_test(a_ring_that_crosses_the_uplink_twice_takes_twice_as_long),
		cmocka_unit_test(bytes_sent_are_those_of_the_algorithm),
		cmocka_unit_test(latency_of_a_ring_is_that_of_its_longest_way),
		cmocka_unit_test(rounds_of_halving_and_of_trees_follow_each_other),
		cmocka_unit_test(hierarchical_takes_its_three_stages_in_turn),
		cmocka_unit_test(what_stays_on_a_host_is_free),
		cmocka_unit_test(a_pair_of_its_own_rate_is_named_as_the_limit),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
