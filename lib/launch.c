/* From hosts to a finished run: connect, provision, start a worker per slot, supervise, end. */
#include "lib/launch.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/channel.h"
#include "lib/clock.h"
#include "lib/control.h"
#include "lib/digest.h"
#include "lib/error.h"
#include "lib/fanout.h"
#include "lib/hosts.h"
#include "lib/log.h"
#include "lib/manifest.h"
#include "lib/memory.h"
#include "lib/provision.h"
#include "lib/rundir.h"
#include "lib/ssh.h"
#include "lib/stop.h"
#include "lib/units.h"

/* sshd's MaxSessions is 10 unless configured, and a check or a kill needs one more. */
enum { WORKERS_PER_SESSION = 8 };

/* A host while the run lasts. */
struct site {
	const struct host *host;
	struct ssh **sessions; /* [session_count]; none for a local host */
	size_t session_count;
	char *cache_dir;
	uint64_t sent;
};

struct start {
	struct launch *launch;
	struct site *sites;	  /* [hosts->count] */
	struct channel *channels; /* [channel_count] */
	size_t channel_count;
	struct control_plan plan; /* what all workers are told; texts borrowed */
	pthread_mutex_t lock;
	double shown; /* lock: when progress was last shown */
};

static void show_sent(void *arg, const struct host *host, uint64_t sent, uint64_t bytes)
{
	struct start *start = arg;
	char sent_text[32], bytes_text[32];

	pthread_mutex_lock(&start->lock);
	if (clock_now() > start->shown + 1 || sent == bytes) {
		start->shown = clock_now();
		log_info("%s: %s of %s sent", host->name,
			 units_show_bytes(sent_text, sizeof(sent_text), (double)sent),
			 units_show_bytes(bytes_text, sizeof(bytes_text), (double)bytes));
	}
	pthread_mutex_unlock(&start->lock);
}

/* Connects to one host and brings it to the state the run needs. */
static int prepare(void *arg, size_t i, struct error *err)
{
	struct start *start = arg;
	struct site *site = &start->sites[i];
	struct provision_progress progress = { .sent = show_sent, .arg = start };
	size_t wanted = (site->host->slots + WORKERS_PER_SESSION - 1) / WORKERS_PER_SESSION;

	if (site->host->local)
		return 0;
	site->sessions = xcalloc(wanted, sizeof(struct ssh *));
	for (; site->session_count < wanted; site->session_count++)
		if (ssh_connect(&site->sessions[site->session_count], site->host, err) < 0)
			return -1;
	return provision_host(site->sessions[0], site->host, start->launch->files, &progress,
			      &site->cache_dir, &site->sent, err);
}

static int prepare_all(struct start *start, struct error *err)
{
	struct launch *launch = start->launch;
	size_t count = launch->hosts->count;
	int *status = xcalloc(count, sizeof(*status));
	struct error *errors = xcalloc(count, sizeof(*errors));
	size_t failed = fanout(count, launch->fanout, prepare, start, status, errors, stop_flag());

	for (size_t i = count; i-- > 0;) {
		if (status[i] == 0)
			continue;
		*err = errors[i];
		if (failed > 1)
			buf_addf(&launch->report, "%s\n", errors[i].text);
	}
	if (failed > 1)
		error_set(err, "%zu of %zu hosts cannot be used", failed, count);
	free(status);
	free(errors);
	return failed ? -1 : 0;
}

static int start_local(struct channel *channel, const struct host *host, struct error *err)
{
	char program[] = "/proc/self/exe", command[] = "worker";
	char *argv[] = { program, command, NULL };
	char **environment = xcalloc(host->env_count + 1, sizeof(*environment));
	int status;

	for (size_t i = 0; i < host->env_count; i++)
		environment[i] = host->env[i];
	status = process_start(&channel->process, argv, environment, err);
	free(environment);
	return status;
}

/* The command that becomes the worker: whatever the login shell is, /bin/sh runs it. */
static char *remote_command(const struct start *start, const struct site *site)
{
	const struct host *host = site->host;
	struct buf text = { 0 };

	buf_addf(&text, "exec /bin/sh -c '");
	for (size_t i = 0; i < host->env_count; i++)
		buf_addf(&text, "export \"%s\"; ", host->env[i]);
	buf_addf(&text, "exec \"%s/bin/%s/dstrain\" worker'", site->cache_dir,
		 start->launch->files->entries[0].digest);
	return buf_take(&text);
}

static int start_one(struct start *start, struct site *site, size_t slot, struct channel *channel,
		     struct error *err)
{
	char *name = xasprintf("logs/rank-%u.log", channel->first_rank);
	char *log = rundir_file(start->launch->rundir, name);
	int status;

	channel->host = site->host;
	if (site->host->local) {
		status = start_local(channel, site->host, err);
	} else {
		char *command = remote_command(start, site);

		channel->ssh = site->sessions[slot / WORKERS_PER_SESSION];
		status = ssh_start(channel->ssh, command, &channel->process, err);
		free(command);
	}
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

		for (size_t slot = 0; slot < workers; slot++) {
			struct channel *channel = &start->channels[start->channel_count++];

			channel->first_rank = rank;
			channel->ranks = (uint32_t)(slots / workers);
			channel->process.in = channel->process.out = channel->process.err = -1;
			if (start_one(start, &start->sites[i], slot, channel, err) < 0)
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
	const struct start *start = arg;
	const struct channel *channel = &start->channels[i];
	const struct host *host = channel->host;
	const char *cache_dir = start->sites[host - start->launch->hosts->entries].cache_dir;

	*plan = start->plan;
	plan->first_rank = channel->first_rank;
	plan->ranks = channel->ranks;
	plan->network = text_or_empty(host->network);
	plan->data_addr = text_or_empty(host->data_addr);
	plan->cache_dir = text_or_empty(cache_dir);
}

static int make_plan(struct start *start, struct error *err)
{
	const struct launch *launch = start->launch;
	const struct provision_files *files = launch->files;
	struct control_plan *plan = &start->plan;

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
	if (random_bytes(plan->key, sizeof(plan->key), err) < 0)
		return -1;
	return random_bytes(&plan->job, sizeof(plan->job), err);
}

static int check_hosts(const struct launch *launch, struct error *err)
{
	const struct hosts *hosts = launch->hosts;

	if (launch->threads && (hosts->count > 1 || !hosts->entries[0].local))
		return error_set(err,
				 "transport 'inproc' keeps all ranks in one process here; "
				 "use --hosts local:%zu, or another transport",
				 hosts_slots(hosts));
	if (hosts_slots(hosts) > UINT16_MAX)
		return error_set(err, "%zu ranks are more than the %d that dstrain can number",
				 hosts_slots(hosts), UINT16_MAX);
	return 0;
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
					 .restore = launch->restore };
	enum supervise_end end = SUPERVISE_FAILED;

	if (prepare_all(start, err) == 0 && start_all(start, err) == 0) {
		supervision.channels = start->channels;
		supervision.count = start->channel_count;
		end = supervise(&supervision, err);
		buf_add(&launch->report, supervision.report.data, supervision.report.length);
		buf_release(&supervision.report);
	} else if (stop_signal()) {
		end = SUPERVISE_ABORTED;
	}
	return end;
}

static void release(struct start *start)
{
	volatile unsigned char *key = start->plan.key; /* wiped also where nobody reads it again */

	for (size_t i = 0; i < sizeof(start->plan.key); i++)
		key[i] = 0;
	for (size_t i = 0; i < start->channel_count; i++)
		channel_close(&start->channels[i]);
	for (size_t i = 0; i < start->launch->hosts->count; i++) {
		for (size_t k = 0; k < start->sites[i].session_count; k++)
			ssh_close(start->sites[i].sessions[k]);
		free(start->sites[i].sessions);
		free(start->sites[i].cache_dir);
	}
	free(start->plan.paths);
	free(start->plan.digests);
	free(start->channels);
	free(start->sites);
	pthread_mutex_destroy(&start->lock);
}

enum supervise_end launch(struct launch *launch, struct error *err)
{
	struct start start = { .launch = launch };
	enum supervise_end end = SUPERVISE_FAILED;

	if (check_hosts(launch, err) < 0)
		return SUPERVISE_FAILED;
	pthread_mutex_init(&start.lock, NULL);
	start.sites = xcalloc(launch->hosts->count, sizeof(*start.sites));
	start.channels = xcalloc(hosts_slots(launch->hosts), sizeof(*start.channels));
	for (size_t i = 0; i < launch->hosts->count; i++)
		start.sites[i].host = &launch->hosts->entries[i];
	if (make_plan(&start, err) == 0)
		end = run(&start, err);
	release(&start);
	return end;
}
