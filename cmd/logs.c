/* dstrain logs: what the ranks and the orchestrator of a run wrote, each line with whose it is. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <unistd.h>

#include "cmd/cmd.h"
#include "lib/buf.h"
#include "lib/error.h"
#include "lib/file.h"
#include "lib/hosts.h"
#include "lib/log.h"
#include "lib/memory.h"
#include "lib/rundir.h"
#include "lib/runs.h"
#include "lib/setting.h"
#include "lib/stop.h"
#include "lib/units.h"

enum { READ_BYTES = 1 << 16, LOOK_MS = 500 };

/* One file, read as it grows. */
struct source {
	char *path, *prefix;
	int fd;		 /* -1: not there yet */
	struct buf line; /* the unfinished last one */
};

struct sources {
	struct source *entries;
	size_t count;
};

static void add_source(struct sources *sources, char *path, char *prefix)
{
	sources->entries =
		xrealloc(sources->entries, sources->count + 1, sizeof(*sources->entries));
	sources->entries[sources->count++] =
		(struct source){ .path = path, .prefix = prefix, .fd = -1 };
}

/* Ranks are numbered host by host, slot by slot. */
static void add_ranks(struct sources *sources, const char *dir, const struct hosts *hosts,
		      const char *only)
{
	unsigned rank = 0;

	for (size_t i = 0; i < hosts->count; i++) {
		for (size_t slot = 0; slot < hosts->entries[i].slots; slot++, rank++) {
			char *number = xasprintf("%u", rank);

			if (!only || strcmp(number, only) == 0)
				add_source(
					sources, xasprintf("%s/logs/rank-%u.log", dir, rank),
					xasprintf("rank %u (%s): ", rank, hosts->entries[i].name));
			free(number);
		}
	}
}

static int find_sources(struct sources *sources, const char *dir, const char *only,
			struct error *err)
{
	char *path = path_join(dir, "hosts.yaml");
	struct problems problems = { 0 };
	struct hosts hosts = { 0 };
	int status = hosts_load(&hosts, path, &problems, err);

	if (status == 0) {
		if (!only)
			add_source(sources, path_join(dir, "logs/orchestrator.log"),
				   xstrdup("orchestrator: "));
		add_ranks(sources, dir, &hosts, only);
		if (!sources->count)
			status = error_set(err, "no rank '%s'; this run has %zu, from 0 on", only,
					   hosts_slots(&hosts));
	}
	problems_release(&problems);
	hosts_release(&hosts);
	free(path);
	return status;
}

static void print_lines(struct source *source, bool all)
{
	char *end;

	while (source->line.length &&
	       ((end = memchr(source->line.data, '\n', source->line.length)) || all)) {
		size_t length = end ? (size_t)(end - source->line.data) : source->line.length;

		fputs(source->prefix, stdout);
		fwrite(source->line.data, 1, length, stdout);
		fputc('\n', stdout);
		buf_consume(&source->line, end ? length + 1 : length);
	}
}

/* What is there now. `all`: a last line without an end too. */
static void print_new(struct sources *sources, bool all)
{
	for (size_t i = 0; i < sources->count; i++) {
		struct source *source = &sources->entries[i];
		ssize_t got = -1;

		if (source->fd < 0)
			source->fd = open(source->path, O_RDONLY | O_CLOEXEC);
		while (source->fd >= 0 &&
		       (got = read(source->fd, buf_reserve(&source->line, READ_BYTES),
				   READ_BYTES)) > 0) {
			source->line.length += (size_t)got;
			print_lines(source, false);
		}
		print_lines(source, all);
	}
	fflush(stdout);
}

/* Wakes up when something is written, and now and then to see whether the run has ended. */
static int follow(struct sources *sources, const char *dir, struct error *err)
{
	char *logs = path_join(dir, "logs");
	int watch = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
	struct pollfd polls[] = { { .fd = watch, .events = POLLIN },
				  { .fd = stop_fd(), .events = POLLIN },
				  { .fd = STDOUT_FILENO } /* an end that nobody reads */ };
	char events[4096];
	int status = 0;

	if (watch < 0 || inotify_add_watch(watch, logs, IN_MODIFY | IN_CREATE) < 0)
		status = error_set(err, "cannot follow '%s': %s", logs, strerror(errno));
	while (status == 0 && !stop_signal() && !ferror(stdout) && !polls[2].revents &&
	       rundir_in_use(dir)) {
		print_new(sources, false);
		if (poll(polls, ARRAY_SIZE(polls), LOOK_MS) > 0)
			while (read(watch, events, sizeof(events)) > 0)
				;
	}
	file_close(&watch);
	free(logs);
	return status;
}

/* Returns the exit status. */
static int print_logs(const struct run *run, const struct flags *flags)
{
	const char *only = flags->operand_count > 1 ? flags->operands[1] : NULL;
	struct sources sources = { 0 };
	int status = EXIT_DONE;
	struct error err;

	if (find_sources(&sources, run->dir, only, &err) < 0)
		status = EXIT_USAGE;
	else if (flags->follow && follow(&sources, run->dir, &err) < 0)
		status = EXIT_FAILED;
	if (status == EXIT_DONE)
		print_new(&sources, true);
	else
		log_error("%s", err.text);
	for (size_t i = 0; i < sources.count; i++) {
		file_close(&sources.entries[i].fd);
		buf_release(&sources.entries[i].line);
		free(sources.entries[i].path);
		free(sources.entries[i].prefix);
	}
	free(sources.entries);
	return status;
}

static int logs(const struct flags *flags)
{
	struct run run;
	struct error err;
	int status;

	if (flags->follow)
		stop_install(false);
	if (run_find(&run, flags->operands[0], &err) < 0) {
		log_error("%s", err.text);
		return EXIT_USAGE;
	}
	status = print_logs(&run, flags);
	if (status == EXIT_DONE && stop_signal())
		status = 128 + stop_signal();
	run_release(&run);
	return status;
}

const struct command logs_command = {
	.name = "logs",
	.operands = "RUN [RANK]",
	.least = 1,
	.most = 2,
	.operand_kind = OPERAND_DIRECTORY,
	.flags = FLAG_FOLLOW,
	.summary = "Print what the ranks of a run, and the run itself, have to say",
	.details = "RUN is a run directory, or a name as `dstrain ps` shows it. Each line begins "
		   "with the rank and its host.",
	.run = logs,
};
