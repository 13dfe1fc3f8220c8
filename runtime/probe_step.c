/*
 * A step of a survey on all ranks. Rank 0 gives words: BEGIN with the flows, MEASURE when every
 * receiver has said that its flows are up, END when all have said what they measured. Nothing is
 * said while the window is open; and flows go on until every window is closed, so that all of them
 * compete in each.
 */
#include "runtime/probe_step.h"

#include <math.h>
#include <stdbool.h>
#include <stdlib.h>

#include "lib/buf.h"
#include "lib/error.h"
#include "lib/memory.h"
#include "lib/wire.h"
#include "runtime/probe_crew.h"
#include "runtime/probe_pace.h"
#include "runtime/rng.h"
#include "runtime/transport/transport.h"

enum word { WORD_BEGIN = 1, WORD_MEASURE, WORD_END, WORD_DISMISS };
enum { WORD_BYTES = 20, FLOW_BYTES = 8, RESULT_BYTES = 32, TOTAL_BYTES = 8 };

static const uint64_t TAG_WORD = NET_TAG_STREAM(UINT64_C(8) << 52, 1),
		      TAG_FLOWS = NET_TAG_STREAM(UINT64_C(9) << 52, 1),
		      TAG_REPORT = NET_TAG_STREAM(UINT64_C(10) << 52, 1);

void probe_team_begin(struct probe_team *team)
{
	struct rng rng = rng_make((uint64_t)net_rank(team->net), RNG_DATA, 0, 0);
	uint64_t *noise = xmalloc(PROBE_CHUNK_MOST);

	for (size_t i = 0; i < PROBE_CHUNK_MOST / sizeof(*noise); i++)
		noise[i] = rng_u64(&rng, i);
	team->noise = noise;
	team->rtt_least = xcalloc((size_t)net_world(team->net), sizeof(*team->rtt_least));
	for (int i = 0; i < net_world(team->net); i++)
		team->rtt_least[i] = INFINITY;
}

void probe_team_release(struct probe_team *team)
{
	free(team->noise);
	free(team->rtt_least);
}

static struct probe_site site_of(const struct probe_team *team)
{
	return (struct probe_site){ .net = team->net,
				    .noise = team->noise,
				    .rtt_least = team->rtt_least };
}

/* The same to everybody. */
static int tell_all(const struct probe_team *team, uint64_t tag, const struct buf *text,
		    struct error *err)
{
	int world = net_world(team->net);
	struct net_request *requests = xcalloc((size_t)world, sizeof(*requests));
	int status;

	for (int i = 1; i < world; i++)
		net_post_send(team->net, i, tag, text->data, text->length, &requests[i - 1]);
	status = net_wait_all(team->net, requests, (size_t)world - 1, err);
	free(requests);
	return status;
}

static int say(const struct probe_team *team, enum word word, const struct survey_step *step,
	       struct error *err)
{
	struct buf text = { 0 }, flows = { 0 };
	int status;

	wire_put_u32(&text, word);
	wire_put_u32(&text, step ? step->kind : 0);
	wire_put_u32(&text, step ? (uint32_t)step->count : 0);
	wire_put_f64(&text, step ? step->seconds : 0);
	status = tell_all(team, TAG_WORD, &text, err);
	for (size_t i = 0; step && i < step->count; i++) {
		wire_put_u32(&flows, (uint32_t)step->flows[i].from);
		wire_put_u32(&flows, (uint32_t)step->flows[i].to);
	}
	if (status == 0 && word == WORD_BEGIN)
		status = tell_all(team, TAG_FLOWS, &flows, err);
	buf_release(&text);
	buf_release(&flows);
	return status;
}

static int receive(const struct probe_team *team, int peer, uint64_t tag, void *bytes,
		   size_t length, struct error *err)
{
	struct net_request request;

	net_post_recv(team->net, peer, tag, bytes, length, &request);
	return net_wait(team->net, &request, err);
}

static int hear(const struct probe_team *team, enum word *word, struct survey_step *step,
		struct error *err)
{
	unsigned char bytes[WORD_BYTES];
	struct wire wire;

	if (receive(team, 0, TAG_WORD, bytes, sizeof(bytes), err) < 0)
		return -1;
	wire = wire_reader(bytes, sizeof(bytes));
	*word = (enum word)wire_get_u32(&wire);
	step->kind = (enum survey_kind)wire_get_u32(&wire);
	step->count = wire_get_u32(&wire);
	step->seconds = wire_get_f64(&wire);
	return 0;
}

static int expect(const struct probe_team *team, enum word word, struct error *err)
{
	struct survey_step ignored;
	enum word is;

	if (hear(team, &is, &ignored, err) < 0)
		return -1;
	return is == word ? 0 : error_set(err, "rank 0 says %d, expected was %d", is, word);
}

/* Of a step that rank 0 has begun: its flows, as many as step->count says. Caller frees them. */
static int hear_flows(const struct probe_team *team, struct survey_step *step, struct error *err)
{
	uint32_t world = (uint32_t)net_world(team->net);
	unsigned char *bytes;
	struct wire wire;
	int status = 0;

	if (step->count == 0 || step->count > (size_t)world * world)
		return error_set(err, "rank 0 begins %zu flows", step->count);
	bytes = xcalloc(step->count, FLOW_BYTES);
	step->flows = xcalloc(step->count, sizeof(*step->flows));
	if (receive(team, 0, TAG_FLOWS, bytes, step->count * FLOW_BYTES, err) < 0) {
		free(bytes);
		return -1;
	}
	wire = wire_reader(bytes, step->count * FLOW_BYTES);
	for (size_t i = 0; i < step->count; i++) {
		step->flows[i].from = (int)(wire_get_u32(&wire) % world);
		step->flows[i].to = (int)(wire_get_u32(&wire) % world);
		if (step->flows[i].from == step->flows[i].to)
			status = error_set(err, "rank 0 begins a flow from a rank to itself");
	}
	free(bytes);
	return status;
}

/* How many flows of the step `rank` measures. */
static size_t judged_by(const struct survey_step *step, int rank)
{
	size_t count = 0;

	for (size_t i = 0; i < step->count; i++)
		count += probe_crew_judge(step, i) == rank;
	return count;
}

static int report(const struct probe_team *team, const struct buf *text, struct error *err)
{
	struct net_request request;

	net_post_send(team->net, 0, TAG_REPORT, text->data, text->length, &request);
	return net_wait(team->net, &request, err);
}

static int report_results(const struct probe_team *team, const struct survey_step *step,
			  const struct probe_crew *crew, struct error *err)
{
	struct survey_result *results = xcalloc(step->count, sizeof(*results));
	struct buf text = { 0 };
	int status;

	probe_crew_results(crew, results);
	for (size_t i = 0; i < step->count; i++) {
		if (probe_crew_judge(step, i) != net_rank(team->net))
			continue;
		wire_put_f64(&text, results[i].rtt_s);
		wire_put_f64(&text, results[i].rtt_min_s);
		wire_put_f64(&text, results[i].bytes_per_s);
		wire_put_f64(&text, results[i].spread);
	}
	status = report(team, &text, err);
	buf_release(&text);
	free(results);
	return status;
}

static int gather_results(const struct probe_team *team, const struct survey_step *step, int rank,
			  struct survey_result *results, struct error *err)
{
	size_t length = judged_by(step, rank) * RESULT_BYTES;
	unsigned char *bytes = xmalloc(length + 1);
	struct wire wire;

	if (receive(team, rank, TAG_REPORT, bytes, length, err) < 0) {
		free(bytes);
		return -1;
	}
	wire = wire_reader(bytes, length);
	for (size_t i = 0; i < step->count; i++) {
		if (probe_crew_judge(step, i) != rank)
			continue;
		results[i].rtt_s = wire_get_f64(&wire);
		results[i].rtt_min_s = wire_get_f64(&wire);
		results[i].bytes_per_s = wire_get_f64(&wire);
		results[i].spread = wire_get_f64(&wire);
	}
	free(bytes);
	return 0;
}

/* The number of bytes that each has received; also says that all have come so far. */
static int gather_bytes(const struct probe_team *team, double *bytes, struct error *err)
{
	for (int i = 1; i < net_world(team->net); i++) {
		unsigned char text[TOTAL_BYTES];
		struct wire wire = wire_reader(text, sizeof(text));

		if (receive(team, i, TAG_REPORT, text, sizeof(text), err) < 0)
			return -1;
		*bytes += wire_get_f64(&wire);
	}
	return 0;
}

static int report_bytes(const struct probe_team *team, double bytes, struct error *err)
{
	struct buf text = { 0 };
	int status;

	wire_put_f64(&text, bytes);
	status = report(team, &text, err);
	buf_release(&text);
	return status;
}

static int lead(struct probe_team *team, const struct survey_step *step, struct probe_crew *crew,
		struct survey_result *results, struct error *err)
{
	double none = 0;

	if (step->kind == SURVEY_FLOWS &&
	    (probe_crew_wait_up(crew, err) < 0 || gather_bytes(team, &none, err) < 0 ||
	     say(team, WORD_MEASURE, NULL, err) < 0))
		return -1;
	if (probe_crew_measure(crew, err) < 0)
		return -1;
	probe_crew_results(crew, results);
	for (int i = 1; i < net_world(team->net); i++)
		if (gather_results(team, step, i, results, err) < 0)
			return -1;
	return say(team, WORD_END, NULL, err);
}

int probe_team_lead(struct probe_team *team, const struct survey_step *step,
		    struct survey_result *results, struct error *err)
{
	struct probe_site site = site_of(team);
	struct probe_crew *crew;
	struct error later;
	int status;

	if (say(team, WORD_BEGIN, step, err) < 0)
		return -1;
	crew = probe_crew_begin(&site, step, ++team->steps);
	status = lead(team, step, crew, results, err);
	if (status < 0)
		net_abort(team->net, err->text);
	if (probe_crew_end(crew, &team->bytes, status ? &later : err) < 0)
		status = -1;
	return status < 0 ? -1 : gather_bytes(team, &team->bytes, err);
}

int probe_team_dismiss(struct probe_team *team, struct error *err)
{
	return say(team, WORD_DISMISS, NULL, err);
}

static int follow(const struct probe_team *team, const struct survey_step *step,
		  struct probe_crew *crew, struct error *err)
{
	if (step->kind == SURVEY_FLOWS &&
	    (probe_crew_wait_up(crew, err) < 0 || report_bytes(team, 0, err) < 0 ||
	     expect(team, WORD_MEASURE, err) < 0))
		return -1;
	if (probe_crew_measure(crew, err) < 0 || report_results(team, step, crew, err) < 0)
		return -1;
	return expect(team, WORD_END, err);
}

static int take_part(struct probe_team *team, struct survey_step *step, struct error *err)
{
	struct probe_site site = site_of(team);
	struct probe_crew *crew;
	struct error later;
	double bytes = 0;
	int status;

	if (hear_flows(team, step, err) < 0)
		return -1;
	crew = probe_crew_begin(&site, step, ++team->steps);
	status = follow(team, step, crew, err);
	if (status < 0)
		net_abort(team->net, err->text);
	if (probe_crew_end(crew, &bytes, status ? &later : err) < 0)
		status = -1;
	return status < 0 ? -1 : report_bytes(team, bytes, err);
}

int probe_team_follow(struct probe_team *team, struct error *err)
{
	for (;;) {
		struct survey_step step = { 0 };
		enum word word;
		int status;

		if (hear(team, &word, &step, err) < 0)
			return -1;
		if (word == WORD_DISMISS)
			return 0;
		if (word != WORD_BEGIN)
			return error_set(err, "rank 0 says %d before a step", word);
		status = take_part(team, &step, err);
		free(step.flows);
		if (status < 0)
			return -1;
	}
}
