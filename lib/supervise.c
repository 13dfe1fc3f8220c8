/*
 * Watches started workers from their first word to their last. One thread, one poll: every worker's
 * streams, and the user's signals. Phases follow what the ranks report: all listening -> tell them
 * their peers; all ready -> send what is to be restored, and START; all done -> let them end.
 */
#include "lib/supervise.h"

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/build.h"
#include "lib/channel.h"
#include "lib/clock.h"
#include "lib/collect.h"
#include "lib/control.h"
#include "lib/error.h"
#include "lib/halt.h"
#include "lib/hosts.h"
#include "lib/json.h"
#include "lib/log.h"
#include "lib/manifest.h"
#include "lib/memory.h"
#include "lib/post.h"
#include "lib/postmortem.h"
#include "lib/progress.h"
#include "lib/pulse.h"
#include "lib/restore.h"
#include "lib/status.h"
#include "lib/stop.h"

#define SLICE_S 0.1 /* of handling what came, before it is looked at who still speaks */
#define BLAME_S 2.0 /* after a rank complained of another: the other's own end is yet to show */
#define LEAVE_S 2.0 /* for workers to end by themselves */
#define ABORT_S 1.0 /* the same, when they are told to do nothing else first */
#define REAP_S	1.0 /* for the status of those that did */

enum { GLANCE_MS = 20 }; /* at workers that are to end */

/* What is known of a rank. */
struct seat {
	struct control_address address;
	bool listening, ready, held, done;
	uint64_t held_step;
};

struct watch {
	struct supervise *s;
	struct seat *seats; /* [world] */
	struct pollfd *polls;
	uint32_t listening, ready, held, done;
	bool started, holding; /* START was sent, and HOLD */
	double polled;	       /* when the streams were last looked at */
	struct halt halt;
	double failed;	      /* when the first bad news came; 0: none did */
	bool kernels_differ;  /* said once */
	bool own_failure;     /* a rank reported an error of its own */
	bool broken;	      /* we cannot go on ourselves: nothing is taken any more */
	bool peer_failure;    /* a rank reported that a peer is lost */
	struct error failure; /* its text */
};

static void fail(struct watch *w)
{
	if (w->failed == 0)
		w->failed = clock_now();
}

/* An error on our own side, which is no rank's: a full disk, for one. */
static void fail_here(struct watch *w, const struct error *why)
{
	if (!w->own_failure)
		w->failure = *why;
	w->own_failure = w->broken = true;
	fail(w);
}

static void send_all(struct watch *w, const struct buf *frames)
{
	for (size_t i = 0; i < w->s->count; i++)
		if (!w->s->channels[i].ended)
			buf_add(&w->s->channels[i].out, frames->data, frames->length);
}

static void tell_all(struct watch *w, enum control_type type)
{
	struct buf frame = { 0 };

	control_put(&frame, type, 0, NULL, 0);
	send_all(w, &frame);
	buf_release(&frame);
}

/* A local worker is started from our own file; a remote one from a copy, which it digests. */
static bool same_program(const struct watch *w, const struct channel *channel)
{
	char build[DIGEST_HEX];

	build_id(build);
	return strcmp(channel->hello.digest, channel->ssh ? w->s->digest : build) == 0;
}

static int take_hello(struct watch *w, struct channel *channel, const struct control_frame *frame,
		      struct error *err)
{
	struct control_plan plan = { 0 };

	if (channel->hello.digest)
		return error_set(err, "a second hello");
	if (control_get_hello(&channel->hello, frame, err) < 0)
		return -1;
	w->s->plan_of(w->s->arg, (size_t)(channel - w->s->channels), &plan);
	if (!same_program(w, channel)) {
		error_set(err,
			  "another dstrain runs there: release %s, digest %.12s; here it is "
			  "release %s, digest %.12s; if its copy was changed, remove '%s/bin/%s' "
			  "there",
			  channel->hello.release, channel->hello.digest, DSTRAIN_VERSION,
			  w->s->digest, plan.cache_dir, w->s->digest);
		control_hello_release(&channel->hello); /* nothing it says is used */
		memory_wipe(plan.key, sizeof(plan.key));
		return -1;
	}
	if (!w->kernels_differ)
		w->kernels_differ = channel_compare(&w->s->channels[0], channel);
	control_put_plan(&channel->out, &plan);
	memory_wipe(plan.key, sizeof(plan.key));
	return 0;
}

static void send_peers(struct watch *w)
{
	struct control_address *peers = xcalloc(w->s->world, sizeof(*peers));
	struct buf frame = { 0 };

	for (uint32_t i = 0; i < w->s->world; i++)
		peers[i] = w->seats[i].address; /* borrowed */
	control_put_peers(&frame, peers, w->s->world);
	send_all(w, &frame);
	buf_release(&frame);
	free(peers);
}

static int take_listening(struct watch *w, struct channel *channel, struct seat *seat,
			  const struct control_frame *frame, struct error *err)
{
	if (seat->listening)
		return error_set(err, "rank %u listens twice", frame->rank);
	if (control_get_address(&seat->address, frame, err) < 0)
		return -1;
	free(seat->address.host);
	seat->address.host = xstrdup(channel->host->name);
	seat->listening = true;
	log_debug("rank %u on '%s' listens on %s port %u", frame->rank, channel->host->name,
		  seat->address.address, seat->address.port);
	if (++w->listening == w->s->world)
		send_peers(w);
	return 0;
}

static void announce(const struct watch *w, const struct control_ready *ready)
{
	log_info("%u rank%s, %llu parameters, %llu training and %llu test samples, %llu steps",
		 w->s->world, w->s->world == 1 ? "" : "s", (unsigned long long)ready->parameters,
		 (unsigned long long)ready->samples, (unsigned long long)ready->test_samples,
		 (unsigned long long)ready->steps);
}

static void begin(struct watch *w)
{
	w->halt.ends = w->s->seconds > 0 ? clock_now() + w->s->seconds : 0;
	tell_all(w, CONTROL_START);
	if (w->s->begun)
		w->s->begun(w->s->begun_arg);
}

static void begin_training(struct watch *w, const struct control_ready *ready)
{
	announce(w, ready);
	w->s->collect->likeness.steps_per_epoch = ready->steps_per_epoch;
	w->s->collect->likeness.samples = ready->samples;
	progress_begin(w->s->progress, ready);
}

static int take_ready(struct watch *w, struct seat *seat, const struct control_frame *frame,
		      struct error *err)
{
	struct control_ready ready;

	if (seat->ready || control_get_ready(&ready, frame, err) < 0)
		return seat->ready ? error_set(err, "rank %u is ready twice", frame->rank) : -1;
	seat->ready = true;
	if (++w->ready == w->s->world) {
		if (!w->s->measured)
			begin_training(w, &ready);
		w->started =
			!w->s->restore || restore_send(w->s->channels, w->s->world, w->s->pulse,
						       w->s->restore_dir, w->s->restore, err) == 0;
		if (!w->started)
			fail_here(w, err);
		else
			begin(w);
	}
	free(ready.loss);
	return 0;
}

static int take_step(struct watch *w, const struct control_frame *frame, struct error *err)
{
	struct control_step step;

	if (control_get_step(&step, frame, err) < 0)
		return -1;
	if ((frame->type == CONTROL_STEP ? progress_step : progress_eval)(
		    w->s->progress, frame->rank, &step, err) < 0)
		fail_here(w, err);
	return 0;
}

static int take_file(struct watch *w, const struct control_frame *frame, struct error *err)
{
	struct control_chunk chunk;
	void *bytes;
	int status;

	if (control_get_chunk(&chunk, frame, err) < 0)
		return -1;
	bytes = xmalloc(chunk.length); /* the frame does not stay where it is: more may come */
	memcpy(bytes, chunk.bytes, chunk.length);
	chunk.bytes = bytes;
	pulse_away(w->s->pulse); /* the disk may be slow */
	status = collect_chunk(w->s->collect, &chunk, err);
	pulse_back(w->s->pulse);
	if (status < 0)
		fail_here(w, err);
	free(chunk.name);
	free(bytes);
	return 0;
}

static int take_files_end(struct watch *w, const struct control_frame *frame, struct error *err)
{
	uint64_t step;
	int status;

	if (control_get_number(&step, frame, err) < 0)
		return -1;
	pulse_away(w->s->pulse);
	status = collect_end(w->s->collect, step, progress_elapsed(w->s->progress), err);
	pulse_back(w->s->pulse);
	if (status < 0)
		fail_here(w, err);
	post_glance(w->s->post); /* that wrote to a disk, and there may be more to come */
	return 0;
}

/* Who trains says nothing of measurements, and who measures nothing else. */
static bool is_expected(const struct watch *w, enum control_type type)
{
	switch (type) {
	case CONTROL_ROW:
	case CONTROL_SURVEY: return w->s->measured != NULL;
	case CONTROL_STEP:
	case CONTROL_EVAL:
	case CONTROL_FILE:
	case CONTROL_FILES_END:
	case CONTROL_HELD: return w->s->measured == NULL;
	default: return true;
	}
}

/* All ranks named a step that they have not begun: the largest is one that all can reach. */
static int take_held(struct watch *w, struct seat *seat, const struct control_frame *frame,
		     struct error *err)
{
	uint64_t until = 0;
	struct buf frames = { 0 };

	if (control_get_number(&seat->held_step, frame, err) < 0)
		return -1;
	w->held += !seat->held;
	seat->held = true;
	if (w->held < w->s->world)
		return 0;
	for (uint32_t i = 0; i < w->s->world; i++)
		if (w->seats[i].held_step > until)
			until = w->seats[i].held_step;
	control_put_number(&frames, w->halt.holding ? CONTROL_UNTIL : CONTROL_LAST, 0, until);
	send_all(w, &frames);
	buf_release(&frames);
	log_debug("all ranks stop after step %llu", (unsigned long long)until);
	return 0;
}

static int take_failed(struct watch *w, struct channel *channel, const struct control_frame *frame,
		       struct error *err)
{
	struct control_failure failure;

	if (control_get_failure(&failure, frame, err) < 0)
		return -1;
	log_debug("rank %u on '%s' failed: %s", frame->rank, channel->host->name, failure.text);
	if (!w->own_failure && (!failure.lost_peer || !w->peer_failure))
		error_set(&w->failure, "rank %u on '%s': %s", frame->rank, channel->host->name,
			  failure.text);
	if (failure.lost_peer)
		w->peer_failure = true;
	else
		w->own_failure = true;
	free(failure.text);
	fail(w);
	return 0;
}

static int take(struct watch *w, struct channel *channel, const struct control_frame *frame,
		struct error *err)
{
	struct seat *seat;

	if (frame->rank - channel->first_rank >= channel->ranks && frame->type != CONTROL_HELLO &&
	    frame->type != CONTROL_BEAT)
		return error_set(err, "speaks for rank %u", frame->rank);
	if (!is_expected(w, frame->type))
		return error_set(err, "unexpected control message %d", (int)frame->type);
	seat = &w->seats[frame->rank < w->s->world ? frame->rank : 0];
	switch (frame->type) {
	case CONTROL_HELLO: return take_hello(w, channel, frame, err);
	case CONTROL_LISTENING: return take_listening(w, channel, seat, frame, err);
	case CONTROL_READY: return take_ready(w, seat, frame, err);
	case CONTROL_STEP:
	case CONTROL_EVAL: return take_step(w, frame, err);
	case CONTROL_FILE: return take_file(w, frame, err);
	case CONTROL_FILES_END: return take_files_end(w, frame, err);
	case CONTROL_HELD: return take_held(w, seat, frame, err);
	case CONTROL_FAILED: return take_failed(w, channel, frame, err);
	case CONTROL_ROW:
	case CONTROL_SURVEY: return w->s->measured(w->s->measured_arg, frame, err);
	case CONTROL_BEAT: return control_get_beat(&channel->beat, frame, err);
	case CONTROL_DONE:
		w->done += !seat->done;
		seat->done = true;
		return 0;
	default: return error_set(err, "unexpected control message %d", (int)frame->type);
	}
}

/* A worker that talks nonsense. */
static void fail_with(struct watch *w, const struct channel *channel, const struct error *why)
{
	if (!w->own_failure)
		error_set(&w->failure, "rank %u on '%s': %s", channel->first_rank,
			  channel->host->name, why->text);
	w->own_failure = true;
	fail(w);
}

/* All that came, or as much as there is time for. */
static void take_all(struct watch *w, struct channel *channel)
{
	struct control_frame frame;
	struct error err;
	int status = 0;

	channel->behind = false;
	while (!w->broken && !channel->behind &&
	       (status = control_next(&channel->reader, &frame, &err)) > 0) {
		status = take(w, channel, &frame, &err);
		if (status < 0)
			break;
		channel->behind = clock_now() > w->polled + SLICE_S;
	}
	if (status < 0) {
		channel->failed = true;
		fail_with(w, channel, &err);
	}
}

/* A worker that is neither heard nor known to have ended. */
static bool is_silent(const struct watch *w, const struct channel *channel)
{
	return !channel->ended && w->polled > channel->heard + channel_patience(channel);
}

static void check_life(struct watch *w, struct channel *channel)
{
	bool ended = channel->ended && !channel->behind; /* its last words may say why */

	if (channel->failed || w->done == w->s->world || (!ended && !is_silent(w, channel)))
		return;
	channel->failed = true;
	w->failed = w->polled - BLAME_S; /* no better explanation will come */
}

/* By a signal, or by somebody who asks by way of the post. A measurement has nothing to save. */
static void heed_halt(struct watch *w)
{
	halt_take_signal(&w->halt, w->started && !w->s->measured);
	if (w->holding || !halt_is_due(&w->halt))
		return;
	tell_all(w, CONTROL_HOLD);
	w->holding = true;
}

static void stop_by_post(void *arg, double grace_s, bool now)
{
	struct watch *w = arg;

	halt_ask(&w->halt, w->started, grace_s, now);
	heed_halt(w);
}

static const char *state_of(const struct watch *w, const struct channel *channel,
			    const struct seat *seat)
{
	if (channel->ended || channel->failed)
		return "ended";
	if (is_silent(w, channel))
		return "silent";
	if (seat->done)
		return "done";
	if (!channel->hello.digest)
		return "starting";
	if (w->started)
		return w->s->measured ? "probing" : "training";
	return seat->ready ? "ready" : "loading";
}

static const char *state_of_run(const struct watch *w)
{
	if (w->holding || w->halt.abort)
		return "stopping";
	if (w->s->measured)
		return "probing";
	return w->started ? "training" : "starting";
}

static void tell_status(void *arg, struct json *out)
{
	const struct watch *w = arg;
	struct json *ranks = json_array_new();

	json_add_text(out, "state", state_of_run(w));
	if (!w->s->measured) {
		struct progress_totals totals = progress_totals(w->s->progress);

		status_add_totals(out, &totals);
		json_add_count(out, "checkpoint_step", w->s->collect->last_step);
	}
	for (size_t i = 0; i < w->s->count; i++) {
		const struct channel *channel = &w->s->channels[i];

		for (uint32_t rank = channel->first_rank;
		     rank < channel->first_rank + channel->ranks; rank++)
			status_add_rank(ranks, rank, channel,
					state_of(w, channel, &w->seats[rank]));
	}
	json_add(out, "ranks", ranks);
}

static void poll_once(struct watch *w)
{
	size_t count = w->s->count * CHANNEL_POLLS;
	double until = pulse_beat(w->s->pulse);
	int polled;

	for (size_t i = 0; i < w->s->count; i++) {
		channel_polls(&w->s->channels[i], &w->polls[i * CHANNEL_POLLS]);
		if (w->s->channels[i].behind)
			until = 0;
	}
	w->polls[count] = (struct pollfd){ .fd = stop_fd(), .events = POLLIN };
	post_polls(w->s->post, &w->polls[count + 1]);
	if (w->failed != 0 && w->failed + BLAME_S < until)
		until = w->failed + BLAME_S;
	polled = poll(w->polls, count + 1 + POST_POLLS, clock_poll_ms(until));
	w->polled = clock_now(); /* what follows may take long: a checkpoint is written to disk */
	if (polled < 0)
		return;
	for (size_t i = 0; i < w->s->count; i++) {
		channel_move(&w->s->channels[i], &w->polls[i * CHANNEL_POLLS]);
		take_all(w, &w->s->channels[i]);
	}
	if (w->started && !w->s->measured)
		progress_post(w->s->progress, w->s->post);
	post_move(w->s->post, &w->polls[count + 1]);
}

/* Moves what is still to be said both ways. False: nobody is left to talk with. */
static bool move_rest(struct watch *w, bool *unsent)
{
	bool open = false;

	*unsent = false;
	for (size_t i = 0; i < w->s->count; i++)
		channel_polls(&w->s->channels[i], &w->polls[i * CHANNEL_POLLS]);
	poll(w->polls, w->s->count * CHANNEL_POLLS, GLANCE_MS);
	for (size_t i = 0; i < w->s->count; i++) {
		struct channel *channel = &w->s->channels[i];

		channel_move(channel, &w->polls[i * CHANNEL_POLLS]);
		if (channel->ended || (channel->failed && is_silent(w, channel)))
			continue;
		open = true;
		*unsent |= channel->out.length > 0;
	}
	return open;
}

/* Lets workers end by themselves, reading what they still say; then ends those that do not. */
static void leave(struct watch *w, bool abort)
{
	double deadline = clock_now() + (!abort		   ? LEAVE_S
					 : w->halt.holding ? halt_leave_s(&w->halt)
							   : ABORT_S);
	bool unsent, closed = false;

	for (size_t i = 0; i < w->s->count; i++)
		w->s->channels[i].behind = false; /* nothing is handled any more */
	if (abort)
		tell_all(w, CONTROL_ABORT);
	while (move_rest(w, &unsent) && clock_now() < deadline) {
		if (unsent || closed)
			continue;
		closed = true;
		for (size_t i = 0; i < w->s->count; i++)
			channel_end_input(&w->s->channels[i]);
	}
	deadline = clock_now() + REAP_S;
	for (size_t i = 0; i < w->s->count; i++)
		channel_reap(&w->s->channels[i], w->s->channels[i].ended ? deadline : 0);
	channels_kill(w->s->channels, w->s->count);
}

/* Who is to blame: whoever died or fell silent comes before whoever complained about it. */
static enum supervise_end blame(struct watch *w, struct error *err)
{
	struct channel *lost = NULL;
	struct buf text = { 0 };

	for (size_t i = 0; i < w->s->count; i++) {
		struct channel *channel = &w->s->channels[i];

		if (channel->ended)
			channel_reap(channel, clock_now() + REAP_S);
		if (!lost && channel->failed && (channel->ended || is_silent(w, channel)))
			lost = channel;
	}
	if (w->own_failure) {
		*err = w->failure;
		return SUPERVISE_FAILED;
	}
	if (lost) {
		postmortem_cause(lost, &text);
		postmortem_log(lost, &w->s->report);
		error_set(err, "%s", buf_text(&text));
	} else {
		*err = w->failure;
	}
	buf_release(&text);
	return SUPERVISE_LOST;
}

static enum supervise_end watch(struct watch *w, struct error *err)
{
	struct progress_totals totals;

	while (w->done < w->s->world) {
		poll_once(w);
		for (size_t i = 0; i < w->s->count; i++)
			check_life(w, &w->s->channels[i]);
		heed_halt(w);
		if (halt_aborts(&w->halt, err))
			return SUPERVISE_ABORTED;
		if (w->broken || (w->failed != 0 && clock_now() >= w->failed + BLAME_S))
			return blame(w, err);
	}
	if (w->s->measured)
		return SUPERVISE_DONE;
	totals = progress_totals(w->s->progress);
	return w->halt.holding && totals.step < totals.steps ? SUPERVISE_STOPPED : SUPERVISE_DONE;
}

enum supervise_end supervise(struct supervise *s, struct error *err)
{
	struct watch w = { .s = s, .halt.usual_s = s->grace_s };
	const struct post_desk desk = { .status = tell_status, .stop = stop_by_post, .arg = &w };
	enum supervise_end end;

	w.seats = xcalloc(s->world, sizeof(*w.seats));
	w.polls = xcalloc(s->count * CHANNEL_POLLS + 1 + POST_POLLS, sizeof(*w.polls));
	post_desk(s->post, &desk);
	end = watch(&w, err);
	leave(&w, end != SUPERVISE_DONE && end != SUPERVISE_STOPPED);
	for (uint32_t i = 0; i < s->world; i++)
		control_address_release(&w.seats[i].address);
	free(w.seats);
	free(w.polls);
	return end;
}
