/* From a recipe file and flags to a job. */
#include "cmd/job_load.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cmd/flags.h"
#include "lib/error.h"
#include "lib/file.h"
#include "lib/memory.h"
#include "lib/recipe.h"
#include "runtime/sync/auto.h"
#include "runtime/transport/emulate.h"
#include "runtime/transport/transport.h"

/* One of the problems' lines. */
struct line {
	const char *text;
	size_t length;
	int row, column; /* in the recipe; INT_MAX for what stands in no line of it */
	size_t order;
};

static int compare_lines(const void *a, const void *b)
{
	const struct line *x = a, *y = b;

	if (x->row != y->row)
		return x->row < y->row ? -1 : 1;
	if (x->column != y->column)
		return x->column < y->column ? -1 : 1;
	return x->order < y->order ? -1 : 1;
}

static struct line line_at(const char *text, const char *path, size_t order)
{
	struct line line = { .text = text, .row = INT_MAX, .column = INT_MAX, .order = order };
	size_t skip = strlen(path);

	line.length = strcspn(text, "\n") + 1;
	if (strncmp(text, path, skip) == 0)
		sscanf(text + skip, ":%9d:%9d:", &line.row, &line.column);
	return line;
}

/* By where they are in the recipe; the rest stays in its order behind. */
static void sort_problems(struct problems *problems, const char *path)
{
	struct line *lines = NULL;
	struct buf sorted = { 0 };
	size_t count = 0;

	for (const char *text = buf_text(&problems->text); *text; count++) {
		lines = xrealloc(lines, count + 1, sizeof(*lines));
		lines[count] = line_at(text, path, count);
		text += lines[count].length;
	}
	if (count)
		qsort(lines, count, sizeof(*lines), compare_lines);
	for (size_t i = 0; i < count; i++)
		buf_add(&sorted, lines[i].text, lines[i].length);
	buf_release(&problems->text);
	problems->text = sorted;
	free(lines);
}

/* What a row names must exist before anything is started; and it is named so that another directory
 * to resume from makes no difference. */
static void check_row(void *arg, const char *prefix, const struct opt *row, void *params)
{
	struct job_load *load = arg;
	char *key = xasprintf("%s.%s", prefix, row->key);
	struct setting *setting = settings_find(&load->resolved, key);
	struct error err;
	uint64_t bytes;
	size_t count;
	char **paths = opt_files(row, params, &count);

	for (size_t i = 0; paths && i < count; i++) {
		char *absolute = path_absolute(paths[i]);

		if (file_size(&bytes, paths[i], &err) < 0)
			problems_add(&load->problems, setting->value_place, "%s: %s", key,
				     err.text);
		free(paths[i]);
		paths[i] = absolute;
		free(setting->values[i]);
		setting->values[i] = xstrdup(absolute);
	}
	free(key);
}

/* What belongs to another transport would be unknown to this one. */
static void choose_transport(struct settings *given, const struct entry *chosen)
{
	job_expand(given);
	for (size_t i = 0; transports.entries[i]; i++)
		for (const struct opt *row = transports.entries[i]->options;
		     row && row->key && transports.entries[i] != chosen; row++) {
			char *key = xasprintf("transport.%s", row->key);

			settings_remove(given, key);
			free(key);
		}
	settings_set(given, "transport.name", chosen->name, (struct place){ .file = "--emulate" });
}

/* --emulate: ranks as threads of this machine, as many as the network has room for. */
static void emulate(struct settings *given, const char *path)
{
	static const struct place place = { .file = "--emulate" };
	struct problems ignored = { 0 }; /* they will be found again */
	struct error err;
	size_t ranks;

	for (size_t i = 0; transports.entries[i]; i++) {
		const struct entry *entry = transports.entries[i];

		if (((const struct transport *)(const void *)entry)->threads)
			choose_transport(given, entry);
	}
	settings_set(given, "transport.emulate", path, place);
	if (emulator_room(&ranks, path, NULL, &ignored, &err) == 0) {
		char *hosts = xasprintf("local:%zu", ranks);

		settings_set(given, "hosts", hosts, place);
		free(hosts);
	}
	problems_release(&ignored);
}

static void read_flags(struct job_load *load, const struct flags *flags)
{
	static const struct place place = { .file = "--set" };
	struct error err;

	for (size_t i = 0; i < flags->set_count; i++) {
		job_expand(&load->given);
		if (recipe_set(&load->given, flags->set[i], &err) < 0)
			problems_add(&load->problems, place, "%s", err.text);
	}
	if (flags->emulate)
		emulate(&load->given, flags->emulate);
	if (flags->hosts)
		settings_set(&load->given, "hosts", flags->hosts,
			     (struct place){ .file = "--hosts" });
	if (flags->data)
		settings_set(&load->given, "data.test", flags->data,
			     (struct place){ .file = "--data" });
	if (flags->links)
		settings_set(&load->given, "plan.links", flags->links,
			     (struct place){ .file = "--links" });
}

static void resolve(struct job_load *load)
{
	job_read(&load->job, &load->given, &load->resolved, &load->problems);
	if (load->trained)
		job_begun(&load->job);
	job_rows(&load->job, check_row, load);
}

/* The file of the emulated links, if it is there at all. */
static void check_emulation(struct job_load *load)
{
	const struct job_params *params = &load->job.params;
	size_t before = load->problems.count;
	struct error err;

	if (!params->emulate || !file_exists(params->emulate))
		return;
	if (emulator_room(&load->room, params->emulate, params->emulate_rtt, &load->problems,
			  &err) < 0 &&
	    load->problems.count == before)
		problems_add(&load->problems,
			     settings_find(&load->resolved, "transport.emulate")->value_place,
			     "transport.emulate: %s", err.text);
}

static int judge(struct job_load *load, const char *path, const struct flags *flags)
{
	read_flags(load, flags);
	resolve(load);
	check_emulation(load);
	sort_problems(&load->problems, path);
	return load->problems.count ? -1 : 0;
}

void job_load_settle(struct job_load *load, const struct plan *plan, bool keeps)
{
	job_expand(&load->given);
	sync_settle(&load->given, plan, keeps);
	job_release(&load->job);
	settings_release(&load->resolved);
	resolve(load);
}

int job_load(struct job_load *load, const char *path, const struct flags *flags)
{
	struct error err;

	if (recipe_load(&load->given, path, &load->problems, &err) < 0) {
		if (load->problems.count == 0)
			problems_add(&load->problems, (struct place){ .file = "dstrain: error" },
				     "%s", err.text);
		if (load->given.count == 0) /* nothing was understood: no more to say */
			return -1;
	}
	return judge(load, path, flags);
}

int job_load_text(struct job_load *load, const char *text, const char *name,
		  const struct flags *flags)
{
	struct error err;

	if (recipe_parse(&load->given, text, strlen(text), name, &load->problems, &err) < 0)
		return -1;
	return judge(load, name, flags);
}

int job_load_fits(const struct job_load *load, size_t ranks, struct error *err)
{
	size_t batch = load->job.params.batch; /* 0: it was refused already */

	if (load->room && load->room < ranks)
		return error_set(err, "transport.emulate: '%s' has room for %zu ranks, not for %zu",
				 load->job.params.emulate, load->room, ranks);
	if (batch < ranks && batch > 0)
		return error_set(err, "train.batch: %zu is fewer samples than the %zu ranks", batch,
				 ranks);
	return fault_check(&load->job.fault, ranks, err);
}

static struct place place_of(const struct job_load *load, const char *key)
{
	return settings_find(&load->resolved, key)->value_place;
}

/* A rule for no tensor is a mistake in its pattern. */
static void check_rules(struct job_load *load, const struct model *model)
{
	const struct compress_rules *rules = &load->job.compress_rules;
	size_t count;
	const struct tensor *tensors = model_tensors(model, &count);

	for (size_t i = 0; i < rules->count; i++) {
		const struct compress_rule *rule = &rules->items[i];
		size_t t = 0;

		while (t < count && compress_rules_find(rules, tensors[t].name) != rule)
			t++;
		if (t == count)
			problems_add(&load->problems, rule->place,
				     "compress.rules.%zu.match: no tensor is left for '%s'; names "
				     "are like '%s'",
				     i, rule->match, count ? tensors[0].name : "");
	}
}

struct model *job_load_model(struct job_load *load, const struct dataset *data, size_t ranks)
{
	const struct job *job = &load->job;
	const struct augment_params *augment = &job->feed_params.augment;
	const char *augmented = augment->crop ? "data.augment.crop" : "data.augment.flip";
	struct problems *problems = &load->problems;
	struct model_env env = job_model_env(job, data);
	struct model *model = NULL;
	struct error err;

	load->sample_bytes = dataset_bytes(data);
	env.max_batch = job_rank_batch(job, ranks);
	env.plan_only = true;
	if (job->params.batch > data->count)
		problems_add(problems, place_of(load, "train.batch"),
			     "train.batch: %zu is more than the %zu training samples",
			     job->params.batch, data->count);
	else if (augment_check(augment, &data->shape, &err) < 0)
		problems_add(problems, place_of(load, augmented), "%s", err.text);
	else if (job_model_new(&model, job, &env, &err) < 0 && job->layers.count)
		problems_add_line(problems, err.text);
	else if (!model)
		problems_add(problems, place_of(load, "model.preset"), "%s", err.text);
	if (model)
		check_rules(load, model);
	return model;
}

int job_load_build(struct job_load *load, size_t ranks, struct model **model, struct error *err)
{
	const struct job *job = &load->job;
	struct dataset data;

	if (dataset_describe(&job->data, job->params.seed, &data, err) < 0)
		return -1;
	*model = job_load_model(load, &data, ranks);
	dataset_release(&data);
	return 0;
}

void job_load_report(const struct job_load *load)
{
	fputs(buf_text(&load->problems.text), stderr);
}

void job_load_release(struct job_load *load)
{
	job_release(&load->job);
	settings_release(&load->given);
	settings_release(&load->resolved);
	problems_release(&load->problems);
}
