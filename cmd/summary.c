/* The end of a run, for people as a table and for programs as JSON. */
#include "cmd/summary.h"

#include <math.h>
#include <stdio.h>

#include "lib/buf.h"
#include "lib/error.h"
#include "lib/json.h"
#include "lib/table.h"
#include "lib/units.h"

static void print_evals(const struct progress_totals *totals)
{
	struct table table = { .align = "rrrrrr" };
	struct buf out = { 0 };

	if (!totals->eval_count)
		return;
	for (const char *const *head =
		     (const char *const[]){ "epoch", "step", "train loss", "test loss", "accuracy",
					    "seconds", NULL };
	     *head; head++)
		table_add(&table, "%s", *head);
	for (size_t i = 0; i < totals->eval_count; i++) {
		const struct progress_eval *eval = &totals->evals[i];

		table_add(&table, "%llu", (unsigned long long)eval->epoch);
		table_add(&table, "%llu", (unsigned long long)eval->step);
		table_add(&table, "%.4f", eval->train_loss);
		table_add(&table, "%.4f", eval->loss);
		if (isnan(eval->accuracy))
			table_add(&table, "-");
		else
			table_add(&table, "%.2f %%", 100 * eval->accuracy);
		table_add(&table, "%.1f", eval->elapsed_s);
	}
	table_print(&table, &out);
	printf("%s\n", buf_text(&out));
	table_release(&table);
	buf_release(&out);
}

static double samples_per_s(const struct progress_totals *totals)
{
	return totals->here_s > 0 ? (double)totals->samples_seen / totals->here_s : 0;
}

void summary_print(const struct summary *summary)
{
	const struct progress_totals *totals = &summary->totals;
	struct table table = { .align = "ll" };
	struct buf out = { 0 };
	char time[32], sent[32], payload[32];

	print_evals(totals);
	table_add(&table, "model");
	table_add(&table, "%llu parameters, %zu rank%s on %zu host%s",
		  (unsigned long long)totals->parameters, summary->world,
		  summary->world == 1 ? "" : "s", summary->hosts, summary->hosts == 1 ? "" : "s");
	table_add(&table, "trained");
	table_add(&table, "%llu steps in %s, %.0f samples/s", (unsigned long long)totals->step,
		  units_show_seconds(time, sizeof(time), totals->elapsed_s), samples_per_s(totals));
	table_add(&table, "sent");
	table_add(&table, "%s, %s of it payload",
		  units_show_bytes(sent, sizeof(sent), (double)totals->bytes_sent),
		  units_show_bytes(payload, sizeof(payload), (double)totals->payload_sent));
	table_add(&table, "model file");
	table_add(&table, "%s/checkpoints/step-%llu/model.safetensors", summary->rundir,
		  (unsigned long long)summary->checkpoint_step);
	table_print(&table, &out);
	fputs(buf_text(&out), stdout);
	table_release(&table);
	buf_release(&out);
}

static const char *end_name(enum supervise_end end)
{
	static const char *const names[] = { [SUPERVISE_DONE] = "done",
					     [SUPERVISE_STOPPED] = "stopped",
					     [SUPERVISE_ABORTED] = "aborted",
					     [SUPERVISE_FAILED] = "failed",
					     [SUPERVISE_LOST] = "lost" };

	return names[end];
}

void summary_print_json(const struct summary *summary)
{
	const struct progress_totals *totals = &summary->totals;
	struct json *json = json_object_new();
	struct buf out = { 0 };

	json_add_text(json, "result", end_name(summary->end));
	json_add_count(json, "exit_status", (uint64_t)summary->exit_status);
	if (summary->end > SUPERVISE_STOPPED)
		json_add_text(json, "error", summary->why->text);
	json_add_text(json, "name", summary->name);
	json_add_text(json, "run_dir", summary->rundir);
	json_add_count(json, "world", summary->world);
	json_add_count(json, "hosts", summary->hosts);
	json_add_count(json, "parameters", totals->parameters);
	json_add_count(json, "step", totals->step);
	json_add_count(json, "steps", totals->steps);
	json_add_count(json, "checkpoint_step", summary->checkpoint_step);
	json_add_real(json, "loss", totals->last_loss);
	if (totals->eval_count) {
		json_add_real(json, "test_loss", totals->evals[totals->eval_count - 1].loss);
		json_add_real(json, "accuracy", totals->evals[totals->eval_count - 1].accuracy);
	}
	json_add_real(json, "elapsed_s", totals->elapsed_s);
	json_add_real(json, "samples_per_s", samples_per_s(totals));
	json_add_count(json, "bytes_sent", totals->bytes_sent);
	json_add_count(json, "payload_sent", totals->payload_sent);
	json_print(json, 2, &out);
	fputs(buf_text(&out), stdout);
	buf_release(&out);
	json_free(json);
}
