/* How much less was sent than without compression: what is said of it, and whether it is true. */
#include "tests/unit/unit.h"

#include <math.h>
#include <string.h>

#include "lib/json.h"
#include "lib/traffic.h"
#include "runtime/coll_cost.h"
#include "runtime/coll_volume.h"
#include "runtime/compress/compress.h"
#include "runtime/exchange.h"
#include "tests/unit/cluster.h"
#include "tests/unit/part.h"

enum { BLOCK = 5000 };

static void a_ratio_is_that_of_payloads(void **state)
{
	struct traffic traffic = {
		.payload = 100, .header = 30, .control = 7, .payload_fp32 = 790
	};
	const struct traffic more = { 1, 2, 3, 4, 5, 6 };
	char text[32];

	(void)state;
	assert_true(traffic_ratio(&traffic) == 7.9);
	assert_int_equal(traffic_sent(&traffic), 137);
	assert_true(traffic_bits(&traffic) == 0);
	assert_string_equal(traffic_show_ratio(text, sizeof(text), &traffic), "");
	traffic.coded = 50;
	traffic.coordinates = 100;
	assert_true(traffic_bits(&traffic) == 4);
	assert_string_equal(traffic_show_ratio(text, sizeof(text), &traffic), "x7.9 fewer bytes");
	traffic.payload_fp32 = 40;
	assert_string_equal(traffic_show_ratio(text, sizeof(text), &traffic), "x2.5 more bytes");
	traffic_add(&traffic, &more);
	traffic = traffic_between(&more, &traffic);
	assert_int_equal(traffic.payload, 100);
	assert_int_equal(traffic.header, 30);
	assert_int_equal(traffic.control, 7);
	assert_int_equal(traffic.payload_fp32, 40);
	assert_int_equal(traffic.coded, 50);
	assert_int_equal(traffic.coordinates, 100);
}

static void nothing_sent_has_no_ratio(void **state)
{
	const struct traffic none = { .header = 5 };
	struct json *json = json_object_new();
	struct buf text = { 0 };
	char shown[32];

	(void)state;
	assert_true(isnan(traffic_ratio(&none)));
	assert_string_equal(traffic_show_ratio(shown, sizeof(shown), &none), "");
	traffic_add_json(json, &none);
	json_print(json, 0, &text);
	assert_non_null(strstr(buf_text(&text), "\"compression_ratio\":null"));
	assert_null(strstr(buf_text(&text), "bits_per_coordinate"));
	json_free(json);
	buf_release(&text);
}

/* A frame's header, and the most that a record adds to it: RFC 8446, 5.2. */
enum { TAG = 5, FRAME = 24, RECORD_ADDS = 5 + 1 + 16 };

static void send_now(struct net *net, uint64_t tag, const void *bytes, size_t length)
{
	struct net_request request;
	struct error err;

	net_post_send(net, 1, tag, bytes, length, &request);
	cluster_must(net_wait(net, &request, &err), &err);
}

static void receive_now(struct net *net, uint64_t tag, void *bytes, size_t length)
{
	struct net_request request;
	struct error err;

	net_post_recv(net, 0, tag, bytes, length, &request);
	cluster_must(net_wait(net, &request, &err), &err);
}

/* Rank 0 sends three messages and tells one thing; there is no wire between threads. */
static void kinds_body(int rank, struct net *net, void *arg)
{
	struct net_bytes begun = net_bytes(net), then;
	bool wire = begun.control_sent > 0;
	char text[1000] = { 0 };
	struct error err;
	int *wires = arg;

	assert(begun.payload_sent == 0 && begun.payload_received == 0);
	if (rank == 1) {
		receive_now(net, TAG + 1, text, 0);
		receive_now(net, TAG, text, 1000);
		receive_now(net, TAG + 2, text, 0);
		assert(net_bytes(net).payload_received == 1000);
		return;
	}
	send_now(net, TAG, text, 1000);
	cluster_must(net_tell(net, 1, NET_TAG_UNSOLICITED, text, 66, &err), &err);
	send_now(net, TAG + 1, text, 0);
	then = net_bytes(net);
	assert(then.payload_sent == 1000 && net_payload_sent(net) == 1000);
	assert(then.control_sent == begun.control_sent + 66);
	assert(wire || then.header_sent == 0);
	assert(then.header_sent - begun.header_sent >= (size_t)(wire ? 3 * FRAME : 0));
	assert(then.header_sent - begun.header_sent <= 3 * (FRAME + 2 * RECORD_ADDS));
	*wires += wire;
	send_now(net, TAG + 2, text, 0); /* nobody leaves before */
}

static void payload_headers_and_control_are_told_apart(void **state)
{
	int wires = 0;

	(void)state;
	cluster_run_every(2, 0, kinds_body, &wires);
	cluster_run_emulated(2, 0, kinds_body, &wires);
	assert_true(wires > 0);
}

struct trial {
	const struct part *compressor;
	const struct coll_cost *cost;
	enum coll_algorithm algorithm;
};

/* In two vectors, and in a difference. */
static void saved_body(int rank, struct net *net, void *arg)
{
	const struct trial *trial = arg;
	const struct compressor *scheme = PART_AS(trial->compressor, struct compressor);
	const struct exchange_env env = {
		.net = net,
		.algorithm = trial->algorithm,
		.count = BLOCK,
		.coder = { .compressor = trial->compressor, .seed = 42, .steps = 10 }
	};
	struct exchange *exchange = exchange_new(&env);
	int ranks[CLUSTER_MAX];
	struct group world = group_world(ranks, net_world(net), rank);
	float *x = xcalloc(BLOCK, sizeof(*x)), *reference = xcalloc(BLOCK, sizeof(*x));
	struct error err;
	uint64_t dense;

	world.cost = trial->cost;
	dense = 2 * coll_allreduce_volume(net, &world, trial->algorithm, BLOCK) +
		coll_allreduce_volume(net, &world, trial->algorithm, BLOCK / 3);
	for (size_t i = 0; i < BLOCK; i++)
		x[i] = sinf((float)(i + (size_t)rank));
	cluster_must(exchange_sum(exchange, &world, 0, 0, x, BLOCK, &err), &err);
	cluster_must(exchange_mean(exchange, &world, 0, 7, x, BLOCK / 3, &err), &err);
	cluster_must(exchange_average(exchange, &world, 1, x, reference, &err), &err);
	assert(net_payload_sent(net) + (uint64_t)exchange_saved(exchange) == dense);
	assert(scheme->payload != PAYLOAD_SUMS || exchange_saved(exchange) == 0);
	exchange_free(exchange);
	free(x);
	free(reference);
}

/* Everything to everybody, and slices to owners. */
static void what_is_saved_is_what_float32_would_have_sent_beyond(void **state)
{
	static const struct coll_cost costs[] = { { .alpha_s = 1, .beta_s = 1e-9 },
						  { .alpha_s = 1e-9, .beta_s = 1 } };

	(void)state;
	for (size_t i = 0; compressors.entries[i]; i++) {
		struct part part = part_default(&compressors, compressors.entries[i]->name);

		for (int run = 0; run < 4; run++) {
			struct trial trial = { .compressor = &part,
					       .cost = &costs[run % 2],
					       .algorithm = run < 2 ? COLL_AUTO : COLL_TREE };

			cluster_run("inproc", 2 + run, saved_body, &trial);
		}
		part_release(&part);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_ratio_is_that_of_payloads),
		cmocka_unit_test(nothing_sent_has_no_ratio),
		cmocka_unit_test(payload_headers_and_control_are_told_apart),
		cmocka_unit_test(what_is_saved_is_what_float32_would_have_sent_beyond),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
