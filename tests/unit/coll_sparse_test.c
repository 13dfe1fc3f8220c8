/* Sparse allreduce, over every transport: right sums, the same bits everywhere, damage is found. */
#include "tests/unit/unit.h"

#include <math.h>
#include <stdatomic.h>

#include "runtime/coll.h"
#include "runtime/coll_cost.h"
#include "runtime/coll_flow.h"
#include "runtime/coll_sparse.h"
#include "runtime/rng.h"
#include "runtime/sparse_vector.h"
#include "tests/unit/cluster.h"

static const int worlds[] = { 1, 2, 3, 4, 5, 7, 8 };

enum { SPACE = 2003, KINDS = 8 };

static float real(int rank, size_t i)
{
	uint32_t mixed = ((uint32_t)i * 16 + (uint32_t)rank) * UINT32_C(2654435761);

	return (float)(mixed >> 8) * 0x1p-24f - 0.5f;
}

/* Which coordinates a rank has, and their values, for supports of every kind. */
static bool has(int kind, int rank, size_t i)
{
	struct rng rng = rng_make(4, RNG_DATA, (uint64_t)rank, (uint64_t)kind);

	switch (kind) {
	case 0: return rng_uniform(&rng, i) < 0.01;
	case 1: return rng_uniform(&rng, i) < 0.4;	    /* of many the sum is dense */
	case 2: return i % 50 == 7;			    /* all the same */
	case 3: return i % 24 == (size_t)rank;		    /* none the same */
	case 4: return rank % 2 == 0 && i % 11 == 5;	    /* some have nothing */
	case 5: return false;				    /* nobody has */
	case 6: return rank == 1 || i % 90 == 0;	    /* one is dense */
	default: return i == 0 || i == SPACE - 1 || i < 40; /* all on one side */
	}
}

static float value_of(int kind, int rank, size_t i)
{
	return kind == 2 ? (rank % 2 ? -1 : 1) * real(0, i) : real(rank, i);
}

static void fill(struct sparse_vector *vector, int kind, int rank)
{
	sparse_vector_reserve(vector, SPACE);
	vector->space = SPACE;
	vector->count = 0;
	for (size_t i = 0; i < SPACE; i++) {
		if (!has(kind, rank, i))
			continue;
		vector->indices[vector->count] = (uint32_t)i;
		vector->values[vector->count++] = value_of(kind, rank, i);
	}
}

/* As the header says. False: nobody has it. */
static bool wanted(const struct group *group, int kind, size_t i, float *sum)
{
	float values[CLUSTER_MAX];
	bool in[CLUSTER_MAX];
	int n = group->count, power = 1;

	while (power <= n / 2)
		power *= 2;
	for (int k = 0; k < n; k++) {
		in[k] = has(kind, group->ranks[k], i);
		values[k] = in[k] ? value_of(kind, group->ranks[k], i) : 0;
	}
	for (int from = power; from < n; from++) {
		values[from - power] += values[from];
		in[from - power] |= in[from];
	}
	for (int bit = 1; bit < power; bit *= 2)
		for (int k = 0; k < power; k += 2 * bit) {
			values[k] += values[k + bit];
			in[k] |= in[k + bit];
		}
	*sum = values[0];
	return in[0];
}

/* All that anybody has is there; what nobody has is 0 if dense parts hold it nevertheless. */
static void check_vector(const struct sparse_vector *vector, const struct group *group, int kind)
{
	bool dense = sparse_vector_is_dense(vector);
	size_t k = 0;

	for (size_t i = 0; i < SPACE; i++) {
		bool there = dense || (k < vector->count && vector->indices[k] == i);
		float sum;

		if (wanted(group, kind, i, &sum))
			assert(there && vector->values[k] == sum);
		else
			assert(!there ||
			       (vector->values[k] == 0 && (kind == 1 || kind == 6 || kind == 7)));
		k += there;
	}
	assert(k == vector->count);
}

static uint64_t digest_of(const struct sparse_vector *vector)
{
	float *x = xcalloc(SPACE, sizeof(*x));
	uint64_t digest = 14695981039346656037u;

	sparse_vector_add_to(vector, x);
	for (size_t i = 0; i < SPACE; i++) {
		uint32_t bits;

		memcpy(&bits, &x[i], sizeof(bits));
		digest = (digest ^ bits) * 1099511628211u;
	}
	free(x);
	return digest;
}

/* Whoever comes first, of all ranks, algorithms and transports, says what a kind must give. */
struct ledger {
	_Atomic uint64_t digests[KINDS];
};

static void check_kinds(struct net *net, const struct group *group, struct ledger *ledger)
{
	struct coll_sparse *sparse = coll_sparse_new();
	struct sparse_vector vector = { 0 };
	struct error err;

	for (int kind = 0; kind < KINDS; kind++) {
		for (int algorithm = 0; coll_sparse_names[algorithm]; algorithm++) {
			uint64_t digest, none = 0;

			fill(&vector, kind, net_rank(net));
			cluster_must(
				coll_sparse_allreduce(sparse, net, group, algorithm, &vector, &err),
				&err);
			check_vector(&vector, group, kind);
			digest = digest_of(&vector);
			if (!atomic_compare_exchange_strong(&ledger->digests[kind], &none, digest))
				assert(none == digest);
		}
	}
	sparse_vector_release(&vector);
	coll_sparse_free(sparse);
}

static void world_body(int rank, struct net *net, void *arg)
{
	int ranks[CLUSTER_MAX];
	struct group world = group_world(ranks, net_world(net), rank);

	check_kinds(net, &world, arg);
}

static void every_algorithm_gives_the_same_bits_on_all_ranks(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(worlds); i++) {
		struct ledger ledger = { 0 };

		cluster_run("inproc", worlds[i], world_body, &ledger);
		if (worlds[i] == 3 || worlds[i] == 4)
			cluster_run_every(worlds[i], 0, world_body, &ledger);
	}
}

struct subset {
	const int *ranks;
	int count;
	struct ledger *ledger;
};

/* Two groups that share no rank, at the same time. */
static void subsets_body(int rank, struct net *net, void *arg)
{
	const struct subset *subsets = arg;

	for (uint16_t i = 0; i < 2; i++) {
		struct group group = { subsets[i].ranks, subsets[i].count, -1, i + 1 };

		for (int k = 0; k < group.count; k++)
			if (group.ranks[k] == rank)
				group.index = k;
		if (group.index >= 0)
			check_kinds(net, &group, subsets[i].ledger);
	}
}

static void a_group_is_any_ranks_in_any_order(void **state)
{
	static const int odd[] = { 6, 1, 4, 3, 7 }, rest[] = { 5, 0, 2 };
	struct ledger ledgers[2] = { 0 };
	struct subset subsets[] = { { odd, 5, &ledgers[0] }, { rest, 3, &ledgers[1] } };

	(void)state;
	cluster_run("inproc", 8, subsets_body, subsets);
	cluster_run("tcp", 8, subsets_body, subsets);
}

static void far_body(int rank, struct net *net, void *arg)
{
	struct coll_sparse *sparse = coll_sparse_new();
	struct sparse_vector vector = { .space = UINT32_MAX };
	int ranks[CLUSTER_MAX];
	struct group world = group_world(ranks, net_world(net), rank);
	struct error err;

	(void)arg;
	for (int algorithm = 0; coll_sparse_names[algorithm]; algorithm++) {
		sparse_vector_reserve(&vector, 2);
		vector.count = 2;
		vector.indices[0] = (uint32_t)rank * 1000000007;
		vector.indices[1] = UINT32_MAX - 1;
		vector.values[0] = vector.values[1] = (float)rank;
		cluster_must(coll_sparse_allreduce(sparse, net, &world, algorithm, &vector, &err),
			     &err);
		assert(vector.count == 4 && vector.values[3] == 0 + 1 + 2);
		for (uint32_t i = 0; i < 3; i++)
			assert(vector.indices[i] == i * 1000000007 && vector.values[i] == (float)i);
		assert(vector.indices[3] == UINT32_MAX - 1);
	}
	sparse_vector_release(&vector);
	coll_sparse_free(sparse);
}

static void indices_go_up_to_the_largest_space(void **state)
{
	(void)state;
	cluster_run_every(3, 0, far_body, NULL);
}

/* Exactly `count` pairs, anywhere. */
struct even {
	size_t space, count;
	int algorithm;
	_Atomic uint64_t sent;
};

static void draw(struct sparse_vector *vector, const struct even *even, int rank)
{
	struct rng rng = rng_make(6, RNG_DATA, (uint64_t)rank, even->count);
	size_t left = even->count;

	vector->space = even->space;
	sparse_vector_reserve(vector, even->count);
	for (size_t i = 0; i < even->space && left > 0; i++) {
		if (rng_below(&rng, i, even->space - i) >= left)
			continue;
		vector->indices[vector->count] = (uint32_t)i;
		vector->values[vector->count++] = real(rank, i);
		left--;
	}
}

static void even_body(int rank, struct net *net, void *arg)
{
	struct coll_sparse *sparse = coll_sparse_new();
	struct sparse_vector vector = { 0 };
	struct even *even = arg;
	int ranks[CLUSTER_MAX];
	struct group world = group_world(ranks, net_world(net), rank);
	struct error err;

	draw(&vector, even, rank);
	cluster_must(coll_sparse_allreduce(sparse, net, &world, even->algorithm, &vector, &err),
		     &err);
	atomic_fetch_add(&even->sent, net_bytes(net).payload_sent);
	sparse_vector_release(&vector);
	coll_sparse_free(sparse);
}

static void check_bytes(int n, size_t space, size_t count, int algorithm)
{
	struct even even = { .space = space, .count = count, .algorithm = algorithm };
	struct coll_sparse_cost cost =
		coll_sparse_cost(&coll_cost_default, n, algorithm, space, (double)count);

	cluster_run("inproc", n, even_body, &even);
	assert_int_equal(cost.algorithm, algorithm);
	assert_true(fabs((double)even.sent - cost.bytes) < 0.06 * cost.bytes + 20 * n);
}

static void as_many_bytes_are_sent_as_predicted(void **state)
{
	static const size_t counts[] = { 0, 30, 300, 3000, 15000, 30000 };

	(void)state;
	for (size_t c = 0; c < ARRAY_SIZE(counts); c++)
		for (int n = 2; n <= 8; n += n < 5 ? 1 : 3)
			for (int algorithm = 1; coll_sparse_names[algorithm]; algorithm++)
				check_bytes(n, 30000, counts[c], algorithm);
}

/* Once nearly all is there, neither costs more than vectors without indices. */
static void what_is_dense_costs_no_indices(void **state)
{
	const struct coll_cost *cost = &coll_cost_default;
	double dense = 4.0 * 30000;
	struct coll_sparse_cost split, doubling;

	(void)state;
	split = coll_sparse_cost(cost, 4, COLL_SPARSE_SPLIT_ALLGATHER, 30000, 30000);
	doubling = coll_sparse_cost(cost, 4, COLL_SPARSE_RECURSIVE_DOUBLING, 30000, 30000);
	assert_true(split.bytes == 4 * 3 * 2 * (dense / 4 + 8));
	assert_true(doubling.bytes == 4 * 2 * (dense + 8));
}

static void fill_is_what_chance_makes_it(void **state)
{
	struct sparse_vector sum = { .space = 2000 }, next = { 0 };
	struct even even = { .space = 2000, .count = 40 };

	(void)state;
	for (int rank = 0; rank < 16; rank++) {
		struct sparse_vector one = { 0 };

		draw(&one, &even, rank);
		sparse_vector_sum(&next, &sum, &one);
		sparse_vector_release(&sum);
		sparse_vector_release(&one);
		sum = next;
		next = (struct sparse_vector){ 0 };
	}
	assert_true(fabs((double)sum.count - coll_sparse_fill(2000, 40, 16)) < 40);
	assert_true(fabs(coll_sparse_fill(2000, 40, 16) - 2000 * (1 - pow(0.98, 16))) < 1e-9);
	assert_true(coll_sparse_fill(2000, 2000, 3) == 2000);
	assert_true(coll_sparse_fill(2000, 0, 3) == 0);
	sparse_vector_release(&sum);
}

static enum coll_sparse_algorithm best(const struct coll_cost *cost, int n, double count)
{
	return coll_sparse_cost(cost, n, COLL_SPARSE_AUTO, 1 << 20, count).algorithm;
}

/* As long as sums stay sparse doubling sends no more; once they fill up it sends them again and
 * again. */
/* Too long for one message. */
static void long_vectors_come_in_two_messages(void **state)
{
	(void)state;
	for (int algorithm = 1; coll_sparse_names[algorithm]; algorithm++) {
		check_bytes(2, 200000, 100000, algorithm);
		check_bytes(3, 200000, 60000, algorithm);
	}
}

static void few_pairs_are_doubled_and_many_are_split(void **state)
{
	static const struct coll_cost slow = { .alpha_s = 1e-3,
					       .beta_s = 80e-9,
					       .message_s = 5e-4 };

	(void)state;
	assert_int_equal(best(&slow, 2, 300000), COLL_SPARSE_RECURSIVE_DOUBLING);
	for (int n = 8; n <= 64; n *= 2) {
		bool split = false;

		assert_int_equal(best(&slow, n, 1), COLL_SPARSE_RECURSIVE_DOUBLING);
		assert_int_equal(best(&slow, n, 300000), COLL_SPARSE_SPLIT_ALLGATHER);
		for (double count = 1; count < 500000; count *= 2) {
			bool now = best(&slow, n, count) == COLL_SPARSE_SPLIT_ALLGATHER;

			assert_true(now >= split);
			split = now;
		}
	}
}

static void latency_makes_it_two_steps_instead_of_many(void **state)
{
	static const struct coll_cost far = { .alpha_s = 50e-3, .beta_s = 1e-9, .message_s = 1e-5 };

	(void)state;
	assert_int_equal(best(&far, 4, 100), COLL_SPARSE_RECURSIVE_DOUBLING);
	assert_int_equal(best(&far, 32, 100), COLL_SPARSE_SPLIT_ALLGATHER);
}

static void the_best_is_no_slower_than_either(void **state)
{
	(void)state;
	for (int n = 1; n < 20; n++) {
		for (double count = 0; count < 1e5; count = 3 * count + 1) {
			double seconds[3];

			for (int a = 0; a < 3; a++)
				seconds[a] =
					coll_sparse_cost(&coll_cost_default, n, a, 100000, count)
						.seconds;
			assert_true(seconds[0] == fmin(seconds[1], seconds[2]));
			assert_true(n == 1 || seconds[0] > 0);
		}
	}
}

/* What rank 1 says to rank 0 instead of taking part. */
struct lie {
	unsigned char bytes[64];
	size_t length;
	const char *complaint;
};

static void liar_body(int rank, struct net *net, void *arg)
{
	const uint64_t tag = COLL_PAIRS;
	const struct lie *lie = arg;
	int ranks[2];
	struct group world = group_world(ranks, 2, rank);
	struct sparse_vector vector = { .space = 100 };
	struct coll_sparse *sparse = coll_sparse_new();
	struct net_request request;
	struct error err = { "" };

	if (rank == 1) {
		net_post_send(net, 0, tag, lie->bytes, lie->length, &request);
		net_wait(net, &request, &err);
		net_post_recv(net, 0, tag + 1, NULL, 0, &request); /* until rank 0 has left */
		net_wait(net, &request, &err);
	} else {
		assert(coll_sparse_allreduce(sparse, net, &world, COLL_SPARSE_RECURSIVE_DOUBLING,
					     &vector, &err) < 0);
		assert(strstr(err.text, "rank 1"));
		assert(strstr(err.text, lie->complaint));
	}
	coll_sparse_free(sparse);
	sparse_vector_release(&vector);
}

static void damaged_messages_name_the_peer(void **state)
{
	static struct lie lies[] = {
		{ { 1, 0, 0, 0 }, 4, "4 bytes instead of pairs" },
		{ { 101, 0, 0, 0, 0 }, 8, "101 pairs of 100" },
		{ { 255, 255, 255, 255, 255, 255, 255, 255 }, 8, "pairs of 100" },
		{ { 1, 0, 0, 0, 200 }, 8, "200 bytes of indices" },
		{ { 2, 0, 0, 0, 1 }, 17, "damaged indices" },
		{ { 1, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0x81 }, 13, "more than its 1" },
		{ { 1, 0, 0, 0, 1 }, 12, "12 bytes of pairs instead of 13" },
		{ { 1, 0, 0, 0, 1 }, 14, "14 bytes of pairs instead of 13" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(lies); i++)
		cluster_run_every(2, 0, liar_body, &lies[i]);
}

static void spoiled_body(int rank, struct net *net, void *arg)
{
	int ranks[CLUSTER_MAX];
	struct group world = group_world(ranks, net_world(net), rank);
	struct coll_sparse *sparse = coll_sparse_new();
	struct sparse_vector vector = { 0 };
	struct error err = { "" };
	int status = 0;

	if (rank == 2)
		net_inject(net, (struct net_fault){ .fail_after = 7 });
	for (int round = 0; status == 0; round++) {
		fill(&vector, round % KINDS, rank);
		status = coll_sparse_allreduce(sparse, net, &world, *(int *)arg, &vector, &err);
	}
	assert(rank != 2 || strstr(err.text, "injected fault"));
	assert(err.text[0]);
	sparse_vector_release(&vector);
	coll_sparse_free(sparse);
}

static void a_failed_message_fails_all_ranks(void **state)
{
	(void)state;
	for (int algorithm = 0; coll_sparse_names[algorithm]; algorithm++)
		cluster_run_every(5, 60, spoiled_body, &algorithm);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_algorithm_gives_the_same_bits_on_all_ranks),
		cmocka_unit_test(a_group_is_any_ranks_in_any_order),
		cmocka_unit_test(indices_go_up_to_the_largest_space),
		cmocka_unit_test(as_many_bytes_are_sent_as_predicted),
		cmocka_unit_test(long_vectors_come_in_two_messages),
		cmocka_unit_test(what_is_dense_costs_no_indices),
		cmocka_unit_test(fill_is_what_chance_makes_it),
		cmocka_unit_test(few_pairs_are_doubled_and_many_are_split),
		cmocka_unit_test(latency_makes_it_two_steps_instead_of_many),
		cmocka_unit_test(the_best_is_no_slower_than_either),
		cmocka_unit_test(damaged_messages_name_the_peer),
		cmocka_unit_test(a_failed_message_fails_all_ranks),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
