/* The orchestrator's end of one worker: its frames, its log, and whether it lives. */
#ifndef DSTRAIN_LIB_CHANNEL_H
#define DSTRAIN_LIB_CHANNEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/buf.h"
#include "lib/control.h"
#include "lib/process.h"

struct error;
struct host;
struct pollfd;
struct ssh;

enum { CHANNEL_TAIL = 10, CHANNEL_POLLS = 3 };

struct channel {
	const struct host *host; /* borrowed */
	struct ssh *ssh;	 /* borrowed; NULL for a local worker */
	const char *mark;	 /* of the run; borrowed; see struct site */
	struct process process;
	uint32_t first_rank, ranks;
	char *log_path;		  /* NULL: none */
	int log;		  /* descriptor; stderr of the worker goes there */
	char *tail[CHANNEL_TAIL]; /* its last lines, oldest first; NULL: fewer */
	struct buf line;	  /* the unfinished last one */
	struct control_reader reader;
	struct buf out; /* to be written; empty once all is */
	size_t written; /* of it */
	double heard;	/* clock_now when the last byte came */
	bool behind;	/* frames that came are still to be handled */
	bool ended;	/* its stdout is closed */
	bool failed;	/* it reported a failure of its own, or ended too early */
	struct control_hello hello;
	struct control_beat beat;
	struct process_status status; /* valid once `gone` */
	bool gone;
};

/* Takes the process over; the log file is made at `log_path` (copied; NULL: none). */
int channel_open(struct channel *channel, const char *log_path, struct error *err);
/* Seconds of silence after which the worker counts as lost. */
double channel_patience(const struct channel *channel);
/* Bit-identical results need the same kernels everywhere: warns and returns true where they differ.
 */
bool channel_compare(const struct channel *first, const struct channel *other);
/* Fills CHANNEL_POLLS entries (fd -1 where there is nothing to wait for). */
void channel_polls(const struct channel *channel, struct pollfd *polls);
/* Moves bytes after a poll: never blocks. */
void channel_move(struct channel *channel, const struct pollfd *polls);
/* Takes in what has come, to be handled later; never blocks. */
void channel_hear(struct channel *channel);
void channel_push(struct channel *channel);	 /* writes what can be; never blocks */
void channel_end_input(struct channel *channel); /* the worker gets end of file */
/* Waits until the process ended; true if it did by the deadline. */
bool channel_reap(struct channel *channel, double deadline);
/* Best effort to end those that are not gone, in a second; over SSH through one more command. */
void channels_kill(struct channel *channels, size_t count);
void channel_close(struct channel *channel); /* zeroed is fine */

#endif
