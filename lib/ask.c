/* Asks a running orchestrator: the other end of lib/post. */
#include "lib/ask.h"

#include <poll.h>
#include <string.h>
#include <sys/uio.h>

#include "lib/clock.h"
#include "lib/error.h"
#include "lib/file.h"
#include "lib/json.h"
#include "lib/local.h"
#include "lib/memory.h"
#include "lib/post.h"
#include "lib/sock.h"
#include "lib/stop.h"

enum { READ_BYTES = 1 << 14 };

struct json *ask_question(const char *ask)
{
	struct json *question = json_object_new();

	json_add_text(question, "ask", ask);
	return question;
}

int ask_open(struct ask *ask, const char *dir, const struct json *question, struct error *err)
{
	struct buf line = { 0 };
	struct iovec part;
	int status = 0;

	*ask = (struct ask){ .fd = -1 };
	if (local_connect(&ask->fd, dir, POST_SOCKET, err) < 0)
		return -1;
	json_print(question, 0, &line);
	buf_add(&line, "\n", 1);
	part = (struct iovec){ line.data, line.length };
	if (!local_peer_is_ours(ask->fd))
		status = error_set(err, "'%s' is the run of another user", dir);
	else if (sock_write(ask->fd, &part, 1, err) != (long)line.length)
		status = error_set(err, "the orchestrator of '%s' takes no questions", dir);
	if (status < 0)
		ask_close(ask);
	buf_release(&line);
	return status;
}

/* 1: a line was complete. */
static int take_line(struct ask *ask, struct json **out, struct error *err)
{
	char *end = ask->in.length ? memchr(ask->in.data, '\n', ask->in.length) : NULL;
	size_t length;

	if (!end)
		return 0;
	length = (size_t)(end - ask->in.data);
	*out = json_parse(ask->in.data, length, err);
	buf_consume(&ask->in, length + 1);
	return *out ? 1 : -1;
}

int ask_next(struct ask *ask, double deadline, struct json **out, struct error *err)
{
	struct pollfd waits[] = { { .fd = ask->fd, .events = POLLIN },
				  { .fd = stop_fd(), .events = POLLIN } };
	int status, ready;
	long got;

	while ((status = take_line(ask, out, err)) == 0) {
		ready = poll(waits, ARRAY_SIZE(waits), clock_poll_ms(deadline));
		if (ready == 0 || stop_signal())
			return 0;
		if (ready < 0) /* it was suspended, for one */
			continue;
		got = sock_read(ask->fd, buf_reserve(&ask->in, READ_BYTES), READ_BYTES, err);
		if (got < 0)
			return -1;
		ask->in.length += (size_t)got;
	}
	return status;
}

void ask_close(struct ask *ask)
{
	file_close(&ask->fd);
	buf_release(&ask->in);
}
