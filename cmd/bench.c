/* dstrain bench: how fast a collective is on some hosts, as a table in the manner of nccl-tests. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cmd/cmd.h"
#include "cmd/job_load.h"
#include "cmd/output.h"
#include "cmd/train.h"
#include "lib/control.h"
#include "lib/error.h"
#include "lib/json.h"
#include "lib/launch.h"
#include "lib/log.h"
#include "lib/memory.h"
#include "lib/stop.h"
#include "lib/suggest.h"
#include "runtime/bench_kind.h"
#include "runtime/coll.h"
#include "runtime/transport/transport.h"

/* A recipe has to name a model and data; no worker of a bench builds any. */
static const char recipe[] = "data: {format: synthetic, samples: 1, features: 1, classes: 2}\n"
			     "model: {preset: softmax}\n"
			     "train: {batch: 10000000}\n"
			     "hosts: local:2\n";

struct bench {
	struct train train;
	struct job_load load;
	const struct bench_kind *kind;
	uint32_t world;
	struct control_row *rows; /* [row_count] */
	size_t row_count;
};

static const char *algorithm(const struct bench *bench)
{
	return coll_algorithm_names[bench->load.job.sync_params.allreduce];
}

/* Bytes per second, in units of 1e9. */
static double algbw(const struct control_row *row)
{
	return (double)row->bytes / row->seconds * 1e-9;
}

static void print_head(const struct bench *bench)
{
	printf("# dstrain %s: %s, %u ranks, %zu host%s, transport %s, algorithm %s\n",
	       DSTRAIN_VERSION, bench->kind->name, bench->world, bench->train.hosts.count,
	       bench->train.hosts.count == 1 ? "" : "s", bench->load.job.transport.entry->name,
	       algorithm(bench));
	printf("#%11s %13s %7s %7s %11s %8s %8s %7s\n", "size", "count", "type", "redop", "time",
	       "algbw", "busbw", "#wrong");
	printf("#%11s %13s %7s %7s %11s %8s %8s\n", "(B)", "(elements)", "", "", "(us)", "(GB/s)",
	       "(GB/s)");
	fflush(stdout);
}

static void keep_row(struct bench *bench, const struct control_row *row)
{
	bench->rows = xrealloc(bench->rows, bench->row_count + 1, sizeof(*bench->rows));
	bench->rows[bench->row_count++] = *row;
	if (bench->train.flags->json)
		return;
	if (bench->row_count == 1)
		print_head(bench);
	printf("%12llu %13llu %7s %7s %11.1f %8.3f %8.3f %7llu\n", (unsigned long long)row->bytes,
	       (unsigned long long)row->count, "float", bench->kind->redop, row->seconds * 1e6,
	       algbw(row), algbw(row) * bench_kind_bus(bench->kind, bench->world),
	       (unsigned long long)row->wrong);
	fflush(stdout);
}

static int take_row(void *arg, const struct control_frame *frame, struct error *err)
{
	struct control_row row;

	if (control_get_row(&row, frame, err) < 0)
		return -1;
	keep_row(arg, &row);
	return 0;
}

static struct json *row_json(const struct bench *bench, const struct control_row *row)
{
	struct json *json = json_object_new();

	json_add_count(json, "size", row->bytes);
	json_add_count(json, "count", row->count);
	json_add_text(json, "type", "float");
	json_add_text(json, "redop", bench->kind->redop);
	json_add_real(json, "time_us", row->seconds * 1e6);
	json_add_real(json, "algbw_gb_s", algbw(row));
	json_add_real(json, "busbw_gb_s", algbw(row) * bench_kind_bus(bench->kind, bench->world));
	json_add_count(json, "wrong", row->wrong);
	json_add_count(json, "iterations", row->iterations);
	return json;
}

/* Of the transport, with defaults. */
static struct json *settings_json(const struct settings *resolved)
{
	struct json *json = json_object_new();

	for (size_t i = 0; i < resolved->count; i++) {
		const struct setting *setting = &resolved->entries[i];

		if (strncmp(setting->key, "transport.", 10) == 0 && setting->count == 1)
			json_add_text(json, setting->key, setting->values[0]);
	}
	return json;
}

static void print_json(const struct bench *bench, int status, const struct error *err)
{
	struct json *json = json_object_new(), *rows = json_array_new();

	json_add_text(json, "version", DSTRAIN_VERSION);
	json_add_count(json, "exit_status", (uint64_t)status);
	if (err->text[0])
		json_add_text(json, "error", err->text);
	json_add_text(json, "collective", bench->kind->name);
	json_add_count(json, "world", bench->world);
	json_add_count(json, "hosts", bench->train.hosts.count);
	json_add_text(json, "transport", bench->load.job.transport.entry->name);
	json_add_text(json, "algorithm", algorithm(bench));
	json_add(json, "settings", settings_json(&bench->load.resolved));
	for (size_t i = 0; i < bench->row_count; i++)
		json_add(rows, NULL, row_json(bench, &bench->rows[i]));
	json_add(json, "rows", rows);
	output_json(json);
	json_free(json);
}

/* The flags that a table of ranges cannot judge. */
static int check_flags(const struct bench *bench, struct error *err)
{
	const struct flags *flags = bench->train.flags;

	if (flags->begin_bytes > flags->end_bytes)
		return error_set(err, "'--begin': %zu bytes are more than the %zu of '--end'",
				 flags->begin_bytes, flags->end_bytes);
	for (size_t i = 0; i < flags->set_count; i++) {
		const char *key = flags->set[i];

		if (strncmp(key, "transport.", 10) != 0 && strncmp(key, "transport=", 10) != 0 &&
		    strncmp(key, "sync.allreduce=", 15) != 0)
			return error_set(err,
					 "--set: '%s' makes no difference to a bench; "
					 "transport.* and sync.allreduce do",
					 key);
	}
	return 0;
}

/* Whether these ranks can share these sizes. */
static int check_world(struct bench *bench, struct error *err)
{
	size_t ranks = hosts_slots(&bench->train.hosts), bytes = bench->train.flags->begin_bytes;

	if (ranks < 2)
		return error_set(err, "one rank has nobody to talk to; use --hosts local:2");
	bench->world = (uint32_t)ranks;
	if (bench_kind_count(bench->kind, bytes, bench->world) > 0)
		return 0;
	return error_set(err, "'--begin': %zu bytes are too few for %s over %zu ranks; %zu are not",
			 bytes, bench->kind->name, ranks, ranks * 16);
}

/* Starts the ranks and waits for their end. */
static int measure(struct bench *bench, struct error *err)
{
	const struct flags *flags = bench->train.flags;
	char *collective = xstrdup(bench->kind->name);
	struct control_bench sizes = { .collective = collective,
				       .first_bytes = flags->begin_bytes,
				       .last_bytes = flags->end_bytes,
				       .factor = flags->factor,
				       .iterations = flags->iters };
	struct buf text = { 0 };
	struct launch launched = {
		.hosts = &bench->train.hosts,
		.files = &bench->train.files,
		.threads = PART_AS(&bench->load.job.transport, struct transport)->threads,
		.fanout = flags->fanout,
		.bench = &sizes,
		.measured = take_row,
		.measured_arg = bench,
	};
	enum supervise_end end;

	settings_print(&bench->load.resolved, &text);
	launched.recipe = buf_text(&text);
	end = launch(&launched, err);
	if (end != SUPERVISE_DONE) {
		log_error("%s", err->text);
		fputs(buf_text(&launched.report), stderr);
	}
	buf_release(&launched.report);
	buf_release(&text);
	free(collective);
	return train_exit_status(end);
}

static uint64_t count_wrong(const struct bench *bench)
{
	uint64_t wrong = 0;

	for (size_t i = 0; i < bench->row_count; i++)
		wrong += bench->rows[i].wrong;
	return wrong;
}

static int say_unknown(const char *name, struct error *err)
{
	const char *near;
	size_t count = 0;

	while (bench_kind_names[count])
		count++;
	near = suggest(name, bench_kind_names, count);
	return near ? error_set(err, "no collective '%s'; did you mean '%s'?", name, near)
		    : error_set(err, "no collective '%s'; see `dstrain bench --help`", name);
}

static int prepare(struct bench *bench, struct error *err)
{
	const struct flags *flags = bench->train.flags;
	const char *name = flags->operands[0];

	bench->kind = bench_kind_find(name);
	if (!bench->kind)
		return say_unknown(name, err);
	if (check_flags(bench, err) < 0)
		return -1;
	if (job_load_text(&bench->load, recipe, "bench", flags) < 0) {
		job_load_report(&bench->load);
		return error_set(err, "nothing was started");
	}
	if (train_hosts(&bench->train, bench->load.job.params.hosts, err) < 0)
		return -1;
	return check_world(bench, err);
}

static int measure_and_tell(struct bench *bench)
{
	struct error err = { "" };
	int status = EXIT_FAILED;

	if (train_files(&bench->train, &err) < 0)
		log_error("%s", err.text);
	else
		status = measure(bench, &err);
	if (status == EXIT_DONE && count_wrong(bench) > 0) {
		error_set(&err, "%llu elements are wrong", (unsigned long long)count_wrong(bench));
		log_error("%s", err.text);
		status = EXIT_FAILED;
	}
	if (bench->train.flags->json)
		print_json(bench, status, &err);
	return status;
}

static int run(const struct flags *flags)
{
	struct bench bench = { .train = { .flags = flags } };
	struct error err;
	int status = EXIT_USAGE;

	bench.train.load = &bench.load;
	stop_install(false);
	if (prepare(&bench, &err) == 0)
		status = measure_and_tell(&bench);
	else
		log_error("%s", err.text);
	free(bench.rows);
	train_release(&bench.train);
	job_load_release(&bench.load);
	return status;
}

const struct command bench_command = {
	.name = "bench",
	.operands = "COLLECTIVE",
	.least = 1,
	.most = 1,
	.operand_kind = OPERAND_WORD,
	.words = bench_kind_names,
	.flags = FLAG_HOSTS | FLAG_EMULATE | FLAG_SET | FLAG_SIZES | FLAG_FANOUT | FLAG_JSON,
	.summary = "Measure a collective on some hosts",
	.details =
		"COLLECTIVE is allreduce, reduce_scatter, allgather, broadcast or sendrecv. "
		"Starts a worker per slot, connects them as a run would, and measures and checks "
		"the collective on floats, for sizes from --begin to --end. Columns and their "
		"definitions are those of nccl-tests.",
	.run = run,
};
