/* dstrain check: says all that is wrong with a recipe, or prints it with every default. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cmd/cmd.h"
#include "cmd/job_load.h"
#include "cmd/output.h"
#include "lib/error.h"
#include "lib/hosts.h"
#include "lib/json.h"
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

/* The settings below `prefix` ("" or "train."), nested. */
static struct json *nested(const struct settings *settings, const char *prefix)
{
	struct json *object = json_object_new();
	size_t skip = strlen(prefix);

	for (size_t i = 0; i < settings->count; i++) {
		const char *key = settings->entries[i].key;
		char *name, *inner;

		if (strncmp(key, prefix, skip) != 0)
			continue;
		name = xstrndup(key + skip, strcspn(key + skip, "."));
		inner = xasprintf("%s%s.", prefix, name);
		if (!strchr(key + skip, '.'))
			add_setting(object, name, &settings->entries[i]);
		else if (!json_get(object, name))
			json_add(object, name, nested(settings, inner));
		free(name);
		free(inner);
	}
	return object;
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

static void print_json(const struct job_load *load)
{
	struct json *result = json_object_new();

	json_add_bool(result, "valid", load->problems.count == 0);
	if (load->problems.count)
		add_problems(result, buf_text(&load->problems.text));
	else
		json_add(result, "recipe", nested(&load->resolved, ""));
	output_json(result);
	json_free(result);
}

/* The hosts file, if it is one; connects to nothing. */
static void check_hosts(struct job_load *load)
{
	const struct setting *spec = settings_find(&load->resolved, "hosts");
	size_t before = load->problems.count;
	struct hosts hosts = { 0 };
	struct error err;

	if (!spec || spec->kind != SETTING_SCALAR)
		return;
	if ((hosts_load(&hosts, spec->values[0], &load->problems, &err) < 0 ||
	     job_load_fits(load, hosts_slots(&hosts), &err) < 0) &&
	    load->problems.count == before)
		problems_add(&load->problems, spec->value_place, "%s", err.text);
	hosts_release(&hosts);
}

static int check(const struct flags *flags)
{
	const char *path = flags->operands[0];
	struct job_load load = { 0 };
	int status;

	job_load(&load, path, flags);
	check_hosts(&load);
	status = load.problems.count ? EXIT_USAGE : EXIT_DONE;
	job_load_report(&load);
	if (flags->json) {
		print_json(&load);
	} else if (status == EXIT_DONE && flags->print) {
		struct buf out = { 0 };

		settings_print(&load.resolved, &out);
		fputs(buf_text(&out), stdout);
		buf_release(&out);
	} else if (status == EXIT_DONE && !flags->quiet) {
		printf("%s: ok\n", path);
	}
	job_load_release(&load);
	return status;
}

const struct command check_command = {
	.name = "check",
	.operands = "RECIPE",
	.least = 1,
	.most = 1,
	.operand_kind = OPERAND_FILE,
	.flags = FLAG_HOSTS | FLAG_SET | FLAG_PRINT | FLAG_JSON,
	.summary = "Say what is wrong with a recipe, all at once",
	.details =
		"Starts nothing and connects to nothing. Data files must exist. With --print the "
		"recipe comes back with every default filled in, and is itself a recipe.",
	.run = check,
};
