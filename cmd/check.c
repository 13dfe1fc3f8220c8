/* dstrain check: says all that is wrong with a recipe, or prints it with every default. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cmd/cmd.h"
#include "cmd/job_load.h"
#include "cmd/layers.h"
#include "cmd/output.h"
#include "lib/error.h"
#include "lib/hosts.h"
#include "lib/json.h"
#include "lib/log.h"
#include "lib/memory.h"
#include "lib/units.h"

static void add_value(struct json *to, const char *key, const char *text)
{
	struct error err;
	uint64_t count;
	double real;

	if (units_count(&count, text, &err) == 0)
		json_add_count(to, key, count);
	else if (units_real(&real, text, &err) == 0)
		json_add_real(to, key, real);
	else
		json_add_text(to, key, text);
}

static void add_setting(struct json *to, const char *key, const struct setting *setting)
{
	if (setting->kind == SETTING_LIST) {
		struct json *list = json_array_new();

		for (size_t i = 0; i < setting->count; i++)
			add_value(list, NULL, setting->values[i]);
		json_add(to, key, list);
	} else if (setting->kind == SETTING_SCALAR) {
		add_value(to, key, setting->values[0]);
	}
}

/* Is `name` the number of the item that the list lacks next? */
static bool is_next(const struct json *list, const char *name)
{
	char *next = xasprintf("%zu", json_size(list));
	bool same = strcmp(name, next) == 0;

	free(next);
	return same;
}

/* The settings below `prefix` ("" or "train."), nested; a list where they are numbered. */
static struct json *nested(const struct settings *settings, const char *prefix)
{
	struct json *json = NULL;
	size_t skip = strlen(prefix);

	for (size_t i = 0; i < settings->count; i++) {
		const char *key = settings->entries[i].key;
		char *name, *inner;
		bool numbered;

		if (strncmp(key, prefix, skip) != 0)
			continue;
		name = xstrndup(key + skip, strcspn(key + skip, "."));
		inner = xasprintf("%s%s.", prefix, name);
		numbered = name[strspn(name, "0123456789")] == '\0';
		if (!json)
			json = numbered ? json_array_new() : json_object_new();
		if (!strchr(key + skip, '.'))
			add_setting(json, numbered ? NULL : name, &settings->entries[i]);
		else if (numbered ? is_next(json, name) : !json_get(json, name))
			json_add(json, numbered ? NULL : name, nested(settings, inner));
		free(name);
		free(inner);
	}
	return json;
}

static void add_problems(struct json *result, const char *text)
{
	struct json *list = json_array_new();

	while (*text) {
		size_t length = strcspn(text, "\n");
		char *line = xstrndup(text, length);

		json_add_text(list, NULL, line);
		free(line);
		text += length + 1;
	}
	json_add(result, "problems", list);
}

static void print_json(const struct job_load *load, const struct model *model, size_t ranks)
{
	struct json *result = json_object_new();

	json_add_bool(result, "valid", load->problems.count == 0);
	if (load->problems.count) {
		add_problems(result, buf_text(&load->problems.text));
	} else {
		json_add(result, "recipe", nested(&load->resolved, ""));
		json_add(result, "model", layers_json(load, model, ranks));
	}
	output_json(result);
	json_free(result);
}

static void print_text(const struct job_load *load, const struct model *model, size_t ranks,
		       const struct flags *flags)
{
	struct buf out = { 0 };

	if (flags->print) {
		settings_print(&load->resolved, &out);
		fputs(buf_text(&out), stdout);
		buf_release(&out);
	} else if (!flags->quiet) {
		layers_print(load, model, ranks);
		printf("%s: ok\n", flags->operands[0]);
	}
}

/* The hosts file, if it is one; connects to nothing. Returns how many ranks there would be. */
static size_t check_hosts(struct job_load *load)
{
	const struct setting *spec = settings_find(&load->resolved, "hosts");
	size_t before = load->problems.count, ranks = 1;
	struct hosts hosts = { 0 };
	struct error err;

	if (!spec || spec->kind != SETTING_SCALAR)
		return ranks;
	if (hosts_load(&hosts, spec->values[0], &load->problems, &err) == 0) {
		ranks = hosts_slots(&hosts);
		if (job_load_fits(load, ranks, &err) < 0)
			problems_add(&load->problems, spec->value_place, "%s", err.text);
	} else if (load->problems.count == before) {
		problems_add(&load->problems, spec->value_place, "%s", err.text);
	}
	hosts_release(&hosts);
	return ranks;
}

/* Labels 1 to 4 were hardly meant to be five classes. */
static void warn_of_labels(const struct dataset *data)
{
	if (data->classes == 0 || !data->targets)
		return;
	for (size_t i = 0; i < data->count * data->labels; i++)
		if (data->targets[i] < 1)
			return;
	log_warn("no training sample has label 0, but labels count from 0: there are %zu classes",
		 data->classes);
}

/* For the data as far as it has to be read; NULL after a problem. */
static struct model *check_model(struct job_load *load, size_t ranks)
{
	const struct job *job = &load->job;
	struct model *model;
	struct dataset data;
	struct error err;

	if (dataset_describe(&job->data, job->params.seed, &data, &err) < 0) {
		problems_add(&load->problems,
			     settings_find(&load->resolved, "data.format")->value_place, "%s",
			     err.text);
		return NULL;
	}
	warn_of_labels(&data);
	model = job_load_model(load, &data, ranks);
	dataset_release(&data);
	return model;
}

static int check(const struct flags *flags)
{
	struct job_load load = { 0 };
	struct model *model = NULL;
	size_t ranks;
	int status;

	job_load(&load, flags->operands[0], flags);
	ranks = check_hosts(&load);
	if (load.problems.count == 0)
		model = check_model(&load, ranks);
	status = model ? EXIT_DONE : EXIT_USAGE;
	job_load_report(&load);
	if (flags->json)
		print_json(&load, model, ranks);
	else if (model)
		print_text(&load, model, ranks, flags);
	model_free(model);
	job_load_release(&load);
	return status;
}

const struct command check_command = {
	.name = "check",
	.operands = "RECIPE",
	.least = 1,
	.most = 1,
	.operand_kind = OPERAND_FILE,
	.flags = FLAG_HOSTS | FLAG_EMULATE | FLAG_SET | FLAG_PRINT | FLAG_JSON,
	.summary = "Say what is wrong with a recipe, all at once",
	.details =
		"Starts nothing and connects to nothing. Of a good recipe, shows the layers of the "
		"model with what comes out of each, their parameters, operations and memory. Data "
		"files must exist, and are read as far as a model has to know them. With --print "
		"the recipe comes back with every default filled in, and is itself a recipe.",
	.run = check,
};
