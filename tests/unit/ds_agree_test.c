/* Ranks change to another schedule at the same step or not at all. */
#include "tests/unit/unit.h"

#include <math.h>

#include "lib/clock.h"
#include "lib/groups.h"
#include "runtime/coll.h"
#include "runtime/sync/ds_agree.h"
#include "tests/unit/cluster.h"

enum { WORLD = 5 };

static const int pairs_order[] = { 4, 2, 0, 1, 3 };

struct rank_here {
	struct group world;
	int ranks[CLUSTER_MAX];
	struct net *net;
	struct ds_agree *agree;
	struct schedule schedule; /* in force */
	pthread_mutex_t lock;	  /* guards all below */
	pthread_cond_t changed;
	int heard; /* messages */
};

static void serve(void *arg, int peer, uint64_t tag, const void *bytes, size_t length)
{
	struct rank_here *here = arg;

	assert(ds_agree_serve(here->agree, peer, tag, bytes, length));
	pthread_mutex_lock(&here->lock);
	here->heard++;
	pthread_cond_broadcast(&here->changed);
	pthread_mutex_unlock(&here->lock);
}

static void wait_to_hear(struct rank_here *here, int messages)
{
	pthread_mutex_lock(&here->lock);
	while (here->heard < messages)
		pthread_cond_wait(&here->changed, &here->lock);
	pthread_mutex_unlock(&here->lock);
}

static void here_begin(struct rank_here *here, struct net *net)
{
	here->net = net;
	here->world = group_world(here->ranks, net_world(net), net_rank(net));
	here->agree = ds_agree_new(net, &here->world);
	here->schedule = schedule_flat(net_world(net), NULL);
	here->heard = 0;
	pthread_mutex_init(&here->lock, NULL);
	pthread_cond_init(&here->changed, NULL);
	net_serve(net, serve, here);
}

static void here_end(struct rank_here *here)
{
	net_serve(here->net, NULL, NULL);
	ds_agree_free(here->agree);
	schedule_release(&here->schedule);
	pthread_cond_destroy(&here->changed);
	pthread_mutex_destroy(&here->lock);
}

static bool same(const struct schedule *a, const struct schedule *b)
{
	if (a->world != b->world || a->phases != b->phases)
		return false;
	for (int p = 0; p < a->phases; p++)
		if (a->phase[p].groups != b->phase[p].groups ||
		    memcmp(a->phase[p].ranks, b->phase[p].ranks, (size_t)a->world * sizeof(int)) !=
			    0 ||
		    memcmp(a->phase[p].sizes, b->phase[p].sizes,
			   (size_t)a->phase[p].groups * sizeof(int)) != 0)
			return false;
	return true;
}

static void must_pass(struct rank_here *here, uint64_t step, bool changes)
{
	struct error err;
	int changed = ds_agree_pass(here->agree, step, &here->schedule, &err);

	cluster_must(changed < 0 ? -1 : 0, &err);
	assert(changed == changes);
}

static void together(struct rank_here *here)
{
	struct error err;

	cluster_must(coll_barrier(here->net, &here->world, &err), &err);
}

/* Until all have agreed. */
static void save_agreed(struct rank_here *here, const struct schedule *now, float *record)
{
	double deadline = clock_now() + 30;

	do {
		assert(clock_now() < deadline);
		ds_agree_save(here->agree, now, record);
	} while (record[1] == 0);
}

/* Ranks are a step apart at most; rank 0 goes on when all have heard. */
static void steps_body(int rank, struct net *net, void *arg)
{
	const int *order = net_world(net) == WORLD ? pairs_order : NULL;
	struct schedule proposed = schedule_rotating(net_world(net), order, 2, 7);
	struct rank_here here;
	float *record;
	struct error err;

	(void)arg;
	here_begin(&here, net);
	record = xcalloc(ds_agree_record_size(here.agree), sizeof(*record));
	for (uint64_t step = 100; step < 140; step++) {
		if (rank == 0 && step == 105) {
			cluster_must(ds_agree_propose(here.agree, &proposed, 120, &err), &err);
			save_agreed(&here, NULL, record);
		}
		must_pass(&here, step, step == 120);
		assert(same(&here.schedule, &proposed) == (step >= 120));
		together(&here);
	}
	assert(!ds_agree_was_refused(here.agree));
	here_end(&here);
	free(record);
	schedule_release(&proposed);
}

static void all_ranks_change_at_the_proposed_step(void **state)
{
	(void)state;
	cluster_run_every(WORLD, 0, steps_body, NULL);
	cluster_run("inproc", 1, steps_body, NULL);
}

/* Proposals so shortly before their step that some ranks hear too late. */
static void hurried_body(int rank, struct net *net, void *arg)
{
	struct schedule proposed = schedule_rotating(net_world(net), pairs_order, 2, 3);
	float changes[200] = { 0 }, sums[200];
	struct rank_here here;
	struct error err;

	(void)arg;
	here_begin(&here, net);
	together(&here); /* all listen */
	for (uint64_t step = 0; step < 200; step++) {
		if (rank == 0 && step % 10 == 0)
			cluster_must(ds_agree_propose(here.agree, &proposed, step + 2, &err), &err);
		changes[step] = (float)ds_agree_pass(here.agree, step, &here.schedule, &err);
		assert(changes[step] >= 0);
		together(&here);
	}
	memcpy(sums, changes, sizeof(sums));
	cluster_must(coll_allreduce(net, &here.world, COLL_AUTO, sums, 200, &err), &err);
	for (size_t i = 0; i < 200; i++)
		assert(sums[i] == changes[i] * (float)net_world(net));
	here_end(&here);
	schedule_release(&proposed);
}

static void all_change_or_none_does_however_late_a_proposal_is(void **state)
{
	(void)state;
	for (int i = 0; i < 5; i++)
		cluster_run_every(WORLD, 0, hurried_body, NULL);
}

/* Nobody waits for anybody but for the verdict: whoever comes to the step first stays there. */
static void verdict_body(int rank, struct net *net, void *arg)
{
	struct schedule proposed = schedule_rotating(net_world(net), NULL, 2, 3);
	struct rank_here here;
	struct error err;

	(void)arg;
	here_begin(&here, net);
	together(&here);
	if (rank == 0)
		cluster_must(ds_agree_propose(here.agree, &proposed, 1000, &err), &err);
	else
		wait_to_hear(&here, 1);
	must_pass(&here, 1000, true); /* whoever comes first waits for all answers */
	together(&here);
	here_end(&here);
	schedule_release(&proposed);
}

static void nobody_passes_the_step_without_a_verdict(void **state)
{
	(void)state;
	for (int i = 0; i < 5; i++)
		cluster_run_every(WORLD, 0, verdict_body, NULL);
}

/* Rank 3 is past the step when it hears; nobody changes. The next proposal is in time. */
static void late_body(int rank, struct net *net, void *arg)
{
	struct schedule proposed = schedule_rotating(net_world(net), NULL, 3, 4);
	struct rank_here here;
	struct error err;

	(void)arg;
	here_begin(&here, net);
	must_pass(&here, rank == 3 ? 50 : 10, false);
	together(&here);
	if (rank == 0)
		cluster_must(ds_agree_propose(here.agree, &proposed, 40, &err), &err);
	if (rank == 0) {
		must_pass(&here, 40, false);
		assert(ds_agree_was_refused(here.agree));
		cluster_must(ds_agree_propose(here.agree, &proposed, 60, &err), &err);
		assert(!ds_agree_was_refused(here.agree));
	} else if (rank != 3) {
		must_pass(&here, 20, false);
	}
	if (rank == 0)
		must_pass(&here, 60, true);
	together(&here); /* verdicts are under way, if not there */
	if (rank != 0)
		must_pass(&here, 60, true);
	assert(same(&here.schedule, &proposed));
	together(&here);
	here_end(&here);
	schedule_release(&proposed);
}

static void a_rank_that_hears_too_late_keeps_all_from_changing(void **state)
{
	(void)state;
	cluster_run_every(WORLD, 0, late_body, NULL);
}

/* Who has heard of a proposal waits for a verdict, which never comes: rank 0 leaves. */
static void leaving_body(int rank, struct net *net, void *arg)
{
	struct schedule proposed = schedule_flat(net_world(net), NULL);
	double begin = clock_now();
	struct rank_here here;
	struct error err;

	(void)arg;
	here_begin(&here, net);
	if (rank == 2)
		net_serve(net, NULL, NULL); /* does not answer */
	together(&here);
	if (rank == 0) {
		cluster_must(ds_agree_propose(here.agree, &proposed, 5, &err), &err);
		wait_to_hear(&here, net_world(net) - 2);
		net_abort(net, "left by test");
		assert(ds_agree_pass(here.agree, 5, &here.schedule, &err) == -1);
		assert(strstr(err.text, "left by test"));
	} else if (rank != 2) {
		wait_to_hear(&here, 1);
		assert(ds_agree_pass(here.agree, 5, &here.schedule, &err) == -1);
		assert(strstr(err.text, "lost rank"));
	}
	assert(clock_now() - begin < 30);
	here_end(&here);
	schedule_release(&proposed);
}

static void a_verdict_that_never_comes_is_an_error(void **state)
{
	(void)state;
	cluster_run_every(WORLD, 0, leaving_body, NULL);
}

static void check_damage(struct rank_here *here, float *record, size_t at, float value)
{
	float right = record[at];
	bool replaced;
	struct error err;

	record[at] = value;
	assert(ds_agree_restore(here->agree, record, &here->schedule, &replaced, &err) == -1);
	assert(strstr(err.text, "the checkpoint's "));
	record[at] = right;
}

static void check_record(struct net *net, float *record, const struct schedule *now,
			 const struct schedule *later)
{
	struct rank_here here;
	bool replaced;
	struct error err;

	here_begin(&here, net);
	check_damage(&here, record, 4, record[5]); /* a rank twice */
	check_damage(&here, record, 4, NAN);
	check_damage(&here, record, 0, 1e9f); /* phases */
	check_damage(&here, record, 1, -3);
	cluster_must(ds_agree_restore(here.agree, record, &here.schedule, &replaced, &err), &err);
	assert(replaced && same(&here.schedule, now));
	must_pass(&here, 123456789011, false);
	must_pass(&here, 123456789012, true);
	assert(same(&here.schedule, later));
	here_end(&here);
}

static void record_body(int rank, struct net *net, void *arg)
{
	struct schedule now = schedule_rotating(net_world(net), pairs_order, 2, 5);
	struct schedule later = schedule_rotating(net_world(net), NULL, 3, 2);
	struct rank_here here;
	float *record;
	bool replaced;
	struct error err;

	(void)arg;
	here_begin(&here, net);
	record = xcalloc(ds_agree_record_size(here.agree), sizeof(*record));
	ds_agree_save(here.agree, NULL, record);
	cluster_must(ds_agree_restore(here.agree, record, &here.schedule, &replaced, &err), &err);
	assert(!replaced);
	together(&here);
	if (rank == 0) {
		cluster_must(ds_agree_propose(here.agree, &later, 123456789012, &err), &err);
		save_agreed(&here, &now, record);
	}
	together(&here);
	here_end(&here);
	if (rank == 0)
		check_record(net, record, &now, &later);
	free(record);
	schedule_release(&now);
	schedule_release(&later);
}

static void a_record_holds_the_groups_in_force_and_those_to_come(void **state)
{
	(void)state;
	cluster_run("inproc", WORLD, record_body, NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(all_ranks_change_at_the_proposed_step),
		cmocka_unit_test(all_change_or_none_does_however_late_a_proposal_is),
		cmocka_unit_test(nobody_passes_the_step_without_a_verdict),
		cmocka_unit_test(a_rank_that_hears_too_late_keeps_all_from_changing),
		cmocka_unit_test(a_verdict_that_never_comes_is_an_error),
		cmocka_unit_test(a_record_holds_the_groups_in_force_and_those_to_come),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
