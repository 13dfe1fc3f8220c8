/* Where a running orchestrator can be asked. */
#include "lib/post.h"

#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

#include "lib/buf.h"
#include "lib/clock.h"
#include "lib/error.h"
#include "lib/file.h"
#include "lib/json.h"
#include "lib/local.h"
#include "lib/log.h"
#include "lib/memory.h"
#include "lib/sock.h"

enum { QUESTION = 4096, UNREAD = 1 << 18, HISTORY = 1 << 13 };

#define SILENT_S   5.0 /* for a question to come */
#define PICTURE_S  0.2 /* between two pictures */
#define FAREWELL_S 0.5

struct client {
	int fd;
	struct buf in, out;
	double since;
	bool asked, attached, waits;
};

struct post {
	char *dir;
	int listener, log;
	struct client clients[POST_CLIENTS];
	size_t count;
	struct post_desk desk;
	double opened; /* since 1970 */
	double pictured;
	char *picture; /* the last one, as a line; NULL: none yet */
	pthread_mutex_t lock;
	struct buf said;    /* lock: messages as lines of JSON that nobody was sent yet */
	struct buf history; /* those that were, the last ones */
};

static struct post *listening; /* to the log */

/* A line of JSON. */
static void add_line(struct buf *out, const struct json *json)
{
	json_print(json, 0, out);
	buf_add(out, "\n", 1);
}

static struct json *new_message(const char *kind)
{
	struct json *json = json_object_new();

	json_add_text(json, "kind", kind);
	return json;
}

/* Called by the log, from any thread. */
static void overhear(const char *text)
{
	struct json *json = new_message("message");

	json_add_text(json, "text", text);
	pthread_mutex_lock(&listening->lock);
	add_line(&listening->said, json);
	if (listening->log >= 0 && (file_write_all(listening->log, text, strlen(text)) < 0 ||
				    file_write_all(listening->log, "\n", 1) < 0))
		file_close(&listening->log); /* a full disk: others say so */
	pthread_mutex_unlock(&listening->lock);
	json_free(json);
}

static void drop(struct post *post, size_t i)
{
	close(post->clients[i].fd);
	buf_release(&post->clients[i].in);
	buf_release(&post->clients[i].out);
	post->clients[i] = post->clients[--post->count];
}

/* What was logged goes to all attached, and is kept for those who come later. */
static void pass_on(struct post *post)
{
	pthread_mutex_lock(&post->lock);
	for (size_t i = 0; i < post->count; i++)
		if (post->clients[i].attached)
			buf_add(&post->clients[i].out, post->said.data, post->said.length);
	buf_add(&post->history, post->said.data, post->said.length);
	buf_release(&post->said);
	pthread_mutex_unlock(&post->lock);
	while (post->history.length > HISTORY) {
		const char *end = memchr(post->history.data, '\n', post->history.length);

		buf_consume(&post->history, (size_t)(end - post->history.data) + 1);
	}
}

static void answer_status(struct post *post, struct client *client)
{
	struct json *json = new_message("status");

	json_add_count(json, "pid", (uint64_t)getpid());
	json_add_real(json, "started", post->opened);
	post->desk.status(post->desk.arg, json);
	add_line(&client->out, json);
	json_free(json);
}

static void refuse(struct client *client, const char *why)
{
	struct json *json = new_message("error");

	json_add_text(json, "text", why);
	add_line(&client->out, json);
	json_free(json);
}

static void answer(struct post *post, struct client *client, const struct json *question)
{
	const char *ask = question ? json_get_text(question, "ask") : NULL;
	double grace_s;

	if (ask && strcmp(ask, "stop") == 0) {
		grace_s = json_get_real(question, "grace_s", NAN);
		client->waits = true;
		post->desk.stop(post->desk.arg, grace_s >= 0 ? grace_s : NAN,
				json_get_bool(question, "now", false));
	} else if (ask && strcmp(ask, "attach") == 0) {
		client->waits = client->attached = true;
	} else if (!ask || strcmp(ask, "status") != 0) {
		refuse(client, "the question is not dstrain's");
		return;
	}
	answer_status(post, client);
	if (client->attached) {
		buf_add(&client->out, post->history.data, post->history.length);
		if (post->picture)
			buf_add(&client->out, post->picture, strlen(post->picture));
	}
}

/* False: this client is of no use. */
static bool read_question(struct post *post, struct client *client)
{
	struct error ignored;
	long got = sock_read(client->fd, buf_reserve(&client->in, QUESTION), QUESTION, &ignored);
	struct json *question;
	char *end;

	if (got <= 0 || client->asked)
		return got == 0;
	client->in.length += (size_t)got;
	end = memchr(client->in.data, '\n', client->in.length);
	if (!end)
		return client->in.length <= QUESTION;
	question = json_parse(client->in.data, (size_t)(end - client->in.data), &ignored);
	client->asked = true;
	buf_release(&client->in);
	answer(post, client, question);
	json_free(question);
	return true;
}

static bool write_answer(struct client *client)
{
	const struct iovec part = { client->out.data, client->out.length };
	struct error ignored;
	long sent = client->out.length ? sock_write(client->fd, &part, 1, &ignored) : 0;

	if (sent < 0)
		return false;
	buf_consume(&client->out, (size_t)sent);
	return client->out.length <= UNREAD &&
	       (client->out.length > 0 || !client->asked || client->waits);
}

/* Moves what can be moved; drops a client that is of no use any more. */
static void serve(struct post *post, size_t i, bool readable)
{
	struct client *client = &post->clients[i];
	bool useful = client->asked || clock_now() < client->since + SILENT_S;

	if (useful && readable)
		useful = read_question(post, client);
	if (!useful || !write_answer(client))
		drop(post, i);
}

static void let_in(struct post *post)
{
	int fd = -1;

	for (size_t i = 0; i < POST_CLIENTS && (fd = sock_accept(post->listener)) >= 0; i++) {
		if (post->count == POST_CLIENTS || !local_peer_is_ours(fd)) {
			close(fd);
			continue;
		}
		post->clients[post->count++] = (struct client){ .fd = fd, .since = clock_now() };
		serve(post, post->count - 1, true); /* the question is mostly there already */
	}
}

struct post *post_open(const char *dir, const char *log_path, struct error *err)
{
	struct post *post = xcalloc(1, sizeof(*post));

	if (local_listen(&post->listener, dir, POST_SOCKET, err) < 0) {
		free(post);
		return NULL;
	}
	post->dir = path_absolute(dir);
	post->opened = clock_wall();
	post->log = log_path ? open(log_path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600) : -1;
	pthread_mutex_init(&post->lock, NULL);
	listening = post;
	log_also(overhear);
	return post;
}

void post_desk(struct post *post, const struct post_desk *desk)
{
	if (post)
		post->desk = *desk;
}

void post_polls(struct post *post, struct pollfd *polls)
{
	for (size_t i = 0; i < POST_POLLS; i++)
		polls[i] = (struct pollfd){ .fd = -1 };
	if (!post)
		return;
	pass_on(post);
	for (size_t i = 0; i < post->count; i++)
		polls[i] = (struct pollfd){ .fd = post->clients[i].fd,
					    .events = POLLIN |
						      (post->clients[i].out.length ? POLLOUT : 0) };
	polls[POST_CLIENTS] = (struct pollfd){ .fd = post->listener, .events = POLLIN };
}

void post_move(struct post *post, const struct pollfd *polls)
{
	if (!post)
		return;
	for (size_t i = post->count; i-- > 0;)
		serve(post, i, polls[i].revents & (POLLIN | POLLHUP | POLLERR));
	if (polls[POST_CLIENTS].revents)
		let_in(post);
}

void post_glance(struct post *post)
{
	struct pollfd polls[POST_POLLS];

	post_polls(post, polls);
	if (post && poll(polls, POST_POLLS, 0) > 0)
		post_move(post, polls);
}

void post_end_log(struct post *post)
{
	if (!post)
		return;
	pthread_mutex_lock(&post->lock);
	file_close(&post->log);
	pthread_mutex_unlock(&post->lock);
}

bool post_wants_picture(const struct post *post)
{
	if (!post || clock_now() < post->pictured + PICTURE_S)
		return false;
	for (size_t i = 0; i < post->count; i++)
		if (post->clients[i].attached)
			return true;
	return false;
}

void post_picture(struct post *post, const char *full, const char *narrow)
{
	struct json *json = new_message("picture");
	struct buf line = { 0 };

	json_add_text(json, "full", full);
	json_add_text(json, "narrow", narrow);
	add_line(&line, json);
	json_free(json);
	free(post->picture);
	post->picture = buf_take(&line);
	post->pictured = clock_now();
	for (size_t i = 0; i < post->count; i++)
		if (post->clients[i].attached)
			buf_add(&post->clients[i].out, post->picture, strlen(post->picture));
}

static void say_farewell(struct post *post, const struct json *result)
{
	double deadline = clock_now() + FAREWELL_S;
	struct pollfd polls[POST_POLLS];

	pass_on(post);
	for (size_t i = 0; i < post->count; i++) {
		if (post->clients[i].waits && result)
			add_line(&post->clients[i].out, result);
		post->clients[i].waits = false;
	}
	for (;;) {
		for (size_t i = post->count; i-- > 0;)
			if (!post->clients[i].asked || !write_answer(&post->clients[i]))
				drop(post, i);
		if (!post->count || clock_now() >= deadline)
			break;
		post_polls(post, polls);
		polls[POST_CLIENTS].fd = -1; /* nobody else */
		for (size_t i = 0; i < post->count; i++)
			polls[i].events = POLLOUT;
		poll(polls, POST_POLLS, clock_poll_ms(deadline));
	}
}

void post_close(struct post *post, const struct json *result)
{
	char *path;

	if (!post)
		return;
	log_also(NULL);
	say_farewell(post, result);
	while (post->count)
		drop(post, 0);
	path = path_join(post->dir, POST_SOCKET);
	unlink(path);
	close(post->listener);
	file_close(&post->log);
	pthread_mutex_destroy(&post->lock);
	buf_release(&post->said);
	buf_release(&post->history);
	free(post->picture);
	free(post->dir);
	free(post);
	free(path);
}
