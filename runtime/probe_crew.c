/* This rank's ends of the flows and pings of one step, each on a thread of its own. */
#include "runtime/probe_crew.h"

#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "lib/clock.h"
#include "lib/error.h"
#include "lib/memory.h"
#include "runtime/probe_flow.h"
#include "runtime/transport/transport.h"

struct member {
	struct probe_flow flow;
	int (*work)(struct probe_flow *flow, struct error *err);
	bool judges; /* its flow is for this rank to measure */
	pthread_t thread;
};

struct probe_crew {
	const struct probe_site *site;
	const struct survey_step *step;
	struct member *members; /* [count]; the results of flows that were measured are theirs */
	size_t count;

	pthread_mutex_t lock; /* the rest, and what flows have come to */
	pthread_cond_t changed;
	enum probe_phase phase;
	bool failed;
	struct error why;
};

static enum probe_phase phase_now(void *arg)
{
	struct probe_crew *crew = arg;
	enum probe_phase phase;

	pthread_mutex_lock(&crew->lock);
	phase = crew->phase;
	pthread_mutex_unlock(&crew->lock);
	return phase;
}

static void reached(struct probe_flow *flow, enum probe_phase phase)
{
	struct probe_crew *crew = flow->arg;

	pthread_mutex_lock(&crew->lock);
	flow->up = true;
	flow->measured = phase == PROBE_MEASURE;
	pthread_cond_broadcast(&crew->changed);
	pthread_mutex_unlock(&crew->lock);
}

static void fail(struct probe_crew *crew, const struct error *why)
{
	pthread_mutex_lock(&crew->lock);
	if (!crew->failed)
		crew->why = *why;
	crew->failed = true;
	pthread_cond_broadcast(&crew->changed);
	pthread_mutex_unlock(&crew->lock);
}

static void *live(void *arg)
{
	struct member *member = arg;
	struct probe_crew *crew = member->flow.arg;
	struct error err;

	if (member->work(&member->flow, &err) < 0)
		fail(crew, &err);
	return NULL;
}

int probe_crew_judge(const struct survey_step *step, size_t flow)
{
	return step->kind == SURVEY_PING ? step->flows[flow].from : step->flows[flow].to;
}

/* Only what was started is a member. */
static void begin_member(struct probe_crew *crew, size_t number, uint32_t step)
{
	struct member *member = &crew->members[crew->count];
	const struct survey_flow *flow = &crew->step->flows[number];
	int rank = net_rank(crew->site->net);
	bool pings = crew->step->kind == SURVEY_PING, sends = flow->from == rank;
	struct error err;

	if (flow->from != rank && flow->to != rank)
		return;
	member->flow = (struct probe_flow){ .site = crew->site,
					    .peer = sends ? flow->to : flow->from,
					    .step = step,
					    .number = (uint32_t)number,
					    .seconds = crew->step->seconds,
					    .phase = phase_now,
					    .reached = reached,
					    .arg = crew };
	member->judges = probe_crew_judge(crew->step, number) == rank;
	if (sends)
		member->work = pings ? probe_ping : probe_flow_send;
	else
		member->work = pings ? probe_pong : probe_flow_receive;
	if (pthread_create(&member->thread, NULL, live, member) == 0) {
		crew->count++;
		return;
	}
	error_set(&err, "cannot start a thread for each flow");
	fail(crew, &err);
	net_abort(crew->site->net, err.text);
}

struct probe_crew *probe_crew_begin(const struct probe_site *site, const struct survey_step *step,
				    uint32_t number)
{
	struct probe_crew *crew = xcalloc(1, sizeof(*crew));

	crew->site = site;
	crew->step = step;
	crew->members = xcalloc(step->count, sizeof(*crew->members));
	pthread_mutex_init(&crew->lock, NULL);
	clock_cond_init(&crew->changed);
	for (size_t i = 0; i < step->count; i++)
		begin_member(crew, i, number);
	return crew;
}

/* Whether all flows that are measured here have come so far; with the lock. */
static bool have_reached(const struct probe_crew *crew, enum probe_phase phase)
{
	for (size_t i = 0; i < crew->count; i++) {
		const struct member *member = &crew->members[i];

		if (member->judges &&
		    !(phase == PROBE_MEASURE ? member->flow.measured : member->flow.up))
			return false;
	}
	return true;
}

static int wait_reached(struct probe_crew *crew, enum probe_phase phase, struct error *err)
{
	int status = 0;

	pthread_mutex_lock(&crew->lock);
	if (crew->phase < phase)
		crew->phase = phase;
	while (!crew->failed && !have_reached(crew, phase))
		pthread_cond_wait(&crew->changed, &crew->lock);
	if (crew->failed) {
		*err = crew->why;
		status = -1;
	}
	pthread_mutex_unlock(&crew->lock);
	return status;
}

int probe_crew_wait_up(struct probe_crew *crew, struct error *err)
{
	return wait_reached(crew, PROBE_RISE, err);
}

int probe_crew_measure(struct probe_crew *crew, struct error *err)
{
	return wait_reached(crew, PROBE_MEASURE, err);
}

void probe_crew_results(const struct probe_crew *crew, struct survey_result *results)
{
	for (size_t i = 0; i < crew->count; i++)
		if (crew->members[i].judges)
			results[crew->members[i].flow.number] = crew->members[i].flow.result;
}

int probe_crew_end(struct probe_crew *crew, double *bytes, struct error *err)
{
	int status;

	pthread_mutex_lock(&crew->lock);
	crew->phase = PROBE_END;
	pthread_mutex_unlock(&crew->lock);
	for (size_t i = 0; i < crew->count; i++) {
		pthread_join(crew->members[i].thread, NULL);
		*bytes += crew->members[i].flow.bytes;
	}
	status = crew->failed ? -1 : 0;
	if (status < 0)
		*err = crew->why;
	pthread_mutex_destroy(&crew->lock);
	pthread_cond_destroy(&crew->changed);
	free(crew->members);
	free(crew);
	return status;
}
