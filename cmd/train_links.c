/* Of a run that is about to begin: where it is known from what the links carry. */
#include "cmd/train_links.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cmd/job_load.h"
#include "cmd/train.h"
#include "lib/error.h"
#include "lib/file.h"
#include "lib/links_file.h"
#include "lib/memory.h"
#include "runtime/transport/emulate.h"

static const struct job *job_of(const struct train *train)
{
	return &train->load->job;
}

static bool is_emulated(const struct train *train)
{
	return job_of(train)->params.emulate;
}

static bool is_file(const char *links)
{
	return strcmp(links, "auto") != 0 && strcmp(links, "probe") != 0;
}

/* Links that are emulated need no measuring. */
enum train_links train_links_source(const struct train *train)
{
	const char *links = job_of(train)->plan.links;

	if (strcmp(links, "none") == 0 || (train->hosts.count < 2 && !is_emulated(train)))
		return TRAIN_LINKS_NONE;
	if (strcmp(links, "auto") == 0 && !job_wants_plan(job_of(train)))
		return TRAIN_LINKS_NONE;
	return is_file(links) || is_emulated(train) ? TRAIN_LINKS_FILE : TRAIN_LINKS_PROBE;
}

/* The hosts of this run, in their order, out of all that are known. */
static int select_hosts(struct train *train, const struct links *all, struct error *err)
{
	const struct hosts *hosts = &train->hosts;
	const char **names = xcalloc(hosts->count, sizeof(*names));
	int status;

	for (size_t i = 0; i < hosts->count; i++)
		names[i] = hosts->entries[i].name;
	status = links_select(&train->plan.roster.links, all, names, hosts->count, err);
	free(names);
	return status;
}

/* `known` is what is said of the links elsewhere; NULL: the file itself says it. */
static int read_emulated(struct train *train, const struct links *known, struct error *err)
{
	const struct job_params *params = &job_of(train)->params;
	struct roster *roster = &train->plan.roster;
	struct links network;
	int status;

	if (emulator_network(&network, &roster->host_of, (int)hosts_slots(&train->hosts),
			     params->emulate, params->emulate_rtt, err) < 0)
		return -1;
	status = links_select(&roster->links, known ? known : &network,
			      (const char *const *)network.names, network.hosts, err);
	links_release(&network);
	return status;
}

static int take(struct train *train, const struct links *known, struct error *err)
{
	if (is_emulated(train))
		return read_emulated(train, known, err);
	train->plan.roster.host_of = roster_host_of(&train->hosts);
	return select_hosts(train, known, err);
}

int train_links_read(struct train *train, struct error *err)
{
	const char *path = job_of(train)->plan.links;
	struct problems problems = { 0 };
	struct links all = { 0 };
	int status;

	if (!is_file(path))
		return read_emulated(train, NULL, err);
	status = links_load(&all, NULL, path, NULL, &problems, err);
	fputs(buf_text(&problems.text), stderr);
	if (status == 0 && take(train, &all, err) < 0)
		status = error_prefix(err, "%s", path);
	links_release(&all);
	problems_release(&problems);
	return status;
}

int train_links_file(const struct train *train, const char *name, struct buf *out,
		     struct error *err)
{
	char *path = rundir_file(&train->rundir, name);
	int status = file_read(out, path, SIZE_MAX / 2, err);
	struct error why = *err;

	free(path);
	return status < 0 ? error_set(err, "%s; to plan anew: --set plan.links=probe", why.text)
			  : 0;
}

int train_links_restore(struct train *train, const char *name, struct error *err)
{
	struct buf text = { 0 };
	struct links all = { 0 };
	int status = train_links_file(train, name, &text, err);

	if (status == 0 &&
	    (links_parse(&all, text.data, text.length, err) < 0 || take(train, &all, err) < 0))
		status = error_prefix(err, "%s/%s", train->rundir.path, name);
	links_release(&all);
	buf_release(&text);
	return status;
}
