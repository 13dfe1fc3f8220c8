/* How well a model fits the test data. */
#include "runtime/evaluate.h"

#include <stdlib.h>

#include "lib/error.h"
#include "lib/memory.h"
#include "runtime/data/data.h"
#include "runtime/device/team.h"
#include "runtime/feed.h"
#include "runtime/job.h"
#include "runtime/model/model.h"
#include "runtime/weights.h"

/* Zeroed is valid. */
struct parts {
	struct dataset train, test;
	struct shard *shard;
	struct feed_params feed_params;
	struct feed *feed;
	struct team *team;
	struct model *model;
	float *weight;
};

struct score evaluate(struct model *model, const float *weight, struct feed *feed, size_t first,
		      size_t count)
{
	struct score sum = { 0 };

	while (count > 0) {
		const struct batch *batch = feed_test(feed, first, count);
		struct score part;

		model_forward(model, weight, batch, &part);
		sum.loss_sum += part.loss_sum;
		sum.correct += part.correct;
		sum.count += part.count;
		first += batch->count;
		count -= batch->count;
	}
	return sum;
}

/* The training data tell shapes and classes; some formats also scale by them. */
static int load(struct parts *parts, const struct job *job, struct error *err)
{
	const struct data_format *format = PART_AS(&job->data, struct data_format);
	size_t seed = job->params.seed;

	if (format->load(job->data.params, DATA_TRAIN, seed, &parts->train, err) < 0 ||
	    format->load(job->data.params, DATA_TEST, seed, &parts->test, err) < 0)
		return -1;
	if (parts->test.count == 0)
		return error_set(err, "the recipe has no test data; see --data and --set");
	return 0;
}

static int build(struct parts *parts, const struct job *job, struct error *err)
{
	const struct dataset *train = &parts->train;
	size_t batch = job->params.batch < train->count ? job->params.batch : train->count;
	struct model_env env = job_model_env(job, train);
	struct feed_env feed = { .params = &parts->feed_params,
				 .train = train,
				 .test = &parts->test,
				 .seed = job->params.seed };

	parts->feed_params = job->feed_params;
	parts->feed_params.prefetch = PREFETCH_NO;
	feed.shard = parts->shard = shard_new(&job->shard, train, batch, 0, 1, job->params.seed);
	env.team = parts->team = team_new(team_size(job->params.threads, 1));
	env.max_batch = batch;
	env.forward_only = true;
	if (feed_new(&parts->feed, &feed, err) < 0 ||
	    job_model_new(&parts->model, job, &env, err) < 0)
		return -1;
	parts->weight = xaligned(model_count(parts->model) * sizeof(float));
	return 0;
}

static void parts_release(struct parts *parts)
{
	free(parts->weight);
	model_free(parts->model);
	team_free(parts->team);
	feed_free(parts->feed);
	shard_free(parts->shard);
	dataset_release(&parts->test);
	dataset_release(&parts->train);
}

int evaluate_file(struct evaluation *out, const struct job *job, const char *path,
		  struct error *err)
{
	struct parts parts = { 0 };
	int status = -1;

	if (load(&parts, job, err) == 0 && build(&parts, job, err) == 0 &&
	    weights_read_file(parts.weight, parts.model, path, err) == 0) {
		*out = (struct evaluation){ .samples = parts.test.count,
					    .parameters = model_count(parts.model),
					    .accuracy = parts.train.classes > 0 };
		out->score = evaluate(parts.model, parts.weight, parts.feed, 0, parts.test.count);
		status = 0;
	}
	parts_release(&parts);
	return status;
}
