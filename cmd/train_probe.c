/* Of a run that is about to begin: measures the links between its hosts. */
#include "cmd/train_probe.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "cmd/cmd.h"
#include "cmd/job_load.h"
#include "cmd/probe_launch.h"
#include "cmd/train.h"
#include "lib/error.h"
#include "lib/log.h"
#include "lib/memory.h"
#include "lib/terminal.h"
#include "runtime/transport/transport.h"

#define PRECISION 0.05

/* One rank for each host: they measure hosts. The rest is borrowed. */
static struct hosts one_each(const struct hosts *hosts)
{
	struct hosts copy = { .entries = xcalloc(hosts->count, sizeof(*copy.entries)),
			      .count = hosts->count };

	for (size_t i = 0; i < hosts->count; i++) {
		copy.entries[i] = hosts->entries[i];
		copy.entries[i].slots = 1;
	}
	return copy;
}

static int take_links(struct train *train, struct probe_launch *probe, enum supervise_end end,
		      const struct error *why)
{
	if (end != SUPERVISE_DONE) {
		log_error("%s", why->text);
		fputs(buf_text(&probe->failures), stderr);
		train_give_up(train, end, why);
		return train_exit_status(end);
	}
	train->plan.roster.links = probe->report.links;
	probe->report.links = (struct links){ 0 };
	train->plan.roster.host_of = roster_host_of(&train->hosts);
	log_info("the links between %zu hosts were measured in %.1f s", train->hosts.count,
		 probe->report.done_s);
	return EXIT_DONE;
}

/* The run's recipe, but that nobody looks for messages while others measure: ranks that share a
 * processor would take it from each other. */
static void print_recipe(const struct settings *resolved, struct buf *out)
{
	struct settings quiet = { 0 };

	for (size_t i = 0; i < resolved->count; i++)
		settings_copy(&quiet, resolved->entries[i].key, &resolved->entries[i]);
	if (settings_find(&quiet, "transport.look"))
		settings_set(&quiet, "transport.look", "0s", (struct place){ 0 });
	settings_print(&quiet, out);
	settings_release(&quiet);
}

int train_probe(struct train *train)
{
	const struct flags *flags = train->flags;
	const struct job *job = &train->load->job;
	struct hosts hosts = one_each(&train->hosts);
	size_t *slots = xcalloc(hosts.count, sizeof(*slots));
	struct buf recipe = { 0 };
	struct probe_launch probe = {
		.hosts = &hosts,
		.files = &train->files,
		.threads = PART_AS(&job->transport, struct transport)->threads,
		.fanout = flags->fanout,
		.params = { .seconds = job->plan.probe_s, .precision = PRECISION },
		.live = !flags->quiet && !flags->verbose && terminal_rewrites(STDERR_FILENO),
		.quiet = flags->quiet,
		.slots = slots,
	};
	struct error err = { "" };
	enum supervise_end end;
	int status;

	for (size_t i = 0; i < hosts.count; i++)
		slots[i] = train->hosts.entries[i].slots;
	train_open(train);
	probe.post = train->post;
	print_recipe(&train->load->resolved, &recipe);
	probe.recipe = buf_text(&recipe);
	end = probe_launch(&probe, &err);
	status = take_links(train, &probe, end, &err);
	probe_launch_release(&probe);
	buf_release(&recipe);
	free(hosts.entries);
	free(slots);
	return status;
}
