/* Groups that follow the network: reports, and what rank 0 makes of them. */
#include "runtime/sync/ds_adapt.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "lib/buf.h"
#include "lib/error.h"
#include "lib/groups.h"
#include "lib/links.h"
#include "lib/log.h"
#include "lib/memory.h"
#include "lib/plan.h"
#include "lib/wire.h"
#include "runtime/sync/ds_agree.h"
#include "runtime/sync/ds_watch.h"
#include "runtime/sync/sync.h"
#include "runtime/transport/transport.h"

#define REPORT (NET_TAG_UNSOLICITED + 0x28)

enum {
	CONSENSUS = 8, /* steps, at least: a plan of more is not made worse */
	LEAD = 8       /* steps until others begin, beside two periods */
};

/* What ranks report of the same steps. */
struct reports {
	uint64_t number; /* of the window: its first step is so many windows from step 0 */
	int count;
	float *seconds; /* [world * every] */
};

struct ds_adapt {
	const struct sync_env *env;
	struct ds_adapt_params params;
	struct ds_agree *agree;
	float *own;	      /* [every] seconds of this window's averages */
	uint64_t since;	      /* step from which on the groups are what they are */
	bool begun, replaced; /* the groups are not those of the plan */
	float *record;	      /* for checkpoints: of `agree`, then of `watch` */
	size_t record_size;
	uint64_t lead; /* as LEAD, longer once that was not enough */

	/* Of rank 0. */
	struct ds_watch *watch;
	struct reports judged;
	struct schedule wanted;	   /* what was proposed last */
	pthread_mutex_t lock;	   /* guards all below */
	struct reports reports[2]; /* somebody may be in the next window already */
};

static bool leads(const struct ds_adapt *adapt)
{
	return net_rank(adapt->env->net) == 0;
}

static size_t window_size(const struct ds_adapt *adapt)
{
	return (size_t)adapt->env->world->count * adapt->params.every;
}

struct ds_adapt *ds_adapt_new(const struct sync_env *env, const struct ds_adapt_params *params)
{
	int period = env->plan->exact_after > CONSENSUS ? env->plan->exact_after : CONSENSUS;
	struct ds_watch_env watch = { .links = env->links,
				      .host_of = env->host_of,
				      .world = env->world->count,
				      .bytes = params->bytes,
				      .compute_s = env->plan->compute_s,
				      .overlap = params->overlap,
				      .consensus_period = period,
				      .most_phases = DS_PHASES,
				      .seed = env->seed };
	struct ds_adapt *adapt = xcalloc(1, sizeof(*adapt));

	adapt->env = env;
	adapt->params = *params;
	adapt->lead = LEAD;
	adapt->agree = ds_agree_new(env->net, env->world);
	adapt->watch = ds_watch_new(&watch);
	adapt->own = xcalloc(params->every, sizeof(*adapt->own));
	adapt->record_size = ds_agree_record_size(adapt->agree) + env->links->segment_count;
	adapt->record = xcalloc(adapt->record_size, sizeof(*adapt->record));
	pthread_mutex_init(&adapt->lock, NULL);
	if (leads(adapt)) {
		adapt->judged.seconds = xcalloc(window_size(adapt), sizeof(float));
		for (size_t i = 0; i < ARRAY_SIZE(adapt->reports); i++)
			adapt->reports[i].seconds = xcalloc(window_size(adapt), sizeof(float));
	}
	return adapt;
}

void ds_adapt_free(struct ds_adapt *adapt)
{
	if (!adapt)
		return;
	ds_agree_free(adapt->agree);
	ds_watch_free(adapt->watch);
	schedule_release(&adapt->wanted);
	free(adapt->own);
	free(adapt->record);
	free(adapt->judged.seconds);
	for (size_t i = 0; i < ARRAY_SIZE(adapt->reports); i++)
		free(adapt->reports[i].seconds);
	pthread_mutex_destroy(&adapt->lock);
	free(adapt);
}

/* What a checkpoint held, or nothing: all take what rank 0 has, who alone knows of all proposals
 * whether they were agreed upon. */
static int begin(struct ds_adapt *adapt, struct schedule *schedule, struct error *err)
{
	const struct group *world = adapt->env->world;
	float *parts = adapt->record + ds_agree_record_size(adapt->agree);

	if (coll_broadcast(adapt->env->net, world, group_index(world, 0), adapt->record,
			   adapt->record_size * sizeof(float), err) < 0 ||
	    ds_agree_restore(adapt->agree, adapt->record, schedule, &adapt->replaced, err) < 0)
		return -1;
	for (size_t i = 0; i < adapt->env->links->segment_count; i++)
		if (parts[i] > 0 && parts[i] <= 1)
			ds_watch_parts(adapt->watch)[i] = parts[i];
	adapt->begun = true;
	return 0;
}

/* Takes a window that all have reported to `judged`. */
static bool take_reports(struct ds_adapt *adapt)
{
	bool taken = false;

	pthread_mutex_lock(&adapt->lock);
	for (size_t i = 0; i < ARRAY_SIZE(adapt->reports) && !taken; i++) {
		struct reports *reports = &adapt->reports[i];

		taken = reports->count == adapt->env->world->count;
		if (taken) {
			float *seconds = adapt->judged.seconds;

			adapt->judged = *reports;
			*reports = (struct reports){ .seconds = seconds };
		}
	}
	pthread_mutex_unlock(&adapt->lock);
	return taken;
}

/* So late that nobody should have come so far. */
static int propose(struct ds_adapt *adapt, const struct schedule *schedule, uint64_t step,
		   struct error *err)
{
	const struct schedule *wanted = &adapt->wanted;
	int period = wanted->phases > schedule->phases ? wanted->phases : schedule->phases;
	uint64_t from = step + 2 * (uint64_t)period + adapt->lead;

	log_info("new groups from step %llu on, if all ranks hear of them in time",
		 (unsigned long long)from);
	return ds_agree_propose(adapt->agree, wanted, from, err);
}

/* Rank 0: a window that was reported by all may show that other groups are faster. */
static int judge(struct ds_adapt *adapt, uint64_t step, const struct schedule *schedule,
		 struct error *err)
{
	struct ds_window window = { .first = adapt->judged.number * adapt->params.every,
				    .steps = adapt->params.every,
				    .seconds = adapt->judged.seconds };
	struct schedule better;
	struct buf reason = { 0 };
	bool found;

	if (window.first < adapt->since)
		return 0;
	found = ds_watch_take(adapt->watch, schedule, &window, &better, &reason);
	if (reason.length)
		log_info("%s", buf_text(&reason));
	buf_release(&reason);
	if (!found)
		return 0;
	schedule_release(&adapt->wanted);
	adapt->wanted = better;
	return propose(adapt, schedule, step, err);
}

/* Rank 0: what it has to do before a step. */
static int lead(struct ds_adapt *adapt, uint64_t step, const struct schedule *schedule,
		struct error *err)
{
	if (ds_agree_was_refused(adapt->agree)) {
		adapt->lead *= 2;
		return propose(adapt, schedule, step, err);
	}
	return take_reports(adapt) ? judge(adapt, step, schedule, err) : 0;
}

int ds_adapt_step(struct ds_adapt *adapt, uint64_t step, struct schedule *schedule,
		  struct error *err)
{
	int changed;

	if (!adapt->begun) {
		adapt->since = step;
		if (begin(adapt, schedule, err) < 0)
			return -1;
	}
	if (leads(adapt) && lead(adapt, step, schedule, err) < 0)
		return -1;
	changed = ds_agree_pass(adapt->agree, step, schedule, err);
	if (changed > 0) {
		adapt->replaced = true;
		adapt->since = step;
		if (leads(adapt))
			log_info("step %llu: all ranks have changed to the new groups",
				 (unsigned long long)step);
	}
	return changed < 0 ? -1 : 0;
}

/* On rank 0, of all ranks. */
static void keep_report(struct ds_adapt *adapt, int rank, uint64_t number, const float *seconds)
{
	struct reports *reports = &adapt->reports[number % ARRAY_SIZE(adapt->reports)];
	size_t every = adapt->params.every;

	pthread_mutex_lock(&adapt->lock);
	if (reports->number != number) {
		reports->number = number;
		reports->count = 0;
	}
	memcpy(reports->seconds + (size_t)rank * every, seconds, every * sizeof(*seconds));
	reports->count++;
	pthread_mutex_unlock(&adapt->lock);
}

static int report(struct ds_adapt *adapt, uint64_t number, struct error *err)
{
	struct buf message = { 0 };
	int status;

	if (leads(adapt)) {
		keep_report(adapt, 0, number, adapt->own);
		return 0;
	}
	wire_put_u64(&message, number);
	for (size_t i = 0; i < adapt->params.every; i++)
		wire_put_f64(&message, (double)adapt->own[i]);
	status = net_tell(adapt->env->net, 0, REPORT, message.data, message.length, err);
	buf_release(&message);
	return status;
}

int ds_adapt_took(struct ds_adapt *adapt, uint64_t step, double seconds, struct error *err)
{
	size_t every = adapt->params.every;
	uint64_t number = step / every;

	adapt->own[step % every] = (float)seconds;
	if ((step + 1) % every != 0 || number * every < adapt->since)
		return 0;
	return report(adapt, number, err);
}

static void hear_report(struct ds_adapt *adapt, int peer, const void *bytes, size_t length)
{
	size_t every = adapt->params.every;
	struct wire wire = wire_reader(bytes, length);
	uint64_t number = wire_get_u64(&wire);
	float *seconds;

	if (!leads(adapt) || wire.left != every * sizeof(double))
		return;
	seconds = xcalloc(every, sizeof(*seconds));
	for (size_t i = 0; i < every; i++)
		seconds[i] = (float)wire_get_f64(&wire);
	keep_report(adapt, peer, number, seconds);
	free(seconds);
}

void ds_adapt_serve(struct ds_adapt *adapt, int peer, uint64_t tag, const void *bytes,
		    size_t length)
{
	if (tag == REPORT)
		hear_report(adapt, peer, bytes, length);
	else
		ds_agree_serve(adapt->agree, peer, tag, bytes, length);
}

size_t ds_adapt_state(struct ds_adapt *adapt, const struct schedule *schedule,
		      struct state_array *arrays)
{
	size_t segments = adapt->env->links->segment_count;

	/* Before the first step the record is what a checkpoint is read into. */
	if (adapt->begun) {
		ds_agree_save(adapt->agree, adapt->replaced ? schedule : NULL, adapt->record);
		memcpy(adapt->record + adapt->record_size - segments, ds_watch_parts(adapt->watch),
		       segments * sizeof(float));
	}
	arrays[0] = (struct state_array){ "groups", adapt->record, adapt->record_size };
	return 1;
}
