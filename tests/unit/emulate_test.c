/* Emulated links: what arrives when, in the time that paths are told; and with ranks as threads,
 * whose order, ratios and ends are tested, not their figures. */
#include "tests/unit/unit.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/clock.h"
#include "lib/links.h"
#include "lib/links_file.h"
#include "lib/setting.h"
#include "runtime/transport/emulate.h"
#include "runtime/transport/paths.h"
#include "tests/unit/cluster.h"
#include "tests/unit/scratch.h"

static const double mbit = 1e6 / 8 * 1448 / 1514; /* bytes of payload per second */

/* Paths between hosts of a topology, from the time 100 on. */
struct scene {
	struct paths *paths;
	struct parcel parcels[16];
	size_t count;
	double left_at[16], arrived_at[16];
	double now;
};

static void note_left(void *arg, struct parcel *parcel)
{
	struct scene *scene = arg;

	scene->left_at[parcel - scene->parcels] = scene->now - 100;
}

static void scene_begin(struct scene *scene, const char *topology, int world)
{
	static const int host_of[] = { 0, 1, 2, 3, 4, 5, 6, 7 };
	struct problems problems = { 0 };
	struct links_script script;
	struct links links;
	struct error err;

	*scene = (struct scene){ .now = 100 };
	write_text("tree", topology);
	cluster_must(links_load(&links, &script, "tree", NULL, &problems, &err), &err);
	scene->paths = paths_new(&links, &script, host_of, world, 100, note_left, scene);
	links_release(&links);
	links_script_release(&script);
	problems_release(&problems);
}

/* As many bytes as `mbits` Mbit/s carry in a second. */
static struct parcel *post(struct scene *scene, int from, int to, double mbits)
{
	struct parcel *parcel = &scene->parcels[scene->count++];

	*parcel = (struct parcel){ .from = from, .to = to, .bytes = (size_t)(mbits * mbit) };
	paths_post(scene->paths, parcel, scene->now);
	return parcel;
}

/* Event by event, as the pacing thread does if it is never late. */
static void play_until(struct scene *scene, double end)
{
	struct parcels arrived = { 0 };
	struct parcel *parcel;
	double next;

	while ((next = paths_next(scene->paths)) <= 100 + end) {
		scene->now = next;
		paths_advance(scene->paths, next, &arrived);
		while ((parcel = parcels_take(&arrived)))
			scene->arrived_at[parcel - scene->parcels] = next - 100;
	}
	scene->now = 100 + end;
}

static void assert_time(double is, double should)
{
	if (!(fabs(is - should) <= 1e-4))
		fail_msg("at %.6g s instead of %.6g s", is, should);
}

static void messages_of_a_pair_queue_and_arrive_after_its_delay(void **state)
{
	struct scene s;

	(void)state;
	scene_begin(&s, "nic: 100mbit\ndelay: 50ms\nhosts: 2\n", 2);
	post(&s, 0, 1, 100);
	post(&s, 0, 1, 50);
	post(&s, 0, 1, 0);
	assert_time(paths_delay(s.paths, 0, 1), 0.1);
	play_until(&s, 10);
	assert_time(s.left_at[0], 1);
	assert_time(s.arrived_at[0], 1.1);
	assert_time(s.left_at[1], 1.5);
	assert_time(s.arrived_at[1], 1.6);
	assert_time(s.arrived_at[2], 1.6); /* nothing takes no time of its own */
	assert_true(isinf(paths_next(s.paths)));
	paths_free(s.paths);
}

static void what_shares_a_segment_shares_it_fairly_while_it_lasts(void **state)
{
	struct scene s;

	(void)state;
	scene_begin(&s, "nic: 100mbit\nhosts: 4\noverrides: {h4: {nic: 20mbit}}\n", 4);
	post(&s, 0, 1, 40); /* at 80, what h4 leaves of the NIC */
	post(&s, 0, 3, 20); /* at 20, all of a second */
	post(&s, 2, 1, 50); /* in nobody's way but at h2: 50, for the first cannot have more */
	play_until(&s, 10);
	/* h2's way down: 50 each until the first has its 40 at 0.8 s. */
	assert_time(s.arrived_at[0], 0.8);
	assert_time(s.arrived_at[1], 1);
	assert_time(s.arrived_at[2], 0.9); /* 40 by then, and 10 more at 100 */
	paths_free(s.paths);
}

static void links_change_as_the_script_says_again_and_again(void **state)
{
	struct scene s;

	(void)state;
	scene_begin(&s,
		    "nic: 100mbit\nhosts: 2\nrepeat: 2s\n"
		    "changes: [{at: 0, link: h1, rate: 100mbit}, {at: 1s, link: h1.up, rate: "
		    "20mbit}]\n",
		    2);
	post(&s, 0, 1, 240); /* 100, 20, 100, and 20 */
	play_until(&s, 10);
	assert_time(s.arrived_at[0], 4);
	paths_free(s.paths);
}

static void unshaped_links_and_ranks_of_one_host_take_no_time(void **state)
{
	struct scene s;

	(void)state;
	scene_begin(&s, "hosts: 2\n", 2);
	post(&s, 0, 1, 1000);
	post(&s, 0, 1, 1000);
	play_until(&s, 0);
	assert_time(s.arrived_at[1], 0);
	assert_true(isinf(paths_next(s.paths)));
	paths_free(s.paths);
}

static void a_message_that_is_taken_back_leaves_its_place_to_others(void **state)
{
	struct scene s;
	struct parcel *first, *second, *other;

	(void)state;
	scene_begin(&s, "nic: 100mbit\ndelay: 50ms\nhosts: 3\n", 3);
	first = post(&s, 0, 1, 100);
	second = post(&s, 0, 1, 100);
	other = post(&s, 0, 2, 75);
	play_until(&s, 1); /* 50 of `first` and of `other` have left */
	assert_true(paths_remove(s.paths, first, s.now));
	play_until(&s, 1.55);
	assert_time(s.left_at[2], 1.5);			  /* half of it is `second`'s */
	assert_true(paths_remove(s.paths, other, s.now)); /* on its way */
	play_until(&s, 10);
	assert_time(s.arrived_at[1], 1.5 + 0.75 + 0.1);
	assert_time(s.arrived_at[0], 0); /* never */
	assert_time(s.arrived_at[2], 0);
	assert_false(paths_remove(s.paths, second, s.now));
	paths_free(s.paths);
}

/* As many bytes as all flows together should carry, whatever the moments are told. */
static void time_that_is_told_late_changes_nothing(void **state)
{
	struct parcels arrived = { 0 };
	struct scene s;

	(void)state;
	scene_begin(&s, "nic: 100mbit\nhosts: 3\n", 3);
	for (int i = 0; i < 5; i++)
		post(&s, 0, 1 + i % 2, 20); /* at 0.4, 0.8 s two at once, and 1 s */
	paths_advance(s.paths, 100.39, &arrived);
	assert_null(arrived.first);
	paths_advance(s.paths, 100.99, &arrived);
	for (int i = 0; i < 4; i++)
		assert_non_null(parcels_take(&arrived));
	assert_null(arrived.first);
	assert_time(paths_next(s.paths) - 100, 1);
	paths_free(s.paths);
}

/* Ranks as threads on such links. */
struct emulated {
	const char *topology;
	int world;
	double timeout_s;
	cluster_body *body;
};

struct player {
	struct net_env env;
	const struct part *part;
	cluster_body *body;
	pthread_t thread;
};

static void *player_main(void *arg)
{
	struct player *self = arg;
	struct error err;
	struct net *net = net_open(self->part, &self->env, &err);

	cluster_must(net ? 0 : -1, &err);
	self->body(self->env.rank, net, NULL);
	net_close(net);
	return NULL;
}

static void go(const struct emulated *emulated)
{
	struct cluster cluster = { .spec = "inproc",
				   .world = emulated->world,
				   .timeout_s = emulated->timeout_s };
	struct player players[CLUSTER_MAX];
	struct emulator *emulator;
	struct error err;

	write_text("net", emulated->topology);
	emulator = emulator_new("net", NULL, emulated->world, &err);
	cluster_must(emulator ? 0 : -1, &err);
	cluster_prepare(&cluster);
	net_hub_emulate(cluster.hub, emulator);
	for (int i = 0; i < emulated->world; i++) {
		players[i] = (struct player){ .env = cluster.env[i],
					      .part = &cluster.part,
					      .body = emulated->body };
		assert(pthread_create(&players[i].thread, NULL, player_main, &players[i]) == 0);
	}
	for (int i = 0; i < emulated->world; i++)
		pthread_join(players[i].thread, NULL);
	cluster_release(&cluster);
	emulator_free(emulator);
}

static pthread_barrier_t all_begin; /* nobody sends before the last one has looked at the clock */

/* Seconds that all of these messages take, to each rank from the one before it. */
static double round_trip(struct net *net, size_t count, size_t bytes)
{
	int rank = net_rank(net), world = net_world(net);
	struct net_request *requests = xcalloc(2 * count, sizeof(*requests));
	unsigned char *sent = xmalloc(count * bytes), *received = xmalloc(count * bytes);
	double begin = clock_now();
	struct error err;

	for (size_t i = 0; i < count * bytes; i++)
		sent[i] = (unsigned char)(i * 31 + (size_t)rank);
	pthread_barrier_wait(&all_begin);
	for (size_t i = 0; i < count; i++) {
		net_post_recv(net, (rank + world - 1) % world, 5, received + i * bytes, bytes,
			      &requests[2 * i]);
		net_post_send(net, (rank + 1) % world, 5, sent + i * bytes, bytes,
			      &requests[2 * i + 1]);
	}
	cluster_must(net_wait_all(net, requests, 2 * count, &err), &err);
	begin = clock_now() - begin;
	for (size_t i = 0; i < count * bytes; i++)
		assert(received[i] ==
		       (unsigned char)(i * 31 + (size_t)((rank + world - 1) % world)));
	free(requests);
	free(sent);
	free(received);
	return begin;
}

static void rate_body(int rank, struct net *net, void *arg)
{
	/* A tenth of a second of 20 Mbit/s, and 20 ms of delay: never less, whoever is busy. */
	double took = round_trip(net, 10, (size_t)(2 * mbit) / 10);
	char host[16];

	(void)arg;
	assert(took >= 0.115 && took < 30);
	snprintf(host, sizeof(host), "h%d", rank + 1);
	assert(strcmp(net_host(net, rank), host) == 0);
	assert(net_shared(net) == NULL);
	assert(net_bytes(net).payload_sent == 10 * ((size_t)(2 * mbit) / 10));
}

static void messages_take_their_time_and_arrive_whole(void **state)
{
	(void)state;
	pthread_barrier_init(&all_begin, NULL, 3);
	go(&(struct emulated){ "nic: 20mbit\ndelay: 10ms\nhosts: 3\n", 3, 60, rate_body });
	go(&(struct emulated){ "nic: 20mbit\nhosts: 3\noverrides: {h1: {delay: 20ms}, h2: {delay: "
			       "20ms}, h3: {delay: 20ms}}\n",
			       3, 60, rate_body });
	pthread_barrier_destroy(&all_begin);
}

static void order_body(int rank, struct net *net, void *arg)
{
	struct net_request requests[50];
	uint32_t numbers[50];
	struct error err;

	(void)arg;
	for (uint32_t i = 0; i < 50; i++) {
		numbers[i] = rank == 0 ? i : 0;
		if (rank == 0)
			net_post_send(net, 1, 3, &numbers[i], 4, &requests[i]);
		else
			net_post_recv(net, 0, 3, &numbers[i], 4, &requests[i]);
	}
	cluster_must(net_wait_all(net, requests, 50, &err), &err);
	for (uint32_t i = 0; i < 50; i++)
		assert(numbers[i] == i);
}

static void messages_keep_their_order(void **state)
{
	(void)state;
	go(&(struct emulated){ "nic: 10mbit\nhosts: 2\n", 2, 60, order_body });
	go(&(struct emulated){ "nic: 10mbit\ndelay: 1ms\nhosts: 2\n", 2, 60, order_body });
	go(&(struct emulated){ "hosts: 2\n", 2, 60, order_body });
}

/* Closed while messages are under way: they arrive nevertheless. */
static void farewell_body(int rank, struct net *net, void *arg)
{
	struct net_request request;
	unsigned char bytes[1000] = { 7 };
	struct error err;

	(void)arg;
	if (rank == 0)
		net_post_send(net, 1, 3, bytes, sizeof(bytes), &request);
	else
		net_post_recv(net, 0, 3, bytes, sizeof(bytes), &request);
	cluster_must(net_wait(net, &request, &err), &err);
	assert(bytes[0] == 7);
}

static void what_was_sent_arrives_though_its_sender_is_gone(void **state)
{
	(void)state;
	go(&(struct emulated){ "nic: 1mbit\ndelay: 20ms\nhosts: 2\n", 2, 60, farewell_body });
}

static void slow_body(int rank, struct net *net, void *arg)
{
	size_t bytes = 4 << 20; /* half an hour */
	unsigned char *buffer = xcalloc(1, bytes);
	struct net_request request;
	struct error err = { "" };

	(void)arg;
	if (rank == 0)
		net_post_send(net, 1, 3, buffer, bytes, &request);
	else
		net_post_recv(net, 0, 3, buffer, bytes, &request);
	assert(net_wait(net, &request, &err) < 0);
	/* Whoever is first is gone for the other. */
	assert(strstr(err.text, rank == 0 ? "could not send to rank 1 (h2) within"
					  : "no message from rank 0") ||
	       strstr(err.text, "lost rank"));
	free(buffer); /* it is nobody else's any more */
}

static void a_wait_ends_at_its_deadline_and_gives_the_buffer_back(void **state)
{
	(void)state;
	go(&(struct emulated){ "nic: 19kbit\nhosts: 2\n", 2, 0.3, slow_body });
}

static void *abort_soon(void *net)
{
	net_abort(net, "enough of it");
	return NULL;
}

/* Nobody closes a net while the other one waits to be told why. */
static pthread_barrier_t both_aborted;

static void abort_body(int rank, struct net *net, void *arg)
{
	size_t bytes = 4 << 20;
	unsigned char *buffer = xcalloc(2, bytes);
	struct net_request requests[2];
	struct error err = { "" };
	pthread_t thread;

	(void)arg;
	net_post_recv(net, !rank, 3, buffer, bytes, &requests[0]);
	net_post_send(net, !rank, 3, buffer + bytes, bytes, &requests[1]);
	cluster_must(net_tell(net, !rank, NET_TAG_UNSOLICITED, buffer, 100000, &err), &err);
	assert(pthread_create(&thread, NULL, abort_soon, net) == 0);
	assert(net_wait(net, &requests[1], &err) < 0);
	assert(strcmp(err.text, "enough of it") == 0);
	assert(net_wait(net, &requests[0], &err) < 0);
	pthread_join(thread, NULL);
	pthread_barrier_wait(&both_aborted);
	free(buffer);
}

static void abort_ends_everything_at_once(void **state)
{
	double begin = clock_now();

	(void)state;
	pthread_barrier_init(&both_aborted, NULL, 2);
	go(&(struct emulated){ "nic: 19kbit\nhosts: 2\n", 2, 600, abort_body });
	go(&(struct emulated){ "nic: 19kbit\ndelay: 1s\nhosts: 2\n", 2, 600, abort_body });
	pthread_barrier_destroy(&both_aborted);
	assert_true(clock_now() - begin < 300); /* far from half an hour */
}

static void lost_body(int rank, struct net *net, void *arg)
{
	struct net_request request;
	struct error err = { "" };
	char byte;

	(void)arg;
	if (rank == 0)
		return;
	net_post_recv(net, 0, 3, &byte, 1, &request);
	assert(net_wait(net, &request, &err) < 0);
	assert(strstr(err.text, "lost rank 0"));
	net_post_send(net, 0, 3, &byte, 1, &request);
	assert(net_wait(net, &request, &err) < 0);
	assert(strstr(err.text, "lost rank 0"));
}

static void a_rank_that_left_is_lost(void **state)
{
	(void)state;
	go(&(struct emulated){ "nic: 1mbit\nhosts: 2\n", 2, 60, lost_body });
}

static void a_network_with_too_few_hosts_is_refused(void **state)
{
	struct problems problems = { 0 };
	struct error err;
	size_t ranks;

	(void)state;
	write_text("net", "hosts: 3\noverrides: {h2: {slots: 2}}\n");
	assert_int_equal(emulator_room(&ranks, "net", NULL, &problems, &err), 0);
	assert_int_equal(ranks, 4);
	assert_null(emulator_new("net", NULL, 5, &err));
	assert_string_equal(err.text, "the emulated network has room for 4 ranks, not for 5");
	write_text("net", "hosts: many\nnic: fast\n");
	assert_null(emulator_new("net", NULL, 1, &err));
	assert_non_null(strstr(err.text, "net:2:6: 'fast' is not a rate"));
	problems_release(&problems);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(messages_of_a_pair_queue_and_arrive_after_its_delay),
		cmocka_unit_test(what_shares_a_segment_shares_it_fairly_while_it_lasts),
		cmocka_unit_test(links_change_as_the_script_says_again_and_again),
		cmocka_unit_test(unshaped_links_and_ranks_of_one_host_take_no_time),
		cmocka_unit_test(a_message_that_is_taken_back_leaves_its_place_to_others),
		cmocka_unit_test(time_that_is_told_late_changes_nothing),
		cmocka_unit_test(messages_take_their_time_and_arrive_whole),
		cmocka_unit_test(messages_keep_their_order),
		cmocka_unit_test(what_was_sent_arrives_though_its_sender_is_gone),
		cmocka_unit_test(a_wait_ends_at_its_deadline_and_gives_the_buffer_back),
		cmocka_unit_test(abort_ends_everything_at_once),
		cmocka_unit_test(a_rank_that_left_is_lost),
		cmocka_unit_test(a_network_with_too_few_hosts_is_refused),
	};

	return cmocka_run_group_tests(tests, scratch_make, scratch_remove);
}
