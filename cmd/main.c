/* dstrain: the table of commands, and the way to them. */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cmd/cmd.h"
#include "cmd/help.h"
#include "lib/log.h"

const struct command *const commands[] = {
	&run_command,	&resume_command,     &probe_command,  &plan_command,
	&ps_command,	&status_command,     &logs_command,   &attach_command,
	&stop_command,	&check_command,	     &hosts_command,  &list_command,
	&bench_command, &ckpt_command,	     &eval_command,   &sample_command,
	&clean_command, &completion_command, &worker_command, &reach_command,
	NULL,
};

static int run(const struct command *command, int argc, char **argv)
{
	struct flags flags = { 0 };
	int status = EXIT_DONE;

	if (flags_read(&flags, command, argc, argv) < 0)
		status = EXIT_USAGE;
	else if (flags.help)
		help_command(command);
	else if (flags.version)
		printf("dstrain %s\n", DSTRAIN_VERSION);
	else {
		log_level_set(flags.quiet ? LOG_ERROR : flags.verbose ? LOG_DEBUG : LOG_INFO);
		status = command->run(&flags);
	}
	flags_release(&flags, command);
	return status;
}

static int dispatch(int argc, char **argv)
{
	const char *word = argv[1];

	if (argc < 2) {
		log_error("which command? see `dstrain --help`");
		return EXIT_USAGE;
	}
	if (strcmp(word, "--version") == 0) {
		printf("dstrain %s\n", DSTRAIN_VERSION);
		return EXIT_DONE;
	}
	if (strcmp(word, "--help") == 0 || strcmp(word, "-h") == 0 || strcmp(word, "help") == 0) {
		help_overview();
		return EXIT_DONE;
	}
	for (size_t i = 0; commands[i]; i++)
		if (strcmp(commands[i]->name, word) == 0)
			return run(commands[i], argc - 2, argv + 2);
	help_unknown(word);
	return EXIT_USAGE;
}

/* Started without stdin, stdout or stderr: no file of ours may take its number. */
static void hold_streams(void)
{
	int fd;

	while ((fd = open("/dev/null", O_RDONLY)) >= 0 && fd <= STDERR_FILENO)
		;
	close(fd);
}

int main(int argc, char **argv)
{
	int status;

	hold_streams();
	umask(S_IRWXG | S_IRWXO); /* what a run writes is its owner's */
	status = dispatch(argc, argv);

	if (fflush(stdout) != 0 || ferror(stdout)) {
		log_error("cannot write to standard output");
		return status == EXIT_DONE ? EXIT_FAILED : status;
	}
	return status;
}
