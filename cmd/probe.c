/* dstrain probe: what the network between some hosts carries, what flows share included. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cmd/cmd.h"
#include "cmd/heat_map.h"
#include "cmd/hosts_check.h"
#include "cmd/job_load.h"
#include "cmd/links_table.h"
#include "cmd/output.h"
#include "cmd/probe_launch.h"
#include "cmd/train.h"
#include "lib/error.h"
#include "lib/file.h"
#include "lib/json.h"
#include "lib/links_file.h"
#include "lib/log.h"
#include "lib/memory.h"
#include "lib/stop.h"
#include "lib/terminal.h"
#include "lib/units.h"
#include "runtime/transport/emulate.h"
#include "runtime/transport/transport.h"

/* A recipe has to name a model and data; no worker of a probe builds any. */
static const char recipe[] = "data: {format: synthetic, samples: 1, features: 1, classes: 2}\n"
			     "model: {preset: softmax}\n"
			     "train: {batch: 10000000}\n"
			     "transport: {streams: 2, look: 0s}\n";

/* At most, if nobody says. */
#define FEW_S  3.5
#define HOST_S 1.0

/* What a dry run takes links to be. */
#define USUAL_BYTES_S 125e6
#define USUAL_RTT_S   1e-3

struct probe {
	const struct flags *flags;
	struct train train;
	struct job_load load;
	struct probe_launch launched;
	struct links before; /* with --against */
	char **names;	     /* [ranks] */
	size_t ranks;
};

static int refuse_with(const char *flag, bool given, const char *why, struct error *err)
{
	return given ? error_set(err, "'--%s' makes no sense with '--%s'", flag, why) : 0;
}

/* The flags that a table of ranges cannot judge. */
static int check_flags(const struct flags *flags, struct error *err)
{
	if (!flags->hosts && !flags->emulate)
		return error_set(err, "which hosts? give --hosts FILE, --hosts a,b or "
				      "--hosts local:2");
	for (size_t i = 0; i < flags->set_count; i++)
		if (strncmp(flags->set[i], "transport.", 10) != 0 &&
		    strncmp(flags->set[i], "transport=", 10) != 0)
			return error_set(err,
					 "--set: '%s' makes no difference to a probe; "
					 "transport.* does",
					 flags->set[i]);
	if (flags->ssh_only && (refuse_with("save", flags->save, "ssh-only", err) < 0 ||
				refuse_with("against", flags->against, "ssh-only", err) < 0 ||
				refuse_with("pairs-only", flags->pairs_only, "ssh-only", err) < 0 ||
				refuse_with("dry-run", flags->dry_run, "ssh-only", err) < 0))
		return -1;
	if (flags->dry_run && (refuse_with("save", flags->save, "dry-run", err) < 0 ||
			       refuse_with("against", flags->against, "dry-run", err) < 0))
		return -1;
	return 0;
}

/* As ranks call themselves: those of one emulated host by their number there. */
static char **emulated_names(const struct probe *probe, struct error *err)
{
	const struct job_params *params = &probe->load.job.params;
	char **names;
	struct links links;
	size_t *before, *here;
	int *host_of;

	if (emulator_network(&links, &host_of, (int)probe->ranks, params->emulate,
			     params->emulate_rtt, err) < 0)
		return NULL;
	names = xcalloc(probe->ranks, sizeof(*names));
	before = xcalloc(links.hosts, sizeof(*before));
	here = xcalloc(links.hosts, sizeof(*here));
	for (size_t rank = 0; rank < probe->ranks; rank++)
		here[host_of[rank]]++;
	for (size_t rank = 0; rank < probe->ranks; rank++) {
		size_t host = (size_t)host_of[rank];

		names[rank] = here[host] > 1
				      ? xasprintf("%s/%zu", links.names[host], before[host]++)
				      : xstrdup(links.names[host]);
	}
	links_release(&links);
	free(host_of);
	free(before);
	free(here);
	return names;
}

/* One rank for each host: they measure hosts. Of a single one, its ranks are measured. */
static int count_ranks(struct probe *probe, struct error *err)
{
	struct hosts *hosts = &probe->train.hosts;

	for (size_t i = 0; i < hosts->count && hosts->count > 1; i++)
		hosts->entries[i].slots = 1;
	probe->ranks = hosts_slots(hosts);
	if (probe->ranks < 2)
		return error_set(err, "one host has no links; name more, or use --hosts local:2");
	probe->names = probe->flags->emulate ? emulated_names(probe, err) : probe_names(hosts);
	return probe->names ? 0 : -1;
}

static int load_before(struct probe *probe, struct error *err)
{
	struct problems problems = { 0 };
	struct links all;
	int status;

	if (!probe->flags->against)
		return 0;
	status = links_load(&all, NULL, probe->flags->against, NULL, &problems, err);
	fputs(buf_text(&problems.text), stderr);
	problems_release(&problems);
	if (status < 0)
		return -1;
	status = links_select(&probe->before, &all, (const char *const *)probe->names, probe->ranks,
			      err);
	links_release(&all);
	return status < 0 ? error_prefix(err, "%s", probe->flags->against) : 0;
}

static int prepare(struct probe *probe, struct error *err)
{
	const struct flags *flags = probe->flags;

	if (job_load_text(&probe->load, recipe, "probe", flags) < 0) {
		job_load_report(&probe->load);
		return error_set(err, "nothing was started");
	}
	if (train_hosts(&probe->train, probe->load.job.params.hosts, err) < 0 ||
	    count_ranks(probe, err) < 0 || load_before(probe, err) < 0)
		return -1;
	probe->launched = (struct probe_launch){
		.hosts = &probe->train.hosts,
		.files = &probe->train.files,
		.threads = PART_AS(&probe->load.job.transport, struct transport)->threads,
		.fanout = flags->fanout,
		.params = { .seconds = flags->probe_s > 0 ? flags->probe_s
							  : FEW_S + HOST_S * (double)probe->ranks,
			    .bytes = (double)flags->probe_bytes,
			    .precision = LINKS_PRECISION,
			    .concurrent = flags->concurrent,
			    .pairs_only = flags->pairs_only },
		.live = !flags->quiet && !flags->verbose && terminal_rewrites(STDERR_FILENO),
		.quiet = flags->quiet,
	};
	return 0;
}

static int dry_run(const struct probe *probe)
{
	struct survey *survey = survey_new((const char *const *)probe->names, probe->ranks,
					   &probe->launched.params);
	struct survey_cost cost = survey_cost(survey, USUAL_BYTES_S, USUAL_RTT_S);
	struct json *json = json_object_new();
	char seconds[32], bytes[32];

	units_show_seconds(seconds, sizeof(seconds), cost.seconds);
	units_show_bytes(bytes, sizeof(bytes), cost.bytes);
	json_add_count(json, "hosts", probe->ranks);
	json_add_count(json, "steps", cost.steps);
	json_add_count(json, "flows", cost.flows);
	json_add_real(json, "seconds", cost.seconds);
	json_add_real(json, "bytes", cost.bytes);
	if (probe->flags->json)
		output_json(json);
	else
		printf("%zu hosts: %zu flows in %zu steps, about %s; %s if links carry 1 Gbit/s\n",
		       probe->ranks, cost.flows, cost.steps, seconds, bytes);
	json_free(json);
	survey_free(survey);
	return EXIT_DONE;
}

/* The links as in links.json, and `why` if they are incomplete. */
static struct json *result_json(const struct links *links, const char *why)
{
	struct json *json = links_json(links);

	if (why)
		json_add_text(json, "incomplete", why);
	return json;
}

static void print_json(const struct probe *probe, int status, const char *why)
{
	const struct survey_report *report = &probe->launched.report;
	struct json *json =
		report->has_links ? result_json(&report->links, why) : json_object_new();
	struct json *spent = json_object_new();

	json_add_text(json, "version", DSTRAIN_VERSION);
	json_add_count(json, "exit_status", (uint64_t)status);
	json_add_real(spent, "seconds", report->done_s);
	json_add_count(spent, "steps", report->steps);
	json_add_count(spent, "flows", report->flows);
	json_add_real(spent, "bytes", report->bytes);
	json_add(json, "spent", spent);
	if (report->has_links)
		json_add(json, "unsure", links_unsure_json(&report->links));
	if (probe->flags->against && report->has_links)
		json_add(json, "changes", links_changes_json(&probe->before, &report->links));
	output_json(json);
	json_free(json);
}

static void print_text(const struct probe *probe, const char *why)
{
	const struct flags *flags = probe->flags;
	const struct survey_report *report = &probe->launched.report;
	struct style style = terminal_style(STDOUT_FILENO, (enum terminal_color)flags->color);
	char bytes[32];
	struct buf map = { 0 };

	if (!report->has_links)
		return;
	links_table_pairs(&report->links, flags->verbose);
	heat_map_print(&report->links, terminal_width(STDOUT_FILENO), style.reset[0], &map);
	printf("\n%s\n", buf_text(&map));
	if (!flags->pairs_only && !why)
		links_table_segments(&report->links);
	links_table_unsure(&report->links);
	if (flags->against)
		links_table_changes(&probe->before, &report->links);
	printf("%zu flows in %zu steps, %.1f s, %s%s\n", report->flows, report->steps,
	       report->done_s, units_show_bytes(bytes, sizeof(bytes), report->bytes),
	       why ? "; incomplete" : "");
	buf_release(&map);
}

static int save(const struct probe *probe, const char *why, struct error *err)
{
	const struct survey_report *report = &probe->launched.report;
	const char *path = probe->flags->save;
	struct json *json;
	struct buf text = { 0 };
	int status;

	if (!path || !report->has_links)
		return 0;
	json = result_json(&report->links, why);
	json_print(json, 1, &text);
	status = file_write(path, text.data, text.length, err);
	if (status == 0 && why)
		log_warn("'%s' has only what was measured until then", path);
	json_free(json);
	buf_release(&text);
	return status;
}

/* What a signal has ended is what nobody waits for any more. */
static int tell(const struct probe *probe, enum supervise_end end, const struct error *why)
{
	int status = train_exit_status(end);
	struct error err;

	if (end != SUPERVISE_DONE) {
		log_error("%s", why->text);
		fputs(buf_text(&probe->launched.failures), stderr);
	}
	if (end == SUPERVISE_ABORTED)
		return status;
	if (save(probe, end == SUPERVISE_DONE ? NULL : why->text, &err) < 0) {
		log_error("%s", err.text);
		status = EXIT_FAILED;
	}
	if (probe->flags->json)
		print_json(probe, status, end == SUPERVISE_DONE ? NULL : why->text);
	else
		print_text(probe, end == SUPERVISE_DONE ? NULL : why->text);
	return status;
}

static int measure(struct probe *probe)
{
	struct buf text = { 0 };
	struct error err;
	enum supervise_end end;

	if (train_files(&probe->train, &err) < 0) {
		log_error("%s", err.text);
		return EXIT_FAILED;
	}
	settings_print(&probe->load.resolved, &text);
	probe->launched.recipe = buf_text(&text);
	end = probe_launch(&probe->launched, &err);
	buf_release(&text);
	return tell(probe, end, &err);
}

static void release(struct probe *probe)
{
	for (size_t i = 0; i < probe->ranks && probe->names; i++)
		free(probe->names[i]);
	free(probe->names);
	if (probe->before.hosts)
		links_release(&probe->before);
	probe_launch_release(&probe->launched);
	train_release(&probe->train);
	job_load_release(&probe->load);
}

static int run(const struct flags *flags)
{
	struct probe probe = { .flags = flags, .train = { .flags = flags } };
	struct error err;
	int status = EXIT_USAGE;

	probe.train.load = &probe.load;
	stop_install(false);
	if (check_flags(flags, &err) < 0 || prepare(&probe, &err) < 0)
		log_error("%s", err.text);
	else if (flags->ssh_only)
		status = hosts_check(&probe.train.hosts, flags);
	else
		status = flags->dry_run ? dry_run(&probe) : measure(&probe);
	release(&probe);
	return status;
}

const struct command probe_command = {
	.name = "probe",
	.operands = "",
	.flags = FLAG_HOSTS | FLAG_EMULATE | FLAG_PROBE | FLAG_SET | FLAG_FANOUT | FLAG_DRY_RUN |
		 FLAG_JSON,
	.summary = "Measure the links between hosts, and what flows share",
	.details = "Starts a worker on every host, connects them as a run would, and measures the "
		   "round trip and the rate from each host to each other one; then sends chosen "
		   "flows at once and finds the segments that they share: NICs, uplinks, switches. "
		   "Of a single host, such as local:4, its slots are measured.",
	.run = run,
};
