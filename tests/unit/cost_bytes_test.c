/* Predicted seconds of compressed sums: what the arithmetic of a few networks says by hand. */
#include "tests/unit/unit.h"

#include <math.h>
#include <stdlib.h>

#include "lib/cost.h"
#include "lib/draw.h"
#include "lib/flow.h"
#include "tests/unit/rack_links.h"

/* Of a rank's own work for each message, and for each more that is sent with it. */
static const double MESSAGE_S = 30e-6, MORE_S = 5e-6;

static const int self[8] = { 0, 1, 2, 3, 4, 5, 6, 7 };

static const struct cost_codec eighth = { .ratio = 0.125, .encode_s = 1e-9, .decode_s = 3e-9 };

static void assert_near(double value, double expected)
{
	if (!(fabs(value - expected) <= 1e-9 * fabs(expected)))
		fail_msg("%.17g is not %.17g", value, expected);
}

static struct cost_env env_of(const struct links *links)
{
	return (struct cost_env){ .links = links,
				  .net = flow_net_new(links),
				  .host_of = self,
				  .world = (int)links->hosts,
				  .bytes = 8e6,
				  .codec = eighth };
}

static double wire_s(struct cost cost)
{
	return cost.seconds - cost.latency_s;
}

static void bytes_and_codec_are_those_of_the_way_they_travel(void **state)
{
	static const size_t sizes[] = { 8 };
	struct links links = racks_of(sizes, 1, 1e6, 0);
	struct cost_env env = env_of(&links);
	struct partition all = partition_flat(8, NULL);
	struct cost gather = cost_opaque(&env, &all, COST_GATHER),
		    owners = cost_opaque(&env, &all, COST_OWNERS);
	struct cost differences = cost_differences(&env, &all);

	(void)state;
	assert_near(gather.bytes_sent, 7e6);
	assert_near(wire_s(gather), 7);
	assert_near(gather.codec_s, 8e6 * (1e-9 + 8 * 3e-9));
	assert_near(owners.bytes_sent, 2 * 7e6 / 8);
	assert_near(wire_s(owners), 2 * 7.0 / 8);
	assert_near(owners.codec_s, 8e6 * (1e-9 + (2 - 1 / 8.0) * 3e-9));
	assert_near(wire_s(differences), 7);
	assert_near(differences.codec_s, 8e6 * (1e-9 + 9 * 3e-9));
	env.codec.feedback = true;
	assert_near(cost_opaque(&env, &all, COST_GATHER).codec_s, gather.codec_s + 8e6 * 3e-9);
	assert_near(cost_opaque(&env, &all, COST_OWNERS).codec_s, owners.codec_s + 8e6 * 3e-9);
	assert_near(cost_differences(&env, &all).codec_s, differences.codec_s);
	partition_release(&all);
	flow_net_free(env.net);
	links_release(&links);
}

/* Sixteen messages of an eighth cross it, where a ring crosses it once. */
static void direct_messages_fill_an_uplink_that_a_ring_spares(void **state)
{
	static const size_t sizes[] = { 4, 4 };
	struct links links = racks_of(sizes, 2, 1e9, 1e6);
	struct cost_env env = env_of(&links);
	struct partition all = partition_flat(8, NULL);
	struct cost cost = cost_opaque(&env, &all, COST_OWNERS);

	(void)state;
	assert_near(wire_s(cost), 16 / 8.0 + 7 / 8.0);
	assert_string_equal(links.segments[cost.limit].name, "rack0.up");
	assert_int_equal(cost.crossing, 16);
	partition_release(&all);
	flow_net_free(env.net);
	links_release(&links);
}

/* In groups of two pairs: dense within, slices of four ranks across at once. */
static void across_groups_a_slice_of_each_rank_is_compressed(void **state)
{
	static const size_t sizes[] = { 4, 4 };
	static const int radix[] = { 4, 2 };
	struct links links = racks_of(sizes, 2, 1e9, 1e6);
	struct cost_env env = env_of(&links);
	struct schedule grid = schedule_radix(8, NULL, radix, 2);
	struct cost cost = cost_across(&env, &grid.phase[0]);
	double within = 3 * 2e6 / 1e9;

	(void)state;
	assert_near(wire_s(cost), 2 * within + 1); /* of two, everything to everybody */
	assert_near(cost.bytes_sent, 6 * 2e6 + 0.25e6);
	assert_near(cost.codec_s, 2e6 * (1e-9 + 2 * 3e-9));
	schedule_release(&grid);
	flow_net_free(env.net);
	links_release(&links);
}

static void few_bytes_go_to_everybody_and_many_to_owners(void **state)
{
	static const size_t sizes[] = { 8 };
	struct links links = racks_of(sizes, 1, 1e6, 0);
	struct cost_env env = env_of(&links);
	struct partition all = partition_flat(8, NULL);

	(void)state;
	assert_near(cost_opaque(&env, &all, COST_OWNERS).latency_s,
		    MESSAGE_S + 6 * MORE_S + 7 * MESSAGE_S); /* sums on a ring */
	set_rtt(&links, 0.1);
	assert_near(cost_opaque(&env, &all, COST_CHOSEN).seconds,
		    cost_opaque(&env, &all, COST_OWNERS).seconds);
	env.codec.bucket_bytes = 4e4;
	assert_near(cost_opaque(&env, &all, COST_CHOSEN).seconds,
		    cost_opaque(&env, &all, COST_GATHER).seconds);
	env.codec.bucket_bytes = 0;
	env.bytes = 4e4;
	assert_near(cost_opaque(&env, &all, COST_OWNERS).latency_s,
		    2 * (0.05 + MESSAGE_S + 6 * MORE_S)); /* straight to everybody */
	assert_near(cost_opaque(&env, &all, COST_CHOSEN).seconds,
		    cost_opaque(&env, &all, COST_GATHER).seconds);
	partition_release(&all);
	flow_net_free(env.net);
	links_release(&links);
}

/* A sum of n has 1 - (1 - chosen)^n of the coordinates. */
static void pairs_are_added_up_by_doubling_or_by_owners(void **state)
{
	static const size_t sizes[] = { 8 };
	struct links links = racks_of(sizes, 1, 1e6, 0);
	struct cost_env env = env_of(&links);
	struct partition all = partition_flat(8, NULL);
	double first = 160e3, two = first * (1 - pow(0.99, 2)) / 0.01;
	double four = first * (1 - pow(0.99, 4)) / 0.01;
	struct cost cost;

	(void)state;
	env.codec.chosen = 0.01;
	env.codec.ratio = 0.02;
	cost = cost_opaque(&env, &all, COST_SPARSE);
	assert_near(wire_s(cost), (first + two + four) / 1e6);
	assert_near(cost.bytes_sent, first + two + four);
	assert_true(cost.codec_s > 8e6 * (1e-9 + 3e-9));
	env.codec.chosen = 0.1; /* then sums are as long as float32 is */
	env.codec.ratio = 0.2;
	cost = cost_opaque(&env, &all, COST_SPARSE);
	assert_near(wire_s(cost), (1.6e6 + 8e6) * 7 / 8 / 1e6);
	assert_near(cost.bytes_sent, (1.6e6 + 8e6) * 7 / 8);
	env.codec.chosen = 0;
	env.codec.way = COST_OWNERS; /* as the recipe says */
	assert_near(cost_opaque(&env, &all, COST_CHOSEN).seconds,
		    cost_opaque(&env, &all, COST_OWNERS).seconds);
	partition_release(&all);
	flow_net_free(env.net);
	links_release(&links);
}

static void pairs_of_any_number_of_ranks_are_added_up(void **state)
{
	static const size_t sizes[] = { 7 };
	struct links links = racks_of(sizes, 1, 1e6, 0);
	struct cost_env env = env_of(&links);
	struct partition all = partition_flat(7, NULL);
	double first = 8e3, seven = first * (1 - pow(0.9995, 7)) / 0.0005;
	struct cost cost;

	(void)state;
	set_rtt(&links, 0.001); /* at which two rounds of few bytes would be better */
	env.codec.chosen = 0.0005;
	env.codec.ratio = 0.001;
	cost = cost_opaque(&env, &all, COST_SPARSE);
	assert_near(wire_s(cost), (first + seven) * 6 / 7 / 1e6);
	for (int n = 1; n <= 7; n++) {
		struct partition one = partition_flat(n, NULL);

		env.world = n;
		cost = cost_opaque(&env, &one, COST_CHOSEN);
		assert_true(isfinite(cost.seconds) && (cost.seconds > 0) == (n > 1));
		partition_release(&one);
	}
	partition_release(&all);
	flow_net_free(env.net);
	links_release(&links);
}

/* By the flow model itself: from each rank to all others, then round the ring. */
static double simulated_s(const struct cost_env *env)
{
	struct flow_hop hops[8 * 8], around[8];
	struct flow flows[8 * 8], ring = { .hops = around, .count = 8, .most = INFINITY };
	double finish[8 * 8], bytes = env->bytes * env->codec.ratio / 8;
	size_t count = 0;

	for (int i = 0; i < 8; i++) {
		around[i] = (struct flow_hop){ env->host_of[i], env->host_of[(i + 1) % 8] };
		for (int j = 0; j < 8; j++) {
			if (i == j)
				continue;
			hops[count] = (struct flow_hop){ env->host_of[i], env->host_of[j] };
			flows[count] = (struct flow){
				.hops = &hops[count], .count = 1, .bytes = bytes, .most = INFINITY
			};
			count++;
		}
	}
	ring.bytes = 7 * bytes;
	return flow_finish(env->net, flows, count, finish) +
	       flow_finish(env->net, &ring, 1, finish);
}

static void messages_of_all_to_all_take_what_the_flow_model_says(void **state)
{
	static const int two_each[8] = { 0, 0, 1, 1, 2, 3, 4, 4 };
	static const size_t sizes[] = { 2, 3 }, eight[] = { 3, 5 };

	(void)state;
	for (uint64_t seed = 0; seed < 40; seed++) {
		const struct draw draw = { .seed = seed, .stream = 7 };
		bool shared = seed % 2;
		struct links links = racks_of(shared ? sizes : eight, 2, 1e6,
					      1e5 * (double)(1 + draw_below(&draw, 0, 40)));
		struct cost_env env = env_of(&links);
		struct partition all = partition_flat(8, NULL);

		env.host_of = shared ? two_each : self;
		env.world = 8;
		for (size_t i = 0; i < links.hosts * links.hosts; i++)
			if (draw_below(&draw, 100 + i, 4) == 0)
				links.pairs[i].bytes_per_s =
					1e4 * (double)(1 + draw_below(&draw, 200 + i, 100));
		assert_near(wire_s(cost_opaque(&env, &all, COST_OWNERS)), simulated_s(&env));
		partition_release(&all);
		flow_net_free(env.net);
		links_release(&links);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(bytes_and_codec_are_those_of_the_way_they_travel),
		cmocka_unit_test(direct_messages_fill_an_uplink_that_a_ring_spares),
		cmocka_unit_test(across_groups_a_slice_of_each_rank_is_compressed),
		cmocka_unit_test(few_bytes_go_to_everybody_and_many_to_owners),
		cmocka_unit_test(pairs_are_added_up_by_doubling_or_by_owners),
		cmocka_unit_test(pairs_of_any_number_of_ranks_are_added_up),
		cmocka_unit_test(messages_of_all_to_all_take_what_the_flow_model_says),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
