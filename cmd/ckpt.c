/* dstrain ckpt: which checkpoints a run has, and whether they are whole. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "cmd/cmd.h"
#include "cmd/moment.h"
#include "cmd/output.h"
#include "lib/buf.h"
#include "lib/collect.h"
#include "lib/error.h"
#include "lib/file.h"
#include "lib/json.h"
#include "lib/log.h"
#include "lib/manifest.h"
#include "lib/memory.h"
#include "lib/runs.h"
#include "lib/table.h"
#include "lib/terminal.h"
#include "lib/units.h"

enum { LOOKS = 20 };

/* A checkpoint and what is known of it. */
struct checkpoint {
	struct collect_found found; /* owned by the list */
	struct manifest manifest;   /* empty where it could not be read */
	time_t written;		    /* 0: unknown */
	struct buf problems;	    /* a line each */
	size_t problem_count;
};

struct survey {
	struct collect_found *found;
	size_t found_count;
	struct checkpoint *entries; /* [count] */
	size_t count;
};

static void add_problem(struct checkpoint *checkpoint, const char *text)
{
	buf_addf(&checkpoint->problems, "%s%s", checkpoint->problem_count ? "\n" : "", text);
	checkpoint->problem_count++;
}

static void examine(struct checkpoint *checkpoint, bool quick)
{
	const struct manifest *manifest = &checkpoint->manifest;
	const char *dir = checkpoint->found.path;
	char *path = path_join(dir, "manifest.json");
	struct error err;
	struct stat about;

	if (stat(path, &about) == 0 || stat(dir, &about) == 0)
		checkpoint->written = about.st_mtime;
	free(path);
	if (checkpoint->found.unfinished) {
		add_problem(checkpoint, "unfinished: still being written, or left by a dstrain "
					"that was killed; the next checkpoint removes it");
		return;
	}
	if (collect_parse(&checkpoint->manifest, &checkpoint->found, &err) < 0) {
		add_problem(checkpoint, err.text);
		return;
	}
	for (size_t i = 0; i < manifest->file_count; i++)
		if (manifest_check(dir, &manifest->files[i], quick, &err) < 0)
			add_problem(checkpoint, err.text);
}

/* One checkpoint's own directory; 0: it is none. */
static size_t find_single(const char *path, struct collect_found **found)
{
	const char *name = strrchr(path, '/');
	char *manifest = path_join(path, "manifest.json");
	unsigned long long step;
	struct manifest about = { 0 };
	struct error ignored;
	size_t count = 0;

	name = name ? name + 1 : path;
	if (sscanf(name, "step-%llu", &step) == 1 || sscanf(name, ".step-%llu", &step) == 1) {
		count = 1;
	} else if (file_exists(manifest)) { /* a copy under another name */
		step = manifest_parse(&about, path, &ignored) == 0 ? about.step : 0;
		count = 1;
	}
	if (count) {
		*found = xcalloc(1, sizeof(**found));
		**found = (struct collect_found){ .step = step,
						  .path = xstrdup(path),
						  .unfinished = name[0] == '.' };
	}
	manifest_release(&about);
	free(manifest);
	return count;
}

static int find(struct survey *survey, const char *path, struct error *err)
{
	char *dir = path_join(path, "checkpoints");

	survey->found_count = find_single(path, &survey->found);
	if (!survey->found_count)
		survey->found = collect_list(dir, &survey->found_count);
	free(dir);
	return survey->found_count
		       ? 0
		       : error_set(err, "there is no checkpoint in '%s/checkpoints'", path);
}

static void checkpoint_release(struct checkpoint *checkpoint)
{
	manifest_release(&checkpoint->manifest);
	buf_release(&checkpoint->problems);
}

/* A run that goes on removes old ones meanwhile: what is gone is no finding. */
static void examine_all(struct survey *survey, bool quick)
{
	survey->entries = xcalloc(survey->found_count, sizeof(*survey->entries));
	for (size_t i = 0; i < survey->found_count; i++) {
		struct checkpoint *entry = &survey->entries[survey->count];

		*entry = (struct checkpoint){ .found = survey->found[i] };
		examine(entry, quick);
		if (entry->problem_count && !file_exists(entry->found.path))
			checkpoint_release(entry);
		else
			survey->count++;
	}
}

static void survey_release(struct survey *survey)
{
	for (size_t i = 0; i < survey->count; i++)
		checkpoint_release(&survey->entries[i]);
	free(survey->entries);
	collect_found_free(survey->found, survey->found_count);
	*survey = (struct survey){ 0 };
}

/* The one that resume takes; NULL: none. */
static const struct checkpoint *newest_valid(const struct survey *survey)
{
	const struct checkpoint *newest = NULL;

	for (size_t i = 0; i < survey->count; i++)
		if (!survey->entries[i].problem_count)
			newest = &survey->entries[i];
	return newest;
}

static const char *name_of(const struct checkpoint *checkpoint)
{
	const char *slash = strrchr(checkpoint->found.path, '/');

	return slash ? slash + 1 : checkpoint->found.path;
}

static void print_list(const struct survey *survey)
{
	struct table table = { .align = "rlrrl" };
	char text[MOMENT_TEXT];

	table_head(&table,
		   (const char *const[]){ "step", "written", "size", "ranks", "valid", NULL });
	for (size_t i = 0; i < survey->count; i++) {
		const struct checkpoint *entry = &survey->entries[i];

		table_add(&table, "%llu", (unsigned long long)entry->found.step);
		table_add(&table, "%s", moment_show(text, (double)entry->written));
		table_add(&table, "%s",
			  units_show_bytes(text, sizeof(text),
					   (double)manifest_bytes(&entry->manifest)));
		table_add(&table, "%u", entry->manifest.world);
		table_add(&table, "%s%.*s", entry->problem_count ? "no: " : "yes",
			  (int)strcspn(buf_text(&entry->problems), "\n"),
			  buf_text(&entry->problems));
	}
	output_table(&table);
	table_release(&table);
}

static void print_verdicts(const struct survey *survey, const struct flags *flags)
{
	struct style style = terminal_style(STDOUT_FILENO, (enum terminal_color)flags->color);
	char text[32];

	for (size_t i = 0; i < survey->count; i++) {
		const struct checkpoint *entry = &survey->entries[i];
		const char *problem = buf_text(&entry->problems);

		if (!entry->problem_count && !flags->quiet)
			printf("%sok%s      %s: %zu files, %s\n", style.green, style.reset,
			       name_of(entry), entry->manifest.file_count,
			       units_show_bytes(text, sizeof(text),
						(double)manifest_bytes(&entry->manifest)));
		for (; *problem; problem += strspn(problem, "\n")) {
			int length = (int)strcspn(problem, "\n");

			printf("%s%s%s %s: %.*s\n",
			       entry->found.unfinished ? style.yellow : style.red,
			       entry->found.unfinished ? "warning" : "problem", style.reset,
			       name_of(entry), length, problem);
			problem += length;
		}
	}
}

static struct json *checkpoint_json(const struct checkpoint *entry)
{
	struct json *json = json_object_new(), *problems = json_array_new();
	const char *problem = buf_text(&entry->problems);
	char text[64];
	struct tm utc;

	json_add_count(json, "step", entry->found.step);
	json_add_text(json, "path", entry->found.path);
	gmtime_r(&entry->written, &utc);
	strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%SZ", &utc);
	json_add_text(json, "written", entry->written ? text : NULL);
	json_add_count(json, "bytes", manifest_bytes(&entry->manifest));
	json_add_count(json, "world", entry->manifest.world);
	json_add_bool(json, "finished", !entry->found.unfinished);
	json_add_bool(json, "valid", !entry->problem_count);
	for (; *problem; problem += strspn(problem, "\n")) {
		size_t length = strcspn(problem, "\n");
		char *line = xstrndup(problem, length);

		json_add_text(problems, NULL, line);
		problem += length;
		free(line);
	}
	json_add(json, "problems", problems);
	return json;
}

static void print_json(const struct survey *survey)
{
	const struct checkpoint *newest = newest_valid(survey);
	struct json *json = json_object_new(), *list = json_array_new();

	for (size_t i = 0; i < survey->count; i++)
		json_add(list, NULL, checkpoint_json(&survey->entries[i]));
	json_add(json, "checkpoints", list);
	json_add_text(json, "newest_valid", newest ? newest->found.path : NULL);
	output_json(json);
	json_free(json);
}

/* An unfinished one fails nothing: it was never promised. */
static int judge(const struct survey *survey, const char *path)
{
	const struct checkpoint *newest = newest_valid(survey);
	size_t invalid = 0;

	for (size_t i = 0; i < survey->count; i++)
		invalid += survey->entries[i].problem_count && !survey->entries[i].found.unfinished;
	if (!newest)
		log_error("no valid checkpoint in '%s'", path);
	else if (invalid)
		log_error("%zu checkpoint%s not valid; `dstrain resume` takes the newest that is: "
			  "%s",
			  invalid, invalid == 1 ? " is" : "s are", newest->found.path);
	else if (survey->count > 1)
		log_info("`dstrain resume` takes the newest: %s", newest->found.path);
	return invalid || !newest ? EXIT_FAILED : EXIT_DONE;
}

/* Again where a run was so fast that all it had are gone. */
static int look(struct survey *survey, const char *dir, bool quick, struct error *err)
{
	for (int i = 0; i < LOOKS; i++) {
		survey_release(survey);
		if (find(survey, dir, err) < 0)
			return -1;
		examine_all(survey, quick);
		if (survey->count == survey->found_count || newest_valid(survey))
			break;
	}
	return 0;
}

/* A directory, of a run or a checkpoint, or that of a run known by this name; caller frees. */
static char *place_of(const char *word, struct error *err)
{
	size_t length = strlen(word);
	struct stat about;

	if (stat(word, &about) < 0 || !S_ISDIR(about.st_mode))
		return run_path(word, err);
	while (length > 1 && word[length - 1] == '/')
		length--;
	return xstrndup(word, length);
}

static int show(const char *dir, const struct flags *flags, bool verify)
{
	struct survey survey = { 0 };
	struct error err;
	int status = EXIT_DONE;

	if (look(&survey, dir, !verify, &err) < 0) {
		log_error("%s", err.text);
		survey_release(&survey);
		return EXIT_FAILED;
	}
	if (flags->json)
		print_json(&survey);
	else if (verify)
		print_verdicts(&survey, flags);
	else
		print_list(&survey);
	if (verify)
		status = judge(&survey, dir);
	survey_release(&survey);
	return status;
}

static const char *const words[] = { "list", "verify", NULL };

static int ckpt(const struct flags *flags)
{
	const char *word = flags->operands[0];
	bool verify = strcmp(word, "verify") == 0;
	int status = EXIT_USAGE;
	struct error err;
	char *dir;

	if (!verify && strcmp(word, "list") != 0) {
		log_error("ckpt: '%s' is neither list nor verify", word);
		return EXIT_USAGE;
	}
	dir = place_of(flags->operands[1], &err);
	if (dir)
		status = show(dir, flags, verify);
	else
		log_error("%s", err.text);
	free(dir);
	return status;
}

const struct command ckpt_command = {
	.name = "ckpt",
	.operands = "list|verify RUN",
	.least = 2,
	.most = 2,
	.operand_kind = OPERAND_WORD,
	.words = words,
	.flags = FLAG_JSON,
	.summary = "List the checkpoints of a run, or verify every byte of them",
	.details = "RUN is a run directory, or a name as `dstrain ps` shows it; one checkpoint's "
		   "directory will do, too. list reads the manifests and looks at sizes. verify "
		   "reads every file and "
		   "compares its SHA-256 with the manifest's; the exit status is 1 if a checkpoint "
		   "is not valid, or none is, and the newest valid one, which resume takes, is "
		   "named.",
	.run = ckpt,
};
