/*
 * Several ranks in one test: `world` nets of any transport, each with a thread of its own.
 *
 *	static void body(int rank, struct net *net, void *arg) { ... }
 *	cluster_run("tcp encrypt=no", 4, body, arg);
 *
 * A body states what must hold with assert(), which ends the test program from any thread, and
 * cluster_must(); cmocka's own assertions work on the main thread only.
 */
#ifndef DSTRAIN_TESTS_CLUSTER_H
#define DSTRAIN_TESTS_CLUSTER_H

#undef NDEBUG
#include <assert.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/buf.h"
#include "lib/error.h"
#include "lib/file.h"
#include "lib/memory.h"
#include "lib/opt.h"
#include "lib/setting.h"
#include "runtime/transport/emulate.h"
#include "runtime/transport/transport.h"

enum { CLUSTER_MAX = 32 };

typedef void cluster_body(int rank, struct net *net, void *arg);

struct cluster {
	const char *spec; /* "tcp" or "tcp encrypt=no" */
	int world;
	double timeout_s;    /* 0: 60; opening is subject to it, too */
	const char *address; /* NULL: 127.0.0.1 */
	int slots;	     /* ranks of one host; 0: 1 */
	bool emulated;	     /* over links of emulated hosts */

	/* Filled by cluster_prepare. Rank r's environment may be changed before it is opened. */
	struct part part;
	struct net_env env[CLUSTER_MAX];
	struct net_peer peers[CLUSTER_MAX];
	char hosts[CLUSTER_MAX][16];
	void *hub;
	struct emulator *emulator;
};

struct cluster_rank {
	struct cluster *cluster;
	int rank;
	cluster_body *body;
	void *arg;
	pthread_t thread;
};

/* Ends the test program if a call of a body failed. */
static inline void cluster_must(int status, const struct error *err)
{
	if (status != 0) {
		fprintf(stderr, "unexpected failure: %s\n", err->text);
		abort();
	}
}

static inline struct part cluster_part(const char *spec)
{
	static const struct place here = { .file = "spec" };
	struct settings given = { 0 }, resolved = { 0 };
	struct problems problems = { 0 };
	struct part part = { 0 };
	char *copy = xstrdup(spec), *rest = copy, *word;

	settings_set(&given, "transport.name", strtok_r(rest, " ", &rest), here);
	while ((word = strtok_r(rest, " ", &rest))) {
		char *value = strchr(word, '='), *key;

		assert(value);
		*value++ = '\0';
		key = xasprintf("transport.%s", word);
		settings_set(&given, key, value, here);
		free(key);
	}
	registry_read(&transports, &given, "transport", "name", NULL, &part, &resolved, &problems);
	settings_report_unused(&given, &resolved, &problems);
	if (problems.count) {
		fputs(buf_text(&problems.text), stderr);
		abort();
	}
	settings_release(&given);
	settings_release(&resolved);
	problems_release(&problems);
	free(copy);
	return part;
}

/* Fast links between hosts of the names that the ranks have anyway. */
static inline struct emulator *cluster_emulator(int world)
{
	char path[] = "/tmp/dstrain-cluster-XXXXXX";
	int file = mkstemp(path);
	struct emulator *emulator;
	struct buf text = { 0 };
	struct error err;

	buf_addf(&text, "nic: 10gbit\ndelay: 20us\nhosts:\n");
	for (int r = 0; r < world; r++)
		buf_addf(&text, "  - node%d\n", r);
	assert(file >= 0);
	file_close(&file);
	cluster_must(file_write(path, text.data, text.length, &err), &err);
	emulator = emulator_new(path, NULL, world, &err);
	cluster_must(emulator ? 0 : -1, &err);
	unlink(path);
	buf_release(&text);
	return emulator;
}

/* Listens for every rank, where the transport does. */
static inline void cluster_prepare(struct cluster *c)
{
	const char *address = c->address ? c->address : "127.0.0.1";
	const struct transport *transport;
	uint64_t job = 4711;
	struct error err;

	assert(c->world > 0 && c->world <= CLUSTER_MAX);
	if (c->slots > 1) /* these meet at a name that is made of it, and no other program has */
		job |= (uint64_t)getpid() << 16;
	c->part = cluster_part(c->spec);
	transport = (const struct transport *)(const void *)c->part.entry;
	c->hub = transport->threads ? net_hub_new(c->world) : NULL;
	c->emulator = c->emulated ? cluster_emulator(c->world) : NULL;
	if (c->emulator)
		net_hub_emulate(c->hub, c->emulator);
	for (int r = 0; r < c->world; r++) {
		int listener = -1;

		snprintf(c->hosts[r], sizeof(c->hosts[r]), "node%d",
			 c->slots > 1 ? r / c->slots : r);
		c->peers[r] = (struct net_peer){ .host = c->hosts[r],
						 .address = transport->listen ? address : "" };
		if (transport->listen)
			cluster_must(transport->listen(c->part.params, c->peers[r].address,
						       &c->peers[r].port, &listener, &err),
				     &err);
		c->env[r] = (struct net_env){ .rank = r,
					      .world = c->world,
					      .job = job,
					      .view = 1,
					      .listener = listener,
					      .peers = c->peers,
					      .hub = c->hub,
					      .timeout_s = c->timeout_s > 0 ? c->timeout_s : 60 };
		memset(c->env[r].key, 0x5a, sizeof(c->env[r].key));
	}
}

/* After every net was closed. */
static inline void cluster_release(struct cluster *c)
{
	if (c->hub)
		net_hub_free(c->hub);
	emulator_free(c->emulator);
	part_release(&c->part);
}

static inline void *cluster_thread(void *arg)
{
	struct cluster_rank *self = arg;
	struct cluster *c = self->cluster;
	struct error err;
	struct net *net = net_open(&c->part, &c->env[self->rank], &err);

	cluster_must(net ? 0 : -1, &err);
	self->body(self->rank, net, self->arg);
	net_close(net);
	return NULL;
}

/* After cluster_prepare: opens all nets, runs body once per rank, closes each net when its body
 * returned. */
static inline void cluster_start(struct cluster *c, cluster_body *body, void *arg)
{
	struct cluster_rank ranks[CLUSTER_MAX];

	for (int r = 0; r < c->world; r++) {
		ranks[r] =
			(struct cluster_rank){ .cluster = c, .rank = r, .body = body, .arg = arg };
		assert(pthread_create(&ranks[r].thread, NULL, cluster_thread, &ranks[r]) == 0);
	}
	for (int r = 0; r < c->world; r++)
		pthread_join(ranks[r].thread, NULL);
}

static inline void cluster_go(struct cluster *c, cluster_body *body, void *arg)
{
	cluster_prepare(c);
	cluster_start(c, body, arg);
	cluster_release(c);
}

static inline void cluster_run(const char *spec, int world, cluster_body *body, void *arg)
{
	struct cluster cluster = { .spec = spec, .world = world };

	cluster_go(&cluster, body, arg);
}

/* Runs it on every transport of the registry, and with each of its switches the other way too. All
 * ranks are of different hosts, and then of one. */
static inline void cluster_run_every(int world, double timeout_s, cluster_body *body, void *arg)
{
	for (size_t i = 0; transports.entries[i]; i++) {
		const struct entry *entry = transports.entries[i];
		const struct transport *transport = (const struct transport *)(const void *)entry;
		struct cluster plain = { .spec = entry->name,
					 .world = world,
					 .timeout_s = timeout_s };
		struct cluster one_host = plain;

		one_host.slots = world;
		cluster_go(&plain, body, arg);
		if (!transport->threads && world > 1)
			cluster_go(&one_host, body, arg);
		for (const struct opt *o = entry->options; o && o->key; o++) {
			bool on = o->type == OPT_BOOL && strcmp(o->fallback, "yes") == 0;
			char *spec = xasprintf("%s %s=%s", entry->name, o->key, on ? "no" : "yes");
			struct cluster other = { .spec = spec,
						 .world = world,
						 .timeout_s = timeout_s };

			if (o->type == OPT_BOOL)
				cluster_go(&other, body, arg);
			free(spec);
		}
	}
}

/* The same over emulated links. */
static inline void cluster_run_emulated(int world, double timeout_s, cluster_body *body, void *arg)
{
	struct cluster cluster = {
		.spec = "inproc", .world = world, .timeout_s = timeout_s, .emulated = true
	};

	cluster_go(&cluster, body, arg);
}

/* One rank's net_open on a thread of its own, where failing is fine. The environment may be changed
 * before. */
struct opener {
	const struct part *part;
	struct net_env env;
	struct net *net;
	struct error err;
	pthread_t thread;
};

static inline void *opener_thread(void *arg)
{
	struct opener *self = arg;

	self->net = net_open(self->part, &self->env, &self->err);
	return NULL;
}

static inline void opener_init(struct opener *self, struct cluster *cluster, int rank)
{
	*self = (struct opener){ .part = &cluster->part, .env = cluster->env[rank] };
}

/* Opens all and waits for each. */
static inline void opener_run(struct opener *openers, size_t count)
{
	for (size_t i = 0; i < count; i++)
		assert(pthread_create(&openers[i].thread, NULL, opener_thread, &openers[i]) == 0);
	for (size_t i = 0; i < count; i++)
		pthread_join(openers[i].thread, NULL);
}

#endif
