/* From hosts to a finished run: connect, provision, start a worker per slot, supervise, end. */
#define _GNU_SOURCE /* pipe2 */
#include "lib/launch.h"

#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "lib/channel.h"
#include "lib/control.h"
#include "lib/core.h"
#include "lib/digest.h"
#include "lib/error.h"
#include "lib/file.h"
#include "lib/hosts.h"
#include "lib/json.h"
#include "lib/limit.h"
#include "lib/log.h"
#include "lib/manifest.h"
#include "lib/memory.h"
#include "lib/post.h"
#include "lib/process.h"
#include "lib/provision.h"
#include "lib/pulse.h"
#include "lib/rundir.h"
#include "lib/site.h"
#include "lib/stop.h"

enum { FAILURES_TOLD = 20, ANSWER_MS = 500 };

/* Open files: of our own, of an SSH session with what it is set up with, of a worker. */
enum { FILES_SELF = 24, FILES_HOST = 12, FILES_WORKER = 9 };

struct start {
	struct launch *launch;
	struct sites sites;
	struct channel *channels; /* [channel_count] */
	size_t channel_count;
	struct pulse *pulse;	  /* of the channels */
	char mark[17];		  /* of the run, on its workers; see struct site */
	struct control_plan plan; /* what all workers are told; texts borrowed */
	size_t told;
};

/* One line for each of the first ones. */
static void report_failures(struct launch *launch, const int *status, const struct error *errors,
			    size_t failed)
{
	size_t told = 0;

	for (size_t i = 0; told < failed && told < FAILURES_TOLD; i++)
		if (status[i] < 0) {
			buf_addf(&launch->report, "  %s\n", errors[i].text);
			told++;
		}
	if (told < failed)
		buf_addf(&launch->report, "  and %zu more; see `dstrain hosts check`\n",
			 failed - told);
}

/* Hosts being set up, while the main thread answers those who ask. */
struct setup {
	struct start *start;
	int *status;
	struct error *errors;
	size_t failed;
	int done[2]; /* closed by the one, polled by the other */
};

static void tell_status(void *arg, struct json *out)
{
	(void)arg;
	json_add_text(out, "state", stop_signal() ? "stopping" : "starting");
}

static void stop_by_post(void *arg, double grace_s, bool now)
{
	(void)arg;
	(void)grace_s;
	(void)now;
	log_info("asked to stop");
	stop_note(SIGTERM);
}

static void *set_up(void *arg)
{
	struct setup *setup = arg;
	const struct launch *launch = setup->start->launch;

	setup->failed = sites_open(&setup->start->sites, launch->hosts, launch->files,
				   launch->fanout, setup->status, setup->errors);
	file_close(&setup->done[1]);
	return NULL;
}

static void answer_until_done(struct post *post, int done)
{
	const struct post_desk desk = { .status = tell_status, .stop = stop_by_post };
	struct pollfd polls[POST_POLLS + 1];

	post_desk(post, &desk);
	do {
		post_polls(post, polls);
		polls[POST_POLLS] = (struct pollfd){ .fd = done, .events = POLLIN };
		poll(polls, POST_POLLS + 1, ANSWER_MS);
		post_move(post, polls);
	} while (!polls[POST_POLLS].revents);
}

/* Returns how many hosts failed. */
static size_t set_up_answering(struct setup *setup)
{
	sigset_t all, before;
	pthread_t thread;
	int status;

	if (pipe2(setup->done, O_CLOEXEC) < 0) {
		setup->done[0] = setup->done[1] = -1;
		set_up(setup);
		return setup->failed;
	}
	/* Signals are for the thread that waits here. */
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	status = pthread_create(&thread, NULL, set_up, setup);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	if (status == 0) {
		answer_until_done(setup->start->launch->post, setup->done[0]);
		pthread_join(thread, NULL);
	} else {
		set_up(setup);
	}
	file_close(&setup->done[0]);
	return setup->failed;
}

/* All hosts or none: everything wrong is told at once. */
static int open_sites(struct start *start, struct error *err)
{
	struct launch *launch = start->launch;
	size_t count = launch->hosts->count;
	int *status = xcalloc(count, sizeof(*status));
	struct error *errors = xcalloc(count, sizeof(*errors));
	struct setup setup = { .start = start, .status = status, .errors = errors };
	size_t failed = set_up_answering(&setup);

	for (size_t i = count; i-- > 0;)
		if (status[i] < 0)
			*err = errors[i];
	if (failed > 1) {
		report_failures(launch, status, errors, failed);
		error_set(err, "%zu of %zu hosts cannot be used", failed, count);
	}
	free(status);
	free(errors);
	return failed ? -1 : 0;
}

static int start_one(struct start *start, const struct site *site, struct channel *channel,
		     struct error *err)
{
	const struct rundir *rundir = start->launch->rundir;
	char *name = xasprintf("logs/rank-%u.log", channel->first_rank);
	char *log = rundir ? rundir_file(rundir, name) : NULL;
	struct process process = { .in = -1, .out = -1, .err = -1 };
	int status;

	channel->host = site->host;
	channel->ssh = site->ssh;
	channel->mark = start->mark;
	pulse_away(start->pulse); /* a host may take its time, and others already listen */
	status = site_start(site, "worker", &process, err);
	pulse_back(start->pulse);
	channel->process = process;
	if (status == 0)
		status = channel_open(channel, log, err);
	free(name);
	free(log);
	return status;
}

/* Ranks are numbered host by host, slot by slot. */
static int start_all(struct start *start, struct error *err)
{
	const struct hosts *hosts = start->launch->hosts;
	uint32_t rank = 0;

	for (size_t i = 0; i < hosts->count; i++) {
		size_t slots = hosts->entries[i].slots;
		size_t workers = start->launch->threads ? 1 : slots;

		start->sites.entries[i].mark = start->mark;
		for (size_t slot = 0; slot < workers; slot++) {
			struct channel *channel = &start->channels[start->channel_count++];

			channel->first_rank = rank;
			channel->ranks = (uint32_t)(slots / workers);
			channel->process.in = channel->process.out = channel->process.err = -1;
			if (start_one(start, &start->sites.entries[i], channel, err) < 0)
				return -1;
			rank += channel->ranks;
		}
	}
	return 0;
}

static char *text_or_empty(const char *text)
{
	static char empty[] = "";

	return text ? (char *)(uintptr_t)text : empty; /* plans are only read here */
}

static void plan_of(void *arg, size_t i, struct control_plan *plan)
{
	struct start *start = arg;
	const struct channel *channel = &start->channels[i];
	const struct host *host = channel->host;
	const char *cache_dir =
		start->sites.entries[host - start->launch->hosts->entries].cache_dir;

	*plan = start->plan;
	plan->first_rank = channel->first_rank;
	plan->ranks = channel->ranks;
	plan->network = text_or_empty(host->network);
	plan->data_addr = text_or_empty(host->data_addr);
	plan->cache_dir = text_or_empty(cache_dir);
	if (++start->told == start->channel_count) /* each asks once, and that was the last */
		memory_wipe(start->plan.key, sizeof(start->plan.key));
}

static int make_plan(struct start *start, struct error *err)
{
	const struct launch *launch = start->launch;
	const struct provision_files *files = launch->files;
	struct control_plan *plan = &start->plan;
	uint64_t mark;

	plan->recipe = text_or_empty(launch->recipe);
	plan->start_step = launch->restore ? launch->restore->step : 0;
	plan->view = 1;
	plan->world = (uint32_t)hosts_slots(launch->hosts);
	plan->loopback_allowed = launch->hosts->count == 1;
	plan->files = (uint32_t)files->count - 1; /* without the program itself */
	plan->paths = xcalloc(files->count, sizeof(*plan->paths));
	plan->digests = xcalloc(files->count, sizeof(*plan->digests));
	for (size_t i = 1; i < files->count; i++) {
		plan->paths[i - 1] = files->entries[i].path;
		plan->digests[i - 1] = files->entries[i].digest;
	}
	if (launch->bench)
		plan->bench = *launch->bench;
	else
		plan->bench.collective = text_or_empty(NULL);
	plan->probe = text_or_empty(launch->probe);
	plan->plan = text_or_empty(launch->plan);
	if (random_bytes(&mark, sizeof(mark), err) < 0 ||
	    random_bytes(plan->key, sizeof(plan->key), err) < 0)
		return -1;
	snprintf(start->mark, sizeof(start->mark), "%016" PRIx64, mark);
	return random_bytes(&plan->job, sizeof(plan->job), err);
}

static int check_hosts(const struct launch *launch, struct error *err)
{
	const struct hosts *hosts = launch->hosts;
	char what[64];

	if (launch->threads && (hosts->count > 1 || !hosts->entries[0].local))
		return error_set(err,
				 "transport 'inproc' keeps all ranks in one process here; "
				 "use --hosts local:%zu, or another transport",
				 hosts_slots(hosts));
	if (hosts_slots(hosts) > UINT16_MAX)
		return error_set(err, "%zu ranks are more than the %d that dstrain can number",
				 hosts_slots(hosts), UINT16_MAX);
	snprintf(what, sizeof(what), "%zu worker%s on %zu host%s", hosts_slots(hosts),
		 hosts_slots(hosts) == 1 ? "" : "s", hosts->count, hosts->count == 1 ? "" : "s");
	return limit_descriptors(FILES_SELF + FILES_HOST * hosts->count +
					 FILES_WORKER * hosts_slots(hosts),
				 what, err);
}

static enum supervise_end run(struct start *start, struct error *err)
{
	struct launch *launch = start->launch;
	struct supervise supervision = { .plan_of = plan_of,
					 .arg = start,
					 .world = start->plan.world,
					 .digest = launch->files->entries[0].digest,
					 .progress = launch->progress,
					 .collect = launch->collect,
					 .restore_dir = launch->restore_dir,
					 .restore = launch->restore,
					 .seconds = launch->seconds,
					 .grace_s = launch->grace_s,
					 .post = launch->post,
					 .begun = launch->begun,
					 .begun_arg = launch->begun_arg,
					 .measured = launch->measured,
					 .measured_arg = launch->measured_arg };
	enum supervise_end end = SUPERVISE_FAILED;

	start->pulse = supervision.pulse = pulse_new(start->channels, &start->channel_count, err);
	if (!start->pulse)
		return SUPERVISE_FAILED;
	if (open_sites(start, err) < 0 || stop_signal() || start_all(start, err) < 0) {
		if (stop_signal()) {
			error_set(err, "aborted");
			end = SUPERVISE_ABORTED;
		}
	} else {
		supervision.channels = start->channels;
		supervision.count = start->channel_count;
		end = supervise(&supervision, err);
		buf_add(&launch->report, supervision.report.data, supervision.report.length);
		buf_release(&supervision.report);
	}
	return end;
}

static void release(struct start *start)
{
	memory_wipe(start->plan.key, sizeof(start->plan.key));
	pulse_free(start->pulse);
	for (size_t i = 0; i < start->channel_count; i++)
		channel_close(&start->channels[i]);
	sites_release(&start->sites);
	free(start->plan.paths);
	free(start->plan.digests);
	free(start->channels);
}

enum supervise_end launch(struct launch *launch, struct error *err)
{
	struct start start = { .launch = launch };
	enum supervise_end end = SUPERVISE_FAILED;

	if (check_hosts(launch, err) < 0)
		return SUPERVISE_FAILED;
	core_forbid();
	start.channels = xcalloc(hosts_slots(launch->hosts), sizeof(*start.channels));
	if (make_plan(&start, err) == 0)
		end = run(&start, err);
	release(&start);
	return end;
}
