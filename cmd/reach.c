/*
 * dstrain reach: what `dstrain hosts check` starts on every host; not for people. Reads one line of
 * JSON on which address to choose, prints one with what this host is and where it listens; then,
 * for each line with an address and port, prints whether it could be reached. Ends at end of file.
 */
#define _DEFAULT_SOURCE /* _SC_PHYS_PAGES, _SC_AVPHYS_PAGES */
#include <gnu/libc-version.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statvfs.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "cmd/cmd.h"
#include "lib/buf.h"
#include "lib/clock.h"
#include "lib/error.h"
#include "lib/json.h"
#include "lib/sock.h"
#include "runtime/address.h"

#define DIAL_S 3.0

static void print(struct json *json)
{
	struct buf line = { 0 };

	json_print(json, 0, &line);
	puts(buf_text(&line));
	fflush(stdout);
	buf_release(&line);
	json_free(json);
}

static struct json *read_line(void)
{
	char line[1024];
	struct error ignored;

	return fgets(line, sizeof(line), stdin) ? json_parse(line, strlen(line), &ignored) : NULL;
}

static void add_facts(struct json *facts)
{
	struct utsname system;
	struct statvfs disk;
	const char *home = getenv("HOME");
	uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE);

	uname(&system);
	json_add_text(facts, "machine", system.machine);
	json_add_text(facts, "glibc", gnu_get_libc_version());
	json_add_count(facts, "cores", (uint64_t)sysconf(_SC_NPROCESSORS_ONLN));
	json_add_count(facts, "memory_bytes", (uint64_t)sysconf(_SC_PHYS_PAGES) * page);
	json_add_count(facts, "available_bytes", (uint64_t)sysconf(_SC_AVPHYS_PAGES) * page);
	if (statvfs(home ? home : "/", &disk) == 0)
		json_add_count(facts, "disk_bytes", (uint64_t)disk.f_bavail * disk.f_frsize);
	json_add_real(facts, "wall_s", clock_wall());
}

/* The socket stays open until the process ends. */
static int listen_as(const struct json *wanted, struct json *facts, struct error *err)
{
	char *reached = address_reached_by();
	struct address_hints hints = { .data_addr = json_get_text(wanted, "data_addr"),
				       .network = json_get_text(wanted, "network"),
				       .reached_by = reached,
				       .loopback_allowed =
					       json_get_bool(wanted, "loopback_allowed", false) };
	char *address = address_pick(&hints, err);
	uint16_t port = 0;
	int listener, status = -1;

	if (address)
		status = sock_listen(&listener, address, &port, err);
	if (status == 0) {
		json_add_text(facts, "address", address);
		json_add_count(facts, "port", port);
	}
	free(address);
	free(reached);
	return status;
}

static void dial(const struct json *to)
{
	double began = clock_now();
	struct json *answer = json_object_new();
	struct error err;
	int fd;

	if (sock_connect(&fd, json_get_text(to, "address"), (uint16_t)json_get_count(to, "port", 0),
			 began + DIAL_S, &err) < 0)
		json_add_text(answer, "problem", err.text);
	else
		close(fd);
	json_add_real(answer, "seconds", clock_now() - began);
	print(answer);
}

static int reach(const struct flags *flags)
{
	struct json *line = read_line();
	struct json *facts = json_object_new();
	struct error err;

	(void)flags;
	add_facts(facts);
	if (!line || !json_get_text(line, "network") || !json_get_text(line, "data_addr"))
		json_add_text(facts, "problem", "the question is not dstrain's");
	else if (listen_as(line, facts, &err) < 0)
		json_add_text(facts, "problem", err.text);
	print(facts);
	json_free(line);
	while ((line = read_line())) {
		if (json_get_text(line, "address"))
			dial(line);
		json_free(line);
	}
	return EXIT_DONE;
}

const struct command reach_command = {
	.name = "reach",
	.operands = "",
	.flags = FLAG_ALWAYS,
	.summary = "Say what this host is and whom it reaches",
	.hidden = true,
	.run = reach,
};
