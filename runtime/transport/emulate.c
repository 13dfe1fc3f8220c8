/*
 * A link emulator. Ranks put messages on the paths (paths.h) with the time at which they did; the
 * pacing thread follows what happens there, in that time, however late it wakes itself, and hands
 * over what arrives. A message is copied only where there is delay: else its sender's bytes are
 * still there when it arrives.
 */
#include "runtime/transport/emulate.h"

#include <errno.h>
#include <math.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <time.h>

#include "lib/buf.h"
#include "lib/clock.h"
#include "lib/error.h"
#include "lib/links.h"
#include "lib/links_file.h"
#include "lib/memory.h"
#include "lib/setting.h"
#include "lib/units.h"
#include "runtime/transport/paths.h"
#include "runtime/transport/transport.h"

/* A message under way. */
struct shipment {
	struct parcel parcel;		 /* first, so that one is the other */
	struct net_request *owner;	 /* a send that somebody waits for; NULL: done, or none */
	struct net_request message;	 /* for the transport, unless `told` is */
	struct net_request *told;	 /* a message that the transport frees */
	void *copy;			 /* of its bytes, or NULL */
	struct shipment *before, *after; /* of the same sender */
};

/* Where a rank is attached. */
struct port {
	emulator_carry *carry;
	void *arg;
	pthread_cond_t change;	    /* a send is done, a shipment is over, abort */
	struct shipment *shipments; /* newest first */
	const char *why;	    /* of the abort, or NULL */
};

struct emulator {
	int world;
	char **hosts; /* [world] */
	pthread_t pacer;
	bool paces;

	pthread_mutex_t lock; /* for all below, and the shipments */
	pthread_cond_t wake;
	struct paths *paths;
	struct port *ports; /* [world] */
	struct shipment *spare;
	bool stopping;
};

static struct shipment *shipment_new(struct emulator *emulator)
{
	struct shipment *shipment = emulator->spare;

	if (!shipment)
		return xcalloc(1, sizeof(*shipment));
	emulator->spare = shipment->after;
	*shipment = (struct shipment){ 0 };
	return shipment;
}

static void link_shipment(struct port *port, struct shipment *shipment)
{
	shipment->after = port->shipments;
	if (shipment->after)
		shipment->after->before = shipment;
	port->shipments = shipment;
}

/* It is over: nobody knows it any more. */
static void end_shipment(struct emulator *emulator, struct shipment *shipment)
{
	struct port *port = &emulator->ports[shipment->parcel.from];

	*(shipment->before ? &shipment->before->after : &port->shipments) = shipment->after;
	if (shipment->after)
		shipment->after->before = shipment->before;
	free(shipment->copy);
	shipment->after = emulator->spare;
	emulator->spare = shipment;
	pthread_cond_broadcast(&port->change);
}

static void finish(struct emulator *emulator, struct shipment *shipment, const char *problem)
{
	if (!shipment->owner)
		return;
	shipment->owner->problem = problem;
	shipment->owner->done = true;
	shipment->owner = NULL;
	pthread_cond_broadcast(&emulator->ports[shipment->parcel.from].change);
}

/* Its bytes have left. The sender may have them back if they were copied. */
static void on_left(void *arg, struct parcel *parcel)
{
	struct shipment *shipment = (struct shipment *)parcel;

	if (shipment->copy)
		finish(arg, shipment, NULL);
}

/* Unlocks meanwhile: the transport takes locks, and its time. */
static void hand_over(struct emulator *emulator, struct shipment *shipment)
{
	struct port *port = &emulator->ports[shipment->parcel.from];

	pthread_mutex_unlock(&emulator->lock);
	port->carry(port->arg, shipment->told ? shipment->told : &shipment->message);
	pthread_mutex_lock(&emulator->lock);
	finish(emulator, shipment, shipment->message.problem);
	end_shipment(emulator, shipment);
}

/* Sleeps until something is to be done, or somebody says that there is. */
static void rest(struct emulator *emulator, double until)
{
	struct timespec at;

	if (isinf(until)) {
		pthread_cond_wait(&emulator->wake, &emulator->lock);
		return;
	}
	at = clock_timespec(until);
	pthread_cond_timedwait(&emulator->wake, &emulator->lock, &at);
}

/* Wakes when it was asked for, before the ranks that compute; as far as the system lets us. */
static void hurry(void)
{
	prctl(PR_SET_TIMERSLACK, 1);	   /* nanoseconds */
	setpriority(PRIO_PROCESS, 0, -15); /* of this thread alone */
}

static void *pace(void *arg)
{
	struct emulator *emulator = arg;

	hurry();
	pthread_mutex_lock(&emulator->lock);
	while (!emulator->stopping) {
		double next = paths_next(emulator->paths), now = clock_now();
		struct parcels arrived = { 0 };
		struct parcel *parcel;

		if (next > now) {
			rest(emulator, next);
			continue;
		}
		paths_advance(emulator->paths, now, &arrived);
		while ((parcel = parcels_take(&arrived)))
			hand_over(emulator, (struct shipment *)parcel);
	}
	pthread_mutex_unlock(&emulator->lock);
	return NULL;
}

static size_t slots_of(const struct links_script *script, size_t host)
{
	return script->slots ? script->slots[host] : 1;
}

int emulator_room(size_t *ranks, const char *path, const char *rtt_path, struct problems *problems,
		  struct error *err)
{
	struct links_script script;
	struct links links;

	if (links_load(&links, &script, path, rtt_path, problems, err) < 0)
		return -1;
	*ranks = 0;
	for (size_t host = 0; host < links.hosts; host++)
		*ranks += slots_of(&script, host);
	links_release(&links);
	links_script_release(&script);
	return 0;
}

/* Host after host, as many ranks on each as it has slots. */
static int place_ranks(int *host_of, int world, const struct links *links,
		       const struct links_script *script, struct error *err)
{
	int rank = 0;

	for (size_t host = 0; host < links->hosts; host++)
		for (size_t slot = 0; slot < slots_of(script, host) && rank < world; slot++)
			host_of[rank++] = (int)host;
	if (rank < world)
		return error_set(err, "the emulated network has room for %d ranks, not for %d",
				 rank, world);
	return 0;
}

static int load_network(struct links *links, struct links_script *script, int **host_of, int world,
			const char *path, const char *rtt_path, struct error *err)
{
	struct problems problems = { 0 };
	int status = links_load(links, script, path, rtt_path, &problems, err);

	if (problems.count)
		error_set(err, "%s", buf_text(&problems.text));
	problems_release(&problems);
	if (status < 0)
		return -1;
	*host_of = xcalloc((size_t)world, sizeof(**host_of));
	if (place_ranks(*host_of, world, links, script, err) == 0)
		return 0;
	free(*host_of);
	links_release(links);
	links_script_release(script);
	return -1;
}

int emulator_network(struct links *links, int **host_of, int world, const char *path,
		     const char *rtt_path, struct error *err)
{
	struct links_script script;

	if (load_network(links, &script, host_of, world, path, rtt_path, err) < 0)
		return -1;
	links_script_release(&script);
	return 0;
}

static int start_pacer(struct emulator *emulator, struct error *err)
{
	int problem = pthread_create(&emulator->pacer, NULL, pace, emulator);

	if (problem)
		return error_set(err, "cannot start a thread: %s", strerror(problem));
	emulator->paces = true;
	return 0;
}

struct emulator *emulator_new(const char *path, const char *rtt_path, int world, struct error *err)
{
	struct emulator *emulator;
	struct links_script script;
	struct links links;
	int *host_of;

	if (load_network(&links, &script, &host_of, world, path, rtt_path, err) < 0)
		return NULL;
	emulator = xcalloc(1, sizeof(*emulator));
	emulator->world = world;
	emulator->hosts = xcalloc((size_t)world, sizeof(*emulator->hosts));
	emulator->ports = xcalloc((size_t)world, sizeof(*emulator->ports));
	pthread_mutex_init(&emulator->lock, NULL);
	clock_cond_init(&emulator->wake);
	for (int rank = 0; rank < world; rank++) {
		clock_cond_init(&emulator->ports[rank].change);
		emulator->hosts[rank] = xstrdup(links.names[host_of[rank]]);
	}
	emulator->paths =
		paths_new(&links, &script, host_of, world, clock_now(), on_left, emulator);
	links_release(&links);
	links_script_release(&script);
	free(host_of);
	if (start_pacer(emulator, err) == 0)
		return emulator;
	emulator_free(emulator);
	return NULL;
}

void emulator_free(struct emulator *emulator)
{
	struct shipment *next;

	if (!emulator)
		return;
	pthread_mutex_lock(&emulator->lock);
	emulator->stopping = true;
	pthread_cond_signal(&emulator->wake);
	pthread_mutex_unlock(&emulator->lock);
	if (emulator->paces)
		pthread_join(emulator->pacer, NULL);
	for (struct shipment *shipment = emulator->spare; shipment; shipment = next) {
		next = shipment->after;
		free(shipment);
	}
	for (int rank = 0; rank < emulator->world; rank++) {
		pthread_cond_destroy(&emulator->ports[rank].change);
		free(emulator->hosts[rank]);
	}
	paths_free(emulator->paths);
	free(emulator->hosts);
	free(emulator->ports);
	pthread_cond_destroy(&emulator->wake);
	pthread_mutex_destroy(&emulator->lock);
	free(emulator);
}

const char *emulator_host(const struct emulator *emulator, int rank)
{
	return emulator->hosts[rank];
}

void emulator_join(struct emulator *emulator, int rank, emulator_carry *carry, void *arg)
{
	pthread_mutex_lock(&emulator->lock);
	emulator->ports[rank].carry = carry;
	emulator->ports[rank].arg = arg;
	pthread_mutex_unlock(&emulator->lock);
}

static void *copy_bytes(const struct net_request *request)
{
	void *copy = xmalloc(request->length);

	if (request->length)
		memcpy(copy, request->bytes, request->length);
	return copy;
}

void emulator_send(struct emulator *emulator, int rank, struct net_request *request)
{
	bool waits = paths_delay(emulator->paths, rank, request->peer) > 0;
	void *copy = waits && !request->detached ? copy_bytes(request) : NULL;
	struct shipment *shipment;

	pthread_mutex_lock(&emulator->lock);
	shipment = shipment_new(emulator);
	shipment->parcel.from = rank;
	shipment->parcel.to = request->peer;
	shipment->parcel.bytes = request->length;
	shipment->copy = copy;
	shipment->message = *request;
	if (copy)
		shipment->message.bytes = copy;
	if (request->detached)
		shipment->told = request;
	else
		shipment->owner = request;
	link_shipment(&emulator->ports[rank], shipment);
	if (paths_post(emulator->paths, &shipment->parcel, clock_now()))
		pthread_cond_signal(&emulator->wake);
	pthread_mutex_unlock(&emulator->lock);
}

/* It shall go nowhere any more. True: it is gone; false: it is being handed over. */
static bool call_back(struct emulator *emulator, struct shipment *shipment)
{
	if (!paths_remove(emulator->paths, &shipment->parcel, clock_now()))
		return false;
	free(shipment->told);
	end_shipment(emulator, shipment);
	return true;
}

/* The owner wants its buffer back, now. */
static void withdraw(struct emulator *emulator, struct port *port, struct net_request *request)
{
	struct shipment *shipment = port->shipments;

	while (shipment && shipment->owner != request)
		shipment = shipment->after;
	if (shipment && call_back(emulator, shipment))
		return;
	while (!request->done)
		pthread_cond_wait(&port->change, &emulator->lock);
}

static int wait_problem(const struct emulator *emulator, const struct port *port,
			const struct net_request *request, double waited, struct error *err)
{
	char seconds[32];

	if (port->why)
		return error_set(err, "%s", port->why);
	if (request->done)
		return error_set(err, "%s", request->problem);
	units_show_seconds(seconds, sizeof(seconds), waited);
	return error_set(err, "could not send to rank %d (%s) within %s", request->peer,
			 emulator->hosts[request->peer], seconds);
}

int emulator_wait(struct emulator *emulator, int rank, struct net_request *request, double deadline,
		  struct error *err)
{
	struct timespec until = clock_timespec(deadline);
	struct port *port = &emulator->ports[rank];
	double start = clock_now();
	bool late = false;
	int status = 0;

	pthread_mutex_lock(&emulator->lock);
	while (!request->done && !port->why && !late)
		late = pthread_cond_timedwait(&port->change, &emulator->lock, &until) == ETIMEDOUT;
	if (!request->done || request->problem || port->why)
		status = wait_problem(emulator, port, request, clock_now() - start, err);
	if (!request->done)
		withdraw(emulator, port, request);
	pthread_mutex_unlock(&emulator->lock);
	return status;
}

void emulator_abort(struct emulator *emulator, int rank, const char *why)
{
	pthread_mutex_lock(&emulator->lock);
	if (!emulator->ports[rank].why)
		emulator->ports[rank].why = why;
	pthread_cond_broadcast(&emulator->ports[rank].change);
	pthread_mutex_unlock(&emulator->lock);
}

void emulator_leave(struct emulator *emulator, int rank, double deadline)
{
	struct timespec until = clock_timespec(deadline);
	struct port *port = &emulator->ports[rank];
	bool late = false;

	pthread_mutex_lock(&emulator->lock);
	while (port->shipments && !port->why && !late)
		late = pthread_cond_timedwait(&port->change, &emulator->lock, &until) == ETIMEDOUT;
	while (port->shipments)
		if (!call_back(emulator, port->shipments))
			pthread_cond_wait(&port->change, &emulator->lock);
	port->why = NULL; /* it was the rank's */
	pthread_mutex_unlock(&emulator->lock);
}
