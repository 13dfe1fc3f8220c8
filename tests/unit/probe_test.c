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

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_step_measures_every_flow_on_every_transport),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
