/* Steps of a survey on real transports, and the parts of a flow that need none. */
#include "tests/unit/unit.h"

#include <math.h>

#include "tests/unit/cluster.h"

#include "runtime/probe_pace.h"
#include "runtime/probe_step.h"
#include "runtime/probe_tally.h"

enum { WORLD = 4 };

/* A ring of flows both ways, and a star: a rank sends and receives several at once. */
static size_t make_flows(struct survey_flow *flows, bool star)
{
	size_t count = 0;

	for (int i = 0; i < WORLD; i++) {
		if (star && i > 0) {
			flows[count++] = (struct survey_flow){ 0, i };
			flows[count++] = (struct survey_flow){ i, 0 };
		} else if (!star) {
			flows[count++] = (struct survey_flow){ i, (i + 1) % WORLD };
		}
	}
	return count;
}

static void lead(struct probe_team *team, enum survey_kind kind, bool star)
{
	struct survey_flow flows[2 * WORLD];
	struct survey_result results[2 * WORLD] = { 0 };
	struct survey_step step = { .kind = kind, .flows = flows, .seconds = 0.02, .why = "test" };
	struct error err;

	step.count = make_flows(flows, star);
	cluster_must(probe_team_lead(team, &step, results, &err), &err);
	for (size_t i = 0; i < step.count; i++) {
		if (kind == SURVEY_PING) {
			assert(results[i].rtt_min_s > 0);
			assert(results[i].rtt_s >= results[i].rtt_min_s && results[i].rtt_s < 10);
		} else {
			assert(results[i].bytes_per_s > 1000 && results[i].bytes_per_s < 1e12);
			assert(results[i].spread >= 0);
		}
	}
}

static void body(int rank, struct net *net, void *arg)
{
	struct probe_team team = { .net = net };
	struct error err;

	(void)arg;
	probe_team_begin(&team);
	for (int i = 0; rank == 0 && i < 2; i++) {
		lead(&team, SURVEY_PING, i);
		lead(&team, SURVEY_FLOWS, i);
	}
	cluster_must(rank == 0 ? probe_team_dismiss(&team, &err) : probe_team_follow(&team, &err),
		     &err);
	assert(rank > 0 || (team.steps == 4 && team.bytes > 10 * 4096));
	probe_team_release(&team);
}

static void a_step_measures_every_flow_on_every_transport(void **state)
{
	(void)state;
	cluster_run_every(WORLD, 0, body, NULL);
	cluster_run("tcp streams=2", WORLD, body, NULL);
}

/* Messages of 1000 bytes every 10 ms; the receiver sleeps from 95 ms to 145 ms. */
static void a_rate_is_that_of_the_link_also_when_the_receiver_sleeps(void **state)
{
	struct probe_tally tally = { .seconds = 1 };
	bool over = false;

	(void)state;
	for (int i = 0; !over; i++) {
		double at = i * 0.01;

		assert_true(i < 200);
		over = probe_tally_add(&tally, at > 0.095 && at < 0.145 ? 0.145 : at, 1000);
	}
	assert_true(fabs(probe_tally_rate(&tally) / 1e5 - 1) < 0.02);
	assert_true(probe_tally_spread(&tally) > 0.01 && probe_tally_spread(&tally) < 0.1);
}

static void a_rate_that_wanders_is_less_sure_than_one_that_jitters(void **state)
{
	struct probe_tally wanders = { .seconds = 1 }, jitters = { .seconds = 1 };

	(void)state;
	for (int i = 0; i <= 1000; i++) {
		probe_tally_add(&wanders, i * 1e-3, i < 500 ? 900 : 1100);
		probe_tally_add(&jitters, i * 1e-3, i * 7919 % 1000 < 500 ? 900 : 1100);
	}
	assert_true(probe_tally_spread(&wanders) > 1.5 * probe_tally_spread(&jitters));
	assert_true(probe_tally_spread(&jitters) < 0.01);
}

static void few_messages_say_nothing_of_how_sure_they_are(void **state)
{
	struct probe_tally tally = { .seconds = 0.1 };

	(void)state;
	assert_false(probe_tally_add(&tally, 5, 1000));
	assert_true(probe_tally_add(&tally, 5.2, 1000));
	assert_true(fabs(probe_tally_rate(&tally) - 5000) < 1e-3);
	assert_true(probe_tally_spread(&tally) == 1);
}

/* A link of so many bytes per second and so long a trip: what is under way beyond that queues. */
static void ride(struct probe_pace *pace, double rate, double trip, double seconds)
{
	double now = 1;

	probe_pace_begin(pace, now, trip);
	while (now < 1 + seconds && !probe_pace_is_up(pace, now)) {
		size_t chunk = probe_pace_chunk(pace);
		double rtt = fmax(trip, pace->window / rate);

		now += (double)chunk * rtt / pace->window;
		probe_pace_arrived(pace, now, chunk, rtt);
	}
}

static void the_window_fills_the_path_and_little_more(void **state)
{
	static const double rates[] = { 1e6, 12e6, 120e6, 1.2e9 }, trips[] = { 1e-4, 1e-2, 0.1 };

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rates); i++)
		for (size_t j = 0; j < ARRAY_SIZE(trips); j++) {
			struct probe_pace pace;

			ride(&pace, rates[i], trips[j], 30);
			assert_true(pace.window > rates[i] * trips[j]);
			assert_true(pace.window < rates[i] * (2 * trips[j] + 0.05) + 65536);
			assert_true((double)probe_pace_chunk(&pace) * 2 <= pace.window);
		}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_rate_is_that_of_the_link_also_when_the_receiver_sleeps),
		cmocka_unit_test(a_rate_that_wanders_is_less_sure_than_one_that_jitters),
		cmocka_unit_test(few_messages_say_nothing_of_how_sure_they_are),
		cmocka_unit_test(the_window_fills_the_path_and_little_more),
		cmocka_unit_test(a_step_measures_every_flow_on_every_transport),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
