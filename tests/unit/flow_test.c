/* Flows that share links: rates by hand, max-min on random networks, and when flows are done. */
#include "tests/unit/unit.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "lib/clock.h"
#include "lib/flow.h"
#include "lib/links.h"
#include "lib/memory.h"
#include "runtime/rng.h"

static void init_hosts(struct links *links, size_t hosts)
{
	char **names = xcalloc(hosts, sizeof(*names));

	for (size_t i = 0; i < hosts; i++)
		names[i] = xasprintf("h%zu", i);
	links_init(links, (const char *const *)names, hosts);
	for (size_t i = 0; i < hosts; i++)
		free(names[i]);
	free(names);
}

/* Hosts [first, last) to and from all others. */
static void add_both(struct links *links, const char *name, size_t first, size_t last, double up,
		     double down)
{
	struct link_segment *segment = links_add_segment(links, name, up);

	for (size_t i = 0; i < links->hosts; i++)
		*(i >= first && i < last ? &segment->from[i] : &segment->to[i]) = true;
	segment = links_add_segment(links, name, down);
	for (size_t i = 0; i < links->hosts; i++)
		*(i >= first && i < last ? &segment->to[i] : &segment->from[i]) = true;
}

/* A NIC of `rate` each way for every host, and racks of `size` with an uplink: segment 2 h is host
 * h's way up, 2 h + 1 its way down; 2 hosts + 2 r is rack r's way up. */
static struct links cluster(size_t hosts, double rate, size_t size, double uplink)
{
	struct links links;

	init_hosts(&links, hosts);
	for (size_t i = 0; i < hosts; i++)
		add_both(&links, "nic", i, i + 1, rate, rate);
	for (size_t i = 0; size && i < hosts; i += size)
		add_both(&links, "uplink", i, i + size, uplink, uplink);
	return links;
}

struct scene {
	struct flow_hop hop[16];
	struct flow flow[16];
	size_t count;
	double rates[16], finish[16];
	int limits[16];
};

static void add_flow(struct scene *c, int from, int to, double bytes)
{
	c->hop[c->count] = (struct flow_hop){ from, to };
	c->flow[c->count] = (struct flow){ &c->hop[c->count], 1, bytes, INFINITY };
	c->count++;
}

static void assert_near(double is, double should)
{
	if (!(fabs(is - should) <= 1e-6 * fabs(should)))
		fail_msg("%.12g instead of %.12g", is, should);
}

static void rates_of(struct scene *c, const struct links *links)
{
	struct flow_net *net = flow_net_new(links);

	flow_rates(net, c->flow, c->count, c->rates, c->limits);
	flow_net_free(net);
}

static double finish_of(struct scene *c, const struct links *links)
{
	struct flow_net *net = flow_net_new(links);
	double longest = flow_finish(net, c->flow, c->count, c->finish);

	flow_net_free(net);
	return longest;
}

static void a_shared_way_is_shared_and_the_rest_goes_to_who_can_use_it(void **state)
{
	struct links links = cluster(4, 100, 0, 0);
	struct scene c = { 0 };

	(void)state;
	add_flow(&c, 0, 1, 1); /* 0 sends to two, and 2 to one of these: */
	add_flow(&c, 0, 3, 1);
	add_flow(&c, 2, 3, 1);
	links.segments[0].bytes_per_s = 60; /* host 0's way up */
	rates_of(&c, &links);
	assert_near(c.rates[0], 30);
	assert_near(c.rates[1], 30);
	assert_near(c.rates[2], 70);
	assert_int_equal(c.limits[0], 0);
	assert_int_equal(c.limits[1], 0);
	assert_int_equal(c.limits[2], 2 * 3 + 1); /* host 3's way down is full */
	links_release(&links);
}

static void the_hops_of_a_bundle_move_at_one_pace(void **state)
{
	static const struct flow_hop ring[] = { { 0, 2 }, { 2, 1 }, { 1, 3 }, { 3, 0 } };
	struct links links = cluster(4, 100, 2, 100);
	struct flow flow = { ring, 4, 1000, INFINITY };
	struct flow_net *net = flow_net_new(&links);
	double rate, finish;
	int limit;

	(void)state;
	flow_rates(net, &flow, 1, &rate, &limit); /* two of its hops go up from each rack */
	assert_near(rate, 50);
	assert_true(limit >= 8);
	assert_near(flow_finish(net, &flow, 1, &finish), 20);
	assert_near(finish, 20);
	links.segments[1].bytes_per_s = 10; /* read at each call: host 0's way down */
	flow_rates(net, &flow, 1, &rate, &limit);
	assert_near(rate, 10);
	assert_int_equal(limit, 1);
	flow_net_free(net);
	links_release(&links);
}

static void a_hop_counts_as_often_as_it_is_there(void **state)
{
	static const struct flow_hop twice[] = { { 0, 1 }, { 0, 1 }, { 0, 2 } };
	struct links links = cluster(3, 90, 0, 0);
	struct flow flows[] = { { twice, 3, 1, INFINITY }, { twice + 2, 1, 1, INFINITY } };
	struct flow_net *net = flow_net_new(&links);
	double rates[2];

	(void)state;
	flow_rates(net, flows, 2, rates, NULL); /* 3 x + y <= 90, x = y */
	assert_near(rates[0], 22.5);
	assert_near(rates[1], 22.5);
	flow_net_free(net);
	links_release(&links);
}

static void a_pairs_own_rate_and_what_a_flow_asks_for_are_limits(void **state)
{
	struct links links = cluster(4, 100, 0, 0);
	struct scene c = { 0 };

	(void)state;
	add_flow(&c, 0, 1, 1);
	add_flow(&c, 0, 2, 1);
	add_flow(&c, 0, 3, 1);
	links_pair(&links, 0, 1)->bytes_per_s = 20;
	c.flow[1].most = 10;
	rates_of(&c, &links);
	assert_near(c.rates[0], 20);
	assert_near(c.rates[1], 10);
	assert_near(c.rates[2], 70);
	assert_int_equal(c.limits[0], -1);
	assert_int_equal(c.limits[1], -2);
	assert_int_equal(c.limits[2], 0);
	links_release(&links);
}

static void what_nothing_holds_back_takes_no_time(void **state)
{
	struct links links;
	struct scene c = { 0 };

	(void)state;
	init_hosts(&links, 2);
	add_both(&links, "unknown", 0, 1, NAN, NAN);
	add_flow(&c, 0, 1, 1000);
	add_flow(&c, 0, 0, 1000); /* within a host */
	add_flow(&c, 1, 1, 1000);
	add_flow(&c, 0, 1, 0); /* nothing to send */
	c.flow[3].most = 5;
	links_pair(&links, 1, 1)->bytes_per_s = 100;
	rates_of(&c, &links);
	assert_true(isinf(c.rates[0]) && isinf(c.rates[1]));
	assert_int_equal(c.limits[0], -2);
	assert_near(c.rates[2], 100);
	assert_near(c.rates[3], 5);
	assert_near(finish_of(&c, &links), 10);
	assert_true(c.finish[0] == 0 && c.finish[1] == 0 && c.finish[3] == 0);
	links_release(&links);
}

static void a_flow_that_may_send_nothing_never_ends(void **state)
{
	struct links links = cluster(3, 10, 0, 0);
	struct scene c = { 0 };

	(void)state;
	add_flow(&c, 0, 1, 100);
	add_flow(&c, 0, 2, 100);
	c.flow[0].most = 0;
	assert_true(isinf(finish_of(&c, &links)));
	assert_true(isinf(c.finish[0]));
	assert_near(c.finish[1], 10);
	links_release(&links);
}

static void those_that_remain_get_faster_when_others_end(void **state)
{
	struct links links = cluster(4, 100, 0, 0);
	struct scene c = { 0 };

	(void)state;
	add_flow(&c, 0, 1, 100); /* all three from 0: a third each until this one ends at 3 s, */
	add_flow(&c, 0, 2, 200); /* then a half until this ends at 5 s, */
	add_flow(&c, 0, 3, 300); /* then all: 100 bytes more. */
	assert_near(finish_of(&c, &links), 6);
	assert_near(c.finish[0], 3);
	assert_near(c.finish[1], 5);
	assert_near(c.finish[2], 6);
	links_release(&links);
}

/* A slow flow ends and a fast one elsewhere is unharmed; who rises may push another down. */
static void a_flow_that_rises_pushes_a_faster_one_down(void **state)
{
	struct links links = cluster(4, 1000, 0, 0);
	struct scene c = { 0 };

	(void)state;
	links.segments[0].bytes_per_s = 40;	    /* 0's way up: two flows, 20 each */
	links.segments[2 * 3 + 1].bytes_per_s = 50; /* 3's way down: 20 and 30 */
	add_flow(&c, 0, 1, 200);
	add_flow(&c, 0, 3, 2000);
	add_flow(&c, 2, 3, 3000);
	finish_of(&c, &links);
	assert_near(c.finish[0], 10);
	/* From then on 25 each: 1800 bytes and 2700 bytes left; at 82 s the last has 900 left. */
	assert_near(c.finish[1], 82);
	assert_near(c.finish[2], 82 + 900 / 50.);
	links_release(&links);
}

/* Networks and flows drawn at random. */
struct draw {
	struct rng rng;
	uint64_t drawn;
	struct links links;
	struct flow_hop *hops;
	struct flow flows[40];
	size_t count;
};

static size_t draw_below(struct draw *d, size_t limit)
{
	return (size_t)rng_below(&d->rng, d->drawn++, limit);
}

static double draw_rate(struct draw *d)
{
	return (double)(1 + draw_below(d, 100));
}

static void draw_network(struct draw *d, uint64_t seed)
{
	size_t hosts;

	d->rng = rng_make(seed, RNG_DATA, 0, 0);
	hosts = 2 + draw_below(d, 9);
	init_hosts(&d->links, hosts);
	for (size_t s = draw_below(d, 12); s > 0; s--) {
		struct link_segment *segment = links_add_segment(&d->links, "s", draw_rate(d));

		for (size_t h = 0; h < hosts; h++) {
			segment->from[h] = draw_below(d, 2);
			segment->to[h] = draw_below(d, 2);
		}
	}
	for (size_t i = 0; i < hosts * hosts; i++)
		if (draw_below(d, 3) == 0)
			d->links.pairs[i].bytes_per_s = draw_rate(d);
	d->count = 1 + draw_below(d, 40);
	d->hops = xcalloc(40 * 5, sizeof(*d->hops));
	for (size_t f = 0; f < d->count; f++) {
		struct flow *flow = &d->flows[f];

		*flow = (struct flow){ d->hops + 5 * f, 1 + draw_below(d, 5), draw_rate(d),
				       draw_below(d, 4) ? INFINITY : draw_rate(d) };
		for (size_t i = 0; i < flow->count; i++)
			d->hops[5 * f + i] = (struct flow_hop){ (int)draw_below(d, hosts),
								(int)draw_below(d, hosts) };
	}
}

static void draw_release(struct draw *d)
{
	links_release(&d->links);
	free(d->hops);
}

static int times_over(const struct draw *d, size_t f, size_t segment)
{
	int times = 0;

	for (size_t i = 0; i < d->flows[f].count; i++)
		times += link_crosses(&d->links.segments[segment], d->flows[f].hops[i].from,
				      d->flows[f].hops[i].to);
	return times;
}

static double own_limit(const struct draw *d, size_t f)
{
	double least = d->flows[f].most;

	for (size_t i = 0; i < d->flows[f].count; i++)
		least = fmin(least,
			     links_pair(&d->links, d->flows[f].hops[i].from, d->flows[f].hops[i].to)
				     ->bytes_per_s);
	return least;
}

/* Its limit is one of its own, or a full segment of its on which nobody is faster: that no flow
 * can gain without a loss to one that has no more is what max-min fair means. */
static void assert_held_back(const struct draw *d, size_t f, const double *rates, const int *limits)
{
	double sum = 0;

	assert_true(rates[f] <= own_limit(d, f) * (1 + 1e-9));
	if (isinf(rates[f]))
		return;
	if (limits[f] < 0) {
		assert_near(rates[f], own_limit(d, f));
		return;
	}
	assert_true(times_over(d, f, limits[f]) > 0);
	for (size_t g = 0; g < d->count; g++) {
		int times = times_over(d, g, limits[f]);

		sum += times ? times * rates[g] : 0;
		assert_true(!times || rates[g] <= rates[f] * (1 + 1e-6));
	}
	assert_near(sum, d->links.segments[limits[f]].bytes_per_s);
}

static void random_rates_are_max_min_fair(void **state)
{
	(void)state;
	for (uint64_t seed = 1; seed <= 400; seed++) {
		struct draw d = { 0 };
		double rates[40];
		int limits[40];
		struct flow_net *net;

		draw_network(&d, seed);
		net = flow_net_new(&d.links);
		flow_rates(net, d.flows, d.count, rates, limits);
		for (size_t s = 0; s < d.links.segment_count; s++) {
			double sum = 0;

			for (size_t f = 0; f < d.count; f++)
				if (times_over(&d, f, s))
					sum += times_over(&d, f, s) * rates[f];
			assert_true(sum <= d.links.segments[s].bytes_per_s * (1 + 1e-6));
		}
		for (size_t f = 0; f < d.count; f++)
			assert_held_back(&d, f, rates, limits);
		flow_net_free(net);
		draw_release(&d);
	}
}

/* What flow_finish should say: all rates anew after each end. */
static void finish_slowly(const struct draw *d, struct flow_net *net, double *finish)
{
	double left[40], rates[40], now = 0;
	size_t who[40], count = 0;
	struct flow flows[40];

	for (size_t f = 0; f < d->count; f++) {
		left[f] = d->flows[f].bytes;
		who[count++] = f;
	}
	while (count > 0) {
		double step = INFINITY;
		size_t kept = 0;

		for (size_t i = 0; i < count; i++)
			flows[i] = d->flows[who[i]];
		flow_rates(net, flows, count, rates, NULL);
		for (size_t i = 0; i < count; i++)
			step = fmin(step, left[who[i]] / rates[i]);
		now += step;
		for (size_t i = 0; i < count; i++) {
			left[who[i]] -= isinf(rates[i]) ? left[who[i]] : rates[i] * step;
			finish[who[i]] = now;
			if (left[who[i]] > 1e-9)
				who[kept++] = who[i];
		}
		count = kept;
	}
}

static void random_flows_end_as_if_all_rates_were_found_anew(void **state)
{
	(void)state;
	for (uint64_t seed = 1; seed <= 400; seed++) {
		struct draw d = { 0 };
		double should[40], is[40], longest = 0;
		struct flow_net *net;

		draw_network(&d, seed);
		net = flow_net_new(&d.links);
		finish_slowly(&d, net, should);
		for (size_t f = 0; f < d.count; f++)
			longest = fmax(longest, should[f]);
		assert_near(flow_finish(net, d.flows, d.count, is), longest);
		for (size_t f = 0; f < d.count; f++)
			assert_near(is[f], should[f]);
		flow_net_free(net);
		draw_release(&d);
	}
}

static void one_net_serves_any_calls(void **state)
{
	struct links links = cluster(8, 100, 4, 100);
	struct flow_net *net = flow_net_new(&links);
	struct scene few = { 0 }, many = { 0 };

	(void)state;
	add_flow(&few, 0, 4, 50);
	for (int i = 0; i < 8; i++)
		add_flow(&many, i, (i + 4) % 8, 100);
	for (int round = 0; round < 3; round++) {
		assert_near(flow_finish(net, few.flow, few.count, few.finish), 0.5);
		assert_near(flow_finish(net, many.flow, many.count, many.finish), 4);
		flow_rates(net, few.flow, few.count, few.rates, few.limits);
		assert_near(few.rates[0], 100);
		assert_near(flow_finish(net, few.flow, 0, few.finish), 0);
	}
	flow_net_free(net);
	links_release(&links);
}

/* 1,024 hosts in 32 racks whose NICs all differ, so that no two flows end together. */
static void large_networks_are_quick(void **state)
{
	struct links links = cluster(1024, 100, 32, 800);
	struct flow_hop *hops = xcalloc(1024, sizeof(*hops));
	struct flow *flows = xcalloc(1024, sizeof(*flows)), ring;
	double *finish = xcalloc(1024, sizeof(*finish)), began = clock_now();
	struct flow_net *net = flow_net_new(&links);
	int rounds = 20;

	(void)state;
	for (int i = 0; i < 1024; i++) {
		links.segments[2 * i].bytes_per_s += i * 0.01;
		hops[i] = (struct flow_hop){ i, (i + 1) % 1024 };
	}
	ring = (struct flow){ hops, 1024, 1000, INFINITY };
	for (int round = 0; round < rounds; round++) {
		assert_near(flow_finish(net, &ring, 1, finish), 10);
		for (int i = 0; i < 1024; i++) {
			hops[i].to = i ^ (1 << round % 10);
			flows[i] = (struct flow){ &hops[i], 1, 1000, INFINITY };
		}
		assert_true(flow_finish(net, flows, 1024, finish) >= 9.9);
		for (int i = 0; i < 1024; i++)
			hops[i].to = (i + 1) % 1024;
	}
	print_message("%.2f ms for a ring and 1,024 flows\n", (clock_now() - began) / rounds * 1e3);
	assert_true(clock_now() - began < 20); /* hundreds of times what it takes */
	flow_net_free(net);
	free(hops);
	free(flows);
	free(finish);
	links_release(&links);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_shared_way_is_shared_and_the_rest_goes_to_who_can_use_it),
		cmocka_unit_test(the_hops_of_a_bundle_move_at_one_pace),
		cmocka_unit_test(a_hop_counts_as_often_as_it_is_there),
		cmocka_unit_test(a_pairs_own_rate_and_what_a_flow_asks_for_are_limits),
		cmocka_unit_test(what_nothing_holds_back_takes_no_time),
		cmocka_unit_test(a_flow_that_may_send_nothing_never_ends),
		cmocka_unit_test(those_that_remain_get_faster_when_others_end),
		cmocka_unit_test(a_flow_that_rises_pushes_a_faster_one_down),
		cmocka_unit_test(random_rates_are_max_min_fair),
		cmocka_unit_test(random_flows_end_as_if_all_rates_were_found_anew),
		cmocka_unit_test(one_net_serves_any_calls),
		cmocka_unit_test(large_networks_are_quick),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
