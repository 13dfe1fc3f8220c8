/* The signals that ask a run to end, as something to poll. */
#define _GNU_SOURCE /* pipe2 */
#include "lib/stop.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <unistd.h>

#include "lib/memory.h"

static volatile int first_signal;
static int ends[2] = { -1, -1 };

static void note(int signal)
{
	int saved = errno;
	unsigned char byte = (unsigned char)signal;
	ssize_t ignored = write(ends[1], &byte, 1);

	(void)ignored; /* a full pipe holds signals enough */
	if (!first_signal)
		first_signal = signal;
	errno = saved;
}

static bool is_ignored(int signal)
{
	struct sigaction now;

	return sigaction(signal, NULL, &now) == 0 && now.sa_handler == SIG_IGN;
}

void stop_install(bool alone)
{
	static const int signals[] = { SIGINT, SIGTERM, SIGUSR1, SIGHUP };
	struct sigaction action = { .sa_handler = note, .sa_flags = SA_RESTART };
	bool deaf = alone || is_ignored(SIGHUP);

	if (pipe2(ends, O_CLOEXEC | O_NONBLOCK) < 0)
		return;
	sigemptyset(&action.sa_mask);
	for (size_t i = 0; i < ARRAY_SIZE(signals); i++)
		sigaction(signals[i], &action, NULL);
	if (deaf)
		signal(SIGHUP, SIG_IGN);
	signal(SIGPIPE, SIG_IGN);
}

int stop_fd(void)
{
	return ends[0];
}

int stop_take(void)
{
	unsigned char byte;

	return read(ends[0], &byte, 1) == 1 ? byte : 0;
}

int stop_signal(void)
{
	return first_signal;
}

const volatile int *stop_flag(void)
{
	return &first_signal;
}

void stop_note(int signal)
{
	if (!first_signal)
		first_signal = signal;
}
