/* A run that goes on by itself. */
#define _GNU_SOURCE /* pipe2, close_range */
#include "cmd/detach.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cmd/cmd.h"
#include "lib/buf.h"
#include "lib/error.h"
#include "lib/file.h"

enum { READ_BYTES = 4096 };

static volatile pid_t child;
static int word_to_parent = -1;

/* The child is in a session of its own: what the terminal means for it is handed on. */
static void hand_on(int signal)
{
	int saved = errno;

	kill(child, signal);
	errno = saved;
}

static void hand_on_signals(void)
{
	static const int signals[] = { SIGINT, SIGTERM, SIGUSR1, SIGQUIT };
	struct sigaction action = { .sa_handler = hand_on, .sa_flags = SA_RESTART };

	sigemptyset(&action.sa_mask);
	for (size_t i = 0; i < sizeof(signals) / sizeof(signals[0]); i++)
		sigaction(signals[i], &action, NULL);
	signal(SIGHUP, SIG_IGN);
}

/* The run directory, once training has begun; nothing, if the child ended before. */
static void await_word(int fd, struct buf *word)
{
	ssize_t got;

	do {
		got = read(fd, buf_reserve(word, READ_BYTES), READ_BYTES);
		if (got > 0)
			word->length += (size_t)got;
	} while (got > 0 || (got < 0 && errno == EINTR));
	buf_add(word, "", 0);
}

static int exit_status_of(pid_t pid)
{
	int status = 0;

	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

static void become_alone(int word)
{
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);

	setsid();
	dup2(null, STDIN_FILENO);
	/* Nobody who waits for the end of what he gave us may wait for ours. */
	word_to_parent = dup2(word, STDERR_FILENO + 1);
	fcntl(word_to_parent, F_SETFD, FD_CLOEXEC);
	close_range((unsigned)STDERR_FILENO + 2, ~0U, 0);
}

int detach_fork(int *status, char **run_dir, struct error *err)
{
	sigset_t all, before;
	struct buf word = { 0 };
	int ends[2];

	*run_dir = NULL;
	if (pipe2(ends, O_CLOEXEC) < 0)
		return error_set(err, "cannot make a pipe: %s", strerror(errno));
	sigfillset(&all);
	sigprocmask(SIG_SETMASK, &all, &before); /* until each knows what to do with them */
	child = fork();
	if (child < 0) {
		sigprocmask(SIG_SETMASK, &before, NULL);
		return error_set(err, "cannot start a process: %s", strerror(errno));
	}
	if (child == 0) {
		become_alone(ends[1]);
		sigprocmask(SIG_SETMASK, &before, NULL);
		return 0;
	}
	close(ends[1]);
	hand_on_signals();
	sigprocmask(SIG_SETMASK, &before, NULL);
	await_word(ends[0], &word);
	close(ends[0]);
	*status = EXIT_DONE;
	if (word.length)
		*run_dir = buf_take(&word);
	else
		*status = exit_status_of(child);
	buf_release(&word);
	return 1;
}

void detach_begun(const char *run_dir, const char *log_path)
{
	int log = open(log_path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);

	if (log < 0)
		log = open("/dev/null", O_WRONLY | O_CLOEXEC);
	dup2(log, STDOUT_FILENO);
	dup2(log, STDERR_FILENO);
	close(log);
	file_write_all(word_to_parent, run_dir, strlen(run_dir));
	file_close(&word_to_parent);
}
