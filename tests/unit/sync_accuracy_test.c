/* What every synchronisation strategy makes of real pictures, in comparison with bsp. */
#include "tests/unit/unit.h"

#include "lib/recipe.h"
#include "runtime/data/data.h"
#include "runtime/evaluate.h"
#include "runtime/exchange.h"
#include "runtime/feed.h"
#include "runtime/job.h"
#include "runtime/model/model.h"
#include "runtime/optim/optim.h"
#include "runtime/outfit.h"
#include "runtime/sync/sync.h"
#include "tests/unit/cluster.h"

/* Sanitizers watch a few steps of every strategy; how well they learn is seen without. */
enum { WORLD = 4, JUDGED = SPACING == 1, TESTED = JUDGED ? 10000 : 100 };

#define PICTURES "/usr/share/datasets/fashion-mnist/"

static const char recipe[] = "seed: 7\n"
			     "data:\n"
			     "  format: idx\n"
			     "  train: {images: " PICTURES "train-images-idx3-ubyte.gz,\n"
			     "          labels: " PICTURES "train-labels-idx1-ubyte.gz}\n"
			     "  test: {images: " PICTURES "t10k-images-idx3-ubyte.gz,\n"
			     "         labels: " PICTURES "t10k-labels-idx1-ubyte.gz}\n"
			     "  scale: 0.0111\n"
			     "  shift: -0.81\n"
			     "  prefetch: no\n"
			     "model: {preset: mlp, hidden: [32]}\n"
			     "train: {steps: 240, batch: 128, threads: 1, schedule: cosine,\n"
			     "        optimizer: {name: sgd, lr: 0.02, momentum: 0.9}}\n"
			     "transport: inproc\n";

/* Job and samples belong to all ranks. */
struct contest {
	struct job job;
	struct dataset train, test;
	double accuracy; /* in points, of what the ranks make together */
};

static void read_recipe(struct job *job)
{
	static const struct place here = { .file = "test" };
	struct settings given = { 0 }, resolved = { 0 };
	struct problems problems = { 0 };
	struct error err;

	cluster_must(recipe_parse(&given, recipe, sizeof(recipe) - 1, "recipe", &problems, &err),
		     &err);
	if (!JUDGED)
		settings_set(&given, "train.steps", "12", here);
	job_read(job, &given, &resolved, &problems);
	assert_string_equal(buf_text(&problems.text), "");
	settings_release(&given);
	settings_release(&resolved);
	problems_release(&problems);
}

/* One rank at work. */
struct worker {
	const struct contest *contest;
	struct outfit own;
	struct sync *sync;
};

static void ready(void *arg, size_t offset, size_t count)
{
	sync_ready(arg, offset, count);
}

static void train_step(struct worker *worker, size_t step, size_t done)
{
	struct outfit *own = &worker->own;
	const struct batch *batch = feed_step(own->feed, step);
	struct score score;
	struct error err;

	sync_step(worker->sync, step, own->weight, own->grad);
	model_forward(own->model, own->weight, batch, &score);
	model_backward(own->model, own->weight, batch, own->grad, ready, worker->sync);
	cluster_must(sync_gradients(worker->sync, &err), &err);
	optim_step(own->optim, done, own->weight, own->grad);
	cluster_must(sync_weights(worker->sync, step, own->weight, &err), &err);
}

/* At the pace of each rank. */
static void train_paced(struct worker *worker)
{
	struct sync_cut cut = { 0 };
	size_t last = worker->own.steps - 1;
	struct error err;

	while (!cut.stop) {
		int go = sync_go(worker->sync, worker->own.weight, &err);
		size_t done = sync_progress(worker->sync);

		cluster_must(go < 0 ? -1 : 0, &err);
		if (go)
			train_step(worker, sync_steps(worker->sync), done < last ? done : last);
		else
			cluster_must(sync_cut(worker->sync, worker->own.weight, &cut, &err), &err);
	}
}

static double loss_of(void *arg, size_t step, const float *weight)
{
	struct worker *worker = arg;
	struct score score;

	model_forward(worker->own.model, weight, feed_step(worker->own.feed, step), &score);
	return score.loss_sum / (double)score.count;
}

static void open_sync(struct worker *worker, struct sync_env *env, struct exchange_env *exchange,
		      float **slots)
{
	const struct job *job = &worker->contest->job;
	struct outfit *own = &worker->own;
	const char *name;
	struct error err;

	env->count = exchange->count = model_count(own->model);
	for (env->slot_count = 0;
	     (slots[env->slot_count] = optim_slot(own->optim, env->slot_count, &name));)
		env->slot_count++;
	env->slots = slots;
	env->seed = job->params.seed;
	env->budget.steps = own->steps;
	env->loss = loss_of;
	env->loss_arg = worker;
	exchange->net = env->net;
	exchange->differences = PART_AS(&job->sync, struct sync_strategy)->differences;
	exchange->coder.compressor = &job->compressor;
	env->exchange = exchange_new(exchange);
	cluster_must(sync_new(&worker->sync, &job->sync, &job->sync_params, env, &err), &err);
}

static void work(int rank, struct net *net, void *arg)
{
	struct contest *contest = arg;
	struct worker worker = { .contest = contest };
	struct outfit_env outfit = { .job = &contest->job,
				     .train = &contest->train,
				     .test = &contest->test,
				     .rank = (unsigned)rank,
				     .world = WORLD,
				     .ranks_here = WORLD };
	int ranks[CLUSTER_MAX];
	struct group world = group_world(ranks, WORLD, rank);
	struct sync_env env = { .net = net, .world = &world };
	struct exchange_env exchange = { 0 };
	float *slots[OPTIM_SLOTS + 1];
	const float *mean;
	struct error err;

	cluster_must(outfit_build(&worker.own, &outfit, &err), &err);
	open_sync(&worker, &env, &exchange, slots);
	cluster_must(coll_barrier(net, &world, &err), &err);
	if (PART_AS(&contest->job.sync, struct sync_strategy)->asynchronous)
		train_paced(&worker);
	else
		for (size_t step = 0; step < worker.own.steps; step++)
			train_step(&worker, step, step);
	cluster_must(sync_mean(worker.sync, worker.own.weight, &mean, &err), &err);
	if (rank == 0) {
		struct score score = evaluate(worker.own.model, mean, worker.own.feed, 0, TESTED);

		contest->accuracy = 100 * (double)score.correct / (double)score.count;
	}
	cluster_must(coll_barrier(net, &world, &err), &err);
	sync_free(worker.sync);
	exchange_free(env.exchange);
	outfit_release(&worker.own);
}

static double accuracy_of(struct contest *contest, const char *strategy)
{
	part_release(&contest->job.sync);
	contest->job.sync = part_default(&sync_strategies, strategy);
	cluster_run("inproc", WORLD, work, contest);
	return contest->accuracy;
}

static void every_strategy_comes_as_near_to_bsp_as_it_says(void **state)
{
	struct contest contest = { 0 };
	const struct data_format *format;
	struct error err;
	int behind = 0;
	double bsp;

	(void)state;
	if (!file_exists(PICTURES "train-images-idx3-ubyte.gz")) {
		print_message("no such data: dataset-fashion-mnist\n");
		skip();
	}
	read_recipe(&contest.job);
	format = PART_AS(&contest.job.data, struct data_format);
	cluster_must(format->load(contest.job.data.params, DATA_TRAIN, 7, &contest.train, &err),
		     &err);
	cluster_must(format->load(contest.job.data.params, DATA_TEST, 7, &contest.test, &err),
		     &err);
	bsp = accuracy_of(&contest, "bsp");
	assert_true(bsp > 80 || !JUDGED);
	for (size_t s = 0; sync_strategies.entries[s]; s++) {
		struct part part = { .entry = sync_strategies.entries[s] };
		const struct sync_strategy *strategy = PART_AS(&part, struct sync_strategy);

		if (strategy->chosen_by_plan)
			continue;
		accuracy_of(&contest, part.entry->name);
		print_message("%s: %.2f, at least %.2f\n", part.entry->name, contest.accuracy,
			      bsp - strategy->margin);
		behind += JUDGED && !(contest.accuracy >= bsp - strategy->margin);
	}
	assert_int_equal(behind, 0);
	dataset_release(&contest.train);
	dataset_release(&contest.test);
	job_release(&contest.job);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_strategy_comes_as_near_to_bsp_as_it_says),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
