/*
 * `net`: the thin call-through in front of a transport. Counts bytes, checks the contract, puts
 * messages on emulated links and injects faults under test.
 */
#include "runtime/transport/transport.h"

#include <assert.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "lib/clock.h"
#include "lib/error.h"
#include "lib/memory.h"
#include "runtime/transport/emulate.h"

struct net {
	const struct transport *transport;
	struct net_env env;
	void *state;
	struct emulator *emulator; /* that messages take their way through; NULL: none */

	pthread_mutex_t serve_lock; /* handler, arg; held while the handler runs */
	net_handler *handler;
	void *arg;

	pthread_mutex_t abort_lock; /* why */
	char *why;

	atomic_uint_fast64_t payload_sent, payload_received, told, messages;
	struct net_fault fault; /* set before the first message */
};

/* A message of net_tell: its bytes follow. */
struct tell {
	struct net_request request;
	unsigned char bytes[];
};

static void deliver(void *arg, int peer, uint64_t tag, const void *bytes, size_t length)
{
	struct net *net = arg;

	pthread_mutex_lock(&net->serve_lock);
	if (net->handler)
		net->handler(net->arg, peer, tag, bytes, length);
	pthread_mutex_unlock(&net->serve_lock);
}

/* A message that has come through emulated links. */
static void carry(void *arg, struct net_request *message)
{
	struct net *net = arg;

	net->transport->post_send(net->state, message);
}

static void emulate(struct net *net)
{
	net->emulator = net->env.hub ? net_hub_emulator(net->env.hub) : NULL;
	if (net->emulator)
		emulator_join(net->emulator, net->env.rank, carry, net);
}

struct net *net_open(const struct part *transport, const struct net_env *env, struct error *err)
{
	struct net *net = xcalloc(1, sizeof(*net));
	int status;

	assert(env->rank >= 0 && env->rank < env->world);
	net->transport = PART_AS(transport, struct transport);
	net->env = *env;
	net->state = xcalloc(1, net->transport->state_size);
	pthread_mutex_init(&net->serve_lock, NULL);
	pthread_mutex_init(&net->abort_lock, NULL);
	status = net->transport->open(net->state, transport->params, &net->env, deliver, net, err);
	memory_wipe(net->env.key, sizeof(net->env.key)); /* the transport has its own by now */
	if (status == 0) {
		emulate(net);
		return net;
	}
	net_close(net);
	return NULL;
}

int net_rank(const struct net *net)
{
	return net->env.rank;
}

int net_world(const struct net *net)
{
	return net->env.world;
}

const char *net_host(const struct net *net, int rank)
{
	assert(rank >= 0 && rank < net->env.world);
	return net->emulator ? emulator_host(net->emulator, rank) : net->env.peers[rank].host;
}

int net_streams(const struct net *net, int peer)
{
	return net->transport->streams ? net->transport->streams(net->state, peer) : 1;
}

double net_timeout(const struct net *net)
{
	return net->env.timeout_s;
}

static void check_message(const struct net *net, int peer, const void *bytes, size_t length)
{
	assert(peer >= 0 && peer < net->env.world && peer != net->env.rank);
	assert((bytes || length == 0) && length <= NET_LENGTH_MAX);
}

/* Holds the next message back as the injected fault says; true: it fails. */
static bool fault_strikes(struct net *net)
{
	uint64_t number = atomic_fetch_add(&net->messages, 1) + 1;

	if (net->fault.delay_s > 0)
		clock_sleep(net->fault.delay_s);
	return net->fault.fail_after && number >= net->fault.fail_after;
}

/* To a lost peer nothing is under way: the transport says so at once. */
static void send_message(struct net *net, struct net_request *request)
{
	struct error ignored;

	if (net->emulator && net_check(net, request->peer, &ignored) == 0)
		emulator_send(net->emulator, net->env.rank, request);
	else
		net->transport->post_send(net->state, request);
}

void net_post_send(struct net *net, int peer, uint64_t tag, const void *bytes, size_t length,
		   struct net_request *request)
{
	check_message(net, peer, bytes, length);
	assert(tag < NET_TAG_UNSOLICITED);
	*request = (struct net_request){
		.bytes = (void *)(uintptr_t)bytes, .length = length, .tag = tag, .peer = peer
	};
	if (fault_strikes(net)) {
		request->problem = "injected fault";
		request->done = true;
		return;
	}
	atomic_fetch_add(&net->payload_sent, length);
	send_message(net, request);
}

static void post_recv(struct net *net, const struct net_request *receive,
		      struct net_request *request)
{
	check_message(net, receive->peer, receive->bytes, receive->length);
	assert(receive->tag < NET_TAG_UNSOLICITED);
	*request = *receive;
	net->transport->post_recv(net->state, request);
}

void net_post_recv(struct net *net, int peer, uint64_t tag, void *bytes, size_t length,
		   struct net_request *request)
{
	struct net_request receive = {
		.bytes = bytes, .length = length, .tag = tag, .peer = peer, .receive = true
	};

	post_recv(net, &receive, request);
}

void net_post_recv_up_to(struct net *net, int peer, uint64_t tag, void *bytes, size_t most,
			 struct net_request *request)
{
	struct net_request receive = { .bytes = bytes,
				       .length = most,
				       .tag = tag,
				       .peer = peer,
				       .receive = true,
				       .up_to = true };

	post_recv(net, &receive, request);
}

size_t net_received(const struct net_request *request)
{
	return request->length;
}

static int wait_until(struct net *net, struct net_request *request, double deadline,
		      struct error *err)
{
	if (net->emulator && !request->receive)
		return emulator_wait(net->emulator, net->env.rank, request, deadline, err);
	if (net->transport->wait(net->state, request, deadline, err) < 0)
		return -1;
	if (request->receive)
		atomic_fetch_add(&net->payload_received, request->length);
	return 0;
}

int net_wait(struct net *net, struct net_request *request, struct error *err)
{
	return wait_until(net, request, clock_now() + net->env.timeout_s, err);
}

int net_wait_all(struct net *net, struct net_request *requests, size_t count, struct error *err)
{
	double deadline = clock_now() + net->env.timeout_s;
	struct error later;
	int status = 0;

	for (size_t i = 0; i < count; i++)
		if (wait_until(net, &requests[i], deadline, status ? &later : err) < 0)
			status = -1;
	return status;
}

static int send_detached(struct net *net, int peer, uint64_t tag, const void *bytes, size_t length,
			 struct error *err)
{
	struct tell *tell;

	check_message(net, peer, bytes, length);
	assert(tag >= NET_TAG_UNSOLICITED);
	if (fault_strikes(net))
		return error_set(err, "injected fault");
	tell = xmalloc(sizeof(*tell) + length);
	tell->request = (struct net_request){
		.bytes = tell->bytes, .length = length, .tag = tag, .peer = peer, .detached = true
	};
	if (length)
		memcpy(tell->bytes, bytes, length);
	send_message(net, &tell->request);
	return 0;
}

int net_tell(struct net *net, int peer, uint64_t tag, const void *bytes, size_t length,
	     struct error *err)
{
	atomic_fetch_add(&net->told, length);
	return send_detached(net, peer, tag, bytes, length, err);
}

int net_give(struct net *net, int peer, uint64_t tag, const void *bytes, size_t length,
	     struct error *err)
{
	atomic_fetch_add(&net->payload_sent, length);
	return send_detached(net, peer, tag, bytes, length, err);
}

void net_serve(struct net *net, net_handler *handler, void *arg)
{
	pthread_mutex_lock(&net->serve_lock);
	net->handler = handler;
	net->arg = arg;
	pthread_mutex_unlock(&net->serve_lock);
}

const struct net_shared *net_shared(const struct net *net)
{
	return net->transport->shared && !net->emulator ? net->transport->shared(net->state) : NULL;
}

int net_shared_use(struct net *net, size_t sent, size_t received, struct error *err)
{
	if (fault_strikes(net))
		return error_set(err, "injected fault");
	atomic_fetch_add(&net->payload_sent, sent);
	atomic_fetch_add(&net->payload_received, received);
	return 0;
}

int net_check(struct net *net, int peer, struct error *err)
{
	return net->transport->check(net->state, peer, err);
}

int net_check_all(struct net *net, struct error *err)
{
	for (int peer = 0; peer < net_world(net); peer++)
		if (peer != net_rank(net) && net_check(net, peer, err) < 0)
			return -1;
	return 0;
}

void net_abort(struct net *net, const char *why)
{
	pthread_mutex_lock(&net->abort_lock);
	if (!net->why) {
		net->why = xstrdup(why);
		net->transport->abort(net->state, net->why);
		if (net->emulator)
			emulator_abort(net->emulator, net->env.rank, net->why);
	}
	pthread_mutex_unlock(&net->abort_lock);
}

struct net_bytes net_bytes(const struct net *net)
{
	struct net_overhead overhead = { 0 };

	if (net->transport->overhead)
		overhead = net->transport->overhead(net->state);
	return (struct net_bytes){
		.payload_sent = atomic_load(&net->payload_sent),
		.payload_received = atomic_load(&net->payload_received),
		.header_sent = overhead.header,
		.control_sent = overhead.control + atomic_load(&net->told),
	};
}

uint64_t net_payload_sent(const struct net *net)
{
	return atomic_load(&net->payload_sent);
}

void net_inject(struct net *net, struct net_fault fault)
{
	net->fault = fault;
}

void net_close(struct net *net)
{
	if (!net)
		return;
	if (net->emulator)
		emulator_leave(net->emulator, net->env.rank, clock_now() + net->env.timeout_s);
	net->transport->close(net->state);
	pthread_mutex_destroy(&net->serve_lock);
	pthread_mutex_destroy(&net->abort_lock);
	free(net->why);
	free(net->state);
	free(net);
}
