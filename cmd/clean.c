/* dstrain clean: removes from hosts what runs left there. */
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "cmd/cmd.h"
#include "cmd/output.h"
#include "lib/buf.h"
#include "lib/clean.h"
#include "lib/error.h"
#include "lib/fanout.h"
#include "lib/hosts.h"
#include "lib/json.h"
#include "lib/log.h"
#include "lib/memory.h"
#include "lib/setting.h"
#include "lib/stop.h"
#include "lib/units.h"

struct cleaning {
	const struct hosts *hosts;
	struct clean_order order;
	struct clean_result *results; /* [hosts->count], as the next two */
	int *status;
	struct error *errors;
};

static int clean_remote(void *arg, size_t i, struct error *err)
{
	struct cleaning *cleaning = arg;
	const struct host *host = &cleaning->hosts->entries[i];

	return host->local ? 0 : clean_host(host, &cleaning->order, &cleaning->results[i], err);
}

static void clean_all(struct cleaning *cleaning, size_t width)
{
	const struct hosts *hosts = cleaning->hosts;

	fanout(hosts->count, width, clean_remote, cleaning, cleaning->status, cleaning->errors,
	       stop_flag());
	for (size_t i = 0; i < hosts->count; i++)
		if (hosts->entries[i].local)
			cleaning->status[i] =
				clean_host(&hosts->entries[i], &cleaning->order,
					   &cleaning->results[i], &cleaning->errors[i]);
}

static size_t count_kind(const struct clean_result *result, enum clean_kind kind)
{
	size_t count = 0;

	for (size_t i = 0; i < result->count; i++)
		count += result->items[i].kind == kind;
	return count;
}

static void add_count(struct buf *out, const struct clean_result *result, enum clean_kind kind,
		      const char *noun)
{
	size_t count = count_kind(result, kind);

	if (count)
		buf_addf(out, "%s%zu %s%s", out->length ? ", " : "", count, noun,
			 count == 1 ? "" : "s");
}

static void print_host(const struct cleaning *cleaning, size_t i)
{
	const struct clean_result *result = &cleaning->results[i];
	const char *name = cleaning->hosts->entries[i].name;
	struct buf list = { 0 };
	char bytes[32];

	add_count(&list, result, CLEAN_PROGRAM, "program");
	add_count(&list, result, CLEAN_DATA, "data file");
	add_count(&list, result, CLEAN_SOCKET, "socket");
	add_count(&list, result, CLEAN_WORKER, "worker");
	if (!list.length)
		printf("%s: nothing to remove\n", name);
	else
		printf("%s: %s %s, %s\n", name, cleaning->order.dry ? "would remove" : "removed",
		       list.data, units_show_bytes(bytes, sizeof(bytes), (double)result->bytes));
	buf_release(&list);
}

static void say_busy(const struct cleaning *cleaning, size_t i)
{
	const struct clean_result *result = &cleaning->results[i];

	for (size_t k = 0; k < result->count; k++)
		if (result->items[k].kind == CLEAN_BUSY)
			log_error("%s: a run is at work there: %s; nothing was removed; stop the "
				  "run, or give --force",
				  cleaning->hosts->entries[i].name, result->items[k].what);
}

static struct json *host_json(const struct cleaning *cleaning, size_t i)
{
	static const char *const kinds[CLEAN_KINDS] = { "program", "data", "socket", "worker",
							"busy worker" };
	const struct clean_result *result = &cleaning->results[i];
	struct json *json = json_object_new(), *items = json_array_new();

	for (size_t k = 0; k < result->count; k++) {
		struct json *item = json_object_new();

		json_add_text(item, "kind", kinds[result->items[k].kind]);
		json_add_text(item, "what", result->items[k].what);
		json_add_count(item, "bytes", result->items[k].bytes);
		json_add(items, NULL, item);
	}
	json_add_text(json, "host", cleaning->hosts->entries[i].name);
	json_add_text(json, "result",
		      cleaning->status[i] < 0 ? "failed"
		      : result->busy	      ? "busy"
		      : cleaning->order.dry   ? "found"
					      : "removed");
	json_add_text(json, "error", cleaning->status[i] < 0 ? cleaning->errors[i].text : NULL);
	json_add_count(json, "bytes", result->bytes);
	json_add(json, "items", items);
	return json;
}

static void print_json(const struct cleaning *cleaning)
{
	struct json *list = json_array_new();

	for (size_t i = 0; i < cleaning->hosts->count; i++)
		json_add(list, NULL, host_json(cleaning, i));
	output_json(list);
	json_free(list);
}

/* Prints what there is to say, and returns the exit status. */
static int report(const struct cleaning *cleaning, bool json)
{
	int status = EXIT_DONE;

	if (json)
		print_json(cleaning);
	for (size_t i = 0; i < cleaning->hosts->count; i++) {
		if (cleaning->status[i] < 0) {
			log_error("%s", cleaning->errors[i].text);
			status = EXIT_LOST;
		} else if (cleaning->results[i].busy) {
			say_busy(cleaning, i);
			status = status == EXIT_DONE ? EXIT_FAILED : status;
		} else if (!json) {
			print_host(cleaning, i);
		}
	}
	return stop_signal() ? 128 + stop_signal() : status;
}

static bool found_any(const struct cleaning *cleaning)
{
	for (size_t i = 0; i < cleaning->hosts->count; i++)
		if (cleaning->results[i].count)
			return true;
	return false;
}

static void forget(struct cleaning *cleaning)
{
	for (size_t i = 0; i < cleaning->hosts->count; i++)
		clean_result_release(&cleaning->results[i]);
}

/* A person is shown what would go, and asked. */
static bool confirm(void)
{
	struct pollfd heard[] = { { .fd = STDIN_FILENO, .events = POLLIN },
				  { .fd = stop_fd(), .events = POLLIN } };
	char answer[16] = "";

	fflush(stdout);
	fprintf(stderr, "remove it? [y/N] ");
	while (poll(heard, ARRAY_SIZE(heard), -1) < 0)
		;
	if (heard[1].revents || !fgets(answer, sizeof(answer), stdin))
		fputc('\n', stderr);
	return answer[0] == 'y' || answer[0] == 'Y';
}

static int act(struct cleaning *cleaning, const struct flags *flags)
{
	bool ask = !flags->dry_run && !flags->yes && !flags->json && isatty(STDIN_FILENO);
	int status;

	cleaning->order.dry = flags->dry_run || ask;
	clean_all(cleaning, flags->fanout);
	status = report(cleaning, flags->json);
	if (!ask || !found_any(cleaning) || stop_signal())
		return status;
	if (!confirm()) {
		log_info("nothing was removed");
		return stop_signal() ? 128 + stop_signal() : EXIT_FAILED;
	}
	forget(cleaning);
	cleaning->order.dry = false;
	clean_all(cleaning, flags->fanout);
	return report(cleaning, false);
}

static int clean(const struct flags *flags)
{
	struct problems problems = { 0 };
	struct hosts hosts = { 0 };
	struct cleaning cleaning = { .hosts = &hosts, .order = { .force = flags->force } };
	struct error err;
	int status = EXIT_USAGE;

	stop_install(false);
	if (!flags->hosts) {
		log_error("which hosts? give --hosts FILE or --hosts a:4,b:4");
	} else if (hosts_load(&hosts, flags->hosts, &problems, &err) < 0) {
		log_error("%s", err.text);
	} else {
		cleaning.results = xcalloc(hosts.count, sizeof(*cleaning.results));
		cleaning.status = xcalloc(hosts.count, sizeof(*cleaning.status));
		cleaning.errors = xcalloc(hosts.count, sizeof(*cleaning.errors));
		status = act(&cleaning, flags);
		forget(&cleaning);
		free(cleaning.results);
		free(cleaning.status);
		free(cleaning.errors);
	}
	fputs(buf_text(&problems.text), stderr);
	problems_release(&problems);
	hosts_release(&hosts);
	return status;
}

const struct command clean_command = {
	.name = "clean",
	.operands = "",
	.flags = FLAG_HOSTS | FLAG_FANOUT | FLAG_DRY_RUN | FLAG_JSON | FLAG_CLEAN,
	.summary = "Remove from hosts what runs left there",
	.details = "Removes the cache with the copies of dstrain and of data files, sockets that "
		   "nobody listens at, and workers that outlived their run. A host on which a run "
		   "is at work is left as it is, unless --force ends that. On a terminal it asks "
		   "first.",
	.run = clean,
};
