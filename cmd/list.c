/* dstrain list: what a recipe can name, and the options of each, from the registries. */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "cmd/cmd.h"
#include "cmd/output.h"
#include "lib/buf.h"
#include "lib/json.h"
#include "lib/log.h"
#include "lib/memory.h"
#include "lib/opt.h"
#include "lib/suggest.h"
#include "lib/table.h"
#include "lib/terminal.h"
#include "runtime/job.h"

static const struct job_section *section_of(const struct registry *registry)
{
	for (const struct job_section *s = job_sections; s->prefix; s++)
		if (s->registry == registry)
			return s;
	return NULL;
}

static void print_entries(const struct registry *registry)
{
	struct table table = { .align = "ll", .indent = 2, .width = terminal_width(STDOUT_FILENO) };

	for (size_t i = 0; registry->entries[i]; i++) {
		table_add(&table, "%s", registry->entries[i]->name);
		table_add(&table, "%s", registry->entries[i]->summary);
	}
	output_table(&table);
	table_release(&table);
}

static void print_overview(const struct style *style)
{
	for (size_t i = 0; job_registries[i]; i++) {
		printf("%s%s%s%s\n", i ? "\n" : "", style->bold, job_registries[i]->category,
		       style->reset);
		print_entries(job_registries[i]);
	}
	printf("\nSee `dstrain list CATEGORY` for the options of each.\n");
}

static const char *default_text(const struct opt *row)
{
	if (!row->fallback)
		return "required";
	return row->fallback[0] ? row->fallback : "-";
}

static void print_options(const struct opt *options)
{
	struct table table = { .align = "llll",
			       .indent = 4,
			       .width = terminal_width(STDOUT_FILENO) };

	for (const struct opt *row = options; row && row->key; row++) {
		struct buf type = { 0 };

		opt_describe(row, &type);
		table_add(&table, "%s", row->key);
		table_add(&table, "%s", default_text(row));
		table_add(&table, "%s", buf_text(&type));
		table_add(&table, "%s", row->summary);
		buf_release(&type);
	}
	output_table(&table);
	table_release(&table);
}

static void print_category(const struct registry *registry, const struct style *style)
{
	const struct job_section *section = section_of(registry);

	for (size_t i = 0; registry->entries[i]; i++) {
		const struct entry *entry = registry->entries[i];

		if (i && (entry->options || registry->entries[i - 1]->options))
			printf("\n");
		printf("%s%s%s  %s\n", style->bold, entry->name, style->reset, entry->summary);
		print_options(entry->options);
	}
	if (section && section->options) {
		printf("\nWith every %s:\n", registry->noun);
		print_options(section->options);
	}
	if (section)
		printf("\nIn a recipe: `%s: {%s: %s}`\n", section->prefix, section->key,
		       registry->entries[0]->name);
}

/* For the README: it cannot drift if a test compares it with this. */
static void print_markdown(const struct registry *registry)
{
	struct table table = { .align = "lll" };
	struct buf out = { 0 };

	table_add(&table, "Name");
	table_add(&table, "What it does");
	table_add(&table, "Options");
	for (size_t i = 0; registry->entries[i]; i++) {
		const struct entry *entry = registry->entries[i];
		struct buf options = { 0 };

		for (const struct opt *row = entry->options; row && row->key; row++)
			buf_addf(&options, "%s`%s`", options.length ? ", " : "", row->key);
		table_add(&table, "`%s`", entry->name);
		table_add(&table, "%s", entry->summary);
		table_add(&table, "%s", buf_text(&options));
		buf_release(&options);
	}
	table_print_markdown(&table, &out);
	fputs(buf_text(&out), stdout);
	buf_release(&out);
	table_release(&table);
}

static struct json *options_json(const struct opt *options)
{
	struct json *list = json_array_new();

	for (const struct opt *row = options; row && row->key; row++) {
		struct json *item = json_object_new();
		struct buf type = { 0 };

		opt_describe(row, &type);
		json_add_text(item, "key", row->key);
		json_add_text(item, "type", buf_text(&type));
		json_add_text(item, "default", row->fallback);
		json_add_text(item, "summary", row->summary);
		json_add(list, NULL, item);
		buf_release(&type);
	}
	return list;
}

static struct json *registry_json(const struct registry *registry)
{
	struct json *list = json_array_new();

	for (size_t i = 0; registry->entries[i]; i++) {
		struct json *item = json_object_new();

		json_add_text(item, "name", registry->entries[i]->name);
		json_add_text(item, "summary", registry->entries[i]->summary);
		json_add(item, "options", options_json(registry->entries[i]->options));
		json_add(list, NULL, item);
	}
	return list;
}

/* Of one category, or of all if `only` is NULL. */
static void print_json(const struct registry *only)
{
	struct json *result = json_object_new();

	for (size_t i = 0; job_registries[i]; i++)
		if (!only || only == job_registries[i])
			json_add(result, job_registries[i]->category,
				 registry_json(job_registries[i]));
	output_json(result);
	json_free(result);
}

/* NULL after saying that there is no such category. */
static const struct registry *find_category(const char *word)
{
	const char *names[32];
	const char *near;
	size_t count = 0;

	for (; job_registries[count] && count < ARRAY_SIZE(names); count++) {
		names[count] = job_registries[count]->category;
		if (strcmp(names[count], word) == 0)
			return job_registries[count];
	}
	near = suggest(word, names, count);
	if (near)
		log_error("no category '%s'; did you mean '%s'?", word, near);
	else
		log_error("no category '%s'; see `dstrain list`", word);
	return NULL;
}

static int list(const struct flags *flags)
{
	struct style style = terminal_style(STDOUT_FILENO, flags->color);
	const struct registry *registry = NULL;

	if (flags->operand_count) {
		registry = find_category(flags->operands[0]);
		if (!registry)
			return EXIT_USAGE;
	}
	if (flags->markdown && !registry) {
		log_error("'--markdown' needs a category, such as `dstrain list sync --markdown`");
		return EXIT_USAGE;
	}
	if (flags->json)
		print_json(registry);
	else if (flags->markdown)
		print_markdown(registry);
	else if (registry)
		print_category(registry, &style);
	else
		print_overview(&style);
	return EXIT_DONE;
}

const struct command list_command = {
	.name = "list",
	.operands = "[CATEGORY]",
	.most = 1,
	.operand_kind = OPERAND_CATEGORY,
	.flags = FLAG_JSON | FLAG_MARKDOWN,
	.summary = "Show what a recipe can name: strategies, models, data formats ...",
	.details = "With a category, also the options of each with their defaults and ranges.",
	.run = list,
};
