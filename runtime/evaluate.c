/* How well a model fits the test data. */
#include "runtime/evaluate.h"

#include "lib/error.h"
#include "runtime/data/data.h"
#include "runtime/feed.h"
#include "runtime/frozen.h"
#include "runtime/job.h"
#include "runtime/model/model.h"

const char *const eval_ranks_names[] = { "end", "no", "always", NULL };

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

/* Zeroed is valid. */
struct parts {
	struct frozen frozen;
	struct dataset test;
	struct shard *shard;
	struct feed_params feed_params;
	struct feed *feed;
};

static int load(struct parts *parts, const struct job *job, struct error *err)
{
	const struct data_format *format = PART_AS(&job->data, struct data_format);

	if (frozen_load(&parts->frozen, job, err) < 0 ||
	    format->load(job->data.params, DATA_TEST, job->params.seed, &parts->test, err) < 0)
		return -1;
	if (parts->test.count == 0)
		return error_set(err, "the recipe has no test data; see --data and --set");
	return 0;
}

static int build(struct parts *parts, const struct job *job, const char *path, struct error *err)
{
	const struct dataset *train = &parts->frozen.train;
	size_t batch = job->params.batch < train->count ? job->params.batch : train->count;
	struct feed_env feed = { .params = &parts->feed_params,
				 .train = train,
				 .test = &parts->test,
				 .seed = job->params.seed };

	parts->feed_params = job->feed_params;
	parts->feed_params.prefetch = PREFETCH_NO;
	feed.shard = parts->shard = shard_new(&job->shard, train, batch, 0, 1, job->params.seed);
	if (feed_new(&parts->feed, &feed, err) < 0)
		return -1;
	return frozen_build(&parts->frozen, job, batch, path, err);
}

static void parts_release(struct parts *parts)
{
	feed_free(parts->feed);
	shard_free(parts->shard);
	dataset_release(&parts->test);
	frozen_release(&parts->frozen);
}

int evaluate_file(struct evaluation *out, const struct job *job, const char *path,
		  struct error *err)
{
	struct parts parts = { 0 };
	const struct frozen *frozen = &parts.frozen;
	int status = -1;

	if (load(&parts, job, err) == 0 && build(&parts, job, path, err) == 0) {
		*out = (struct evaluation){ .samples = parts.test.count,
					    .parameters = model_count(frozen->model),
					    .accuracy = frozen->train.classes > 0 };
		out->score =
			evaluate(frozen->model, frozen->weight, parts.feed, 0, parts.test.count);
		status = 0;
	}
	parts_release(&parts);
	return status;
}
