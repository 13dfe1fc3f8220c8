/* dstrain attach: watches a run from another terminal. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cmd/cmd.h"
#include "cmd/output.h"
#include "cmd/summary.h"
#include "lib/ask.h"
#include "lib/clock.h"
#include "lib/error.h"
#include "lib/json.h"
#include "lib/log.h"
#include "lib/progress.h"
#include "lib/runs.h"
#include "lib/stop.h"
#include "lib/terminal.h"

#define PLAIN_S 10.0
#define LEAVE_S 10.0

struct watching {
	const struct flags *flags;
	bool live;    /* one line, rewritten */
	double shown; /* when a picture was shown last, where it is not */
	struct json *result;
};

static void show_picture(struct watching *w, const struct json *picture)
{
	const char *full = json_get_text(picture, "full");
	const char *narrow = json_get_text(picture, "narrow");

	if (!full || !narrow || w->flags->quiet)
		return;
	if (w->live) {
		progress_show(full, narrow);
	} else if (clock_now() >= w->shown + PLAIN_S) {
		w->shown = clock_now();
		fprintf(stderr, "%s\n", full);
	}
}

static void take(struct watching *w, struct json *answer)
{
	const char *kind = json_get_text(answer, "kind"), *text = json_get_text(answer, "text");

	if (kind && strcmp(kind, "picture") == 0) {
		show_picture(w, answer);
	} else if (kind && text) { /* a message, or an error */
		progress_hide();
		fprintf(stderr, "%s\n", text);
	} else if (kind && strcmp(kind, "result") == 0) {
		w->result = answer;
		return;
	}
	json_free(answer);
}

/* Until the result, the end of the connection, or a signal. */
static void watch(struct watching *w, struct ask *ask)
{
	struct json *answer;
	struct error ignored;

	while (!w->result && !stop_signal() && ask_next(ask, INFINITY, &answer, &ignored) > 0)
		take(w, answer);
	progress_hide();
}

static int show_result(const struct json *result, const struct flags *flags)
{
	const char *state = json_get_text(result, "state");

	if (flags->json)
		output_json(result);
	else if (state && strcmp(state, "done") == 0 && !flags->quiet)
		summary_print(result);
	return (int)json_get_count(result, "exit_status", EXIT_FAILED);
}

/* Of a run that has ended without telling us how. */
static int show_end(const struct run *run, const struct flags *flags)
{
	if (strcmp(run_state(run), "killed") == 0) {
		char *remedy = run_remedy(run);

		log_error("the orchestrator of '%s' was killed; %s", run->dir, remedy);
		free(remedy);
		return EXIT_FAILED;
	}
	summary_tell(run->facts);
	return show_result(run->facts, flags);
}

static int follow(struct run *run, const struct flags *flags, struct error *err)
{
	struct watching w = { .flags = flags,
			      .live = !flags->quiet && terminal_rewrites(STDERR_FILENO) };
	struct json *question = ask_question("attach");
	struct ask ask;
	int status = run->live ? run_ask(run, question, &ask, err) : -1;

	json_free(question);
	if (status < 0 && stop_signal())
		return 128 + stop_signal();
	if (status < 0) {
		run_look(run);
		return run->live ? error_prefix(err, "'%s' cannot be watched", run->dir)
				 : show_end(run, flags);
	}
	if (w.live)
		log_before_line(progress_hide);
	watch(&w, &ask);
	ask_close(&ask);
	if (w.result) {
		json_add_text(w.result, "run_dir", run->dir);
		status = show_result(w.result, flags);
		json_free(w.result);
	} else if (stop_signal()) {
		log_info("the run goes on; to stop it: dstrain stop %s", run->dir);
		status = 128 + stop_signal();
	} else if (run_await_end(run, LEAVE_S)) {
		status = show_end(run, flags);
	} else {
		status = error_set(err, "'%s' no longer answers", run->dir);
	}
	return status;
}

static int attach(const struct flags *flags)
{
	struct run run;
	struct error err;
	int status;

	stop_install(false);
	if (run_find(&run, flags->operands[0], &err) < 0) {
		log_error("%s", err.text);
		return EXIT_USAGE;
	}
	status = follow(&run, flags, &err);
	if (status < 0) {
		log_error("%s", err.text);
		status = EXIT_FAILED;
	}
	run_release(&run);
	return status;
}

const struct command attach_command = {
	.name = "attach",
	.operands = "RUN",
	.least = 1,
	.most = 1,
	.operand_kind = OPERAND_DIRECTORY,
	.flags = FLAG_JSON,
	.summary = "Watch a run as if it had been started here",
	.details = "RUN is a run directory, or a name as `dstrain ps` shows it. Ends with the "
		   "run's summary and its exit status. Ctrl-C leaves the run alone.",
	.run = attach,
};
