/* Whether hosts can train together: what each is, and who reaches whom. */
#include "lib/doctor.h"

#include <errno.h>
#include <math.h>
#include <poll.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/buf.h"
#include "lib/clock.h"
#include "lib/error.h"
#include "lib/file.h"
#include "lib/hosts.h"
#include "lib/json.h"
#include "lib/memory.h"
#include "lib/process.h"
#include "lib/provision.h"
#include "lib/site.h"
#include "lib/stop.h"
#include "lib/units.h"

#define ANSWER_S   10.0 /* for a line of `dstrain reach` */
#define CLOCK_S	   5.0	/* a larger offset between clocks is worth a warning */
#define DISK_BYTES 1e9

/* A host under examination. */
struct patient {
	const struct host *host;
	struct process process;
	struct buf in;	    /* what it said and nobody read yet */
	struct json *facts; /* its first line; NULL: it could not be examined */
};

struct ward {
	struct patient *patients; /* [count] */
	size_t count;
	struct findings *out;
};

static void __attribute__((format(printf, 5, 6)))
add(struct ward *ward, const struct host *host, enum finding_level level, const char *fix,
    const char *format, ...)
{
	struct findings *out = ward->out;
	size_t name = strlen(host->name);
	char text[1024];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	if (strncmp(text, host->name, name) == 0 && text[name] == ':') /* findings name it */
		memmove(text, text + name + 2, strlen(text + name + 1));
	out->entries = xrealloc(out->entries, out->count + 1, sizeof(*out->entries));
	out->entries[out->count++] = (struct finding){ .level = level,
						       .host = host->name,
						       .text = xstrdup(text),
						       .fix = fix ? xstrdup(fix) : NULL };
}

/* The next line; NULL at the end or at the deadline. Caller frees. */
static char *read_line(struct patient *patient, double deadline)
{
	struct buf *in = &patient->in;
	const char *end;
	char *line;

	while (!(end = in->length ? memchr(in->data, '\n', in->length) : NULL)) {
		struct pollfd readable = { .fd = patient->process.out, .events = POLLIN };
		ssize_t got;

		if (poll(&readable, 1, clock_poll_ms(deadline)) <= 0)
			return NULL;
		got = read(patient->process.out, buf_reserve(in, 4096), 4096);
		if (got == 0 || (got < 0 && errno != EAGAIN && errno != EINTR))
			return NULL;
		in->length += got > 0 ? (size_t)got : 0;
	}
	line = xstrndup(in->data, (size_t)(end - in->data));
	buf_consume(in, (size_t)(end - in->data) + 1);
	return line;
}

/* The next line of JSON; others are a login shell's noise. */
static struct json *read_answer(struct patient *patient)
{
	double deadline = clock_now() + ANSWER_S;
	struct json *answer = NULL;
	struct error ignored;
	char *line;

	while (!answer && (line = read_line(patient, deadline))) {
		answer = json_parse(line, strlen(line), &ignored);
		free(line);
	}
	return answer;
}

/* What the program said on stderr, in one line: why it did not start. */
static void add_silence(struct ward *ward, struct patient *patient)
{
	char said[512];
	ssize_t got = read(patient->process.err, said, sizeof(said) - 1);

	said[got > 0 ? got : 0] = '\0';
	said[strcspn(said, "\r\n")] = '\0';
	add(ward, patient->host, FINDING_PROBLEM,
	    strstr(said, "ermission denied")
		    ? "let XDG_CACHE_HOME there name a directory that is not mounted noexec"
		    : "this program needs the glibc it was built with or a newer one; build it on "
		      "the oldest host",
	    "dstrain does not run there: %s", said[0] ? said : "it says nothing");
}

static void judge_facts(struct ward *ward, const struct patient *patient, double received)
{
	const struct json *facts = patient->facts;
	double offset = json_get_real(facts, "wall_s", 0) - received;
	double disk = (double)json_get_count(facts, "disk_bytes", 0);
	uint64_t cores = json_get_count(facts, "cores", 0);
	char memory[32], available[32], free_disk[32];

	add(ward, patient->host, FINDING_OK, NULL, "%s, glibc %s, %llu cores, %s memory (%s free)",
	    json_get_text(facts, "machine"), json_get_text(facts, "glibc"),
	    (unsigned long long)cores,
	    units_show_bytes(memory, sizeof(memory),
			     (double)json_get_count(facts, "memory_bytes", 0)),
	    units_show_bytes(available, sizeof(available),
			     (double)json_get_count(facts, "available_bytes", 0)));
	units_show_bytes(free_disk, sizeof(free_disk), disk);
	if (disk < DISK_BYTES)
		add(ward, patient->host, FINDING_WARNING, "free space in ~/.cache/dstrain there",
		    "only %s of disk left for the cache", free_disk);
	else
		add(ward, patient->host, FINDING_OK, NULL, "%s of disk free for the cache",
		    free_disk);
	if (patient->host->slots > cores)
		add(ward, patient->host, FINDING_WARNING, "lower `slots` in the hosts file",
		    "%zu slots on %llu cores", patient->host->slots, (unsigned long long)cores);
	if (fabs(offset) > CLOCK_S)
		add(ward, patient->host, FINDING_WARNING, "timedatectl set-ntp true",
		    "its clock is %.1f s %s", fabs(offset), offset > 0 ? "ahead" : "behind");
	else
		add(ward, patient->host, FINDING_OK, NULL, "clock offset %.3f s", offset);
}

static void examine(struct ward *ward, struct patient *patient)
{
	const char *problem;

	patient->facts = read_answer(patient);
	if (!patient->facts) {
		add_silence(ward, patient);
		return;
	}
	judge_facts(ward, patient, clock_wall());
	problem = json_get_text(patient->facts, "problem");
	if (problem)
		add(ward, patient->host, FINDING_PROBLEM,
		    strstr(problem, "`network:`")
			    ? NULL
			    : "set `network:` or `data_addr:` of this host in the hosts file",
		    "%s", problem);
}

/* Tells a patient what to be and whom to reach: one line for itself, one for each other. */
static void tell(struct patient *patient, const struct json *line)
{
	struct buf text = { 0 };

	json_print(line, 0, &text);
	buf_add(&text, "\n", 1);
	file_write_all(patient->process.in, text.data, text.length); /* short: it fits the pipe */
	buf_release(&text);
}

static void tell_self(struct patient *patient, bool loopback_allowed)
{
	struct json *line = json_object_new();

	json_add_text(line, "network", patient->host->network ? patient->host->network : "");
	json_add_text(line, "data_addr", patient->host->data_addr ? patient->host->data_addr : "");
	json_add_bool(line, "loopback_allowed", loopback_allowed);
	tell(patient, line);
	json_free(line);
}

static void judge_reach(struct ward *ward, struct patient *from, const struct patient *to)
{
	const char *address = json_get_text(to->facts, "address");
	struct json *line = json_object_new(), *answer;
	const char *problem;

	json_add_text(line, "address", address);
	json_add_count(line, "port", json_get_count(to->facts, "port", 0));
	tell(from, line);
	json_free(line);
	answer = read_answer(from);
	problem = answer ? json_get_text(answer, "problem") : "no answer";
	if (problem)
		add(ward, from->host, FINDING_PROBLEM,
		    "open the port in the firewall (transport: {port: ...} fixes it), or set "
		    "`network:` to one that both are on",
		    "cannot reach '%s' at %s: %s", to->host->name, address, problem);
	else
		add(ward, from->host, FINDING_OK, NULL, "reaches '%s' at %s in %.1f ms",
		    to->host->name, address, 1e3 * json_get_real(answer, "seconds", 0));
	json_free(answer);
}

static bool can_listen(const struct patient *patient)
{
	return patient->facts && json_get_text(patient->facts, "address");
}

static void examine_all(struct ward *ward)
{
	for (size_t i = 0; i < ward->count; i++)
		if (ward->patients[i].process.ops && !stop_signal())
			examine(ward, &ward->patients[i]);
	for (size_t i = 0; i < ward->count; i++)
		for (size_t k = 0; k < ward->count && !stop_signal(); k++)
			if (i != k && ward->patients[i].facts && can_listen(&ward->patients[k]))
				judge_reach(ward, &ward->patients[i], &ward->patients[k]);
}

size_t doctor(const struct hosts *hosts, const struct provision_files *files, size_t width,
	      struct findings *out)
{
	struct ward ward = { .count = hosts->count, .out = out };
	struct sites sites = { 0 };
	int *status = xcalloc(hosts->count, sizeof(*status));
	struct error *errors = xcalloc(hosts->count, sizeof(*errors));
	size_t problems = 0;

	ward.patients = xcalloc(hosts->count, sizeof(*ward.patients));
	sites_open(&sites, hosts, files, width, status, errors);
	for (size_t i = 0; i < hosts->count; i++) {
		struct patient *patient = &ward.patients[i];

		patient->host = &hosts->entries[i];
		patient->process.in = patient->process.out = patient->process.err = -1;
		if (status[i] == 0)
			status[i] = site_start(&sites.entries[i], "reach", &patient->process,
					       &errors[i]);
		if (status[i] < 0)
			add(&ward, patient->host, FINDING_PROBLEM, NULL, "%s", errors[i].text);
		else
			tell_self(patient, hosts->count == 1);
	}
	examine_all(&ward);
	for (size_t i = 0; i < hosts->count; i++) {
		process_release(&ward.patients[i].process);
		buf_release(&ward.patients[i].in);
		json_free(ward.patients[i].facts);
	}
	for (size_t i = 0; i < out->count; i++)
		problems += out->entries[i].level == FINDING_PROBLEM;
	sites_release(&sites);
	free(ward.patients);
	free(status);
	free(errors);
	return problems;
}

void findings_release(struct findings *findings)
{
	for (size_t i = 0; i < findings->count; i++) {
		free(findings->entries[i].text);
		free(findings->entries[i].fix);
	}
	free(findings->entries);
	*findings = (struct findings){ 0 };
}
