/*
 * A byte pipe in memory that two ranks of a host share. Each end believes only its own count of
 * bytes; what the other one has written into the memory is judged before it is used.
 */
#include "runtime/transport/pipe.h"

#include <errno.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

#include "lib/error.h"
#include "lib/log.h"

enum {
	PIECE = PIPE_BYTES / 8,	     /* shown to the other side at once: both copy at a time */
	ROOM_WORTH = PIPE_BYTES / 2, /* what a writer that waits is woken for */
};

_Static_assert((PIPE_BYTES & (PIPE_BYTES - 1)) == 0, "the place of a byte is its number, masked");
_Static_assert(ATOMIC_LLONG_LOCK_FREE == 2 && ATOMIC_INT_LOCK_FREE == 2, "no locks between us");

static bool sleeps(struct pipe_sleeper *sleeper)
{
	for (int i = 0; i < PIPE_THREADS; i++)
		if (atomic_load(&sleeper->asleep[i]))
			return true;
	return false;
}

/* Wakes the other side if it sleeps and nobody has done so. */
static void ring(const struct pipe_end *end)
{
	const uint64_t one = 1;

	if (sleeps(end->other) && !atomic_exchange(&end->other->rung, 1) &&
	    write(end->bell, &one, sizeof(one)) < 0)
		log_debug("cannot wake a rank of this host: %s", strerror(errno));
}

static int judge(uint64_t there, struct error *err)
{
	if (there <= PIPE_BYTES)
		return 0;
	return error_set(err, "has damaged the memory that both ranks share");
}

/* How many bytes there are to read, by what was last seen or by a new look if that is none. */
static long readable(struct pipe_end *end, size_t wanted, struct error *err)
{
	if (end->seen - end->at < wanted)
		end->seen = atomic_load(&end->memory->written);
	if (judge(end->seen - end->at, err) < 0)
		return -1;
	return (long)(end->seen - end->at);
}

static long writable(struct pipe_end *end, size_t wanted, struct error *err)
{
	if (PIPE_BYTES - (end->at - end->seen) < wanted)
		end->seen = atomic_load(&end->memory->read);
	if (judge(end->at - end->seen, err) < 0)
		return -1;
	return (long)(PIPE_BYTES - (end->at - end->seen));
}

static size_t smaller(size_t a, size_t b)
{
	return a < b ? a : b;
}

/* The longest piece from `at` on that lies in a row. */
static size_t in_a_row(uint64_t at, size_t length)
{
	return smaller(smaller(length, PIECE), PIPE_BYTES - (size_t)(at & (PIPE_BYTES - 1)));
}

long pipe_read(struct pipe_end *end, void *bytes, size_t length, struct error *err)
{
	struct pipe_memory *memory = end->memory;
	unsigned char *to = bytes;
	size_t done = 0;
	long there = 0;

	while (done < length && (there = readable(end, length - done, err)) > 0) {
		size_t piece = in_a_row(end->at, smaller((size_t)there, length - done));

		memcpy(to + done, memory->bytes + (end->at & (PIPE_BYTES - 1)), piece);
		done += piece;
		end->at += piece;
		atomic_store(&memory->read, end->at);
		if (atomic_load(&memory->full) &&
		    atomic_load(&memory->written) - end->at <= ROOM_WORTH &&
		    atomic_exchange(&memory->full, 0))
			ring(end);
	}
	return there < 0 ? -1 : (long)done;
}

/* Lets the other side see what was written. */
static void show(struct pipe_end *end)
{
	end->shown = end->at;
	atomic_store(&end->memory->written, end->at);
	ring(end);
}

/* As pipe_write, of one part; the last bytes may not be shown yet. */
static long write_part(struct pipe_end *end, const struct iovec *part, struct error *err)
{
	const unsigned char *from = part->iov_base;
	size_t length = part->iov_len, done = 0;
	long room = 0;

	while (done < length && (room = writable(end, smaller(length - done, PIECE), err)) > 0) {
		size_t piece = in_a_row(end->at, smaller((size_t)room, length - done));

		memcpy(end->memory->bytes + (end->at & (PIPE_BYTES - 1)), from + done, piece);
		done += piece;
		end->at += piece;
		if (end->at - end->shown >= PIECE)
			show(end);
	}
	return room < 0 ? -1 : (long)done;
}

long pipe_write(struct pipe_end *end, const struct iovec *parts, int count, struct error *err)
{
	uint64_t start = end->at;
	long put = 0;

	for (int i = 0; i < count; i++) {
		put = write_part(end, &parts[i], err);
		if (put < (long)parts[i].iov_len)
			break;
	}
	if (end->at != end->shown)
		show(end);
	return put < 0 ? -1 : (long)(end->at - start);
}

void pipe_sleeps(struct pipe_sleeper *self, enum pipe_thread thread)
{
	atomic_store(&self->asleep[thread], 1);
	atomic_store(&self->rung, 0); /* a peer may have ended between the mark and the ring */
}

void pipe_awake(struct pipe_sleeper *self, enum pipe_thread thread)
{
	atomic_store(&self->asleep[thread], 0);
}

void pipe_answer(struct pipe_sleeper *self, int bell)
{
	uint64_t rings;

	if (read(bell, &rings, sizeof(rings)) < 0 && errno != EAGAIN)
		log_debug("cannot read an eventfd: %s", strerror(errno));
	atomic_store(&self->rung, 0);
}

bool pipe_has_input(const struct pipe_end *end)
{
	return atomic_load(&end->memory->written) != end->at;
}

bool pipe_has_room(struct pipe_end *end)
{
	atomic_store(&end->memory->full, 1);
	return end->at - atomic_load(&end->memory->read) <= ROOM_WORTH;
}
