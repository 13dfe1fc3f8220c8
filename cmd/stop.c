/* dstrain stop: asks a run to save a checkpoint and end. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "cmd/cmd.h"
#include "cmd/output.h"
#include "cmd/summary.h"
#include "lib/ask.h"
#include "lib/clock.h"
#include "lib/error.h"
#include "lib/json.h"
#include "lib/log.h"
#include "lib/runs.h"

#define ANSWER_S 5.0
#define LEAVE_S	 10.0 /* after the result was told, or the connection was lost */

static bool is_state(const struct run *run, const char *state)
{
	return strcmp(run_state(run), state) == 0;
}

/* What became of it. `asked`: it went on until now. */
static int say_end(const struct run *run, const struct flags *flags, bool asked)
{
	unsigned long long step = json_get_count(run->facts, "step", 0);
	unsigned long long saved = json_get_count(run->facts, "checkpoint_step", 0);

	if (flags->json)
		output_json(run->facts);
	if (is_state(run, "killed")) {
		char *remedy = run_remedy(run);

		log_error("'%s' does not go on: its orchestrator was killed; %s", run->dir, remedy);
		free(remedy);
		return EXIT_FAILED;
	}
	if (!asked) {
		log_info("'%s' has ended already: %s after step %llu", run->dir, run_state(run),
			 step);
		return EXIT_DONE;
	}
	if (is_state(run, "stopped") || is_state(run, "done")) {
		log_info("%s after step %llu; the checkpoint is that of step %llu", run_state(run),
			 step, saved);
		return EXIT_DONE;
	}
	if (is_state(run, "aborted") && (flags->now || !step)) {
		log_info("aborted after step %llu; the newest checkpoint is that of step %llu",
			 step, saved);
		return EXIT_DONE;
	}
	summary_tell(run->facts);
	return EXIT_FAILED;
}

/* 0 once the orchestrator has told the result, or has nothing more to tell. */
static int await_result(struct ask *ask, struct error *err)
{
	double deadline = clock_now() + ANSWER_S;
	struct json *answer = NULL;
	const char *kind;
	bool ended = false;
	int got;

	while (!ended) {
		got = ask_next(ask, deadline, &answer, err);
		if (got < 0)
			return 0;
		if (got == 0)
			return error_set(err, "its orchestrator does not answer");
		kind = json_get_text(answer, "kind");
		ended = kind && strcmp(kind, "result") == 0;
		if (kind && strcmp(kind, "error") == 0)
			got = error_set(err, "%s", json_get_text(answer, "text"));
		json_free(answer);
		if (got < 0)
			return -1;
		deadline = INFINITY; /* it answers, and has a grace time of its own */
	}
	return 0;
}

static int ask_to_stop(struct run *run, const struct flags *flags, struct error *err)
{
	struct json *question = ask_question("stop");
	struct ask ask;
	int status;

	if (flags->stop_grace_s > 0)
		json_add_real(question, "grace_s", flags->stop_grace_s);
	json_add_bool(question, "now", flags->now);
	status = run_ask(run, question, &ask, err);
	if (status == 0) {
		status = await_result(&ask, err);
		ask_close(&ask);
	}
	json_free(question);
	if (!run_await_end(run, status == 0 ? LEAVE_S : 0) && status == 0)
		status = error_set(err, "it was asked to end, but does not");
	return run->live ? status : 0;
}

static int stop(const struct flags *flags)
{
	int status = EXIT_FAILED;
	struct run run;
	struct error err;
	bool asked;

	if (run_find(&run, flags->operands[0], &err) < 0) {
		log_error("%s", err.text);
		return EXIT_USAGE;
	}
	asked = run.live;
	if (asked && ask_to_stop(&run, flags, &err) < 0)
		log_error("'%s' cannot be stopped from here: %s", run.dir, err.text);
	else
		status = say_end(&run, flags, asked);
	run_release(&run);
	return status;
}

const struct command stop_command = {
	.name = "stop",
	.operands = "RUN",
	.least = 1,
	.most = 1,
	.operand_kind = OPERAND_DIRECTORY,
	.flags = FLAG_STOP | FLAG_JSON,
	.summary = "Let a run save a checkpoint and end",
	.details = "RUN is a run directory, or a name as `dstrain ps` shows it. Waits until it "
		   "has ended, and says after which step.",
	.run = stop,
};
