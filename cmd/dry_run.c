/* What a run would do, for people and as JSON. */
#include <stdio.h>
#include <stdbool.h>
#include <unistd.h>

#include "cmd/flags.h"
#include "cmd/job_load.h"
#include "cmd/output.h"
#include "cmd/train.h"
#include "lib/json.h"
#include "lib/units.h"

/* Of a file's path, the one that a reader knows. */
static const char *shown_path(const struct provision_files *files, size_t i)
{
	static char program[4096];
	ssize_t length;

	if (i > 0)
		return files->entries[i].path;
	length = readlink(files->entries[0].path, program, sizeof(program) - 1);
	if (length <= 0)
		return files->entries[0].path;
	program[length] = '\0';
	return program;
}

static void print_files(const struct provision_files *files)
{
	uint64_t bytes = 0;
	char text[32];

	for (size_t i = 0; i < files->count; i++)
		bytes += files->entries[i].bytes;
	printf("files for each host, where it lacks them (%s):\n",
	       units_show_bytes(text, sizeof(text), (double)bytes));
	for (size_t i = 0; i < files->count; i++)
		printf("  %.12s  %s\n", files->entries[i].digest, shown_path(files, i));
	printf("command on each host: CACHE/bin/%.12s.../dstrain worker\n",
	       files->entries[0].digest);
}

/* Then there is no plan before that. */
static bool measures(const struct train *train)
{
	return train->plan.source == TRAIN_LINKS_PROBE;
}

static void print_text(const struct train *train)
{
	size_t rank = 0;

	for (size_t i = 0; i < train->hosts.count; i++) {
		const struct host *host = &train->hosts.entries[i];

		printf("%s: rank%s %zu", host->name, host->slots == 1 ? "" : "s", rank);
		if (host->slots > 1)
			printf(" to %zu", rank + host->slots - 1);
		if (host->local)
			printf(" here\n");
		else
			printf(" as '%s' at %s port %u\n", host->user, host->address, host->port);
		rank += host->slots;
	}
	if (hosts_remote(&train->hosts))
		print_files(&train->files);
	if (measures(train))
		printf("links between %zu hosts: measured first, for about %g s\n",
		       train->hosts.count, train->load->job.plan.probe_s);
	if (train->plan.why)
		printf("plan: %s\n", train->plan.why);
	if (train->plan.compression)
		printf("%s: %s\n", train->plan.warns ? "warning" : "note", train->plan.compression);
}

static struct json *host_json(const struct host *host, size_t first_rank)
{
	struct json *json = json_object_new();

	json_add_text(json, "name", host->name);
	json_add_bool(json, "local", host->local);
	json_add_count(json, "first_rank", first_rank);
	json_add_count(json, "ranks", host->slots);
	if (host->local)
		return json;
	json_add_text(json, "user", host->user);
	json_add_text(json, "address", host->address);
	json_add_count(json, "port", host->port);
	return json;
}

static void print_json(const struct train *train)
{
	struct json *result = json_object_new(), *hosts = json_array_new(),
		    *files = json_array_new();
	size_t rank = 0;

	for (size_t i = 0; i < train->hosts.count; i++) {
		json_add(hosts, NULL, host_json(&train->hosts.entries[i], rank));
		rank += train->hosts.entries[i].slots;
	}
	for (size_t i = 0; i < train->files.count && hosts_remote(&train->hosts); i++) {
		struct json *file = json_object_new();

		json_add_text(file, "path", shown_path(&train->files, i));
		json_add_text(file, "sha256", train->files.entries[i].digest);
		json_add_count(file, "bytes", train->files.entries[i].bytes);
		json_add(files, NULL, file);
	}
	json_add_text(result, "result", "dry run");
	json_add_count(result, "world", rank);
	json_add(result, "hosts", hosts);
	json_add(result, "files", files);
	if (measures(train))
		json_add_real(result, "probe_s", train->load->job.plan.probe_s);
	if (train->plan.roster.world)
		json_add(result, "plan", plan_json(&train->plan.roster.plan));
	output_json(result);
	json_free(result);
}

void train_dry_run(const struct train *train)
{
	if (train->flags->json)
		print_json(train);
	else
		print_text(train);
}
