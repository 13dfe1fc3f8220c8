/* The orchestrator's end of one worker: its frames, its log, and whether it lives. */
#include "lib/channel.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/clock.h"
#include "lib/error.h"
#include "lib/fanout.h"
#include "lib/file.h"
#include "lib/hosts.h"
#include "lib/log.h"
#include "lib/memory.h"
#include "lib/ssh.h"

enum { READ_BYTES = 1 << 18, LINE_BYTES = 4096 };
/* What waits to be handled may have so many bytes: a worker that is ahead of us waits, and is soon
 * stopped. Beyond that, only as much is taken in as shows that it lives. */
enum { WAITING_BYTES = 1 << 16, MOST_BYTES = 1 << 20 };

#define TASTE_S 0.5

#define KILL_S	   0.75 /* for hosts to end workers that do not react */
#define KILL_WIDTH 64	/* hosts at once */

int channel_open(struct channel *channel, const char *log_path, struct error *err)
{
	channel->heard = clock_now();
	if (!log_path)
		return 0;
	channel->log_path = xstrdup(log_path);
	channel->out.secret = true; /* the plan holds the run's key */
	channel->log = open(log_path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
	if (channel->log < 0)
		return error_set(err, "cannot write '%s': %s", log_path, strerror(errno));
	return 0;
}

/* Until its first word a program is loaded, perhaps from a slow disk: as patient as in connecting.
 */
double channel_patience(const struct channel *channel)
{
	double start_s = channel->host->connect_timeout_s;

	return channel->hello.digest || start_s < CONTROL_SILENT_S ? CONTROL_SILENT_S : start_s;
}

bool channel_compare(const struct channel *first, const struct channel *other)
{
	const char *one = first->hello.kernel, *two = other->hello.kernel;

	if (!one || strcmp(one, two) == 0)
		return false;
	log_warn(
		"'%s' computes with %s kernels, '%s' with %s: the losses depend in the last digits "
		"on which host has which rank; DSTRAIN_ISA=avx2 before dstrain makes all hosts use "
		"the same",
		first->host->name, one, other->host->name, two);
	return true;
}

void channel_polls(const struct channel *channel, struct pollfd *polls)
{
	const struct process *process = &channel->process;

	polls[0] =
		(struct pollfd){ .fd = channel->out.length ? process->in : -1, .events = POLLOUT };
	polls[1] = (struct pollfd){ .fd = process->out, .events = POLLIN };
	polls[2] = (struct pollfd){ .fd = process->err, .events = POLLIN };
}

/* A pipe takes little at a time, and a checkpoint is long: what is written goes by halves, so that
 * few bytes are moved to the front. */
static void write_out(struct channel *channel)
{
	struct buf *out = &channel->out;
	ssize_t wrote = write(channel->process.in, out->data + channel->written,
			      out->length - channel->written);

	if (wrote > 0)
		channel->written += (size_t)wrote;
	else if (wrote < 0 && errno != EAGAIN && errno != EINTR)
		channel->written = out->length; /* its end shows on stdout */
	if (channel->written >= out->length - channel->written) {
		buf_consume(out, channel->written);
		channel->written = 0;
	}
}

void channel_push(struct channel *channel)
{
	if (channel->out.length && channel->process.in >= 0)
		write_out(channel);
}

static void read_frames(struct channel *channel)
{
	struct buf *in = &channel->reader.in;
	ssize_t got = read(channel->process.out, buf_reserve(in, READ_BYTES), READ_BYTES);

	if (got > 0) {
		in->length += (size_t)got;
		channel->heard = clock_now();
	} else if (got == 0 || (errno != EAGAIN && errno != EINTR)) {
		file_close(&channel->process.out);
		channel->ended = true;
	}
}

static void keep_line(struct channel *channel, const char *line, size_t length)
{
	size_t last = CHANNEL_TAIL - 1;

	free(channel->tail[0]);
	memmove(&channel->tail[0], &channel->tail[1], last * sizeof(channel->tail[0]));
	channel->tail[last] = xstrndup(line, length);
	log_debug("%s, rank %u: %s", channel->host->name, channel->first_rank, channel->tail[last]);
}

static void read_log(struct channel *channel)
{
	struct buf *line = &channel->line;
	char *at = buf_reserve(line, LINE_BYTES), *end;
	ssize_t got = read(channel->process.err, at, LINE_BYTES);

	if (got == 0 || (got < 0 && errno != EAGAIN && errno != EINTR))
		file_close(&channel->process.err);
	if (got <= 0)
		return;
	if (channel->log_path && file_write_all(channel->log, at, (size_t)got) < 0)
		log_debug("cannot write '%s': %s", channel->log_path, strerror(errno));
	line->length += (size_t)got;
	while ((end = memchr(line->data, '\n', line->length))) {
		keep_line(channel, line->data, (size_t)(end - line->data));
		buf_consume(line, (size_t)(end - line->data) + 1);
	}
	if (line->length > LINE_BYTES) /* longer ones are not kept */
		buf_consume(line, line->length);
}

static bool has_come(int fd)
{
	struct pollfd come = { .fd = fd, .events = POLLIN };

	return fd >= 0 && poll(&come, 1, 0) > 0;
}

void channel_hear(struct channel *channel)
{
	if (!channel->process.ops)
		return;
	while (has_come(channel->process.out)) {
		size_t waiting = channel->reader.in.length - channel->reader.from;

		if (waiting >= MOST_BYTES)
			channel->heard = clock_now();
		if (waiting >= WAITING_BYTES && clock_now() < channel->heard + TASTE_S)
			break;
		read_frames(channel);
	}
	while (has_come(channel->process.err)) /* if it ended, this may say why */
		read_log(channel);
}

void channel_move(struct channel *channel, const struct pollfd *polls)
{
	if (polls[0].revents)
		channel_push(channel);
	if (polls[1].revents && channel->behind)
		channel_hear(channel);
	else if (polls[1].revents && channel->process.out >= 0)
		read_frames(channel);
	if (polls[2].revents && channel->process.err >= 0)
		read_log(channel);
}

void channel_end_input(struct channel *channel)
{
	buf_release(&channel->out);
	channel->written = 0;
	file_close(&channel->process.in);
}

bool channel_reap(struct channel *channel, double deadline)
{
	if (!channel->gone && channel->process.ops)
		channel->gone = process_wait(&channel->process, deadline, &channel->status) > 0;
	return channel->gone;
}

/* Every worker of the run on one host, in whatever state; also one that has not said hello yet. */
static int kill_remote(void *arg, size_t i, struct error *err)
{
	const struct channel *channel = *((struct channel **)arg + i);
	char *script = xasprintf("for f in $(grep -lsz ^DSTRAIN_RUN=%s$ /proc/[0-9]*/environ); do "
				 "p=${f#/proc/}; kill -9 ${p%%%%/*}; done",
				 channel->mark);
	struct ssh_command command = { .command = script, .timeout_s = KILL_S };
	struct buf output = { 0 };
	int status = ssh_run(channel->ssh, &command, &output, err);

	buf_release(&output);
	free(script);
	return status;
}

/* All hosts at once: one that does not answer takes its time for nothing. */
static void kill_all_remote(struct channel **hosts, size_t count)
{
	int *status = xcalloc(count, sizeof(*status));
	struct error *errors = xcalloc(count, sizeof(*errors));

	if (count)
		fanout(count, count < KILL_WIDTH ? count : KILL_WIDTH, kill_remote, hosts, status,
		       errors, NULL);
	for (size_t i = 0; i < count; i++)
		if (status[i] < 0)
			log_debug("%s", errors[i].text);
	free(errors);
	free(status);
}

void channels_kill(struct channel *channels, size_t count)
{
	struct channel **there = xcalloc(count, sizeof(struct channel *)); /* one of each host */
	size_t hosts = 0;

	for (size_t i = 0; i < count; i++) {
		struct channel *channel = &channels[i];

		if (channel->gone || !channel->process.ops || !channel->ssh)
			continue;
		if (hosts == 0 || there[hosts - 1]->ssh != channel->ssh)
			there[hosts++] = channel;
	}
	kill_all_remote(there, hosts);
	for (size_t i = 0; i < count; i++)
		if (!channels[i].gone && channels[i].process.ops)
			process_kill(&channels[i].process, SIGKILL);
	free(there);
}

void channel_close(struct channel *channel)
{
	process_release(&channel->process);
	if (channel->log > 0)
		close(channel->log);
	for (size_t i = 0; i < CHANNEL_TAIL; i++)
		free(channel->tail[i]);
	control_reader_release(&channel->reader);
	control_hello_release(&channel->hello);
	buf_release(&channel->line);
	buf_release(&channel->out);
	free(channel->log_path);
	*channel = (struct channel){ 0 };
}
