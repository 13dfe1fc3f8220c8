/* Ranks report what averages take, and all change to groups that fit links which have changed. */
#include "tests/unit/unit.h"

#include "lib/plan.h"
#include "runtime/sync/ds_adapt.h"
#include "runtime/sync/sync.h"
#include "tests/unit/cluster.h"
#include "tests/unit/two_racks.h"

enum {
	EVERY = 12,
	STEPS = 600,
	CONGESTED = 150,
	REPORT = sizeof(uint64_t) +
		 EVERY * sizeof(double) /* bytes; what else rank 0 hears is less */
};

/* A run whose averages take what they would on links that are congested from a step on. */
struct run {
	struct links links; /* as measured */
	struct plan plan;
	size_t first, end;	  /* steps */
	size_t congested;	  /* the step; STEPS: never */
	const struct run *before; /* goes on with its checkpoints */

	uint64_t digests[HOSTS][STEPS]; /* of the schedule in each step */
	float *records[HOSTS];		/* checkpoints made at the end */
	size_t record_size;

	pthread_mutex_t lock; /* guards all below */
	pthread_cond_t changed;
	size_t reports; /* that rank 0 has heard */
};

static void run_begin(struct run *run)
{
	static const int hosts[] = { 0, 1, 2, 3, 4, 5, 6, 7 };
	struct plan_env env = { .links = &run->links,
				.host_of = hosts,
				.world = HOSTS,
				.bytes = BYTES,
				.compute_s = NAN,
				.consensus_period = 8 };
	struct plan_list list;
	struct error err;

	pthread_mutex_init(&run->lock, NULL);
	pthread_cond_init(&run->changed, NULL);
	racks_build(&run->links);
	assert_int_equal(plan_build(&list, &env, &err), 0);
	plan_copy(&run->plan, &list.plans[0]);
	plan_list_release(&list);
}

static void run_end(struct run *run)
{
	for (int r = 0; r < HOSTS; r++)
		free(run->records[r]);
	plan_release(&run->plan);
	links_release(&run->links);
	pthread_cond_destroy(&run->changed);
	pthread_mutex_destroy(&run->lock);
	free(run);
}

static uint64_t digest_of(const struct schedule *schedule)
{
	uint64_t digest = 14695981039346656037u;

	for (int p = 0; p < schedule->phases; p++)
		for (int i = 0; i < schedule->world; i++)
			digest = (digest ^ (uint64_t)schedule->phase[p].ranks[i]) * 1099511628211u;
	return digest;
}

struct hearer {
	struct run *run;
	struct ds_adapt *adapt;
};

static void serve(void *arg, int peer, uint64_t tag, const void *bytes, size_t length)
{
	struct hearer *hearer = arg;
	struct run *run = hearer->run;

	ds_adapt_serve(hearer->adapt, peer, tag, bytes, length);
	if (length != REPORT)
		return;
	pthread_mutex_lock(&run->lock);
	run->reports++;
	pthread_cond_broadcast(&run->changed);
	pthread_mutex_unlock(&run->lock);
}

/* Steps take no time here, but reports do: a window that rank 0 had not heard of before others
 * reported the next but one would be lost. */
static void wait_for_reports(struct run *run, size_t count)
{
	pthread_mutex_lock(&run->lock);
	while (run->reports < count)
		pthread_cond_wait(&run->changed, &run->lock);
	pthread_mutex_unlock(&run->lock);
}

/* Seconds of the averages; what the network carries is nothing but reports and agreement. */
static void steps(struct run *run, int rank, struct ds_adapt *adapt, const struct sync_env *env,
		  struct schedule *schedule)
{
	struct links real;
	struct flow_net *net;
	size_t since = run->first, reports = 0;
	float seconds[HOSTS];
	struct error err;

	links_copy(&real, &run->links);
	net = flow_net_new(&real);
	for (size_t step = run->first; step < run->end; step++) {
		racks_congest(&real, step < run->congested ? 1 : 0.15);
		cluster_must(ds_adapt_step(adapt, step, schedule, &err), &err);
		run->digests[rank][step] = digest_of(schedule);
		if (step > run->first && run->digests[rank][step] != run->digests[rank][step - 1])
			since = step;
		racks_seconds(net, schedule, step, seconds);
		cluster_must(ds_adapt_took(adapt, step, (double)seconds[rank], &err), &err);
		if ((step + 1) % EVERY == 0 && step + 1 - EVERY >= since)
			reports += HOSTS - 1;
		if (rank == 0)
			wait_for_reports(run, reports);
		cluster_must(coll_barrier(env->net, env->world, &err), &err);
	}
	flow_net_free(net);
	links_release(&real);
}

static void body(int rank, struct net *net, void *arg)
{
	static const int hosts[] = { 0, 1, 2, 3, 4, 5, 6, 7 };
	struct run *run = arg;
	struct ds_adapt_params params = { .every = EVERY, .bytes = BYTES };
	int ranks[CLUSTER_MAX];
	struct group world = group_world(ranks, HOSTS, rank);
	struct sync_env env = { .net = net,
				.world = &world,
				.plan = &run->plan,
				.links = &run->links,
				.host_of = hosts };
	struct ds_adapt *adapt = ds_adapt_new(&env, &params);
	struct hearer hearer = { .run = run, .adapt = adapt };
	struct state_array arrays[STATE_ARRAYS];
	struct schedule schedule;

	net_serve(net, serve, &hearer);
	schedule_copy(&schedule, &run->plan.schedule);
	assert(ds_adapt_state(adapt, &schedule, arrays) == 1);
	if (run->before)
		memcpy(arrays[0].x, run->before->records[rank], arrays[0].count * sizeof(float));
	steps(run, rank, adapt, &env, &schedule);
	assert(ds_adapt_state(adapt, &schedule, arrays) == 1);
	if (rank == 0)
		run->record_size = arrays[0].count;
	run->records[rank] = xcalloc(arrays[0].count, sizeof(float));
	memcpy(run->records[rank], arrays[0].x, arrays[0].count * sizeof(float));
	net_serve(net, NULL, NULL);
	ds_adapt_free(adapt);
	schedule_release(&schedule);
}

static struct run *run_new(size_t first, size_t end, size_t congested, const struct run *before,
			   const char *transport)
{
	struct run *run = xcalloc(1, sizeof(*run));

	run_begin(run);
	run->first = first;
	run->end = end;
	run->congested = congested;
	run->before = before;
	cluster_run(transport, HOSTS, body, run);
	for (int r = 1; r < HOSTS; r++)
		assert_memory_equal(run->digests[r], run->digests[0], sizeof(run->digests[0]));
	return run;
}

/* Steps with another schedule than the one before. */
static size_t changes(const struct run *run)
{
	size_t count = 0;

	for (size_t step = run->first + 1; step < run->end; step++)
		count += run->digests[0][step] != run->digests[0][step - 1];
	return count;
}

static void links_that_stay_as_they_are_leave_the_groups_alone(void **state)
{
	struct run *run = run_new(0, 300, STEPS, NULL, "inproc");

	(void)state;
	assert_int_equal(changes(run), 0);
	assert_true(run->digests[0][0] == digest_of(&run->plan.schedule));
	for (size_t i = 0; i < run->record_size - run->links.segment_count; i++)
		assert_true(run->records[3][i] == 0);
	run_end(run);
}

static void all_ranks_change_at_the_same_step_when_a_segment_does(void **state)
{
	static const char *const transports_here[] = { "inproc", "tcp" };

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(transports_here); i++) {
		struct run *run = run_new(0, 500, CONGESTED, NULL, transports_here[i]);

		assert_int_equal(changes(run), 1);
		assert_true(run->digests[0][CONGESTED] == run->digests[0][0]);
		assert_true(run->digests[0][499] != run->digests[0][0]);
		run_end(run);
	}
}

static void a_resumed_run_goes_on_with_the_groups_it_had(void **state)
{
	struct run *first = run_new(0, 500, CONGESTED, NULL, "inproc");
	struct run *second = run_new(500, 590, 0, first, "tcp");

	(void)state;
	assert_true(second->digests[0][500] == first->digests[0][499]);
	assert_int_equal(changes(second), 0); /* and takes the links for what they were then */
	run_end(second);
	run_end(first);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(links_that_stay_as_they_are_leave_the_groups_alone),
		cmocka_unit_test(all_ranks_change_at_the_same_step_when_a_segment_does),
		cmocka_unit_test(a_resumed_run_goes_on_with_the_groups_it_had),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
