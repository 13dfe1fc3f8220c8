/*
 * Where a running orchestrator can be asked: a socket in its run directory. A question is a line
 * of JSON with the member "ask", every answer and message is a line of JSON with the member
 * "kind":
 *   {"ask": "status"}                            status, and the end
 *   {"ask": "stop", "grace_s": 30, "now": false} status, and the result when the run has ended
 *   {"ask": "attach"}                            status, messages and pictures, the result
 * Whoever is slow, silent or talks nonsense is dropped. All functions take NULL for `post`: then
 * nobody asks.
 */
#ifndef DSTRAIN_LIB_POST_H
#define DSTRAIN_LIB_POST_H

#include <stdbool.h>
#include <stddef.h>

struct error;
struct json;
struct pollfd;
struct post;
struct progress;

#define POST_SOCKET "socket" /* in the run directory */
enum { POST_CLIENTS = 32, POST_POLLS = POST_CLIENTS + 1 };

/* Who answers just now. */
struct post_desk {
	void (*status)(void *arg, struct json *out);
	void (*stop)(void *arg, double grace_s, bool now); /* grace_s NAN: as it was started with */
	void *arg;
};

/* From now on what is logged also goes to `log_path` (unless NULL) and to all attached. */
struct post *post_open(const char *dir, const char *log_path, struct error *err);
void post_desk(struct post *post, const struct post_desk *desk); /* copied; needed to answer */
/* Fills POST_POLLS entries (fd -1 where there is nothing to wait for). */
void post_polls(struct post *post, struct pollfd *polls);
void post_move(struct post *post, const struct pollfd *polls); /* after a poll; never blocks */
void post_glance(struct post *post);		  /* both, in the midst of something long */
void post_end_log(struct post *post);		  /* no more to `log_path`, for stderr goes there */
bool post_wants_picture(const struct post *post); /* somebody is attached, and the last is old */
void post_picture(struct post *post, const char *full, const char *narrow);
/* Everybody who waits gets the result, within a moment; the log is no longer listened to. */
void post_close(struct post *post, const struct json *result); /* NULL: there is none */

#endif
