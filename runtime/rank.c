/* A rank's life within a worker process: build, connect, restore, train, end. */
#include "runtime/rank.h"

#include <stdlib.h>
#include <string.h>

#include "lib/control.h"
#include "lib/error.h"
#include "lib/roster.h"
#include "lib/memory.h"
#include "runtime/coll_measure.h"
#include "runtime/compress/compress.h"
#include "runtime/data/data.h"
#include "runtime/exchange.h"
#include "runtime/feed.h"
#include "runtime/job.h"
#include "runtime/loop.h"
#include "runtime/model/model.h"
#include "runtime/optim/optim.h"
#include "runtime/outbox.h"
#include "runtime/outfit.h"
#include "runtime/share.h"
#include "runtime/sync/sync.h"

/* Everything that a rank owns. Zeroed is valid. */
struct parts {
	struct outfit outfit;
	struct loop loop;
	struct net *net;
	struct exchange *exchange;
	struct coder_span *spans; /* the model's tensors */
	struct group world;	  /* all ranks as sync has them; loop.world has them as numbered */
	struct coll_cost cost;
	struct shares shares;
	int *ranks;
	struct partition by_host;
	struct coll_parts *by_part; /* world.parts */
	float *slots[OPTIM_SLOTS];
};

static size_t ranks_here(const struct rank *rank)
{
	const struct rank_env *env = rank->env;
	size_t count = 0;

	for (uint32_t i = 0; i < env->plan->world; i++)
		count += strcmp(env->peers[i].host, env->peers[rank->rank].host) == 0;
	return count;
}

/* Without a word to the others. */
static int build_own(struct rank *rank, struct parts *parts, struct error *err)
{
	const struct job *job = rank->env->job;
	struct outfit *own = &parts->outfit;
	struct outfit_env env = { .job = job,
				  .train = rank->env->train,
				  .test = rank->env->test,
				  .rank = rank->rank,
				  .world = rank->env->plan->world,
				  .ranks_here = ranks_here(rank),
				  .resumes = rank->env->plan->start_step > 0 };
	struct fault fault =
		fault_of_rank(&job->fault, job->params.seed, rank->rank, 1.0 / env.world);

	if ((job->params.share == SHARE_MEASURED &&
	     shares_measure(&parts->shares, &env, &fault, err) < 0) ||
	    outfit_build(own, &env, err) < 0)
		return -1;
	parts->loop = (struct loop){ .model = own->model,
				     .weight = own->weight,
				     .grad = own->grad,
				     .train = env.train,
				     .test = env.test,
				     .shard = own->shard,
				     .feed = own->feed,
				     .optim = own->optim,
				     .outbox = rank->env->outbox,
				     .gate = &rank->gate,
				     .first_step = (size_t)rank->env->plan->start_step,
				     .fault = fault,
				     .steps = own->steps,
				     .eval_every = job->params.eval_every * own->steps_per_epoch,
				     .checkpoint_every = job->params.checkpoint_every,
				     .eval_ranks = (enum eval_ranks)job->params.eval_ranks };
	return 0;
}

struct net *rank_connect(struct rank *rank, struct error *err)
{
	const struct job *job = rank->env->job;
	const struct control_plan *plan = rank->env->plan;
	struct net_env env = { .rank = (int)rank->rank,
			       .world = (int)plan->world,
			       .job = plan->job,
			       .view = plan->view,
			       .listener = rank->listener,
			       .peers = rank->env->peers,
			       .hub = rank->env->hub,
			       .timeout_s = job->params.timeout_s };
	struct net *net;

	memcpy(env.key, rank->key, sizeof(env.key));
	memory_wipe(rank->key, sizeof(rank->key));
	net = net_open(&job->transport, &env, err);
	memory_wipe(env.key, sizeof(env.key));
	return net;
}

enum { PLANNED_WORLD = 1 }; /* the group's id; group 0 stands as numbered */

/* In the order of the plan, if the recipe wants it and there is one. */
static void build_groups(struct rank *rank, struct parts *parts)
{
	const struct roster *roster = rank->env->roster;
	int world = (int)rank->env->plan->world, own = (int)rank->rank;
	const struct partition *first = roster ? &roster->plan.schedule.phase[0] : NULL;

	parts->ranks = xcalloc((size_t)world, sizeof(*parts->ranks));
	parts->loop.world = parts->world = group_world(parts->ranks, world, own);
	if (roster && rank->env->job->sync_params.order == SYNC_ORDER_PLANNED) {
		parts->world = (struct group){ .ranks = first->ranks, .count = world };
		parts->world.id = PLANNED_WORLD;
		parts->world.index = group_index(&parts->world, own);
	}
	group_by_host(&parts->by_host, &parts->world, parts->net);
	parts->by_part = coll_parts_new(
		roster && roster->plan.kind == PLAN_HIERARCHICAL ? first : &parts->by_host);
	parts->world.parts = parts->by_part;
}

/* The slowest way out of this rank's host, if links are known. */
static struct compress_link link_of(const struct rank *rank)
{
	const struct roster *roster = rank->env->roster;
	size_t from, to;

	if (!roster)
		return (struct compress_link){ 0 };
	from = (size_t)roster->host_of[rank->rank];
	to = links_slowest(&roster->links, from);
	if (to == roster->links.hosts)
		return (struct compress_link){ 0 };
	return (struct compress_link){ .latency_s = links_pair(&roster->links, from, to)->rtt_s / 2,
				       .bytes_per_s = links_rate(&roster->links, from, to) };
}

static enum sync_stop stop(void *gate)
{
	if (!gate_closes(gate))
		return SYNC_GO_ON;
	return gate_ends(gate) ? SYNC_END : SYNC_STOP;
}

static bool is_paced(const struct rank *rank)
{
	return PART_AS(&rank->env->job->sync, struct sync_strategy)->asynchronous;
}

static struct exchange *build_exchange(struct rank *rank, struct parts *parts)
{
	const struct job *job = rank->env->job;
	const struct loop *loop = &parts->loop;
	struct exchange_env env = { .net = parts->net,
				    .params = job->exchange_params,
				    .algorithm = (enum coll_algorithm)job->sync_params.allreduce,
				    .count = model_count(loop->model),
				    .differences =
					    PART_AS(&job->sync, struct sync_strategy)->differences,
				    .coder = { .compressor = &job->compressor,
					       .rules = &job->compress_rules,
					       .seed = job->params.seed,
					       .steps = loop->steps,
					       .link = link_of(rank) } };

	env.coder.spans = parts->spans = job_spans(loop->model, &env.coder.span_count);
	return exchange_new(&env);
}

static int build_sync(struct rank *rank, struct parts *parts, struct error *err)
{
	const struct job *job = rank->env->job;
	const struct roster *roster = rank->env->roster;
	struct loop *loop = &parts->loop;
	struct sync_env env = { .net = parts->net,
				.world = &parts->world,
				.plan = roster ? &roster->plan : NULL,
				.links = roster ? &roster->links : NULL,
				.host_of = roster ? roster->host_of : NULL,
				.count = model_count(loop->model),
				.seed = job->params.seed,
				.share = parts->shares.part,
				.samples = shard_sizes(loop->shard),
				.slots = parts->slots,
				.budget = { .first = loop->first_step,
					    .steps = loop->steps,
					    .eval_every = loop->eval_every,
					    .checkpoint_every = loop->checkpoint_every,
					    .stop = stop,
					    .arg = &rank->gate },
				.loss = loop_loss,
				.loss_arg = loop };
	const char *name;
	float *slot;

	loop->net = parts->net;
	build_groups(rank, parts);
	while ((slot = optim_slot(loop->optim, env.slot_count, &name)))
		parts->slots[env.slot_count++] = slot;
	env.exchange = parts->exchange = build_exchange(rank, parts);
	if (sync_new(&loop->sync, &job->sync, &job->sync_params, &env, err) < 0)
		return -1;
	loop->parts = (struct checkpoint_parts){
		.model = loop->model,
		.weight = loop->weight,
		.optim = loop->optim,
		.sync = loop->sync,
		.exchange = parts->exchange,
		.shares = parts->shares.samples,
		.world = parts->shares.world,
		.replicated = PART_AS(&job->sync, struct sync_strategy)->replicated,
	};
	loop->metrics = (struct metrics){ .outbox = rank->env->outbox,
					  .net = parts->net,
					  .sync = loop->sync,
					  .exchange = parts->exchange,
					  .rank = rank->rank };
	return 0;
}

static void report_ready(const struct rank *rank, const struct loop *loop)
{
	char *loss = xstrdup(model_loss_name(loop->model));
	struct control_ready ready = { .parameters = model_count(loop->model),
				       .samples = loop->train->count,
				       .test_samples = loop->test->count,
				       .steps = loop->steps,
				       .steps_per_epoch = shard_steps_per_epoch(loop->shard),
				       .loss = loss,
				       .asynchronous = is_paced(rank),
				       .accuracy = loop->train->classes > 0,
				       .labels = loop->train->labels };
	struct buf frame = { 0 };

	control_put_ready(&frame, rank->rank, &ready);
	outbox_send(rank->env->outbox, &frame);
	free(loss);
}

/* The measured one, or the one that a checkpoint had. */
static int take_share(const struct rank *rank, struct parts *parts, struct error *err)
{
	struct loop *loop = &parts->loop;
	const struct shares *shares = &parts->shares;

	if (shares->world == 0)
		return 0;
	if (shares_settle(&parts->shares, err) < 0)
		return -1;
	feed_share(loop->feed, shares_first(shares, rank->rank),
		   (size_t)shares->samples[rank->rank]);
	loop->fault.share = shares->part[rank->rank];
	loop->fault.load = loop->fault.share * (double)shares->world;
	if (rank->rank == 0)
		shares_tell(shares);
	return 0;
}

static int train(struct rank *rank, struct parts *parts, size_t *completed, struct error *err)
{
	struct loop *loop = &parts->loop;
	struct checkpoint_files files = { .model = &rank->model,
					  .optimizer = &rank->optimizer,
					  .own = &rank->own,
					  .debts = &rank->debts };

	if (checkpoint_read(&loop->parts, &files, err) < 0)
		return -1;
	loop->peer_failed = true;
	if (checkpoint_share(&loop->parts, parts->net, &loop->world, err) < 0)
		return -1;
	loop->peer_failed = false;
	if (checkpoint_read_own(&loop->parts, &files, err) < 0)
		return -1;
	if (take_share(rank, parts, err) < 0)
		return -1;
	buf_release(&rank->model);
	buf_release(&rank->optimizer);
	buf_release(&rank->own);
	buf_release(&rank->debts);
	if ((is_paced(rank) ? loop_run_paced : loop_run)(loop, completed, err) < 0)
		return -1;
	loop->peer_failed = true;
	return coll_barrier(parts->net, &loop->world,
			    err); /* nobody still waits for data of ours */
}

static void parts_release(struct parts *parts)
{
	struct loop *loop = &parts->loop;

	sync_free(loop->sync);
	exchange_free(parts->exchange);
	free(parts->spans);
	net_close(parts->net);
	outfit_release(&parts->outfit);
	shares_release(&parts->shares);
	coll_parts_free(parts->by_part);
	partition_release(&parts->by_host);
	free(parts->ranks);
}

void rank_fail(const struct rank *rank, bool lost_peer, struct net *net, struct error *err)
{
	struct control_failure failure = { .lost_peer = lost_peer, .text = err->text };
	struct buf frame = { 0 };

	control_put_failure(&frame, rank->rank, &failure);
	outbox_send(rank->env->outbox, &frame);
	if (net)
		net_abort(net, err->text);
}

void rank_await_start(const struct rank *rank)
{
	char none[] = "";
	struct control_ready ready = { .loss = none };
	struct buf frame = { 0 };

	control_put_ready(&frame, rank->rank, &ready);
	outbox_send(rank->env->outbox, &frame);
	rank->env->wait_start(rank->env->arg);
}

void rank_done(const struct rank *rank, size_t completed)
{
	struct buf frame = { 0 };

	control_put_number(&frame, CONTROL_DONE, rank->rank, completed);
	outbox_send(rank->env->outbox, &frame);
}

void *rank_main(void *arg)
{
	struct rank *rank = arg;
	struct parts parts = { 0 };
	struct error err;
	size_t completed = 0;
	int status = build_own(rank, &parts, &err);

	if (status == 0) {
		parts.loop.peer_failed = true;
		parts.net = rank_connect(rank, &err);
		status = parts.net ? 0 : -1;
	}
	if (status == 0) {
		parts.loop.peer_failed = false;
		status = build_sync(rank, &parts, &err);
	}
	if (status == 0) {
		parts.loop.peer_failed = true;
		status = coll_measure(parts.net, &parts.world, &parts.cost, &err);
		parts.loop.world.cost = &parts.cost;
	}
	if (status == 0 && parts.shares.world)
		status = shares_agree(&parts.shares, parts.net, &parts.world, &err);
	if (status == 0) {
		parts.loop.peer_failed = false;
		report_ready(rank, &parts.loop);
		rank->env->wait_start(rank->env->arg);
		status = train(rank, &parts, &completed, &err);
	}
	if (status < 0)
		rank_fail(rank, parts.loop.peer_failed, parts.net, &err);
	else
		rank_done(rank, completed);
	parts_release(&parts);
	return NULL;
}
