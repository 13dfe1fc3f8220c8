/* A host while a run lasts: its SSH session, its cache directory, the programs started there. */
#include "lib/site.h"

#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "lib/buf.h"
#include "lib/clock.h"
#include "lib/error.h"
#include "lib/fanout.h"
#include "lib/hosts.h"
#include "lib/log.h"
#include "lib/memory.h"
#include "lib/process.h"
#include "lib/provision.h"
#include "lib/ssh.h"
#include "lib/stop.h"
#include "lib/units.h"

struct opening {
	struct sites *sites;
	const struct provision_files *files;
	pthread_mutex_t lock;
	double shown; /* lock: when progress was last shown */
};

static void show_sent(void *arg, const struct host *host, uint64_t sent, uint64_t bytes)
{
	struct opening *opening = arg;
	char sent_text[32], bytes_text[32];

	pthread_mutex_lock(&opening->lock);
	if (clock_now() > opening->shown + 1 || sent == bytes) {
		opening->shown = clock_now();
		log_info("%s: %s of %s sent", host->name,
			 units_show_bytes(sent_text, sizeof(sent_text), (double)sent),
			 units_show_bytes(bytes_text, sizeof(bytes_text), (double)bytes));
	}
	pthread_mutex_unlock(&opening->lock);
}

static int open_one(void *arg, size_t i, struct error *err)
{
	struct opening *opening = arg;
	struct site *site = &opening->sites->entries[i];
	struct provision_progress progress = { .sent = show_sent, .arg = opening };
	uint64_t sent;

	if (site->host->local)
		return 0;
	if (ssh_connect_unless(&site->ssh, site->host, stop_flag(), err) < 0)
		return -1;
	return provision_host(site->ssh, site->host, opening->files, &progress, &site->cache_dir,
			      &sent, err);
}

size_t sites_open(struct sites *out, const struct hosts *hosts, const struct provision_files *files,
		  size_t width, int *status, struct error *errors)
{
	struct opening opening = { .sites = out, .files = files };
	size_t failed;

	out->entries = xcalloc(hosts->count, sizeof(*out->entries));
	out->count = hosts->count;
	for (size_t i = 0; i < hosts->count; i++) {
		out->entries[i].host = &hosts->entries[i];
		out->entries[i].digest = files->entries[0].digest;
	}
	pthread_mutex_init(&opening.lock, NULL);
	failed = fanout(hosts->count, width, open_one, &opening, status, errors, stop_flag());
	pthread_mutex_destroy(&opening.lock);
	return failed;
}

static int start_local(const struct host *host, const char *command, struct process *out,
		       struct error *err)
{
	char program[] = "/proc/self/exe";
	char *word = xstrdup(command);
	char *argv[] = { program, word, NULL };
	char not_remote[] = "DSTRAIN_RUN=";
	char **environment = xcalloc(host->env_count + 2, sizeof(*environment));
	int status;

	for (size_t i = 0; i < host->env_count; i++)
		environment[i] = host->env[i];
	environment[host->env_count] = not_remote;
	status = process_start(out, argv, environment, err);
	free(environment);
	free(word);
	return status;
}

/* For the remote /bin/sh. hosts_entry.c lets no quotes into `env`. */
static char *remote_command(const struct site *site, const char *command)
{
	static const char letters[] = "abcdefghijklmnopqrstuvwxyz0123456789";
	const char *isa = getenv("DSTRAIN_ISA"); /* the same kernels there as here */
	const struct host *host = site->host;
	struct buf text = { 0 };

	if (isa && strspn(isa, letters) == strlen(isa))
		buf_addf(&text, "export DSTRAIN_ISA=%s; ", isa);
	for (size_t i = 0; i < host->env_count; i++)
		buf_addf(&text, "export \"%s\"; ", host->env[i]);
	if (site->mark)
		buf_addf(&text, "export DSTRAIN_RUN=%s; ", site->mark);
	buf_addf(&text, "exec \"%s/bin/%s/dstrain\" %s", site->cache_dir, site->digest, command);
	return buf_take(&text);
}

int site_start(const struct site *site, const char *command, struct process *out, struct error *err)
{
	char *remote;
	int status;

	if (site->host->local)
		return start_local(site->host, command, out, err);
	remote = remote_command(site, command);
	status = ssh_start(site->ssh, remote, out, err);
	free(remote);
	return status;
}

void sites_release(struct sites *sites)
{
	for (size_t i = 0; i < sites->count; i++) {
		ssh_close(sites->entries[i].ssh);
		free(sites->entries[i].cache_dir);
	}
	free(sites->entries);
	*sites = (struct sites){ 0 };
}
