/* The runs of this user on this machine. */
#define _DEFAULT_SOURCE /* realpath */
#include "lib/runs.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/ask.h"
#include "lib/buf.h"
#include "lib/clock.h"
#include "lib/collect.h"
#include "lib/digest.h"
#include "lib/error.h"
#include "lib/file.h"
#include "lib/json.h"
#include "lib/manifest.h"
#include "lib/memory.h"
#include "lib/rundir.h"
#include "lib/stop.h"

enum { LARGEST = 1 << 20, NAME_BYTES = 24 };

#define ANSWER_S      1.0
#define LOOK_S	      0.05
#define LISTEN_S      10.0 /* for an orchestrator to listen */
#define LISTEN_LOOK_S 0.2

/* NULL: nowhere. */
static char *registry_dir(struct error *err)
{
	const char *state = getenv("XDG_STATE_HOME"), *home = getenv("HOME");

	if (state && state[0] == '/')
		return path_join(state, "dstrain/runs");
	if (home && home[0] == '/')
		return path_join(home, ".local/state/dstrain/runs");
	error_set(err, "neither XDG_STATE_HOME nor HOME names a directory: runs are known by "
		       "their directories only");
	return NULL;
}

static char *host_name(void)
{
	char name[HOST_NAME_MAX + 1] = "";

	gethostname(name, HOST_NAME_MAX);
	return xstrdup(name);
}

/* One file for each directory, whatever its name. */
static char *entry_path(const char *registry, const char *dir)
{
	char digest[DIGEST_HEX];

	digest_bytes(digest, dir, strlen(dir));
	return xasprintf("%s/%.*s.json", registry, NAME_BYTES, digest);
}

static struct json *read_object(const char *path)
{
	struct buf text = { 0 };
	struct error ignored;
	struct json *json = NULL;

	if (file_read(&text, path, LARGEST, &ignored) == 0)
		json = json_parse(buf_text(&text), text.length, &ignored);
	buf_release(&text);
	return json;
}

int runs_enter(const char *dir, struct error *err)
{
	char *registry = registry_dir(err);
	char *real = realpath(dir, NULL), *path, *host;
	struct json *json;
	struct buf text = { 0 };
	int status = -1;

	if (registry && real && dir_make(registry, err) == 0) {
		json = json_object_new();
		host = host_name();
		path = entry_path(registry, real);
		json_add_text(json, "run_dir", real);
		json_add_text(json, "machine", host);
		json_add_count(json, "pid", (uint64_t)getpid());
		json_add_real(json, "started", clock_wall());
		json_print(json, 2, &text);
		status = file_write(path, text.data, text.length, err);
		buf_release(&text);
		json_free(json);
		free(path);
		free(host);
	}
	free(real);
	free(registry);
	return status;
}

/* What the registry has to say, where the run says nothing. */
static struct json *entry_of(const char *dir)
{
	struct error ignored;
	char *registry = registry_dir(&ignored);
	char *path = registry ? entry_path(registry, dir) : NULL;
	struct json *json = path ? read_object(path) : NULL;

	free(path);
	free(registry);
	return json ? json : json_object_new();
}

/* What it answers, or only its state. */
static struct json *ask_status(const char *dir)
{
	struct json *question = ask_question("status"), *answer = NULL;
	struct error ignored;
	bool open;
	struct ask ask;

	open = ask_open(&ask, dir, question, &ignored) == 0;
	if (open) {
		ask_next(&ask, clock_now() + ANSWER_S, &answer, &ignored);
		ask_close(&ask);
	}
	json_free(question);
	if (!answer) {
		answer = entry_of(dir);
		json_add_text(answer, "state", open ? "silent" : "starting");
	}
	return answer;
}

int run_ask(const struct run *run, const struct json *question, struct ask *ask, struct error *err)
{
	double deadline = clock_now() + LISTEN_S;

	while (ask_open(ask, run->dir, question, err) < 0) {
		if (stop_signal() || !rundir_in_use(run->dir) || clock_now() >= deadline)
			return -1;
		clock_sleep(LISTEN_LOOK_S);
	}
	return 0;
}

void run_look(struct run *run)
{
	char *result = path_join(run->dir, RUN_RESULT);

	json_free(run->facts);
	run->facts = NULL;
	run->live = rundir_in_use(run->dir);
	run->facts = run->live ? ask_status(run->dir) : read_object(result);
	if (!run->facts) {
		run->facts = entry_of(run->dir);
		json_add_text(run->facts, "state", "killed");
	}
	json_add_text(run->facts, "name", run->name);
	json_add_text(run->facts, "run_dir", run->dir);
	free(result);
}

const char *run_state(const struct run *run)
{
	const char *state = json_get_text(run->facts, "state");

	return state ? state : "unknown";
}

char *run_remedy(const struct run *run)
{
	char *checkpoints = path_join(run->dir, "checkpoints"), *remedy;
	struct manifest manifest = { 0 };
	struct error why;
	char *newest = collect_newest(checkpoints, &manifest, &why);

	if (newest)
		remedy = xasprintf("go on with: dstrain resume %s", run->dir);
	else
		remedy =
			xasprintf("%s; to start anew: dstrain run %s/recipe.yaml --run-dir ANOTHER",
				  why.text, run->dir);
	manifest_release(&manifest);
	free(newest);
	free(checkpoints);
	return remedy;
}

bool run_await_end(struct run *run, double seconds)
{
	double deadline = clock_now() + seconds;

	while (rundir_in_use(run->dir) && clock_now() < deadline)
		clock_sleep(LOOK_S);
	run_look(run);
	return !run->live;
}

/* False: it is no run directory. */
static bool look_at(struct run *run, const char *dir)
{
	char *real = realpath(dir, NULL);
	char *recipe = real ? path_join(real, "recipe.yaml") : NULL;
	bool is_run = recipe && file_exists(recipe);

	*run = (struct run){ 0 };
	if (is_run) {
		run->dir = xstrdup(real);
		run->name = xstrdup(strrchr(real, '/') + 1);
		run_look(run);
	}
	free(recipe);
	free(real);
	return is_run;
}

static double started(const struct run *run)
{
	return json_get_real(run->facts, "started", 0);
}

static int compare_runs(const void *a, const void *b)
{
	double x = started(a), y = started(b);

	return x < y ? -1 : x > y;
}

/* Adds the run of one entry; false: there is none any more. */
static bool list_entry(const struct json *entry, const char *host, struct run **runs, size_t *count)
{
	const char *dir = json_get_text(entry, "run_dir");
	const char *machine = json_get_text(entry, "machine");
	struct run run;

	if (machine && strcmp(machine, host) != 0)
		return true; /* where several machines have one home */
	if (!dir || !look_at(&run, dir))
		return false;
	*runs = xrealloc(*runs, *count + 1, sizeof(**runs));
	(*runs)[(*count)++] = run;
	return true;
}

static void list_file(const char *path, const char *host, struct run **runs, size_t *count)
{
	struct json *entry = read_object(path);

	if (!entry || !list_entry(entry, host, runs, count))
		unlink(path);
	json_free(entry);
}

int runs_list(struct run **out, size_t *count, struct error *err)
{
	char *registry = registry_dir(err), *host;
	struct dirent *file;
	DIR *dir;

	*out = NULL;
	*count = 0;
	if (!registry)
		return -1;
	dir = opendir(registry);
	if (!dir && errno != ENOENT) {
		error_set(err, "cannot read '%s': %s", registry, strerror(errno));
		free(registry);
		return -1;
	}
	host = host_name();
	while (dir && (file = readdir(dir))) {
		const char *end = strrchr(file->d_name, '.');
		char *path = path_join(registry, file->d_name);

		if (end && strcmp(end, ".json") == 0)
			list_file(path, host, out, count);
		free(path);
	}
	if (dir)
		closedir(dir);
	if (*count)
		qsort(*out, *count, sizeof(**out), compare_runs);
	free(host);
	free(registry);
	return 0;
}

void runs_free(struct run *runs, size_t count)
{
	for (size_t i = 0; i < count; i++)
		run_release(&runs[i]);
	free(runs);
}

static int find_by_name(struct run *out, const char *word, struct error *err)
{
	struct buf places = { 0 };
	struct run *runs;
	size_t count, found = 0, last = 0;

	if (strchr(word, '/') || runs_list(&runs, &count, err) < 0)
		return error_set(err, "'%s' is not a run directory: it has no recipe.yaml", word);
	for (size_t i = 0; i < count; i++) {
		if (strcmp(runs[i].name, word) != 0)
			continue;
		buf_addf(&places, "%s'%s'", found++ ? ", " : "", runs[i].dir);
		last = i;
	}
	if (found == 1) {
		*out = runs[last];
		runs[last] = (struct run){ 0 };
	} else if (found) {
		error_set(err, "'%s' may be %s; give the directory", word, buf_text(&places));
	} else {
		error_set(err, "no run '%s': neither a run directory nor a name; see `dstrain ps`",
			  word);
	}
	buf_release(&places);
	runs_free(runs, count);
	return found == 1 ? 0 : -1;
}

int run_find(struct run *out, const char *word, struct error *err)
{
	return look_at(out, word) ? 0 : find_by_name(out, word, err);
}

char *run_path(const char *word, struct error *err)
{
	char *recipe = path_join(word, "recipe.yaml"), *path = NULL;
	struct run run = { 0 };

	if (file_exists(recipe))
		path = xstrdup(word);
	else if (find_by_name(&run, word, err) == 0)
		path = xstrdup(run.dir);
	run_release(&run);
	free(recipe);
	return path;
}

void run_release(struct run *run)
{
	free(run->name);
	free(run->dir);
	json_free(run->facts);
	*run = (struct run){ 0 };
}
