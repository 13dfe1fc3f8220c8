/* A rank's life within a worker process: build, connect, restore, train, end. */
#include "runtime/rank.h"

#include <stdlib.h>
#include <string.h>

#include "lib/control.h"
#include "lib/error.h"
#include "lib/groups.h"
#include "lib/limit.h"
#include "lib/log.h"
#include "lib/memory.h"
#include "lib/units.h"
#include "runtime/coll_measure.h"
#include "runtime/compress/compress.h"
#include "runtime/data/data.h"
#include "runtime/device/team.h"
#include "runtime/exchange.h"
#include "runtime/feed.h"
#include "runtime/job.h"
#include "runtime/loop.h"
#include "runtime/model/model.h"
#include "runtime/optim/optim.h"
#include "runtime/outbox.h"
#include "runtime/sync/sync.h"
#include "runtime/weights.h"

/* Everything that a rank owns. Zeroed is valid. */
struct parts {
	struct team *team;
	struct loop loop;
	struct net *net;
	struct exchange *exchange;
	struct coll_cost cost;
	int *ranks;
	struct partition by_host;
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

/* More threads than processors only on request, and then not without a word. */
static struct team *build_team(const struct rank *rank)
{
	size_t ranks = ranks_here(rank), threads = team_size(rank->env->job->params.threads, ranks);
	size_t processors = limit_processors();

	if (threads > 1 && threads * ranks > processors)
		log_warn("train.threads: %zu rank%s with %zu threads each on %zu processor%s; with "
			 "0 "
			 "there are never more threads than processors",
			 ranks, ranks == 1 ? "" : "s", threads, processors,
			 processors == 1 ? "" : "s");
	return team_new(threads);
}

/* What can never fit is said before the system kills somebody for it. */
static int check_memory(const struct job *job, const struct model_env *env, struct error *err)
{
	struct model_env plan = *env;
	struct job_memory memory;
	struct model *model;
	double bytes, most = (double)limit_memory().bytes;
	char wanted[32], limit[32];

	plan.plan_only = true;
	if (job_model_new(&model, job, &plan, err) < 0)
		return -1;
	memory = job_memory(job, model);
	model_free(model);
	bytes = memory.weights + memory.gradient + memory.slots + memory.arena;
	if (bytes <= most)
		return 0;
	return error_set(err,
			 "out of memory: weights, gradient, optimizer and what lies between the "
			 "layers take %s, and the limit is %s",
			 units_show_bytes(wanted, sizeof(wanted), bytes),
			 units_show_bytes(limit, sizeof(limit), most));
}

static int build_model(struct rank *rank, struct parts *parts, struct error *err)
{
	const struct job *job = rank->env->job;
	const struct dataset *train = rank->env->train;
	const struct control_plan *plan = rank->env->plan;
	struct loop *loop = &parts->loop;
	struct model_env env = job_model_env(job, train);
	struct feed_env feed = { .params = &job->feed_params,
				 .train = train,
				 .test = rank->env->test,
				 .seed = job->params.seed };

	if (job->params.batch > train->count)
		return error_set(err, "train.batch: %zu is more than the %zu training samples",
				 job->params.batch, train->count);
	loop->train = train;
	loop->test = rank->env->test;
	loop->shard = shard_new(&job->shard, train, job->params.batch, (int)rank->rank,
				(int)plan->world, job->params.seed);
	env.team = parts->team = build_team(rank);
	env.max_batch = shard_most(loop->shard);
	feed.shard = loop->shard;
	if (feed_new(&loop->feed, &feed, err) < 0)
		return -1;
	if (check_memory(job, &env, err) < 0 || job_model_new(&loop->model, job, &env, err) < 0)
		return -1;
	loop->weight = xaligned(model_count(loop->model) * sizeof(float));
	loop->grad = xaligned(model_count(loop->model) * sizeof(float));
	model_init(loop->model, loop->weight);
	/* Of rank 0, for all; a checkpoint's weights come later. */
	if (job->model_params.init_from && rank->rank == 0 && plan->start_step == 0 &&
	    weights_read_file(loop->weight, loop->model, job->model_params.init_from, err) < 0)
		return -1;
	return 0;
}

static void build_schedule(struct rank *rank, struct parts *parts)
{
	const struct job *job = rank->env->job;
	struct loop *loop = &parts->loop;
	size_t per_epoch = shard_steps_per_epoch(loop->shard);
	struct optim_env env = { .optimizer = &job->optimizer,
				 .schedule = &job->schedule,
				 .params = &job->optim_params,
				 .schedule_params = &job->schedule_params,
				 .clip = job->params.clip,
				 .team = parts->team };

	loop->steps = job->params.steps ? job->params.steps : job->params.epochs * per_epoch;
	loop->first_step = (size_t)rank->env->plan->start_step;
	loop->eval_every = job->params.eval_every * per_epoch;
	loop->checkpoint_every = job->params.checkpoint_every;
	loop->gate = &rank->gate;
	loop->outbox = rank->env->outbox;
	env.tensors = model_tensors(loop->model, &env.tensor_count);
	env.steps = loop->steps;
	loop->optim = optim_new(&env);
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

static int build_sync(struct rank *rank, struct parts *parts, struct error *err)
{
	const struct job *job = rank->env->job;
	struct loop *loop = &parts->loop;
	struct exchange_env exchange = { .net = parts->net,
					 .compressor = &job->compressor,
					 .algorithm =
						 (enum coll_algorithm)job->sync_params.allreduce,
					 .seed = job->params.seed,
					 .count = model_count(loop->model) };
	struct sync_env env = { .net = parts->net,
				.world = &loop->world,
				.count = model_count(loop->model),
				.seed = job->params.seed,
				.slots = parts->slots };
	const char *name;
	float *slot;

	loop->net = parts->net;
	parts->ranks = xcalloc(rank->env->plan->world, sizeof(*parts->ranks));
	loop->world = group_world(parts->ranks, (int)rank->env->plan->world, (int)rank->rank);
	group_by_host(&parts->by_host, &loop->world, parts->net);
	loop->world.parts = &parts->by_host;
	while ((slot = optim_slot(loop->optim, env.slot_count, &name)))
		parts->slots[env.slot_count++] = slot;
	env.exchange = parts->exchange = exchange_new(&exchange);
	if (sync_new(&loop->sync, &job->sync, &job->sync_params, &env, err) < 0)
		return -1;
	loop->parts = (struct checkpoint_parts){
		.model = loop->model,
		.weight = loop->weight,
		.optim = loop->optim,
		.sync = loop->sync,
		.exchange = parts->exchange,
		.replicated = PART_AS(&job->sync, struct sync_strategy)->replicated,
	};
	loop->metrics = (struct metrics){ .outbox = rank->env->outbox,
					  .net = parts->net,
					  .sync = loop->sync,
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
				       .accuracy = loop->train->classes > 0,
				       .labels = loop->train->labels };
	struct buf frame = { 0 };

	control_put_ready(&frame, rank->rank, &ready);
	outbox_send(rank->env->outbox, &frame);
	free(loss);
}

static int train(struct rank *rank, struct parts *parts, size_t *completed, struct error *err)
{
	struct loop *loop = &parts->loop;
	struct checkpoint_files files = { .model = &rank->model,
					  .optimizer = &rank->optimizer,
					  .own = &rank->own };

	if (checkpoint_read(&loop->parts, &files, err) < 0)
		return -1;
	loop->peer_failed = true;
	if (checkpoint_share(&loop->parts, parts->net, &loop->world, err) < 0)
		return -1;
	loop->peer_failed = false;
	if (checkpoint_read_own(&loop->parts, &files, err) < 0)
		return -1;
	buf_release(&rank->model);
	buf_release(&rank->optimizer);
	buf_release(&rank->own);
	if (loop_run(loop, completed, err) < 0)
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
	net_close(parts->net);
	optim_free(loop->optim);
	model_free(loop->model);
	feed_free(loop->feed);
	shard_free(loop->shard);
	free(loop->weight);
	free(loop->grad);
	partition_release(&parts->by_host);
	free(parts->ranks);
	team_free(parts->team);
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

void *rank_main(void *arg)
{
	struct rank *rank = arg;
	struct parts parts = { 0 };
	struct error err;
	size_t completed = 0;
	int status = build_model(rank, &parts, &err);

	if (status == 0) {
		build_schedule(rank, &parts);
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
		status = coll_measure(parts.net, &parts.loop.world, &parts.cost, &err);
	}
	if (status == 0) {
		parts.loop.peer_failed = false;
		report_ready(rank, &parts.loop);
		rank->env->wait_start(rank->env->arg);
		status = train(rank, &parts, &completed, &err);
	}
	if (status < 0) {
		rank_fail(rank, parts.loop.peer_failed, parts.net, &err);
	} else {
		struct buf frame = { 0 };

		control_put_number(&frame, CONTROL_DONE, rank->rank, completed);
		outbox_send(rank->env->outbox, &frame);
	}
	parts_release(&parts);
	return NULL;
}
