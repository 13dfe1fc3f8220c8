/* Brings a host to the state a run needs: this binary and the data files, by digest, once. */
#include "lib/provision.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "lib/buf.h"
#include "lib/digest.h"
#include "lib/error.h"
#include "lib/file.h"
#include "lib/hosts.h"
#include "lib/memory.h"
#include "lib/ssh.h"
#include "lib/stop.h"

enum { QUERY_S = 30 };

static const char marker[] = "dstrain-cache";

static int add_file(struct provision_files *files, const char *path, bool travel, struct error *err)
{
	struct provision_file file = { 0 };

	if (file_size(&file.bytes, path, err) < 0)
		return -1;
	if (access(path, R_OK) < 0)
		return error_set(err, "cannot open '%s': %s", path, strerror(errno));
	for (size_t i = 1; i < files->count; i++)
		if (strcmp(files->entries[i].path, path) == 0)
			return 0;
	if (travel && digest_file(file.digest, path, err) < 0)
		return -1;
	file.path = xstrdup(path);
	files->entries = xrealloc(files->entries, files->count + 1, sizeof(*files->entries));
	files->entries[files->count++] = file;
	return 0;
}

int provision_collect(struct provision_files *out, char *const *paths, size_t count, bool travel,
		      struct error *err)
{
	struct provision_files files = { 0 };
	int status = add_file(&files, "/proc/self/exe", travel, err);

	for (size_t i = 0; i < count && status == 0; i++)
		status = add_file(&files, paths[i], travel, err);
	if (status == 0)
		*out = files;
	else
		provision_files_release(&files);
	return status;
}

void provision_files_release(struct provision_files *files)
{
	for (size_t i = 0; i < files->count; i++)
		free(files->entries[i].path);
	free(files->entries);
	*files = (struct provision_files){ 0 };
}

/* Where file i lies below the cache directory; caller frees. */
static char *place_of(const struct provision_files *files, size_t i)
{
	const char *digest = files->entries[i].digest;

	return i == 0 ? xasprintf("bin/%s/dstrain", digest) : xasprintf("data/%s", digest);
}

/* One round trip: the machine, the directory, and a line for each file that is there whole. */
static void write_query(const struct provision_files *files, struct buf *script)
{
	buf_addf(script,
		 "umask 077\n"
		 "c=$XDG_CACHE_HOME\n"
		 "case $c in /*) ;; *) c=$HOME/.cache ;; esac\n"
		 "c=$c/dstrain\n"
		 "echo %s\n"
		 "uname -m\n"
		 "printf '%%s\\n' \"$c\"\n"
		 "mkdir -p \"$c/bin/%s\" && mkdir -p \"$c/data\" || {\n"
		 "echo make it writable, or set XDG_CACHE_HOME there to what is >&2\n"
		 "exit 1\n"
		 "}\n"
		 "have() { [ -f \"$c/$2\" ] && [ $(wc -c <\"$c/$2\") -eq $3 ] && echo have $1; }\n",
		 marker, files->entries[0].digest);
	for (size_t i = 0; i < files->count; i++) {
		char *place = place_of(files, i);

		buf_addf(script, "have %zu %s %llu\n", i, place,
			 (unsigned long long)files->entries[i].bytes);
		free(place);
	}
	buf_addf(script, "echo end\n");
}

/* Takes one line off *text, in place; NULL at the end. */
static char *next_line(char **text)
{
	char *line = *text;
	size_t length = strcspn(line, "\n");

	if (!*line)
		return NULL;
	*text = line[length] ? line + length + 1 : line + length;
	line[length] = '\0';
	return line;
}

static int check_machine(const struct host *host, const char *there, struct error *err)
{
	struct utsname here;

	uname(&here);
	if (strcmp(there, here.machine) == 0)
		return 0;
	return error_set(err,
			 "%s: is %s, and this dstrain is built for %s; leave the host out, or run "
			 "from one of its kind with only such hosts",
			 host->name, there, here.machine);
}

static int check_directory(const struct host *host, const char *path, struct error *err)
{
	if (path[0] == '/' && !strpbrk(path, "'\"\\!`$"))
		return 0;
	return error_set(err,
			 "%s: its cache directory '%s' is not a plain absolute path; set "
			 "XDG_CACHE_HOME there",
			 host->name, path);
}

/* Reads the answer: present[i] for each file; *directory is the caller's. */
static int read_answer(const struct host *host, char *text, bool *present, size_t count,
		       char **directory, struct error *err)
{
	const char *machine = next_line(&text);
	const char *path = next_line(&text);
	bool whole = false;
	char *line;

	if (!machine || !path)
		return error_set(err, "%s: its answer was cut off", host->name);
	if (check_machine(host, machine, err) < 0 || check_directory(host, path, err) < 0)
		return -1;
	while ((line = next_line(&text))) {
		size_t i;

		if (sscanf(line, "have %zu", &i) == 1 && i < count)
			present[i] = true;
		whole = strcmp(line, "end") == 0;
	}
	if (!whole)
		return error_set(err, "%s: its answer was cut off", host->name);
	*directory = xstrdup(path);
	return 0;
}

static int query(struct ssh *ssh, const struct host *host, const struct provision_files *files,
		 bool *present, char **directory, struct error *err)
{
	struct buf script = { 0 }, answer = { 0 };
	struct ssh_command command = { .command = "exec /bin/sh -s",
				       .marker = marker,
				       .timeout_s = QUERY_S,
				       .stop = stop_flag() };
	int status;

	write_query(files, &script);
	command.input = script.data;
	command.input_length = script.length;
	status = ssh_run(ssh, &command, &answer, err);
	if (status == 0) {
		buf_add(&answer, "", 0);
		status = read_answer(host, answer.data, present, files->count, directory, err);
	}
	buf_release(&script);
	buf_release(&answer);
	return status;
}

/* Adds up the files of one host for whoever shows progress. */
struct tally {
	const struct provision_progress *progress;
	const struct host *host;
	uint64_t before, bytes;
};

static void report(void *arg, uint64_t sent, uint64_t size)
{
	const struct tally *tally = arg;

	(void)size;
	if (tally->progress && tally->progress->sent)
		tally->progress->sent(tally->progress->arg, tally->host, tally->before + sent,
				      tally->bytes);
}

static int send_missing(struct ssh *ssh, const struct provision_files *files, const bool *present,
			const char *directory, struct tally *tally, struct error *err)
{
	int status = 0;

	for (size_t i = 0; i < files->count && status == 0; i++) {
		char *place = place_of(files, i), *path = path_join(directory, place);
		struct ssh_upload upload = { .local_path = files->entries[i].path,
					     .remote_path = path,
					     .executable = i == 0,
					     .progress = report,
					     .arg = tally };

		if (!present[i]) {
			status = ssh_upload(ssh, &upload, err);
			tally->before += files->entries[i].bytes;
		}
		free(path);
		free(place);
	}
	return status;
}

/* The same bytes under two names travel once. */
static bool is_repeated(const struct provision_files *files, size_t i)
{
	for (size_t k = 0; k < i; k++)
		if (strcmp(files->entries[k].digest, files->entries[i].digest) == 0)
			return true;
	return false;
}

int provision_host(struct ssh *ssh, const struct host *host, const struct provision_files *files,
		   const struct provision_progress *progress, char **cache_dir, uint64_t *sent,
		   struct error *err)
{
	bool *present = xcalloc(files->count, sizeof(*present));
	struct tally tally = { .progress = progress, .host = host };
	char *directory = NULL;
	int status = query(ssh, host, files, present, &directory, err);

	for (size_t i = 0; i < files->count; i++) {
		present[i] |= is_repeated(files, i);
		if (!present[i])
			tally.bytes += files->entries[i].bytes;
	}
	if (status == 0)
		status = send_missing(ssh, files, present, directory, &tally, err);
	if (status == 0) {
		*cache_dir = directory;
		*sent = tally.bytes;
	} else {
		free(directory);
	}
	free(present);
	return status;
}
