/* What a step took and gave, sent to the orchestrator. */
#include "runtime/metrics.h"

#include "lib/buf.h"
#include "lib/clock.h"
#include "lib/control.h"
#include "runtime/exchange.h"
#include "runtime/outbox.h"
#include "runtime/sync/sync.h"
#include "runtime/transport/transport.h"

void metrics_begin(struct metrics *metrics)
{
	metrics->begun = metrics->lap = clock_now();
	metrics->data_s = metrics->compute_s = 0;
}

static double lap(struct metrics *metrics)
{
	double now = clock_now(), passed = now - metrics->lap;

	metrics->lap = now;
	return passed;
}

void metrics_data(struct metrics *metrics)
{
	metrics->data_s += lap(metrics);
}

void metrics_compute(struct metrics *metrics)
{
	metrics->compute_s += lap(metrics);
}

void metrics_other(struct metrics *metrics)
{
	lap(metrics);
}

void metrics_start(struct metrics *metrics)
{
	metrics->start = net_payload_sent(metrics->net);
}

/* Since the record before. */
static struct traffic traffic_of(struct metrics *metrics, const struct coder_report *coded)
{
	struct net_bytes sent = net_bytes(metrics->net);
	uint64_t payload = sent.payload_sent - metrics->start;
	struct traffic now = {
		.payload = payload,
		.header = sent.header_sent,
		.control = sent.control_sent + metrics->start,
		.payload_fp32 = payload + (uint64_t)exchange_saved(metrics->exchange),
		.coded = coded->bytes,
		.coordinates = coded->coordinates,
	};
	struct traffic since = traffic_between(&metrics->before, &now);

	metrics->before = now;
	return since;
}

void metrics_step(struct metrics *metrics, size_t step, const struct score *score, double lr,
		  double gradient_norm)
{
	struct sync_times times = sync_times(metrics->sync);
	struct coder_report coded = exchange_report(metrics->exchange);
	struct control_step record = {
		.step = step,
		.loss_sum = score->loss_sum,
		.correct = score->correct,
		.count = score->count,
		.lr = lr,
		.gradient_norm = gradient_norm,
		.data_s = metrics->data_s,
		.compute_s = metrics->compute_s,
		.comm_s = times.comm_s,
		.exposed_comm_s = times.exposed_s,
		.step_s = clock_now() - metrics->begun,
		.traffic = traffic_of(metrics, &coded),
		.level = coded.level,
		.drift = sync_drift(metrics->sync),
	};
	struct buf frame = { 0 };

	control_put_step(&frame, CONTROL_STEP, metrics->rank, &record);
	outbox_send(metrics->outbox, &frame);
}

void metrics_eval(struct metrics *metrics, size_t step, const struct score *score,
		  const struct score *own)
{
	struct coder_report coded = exchange_report(metrics->exchange);
	struct control_step record = { .step = step,
				       .loss_sum = score->loss_sum,
				       .correct = score->correct,
				       .count = score->count,
				       .traffic = traffic_of(metrics, &coded),
				       .drift = drift_none() };
	struct buf frame = { 0 };

	if (own) {
		record.drift.worst_loss = own->loss_sum / (double)own->count;
		record.drift.worst_accuracy = (double)own->correct / (double)own->count;
	}
	control_put_step(&frame, CONTROL_EVAL, metrics->rank, &record);
	outbox_send(metrics->outbox, &frame);
}
