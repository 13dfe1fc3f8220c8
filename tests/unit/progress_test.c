/* metrics.jsonl says the same whatever order the ranks' reports come in. */
#include "tests/unit/unit.h"

#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "lib/control.h"
#include "lib/error.h"
#include "lib/file.h"
#include "lib/json.h"
#include "lib/memory.h"
#include "lib/progress.h"

enum { WORLD = 3, STEPS = 7, PER_EPOCH = 3 };

static char root[] = "/tmp/progress_test.XXXXXX";
static char loss[] = "hinge";

static struct progress *open_at(uint64_t start_step)
{
	char *path = path_join(root, "metrics.jsonl");
	struct progress_env env = {
		.metrics_path = path, .world = WORLD, .quiet = true, .start_step = start_step
	};
	struct error err;
	struct progress *progress = progress_open(&env, &err);

	assert_non_null(progress);
	free(path);
	progress_begin(progress, &(struct control_ready){ .parameters = 10,
							  .samples = 90,
							  .steps = STEPS,
							  .steps_per_epoch = PER_EPOCH,
							  .loss = loss,
							  .accuracy = true });
	return progress;
}

static int remove_metrics(void **state)
{
	char *path = path_join(root, "metrics.jsonl");

	(void)state;
	unlink(path);
	free(path);
	return 0;
}

/* Sums whose value depends on the order of additions, so that another order shows. */
static struct control_step step_of(unsigned rank, uint64_t step)
{
	static const double sums[WORLD] = { 1e16, 1.0, -1e16 };

	return (struct control_step){ .step = step,
				      .loss_sum = sums[rank] + (double)step,
				      .lr = 0.5 / (double)step,
				      .gradient_norm = 0.1 * (rank + 1),
				      .correct = rank,
				      .count = 10 + rank,
				      .data_s = 0.1 * (rank + 1),
				      .step_s = 0.7,
				      .traffic = { .payload = 10 * rank,
						   .header = 80 * rank,
						   .control = 10 * rank,
						   .payload_fp32 = 40 * rank,
						   .coded = rank,
						   .coordinates = 2 * rank },
				      .level = rank };
}

/* Of a step, and of the evaluation behind an epoch's last. */
static void report(struct progress *progress, unsigned rank, uint64_t step)
{
	struct control_step part = step_of(rank, step);
	struct error err = { "" };

	assert_int_equal(progress_step(progress, rank, &part, &err), 0);
	if (step % PER_EPOCH == 0)
		assert_int_equal(progress_eval(progress, rank, &part, &err), 0);
	assert_string_equal(err.text, "");
}

static char *read_metrics(void)
{
	char *path = path_join(root, "metrics.jsonl");
	struct buf text = { 0 };
	struct error err;

	assert_int_equal(file_read(&text, path, 1 << 20, &err), 0);
	free(path);
	return buf_take(&text);
}

/* The lines without their times, which no two runs have in common. */
static char *read_without_times(void)
{
	char *all = read_metrics(), *line, *rest = all;
	struct buf kept = { 0 };

	while ((line = strtok_r(rest, "\n", &rest))) {
		const char *time = strstr(line, ",\"elapsed_s\"");

		assert_non_null(time);
		buf_add(&kept, line, (size_t)(time - line));
		buf_add(&kept, "\n", 1);
	}
	free(all);
	return buf_take(&kept);
}

/* All reports, each rank's in order, ranks taken as `choose` says. */
static char *lines_in_order(unsigned (*choose)(unsigned turn))
{
	struct progress *progress = open_at(0);
	uint64_t next[WORLD] = { 1, 1, 1 };
	char *lines;

	for (unsigned turn = 0, left = WORLD * STEPS; left > 0; turn++) {
		unsigned rank = choose(turn) % WORLD;

		if (next[rank] > STEPS)
			continue;
		report(progress, rank, next[rank]++);
		left--;
	}
	progress_close(progress);
	lines = read_without_times();
	remove_metrics(NULL);
	return lines;
}

static unsigned in_turn(unsigned turn)
{
	return turn;
}

static unsigned backwards(unsigned turn)
{
	return WORLD - 1 - turn % WORLD;
}

static unsigned one_after_the_other(unsigned turn)
{
	return WORLD - 1 - turn / STEPS % WORLD;
}

static unsigned at_random(unsigned turn)
{
	return (turn * 1103515245 + 12345) >> 16;
}

static void the_lines_do_not_depend_on_the_order_of_ranks(void **state)
{
	unsigned (*const orders[])(unsigned) = { backwards, one_after_the_other, at_random };
	char *wanted = lines_in_order(in_turn);
	size_t lines = 0;

	(void)state;
	for (const char *at = wanted; (at = strchr(at, '\n')); at++)
		lines++;
	assert_int_equal(lines, STEPS + STEPS / PER_EPOCH);
	for (size_t i = 0; i < ARRAY_SIZE(orders); i++) {
		char *got = lines_in_order(orders[i]);

		assert_string_equal(got, wanted);
		free(got);
	}
	free(wanted);
}

/* Line number i of metrics.jsonl, parsed. */
static struct json *line_at(size_t i)
{
	char *all = read_metrics(), *line = NULL, *rest = all;
	struct json *json;
	struct error err;

	for (size_t k = 0; k <= i; k++)
		line = strtok_r(rest, "\n", &rest);
	assert_non_null(line);
	json = json_parse(line, strlen(line), &err);
	assert_non_null(json);
	free(all);
	return json;
}

static void losses_are_exact_sums_and_times_are_means(void **state)
{
	struct progress *progress = open_at(0);
	struct json *line;
	double sum = (1e16 + 1) + (1 + 1) + (-1e16 + 1);

	(void)state;
	for (unsigned rank = WORLD; rank-- > 0;)
		report(progress, rank, 1);
	line = line_at(0); /* it is in the file as soon as all have reported */
	assert_string_equal(json_get_text(line, "kind"), "step");
	assert_int_equal(json_get_count(line, "step", 0), 1);
	assert_int_equal(json_get_count(line, "epoch", 0), 1);
	assert_true(json_get_real(line, "loss", -1) == sum / 33);
	assert_true(json_get_real(line, "lr", -1) == 0.5);
	assert_true(fabs(json_get_real(line, "data_s", -1) - 0.2) < 1e-12);
	assert_true(json_get_real(line, "samples_per_s", -1) > 33 / 0.70001);
	assert_int_equal(json_get_count(line, "bytes_sent", 0), 300);
	assert_int_equal(json_get_count(line, "payload_sent", 0), 30);
	assert_int_equal(json_get_count(line, "header_sent", 0), 240);
	assert_int_equal(json_get_count(line, "control_sent", 0), 30);
	assert_int_equal(json_get_count(line, "payload_fp32", 0), 120);
	assert_true(json_get_real(line, "compression_ratio", 0) == 4);
	assert_true(json_get_real(line, "bits_per_coordinate", 0) == 4);
	assert_true(json_get_real(line, "compress_level", 0) == 1);
	json_free(line);
	assert_int_equal(progress_totals(progress).step, 1);
	assert_int_equal(progress_totals(progress).samples_seen, 33);
	assert_int_equal(progress_totals(progress).step_count, 1);
	assert_true(fabs(progress_totals(progress).step_s[0] - 0.7) < 1e-12);
	progress_close(progress);
}

static void epochs_end_where_their_last_step_is(void **state)
{
	struct progress *progress = open_at(0);
	const struct progress_eval *evals;

	(void)state;
	for (uint64_t step = 1; step <= STEPS; step++)
		for (unsigned rank = 0; rank < WORLD; rank++)
			report(progress, rank, step);
	assert_int_equal(progress_totals(progress).eval_count, 2);
	evals = progress_totals(progress).evals;
	assert_int_equal(evals[0].step, 3);
	assert_int_equal(evals[0].epoch, 1);
	assert_int_equal(evals[1].step, 6);
	assert_int_equal(evals[1].epoch, 2);
	assert_true(evals[1].accuracy == 3.0 / 33);
	assert_false(isnan(evals[1].train_loss));
	progress_close(progress);
}

/* An evaluation has its own, of averages that steps need not have. */
static void the_totals_are_what_all_lines_say(void **state)
{
	uint64_t bytes = 0, payload_fp32 = 0;
	struct progress *progress = open_at(0);
	struct traffic totals;

	(void)state;
	for (uint64_t step = 1; step <= STEPS; step++)
		for (unsigned rank = 0; rank < WORLD; rank++)
			report(progress, rank, step);
	for (size_t i = 0; i < STEPS + STEPS / PER_EPOCH; i++) {
		struct json *line = line_at(i);

		bytes += json_get_count(line, "bytes_sent", 0);
		payload_fp32 += json_get_count(line, "payload_fp32", 0);
		json_free(line);
	}
	totals = progress_totals(progress).traffic;
	assert_int_equal(traffic_sent(&totals), bytes);
	assert_int_equal(totals.payload_fp32, payload_fp32);
	assert_true(bytes == 300 * (STEPS + STEPS / PER_EPOCH));
	progress_close(progress);
}

static void put_metrics(const char *text)
{
	char *path = path_join(root, "metrics.jsonl");
	struct error err;

	assert_int_equal(file_write(path, text, strlen(text), &err), 0);
	free(path);
}

/* After a kill: steps beyond the checkpoint, a torn last line, and a disk's surprises. */
static void going_on_drops_what_is_done_again(void **state)
{
	struct progress *progress;
	char *text;

	(void)state;
	put_metrics("{\"kind\":\"step\",\"step\":1}\n"
		    "{\"kind\":\"step\",\"step\":2}\n"
		    "\n"
		    "{\"kind\":\"eval\",\"step\":2}\n"
		    "{\"kind\":\"step\"}\n"
		    "{\"kind\":\"step\",\"step\":3}\n"
		    "{\"kind\":\"st");
	progress = open_at(2);
	text = read_metrics();
	assert_string_equal(text, "{\"kind\":\"step\",\"step\":1}\n"
				  "{\"kind\":\"step\",\"step\":2}\n"
				  "{\"kind\":\"eval\",\"step\":2}\n");
	free(text);
	for (unsigned rank = 0; rank < WORLD; rank++)
		report(progress, rank, 3);
	text = read_metrics();
	assert_non_null(strstr(text, "\"step\":2}\n{\"kind\":\"step\",\"step\":3,"));
	free(text);
	progress_close(progress);
}

static void a_report_that_makes_no_sense_is_an_error(void **state)
{
	struct progress *progress = open_at(0);
	struct control_step part = step_of(0, 1), zero = step_of(0, 0);
	struct error err;

	(void)state;
	assert_int_equal(progress_step(progress, WORLD, &part, &err), -1);
	assert_int_equal(progress_step(progress, 0, &zero, &err), -1);
	assert_int_equal(progress_step(progress, 0, &part, &err), 0);
	assert_int_equal(progress_step(progress, 0, &part, &err), -1); /* again */
	assert_non_null(strstr(err.text, "rank 0"));
	progress_close(progress);
}

static void a_step_without_samples_is_an_error(void **state)
{
	struct progress *progress = open_at(0);
	struct control_step part = { .step = 1 };
	struct error err;

	(void)state;
	assert_int_equal(progress_step(progress, 0, &part, &err), 0);
	assert_int_equal(progress_step(progress, 1, &part, &err), 0);
	assert_int_equal(progress_step(progress, 2, &part, &err), -1);
	assert_non_null(strstr(err.text, "step 1 had no samples"));
	progress_close(progress);
}

static void limit_file_size(rlim_t bytes)
{
	struct rlimit limit;

	signal(SIGXFSZ, SIG_IGN);
	assert_int_equal(getrlimit(RLIMIT_FSIZE, &limit), 0);
	limit.rlim_cur = bytes == RLIM_INFINITY ? limit.rlim_max : bytes;
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
}

/* The path is the caller's, and may be gone by then. */
static void a_file_that_cannot_grow_is_named(void **state)
{
	char *path = path_join(root, "metrics.jsonl");
	struct progress_env env = { .metrics_path = path, .world = 1, .quiet = true };
	struct control_step part = step_of(0, 1);
	struct progress *progress;
	struct error err;

	(void)state;
	progress = progress_open(&env, &err);
	assert_non_null(progress);
	memset(path, '?', strlen(path));
	free(path);
	progress_begin(progress, &(struct control_ready){ .steps = 5, .steps_per_epoch = 5 });
	limit_file_size(10);
	assert_int_equal(progress_step(progress, 0, &part, &err), -1);
	limit_file_size(RLIM_INFINITY);
	assert_non_null(strstr(err.text, "metrics.jsonl': File too large"));
	progress_close(progress);
}

static void a_file_that_cannot_be_written_is_named(void **state)
{
	struct progress_env env = { .metrics_path = "/proc/no/metrics.jsonl", .world = 1 };
	struct error err;

	(void)state;
	assert_null(progress_open(&env, &err));
	assert_non_null(strstr(err.text, "'/proc/no/metrics.jsonl'"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_lines_do_not_depend_on_the_order_of_ranks),
		cmocka_unit_test_teardown(losses_are_exact_sums_and_times_are_means,
					  remove_metrics),
		cmocka_unit_test_teardown(epochs_end_where_their_last_step_is, remove_metrics),
		cmocka_unit_test_teardown(the_totals_are_what_all_lines_say, remove_metrics),
		cmocka_unit_test_teardown(going_on_drops_what_is_done_again, remove_metrics),
		cmocka_unit_test_teardown(a_report_that_makes_no_sense_is_an_error, remove_metrics),
		cmocka_unit_test_teardown(a_step_without_samples_is_an_error, remove_metrics),
		cmocka_unit_test_teardown(a_file_that_cannot_grow_is_named, remove_metrics),
		cmocka_unit_test(a_file_that_cannot_be_written_is_named),
	};
	int failed;

	if (!mkdtemp(root))
		return 1;
	failed = cmocka_run_group_tests(tests, NULL, NULL);
	rmdir(root);
	return failed;
}
