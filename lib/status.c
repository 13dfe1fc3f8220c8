/* What there is to say of a run, as members of a JSON object. */
#include "lib/status.h"

#include "lib/channel.h"
#include "lib/clock.h"
#include "lib/hosts.h"
#include "lib/json.h"
#include "lib/progress.h"

void status_add_totals(struct json *to, const struct progress_totals *t)
{
	uint64_t per_epoch = t->steps_per_epoch, here = t->step - t->start_step;

	json_add_count(to, "step", t->step);
	json_add_count(to, "steps", t->steps);
	json_add_count(to, "epoch", per_epoch && t->step ? (t->step - 1) / per_epoch + 1 : 0);
	json_add_count(to, "epochs", per_epoch && t->steps ? (t->steps - 1) / per_epoch + 1 : 0);
	json_add_real(to, "loss", t->last_loss);
	if (t->eval_count) {
		json_add_real(to, "test_loss", t->evals[t->eval_count - 1].loss);
		json_add_real(to, "accuracy", t->evals[t->eval_count - 1].accuracy);
	}
	json_add_real(to, "samples_per_s", t->here_s > 0 ? (double)t->samples_seen / t->here_s : 0);
	json_add_real(to, "elapsed_s", t->elapsed_s);
	traffic_add_json(to, &t->traffic);
	if (here && t->step <= t->steps)
		json_add_real(to, "left_s",
			      t->here_s / (double)here * (double)(t->steps - t->step));
}

void status_add_rank(struct json *ranks, uint32_t rank, const struct channel *channel,
		     const char *state)
{
	struct json *json = json_object_new();

	json_add_count(json, "rank", rank);
	json_add_text(json, "host", channel->host->name);
	json_add_text(json, "state", state);
	json_add_count(json, "pid", channel->hello.pid);
	json_add_real(json, "heard_s", clock_now() - channel->heard);
	if (channel->beat.resident_bytes)
		json_add_count(json, "resident_bytes", channel->beat.resident_bytes);
	json_add(ranks, NULL, json);
}
