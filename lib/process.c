/* A started program, on this machine or behind SSH: three streams and a way to end it. */
#define _GNU_SOURCE /* pipe2, environ */
#include "lib/process.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/clock.h"
#include "lib/error.h"
#include "lib/file.h"
#include "lib/memory.h"

struct child {
	pid_t pid;
	int pidfd; /* -1: this kernel has none, so wait looks every few milliseconds */
	bool reaped;
	struct process_status status;
};

/* [0] is read, [1] is written. */
struct pipes {
	int in[2], out[2], err[2];
	int failure[2]; /* errno of a failed exec; closed by one that works */
};

static void close_pair(int pair[2])
{
	for (int i = 0; i < 2; i++)
		file_close(&pair[i]);
}

static void pipes_close(struct pipes *pipes)
{
	close_pair(pipes->in);
	close_pair(pipes->out);
	close_pair(pipes->err);
	close_pair(pipes->failure);
}

static int pipes_open(struct pipes *pipes, struct error *err)
{
	*pipes = (struct pipes){ { -1, -1 }, { -1, -1 }, { -1, -1 }, { -1, -1 } };
	if (pipe2(pipes->in, O_CLOEXEC) == 0 && pipe2(pipes->out, O_CLOEXEC) == 0 &&
	    pipe2(pipes->err, O_CLOEXEC) == 0 && pipe2(pipes->failure, O_CLOEXEC) == 0)
		return 0;
	error_set(err, "cannot make a pipe: %s", strerror(errno));
	pipes_close(pipes);
	return -1;
}

/* Our environment with `added` over it; the texts are borrowed, the array is the caller's. */
static char **environment_with(char *const added[])
{
	size_t count = 0, kept = 0, extra = 0;
	char **all;

	while (environ && environ[count])
		count++;
	while (added && added[extra])
		extra++;
	all = xcalloc(count + extra + 1, sizeof(*all));
	for (size_t i = 0; i < count; i++) {
		size_t name = strcspn(environ[i], "=") + 1;
		bool replaced = false;

		for (size_t j = 0; j < extra && !replaced; j++)
			replaced = strncmp(environ[i], added[j], name) == 0;
		if (!replaced)
			all[kept++] = environ[i];
	}
	for (size_t j = 0; j < extra; j++)
		all[kept++] = added[j];
	return all;
}

/* Our handlers and mask must not reach the program. */
static void reset_signals(void)
{
	struct sigaction plain = { .sa_handler = SIG_DFL };
	sigset_t none;

	for (int signal = 1; signal < NSIG; signal++)
		sigaction(signal, &plain, NULL);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
}

/* In the child, so only async-signal-safe calls. Copies go above 2 first: where we were started
 * without a stdin, a pipe may have got that number. */
static void become(const struct pipes *pipes, char *const argv[], char *const environment[],
		   pid_t parent)
{
	int streams[] = { fcntl(pipes->in[0], F_DUPFD_CLOEXEC, 3),
			  fcntl(pipes->out[1], F_DUPFD_CLOEXEC, 3),
			  fcntl(pipes->err[1], F_DUPFD_CLOEXEC, 3) };
	int failure = fcntl(pipes->failure[1], F_DUPFD_CLOEXEC, 3);
	int reason;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != parent)
		_exit(127); /* it died before the line above */
	setsid();
	reset_signals();
	for (int i = 0; i < 3; i++)
		if (dup2(streams[i], i) < 0)
			goto out;
	execve(argv[0], argv, environment);
out:
	reason = errno;
	while (write(failure, &reason, sizeof(reason)) < 0 && errno == EINTR)
		;
	_exit(127);
}

/* Notes how it ended and ends what it left behind in its group; only then is its number given
 * back to the system, so that the signal cannot meet a stranger. */
static bool child_ended(struct child *child)
{
	siginfo_t end = { 0 };

	if (waitid(P_PID, (id_t)child->pid, &end, WEXITED | WNOHANG | WNOWAIT) < 0 ||
	    end.si_pid == 0)
		return false;
	kill(-child->pid, SIGKILL);
	waitid(P_PID, (id_t)child->pid, &end, WEXITED);
	child->reaped = true;
	child->status.exited = end.si_code == CLD_EXITED;
	if (child->status.exited)
		child->status.code = end.si_status;
	else
		child->status.signal = end.si_status;
	return true;
}

static int child_wait(void *state, double deadline, struct process_status *status)
{
	struct child *child = state;
	struct pollfd end = { .fd = child->pidfd, .events = POLLIN };

	while (!child->reaped && !child_ended(child)) {
		int left_ms = clock_poll_ms(deadline);

		if (left_ms == 0)
			return 0;
		poll(&end, 1, child->pidfd < 0 && left_ms > 5 ? 5 : left_ms);
	}
	*status = child->status;
	return 1;
}

static void child_kill(void *state, int signal)
{
	struct child *child = state;

	if (!child->reaped)
		kill(-child->pid, signal);
}

static void child_release(void *state)
{
	struct child *child = state;
	struct process_status status;

	child_kill(child, SIGKILL);
	child_wait(child, INFINITY, &status);
	file_close(&child->pidfd);
	free(child);
}

static const struct process_ops child_ops = {
	.wait = child_wait,
	.kill = child_kill,
	.release = child_release,
};

/* 0 once the program runs, its errno if it could not be executed. */
static int exec_failure(int fd)
{
	int reason = 0;
	ssize_t got;

	do
		got = read(fd, &reason, sizeof(reason));
	while (got < 0 && errno == EINTR);
	return got == sizeof(reason) ? reason : 0;
}

/* Forks and waits until the program has replaced us there. */
static int spawn(struct pipes *pipes, char *const argv[], char *const environment[], pid_t *pid,
		 struct error *err)
{
	pid_t parent = getpid();
	int reason;

	*pid = fork();
	if (*pid == 0)
		become(pipes, argv, environment, parent);
	if (*pid < 0)
		return error_set(err, "cannot start '%s': %s", argv[0], strerror(errno));
	file_close(&pipes->in[0]);
	file_close(&pipes->out[1]);
	file_close(&pipes->err[1]);
	file_close(&pipes->failure[1]);
	reason = exec_failure(pipes->failure[0]);
	if (reason == 0)
		return 0;
	while (waitpid(*pid, NULL, 0) < 0 && errno == EINTR)
		;
	return error_set(err, "cannot start '%s': %s", argv[0], strerror(reason));
}

static int take_stream(int *fd)
{
	int taken = *fd;

	*fd = -1;
	fcntl(taken, F_SETFL, fcntl(taken, F_GETFL) | O_NONBLOCK);
	return taken;
}

int process_start(struct process *out, char *const argv[], char *const environment[],
		  struct error *err)
{
	char **all = environment_with(environment);
	struct child *child;
	struct pipes pipes;
	pid_t pid;
	int status = pipes_open(&pipes, err);

	if (status == 0)
		status = spawn(&pipes, argv, all, &pid, err);
	free(all);
	if (status == 0) {
		child = xcalloc(1, sizeof(*child));
		child->pid = pid;
		child->pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
		*out = (struct process){ .in = take_stream(&pipes.in[1]),
					 .out = take_stream(&pipes.out[0]),
					 .err = take_stream(&pipes.err[0]),
					 .ops = &child_ops,
					 .state = child };
	}
	pipes_close(&pipes);
	return status;
}

int process_wait(struct process *process, double deadline, struct process_status *status)
{
	assert(process->ops);
	return process->ops->wait(process->state, deadline, status);
}

void process_kill(struct process *process, int signal)
{
	if (process->ops)
		process->ops->kill(process->state, signal);
}

void process_release(struct process *process)
{
	if (!process->ops)
		return;
	file_close(&process->in);
	file_close(&process->out);
	file_close(&process->err);
	process->ops->release(process->state);
	*process = (struct process){ 0 };
}
