/* dstrain status: what there is to say of one run. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cmd/cmd.h"
#include "cmd/moment.h"
#include "cmd/output.h"
#include "lib/error.h"
#include "lib/json.h"
#include "lib/log.h"
#include "lib/runs.h"
#include "lib/table.h"
#include "lib/units.h"

static void add_seconds(struct table *table, const struct json *facts, const char *key,
			const char *label)
{
	double seconds = json_get_real(facts, key, NAN);
	char text[32];

	if (isnan(seconds))
		return;
	table_add(table, "%s", label);
	table_add(table, "%s", units_show_seconds(text, sizeof(text), seconds));
}

static void add_training(struct table *table, const struct json *facts)
{
	double loss = json_get_real(facts, "loss", NAN);
	double accuracy = json_get_real(facts, "accuracy", NAN);

	if (!json_get_count(facts, "steps", 0))
		return;
	table_add(table, "step");
	table_add(table, "%llu of %llu", json_get_count(facts, "step", 0),
		  json_get_count(facts, "steps", 0));
	table_add(table, "epoch");
	table_add(table, "%llu of %llu", json_get_count(facts, "epoch", 0),
		  json_get_count(facts, "epochs", 0));
	if (!isnan(loss)) {
		table_add(table, "loss");
		table_add(table, "%.4f", loss);
	}
	if (!isnan(accuracy)) {
		table_add(table, "accuracy");
		table_add(table, "%.2f %%", 100 * accuracy);
	}
	table_add(table, "speed");
	table_add(table, "%.0f samples/s", json_get_real(facts, "samples_per_s", 0));
	add_seconds(table, facts, "elapsed_s", "trained for");
	if (json_get_count(facts, "checkpoint_step", 0)) {
		table_add(table, "last checkpoint");
		table_add(table, "step %llu", json_get_count(facts, "checkpoint_step", 0));
	}
}

static void print_run(const struct run *run)
{
	struct table table = { .align = "ll" };
	const char *error = json_get_text(run->facts, "error");
	char started[MOMENT_TEXT];

	table_add(&table, "run");
	table_add(&table, "%s", run->dir);
	table_add(&table, "state");
	table_add(&table, "%s", run_state(run));
	if (error) {
		table_add(&table, "why");
		table_add(&table, "%s", error);
	}
	table_add(&table, "started");
	table_add(&table, "%s", moment_show(started, json_get_real(run->facts, "started", 0)));
	add_training(&table, run->facts);
	if (run->live)
		add_seconds(&table, run->facts, "left_s", "left");
	output_table(&table);
	table_release(&table);
}

static void add_rank(struct table *table, const struct json *rank)
{
	uint64_t resident = json_get_count(rank, "resident_bytes", 0);
	char memory[32], heard[32];

	table_add(table, "%llu", json_get_count(rank, "rank", 0));
	table_add(table, "%s", json_get_text(rank, "host"));
	table_add(table, "%s", json_get_text(rank, "state"));
	table_add(table, "%s ago",
		  units_show_seconds(heard, sizeof(heard), json_get_real(rank, "heard_s", 0)));
	table_add(table, "%s",
		  resident ? units_show_bytes(memory, sizeof(memory), (double)resident) : "-");
}

static void print_ranks(const struct json *ranks)
{
	struct table table = { .align = "rllrr" };

	if (!ranks || !json_size(ranks))
		return;
	table_head(&table,
		   (const char *const[]){ "rank", "host", "state", "heard", "memory", NULL });
	for (size_t i = 0; i < json_size(ranks); i++)
		add_rank(&table, json_at(ranks, i));
	printf("\n");
	output_table(&table);
	table_release(&table);
}

static int status(const struct flags *flags)
{
	struct run run;
	struct error err;

	if (run_find(&run, flags->operands[0], &err) < 0) {
		log_error("%s", err.text);
		return EXIT_USAGE;
	}
	if (flags->json) {
		output_json(run.facts);
	} else {
		print_run(&run);
		print_ranks(json_get(run.facts, "ranks"));
		if (strcmp(run_state(&run), "killed") == 0) {
			char *remedy = run_remedy(&run);

			log_info("its orchestrator was killed; %s", remedy);
			free(remedy);
		}
	}
	run_release(&run);
	return EXIT_DONE;
}

const struct command status_command = {
	.name = "status",
	.operands = "RUN",
	.least = 1,
	.most = 1,
	.operand_kind = OPERAND_DIRECTORY,
	.flags = FLAG_JSON,
	.summary = "Say how far a run is, and how its ranks are",
	.details = "RUN is a run directory, or a name as `dstrain ps` shows it. Of a run that "
		   "ended it says how.",
	.run = status,
};
