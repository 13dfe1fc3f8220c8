/* dstrain ps: the runs of this user on this machine. */
#include "cmd/cmd.h"
#include "cmd/moment.h"
#include "cmd/output.h"
#include "lib/error.h"
#include "lib/json.h"
#include "lib/log.h"
#include "lib/runs.h"
#include "lib/table.h"

static void add_row(struct table *table, const struct run *run)
{
	char started[MOMENT_TEXT];
	unsigned long long steps = json_get_count(run->facts, "steps", 0);

	table_add(table, "%s", run->name);
	table_add(table, "%s", run_state(run));
	if (steps)
		table_add(table, "%llu/%llu", json_get_count(run->facts, "step", 0), steps);
	else
		table_add(table, "-");
	table_add(table, "%s", moment_show(started, json_get_real(run->facts, "started", 0)));
	if (run->live)
		table_add(table, "%llu", json_get_count(run->facts, "pid", 0));
	else
		table_add(table, "-");
	table_add(table, "%s", run->dir);
}

static void print_table(const struct run *runs, size_t count)
{
	struct table table = { .align = "llrlrl" };

	if (!count)
		return;
	table_head(&table, (const char *const[]){ "name", "state", "step", "started", "pid",
						  "directory", NULL });
	for (size_t i = 0; i < count; i++)
		add_row(&table, &runs[i]);
	output_table(&table);
	table_release(&table);
}

/* Takes the facts over. */
static void print_json(struct run *runs, size_t count)
{
	struct json *object = json_object_new(), *list = json_array_new();

	for (size_t i = 0; i < count; i++) {
		json_add(list, NULL, runs[i].facts);
		runs[i].facts = NULL;
	}
	json_add(object, "runs", list);
	output_json(object);
	json_free(object);
}

static int ps(const struct flags *flags)
{
	struct run *runs;
	struct error err;
	size_t count;

	if (runs_list(&runs, &count, &err) < 0) {
		log_error("%s", err.text);
		return EXIT_FAILED;
	}
	if (flags->json)
		print_json(runs, count);
	else
		print_table(runs, count);
	if (!count && !flags->json)
		log_info("no runs; start one with `dstrain run`");
	runs_free(runs, count);
	return EXIT_DONE;
}

const struct command ps_command = {
	.name = "ps",
	.operands = "",
	.flags = FLAG_JSON,
	.summary = "List your runs on this machine",
	.details = "Runs that go on, and those that ended, for as long as their directories exist.",
	.run = ps,
};
