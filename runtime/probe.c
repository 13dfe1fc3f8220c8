/* A rank that measures the links to the others instead of training. Rank 0 runs the survey. */
#include "runtime/probe.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "lib/buf.h"
#include "lib/clock.h"
#include "lib/control.h"
#include "lib/error.h"
#include "lib/memory.h"
#include "lib/survey.h"
#include "lib/survey_text.h"
#include "runtime/calibrate.h"
#include "runtime/coll.h"
#include "runtime/job.h"
#include "runtime/outbox.h"
#include "runtime/outfit.h"
#include "runtime/probe_step.h"
#include "runtime/rank.h"
#include "runtime/transport/emulate.h"
#include "runtime/transport/transport.h"

#define LINKS_S	      1.0  /* between reports that say all that is known */
#define LINKS_BYTES_S 2e-7 /* and longer, if that is much: for each byte of the last one */
#define OUTBOX_S      0.5  /* for a report to be on its way before the next step */

/* Everything that a rank owns. Zeroed is valid. */
struct probe {
	struct rank *rank;
	struct probe_team team;
	bool connected;
	size_t hosts;
	char **names, **groups; /* [hosts] */
	struct survey *survey;	/* of rank 0 */
	struct survey_report report;
	double *compute_s; /* [hosts] of a training step; NULL: nobody asked, or not yet known */
	double began, links_due;
};

/* An emulated one, if there are such. */
static const char *host_of(const struct rank_env *env, size_t rank)
{
	const struct emulator *emulator = env->hub ? net_hub_emulator(env->hub) : NULL;

	return emulator ? emulator_host(emulator, (int)rank) : env->peers[rank].host;
}

/* The ranks of one host are told apart by their number there. */
static char *name_of(const struct rank_env *env, size_t rank)
{
	const char *host = host_of(env, rank);
	size_t here = 0, before = 0;

	for (size_t i = 0; i < env->plan->world; i++) {
		bool same = strcmp(host_of(env, i), host) == 0;

		here += same;
		before += same && i < rank;
	}
	return here > 1 ? xasprintf("%s/%zu", host, before) : xstrdup(host);
}

static int build_survey(struct probe *probe, struct error *err)
{
	const struct rank_env *env = probe->rank->env;
	struct survey_params params;

	if (survey_params_parse(&params, probe->groups, probe->hosts, env->plan->probe, err) < 0)
		return -1;
	for (size_t i = 0; i < probe->hosts; i++)
		probe->names[i] = name_of(env, i);
	probe->survey = survey_new((const char *const *)probe->names, probe->hosts, &params);
	return 0;
}

static int set_up(struct probe *probe, struct error *err)
{
	probe->hosts = probe->rank->env->plan->world;
	probe->names = xcalloc(probe->hosts, sizeof(*probe->names));
	probe->groups = xcalloc(probe->hosts, sizeof(*probe->groups));
	if (probe->rank->rank == 0 && build_survey(probe, err) < 0)
		return -1;
	probe->connected = true; /* from here on a failure is a peer's, most likely */
	probe->team.net = rank_connect(probe->rank, err);
	if (!probe->team.net)
		return -1;
	probe_team_begin(&probe->team);
	return 0;
}

static void tell_compute(struct links *links, const double *compute_s)
{
	links->compute_s = xcalloc(links->hosts, sizeof(*links->compute_s));
	memcpy(links->compute_s, compute_s, links->hosts * sizeof(*links->compute_s));
}

/* What is known goes along now and then, and in the end. `why` NULL: it is the end. */
static void report(struct probe *probe, const char *why)
{
	struct survey_report *report = &probe->report;
	double now = clock_now();
	bool links = !why || now >= probe->links_due;
	struct outbox *outbox = probe->rank->env->outbox;
	struct buf text = { 0 }, frame = { 0 };
	struct links known = { 0 };

	report->why = why ? xstrdup(why) : NULL;
	report->done_s = now - probe->began;
	report->left_s = why ? survey_left(probe->survey) : 0;
	report->bytes = probe->team.bytes;
	if (links)
		links_copy(&known, survey_links(probe->survey));
	if (links && probe->compute_s)
		tell_compute(&known, probe->compute_s);
	survey_report_print(report, links ? &known : NULL, &text);
	if (links)
		probe->links_due = now + LINKS_S + LINKS_BYTES_S * (double)text.length;
	control_put_survey(&frame, 0, buf_text(&text));
	outbox_send(outbox, &frame);
	outbox_wait(outbox, 0, now + OUTBOX_S);
	free(report->why);
	report->why = NULL;
	links_release(&known);
	buf_release(&text);
}

static int run_survey(struct probe *probe, struct error *err)
{
	struct survey_step step;
	int status = 0;

	probe->began = clock_now();
	while (status == 0 && survey_next(probe->survey, &step)) {
		struct survey_result *results = xcalloc(step.count, sizeof(*results));

		report(probe, step.why);
		status = probe_team_lead(&probe->team, &step, results, err);
		probe->report.steps++;
		probe->report.flows += step.count;
		if (status == 0) {
			survey_take(probe->survey, results);
			survey_clock(probe->survey, clock_now() - probe->began, probe->team.bytes);
		}
		free(results);
	}
	if (status < 0)
		return -1;
	report(probe, NULL);
	return probe_team_dismiss(&probe->team, err);
}

/* What this host will compute in a step, as its first rank. */
static int try_step(const struct probe *probe, const size_t *slots, double *seconds,
		    struct error *err)
{
	const struct rank_env *rank = probe->rank->env;
	struct outfit_env env = { .job = rank->job,
				  .train = rank->train,
				  .test = rank->test,
				  .ranks_here = slots[probe->rank->rank] };

	for (size_t i = 0; i < probe->hosts; i++) {
		env.rank += i < probe->rank->rank ? (unsigned)slots[i] : 0;
		env.world += (unsigned)slots[i];
	}
	return calibrate(&env, seconds, err);
}

/* All hosts at the same time, and then each knows the numbers of all. */
static int try_steps(struct probe *probe, const size_t *slots, struct error *err)
{
	int *ranks = xcalloc(probe->hosts, sizeof(*ranks));
	float *all = xcalloc(probe->hosts, sizeof(*all));
	struct group world = group_world(ranks, (int)probe->hosts, (int)probe->rank->rank);
	double seconds;
	int status;

	probe->connected = false; /* what goes wrong here is nobody else's fault */
	status = try_step(probe, slots, &seconds, err);
	probe->connected = status == 0;
	if (status == 0) {
		all[probe->rank->rank] = (float)seconds;
		status = coll_allreduce(probe->team.net, &world, COLL_FLAT, all, probe->hosts, err);
	}
	if (status == 0) {
		probe->compute_s = xcalloc(probe->hosts, sizeof(*probe->compute_s));
		for (size_t i = 0; i < probe->hosts; i++)
			probe->compute_s[i] = (double)all[i];
	}
	free(ranks);
	free(all);
	return status;
}

/* If the recipe is going to be trained. */
static int calibrate_hosts(struct probe *probe, struct error *err)
{
	size_t *slots = survey_slots_parse(probe->rank->env->plan->probe, probe->hosts);
	int status = slots ? try_steps(probe, slots, err) : 0;

	if (slots && status == 0 && probe->rank->rank == 0)
		report(probe, NULL);
	free(slots);
	return status;
}

static void probe_release(struct probe *probe)
{
	net_close(probe->team.net);
	probe_team_release(&probe->team);
	survey_free(probe->survey);
	free(probe->compute_s);
	for (size_t i = 0; i < probe->hosts; i++) {
		free(probe->names[i]);
		free(probe->groups[i]);
	}
	free(probe->names);
	free(probe->groups);
}

void *probe_main(void *arg)
{
	struct rank *rank = arg;
	struct probe probe = { .rank = rank };
	struct error err;
	int status = set_up(&probe, &err);

	if (status == 0) {
		rank_await_start(rank);
		status = rank->rank == 0 ? run_survey(&probe, &err)
					 : probe_team_follow(&probe.team, &err);
	}
	if (status == 0)
		status = calibrate_hosts(&probe, &err);
	if (status == 0)
		rank_done(rank, 0);
	else
		rank_fail(rank, probe.connected, probe.team.net, &err);
	probe_release(&probe);
	return NULL;
}
