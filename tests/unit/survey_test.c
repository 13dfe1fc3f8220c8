/* A survey of networks that are known: it finds every pair and every shared segment, no others. */
#include "tests/unit/unit.h"

#include "tests/unit/survey_net.h"

static const struct survey_params usual = { .precision = 0.05 };

static bool close_to(double found, double truth)
{
	return fabs(found - truth) <= 0.1 * truth;
}

static size_t wrong_pairs(struct net_sim *net, const struct links *links)
{
	size_t hosts = net->truth.hosts, wrong = 0;

	for (size_t from = 0; from < hosts; from++)
		for (size_t to = 0; to < hosts; to++) {
			double truth = links_rate(&net->truth, from, to);
			double found = links_pair(links, from, to)->bytes_per_s;

			if (from == to || net->dead[from] || net->dead[to])
				continue;
			if (close_to(found, truth) && close_to(links_rate(links, from, to), truth))
				continue;
			if (wrong++ > 2)
				continue;
			print_message(
				"pair %zu -> %zu: %.1f, with segments %.1f, not %.1f Mbit/s\n",
				from + 1, to + 1, found / NET_MBIT,
				links_rate(links, from, to) / NET_MBIT, truth / NET_MBIT);
		}
	return wrong;
}

/* Segments that could hold something back, and are not there or not right. */
static size_t missing_segments(struct net_sim *net, const struct links *links)
{
	size_t missing = 0;

	for (size_t s = 0; s < net->truth.segment_count; s++) {
		const struct link_segment *truth = &net->truth.segments[s];
		double best = NAN;

		if (net_demand(net, s) < 1.15 * truth->bytes_per_s)
			continue;
		for (size_t i = 0; i < links->segment_count; i++)
			if (net_same(truth, &links->segments[i], links->hosts))
				best = links->segments[i].bytes_per_s;
		for (size_t i = 0; i < net->truth.segment_count; i++)
			if (i != s && net_same(truth, &net->truth.segments[i], links->hosts) &&
			    net->truth.segments[i].bytes_per_s < truth->bytes_per_s)
				best = truth->bytes_per_s; /* hidden behind a narrower one */
		if (close_to(best, truth->bytes_per_s))
			continue;
		missing++;
		print_message("segment %zu %s: %.1f, not %.1f Mbit/s\n", s, truth->name,
			      best / NET_MBIT, truth->bytes_per_s / NET_MBIT);
	}
	return missing;
}

static bool is_nic(const struct link_segment *segment, size_t hosts)
{
	size_t from = 0, to = 0;

	for (size_t i = 0; i < hosts; i++) {
		from += segment->from[i];
		to += segment->to[i];
	}
	return from == 1 || to == 1;
}

static size_t false_segments(struct net_sim *net, const struct links *links)
{
	size_t wrong = 0;

	for (size_t i = 0; i < links->segment_count; i++) {
		const struct link_segment *found = &links->segments[i];
		bool known = is_nic(found, links->hosts);

		for (size_t s = 0; s < net->truth.segment_count; s++)
			known = known || net_same(&net->truth.segments[s], found, links->hosts);
		if (known)
			continue;
		wrong++;
		print_message("segment %s of %.1f Mbit/s is not there\n", found->name,
			      found->bytes_per_s / NET_MBIT);
	}
	return wrong;
}

/* Hosts in racks of racks: what a host's number says of its rack at each level, or at random. */
struct layout {
	const char *name;
	size_t hosts;
	double nic;		 /* Mbit/s */
	int rack_size, row_size; /* hosts; 0: none */
	double uplink, row_uplink;
	int slow_host; /* its number; -1: none */
	double slow_up, slow_down;
	double all; /* Mbit/s of all flows; 0: any */
	bool shuffled, named;
	double noise, outliers, low; /* 0: as usual */
};

static void lay_out(struct net_sim *net, const struct layout *layout, uint64_t seed, int *rack)
{
	size_t hosts = layout->hosts;
	double *up = xcalloc(hosts, sizeof(*up)), *down = xcalloc(hosts, sizeof(*down));
	uint32_t *place = xcalloc(hosts, sizeof(*place));
	int *row = xcalloc(hosts, sizeof(*row));

	net_init(net, hosts, seed);
	for (uint32_t i = 0; i < hosts; i++)
		place[i] = i;
	if (layout->shuffled)
		rng_shuffle(&net->rng, place, hosts);
	for (size_t i = 0; i < hosts; i++) {
		bool slow = (int)i == layout->slow_host;

		up[i] = NET_MBIT * (slow ? layout->slow_up : layout->nic);
		down[i] = NET_MBIT * (slow ? layout->slow_down : layout->nic);
		rack[i] = layout->rack_size ? (int)place[i] / layout->rack_size : 0;
		row[i] = layout->row_size ? (int)place[i] / layout->row_size : 0;
	}
	net_nics(net, up, down);
	for (int r = 0; layout->rack_size && r * layout->rack_size < (int)hosts; r++)
		net_rack(net, rack, r, NET_MBIT * layout->uplink, NET_MBIT * layout->uplink);
	for (int r = 0; layout->row_size && r * layout->row_size < (int)hosts; r++)
		net_rack(net, row, r, NET_MBIT * layout->row_uplink, NET_MBIT * layout->row_uplink);
	net->noise = layout->noise > 0 ? layout->noise : net->noise;
	net->outliers = layout->outliers > 0 ? layout->outliers : net->outliers;
	net->low = layout->low;
	if (layout->all > 0)
		net->all = NET_MBIT * layout->all;
	free(up);
	free(down);
	free(place);
	free(row);
}

static size_t survey_layout(const struct layout *layout, uint64_t seed)
{
	int *rack = xcalloc(layout->hosts, sizeof(*rack));
	char **groups = xcalloc(layout->hosts, sizeof(*groups));
	struct survey_params params = usual;
	struct net_sim net;
	struct survey *survey;
	size_t wrong;

	lay_out(&net, layout, seed, rack);
	for (size_t i = 0; i < layout->hosts; i++)
		groups[i] = xasprintf("r%d", rack[i] + 1);
	if (layout->hosts <= 16 && !layout->shuffled)
		params.seconds = 4 + (double)layout->hosts;
	if (layout->named)
		params.groups = (const char *const *)groups;
	survey = net_survey(&net, &params);
	wrong = wrong_pairs(&net, survey_links(survey)) +
		missing_segments(&net, survey_links(survey)) +
		false_segments(&net, survey_links(survey));
	print_message("%-28s seed %llu: %3zu steps, %5zu flows, %5.2f s, %zu wrong\n", layout->name,
		      (unsigned long long)seed, net.steps, net.flows, net.seconds, wrong);
	wrong += layout->hosts <= 16 && !layout->shuffled && net.seconds >= 20.2;
	survey_free(survey);
	net_release(&net);
	for (size_t i = 0; i < layout->hosts; i++)
		free(groups[i]);
	free(groups);
	free(rack);
	return wrong;
}

static const struct layout layouts[] = {
	{ "homogeneous", 16, 100, .slow_host = -1 },
	{ "homogeneous, 1 Gbit/s", 16, 1000, .slow_host = -1, .all = 6500 },
	{ "homogeneous 5", 5, 1000, .slow_host = -1 },
	{ "slow nic", 4, 1000, .slow_host = 2, .slow_up = 100, .slow_down = 100 },
	{ "slow direction", 4, 1000, .slow_host = 1, .slow_up = 100, .slow_down = 1000 },
	{ "two racks of two", 4, 1000, 2, .uplink = 200, .slow_host = -1 },
	{ "two racks of eight", 16, 100, 8, .uplink = 20, .slow_host = -1 },
	{ "three levels", 8, 1000, 2, 4, 500, 200, .slow_host = -1 },
	{ "4x2, 1", 8, 100, 2, .uplink = 200, .slow_host = -1 },
	{ "4x2, 2", 8, 100, 2, .uplink = 100, .slow_host = -1 },
	{ "4x2, 4", 8, 100, 2, .uplink = 50, .slow_host = -1 },
	{ "4x2, 10", 8, 100, 2, .uplink = 20, .slow_host = -1 },
	{ "4x4, 10", 16, 100, 4, .uplink = 40, .slow_host = -1 },
	{ "4x4, 10, 1 Gbit/s", 16, 1000, 4, .uplink = 400, .slow_host = -1, .all = 6500 },
	{ "4x4, 10, shuffled", 16, 100, 4, .uplink = 40, .slow_host = -1, .shuffled = true },
	{ "4x4, 4, named", 16, 100, 4, .uplink = 100, .slow_host = -1, .named = true },
	{ "4x4, 2, named", 16, 100, 4, .uplink = 200, .slow_host = -1, .named = true },
	{ "4x4, 1, named", 16, 100, 4, .uplink = 400, .slow_host = -1, .named = true },
	{ "4x4, 4", 16, 100, 4, .uplink = 100, .slow_host = -1 },
	{ "4x4, 2", 16, 100, 4, .uplink = 200, .slow_host = -1 },
	{ "4x4, 1", 16, 100, 4, .uplink = 400, .slow_host = -1 },
	{ "4x4, 4, shuffled", 16, 100, 4, .uplink = 100, .slow_host = -1, .shuffled = true },
	{ "4x4, 2, shuffled", 16, 100, 4, .uplink = 200, .slow_host = -1, .shuffled = true },
	{ "4x4, 1, shuffled", 16, 100, 4, .uplink = 400, .slow_host = -1, .shuffled = true },
	{ "4x4, 4, 1 Gbit/s", 16, 1000, 4, .uplink = 1000, .slow_host = -1, .all = 6500 },
	{ "4x4, 2, 1 Gbit/s", 16, 1000, 4, .uplink = 2000, .slow_host = -1, .all = 6500 },
	{ "2x8, 4, shuffled", 16, 100, 8, .uplink = 200, .slow_host = -1, .shuffled = true },
	{ "32 in 4 racks, 2", 32, 100, 8, .uplink = 400, .slow_host = -1 },
	{ "64 in 8 racks, 10", 64, 1000, 8, .uplink = 800, .slow_host = -1 },
	{ "64 alike", 64, 1000, .slow_host = -1 },
	{ "4x4, 10, noisy", 16, 100, 4, .uplink = 40, .slow_host = -1, .noise = 0.025,
	  .outliers = 0.04, .low = 0.02 },
	{ "4x4, 2, noisy", 16, 100, 4, .uplink = 200, .slow_host = -1, .noise = 0.025,
	  .outliers = 0.04, .low = 0.02 },
	{ "4x2, 2, noisy", 8, 100, 2, .uplink = 100, .slow_host = -1, .noise = 0.025,
	  .outliers = 0.04, .low = 0.02 },
	{ "4x2, 10, noisy", 8, 100, 2, .uplink = 20, .slow_host = -1, .noise = 0.025,
	  .outliers = 0.04, .low = 0.02 },
	{ "homogeneous, noisy", 16, 100, .slow_host = -1, .noise = 0.025, .outliers = 0.04,
	  .low = 0.02 },
	{ "4x4, 2, named, 1 Gbit/s", 16, 1000, 4, .uplink = 2000, .slow_host = -1, .named = true,
	  .all = 6500 },
};

static void every_layout_comes_out_within_ten_percent(void **state)
{
	size_t wrong = 0;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(layouts); i++)
		for (uint64_t seed = 1; seed <= 2; seed++)
			wrong += survey_layout(&layouts[i], seed);
	assert_int_equal(wrong, 0);
}

static const struct layout four_racks = { "4x4, 4", 16, 100, 4, .uplink = 100, .slow_host = -1 };

/* A whole survey of these racks, of which a host may be dead; what it has found. */
static struct links survey_of(const struct layout *layout, const struct survey_params *params,
			      int dead, struct net_sim *net)
{
	int *rack = xcalloc(layout->hosts, sizeof(*rack));
	struct survey *survey;
	struct links links;

	lay_out(net, layout, 7, rack);
	if (dead >= 0)
		net->dead[dead] = true;
	survey = net_survey(net, params);
	links_copy(&links, survey_links(survey));
	assert_true(survey_left(survey) == 0);
	survey_free(survey);
	free(rack);
	return links;
}

static void the_same_readings_give_the_same_links(void **state)
{
	struct net_sim net[2];
	struct links links[2];

	(void)state;
	for (int i = 0; i < 2; i++)
		links[i] = survey_of(&four_racks, &usual, -1, &net[i]);
	assert_int_equal(net[0].steps, net[1].steps);
	assert_memory_equal(links[0].pairs, links[1].pairs, 256 * sizeof(*links[0].pairs));
	for (int i = 0; i < 2; i++) {
		links_release(&links[i]);
		net_release(&net[i]);
	}
}

static void a_host_that_does_not_answer_stays_unknown(void **state)
{
	static const struct layout alike = { "alike", 6, 100, .slow_host = -1 };
	struct net_sim net;
	struct links links = survey_of(&alike, &usual, 3, &net);

	(void)state;
	for (size_t other = 0; other < 6; other++) {
		assert_true(isnan(links_pair(&links, 3, other)->bytes_per_s));
		assert_true(isnan(links_pair(&links, other, 3)->rtt_s));
	}
	assert_int_equal(wrong_pairs(&net, &links), 0);
	assert_int_equal(false_segments(&net, &links), 0);
	links_release(&links);
	net_release(&net);
}

static void few_hosts_are_no_special_case(void **state)
{
	(void)state;
	for (size_t hosts = 1; hosts <= 4; hosts++) {
		struct layout layout = { "few",		 hosts,		100,
					 .slow_host = 0, .slow_up = 30, .slow_down = 100 };
		struct net_sim net;
		struct links links = survey_of(&layout, &usual, -1, &net);

		assert_int_equal(wrong_pairs(&net, &links), 0);
		assert_int_equal(false_segments(&net, &links), 0);
		assert_true(hosts > 1 || net.steps == 0);
		links_release(&links);
		net_release(&net);
	}
}

static void pairs_alone_need_no_contention(void **state)
{
	struct layout layout = { "4x4, 10", 16, 100, 4, .uplink = 40, .slow_host = -1 };
	struct survey_params params = { .pairs_only = true };
	struct net_sim net;
	struct links links = survey_of(&layout, &params, -1, &net);

	(void)state;
	assert_int_equal(wrong_pairs(&net, &links), 0);
	assert_int_equal(links.segment_count, 32); /* NICs */
	links_release(&links);
	net_release(&net);
}

static void a_budget_ends_it_with_what_is_known(void **state)
{
	static const double seconds[] = { 1.5, 3, 6 };

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(seconds); i++) {
		struct survey_params params = { .seconds = seconds[i] };
		struct net_sim net;
		struct links links = survey_of(&four_racks, &params, -1, &net);

		assert_true(net.seconds > 0.8 * seconds[i] && net.seconds < 1.2 * seconds[i]);
		for (size_t j = 0; j < 256; j++)
			assert_true(j % 17 == 0 || links.pairs[j].bytes_per_s > 0);
		links_release(&links);
		net_release(&net);
	}
}

static void bytes_are_a_budget_too(void **state)
{
	static const double bytes[] = { 40e6, 200e6 };

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(bytes); i++) {
		struct survey_params params = { .bytes = bytes[i] };
		struct net_sim net;
		struct links links = survey_of(&four_racks, &params, -1, &net);

		assert_true(net.bytes > 0.8 * bytes[i] && net.bytes < 1.2 * bytes[i]);
		links_release(&links);
		net_release(&net);
	}
}

/* Of all figures that are said to be known, about 95 of 100 are within what is said. */
static void intervals_are_honest(void **state)
{
	static const struct layout noisy[] = {
		{ "alike", 12, 100, .slow_host = 3, .slow_up = 40, .slow_down = 100,
		  .noise = 0.04 },
		{ "racks", 8, 100, 2, .uplink = 50, .slow_host = -1, .noise = 0.02 },
	};
	size_t known = 0, within = 0, segments = 0;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(noisy); i++) {
		struct net_sim net;
		struct links links = survey_of(&noisy[i], &usual, -1, &net);
		size_t hosts = noisy[i].hosts;

		for (size_t at = 0; at < hosts * hosts; at++) {
			const struct link_pair *pair = &links.pairs[at];
			double truth = links_rate(&net.truth, at / hosts, at % hosts);

			if (!isfinite(pair->spread))
				continue;
			known++;
			within +=
				fabs(pair->bytes_per_s - truth) <= pair->spread * pair->bytes_per_s;
			assert_true(pair->spread < 0.08);
		}
		for (size_t s = 0; s < links.segment_count; s++)
			segments += links.segments[s].spread <= 0.05;
		assert_true(segments >= links.segment_count * 9 / 10);
		links_release(&links);
		net_release(&net);
	}
	print_message("%zu of %zu within their intervals\n", within, known);
	assert_true(known >= 180 && within * 100 >= known * 90);
}

/* Rates that wander are read more often; the budget ends that, and says what is left. */
static void what_is_not_sure_is_read_again_and_told(void **state)
{
	static const struct layout calm = { "calm", 6, 100, .slow_host = -1, .noise = 0.01 };
	static const struct layout rough = { "rough", 6, 100, .slow_host = -1, .noise = 0.08 };
	struct survey_params little = { .seconds = 1 };
	struct net_sim nets[3];
	struct links links[3] = { survey_of(&calm, &usual, -1, &nets[0]),
				  survey_of(&rough, &usual, -1, &nets[1]),
				  survey_of(&rough, &little, -1, &nets[2]) };
	size_t wide[3] = { 0 };

	(void)state;
	for (size_t i = 0; i < 3; i++) {
		for (size_t j = 0; j < 36; j++)
			wide[i] += j % 7 != 0 && !(links[i].pairs[j].spread <= 0.05);
		links_release(&links[i]);
		net_release(&nets[i]);
	}
	assert_true(nets[1].flows > nets[0].flows + 30);
	assert_true(wide[0] == 0 && wide[2] > 10 && wide[1] < wide[2]);
}

static void no_more_flows_at_once_than_allowed(void **state)
{
	static const struct layout alike = { "alike", 8, 100, .slow_host = -1 };
	struct survey_params params = { .concurrent = 2, .pairs_only = true };
	struct net_sim net;
	struct links links = survey_of(&alike, &params, -1, &net);

	(void)state;
	assert_true(net.most_at_once == 2);
	assert_int_equal(wrong_pairs(&net, &links), 0);
	links_release(&links);
	net_release(&net);
}

static void the_cost_is_told_before(void **state)
{
	static const struct layout alike = { "alike", 16, 100, .slow_host = -1 };
	struct survey *survey;
	struct survey_cost cost;
	struct net_sim net;
	struct links links = survey_of(&alike, &usual, -1, &net);

	(void)state;
	survey = survey_new((const char *const *)net.truth.names, 16, &usual);
	cost = survey_cost(survey, 100 * NET_MBIT, 2e-4);
	print_message("%.1f s and %zu flows told, %.1f s and %zu flows taken\n", cost.seconds,
		      cost.flows, net.seconds, net.flows);
	assert_true(cost.seconds > 0.7 * net.seconds && cost.seconds < 1.4 * net.seconds);
	assert_true(cost.bytes > 0 && cost.steps > 15 && cost.flows > 240);
	survey_free(survey);
	links_release(&links);
	net_release(&net);
}

static void many_hosts_take_few_steps(void **state)
{
	static const struct layout many = { "64 in 8 racks", 64, 1000, 8, .uplink = 800,
					    .slow_host = -1 };
	struct net_sim net;
	struct links links = survey_of(&many, &usual, -1, &net);

	(void)state;
	assert_true(net.steps < 64 * 6); /* not 64 * 63 */
	assert_int_equal(wrong_pairs(&net, &links), 0);
	assert_int_equal(missing_segments(&net, &links), 0);
	links_release(&links);
	net_release(&net);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_layout_comes_out_within_ten_percent),
		cmocka_unit_test(the_same_readings_give_the_same_links),
		cmocka_unit_test(a_host_that_does_not_answer_stays_unknown),
		cmocka_unit_test(few_hosts_are_no_special_case),
		cmocka_unit_test(pairs_alone_need_no_contention),
		cmocka_unit_test(a_budget_ends_it_with_what_is_known),
		cmocka_unit_test(bytes_are_a_budget_too),
		cmocka_unit_test(intervals_are_honest),
		cmocka_unit_test(what_is_not_sure_is_read_again_and_told),
		cmocka_unit_test(no_more_flows_at_once_than_allowed),
		cmocka_unit_test(the_cost_is_told_before),
		cmocka_unit_test(many_hosts_take_few_steps),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
