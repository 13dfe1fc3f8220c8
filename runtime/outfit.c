/* What a rank computes with, before it meets the others: samples, model, weights, optimizer. */
#include "runtime/outfit.h"

#include <stdlib.h>

#include "lib/error.h"
#include "lib/limit.h"
#include "lib/log.h"
#include "lib/memory.h"
#include "lib/units.h"
#include "runtime/data/data.h"
#include "runtime/device/team.h"
#include "runtime/feed.h"
#include "runtime/job.h"
#include "runtime/model/model.h"
#include "runtime/optim/optim.h"
#include "runtime/share.h"
#include "runtime/weights.h"

/* More threads than processors only on request, and then not without a word. */
static struct team *build_team(const struct outfit_env *env)
{
	size_t ranks = env->ranks_here, threads = team_size(env->job->params.threads, ranks);
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

static int build_model(struct outfit *out, const struct outfit_env *env, struct error *err)
{
	const struct job *job = env->job;
	struct model_env model = job_model_env(job, env->train);
	struct feed_env feed = { .params = &job->feed_params,
				 .train = env->train,
				 .test = env->test,
				 .seed = job->params.seed };

	if (job->params.batch > env->train->count)
		return error_set(err, "train.batch: %zu is more than the %zu training samples",
				 job->params.batch, env->train->count);
	feed.shard = out->shard = shard_new(&job->shard, env->train, job->params.batch,
					    (int)env->rank, (int)env->world, job->params.seed);
	if (job->params.share == SHARE_MEASURED)
		shard_reserve(out->shard, job_rank_batch(job, env->world));
	model.team = out->team = build_team(env);
	model.max_batch = shard_most(out->shard);
	if (feed_new(&out->feed, &feed, err) < 0 || check_memory(job, &model, err) < 0 ||
	    job_model_new(&out->model, job, &model, err) < 0)
		return -1;
	out->weight = xaligned(model_count(out->model) * sizeof(float));
	out->grad = xaligned(model_count(out->model) * sizeof(float));
	model_init(out->model, out->weight);
	/* Of rank 0, for all. */
	if (job->model_params.init_from && env->rank == 0 && !env->resumes)
		return weights_read_file(out->weight, out->model, job->model_params.init_from, err);
	return 0;
}

static void build_optim(struct outfit *out, const struct outfit_env *env)
{
	const struct job *job = env->job;
	struct optim_env optim = { .optimizer = &job->optimizer,
				   .schedule = &job->schedule,
				   .params = &job->optim_params,
				   .schedule_params = &job->schedule_params,
				   .clip = job->params.clip,
				   .team = out->team };

	out->steps_per_epoch = shard_steps_per_epoch(out->shard);
	out->steps =
		job->params.steps ? job->params.steps : job->params.epochs * out->steps_per_epoch;
	optim.tensors = model_tensors(out->model, &optim.tensor_count);
	optim.steps = out->steps;
	out->optim = optim_new(&optim);
}

int outfit_build(struct outfit *out, const struct outfit_env *env, struct error *err)
{
	if (build_model(out, env, err) < 0)
		return -1;
	build_optim(out, env);
	return 0;
}

void outfit_release(struct outfit *outfit)
{
	optim_free(outfit->optim);
	model_free(outfit->model);
	feed_free(outfit->feed);
	shard_free(outfit->shard);
	free(outfit->weight);
	free(outfit->grad);
	team_free(outfit->team);
	*outfit = (struct outfit){ 0 };
}
