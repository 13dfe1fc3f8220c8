/*
 * How the ranks of one host meet. The lowest rank is the leader:
 *
 *	leader                                  each other one
 *	makes the memory, listens, tells where
 *	                                        connects, sends proof and its eventfd
 *	              all agree that all are there
 *	sends proof, memory, all eventfds
 *	                                        maps the memory
 *	              all agree that all have it
 *
 * The proof is a MAC of the leader's nonce with the run's key, which stays where it is.
 */
#include "runtime/transport/host.h"

#include <assert.h>
#include <errno.h>
#include <openssl/hmac.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "lib/digest.h"
#include "lib/error.h"
#include "lib/file.h"
#include "lib/log.h"
#include "lib/memory.h"
#include "runtime/transport/door.h"
#include "runtime/transport/pipe.h"
#include "runtime/transport/segment.h"
#include "runtime/transport/transport.h"

enum { NONCE_BYTES = 32, PROOF_BYTES = 32, VOTE_BYTES = 200, RANKS_MAX = DOOR_FDS - 1 };

/* Why the ranks cannot share, or "". */
struct vote {
	char text[VOTE_BYTES];
};

/* What the leader says first. */
struct offer {
	struct vote vote;
	char path[DOOR_PATH];
	unsigned char nonce[NONCE_BYTES];
};

/* What is said at the door, together with descriptors. */
struct card {
	unsigned char number; /* of the rank, among those of the host */
	unsigned char proof[PROOF_BYTES];
};

struct host_memory {
	struct segment segment;
	struct net_shared shared;
	int *places; /* shared.places */
	int me, count;
	int *bells; /* [count] eventfds, or -1 */
};

/* What is needed for the meeting only. The leader is number 0 of the host. */
struct meeting {
	const struct net_env *env;
	const struct host_link *link;
	struct host_memory *memory;
	int *ranks;   /* [count] of this host, the lowest first */
	int *sockets; /* [count] the leader's to each other one; the others' to the leader at 0 */
	struct door door;
	struct offer offer;
	int memory_fd;
};

/* By which rank `number` shows to rank `to` of the host that it knows the key. */
static void prove(const struct meeting *m, int number, int to, unsigned char proof[PROOF_BYTES])
{
	unsigned char message[NONCE_BYTES + 2];
	unsigned length = 0;

	memcpy(message, m->offer.nonce, NONCE_BYTES);
	message[NONCE_BYTES] = (unsigned char)number;
	message[NONCE_BYTES + 1] = (unsigned char)to;
	HMAC(EVP_sha256(), m->env->key, NET_KEY_BYTES, message, sizeof(message), proof, &length);
	assert(length == PROOF_BYTES);
}

static bool is_proven(const struct meeting *m, const struct card *card, int to)
{
	unsigned char expected[PROOF_BYTES];

	prove(m, card->number, to, expected);
	return CRYPTO_memcmp(card->proof, expected, PROOF_BYTES) == 0;
}

/* Through the socket to rank `to` of the host. */
static int pass(struct meeting *m, int to, const int *fds, int count, struct error *err)
{
	struct card card = { .number = (unsigned char)m->memory->me };

	prove(m, card.number, to, card.proof);
	return door_pass(m->sockets[to], &card, sizeof(card), fds, count, err);
}

static int make_bell(struct host_memory *memory, struct error *err)
{
	int fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);

	memory->bells[memory->me] = fd;
	return fd < 0 ? error_set(err, "cannot make an eventfd: %s", strerror(errno)) : 0;
}

static int open_door(struct meeting *m, struct error *err)
{
	const struct net_env *env = m->env;

	if (make_bell(m->memory, err) < 0 ||
	    segment_make(&m->memory_fd, m->memory->count, err) < 0 ||
	    random_bytes(m->offer.nonce, NONCE_BYTES, err) < 0 ||
	    door_open(&m->door, env->job, env->view, env->rank, err) < 0)
		return -1;
	memcpy(m->offer.path, m->door.path, sizeof(m->offer.path));
	return 0;
}

static int knock(struct meeting *m, struct error *err)
{
	if (make_bell(m->memory, err) < 0)
		return -1;
	m->offer.path[DOOR_PATH - 1] = '\0';
	m->sockets[0] = door_knock(m->offer.path, err);
	return m->sockets[0] < 0 ? -1 : pass(m, 0, &m->memory->bells[m->memory->me], 1, err);
}

/* One who has knocked, and whose card is there. Strangers go. */
static void admit(struct meeting *m, int fd)
{
	struct host_memory *memory = m->memory;
	struct card card;
	struct error err;
	int bell;

	if (door_take(fd, &card, sizeof(card), &bell, 1, 0, &err) < 0) {
		close(fd);
	} else if (card.number == 0 || card.number >= memory->count ||
		   m->sockets[card.number] >= 0 || !is_proven(m, &card, 0)) {
		close(fd);
		close(bell);
	} else {
		m->sockets[card.number] = fd;
		memory->bells[card.number] = bell;
	}
}

static int give_memory(struct meeting *m, struct error *err)
{
	struct host_memory *memory = m->memory;
	int fds[1 + RANKS_MAX], fd;

	while ((fd = door_admit(&m->door)) >= 0)
		admit(m, fd);
	fds[0] = m->memory_fd;
	for (int i = 0; i < memory->count; i++) {
		fds[1 + i] = memory->bells[i];
		if (fds[1 + i] < 0)
			return error_set(err, "rank %d was not at the door", m->ranks[i]);
	}
	for (int i = 1; i < memory->count; i++)
		if (pass(m, i, fds, 1 + memory->count, err) < 0)
			return -1;
	return segment_map(&memory->segment, m->memory_fd, memory->count, err);
}

static int take_memory(struct meeting *m, struct error *err)
{
	struct host_memory *memory = m->memory;
	int fds[1 + RANKS_MAX];
	struct card card;

	if (door_take(m->sockets[0], &card, sizeof(card), fds, 1 + memory->count, m->env->timeout_s,
		      err) < 0)
		return -1;
	m->memory_fd = fds[0];
	for (int i = 0; i < memory->count; i++) {
		file_close(&memory->bells[i]);
		memory->bells[i] = fds[1 + i];
	}
	if (card.number != 0 || !is_proven(m, &card, memory->me))
		return error_set(err, "who opened does not have this run's key");
	return segment_map(&memory->segment, m->memory_fd, memory->count, err);
}

static void close_all(int *fds, int count)
{
	for (int i = 0; i < count; i++)
		file_close(&fds[i]);
}

/* Once somebody has said no, the rest do not matter. */
static void vote_no(struct vote *vote, int rank, const char *why)
{
	if (!vote->text[0])
		snprintf(vote->text, sizeof(vote->text), "rank %d: %.160s", rank, why);
}

/* Of a vote that came from outside. */
static void end_text(struct vote *vote)
{
	vote->text[VOTE_BYTES - 1] = '\0';
}

static int tell_all(const struct meeting *m, const void *bytes, size_t length, struct error *err)
{
	for (int i = 1; i < m->memory->count; i++)
		if (m->link->tell(m->link->arg, m->ranks[i], bytes, length, err) < 0)
			return -1;
	return 0;
}

/* Every rank gives its vote and gets the outcome. */
static int agree(const struct meeting *m, struct vote *vote, struct error *err)
{
	const struct host_link *link = m->link;
	struct vote other;

	if (m->memory->me > 0) {
		if (link->tell(link->arg, m->ranks[0], vote, sizeof(*vote), err) < 0)
			return -1;
		if (link->hear(link->arg, m->ranks[0], vote, sizeof(*vote), err) < 0)
			return -1;
		end_text(vote);
		return 0;
	}
	for (int i = 1; i < m->memory->count; i++) {
		if (link->hear(link->arg, m->ranks[i], &other, sizeof(other), err) < 0)
			return -1;
		end_text(&other);
		if (!vote->text[0])
			*vote = other;
	}
	return tell_all(m, vote, sizeof(*vote), err);
}

/* -1: the link failed. Otherwise the vote is the same in all ranks. */
static int meet(struct meeting *m, struct vote *vote, struct error *err)
{
	bool leads = m->memory->me == 0;
	int rank = m->env->rank, status;
	struct error why;

	if (leads && open_door(m, &why) < 0)
		vote_no(&m->offer.vote, rank, why.text);
	if (leads && tell_all(m, &m->offer, sizeof(m->offer), err) < 0)
		return -1;
	if (!leads &&
	    m->link->hear(m->link->arg, m->ranks[0], &m->offer, sizeof(m->offer), err) < 0)
		return -1;
	*vote = m->offer.vote;
	end_text(vote);
	if (vote->text[0])
		return 0;
	if (!leads && knock(m, &why) < 0)
		vote_no(vote, rank, why.text);
	status = agree(m, vote, err);
	if (status < 0 || vote->text[0])
		return status;
	if ((leads ? give_memory(m, &why) : take_memory(m, &why)) < 0)
		vote_no(vote, rank, why.text);
	if (leads)
		door_close(&m->door);
	close_all(m->sockets, m->memory->count); /* who still waits there need not */
	return agree(m, vote, err);
}

/* The leader tells it people, once for each host. */
static void tell_user(const struct meeting *m, const struct vote *vote)
{
	const char *host = m->env->peers[m->env->rank].host;

	if (!vote->text[0])
		log_debug("rank %d shares memory with the other %d of '%s'", m->env->rank,
			  m->memory->count - 1, host);
	else if (m->memory->me == 0)
		log_info("the ranks of '%s' share no memory, and use TCP: %s", host, vote->text);
	else
		log_debug("rank %d shares no memory: %s", m->env->rank, vote->text);
}

/* Numbers the ranks of this host. */
static struct host_memory *new_memory(const struct net_env *env, int *ranks)
{
	struct host_memory *memory = xcalloc(1, sizeof(*memory));
	size_t world = (size_t)env->world;

	memory->places = xcalloc(world, sizeof(int));
	memory->bells = xcalloc(world, sizeof(int));
	for (int rank = 0; rank < env->world; rank++) {
		memory->bells[rank] = -1;
		memory->places[rank] = -1;
		if (strcmp(env->peers[rank].host, env->peers[env->rank].host) != 0)
			continue;
		if (rank == env->rank)
			memory->me = memory->count;
		ranks[memory->count] = rank;
		memory->places[rank] = memory->count++;
	}
	return memory;
}

int host_meet(struct host_memory **out, const struct net_env *env, const struct host_link *link,
	      struct error *err)
{
	int *ranks = xcalloc((size_t)env->world, sizeof(int));
	struct host_memory *memory = new_memory(env, ranks);
	struct meeting m = { .env = env,
			     .link = link,
			     .memory = memory,
			     .ranks = ranks,
			     .door = { .fd = -1 },
			     .memory_fd = -1 };
	struct vote vote = { "there are too many of them" }; /* meet says what is true */
	int status = 0;

	m.sockets = xcalloc((size_t)memory->count, sizeof(int));
	for (int i = 0; i < memory->count; i++)
		m.sockets[i] = -1;
	if (memory->count > 1 && memory->count <= RANKS_MAX)
		status = meet(&m, &vote, err);
	if (memory->count > 1 && status == 0)
		tell_user(&m, &vote);
	door_close(&m.door);
	close_all(m.sockets, memory->count);
	file_close(&m.memory_fd);
	free(m.sockets);
	free(ranks);
	*out = NULL;
	if (memory->count < 2 || status < 0 || vote.text[0]) {
		host_free(memory);
		return status;
	}
	memory->shared = (struct net_shared){ .bytes = memory->segment.bytes,
					      .count = memory->count,
					      .places = memory->places };
	*out = memory;
	return 0;
}

void host_free(struct host_memory *memory)
{
	if (!memory)
		return;
	segment_release(&memory->segment);
	close_all(memory->bells, memory->count);
	free(memory->bells);
	free(memory->places);
	free(memory);
}

const struct net_shared *host_shared(const struct host_memory *memory)
{
	return &memory->shared;
}

struct pipe_sleeper *host_sleeper(const struct host_memory *memory)
{
	return segment_sleeper(&memory->segment, memory->me);
}

int host_bell(const struct host_memory *memory)
{
	return memory->bells[memory->me];
}

bool host_pipes(const struct host_memory *memory, int peer, struct pipe_end *in,
		struct pipe_end *out)
{
	int number = memory->places[peer];
	struct pipe_end end;

	if (number < 0 || number == memory->me)
		return false;
	end = (struct pipe_end){ .other = segment_sleeper(&memory->segment, number),
				 .bell = memory->bells[number] };
	*in = *out = end;
	in->memory = segment_pipe(&memory->segment, number, memory->me);
	out->memory = segment_pipe(&memory->segment, memory->me, number);
	return true;
}
