/* Collectives, over every transport: right sums, the same bits everywhere, errors instead of hangs.
 */
#include "tests/unit/unit.h"

#include <math.h>
#include <stdatomic.h>

#include "lib/clock.h"
#include "runtime/coll.h"
#include "runtime/coll_cost.h"
#include "runtime/coll_flow.h"
#include "runtime/slice.h"
#include "tests/unit/cluster.h"

/* Under sanitizers the first of these worlds, and every other way to be spoilt. */
static const int worlds[] = { 5, 4, 2, 8, 1, 3, 7 };
enum { WORLDS = SPACING > 1 ? 2 : ARRAY_SIZE(worlds), STRIDE = SPACING > 1 ? 2 : 1 };

/* Floats: of several segments on two ranks, and more of them than are sent ahead. */
enum { LARGE = SPACING > 1 ? 5003 : 100003, LARGEST = SPACING > 1 ? 140001 : 700001 };

/* Whoever comes first, of all ranks, runs and transports, says what a case must give. */
struct ledger {
	_Atomic uint64_t digests[1024];
};

static void must_agree(struct ledger *ledger, size_t number, const float *x, size_t count)
{
	uint64_t digest = 14695981039346656037u, none = 0;

	for (size_t i = 0; i < count; i++) {
		uint32_t bits;

		memcpy(&bits, &x[i], sizeof(bits));
		digest = (digest ^ bits) * 1099511628211u;
	}
	assert(number < ARRAY_SIZE(ledger->digests));
	if (!atomic_compare_exchange_strong(&ledger->digests[number], &none, digest))
		assert(none == digest);
}

/* Small whole numbers, so that every order of additions gives the exact sum. */
static float whole(int rank, size_t i)
{
	return (float)((i * 7 + (size_t)rank * 13) % 101) - 50;
}

static float real(int rank, size_t i)
{
	uint32_t mixed = ((uint32_t)i * 16 + (uint32_t)rank) * UINT32_C(2654435761);

	return (float)(mixed >> 8) * 0x1p-24f - 0.5f;
}

typedef float element(int rank, size_t i);

static void fill(float *x, element *of, int rank, size_t count)
{
	for (size_t i = 0; i < count; i++)
		x[i] = of(rank, i);
}

static float *filled(element *of, int rank, size_t count)
{
	float *x = xmalloc(count * sizeof(*x));

	fill(x, of, rank, count);
	return x;
}

/* Exact, since they stay below 2^24. */
static float *whole_sums(const struct group *group, size_t count)
{
	float *sum = xcalloc(count, sizeof(*sum));

	for (int k = 0; k < group->count; k++)
		for (size_t i = 0; i < count; i++)
			sum[i] += whole(group->ranks[k], i);
	return sum;
}

static bool same_bits(const float *x, const float *y, size_t count)
{
	return memcmp(x, y, count * sizeof(*x)) == 0;
}

static void check_near(const struct group *group, const float *x, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		double sum = 0;

		for (int k = 0; k < group->count; k++)
			sum += real(group->ranks[k], i);
		assert(fabs(x[i] - sum) < 1e-5);
	}
}

static void check_allreduce(struct net *net, const struct group *group, size_t count,
			    struct ledger *ledger, size_t *number)
{
	float *wanted = whole_sums(group, count), *x = xmalloc(count * sizeof(*x));
	struct error err;

	for (int algorithm = 0; coll_algorithm_names[algorithm]; algorithm++) {
		fill(x, whole, net_rank(net), count);
		cluster_must(coll_allreduce(net, group, algorithm, x, count, &err), &err);
		assert(same_bits(x, wanted, count));
		fill(x, real, net_rank(net), count);
		cluster_must(coll_allreduce(net, group, algorithm, x, count, &err), &err);
		must_agree(ledger, (*number)++, x, count);
		if (group->index == 0)
			check_near(group, x, count);
	}
	free(wanted);
	free(x);
}

static void check_halves(struct net *net, const struct group *group, size_t count)
{
	size_t length, start = slice_start(count, group->count, group->index, &length);
	float *x = filled(whole, net_rank(net), count);
	float *wanted = whole_sums(group, count);
	struct error err;

	cluster_must(coll_reduce_scatter(net, group, x, count, &err), &err);
	assert(same_bits(x + start, wanted + start, length));
	memset(x, 0xff, start * sizeof(*x));
	memset(x + start + length, 0xff, (count - start - length) * sizeof(*x));
	cluster_must(coll_allgather(net, group, x, count, &err), &err);
	assert(same_bits(x, wanted, count));
	free(wanted);
	free(x);
}

static size_t length_of(int rank, size_t count)
{
	return count / 2 * (size_t)(rank * 5 % 3);
}

static void check_bytes(struct net *net, const struct group *group, size_t count)
{
	int rank = net_rank(net);
	size_t length = length_of(rank, count), starts[CLUSTER_MAX], lengths[CLUSTER_MAX], end = 0;
	unsigned char *mine = xmalloc(length), *all = NULL;
	struct error err;

	memset(mine, rank + 1, length);
	cluster_must(coll_allgather_bytes(net, group, mine, length, &all, starts, lengths, &err),
		     &err);
	for (int k = 0; k < group->count; k++) {
		assert(starts[k] == end && lengths[k] == length_of(group->ranks[k], count));
		end += lengths[k];
		for (size_t i = starts[k]; i < end; i += 1 + lengths[k] / 50)
			assert(all[i] == group->ranks[k] + 1);
	}
	free(mine);
	free(all);
}

static void check_broadcast(struct net *net, const struct group *group, size_t count)
{
	float *x = xmalloc(count * sizeof(*x)), *wanted = xmalloc(count * sizeof(*x));
	struct error err;

	for (int root = 0; root<group->count; root += count> 1000 ? 3 : 1) {
		fill(x, whole, net_rank(net), count);
		fill(wanted, whole, group->ranks[root], count);
		cluster_must(coll_broadcast(net, group, root, x, count * sizeof(float), &err),
			     &err);
		assert(same_bits(x, wanted, count));
	}
	free(wanted);
	free(x);
}

static void check_all(struct net *net, const struct group *group, size_t count,
		      struct ledger *ledger, size_t *number)
{
	check_allreduce(net, group, count, ledger, number);
	check_halves(net, group, count);
	check_bytes(net, group, count);
	check_broadcast(net, group, count);
}

static void sizes_body(int rank, struct net *net, void *arg)
{
	size_t n = (size_t)net_world(net), number = 0;
	size_t counts[] = { 0, 1, n - 1, 1000, LARGE, n == 2 ? LARGEST : 2 };
	struct ledger *ledger = arg;
	int ranks[CLUSTER_MAX];
	struct group world = group_world(ranks, net_world(net), rank);

	for (size_t i = 0; i < ARRAY_SIZE(counts); i++)
		check_all(net, &world, counts[i], ledger, &number);
}

static void every_collective_gives_exact_sums_and_the_same_bits_on_all_ranks(void **state)
{
	(void)state;
	for (size_t i = 0; i < WORLDS; i++) {
		struct ledger ledger = { 0 };

		cluster_run_every(worlds[i], 0, sizes_body, &ledger);
		if (worlds[i] == 5 && SPACING == 1)
			cluster_run_every(worlds[i], 0, sizes_body, &ledger);
	}
}

static void slices_cover_the_vector_once(void **state)
{
	(void)state;
	for (size_t count = 0; count < 40; count++) {
		for (int n = 1; n <= 9; n++) {
			size_t end = 0, length, shortest = SIZE_MAX, longest = 0;

			for (int i = 0; i < n; i++) {
				assert_int_equal(slice_start(count, n, i, &length), end);
				end += length;
				shortest = length < shortest ? length : shortest;
				longest = length > longest ? length : longest;
			}
			assert_int_equal(end, count);
			assert_true(longest - shortest <= 1);
		}
	}
}

struct subset {
	const int *ranks;
	int count;
	struct ledger *ledger;
};

static struct group subset_group(const struct subset *subset, int rank, uint16_t id)
{
	struct group group = { subset->ranks, subset->count, -1, id };

	for (int i = 0; i < subset->count; i++)
		if (subset->ranks[i] == rank)
			group.index = i;
	return group;
}

/* Two groups that share no rank, at the same time. */
static void subsets_body(int rank, struct net *net, void *arg)
{
	const struct subset *subsets = arg;

	for (uint16_t i = 0; i < 2; i++) {
		struct group group = subset_group(&subsets[i], rank, i + 1);
		size_t number = 0;

		if (group.index >= 0)
			check_all(net, &group, 5003, subsets[i].ledger, &number);
	}
}

static void a_group_is_any_ranks_in_any_order(void **state)
{
	static const int odd[] = { 6, 1, 4, 3, 7 }, rest[] = { 5, 0, 2 };
	struct ledger ledgers[2] = { 0 };
	struct subset subsets[] = { { odd, 5, &ledgers[0] }, { rest, 3, &ledgers[1] } };

	(void)state;
	cluster_run_every(8, 0, subsets_body, subsets);
}

struct pair_thread {
	struct net *net;
	struct subset subset;
	uint16_t id;
};

static void *pair_run(void *arg)
{
	struct pair_thread *self = arg;
	struct group group = subset_group(&self->subset, net_rank(self->net), self->id);

	for (size_t round = 0; round < 5; round++) {
		size_t number = 0;

		check_all(self->net, &group, 1000 + 100 * self->id, self->subset.ledger, &number);
	}
	return NULL;
}

static void pair_body(int rank, struct net *net, void *arg)
{
	const struct subset *subsets = arg;
	struct pair_thread threads[] = { { net, subsets[0], 1 }, { net, subsets[1], 2 } };
	pthread_t other;

	(void)rank;
	assert(pthread_create(&other, NULL, pair_run, &threads[0]) == 0);
	pair_run(&threads[1]);
	pthread_join(other, NULL);
}

static void two_groups_of_two_threads_do_not_mix(void **state)
{
	static const int upward[] = { 0, 1, 2, 3 }, other[] = { 2, 0, 3, 1 };
	struct ledger ledgers[2] = { 0 };
	struct subset subsets[] = { { upward, 4, &ledgers[0] }, { other, 4, &ledgers[1] } };

	(void)state;
	cluster_run_every(4, 0, pair_body, subsets);
}

static void barrier_body(int rank, struct net *net, void *arg)
{
	atomic_int *arrived = arg;
	int ranks[CLUSTER_MAX];
	struct group world = group_world(ranks, net_world(net), rank);
	struct error err;

	for (int round = 1; round <= 20; round++) {
		atomic_fetch_add(&arrived[round], 1);
		cluster_must(coll_barrier(net, &world, &err), &err);
		assert(atomic_load(&arrived[round]) % net_world(net) == 0);
	}
}

static void nobody_leaves_a_barrier_before_all_have_come(void **state)
{
	(void)state;
	for (size_t i = 0; i < WORLDS; i++) {
		atomic_int arrived[21] = { 0 };

		cluster_run_every(worlds[i], 0, barrier_body, arrived);
	}
}

/* How one rank spoils a collective for all. */
struct trouble {
	enum { LEAVES, IS_SILENT, IS_ABORTED, SENDS_FAIL } kind;
	int rank;
	pthread_barrier_t end;
};

typedef int attempt(struct net *net, const struct group *group, struct error *err);

static int try_allreduce(struct net *net, const struct group *group, int algorithm, size_t count,
			 struct error *err)
{
	float *x = filled(whole, net_rank(net), count);
	int status = coll_allreduce(net, group, algorithm, x, count, err);

	free(x);
	return status;
}

/* A transfer of many latencies, in a group whose members have others, too. */
static void early_body(int rank, struct net *net, void *arg)
{
	static const struct coll_cost cost = { .alpha_s = 1e-6, .beta_s = 1e-9 };
	static const int ranks[] = { 0, 1 };
	struct group pair = { .ranks = ranks, .count = 2, .index = rank, .id = 3, .cost = &cost };
	const uint64_t tag = (uint64_t)pair.id << 8 | COLL_BARRIER;
	struct net_request request;
	struct error err;

	if (rank == 0) {
		assert(try_allreduce(net, &pair, *(int *)arg, 100000, &err) < 0);
	} else if (rank == 1) {
		net_post_recv(net, 0, tag, NULL, 0, &request);
		cluster_must(net_wait(net, &request, &err), &err);
		assert(net_bytes(net).payload_received == 0);
		net_abort(net, "seen enough");
	}
}

static void nobody_sends_much_to_a_rank_that_is_elsewhere(void **state)
{
	int algorithms[] = { COLL_RING, COLL_HALVING_DOUBLING, COLL_DIRECT, COLL_FLAT };

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(algorithms); i++)
		cluster_run("tcp", 3, early_body, &algorithms[i]);
}

static int try_ring(struct net *net, const struct group *group, struct error *err)
{
	return try_allreduce(net, group, COLL_RING, 300000, err);
}

static int try_halving(struct net *net, const struct group *group, struct error *err)
{
	return try_allreduce(net, group, COLL_HALVING_DOUBLING, 1000, err);
}

static int try_tree(struct net *net, const struct group *group, struct error *err)
{
	return try_allreduce(net, group, COLL_TREE, 40000, err);
}

static int try_bytes(struct net *net, const struct group *group, struct error *err)
{
	size_t starts[CLUSTER_MAX], lengths[CLUSTER_MAX];
	unsigned char mine[1000] = { 0 }, *all = NULL;
	int status =
		coll_allgather_bytes(net, group, mine, sizeof(mine), &all, starts, lengths, err);

	free(all);
	return status;
}

static attempt *const attempts[] = { try_ring, try_halving, try_tree, try_bytes, coll_barrier };

struct spoiled {
	struct trouble trouble;
	attempt *attempt;
};

static void spoiled_body(int rank, struct net *net, void *arg)
{
	struct spoiled *spoiled = arg;
	struct trouble *trouble = &spoiled->trouble;
	double begin = clock_now();
	int ranks[CLUSTER_MAX], rounds = 0;
	struct group world = group_world(ranks, net_world(net), rank);
	struct error err = { "" };

	if (rank == trouble->rank && trouble->kind == SENDS_FAIL)
		net_inject(net, (struct net_fault){ .fail_after = 4 });
	while (!(rank == trouble->rank && rounds == 2 && trouble->kind != SENDS_FAIL) &&
	       spoiled->attempt(net, &world, &err) == 0)
		rounds++;
	if (rank == trouble->rank && trouble->kind == IS_ABORTED) {
		net_abort(net, "stopped by test");
		assert(spoiled->attempt(net, &world, &err) < 0);
		assert(strstr(err.text, "stopped by test"));
	}
	if (rank == trouble->rank && trouble->kind == SENDS_FAIL)
		assert(strstr(err.text, "injected fault"));
	if (rank != trouble->rank)
		assert(err.text[0]);
	assert(clock_now() - begin < 30);
	if (trouble->kind == IS_SILENT)
		pthread_barrier_wait(&trouble->end);
}

enum { SPOILED_WORLD = 5 };

static struct spoiled spoiled_by(int kind, attempt *what)
{
	struct spoiled spoiled = { { .kind = kind, .rank = 2 }, what };

	pthread_barrier_init(&spoiled.trouble.end, NULL, SPOILED_WORLD);
	return spoiled;
}

static void spoil_every(int kind)
{
	for (size_t i = 0; i < ARRAY_SIZE(attempts); i += STRIDE) {
		struct spoiled spoiled = spoiled_by(kind, attempts[i]);

		cluster_run_every(SPOILED_WORLD, 60, spoiled_body, &spoiled);
		pthread_barrier_destroy(&spoiled.trouble.end);
	}
}

static void a_rank_that_leaves_fails_the_others_at_once(void **state)
{
	(void)state;
	spoil_every(LEAVES);
}

/* Connecting is subject to the same timeout: over tcp a longer one, and one try. */
static void a_silent_rank_fails_the_others_after_the_timeout(void **state)
{
	struct spoiled spoiled = spoiled_by(IS_SILENT, try_ring);
	struct cluster tcp = { "tcp", SPOILED_WORLD, 4 };

	(void)state;
	cluster_go(&tcp, spoiled_body, &spoiled);
	for (size_t i = 0; i < ARRAY_SIZE(attempts); i++) {
		struct cluster inproc = { "inproc", SPOILED_WORLD, 0.8 };

		spoiled.attempt = attempts[i];
		cluster_go(&inproc, spoiled_body, &spoiled);
	}
	pthread_barrier_destroy(&spoiled.trouble.end);
}

static void an_abort_fails_all_ranks(void **state)
{
	(void)state;
	spoil_every(IS_ABORTED);
}

static void a_failed_message_fails_all_ranks(void **state)
{
	(void)state;
	spoil_every(SENDS_FAIL);
}

struct waiter {
	struct net *net;
	struct error err;
	int status;
};

static void *wait_for_nobody(void *arg)
{
	struct waiter *waiter = arg;
	int ranks[CLUSTER_MAX];
	struct group world = group_world(ranks, net_world(waiter->net), net_rank(waiter->net));

	waiter->status = try_ring(waiter->net, &world, &waiter->err);
	return NULL;
}

/* Rank 0 takes no part, so the others cannot get further before they are aborted. */
static void blocked_body(int rank, struct net *net, void *arg)
{
	struct waiter waiter = { .net = net };
	pthread_barrier_t *end = arg;
	double begin = clock_now();
	pthread_t thread;

	if (rank != 0) {
		assert(pthread_create(&thread, NULL, wait_for_nobody, &waiter) == 0);
		net_abort(net, "stopped by test");
		pthread_join(thread, NULL);
		assert(waiter.status < 0 && strstr(waiter.err.text, "stopped by test"));
		assert(clock_now() - begin < 30);
	}
	pthread_barrier_wait(end);
}

static void an_abort_ends_a_collective_that_waits(void **state)
{
	pthread_barrier_t end;

	(void)state;
	pthread_barrier_init(&end, NULL, 4);
	for (int i = 0; i < 10; i++)
		cluster_run_every(4, 60, blocked_body, &end);
	pthread_barrier_destroy(&end);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(slices_cover_the_vector_once),
		cmocka_unit_test(every_collective_gives_exact_sums_and_the_same_bits_on_all_ranks),
		cmocka_unit_test(a_group_is_any_ranks_in_any_order),
		cmocka_unit_test(two_groups_of_two_threads_do_not_mix),
		cmocka_unit_test(nobody_leaves_a_barrier_before_all_have_come),
		cmocka_unit_test(nobody_sends_much_to_a_rank_that_is_elsewhere),
		cmocka_unit_test(a_rank_that_leaves_fails_the_others_at_once),
		cmocka_unit_test(a_silent_rank_fails_the_others_after_the_timeout),
		cmocka_unit_test(an_abort_fails_all_ranks),
		cmocka_unit_test(a_failed_message_fails_all_ranks),
		cmocka_unit_test(an_abort_ends_a_collective_that_waits),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
