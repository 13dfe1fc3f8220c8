/* Commands run to their end over SSH, and files sent by one. */
#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "lib/buf.h"
#include "lib/clock.h"
#include "lib/digest.h"
#include "lib/error.h"
#include "lib/file.h"
#include "lib/memory.h"
#include "lib/process.h"
#include "lib/ssh.h"
#include "lib/ssh_session.h"

enum {
	PIECE_BYTES = 65536,
	OUTPUT_BYTES = 64 << 20, /* more is a mistake */
	SAID_BYTES = 600,	 /* of stderr in an error */
	STALL_S = 30,		 /* in which an upload has to move a piece */
};

/* One command in progress. */
struct talk {
	struct process process;
	const char *input; /* what to send next */
	size_t left;
	struct buf *output, errors;
	size_t before; /* bytes of output that are not from here */
	struct ssh_wait until;
	const char *what; /* for errors */

	/* An upload refills the input from here. */
	int file; /* -1: none */
	char *piece;
	uint64_t sent, size;
	uint64_t moved; /* of `sent`, when the deadline was last put off */
	const struct ssh_upload *upload;
};

/* The next piece of the file, if the last one is gone. */
static int refill(struct talk *talk, struct error *err)
{
	ssize_t got;

	if (talk->left || talk->file < 0)
		return 0;
	do
		got = read(talk->file, talk->piece, PIECE_BYTES);
	while (got < 0 && errno == EINTR);
	if (got < 0)
		return error_set(err, "cannot read '%s': %s", talk->upload->local_path,
				 strerror(errno));
	talk->input = talk->piece;
	talk->left = (size_t)got;
	return 0;
}

/* A file may take as long as it needs, but not crawl. */
static void put_off(struct talk *talk)
{
	talk->moved = talk->sent;
	if (talk->upload)
		talk->until.deadline = clock_now() + STALL_S;
}

static int send_some(struct talk *talk, struct error *err)
{
	ssize_t sent;

	if (refill(talk, err) < 0)
		return -1;
	if (talk->left == 0) {
		file_close(&talk->process.in);
		put_off(talk);
		return 0;
	}
	sent = send(talk->process.in, talk->input, talk->left, MSG_NOSIGNAL | MSG_DONTWAIT);
	if (sent < 0 && (errno == EAGAIN || errno == EINTR))
		return 0;
	if (sent < 0) { /* it wants no more; its exit status will say why */
		file_close(&talk->process.in);
		return 0;
	}
	talk->input += sent;
	talk->left -= (size_t)sent;
	talk->sent += (uint64_t)sent;
	if (talk->sent >= talk->moved + PIECE_BYTES)
		put_off(talk);
	if (talk->upload && talk->upload->progress)
		talk->upload->progress(talk->upload->arg, talk->sent, talk->size);
	return 0;
}

static int receive(int *fd, struct buf *out, struct error *err)
{
	ssize_t got = read(*fd, buf_reserve(out, PIECE_BYTES), PIECE_BYTES);

	if (got > 0)
		out->length += (size_t)got;
	else if (got == 0 || (errno != EAGAIN && errno != EINTR))
		file_close(fd);
	out->data[out->length] = '\0';
	if (out->length > OUTPUT_BYTES)
		return error_set(err, "the command prints more than %d MiB", OUTPUT_BYTES >> 20);
	return 0;
}

/* Until the program has closed its output and ended. */
static int converse(struct talk *talk, struct process_status *status, struct error *err)
{
	struct process *process = &talk->process;

	while (process->out >= 0 || process->err >= 0) {
		struct pollfd ready[] = { { .fd = process->in, .events = POLLOUT },
					  { .fd = process->out, .events = POLLIN },
					  { .fd = process->err, .events = POLLIN } };

		if (ssh_is_stopped(talk->until))
			return error_set(err, "interrupted");
		if (clock_now() >= talk->until.deadline)
			return error_set(err, "%s does not end in time", talk->what);
		if (poll(ready, 3,
			 clock_poll_ms(fmin(talk->until.deadline, clock_now() + SSH_GLANCE_S))) < 0)
			continue;
		if (ready[0].revents && send_some(talk, err) < 0)
			return -1;
		if (ready[1].revents && receive(&process->out, talk->output, err) < 0)
			return -1;
		if (ready[2].revents && receive(&process->err, &talk->errors, err) < 0)
			return -1;
	}
	if (process_wait(process, talk->until.deadline, status))
		return 0;
	return error_set(err, "%s does not end in time", talk->what);
}

/* The end of what it said, on one line and safe for a terminal. */
static void quote_said(const char *from, size_t length, char *out, size_t size)
{
	size_t used = 0;

	while (length && strchr("\r\n", from[length - 1]))
		length--;
	if (length > size - 1) {
		from += length - (size - 1);
		length = size - 1;
	}
	for (; used < length; used++)
		out[used] = from[used] == '\n'		      ? ';'
			    : (unsigned char)from[used] < ' ' ? ' '
							      : from[used];
	out[used] = '\0';
}

static int judge(const struct talk *talk, const struct process_status *status, struct error *err)
{
	char said[SAID_BYTES], how[320];

	if (status->exited && status->code == 0)
		return 0;
	if (talk->errors.length)
		quote_said(talk->errors.data, talk->errors.length, said, sizeof(said));
	else
		quote_said(buf_text(talk->output) + talk->before,
			   talk->output->length - talk->before, said, sizeof(said));
	if (status->reason[0])
		snprintf(how, sizeof(how), "%s", status->reason);
	else if (status->exited)
		snprintf(how, sizeof(how), "exit status %d", status->code);
	else
		snprintf(how, sizeof(how), "killed by signal %d", status->signal);
	if (said[0])
		return error_set(err, "%s (%s: %s)", said, talk->what, how);
	return error_set(err, "%s: %s", talk->what, how);
}

/* Drops all up to and with the line that is `marker`. */
static int cut_banner(struct buf *output, size_t start, const char *marker, struct error *err)
{
	size_t length = strlen(marker);
	char *text = output->data ? output->data + start : NULL, *line = text;

	while (line && *line) {
		size_t width = strcspn(line, "\r\n");
		char *next = line + width + strspn(line + width, "\r");

		next += *next == '\n';
		if (width == length && strncmp(line, marker, length) == 0) {
			size_t rest = output->length - (size_t)(next - output->data);

			memmove(text, next, rest + 1);
			output->length = start + rest;
			return 0;
		}
		line = next;
	}
	return error_set(err, "the login shell did not run the command; it said '%.*s'",
			 text ? (int)strcspn(text, "\r\n") : 0, text ? text : "");
}

static int run(struct ssh *ssh, const char *command, struct talk *talk, struct error *err)
{
	struct process_status status;
	int outcome;

	if (ssh_start_by(ssh, command, talk->until, &talk->process, err) < 0)
		return -1;
	outcome = converse(talk, &status, err);
	if (outcome == 0)
		outcome = judge(talk, &status, err);
	if (outcome < 0)
		error_prefix(err, "%s", ssh->host->name);
	process_release(&talk->process);
	buf_release(&talk->errors);
	return outcome;
}

int ssh_run(struct ssh *ssh, const struct ssh_command *command, struct buf *output,
	    struct error *err)
{
	struct talk talk = { .input = command->input,
			     .left = command->input ? command->input_length : 0,
			     .output = output,
			     .before = output->length,
			     .until = { clock_now() + command->timeout_s, command->stop },
			     .what = "the remote command",
			     .file = -1 };
	size_t start = output->length;

	if (run(ssh, command->command, &talk, err) < 0)
		return -1;
	if (command->marker && cut_banner(output, start, command->marker, err) < 0)
		return error_prefix(err, "%s", ssh->host->name);
	return 0;
}

static int upload_script(char **out, const struct ssh_upload *upload, uint64_t size,
			 struct error *err)
{
	const char *path = upload->remote_path;
	unsigned char unique[8];

	if (path[0] != '/' || strpbrk(path, "'\"\\!`$\n"))
		return error_set(err, "cannot send a file to '%s': not a plain absolute path",
				 path);
	if (random_bytes(unique, sizeof(unique), err) < 0)
		return -1;
	/* Where we cannot be reached any more the server may wait for hours, and cat with it: so
	 * something there looks as well whether the copy crawls. At the end the rest of the group
	 * goes. */
	/* clang-format off */
	*out = xasprintf("umask 077; trap \"\" PIPE; p=\"%s\"; t=\"$p.%02x%02x%02x%02x%02x%02x%02x%02x\"; "
		"(o=0; while sleep %d; n=$(wc -c <\"$t\"); [ $n -ge $((o + %d)) ]; do o=$n; done; "
		"rm -f \"$t\"; kill -9 0) </dev/null >/dev/null 2>&1 & "
		"room() { set -- $(df -Pk \"${p%%/*}\" | tail -n 1); [ $(($4 * 1024)) -ge %llu ] || "
		"echo \" it needs %llu bytes, and\" $(($4 * 1024)) \"are free there; make room there, "
		"or set XDG_CACHE_HOME\" >&2; }; "
		"{ cat >\"$t\" || { [ -f \"$t\" ] && rm -f \"$t\" && room; false; }; } && n=$(wc -c <\"$t\") && { [ $n -eq %llu ] || "
		"{ echo \"only\" $n \"of %llu bytes arrived\" >&2; false; }; } && "
		"chmod %s \"$t\" && mv -f \"$t\" \"$p\" || { rm -f \"$t\"; false; }; "
		"s=$?; trap \"\" TERM; kill 0; exit $s",
		path, unique[0], unique[1], unique[2], unique[3], unique[4], unique[5], unique[6],
		unique[7], STALL_S, PIECE_BYTES, (unsigned long long)size, (unsigned long long)size,
		(unsigned long long)size, (unsigned long long)size,
		upload->executable ? "700" : "600");
	/* clang-format on */
	return 0;
}

int ssh_upload(struct ssh *ssh, const struct ssh_upload *upload, struct error *err)
{
	struct buf output = { 0 };
	struct talk talk = { .output = &output,
			     .until = { clock_now() + STALL_S, ssh->until.stop },
			     .upload = upload };
	char *script = NULL, *what = xasprintf("writing '%s'", upload->remote_path);
	int status = -1;

	talk.what = what;
	talk.file = open(upload->local_path, O_RDONLY | O_CLOEXEC);
	talk.piece = xmalloc(PIECE_BYTES);
	if (talk.file < 0)
		error_set(err, "cannot open '%s': %s", upload->local_path, strerror(errno));
	else if (file_size(&talk.size, upload->local_path, err) == 0 &&
		 upload_script(&script, upload, talk.size, err) == 0)
		status = run(ssh, script, &talk, err);
	file_close(&talk.file);
	buf_release(&output);
	free(talk.piece);
	free(script);
	free(what);
	return status;
}
