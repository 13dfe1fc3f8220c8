/* What the ranks report, put together. */
#include "lib/progress.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/buf.h"
#include "lib/clock.h"
#include "lib/control.h"
#include "lib/error.h"
#include "lib/file.h"
#include "lib/json.h"
#include "lib/log.h"
#include "lib/memory.h"
#include "lib/post.h"
#include "lib/terminal.h"
#include "lib/units.h"

#define LIVE_S	0.1 /* between two pictures of the live line */
#define PLAIN_S 10.0

/* A step or evaluation that some ranks have not reported yet. */
struct record {
	bool eval;
	uint64_t step;
	uint32_t reported;
	struct control_step *parts; /* [world]; step 0: not yet */
};

struct progress {
	struct progress_env env;
	char *path;
	FILE *metrics;
	struct record *records;
	size_t record_count;
	struct progress_totals totals;
	struct progress_eval *evals;
	double *step_s;
	double began, shown, rated, epoch_loss;
	uint64_t epoch_samples;
	uint64_t here_samples, rated_bytes;
	uint64_t labels; /* of one sample */
	double rate_bytes_per_s;
	bool accuracy;
	bool asynchronous; /* a step is whatever as many reports as there are ranks tell of */
	uint64_t reports;
	struct drift drift; /* of the last step */
};

static bool line_is_shown; /* the terminal's cursor is on a live line */

void progress_hide(void)
{
	if (line_is_shown)
		fputs("\r\033[K", stderr);
	line_is_shown = false;
}

/* Keeps the lines of steps up to env->start_step. */
static int trim_metrics(const struct progress_env *env, struct error *err)
{
	struct buf text = { 0 }, kept = { 0 };
	struct error ignored;
	char *line, *end;
	int status;

	if (!file_exists(env->metrics_path))
		return 0;
	status = file_read(&text, env->metrics_path, SIZE_MAX / 2, err);
	for (line = text.data; status == 0 && line && (end = strchr(line, '\n')); line = end + 1) {
		struct json *json = json_parse(line, (size_t)(end - line), &ignored);

		if (json && json_get_count(json, "step", UINT64_MAX) <= env->start_step)
			buf_add(&kept, line, (size_t)(end + 1 - line));
		json_free(json);
	}
	if (status == 0)
		status = file_write(env->metrics_path, kept.data, kept.length, err);
	buf_release(&text);
	buf_release(&kept);
	return status;
}

struct progress *progress_open(const struct progress_env *env, struct error *err)
{
	struct progress *progress;

	if (trim_metrics(env, err) < 0)
		return NULL;
	progress = xcalloc(1, sizeof(*progress));
	progress->env = *env;
	progress->env.metrics_path = progress->path = xstrdup(env->metrics_path);
	progress->totals.last_loss = NAN;
	progress->totals.step = progress->totals.start_step = env->start_step;
	progress->metrics = fopen(env->metrics_path, "ae");
	if (!progress->metrics) {
		error_set(err, "cannot write '%s': %s", env->metrics_path, strerror(errno));
		free(progress->path);
		free(progress);
		return NULL;
	}
	if (env->live)
		log_before_line(progress_hide);
	return progress;
}

void progress_begin(struct progress *progress, const struct control_ready *ready)
{
	progress->totals.steps = ready->steps;
	progress->totals.steps_per_epoch = ready->steps_per_epoch;
	progress->totals.parameters = ready->parameters;
	progress->accuracy = ready->accuracy;
	progress->asynchronous = ready->asynchronous;
	progress->drift = drift_none();
	progress->labels = ready->labels ? ready->labels : 1;
	progress->began = progress->shown = progress->rated = clock_now();
}

double progress_elapsed(const struct progress *progress)
{
	return progress->env.elapsed_s + (progress->began > 0 ? clock_now() - progress->began : 0);
}

static uint64_t epoch_of(const struct progress *progress, uint64_t step)
{
	uint64_t per_epoch = progress->totals.steps_per_epoch;

	return per_epoch && step ? (step - 1) / per_epoch + 1 : 0;
}

static int write_line(struct progress *progress, struct json *json, struct error *err)
{
	struct buf line = { 0 };
	int status = 0;

	json_print(json, 0, &line);
	buf_add(&line, "\n", 1);
	if (fwrite(line.data, 1, line.length, progress->metrics) != line.length ||
	    fflush(progress->metrics) != 0)
		status = error_set(err, "cannot write '%s': %s", progress->env.metrics_path,
				   strerror(errno));
	buf_release(&line);
	json_free(json);
	return status;
}

/* Sums and means over the ranks, in rank order. */
static struct control_step merge(const struct progress *progress, const struct record *record)
{
	struct control_step sum = { .step = record->step, .lr = record->parts[0].lr };
	double n = progress->env.world;

	for (uint32_t i = 0; i < progress->env.world; i++) {
		const struct control_step *part = &record->parts[i];

		sum.loss_sum += part->loss_sum;
		sum.correct += part->correct;
		sum.count += part->count;
		sum.gradient_norm += part->gradient_norm / n;
		sum.data_s += part->data_s / n;
		sum.compute_s += part->compute_s / n;
		sum.comm_s += part->comm_s / n;
		sum.exposed_comm_s += part->exposed_comm_s / n;
		sum.step_s += part->step_s / n;
		traffic_add(&sum.traffic, &part->traffic);
		sum.level += part->level / n;
	}
	sum.drift =
		drift_merge(&record->parts[0].drift, sizeof(*record->parts), progress->env.world);
	return sum;
}

static int write_step(struct progress *progress, const struct control_step *sum, struct error *err)
{
	struct json *json = json_object_new();

	json_add_text(json, "kind", "step");
	json_add_count(json, "step", sum->step);
	json_add_count(json, "epoch", epoch_of(progress, sum->step));
	json_add_real(json, "loss", sum->loss_sum / (double)sum->count);
	json_add_real(json, "lr", sum->lr);
	json_add_real(json, "gradient_norm", sum->gradient_norm);
	json_add_real(json, "samples_per_s", (double)sum->count / sum->step_s);
	json_add_real(json, "data_s", sum->data_s);
	json_add_real(json, "compute_s", sum->compute_s);
	json_add_real(json, "comm_s", sum->comm_s);
	json_add_real(json, "exposed_comm_s", sum->exposed_comm_s);
	traffic_add_json(json, &sum->traffic);
	if (sum->level > 0)
		json_add_real(json, "compress_level", sum->level);
	drift_add_json(json, &sum->drift);
	json_add_real(json, "elapsed_s", progress_elapsed(progress));
	return write_line(progress, json, err);
}

void progress_add_worst(struct json *to, const struct progress_eval *eval)
{
	if (!isnan(eval->worst_loss))
		json_add_real(to, "worst_loss", eval->worst_loss);
	if (!isnan(eval->worst_accuracy))
		json_add_real(to, "worst_accuracy", eval->worst_accuracy);
}

static int write_eval(struct progress *progress, const struct progress_eval *eval,
		      const struct traffic *traffic, struct error *err)
{
	struct json *json = json_object_new();

	json_add_text(json, "kind", "eval");
	json_add_count(json, "step", eval->step);
	json_add_count(json, "epoch", eval->epoch);
	json_add_real(json, "loss", eval->loss);
	json_add_real(json, "accuracy", eval->accuracy);
	progress_add_worst(json, eval);
	traffic_add_json(json, traffic);
	json_add_real(json, "elapsed_s", eval->elapsed_s);
	return write_line(progress, json, err);
}

static double samples_per_s(const struct progress *progress)
{
	double seconds = clock_now() - progress->began;

	return seconds > 0 ? (double)progress->here_samples / seconds : 0;
}

static uint64_t epochs(const struct progress *progress)
{
	return epoch_of(progress, progress->totals.steps);
}

static void add_common(const struct progress *progress, const char *gap, struct buf *line)
{
	const struct progress_totals *t = &progress->totals;

	buf_addf(line, "epoch %llu/%llu%sstep %llu/%llu%sloss %.4f",
		 (unsigned long long)epoch_of(progress, t->step),
		 (unsigned long long)epochs(progress), gap, (unsigned long long)t->step,
		 (unsigned long long)t->steps, gap, t->last_loss);
}

static void measure_rate(struct progress *progress)
{
	uint64_t all = traffic_sent(&progress->totals.traffic);
	uint64_t sent = all - progress->rated_bytes;
	double now = clock_now();

	if (now < progress->rated + LIVE_S)
		return;
	progress->rate_bytes_per_s =
		0.8 * progress->rate_bytes_per_s + 0.2 * (double)sent / (now - progress->rated);
	progress->rated = now;
	progress->rated_bytes = all;
}

static void draw(const struct progress *progress, struct buf *full, struct buf *narrow)
{
	const struct progress_totals *t = &progress->totals;
	double seconds = clock_now() - progress->began;
	double done = (double)(t->step - progress->env.start_step);
	double left = done > 0 ? seconds / done * (double)(t->steps - t->step) : 0;
	char rate_text[32], left_text[32], ratio_text[32], drift_text[112];

	traffic_show_ratio(ratio_text, sizeof(ratio_text), &t->traffic);
	units_show_rate(rate_text, sizeof(rate_text), progress->rate_bytes_per_s);
	units_show_seconds(left_text, sizeof(left_text), left);
	add_common(progress, "  ", full);
	add_common(progress, " ", narrow);
	if (t->eval_count && progress->accuracy) {
		double percent = 100 * t->evals[t->eval_count - 1].accuracy;

		buf_addf(full, "  accuracy %.2f %%", percent);
		buf_addf(narrow, " %.2f %%", percent);
	}
	buf_addf(full, "  %.0f samples/s  %s%s%s  left %s", samples_per_s(progress), rate_text,
		 ratio_text[0] ? "  " : "", ratio_text, left_text);
	buf_addf(full, "%s", drift_show(drift_text, sizeof(drift_text), &progress->drift));
	/* What matters least stands last. */
	buf_addf(narrow, " left %s %.0f/s %s %s", left_text, samples_per_s(progress), rate_text,
		 ratio_text);
}

void progress_show(const char *full, const char *narrow)
{
	size_t width = terminal_width(STDERR_FILENO) - 1;

	/* One that wraps could not be rewritten. */
	fprintf(stderr, "\r\033[K%.*s", (int)width, strlen(full) > width ? narrow : full);
	line_is_shown = true;
}

void progress_post(const struct progress *progress, struct post *post)
{
	struct buf full = { 0 }, narrow = { 0 };

	if (!post_wants_picture(post))
		return;
	draw(progress, &full, &narrow);
	post_picture(post, buf_text(&full), buf_text(&narrow));
	buf_release(&full);
	buf_release(&narrow);
}

static void show_live(struct progress *progress)
{
	struct buf full = { 0 }, narrow = { 0 };

	draw(progress, &full, &narrow);
	progress_show(buf_text(&full), buf_text(&narrow));
	buf_release(&full);
	buf_release(&narrow);
	progress->shown = clock_now();
}

static void show_step(struct progress *progress)
{
	double since = clock_now() - progress->shown;

	if (progress->env.quiet)
		return;
	if (progress->env.live) {
		if (since >= LIVE_S)
			show_live(progress);
	} else if (since >= PLAIN_S) {
		log_progress("epoch %llu/%llu, step %llu/%llu: loss %.4f, %.0f samples/s",
			     (unsigned long long)epoch_of(progress, progress->totals.step),
			     (unsigned long long)epochs(progress),
			     (unsigned long long)progress->totals.step,
			     (unsigned long long)progress->totals.steps, progress->totals.last_loss,
			     samples_per_s(progress));
		progress->shown = clock_now();
	}
}

static int finish_step(struct progress *progress, const struct record *record, struct error *err)
{
	struct control_step sum = merge(progress, record);
	struct progress_totals *t = &progress->totals;

	if (sum.count == 0)
		return error_set(err, "step %llu had no samples", (unsigned long long)sum.step);
	if ((sum.step - 1) % t->steps_per_epoch == 0) {
		progress->epoch_loss = 0;
		progress->epoch_samples = 0;
	}
	progress->epoch_loss += sum.loss_sum;
	progress->epoch_samples += sum.count;
	t->step = sum.step;
	t->last_loss = sum.loss_sum / (double)sum.count;
	t->samples_seen += sum.count / progress->labels;
	traffic_add(&t->traffic, &sum.traffic);
	progress->drift = sum.drift;
	progress->here_samples += sum.count / progress->labels;
	progress->step_s = xgrow(progress->step_s, t->step_count, sizeof(*progress->step_s));
	progress->step_s[t->step_count++] = sum.step_s;
	t->step_s = progress->step_s;
	measure_rate(progress);
	show_step(progress);
	return write_step(progress, &sum, err);
}

static int finish_eval(struct progress *progress, const struct record *record, struct error *err)
{
	struct control_step sum = merge(progress, record);
	struct progress_eval *eval;

	if (sum.count == 0)
		return 0;
	traffic_add(&progress->totals.traffic, &sum.traffic);
	progress->evals = xrealloc(progress->evals, progress->totals.eval_count + 1,
				   sizeof(*progress->evals));
	eval = &progress->evals[progress->totals.eval_count++];
	progress->totals.evals = progress->evals;
	*eval = (struct progress_eval){
		.step = sum.step,
		.epoch = epoch_of(progress, sum.step),
		.train_loss = progress->epoch_loss / (double)progress->epoch_samples,
		.loss = sum.loss_sum / (double)sum.count,
		.accuracy = progress->accuracy ? (double)sum.correct / (double)sum.count : NAN,
		.elapsed_s = progress_elapsed(progress),
		.worst_loss = sum.drift.worst_loss,
		.worst_accuracy = progress->accuracy ? sum.drift.worst_accuracy : NAN,
	};
	if (!progress->env.quiet && !progress->env.live) {
		char accuracy[48] = "", worst[48] = "";

		if (progress->accuracy)
			snprintf(accuracy, sizeof(accuracy), ", accuracy %.2f %%",
				 100 * eval->accuracy);
		if (!isnan(eval->worst_accuracy))
			snprintf(worst, sizeof(worst), " (%.2f %% on the worst rank)",
				 100 * eval->worst_accuracy);
		log_progress("epoch %llu/%llu: loss %.4f, test loss %.4f%s%s, %.0f samples/s",
			     (unsigned long long)eval->epoch, (unsigned long long)epochs(progress),
			     eval->train_loss, eval->loss, accuracy, worst,
			     samples_per_s(progress));
		progress->shown = clock_now();
	}
	return write_eval(progress, eval, &sum.traffic, err);
}

static struct record *find_record(struct progress *progress, bool eval, uint64_t step)
{
	struct record *record;

	for (size_t i = 0; i < progress->record_count; i++)
		if (progress->records[i].eval == eval && progress->records[i].step == step)
			return &progress->records[i];
	progress->records =
		xrealloc(progress->records, progress->record_count + 1, sizeof(*record));
	record = &progress->records[progress->record_count++];
	*record = (struct record){ .eval = eval,
				   .step = step,
				   .parts = xcalloc(progress->env.world, sizeof(*record->parts)) };
	return record;
}

static int report(struct progress *progress, bool eval, unsigned rank,
		  const struct control_step *step, struct error *err)
{
	struct record *record;
	int status;

	if (rank >= progress->env.world || step->step == 0 || !progress->totals.steps_per_epoch)
		return error_set(err, "a report of rank %u that makes no sense", rank);
	record = find_record(progress, eval, step->step);
	if (record->parts[rank].step)
		return error_set(err, "rank %u reported step %llu twice", rank,
				 (unsigned long long)step->step);
	record->parts[rank] = *step;
	if (++record->reported < progress->env.world)
		return 0;
	status = eval ? finish_eval(progress, record, err) : finish_step(progress, record, err);
	free(record->parts);
	*record = progress->records[--progress->record_count];
	return status;
}

int progress_step(struct progress *progress, unsigned rank, const struct control_step *step,
		  struct error *err)
{
	if (progress->asynchronous && rank < progress->env.world) {
		struct control_step next = *step;

		next.step = progress->env.start_step + progress->reports / progress->env.world + 1;
		rank = (unsigned)(progress->reports++ % progress->env.world);
		return report(progress, false, rank, &next, err);
	}
	return report(progress, false, rank, step, err);
}

int progress_eval(struct progress *progress, unsigned rank, const struct control_step *step,
		  struct error *err)
{
	return report(progress, true, rank, step, err);
}

struct progress_totals progress_totals(const struct progress *progress)
{
	struct progress_totals totals = progress->totals;

	totals.here_s = progress->began > 0 ? clock_now() - progress->began : 0;
	totals.elapsed_s = progress->env.elapsed_s + totals.here_s;
	return totals;
}

void progress_close(struct progress *progress)
{
	if (!progress)
		return;
	progress_hide();
	log_before_line(NULL);
	fclose(progress->metrics);
	for (size_t i = 0; i < progress->record_count; i++)
		free(progress->records[i].parts);
	free(progress->records);
	free(progress->evals);
	free(progress->step_s);
	free(progress->path);
	free(progress);
}
