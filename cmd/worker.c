/* dstrain worker: what the other commands start on hosts; not for people. */
#include <signal.h>
#include <unistd.h>

#include "cmd/cmd.h"
#include "runtime/worker.h"

static int worker(const struct flags *flags)
{
	(void)flags;
	signal(SIGPIPE, SIG_IGN);
	signal(SIGINT, SIG_IGN); /* the terminal's Ctrl-C is the orchestrator's to answer */
	worker_main(STDIN_FILENO, STDOUT_FILENO);
}

const struct command worker_command = {
	.name = "worker",
	.operands = "",
	.flags = FLAG_ALWAYS,
	.summary = "Serve an orchestrator on stdin and stdout",
	.hidden = true,
	.run = worker,
};
