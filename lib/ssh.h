/* One SSH session to a host (libssh2). Nothing here ever prompts. */
#ifndef DSTRAIN_LIB_SSH_H
#define DSTRAIN_LIB_SSH_H

#include <stddef.h>
#include <stdint.h>

struct buf;
struct error;
struct host;
struct process;
struct ssh;

/*
 * Resolves, connects (through proxy_jump if given), checks the host key, authenticates; all within
 * host->connect_timeout_s. `host` is borrowed until ssh_close. Errors name the host, and the next
 * command to type where there is one.
 */
int ssh_connect(struct ssh **out, const struct host *host, struct error *err);
/* The same, and given up as soon as *stop is not 0; so are the uploads and the starts of commands
 * by ssh_start in this session. */
int ssh_connect_unless(struct ssh **out, const struct host *host, const volatile int *stop,
		       struct error *err);

/*
 * Runs a command to its end: a script for /bin/sh, whatever the login shell is, and therefore
 * without quotes ('), !, backslashes and line ends. `input` (may be NULL) goes to its stdin. Fails
 * on timeout, lost connection, or an exit status other than 0 (err then holds what it said on
 * stderr). Output before a line of `marker` (may be NULL) is dropped: shells print banners.
 */
struct ssh_command {
	const char *command, *marker;
	const void *input;
	size_t input_length;
	double timeout_s;
	const volatile int *stop; /* given up as soon as it is not 0; may be NULL */
};
int ssh_run(struct ssh *ssh, const struct ssh_command *command, struct buf *output,
	    struct error *err);

/* Sends a local file to `remote_path` (absolute, no quotes in it) by way of a temporary name beside
 * it, mode 0700 or 0600. Called back with the bytes sent so far; may be NULL. */
struct ssh_upload {
	const char *local_path, *remote_path;
	int executable;
	void (*progress)(void *arg, uint64_t sent, uint64_t size);
	void *arg;
};
int ssh_upload(struct ssh *ssh, const struct ssh_upload *upload, struct error *err);

/*
 * Starts a command, as for ssh_run, whose streams stay open, served by the session's thread. Any
 * number per session, and from any thread; ssh_run and ssh_upload work meanwhile too. No signal
 * travels: SIGKILL closes the channel, any other closes the program's stdin. The process may be
 * released before or after ssh_close. All of out and err must be read before it counts as ended.
 */
int ssh_start(struct ssh *ssh, const char *command, struct process *out, struct error *err);

void ssh_close(struct ssh *ssh); /* ends what was started; may be NULL */

#endif
