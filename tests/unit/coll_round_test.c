/* Rounds of messages of unknown lengths, each way, on every transport. */
#include "tests/unit/unit.h"

#include "runtime/coll.h"
#include "runtime/coll_round.h"
#include "tests/unit/cluster.h"

enum { MOST = 3000, ROUNDS = 6, DEPTH = 2 };

/* The most of member i's messages in a round; of some rounds and members: no message. */
static size_t most_of(size_t number, int i)
{
	return (number + (size_t)i) % 4 == 3 ? 0 : MOST - (size_t)i;
}

static size_t length_of(size_t number, int from, int to, size_t most)
{
	return most ? (number * 977 + (size_t)from * 131 + (size_t)to * 17) % most + 1 : 0;
}

static unsigned char byte_of(size_t number, int from, int to, size_t at)
{
	return (unsigned char)(number * 7 + (size_t)from * 31 + (size_t)to * 101 + at * 3);
}

static void fill(unsigned char *bytes, size_t length, size_t number, int from, int to)
{
	for (size_t at = 0; at < length; at++)
		bytes[at] = byte_of(number, from, to, at);
}

static void begin(struct coll_round *round, struct net *net, const struct group *group,
		  enum coll_way way, size_t number)
{
	size_t in[CLUSTER_MAX], out[CLUSTER_MAX], length;
	int me = group->index;
	bool same = way != COLL_EACH_ITS_OWN;

	for (int i = 0; i < group->count; i++) {
		in[i] = most_of(number, i);
		out[i] = most_of(number, me);
	}
	coll_round_begin(round, net, group, way, number, in, out);
	for (int i = 0; i < group->count && most_of(number, me); i++) {
		if (same != (i == me))
			continue;
		length = length_of(number, me, same ? 0 : i, most_of(number, me));
		fill(coll_round_room(round, i), length, number, me, same ? 0 : i);
		coll_round_send(round, i, length);
	}
}

/* Takes them in an order of each round's own. */
static void finish(struct coll_round *round, const struct group *group, enum coll_way way,
		   size_t number)
{
	int n = group->count, me = group->index;
	bool same = way != COLL_EACH_ITS_OWN;
	struct error err;

	for (int k = 0; k < n; k++) {
		int i = (int)(number % 2 ? (size_t)k : (size_t)(n - 1 - k));
		size_t most = most_of(number, i), length;
		const unsigned char *bytes;

		if ((i == me && !same) || most == 0)
			continue;
		bytes = coll_round_take(round, i, &length, &err);
		cluster_must(bytes ? 0 : -1, &err);
		assert(length == length_of(number, i, same ? 0 : me, most));
		for (size_t at = 0; at < length; at++)
			assert(bytes[at] == byte_of(number, i, same ? 0 : me, at));
	}
	/* Of a ring, also those that only have to go on. */
	for (int i = 0; i < n && way == COLL_SAME_RING; i++) {
		size_t length;

		assert(coll_round_take(round, i, &length, &err));
	}
	cluster_must(coll_round_end(round, &err), &err);
}

static void rounds_body(int rank, struct net *net, void *arg)
{
	struct coll_round *rounds[DEPTH];
	int ranks[CLUSTER_MAX];
	struct group world = group_world(ranks, net_world(net), rank);

	(void)arg;
	for (int i = 0; i < DEPTH; i++)
		rounds[i] = coll_round_new(net_world(net));
	for (enum coll_way way = COLL_EACH_ITS_OWN; way <= COLL_SAME_RING; way++)
		for (size_t number = 0; number <= ROUNDS; number++) {
			if (number < ROUNDS)
				begin(rounds[number % DEPTH], net, &world, way, number);
			if (number > 0)
				finish(rounds[(number - 1) % DEPTH], &world, way, number - 1);
		}
	for (int i = 0; i < DEPTH; i++)
		coll_round_free(rounds[i]);
}

static void messages_of_any_length_reach_all_each_way(void **state)
{
	(void)state;
	for (int world = 1; world <= 5; world += 2)
		cluster_run_every(world, 0, rounds_body, NULL);
	cluster_run_emulated(4, 0, rounds_body, NULL);
	cluster_run("tcp streams=3", 4, rounds_body, NULL);
}

static void too_long_body(int rank, struct net *net, void *arg)
{
	struct coll_round *round = coll_round_new(net_world(net));
	size_t mine[] = { 100, 100 }, in[] = { 100, 50 }, length;
	int ranks[CLUSTER_MAX];
	struct group world = group_world(ranks, net_world(net), rank);
	struct error err;

	(void)arg;
	coll_round_begin(round, net, &world, COLL_SAME_DIRECT, 0, rank == 0 ? in : mine, mine);
	memset(coll_round_room(round, rank), 'x', 100);
	coll_round_send(round, rank, rank == 0 ? 100 : 51);
	if (rank == 0) {
		assert(!coll_round_take(round, 1, &length, &err));
		assert(strstr(err.text, "rank 1 (node") && strstr(err.text, "51 bytes"));
		coll_round_flush(round);
		net_abort(net, err.text);
		coll_round_abandon(round);
	} else {
		assert(coll_round_take(round, 0, &length, &err) && length == 100);
		cluster_must(coll_round_end(round, &err), &err);
	}
	coll_round_abandon(round);
	coll_round_free(round);
}

static void a_message_longer_than_can_be_is_an_error_that_names_the_rank(void **state)
{
	(void)state;
	cluster_run_every(2, 0, too_long_body, NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(messages_of_any_length_reach_all_each_way),
		cmocka_unit_test(a_message_longer_than_can_be_is_an_error_that_names_the_rank),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
