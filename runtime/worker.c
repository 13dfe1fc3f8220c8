/*
 * A worker process: control messages on stdin and stdout, ranks as threads. The main thread only
 * listens and says that it lives; a second one reads recipe and data, then starts the ranks. End of
 * file on stdin ends the process at once, with all threads: the orchestrator is done with it, or is
 * gone.
 */
#define _DEFAULT_SOURCE /* sysconf(_SC_NPROCESSORS_ONLN) */
#include "runtime/worker.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "lib/build.h"
#include "lib/clock.h"
#include "lib/control.h"
#include "lib/core.h"
#include "lib/digest.h"
#include "lib/error.h"
#include "lib/file.h"
#include "lib/roster.h"
#include "lib/limit.h"
#include "lib/log.h"
#include "lib/memory.h"
#include "lib/recipe.h"
#include "lib/survey_text.h"
#include "runtime/address.h"
#include "runtime/bench.h"
#include "runtime/data/data.h"
#include "runtime/device/cpu.h"
#include "runtime/job.h"
#include "runtime/outbox.h"
#include "runtime/probe.h"
#include "runtime/rank.h"
#include "runtime/transport/emulate.h"

#define ALONE_S 10.0 /* without a word from the orchestrator: it is gone, or cannot be reached */

enum { READ_BYTES = 1 << 16 };

struct worker {
	struct outbox *outbox;
	struct control_plan plan;
	struct rank *ranks; /* [plan.ranks] */
	bool planned;	    /* main thread only */

	pthread_mutex_t lock;
	pthread_cond_t changed;
	struct control_address *peers; /* lock; NULL until PEERS */
	bool started;		       /* lock */
	bool ended;		       /* lock: the ranks have, in whatever way */
};

static void send_failure(struct worker *worker, const char *text)
{
	char *copy = xstrdup(text);
	struct control_failure failure = { .text = copy };
	struct buf frame = { 0 };

	control_put_failure(&frame, worker->plan.first_rank, &failure);
	outbox_send(worker->outbox, &frame);
	free(copy);
}

/* What stands for this program: of a copy every byte, as a run marks what it starts from one; else
 * it was started from the very file of the orchestrator. */
static void identify(char hex[DIGEST_HEX])
{
	const char *run = getenv("DSTRAIN_RUN");
	struct error ignored;

	if (!run || !*run)
		build_id(hex);
	else if (digest_file(hex, "/proc/self/exe", &ignored) < 0)
		hex[0] = '\0'; /* which no other digest equals */
}

static void send_hello(struct worker *worker)
{
	struct utsname system;
	char digest[DIGEST_HEX] = "";
	char release[] = DSTRAIN_VERSION;
	struct control_hello hello = { .release = release, .digest = digest };
	struct buf frame = { 0 };

	uname(&system);
	identify(digest);
	hello.machine = system.machine;
	hello.address = address_reached_by();
	hello.kernel = xstrdup(cpu_kernel());
	hello.pid = (uint32_t)getpid();
	hello.cores = (uint32_t)sysconf(_SC_NPROCESSORS_ONLN);
	hello.memory_bytes = limit_memory().bytes;
	hello.wall_s = clock_wall();
	control_put_hello(&frame, &hello);
	outbox_send(worker->outbox, &frame);
	free(hello.address);
	free(hello.kernel);
}

static void send_beat(struct worker *worker)
{
	struct control_beat beat = {
		.resident_bytes = file_number("/proc/self/status", "VmRSS:") * 1024,
		.available_bytes = limit_memory().available_bytes,
	};
	struct buf frame = { 0 };

	control_put_beat(&frame, &beat);
	outbox_send(worker->outbox, &frame);
}

/* A connection for each pair of ranks of which one is here, twice while they are made. */
static int allow_files(const struct control_plan *plan, struct error *err)
{
	size_t wanted = 64 + 2 * (size_t)plan->ranks * plan->world;
	char what[64];

	snprintf(what, sizeof(what), "the connections of %u rank%s", plan->ranks,
		 plan->ranks == 1 ? "" : "s");
	return limit_descriptors(wanted, what, err);
}

/* A file of the cache that is not what its name says would train something else. */
static int check_cached(const char *path, const char *digest, struct error *err)
{
	char is[DIGEST_HEX];

	if (digest_file(is, path, err) < 0)
		return -1;
	if (strcmp(is, digest) == 0)
		return 0;
	unlink(path);
	return error_set(err, "'%s' is damaged and was removed; start again to have it sent anew",
			 path);
}

/* On a host that was provisioned, a data file lies in the cache under its digest. */
static int map_files(const struct control_plan *plan, struct job *job, struct error *err)
{
	size_t count;
	int status = 0;
	char ***files = job_files(job, &count);

	for (size_t i = 0; i < count && plan->cache_dir[0]; i++) {
		for (uint32_t k = 0; k < plan->files; k++) {
			if (strcmp(*files[i], plan->paths[k]) != 0)
				continue;
			free(*files[i]);
			*files[i] = xasprintf("%s/data/%s", plan->cache_dir, plan->digests[k]);
			status |= check_cached(*files[i], plan->digests[k], err);
			break;
		}
	}
	free(files);
	return status;
}

static int read_job(struct worker *worker, struct job *job, struct error *err)
{
	struct settings given = { 0 }, resolved = { 0 };
	struct problems problems = { 0 };
	int status = recipe_parse(&given, worker->plan.recipe, strlen(worker->plan.recipe),
				  "recipe.yaml", &problems, err);

	if (status == 0) {
		job_read(job, &given, &resolved, &problems);
		if (problems.count)
			status = error_set(err, "%s", buf_text(&problems.text));
	}
	if (status == 0)
		status = map_files(&worker->plan, job, err);
	settings_release(&given);
	settings_release(&resolved);
	problems_release(&problems);
	return status;
}

static int read_roster(const struct control_plan *plan, struct roster *out, struct error *err)
{
	return plan->plan[0] ? roster_parse(out, plan->plan, (int)plan->world, err) : 0;
}

/* The first free port of the recipe's range. */
static int listen_in_range(const struct job *job, const char *address, uint16_t *port,
			   int *listener, struct error *err)
{
	const struct transport *transport = PART_AS(&job->transport, struct transport);
	unsigned low = 0, high = 0;
	struct error why;

	if (sscanf(job->params.port, "%5u-%5u", &low, &high) < 2)
		high = low;
	for (unsigned at = low; at <= high; at++) {
		*port = (uint16_t)at;
		if (transport->listen(job->transport.params, address, port, listener, err) == 0)
			return 0;
	}
	why = *err;
	return high ? error_set(err, "%s; transport.port has to leave a free one for each rank",
				why.text)
		    : -1;
}

/* Opens every rank's listening socket, and tells where. */
static int listen_all(struct worker *worker, const struct job *job, struct error *err)
{
	const struct transport *transport = PART_AS(&job->transport, struct transport);
	char *reached = address_reached_by();
	struct address_hints hints = { .data_addr = worker->plan.data_addr,
				       .network = worker->plan.network,
				       .reached_by = reached,
				       .loopback_allowed = worker->plan.loopback_allowed };
	char *address = transport->listen ? address_pick(&hints, err) : xstrdup("");
	int status = address ? 0 : -1;

	for (uint32_t i = 0; i < worker->plan.ranks && status == 0; i++) {
		char nobody[] = "";
		struct control_address at = { .host = nobody, .address = address };
		struct buf frame = { 0 };

		worker->ranks[i].listener = -1;
		if (transport->listen)
			status = listen_in_range(job, address, &at.port, &worker->ranks[i].listener,
						 err);
		control_put_address(&frame, worker->ranks[i].rank, &at);
		if (status == 0)
			outbox_send(worker->outbox, &frame);
		buf_release(&frame);
	}
	free(address);
	free(reached);
	return status;
}

static bool computes(const struct control_plan *plan)
{
	size_t *slots = survey_slots_parse(plan->probe, plan->world);
	bool tries = slots;

	free(slots);
	return tries || (!plan->bench.collective[0] && !plan->probe[0]);
}

/* None for what only measures, unless it has to try what it will train. */
static int load_data(const struct worker *worker, const struct job *job, struct dataset *train,
		     struct dataset *test, struct error *err)
{
	const struct data_format *format = PART_AS(&job->data, struct data_format);

	if (!computes(&worker->plan))
		return 0;
	if (format->load(job->data.params, DATA_TRAIN, job->params.seed, train, err) < 0)
		return -1;
	return format->load(job->data.params, DATA_TEST, job->params.seed, test, err);
}

static void wait_start(void *arg)
{
	struct worker *worker = arg;

	pthread_mutex_lock(&worker->lock);
	while (!worker->started)
		pthread_cond_wait(&worker->changed, &worker->lock);
	pthread_mutex_unlock(&worker->lock);
}

static struct net_peer *wait_peers(struct worker *worker)
{
	struct net_peer *peers = xcalloc(worker->plan.world, sizeof(*peers));

	pthread_mutex_lock(&worker->lock);
	while (!worker->peers)
		pthread_cond_wait(&worker->changed, &worker->lock);
	for (uint32_t i = 0; i < worker->plan.world; i++)
		peers[i] = (struct net_peer){ .host = worker->peers[i].host,
					      .address = worker->peers[i].address,
					      .port = worker->peers[i].port };
	pthread_mutex_unlock(&worker->lock);
	return peers;
}

/* What ranks that are threads of this process share, with the links that the recipe wants between
 * them. */
static int make_hub(struct rank_env *env, struct emulator **emulator, struct error *err)
{
	const struct job_params *params = &env->job->params;
	int world = (int)env->plan->world;

	if (!PART_AS(&env->job->transport, struct transport)->threads)
		return 0;
	if (params->emulate) {
		*emulator = emulator_new(params->emulate, params->emulate_rtt, world, err);
		if (!*emulator)
			return error_prefix(err, "transport.emulate");
	}
	env->hub = net_hub_new(world);
	net_hub_emulate(env->hub, *emulator);
	return 0;
}

/* Until all have ended. */
static void run_threads(struct worker *worker, struct rank_env *env)
{
	void *(*rank_life)(void *) = worker->plan.bench.collective[0] ? bench_main
				     : worker->plan.probe[0]	      ? probe_main
								      : rank_main;
	uint32_t started = 0;
	int problem = 0;

	while (started < worker->plan.ranks && problem == 0) {
		struct rank *rank = &worker->ranks[started];

		rank->env = env;
		problem = pthread_create(&rank->thread, NULL, rank_life, rank);
		started += problem == 0;
	}
	if (problem)
		send_failure(worker, "cannot start a thread for each rank");
	while (started > 0)
		pthread_join(worker->ranks[--started].thread, NULL);
}

static void run_ranks(struct worker *worker, struct rank_env *env)
{
	struct emulator *emulator = NULL;
	struct error err;

	if (make_hub(env, &emulator, &err) < 0)
		send_failure(worker, err.text);
	else
		run_threads(worker, env);
	if (env->hub)
		net_hub_free(env->hub);
	emulator_free(emulator);
}

/* From the plan to the end of all ranks. */
static void *life(void *arg)
{
	struct worker *worker = arg;
	struct job job = { 0 };
	struct dataset train = { 0 }, test = { 0 };
	struct roster roster = { 0 };
	struct rank_env env = { .job = &job,
				.plan = &worker->plan,
				.train = &train,
				.test = &test,
				.roster = worker->plan.plan[0] ? &roster : NULL,
				.outbox = worker->outbox,
				.wait_start = wait_start,
				.arg = worker };
	struct net_peer *peers = NULL;
	struct error err;

	if (allow_files(&worker->plan, &err) < 0 || read_job(worker, &job, &err) < 0 ||
	    read_roster(&worker->plan, &roster, &err) < 0 || listen_all(worker, &job, &err) < 0 ||
	    load_data(worker, &job, &train, &test, &err) < 0) {
		send_failure(worker, err.text);
	} else {
		env.peers = peers = wait_peers(worker);
		run_ranks(worker, &env);
	}
	free(peers);
	dataset_release(&train);
	dataset_release(&test);
	roster_release(&roster);
	job_release(&job);
	pthread_mutex_lock(&worker->lock);
	worker->ended = true;
	pthread_mutex_unlock(&worker->lock);
	return NULL;
}

/* As `ps -o comm` and `dstrain clean` show a worker: which run it belongs to. */
static void show_job(uint64_t job)
{
	char name[16];

	snprintf(name, sizeof(name), "dstrain-%07llx", (unsigned long long)job & 0xfffffff);
	prctl(PR_SET_NAME, name);
}

static int take_plan(struct worker *worker, const struct control_frame *frame, struct error *err)
{
	pthread_t thread;

	if (worker->planned)
		return error_set(err, "a second plan");
	if (control_get_plan(&worker->plan, frame, err) < 0)
		return -1;
	worker->planned = true;
	show_job(worker->plan.job);
	worker->ranks = xcalloc(worker->plan.ranks, sizeof(*worker->ranks));
	for (uint32_t i = 0; i < worker->plan.ranks; i++) {
		worker->ranks[i].rank = worker->plan.first_rank + i;
		worker->ranks[i].listener = -1;
		memcpy(worker->ranks[i].key, worker->plan.key, sizeof(worker->ranks[i].key));
		gate_init(&worker->ranks[i].gate, (size_t)worker->plan.start_step);
	}
	memory_wipe(worker->plan.key, sizeof(worker->plan.key));
	if (pthread_create(&thread, NULL, life, worker) != 0)
		return error_set(err, "cannot start a thread");
	pthread_detach(thread); /* it says itself when it is done */
	return 0;
}

static int take_peers(struct worker *worker, const struct control_frame *frame, struct error *err)
{
	struct control_address *peers;
	uint32_t count;

	if (control_get_peers(&peers, &count, frame, err) < 0)
		return -1;
	if (!worker->planned || count != worker->plan.world)
		return error_set(err, "%u peers for %u ranks", count, worker->plan.world);
	pthread_mutex_lock(&worker->lock);
	worker->peers = peers;
	pthread_cond_broadcast(&worker->changed);
	pthread_mutex_unlock(&worker->lock);
	return 0;
}

static struct rank *find_rank(struct worker *worker, unsigned rank)
{
	unsigned i = rank - worker->plan.first_rank;

	return worker->planned && i < worker->plan.ranks ? &worker->ranks[i] : NULL;
}

static int take_file(struct worker *worker, const struct control_frame *frame, struct error *err)
{
	struct rank *rank = find_rank(worker, frame->rank);
	struct control_chunk chunk;
	struct buf *into;

	if (!rank)
		return error_set(err, "a file for rank %u, which is not here", frame->rank);
	if (control_get_chunk(&chunk, frame, err) < 0)
		return -1;
	into = strcmp(chunk.name, "model.safetensors") == 0	  ? &rank->model
	       : strcmp(chunk.name, "optimizer.safetensors") == 0 ? &rank->optimizer
	       : strcmp(chunk.name, "debts.safetensors") == 0	  ? &rank->debts
								  : &rank->own;
	buf_add(into, chunk.bytes, chunk.length);
	free(chunk.name);
	return 0;
}

static void take_start(struct worker *worker)
{
	pthread_mutex_lock(&worker->lock);
	worker->started = true;
	pthread_cond_broadcast(&worker->changed);
	pthread_mutex_unlock(&worker->lock);
}

static void take_hold(struct worker *worker)
{
	struct buf frames = { 0 };

	for (uint32_t i = 0; i < worker->plan.ranks; i++)
		control_put_number(&frames, CONTROL_HELD, worker->ranks[i].rank,
				   gate_hold(&worker->ranks[i].gate));
	outbox_send(worker->outbox, &frames);
}

static int take_until(struct worker *worker, const struct control_frame *frame, struct error *err)
{
	uint64_t step;

	if (control_get_number(&step, frame, err) < 0)
		return -1;
	for (uint32_t i = 0; i < worker->plan.ranks; i++)
		(frame->type == CONTROL_LAST ? gate_end : gate_until)(&worker->ranks[i].gate,
								      (size_t)step);
	return 0;
}

static int take(struct worker *worker, const struct control_frame *frame, struct error *err)
{
	switch (frame->type) {
	case CONTROL_PLAN: return take_plan(worker, frame, err);
	case CONTROL_PEERS: return take_peers(worker, frame, err);
	case CONTROL_FILE: return take_file(worker, frame, err);
	case CONTROL_START: take_start(worker); return 0;
	case CONTROL_HOLD: take_hold(worker); return 0;
	case CONTROL_UNTIL:
	case CONTROL_LAST: return take_until(worker, frame, err);
	case CONTROL_BEAT: return 0;
	case CONTROL_ABORT: _exit(1);
	default:
		return error_set(err, "control message of type %d is not for a worker",
				 (int)frame->type);
	}
}

/* No destructors: ranks may still compute, and nothing of theirs is to be kept. */
static _Noreturn void leave(struct worker *worker)
{
	bool ended;

	pthread_mutex_lock(&worker->lock);
	ended = worker->ended;
	pthread_mutex_unlock(&worker->lock);
	_exit(ended ? 0 : 1);
}

/* Takes all complete frames. */
static void take_all(struct worker *worker, struct control_reader *reader)
{
	struct control_frame frame;
	struct error err;
	int status;

	while ((status = control_next(reader, &frame, &err)) > 0) {
		status = take(worker, &frame, &err);
		if (status < 0)
			break;
	}
	if (status < 0) {
		log_error("%s", err.text);
		_exit(1);
	}
}

_Noreturn void worker_main(int in, int out)
{
	struct worker worker = { 0 };
	struct control_reader reader = { .in = { .secret = true } };
	double heard = clock_now(), beat = 0; /* the first one at once */
	struct error err;

	core_forbid();
	worker.outbox = outbox_new(out, &err);
	if (!worker.outbox) {
		log_error("%s", err.text);
		_exit(1);
	}
	pthread_mutex_init(&worker.lock, NULL);
	pthread_cond_init(&worker.changed, NULL);
	send_hello(&worker);
	for (;;) {
		struct pollfd poll_in = { .fd = in, .events = POLLIN };
		ssize_t got;

		if (poll(&poll_in, 1, clock_poll_ms(beat + CONTROL_BEAT_S)) > 0) {
			got = read(in, buf_reserve(&reader.in, READ_BYTES), READ_BYTES);
			if (got == 0 || (got < 0 && errno != EINTR && errno != EAGAIN))
				leave(&worker);
			if (got > 0) {
				reader.in.length += (size_t)got;
				heard = clock_now();
				take_all(&worker, &reader);
			}
		}
		if (clock_now() >= beat + CONTROL_BEAT_S) {
			beat = clock_now();
			send_beat(&worker);
		}
		if (clock_now() > heard + ALONE_S) {
			log_error("the orchestrator has been silent for %g seconds; ending",
				  ALONE_S);
			_exit(1);
		}
	}
}
