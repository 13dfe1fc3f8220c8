/* Asking an orchestrator: questions and answers over a real socket, and who is dropped. */
#include "tests/unit/unit.h"

#include <math.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include "lib/ask.h"
#include "lib/clock.h"
#include "lib/error.h"
#include "lib/file.h"
#include "lib/json.h"
#include "lib/local.h"
#include "lib/log.h"
#include "lib/memory.h"
#include "lib/post.h"
#include "lib/sock.h"
#include "tests/unit/scratch.h"

/* What the desk was asked. */
struct desk {
	size_t stops;
	double grace_s;
	bool now;
};

static void tell(void *arg, struct json *out)
{
	(void)arg;
	json_add_text(out, "state", "training");
}

static void stop(void *arg, double grace_s, bool now)
{
	struct desk *desk = arg;

	desk->stops++;
	desk->grace_s = grace_s;
	desk->now = now;
}

static struct post *open_post(struct desk *desk)
{
	const struct post_desk row = { .status = tell, .stop = stop, .arg = desk };
	struct error err;
	struct post *post = post_open(".", NULL, &err);

	assert_non_null(post);
	post_desk(post, &row);
	return post;
}

/* As the orchestrator's loop does. */
static void turn(struct post *post)
{
	struct pollfd polls[POST_POLLS];

	post_polls(post, polls);
	poll(polls, POST_POLLS, 0);
	post_move(post, polls);
}

static struct ask dial(const char *word)
{
	struct json *question = ask_question(word);
	struct ask ask;
	struct error err;

	assert_int_equal(ask_open(&ask, ".", question, &err), 0);
	json_free(question);
	return ask;
}

/* The next answer's kind, and its text if it has one. */
static int answer_is(struct post *post, struct ask *ask, const char *kind, const char *text)
{
	struct json *answer = NULL;
	struct error err;
	int got;

	turn(post);
	got = ask_next(ask, clock_now() + 60, &answer, &err);
	if (got > 0) {
		assert_string_equal(json_get_text(answer, "kind"), kind);
		if (text)
			assert_string_equal(json_get_text(answer, "text"), text);
	}
	json_free(answer);
	return got;
}

static void status_is_told_and_that_is_all(void **state)
{
	struct desk desk = { 0 };
	struct post *post = open_post(&desk);
	struct ask ask = dial("status");
	struct stat about;

	(void)state;
	assert_int_equal(stat(POST_SOCKET, &about), 0);
	assert_int_equal(about.st_mode & 0777, 0600);
	assert_int_equal(answer_is(post, &ask, "status", NULL), 1);
	assert_int_equal(answer_is(post, &ask, "", NULL), -1);
	ask_close(&ask);
	post_close(post, NULL);
	assert_false(file_exists(POST_SOCKET));
}

static void who_asks_to_stop_waits_for_the_result(void **state)
{
	struct desk desk = { 0 };
	struct post *post = open_post(&desk);
	struct json *question = ask_question("stop"), *result = json_object_new();
	struct ask plain = dial("stop"), graceful;
	struct error err;

	(void)state;
	assert_int_equal(answer_is(post, &plain, "status", NULL), 1);
	assert_true(desk.stops == 1 && isnan(desk.grace_s) && !desk.now);
	json_add_real(question, "grace_s", 2.5);
	json_add_bool(question, "now", true);
	assert_int_equal(ask_open(&graceful, ".", question, &err), 0);
	assert_int_equal(answer_is(post, &graceful, "status", NULL), 1);
	assert_true(desk.stops == 2 && desk.grace_s == 2.5 && desk.now);
	json_add_text(result, "kind", "result");
	post_close(post, result);
	assert_int_equal(answer_is(NULL, &plain, "result", NULL), 1);
	assert_int_equal(answer_is(NULL, &graceful, "result", NULL), 1);
	ask_close(&plain);
	ask_close(&graceful);
	json_free(question);
	json_free(result);
}

static void who_is_attached_hears_what_was_and_what_is_said(void **state)
{
	struct desk desk = { 0 };
	struct post *post = open_post(&desk);
	struct ask ask, other;

	(void)state;
	assert_false(post_wants_picture(post));
	log_error("before");
	turn(post);
	ask = dial("attach");
	assert_int_equal(answer_is(post, &ask, "status", NULL), 1);
	assert_int_equal(answer_is(post, &ask, "message", "dstrain: error: before"), 1);
	log_error("after");
	log_progress("not this");
	assert_int_equal(answer_is(post, &ask, "message", "dstrain: error: after"), 1);
	assert_true(post_wants_picture(post));
	post_picture(post, "step 1", "1");
	assert_false(post_wants_picture(post));
	assert_int_equal(answer_is(post, &ask, "picture", NULL), 1);
	other = dial("attach");
	assert_int_equal(answer_is(post, &other, "status", NULL), 1);
	assert_int_equal(answer_is(post, &other, "message", "dstrain: error: before"), 1);
	assert_int_equal(answer_is(post, &other, "message", "dstrain: error: after"), 1);
	assert_int_equal(answer_is(post, &other, "picture", NULL), 1);
	ask_close(&ask);
	ask_close(&other);
	post_close(post, NULL);
	log_error("nobody listens");
}

static void nonsense_is_refused(void **state)
{
	static const char *const texts[] = { "\n", "x\n", "[]\n", "{}\n", "{\"ask\": \"rm\"}\n" };
	struct desk desk = { 0 };
	struct post *post = open_post(&desk);
	struct error err;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
		struct iovec part = { (void *)(uintptr_t)texts[i], strlen(texts[i]) };
		struct ask ask = { 0 };

		assert_int_equal(local_connect(&ask.fd, ".", POST_SOCKET, &err), 0);
		assert_int_equal(sock_write(ask.fd, &part, 1, &err), strlen(texts[i]));
		assert_int_equal(answer_is(post, &ask, "error", "the question is not dstrain's"),
				 1);
		assert_int_equal(answer_is(post, &ask, "", NULL), -1);
		ask_close(&ask);
	}
	assert_int_equal(desk.stops, 0);
	post_close(post, NULL);
}

static void who_does_not_read_is_dropped_and_the_others_are_not(void **state)
{
	struct desk desk = { 0 };
	struct post *post = open_post(&desk);
	struct ask deaf = dial("attach"), good = dial("attach");
	char *long_line = xcalloc(1, 4001);
	size_t heard = 0;

	(void)state;
	memset(long_line, 'x', 4000);
	assert_int_equal(answer_is(post, &good, "status", NULL), 1);
	for (size_t i = 0; i < 400; i++) {
		post_picture(post, long_line, "x");
		heard += answer_is(post, &good, "picture", NULL) == 1;
	}
	assert_int_equal(heard, 400);
	while (sock_read(deaf.fd, long_line, 4000, &(struct error){ "" }) > 0)
		;
	assert_int_equal(sock_read(deaf.fd, long_line, 4000, &(struct error){ "" }), -1);
	free(long_line);
	ask_close(&deaf);
	ask_close(&good);
	post_close(post, NULL);
}

static void more_than_are_let_in_are_sent_away(void **state)
{
	struct desk desk = { 0 };
	struct post *post = open_post(&desk);
	struct ask seats[POST_CLIENTS], last;

	(void)state;
	for (size_t i = 0; i < POST_CLIENTS; i++) {
		seats[i] = dial("attach");
		assert_int_equal(answer_is(post, &seats[i], "status", NULL), 1);
	}
	last = dial("attach");
	assert_int_equal(answer_is(post, &last, "", NULL), -1);
	ask_close(&last);
	for (size_t i = 0; i < POST_CLIENTS; i++)
		ask_close(&seats[i]);
	turn(post);
	last = dial("attach"); /* now there is room */
	assert_int_equal(answer_is(post, &last, "status", NULL), 1);
	ask_close(&last);
	post_close(post, NULL);
}

static void a_long_path_is_no_hindrance(void **state)
{
	char *dir = xasprintf("%0100d/%0100d", 1, 2), *path = path_join(dir, "door");
	int listener, fd;
	struct error err;

	(void)state;
	assert_int_equal(dir_make(dir, &err), 0);
	assert_int_equal(local_connect(&fd, dir, "door", &err), -1);
	assert_int_equal(local_listen(&listener, dir, "door", &err), 0);
	assert_int_equal(local_connect(&fd, dir, "door", &err), 0);
	assert_true(local_peer_is_ours(fd));
	close(fd);
	close(listener);
	assert_int_equal(local_connect(&fd, dir, "door", &err), -1);	 /* nobody there */
	assert_int_equal(local_listen(&listener, dir, "door", &err), 0); /* in its place */
	close(listener);
	free(path);
	free(dir);
}

static void nobody_asks_where_there_is_no_post(void **state)
{
	(void)state;
	turn(NULL);
	post_glance(NULL);
	post_end_log(NULL);
	post_desk(NULL, NULL);
	assert_false(post_wants_picture(NULL));
	post_close(NULL, NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(status_is_told_and_that_is_all),
		cmocka_unit_test(who_asks_to_stop_waits_for_the_result),
		cmocka_unit_test(who_is_attached_hears_what_was_and_what_is_said),
		cmocka_unit_test(nonsense_is_refused),
		cmocka_unit_test(who_does_not_read_is_dropped_and_the_others_are_not),
		cmocka_unit_test(more_than_are_let_in_are_sent_away),
		cmocka_unit_test(a_long_path_is_no_hindrance),
		cmocka_unit_test(nobody_asks_where_there_is_no_post),
	};

	return cmocka_run_group_tests(tests, scratch_make, scratch_remove);
}
