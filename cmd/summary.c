/* The end of a run, for people as a table and for programs as JSON. */
#include "cmd/summary.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cmd/output.h"
#include "lib/error.h"
#include "lib/clock.h"
#include "lib/json.h"
#include "lib/log.h"
#include "lib/memory.h"
#include "lib/numbers.h"
#include "lib/plan.h"
#include "lib/status.h"
#include "lib/table.h"
#include "lib/units.h"

static void add_percent(struct table *table, double part)
{
	if (isnan(part))
		table_add(table, "-");
	else
		table_add(table, "%.2f %%", 100 * part);
}

static bool has_worst(const struct json *evals)
{
	for (size_t i = 0; i < json_size(evals); i++)
		if (!isnan(json_get_real(json_at(evals, i), "worst_accuracy", NAN)))
			return true;
	return false;
}

static void print_evals(const struct json *evals)
{
	bool worst = evals && has_worst(evals);
	struct table table = { .align = worst ? "rrrrrrr" : "rrrrrr" };

	if (!evals)
		return;
	table_head(&table,
		   worst ? (const char *const[]){ "epoch", "step", "train loss", "test loss",
						  "accuracy", "seconds", "worst rank", NULL }
			 : (const char *const[]){ "epoch", "step", "train loss", "test loss",
						  "accuracy", "seconds", NULL });
	for (size_t i = 0; i < json_size(evals); i++) {
		const struct json *eval = json_at(evals, i);

		table_add(&table, "%llu", json_get_count(eval, "epoch", 0));
		table_add(&table, "%llu", json_get_count(eval, "step", 0));
		table_add(&table, "%.4f", json_get_real(eval, "train_loss", NAN));
		table_add(&table, "%.4f", json_get_real(eval, "test_loss", NAN));
		add_percent(&table, json_get_real(eval, "accuracy", NAN));
		table_add(&table, "%.1f", json_get_real(eval, "elapsed_s", NAN));
		if (worst)
			add_percent(&table, json_get_real(eval, "worst_accuracy", NAN));
	}
	output_table(&table);
	printf("\n");
	table_release(&table);
}

static void print_plan(struct table *table, const struct json *plan)
{
	double measured = json_get_real(plan, "measured_s", NAN);
	double predicted = json_get_real(plan, "predicted_s", NAN);

	if (!plan)
		return;
	table_add(table, "plan");
	table_add(table, "%s", json_get_text(plan, "name"));
	table_add(table, "step");
	if (isnan(measured))
		table_add(table, "%.3g s predicted", predicted);
	else
		table_add(table, "%.3g s predicted, %.3g s measured", predicted, measured);
}

static const char *show_bytes(char *text, size_t size, const struct json *result, const char *key)
{
	return units_show_bytes(text, size, (double)json_get_count(result, key, 0));
}

static void print_traffic(struct table *table, const struct json *result)
{
	double ratio = json_get_real(result, "compression_ratio", NAN);
	double bits = json_get_real(result, "bits_per_coordinate", 8 * sizeof(float));
	char sent[32], payload[32], header[32], control[32];

	table_add(table, "sent");
	table_add(table, "%s: payload %s, headers %s, control %s",
		  show_bytes(sent, sizeof(sent), result, "bytes_sent"),
		  show_bytes(payload, sizeof(payload), result, "payload_sent"),
		  show_bytes(header, sizeof(header), result, "header_sent"),
		  show_bytes(control, sizeof(control), result, "control_sent"));
	if (isnan(ratio) || bits == 8 * sizeof(float)) /* nothing was compressed */
		return;
	table_add(table, "compression");
	table_add(table, "ratio %.2f, %.2f bits a number", ratio, bits);
}

void summary_print(const struct json *result)
{
	unsigned long long world = json_get_count(result, "world", 0),
			   hosts = json_get_count(result, "hosts", 0);
	struct table table = { .align = "ll" };
	char time[32];

	print_evals(json_get(result, "evaluations"));
	table_add(&table, "model");
	table_add(&table, "%llu parameters, %llu rank%s on %llu host%s",
		  json_get_count(result, "parameters", 0), world, world == 1 ? "" : "s", hosts,
		  hosts == 1 ? "" : "s");
	table_add(&table, "trained");
	table_add(&table, "%llu steps in %s, %.0f samples/s", json_get_count(result, "step", 0),
		  units_show_seconds(time, sizeof(time), json_get_real(result, "elapsed_s", 0)),
		  json_get_real(result, "samples_per_s", 0));
	print_plan(&table, json_get(result, "plan"));
	print_traffic(&table, result);
	table_add(&table, "model file");
	table_add(&table, "%s/checkpoints/step-%llu/model.safetensors",
		  json_get_text(result, "run_dir"), json_get_count(result, "checkpoint_step", 0));
	output_table(&table);
	table_release(&table);
}

/* The median of the means over whole periods of the plan: its phases differ. NAN: there is none. */
static double measured_step(const struct progress_totals *totals, size_t period)
{
	size_t count = totals->step_count / period;
	double *means = xcalloc(count, sizeof(*means)), median;

	for (size_t i = 0; i < count * period; i++)
		means[i / period] += totals->step_s[i] / (double)period;
	median = numbers_median(means, count);
	free(means);
	return median;
}

static struct json *plan_result(const struct plan *plan, const struct progress_totals *totals)
{
	struct json *json = json_object_new();

	json_add_text(json, "name", plan->name);
	json_add_real(json, "predicted_s", plan->step_s);
	json_add_real(json, "measured_s", measured_step(totals, (size_t)plan->schedule.phases));
	return json;
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

static struct json *evaluations(const struct progress_totals *totals)
{
	struct json *list = json_array_new();

	for (size_t i = 0; i < totals->eval_count; i++) {
		const struct progress_eval *eval = &totals->evals[i];
		struct json *json = json_object_new();

		json_add_count(json, "epoch", eval->epoch);
		json_add_count(json, "step", eval->step);
		json_add_real(json, "train_loss", eval->train_loss);
		json_add_real(json, "test_loss", eval->loss);
		json_add_real(json, "accuracy", eval->accuracy);
		progress_add_worst(json, eval);
		json_add_real(json, "elapsed_s", eval->elapsed_s);
		json_add(list, NULL, json);
	}
	return list;
}

struct json *summary_json(const struct summary *summary)
{
	const struct progress_totals *totals = &summary->totals;
	struct json *json = json_object_new();

	json_add_text(json, "kind", "result");
	json_add_text(json, "result", end_name(summary->end));
	json_add_text(json, "state", end_name(summary->end));
	json_add_count(json, "exit_status", (uint64_t)summary->exit_status);
	if (summary->end > SUPERVISE_STOPPED)
		json_add_text(json, "error", summary->why->text);
	if (summary->report && summary->report[0])
		json_add_text(json, "report", summary->report);
	json_add_text(json, "name", summary->name);
	json_add_text(json, "run_dir", summary->rundir);
	json_add_count(json, "pid", (uint64_t)getpid());
	json_add_real(json, "started", summary->started);
	json_add_real(json, "ended", clock_wall());
	json_add_count(json, "world", summary->world);
	json_add_count(json, "hosts", summary->hosts);
	json_add_count(json, "parameters", totals->parameters);
	json_add_count(json, "checkpoint_step", summary->checkpoint_step);
	status_add_totals(json, totals);
	if (totals->eval_count)
		json_add(json, "evaluations", evaluations(totals));
	if (summary->plan)
		json_add(json, "plan", plan_result(summary->plan, totals));
	return json;
}

void summary_tell(const struct json *result)
{
	const char *state = json_get_text(result, "state"),
		   *path = json_get_text(result, "run_dir");
	const char *error = json_get_text(result, "error"),
		   *report = json_get_text(result, "report");
	unsigned long long saved = json_get_count(result, "checkpoint_step", 0);

	if (strcmp(state, "done") == 0)
		return;
	if (error)
		log_error("%s", error);
	fputs(report ? report : "", stderr);
	if (!saved && !error)
		log_info("stopped before the first step");
	else if (!error)
		log_info("stopped after step %llu; go on with: dstrain resume %s",
			 json_get_count(result, "step", 0), path);
	else if (saved)
		log_info("the checkpoint of step %llu is kept; go on with: dstrain resume %s",
			 saved, path);
}
