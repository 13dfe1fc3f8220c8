/*
 * The control plane: framed messages between the orchestrator and a worker process, over the
 * worker's stdin and stdout. A frame is magic u32, type u16, rank u16, length u32, payload; all
 * little-endian. Whatever stands on the stream before the first frame (banners) is skipped.
 */
#ifndef DSTRAIN_LIB_CONTROL_H
#define DSTRAIN_LIB_CONTROL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/buf.h"
#include "lib/drift.h"
#include "lib/traffic.h"

struct error;

enum { CONTROL_VERSION = 1, CONTROL_LARGEST = 1 << 24, CONTROL_CHUNK = 1 << 18 };
enum { CONTROL_KEY_BYTES = 32 };

#define CONTROL_BEAT_S	 0.5 /* each side says something at least this often */
#define CONTROL_SILENT_S 3.0 /* after which a worker counts as lost */

enum control_type {
	/* worker to orchestrator */
	CONTROL_HELLO = 1, /* struct control_hello */
	CONTROL_LISTENING, /* struct control_address of one rank */
	CONTROL_READY,	   /* struct control_ready; the rank waits for START */
	CONTROL_STEP,	   /* struct control_step */
	CONTROL_EVAL,	   /* struct control_step, of an evaluation */
	CONTROL_FILE,	   /* struct control_chunk; both ways: checkpoints, and restoring them */
	CONTROL_FILES_END, /* u64 step: this rank's part of the checkpoint is complete */
	CONTROL_HELD,	   /* u64 step: answer to HOLD; the rank will not begin that step */
	CONTROL_DONE,	   /* u64 step: steps completed */
	CONTROL_FAILED,	   /* struct control_failure */
	CONTROL_BEAT,	   /* worker's carries struct control_beat; the orchestrator's is empty */
	CONTROL_ROW,	   /* struct control_row, of a bench; from rank 0 */
	CONTROL_SURVEY,	   /* text: what a probe knows by now, as JSON; from rank 0 */

	/* orchestrator to worker */
	CONTROL_PLAN,  /* struct control_plan */
	CONTROL_PEERS, /* u32 count, then a struct control_address each, in rank order */
	CONTROL_START, /* empty; after the files to restore */
	CONTROL_HOLD,  /* empty: name a step that this rank has not begun, and do not begin it */
	CONTROL_UNTIL, /* u64 step: run up to there, checkpoint and end */
	CONTROL_LAST,  /* the same, but as if there were no more steps: evaluate, too */
	CONTROL_ABORT, /* empty: end now */
	CONTROL_TYPES
};

struct control_frame {
	enum control_type type;
	unsigned rank;
	const void *payload; /* points into the reader; valid until the next control_next */
	size_t length;
};

/* Who a worker is. Texts are owned. */
struct control_hello {
	uint32_t version; /* CONTROL_VERSION; the rest is only read if it is ours */
	char *release;	  /* of dstrain, for messages */
	char *digest;	  /* of the program */
	char *machine;	  /* "x86_64" */
	char *address;	  /* by which SSH reached the host; "" if it did not */
	char *kernel; /* of the matrix products: results differ between kernels in the last digits
		       */
	uint32_t pid, cores;
	uint64_t memory_bytes;
	double wall_s; /* the host's clock */
};

/* What to measure instead of training. */
struct control_bench {
	char *collective;		  /* by its name, owned; "": train */
	uint64_t first_bytes, last_bytes; /* the smallest and the largest vector */
	uint64_t factor;		  /* from one size to the next */
	uint64_t iterations;		  /* of each size; 0: the ranks choose */
};

/* What a worker process is to do. Texts are owned. */
struct control_plan {
	char *recipe; /* resolved, as text */
	uint64_t job, start_step;
	uint32_t view, world, first_rank, ranks; /* this process runs ranks of them */
	unsigned char key[CONTROL_KEY_BYTES];
	char *network, *data_addr; /* "" if not given */
	char *cache_dir;	   /* data files are CACHE/data/DIGEST; "" on this machine */
	char **paths, **digests;   /* [files] of data files, as the recipe names them */
	uint32_t files;
	bool loopback_allowed; /* all ranks are on one machine */
	struct control_bench bench;
	char *probe; /* JSON: measure the links instead of training; "": do not */
	char *plan;  /* JSON: who synchronises with whom, and on which links; "": nobody knows */
};

struct control_address {
	char *host, *address; /* owned */
	uint16_t port;
};

struct control_ready {
	uint64_t parameters, samples, test_samples, steps, steps_per_epoch;
	char *loss;	   /* name, owned */
	bool accuracy;	   /* means something for this loss */
	uint64_t labels;   /* targets of one sample, which steps count */
	bool asynchronous; /* ranks report steps of their own, and not the same ones at a time */
};

struct control_step {
	uint64_t step; /* steps completed, from 1 */
	double loss_sum, lr, gradient_norm;
	uint64_t correct, count;
	double data_s, compute_s, comm_s, exposed_comm_s, step_s;
	struct traffic traffic;
	double level; /* of a compressor that adapts; 0: none */
	struct drift drift;
};

/* What was measured of one size. */
struct control_row {
	uint64_t bytes, count;	    /* as in the table */
	uint64_t iterations, wrong; /* elements, on all ranks */
	double seconds;		    /* of the slowest rank, median over the iterations */
};

struct control_chunk {
	uint64_t step, size, offset;
	char *name;	   /* owned; a plain file name */
	const void *bytes; /* points into the frame */
	size_t length;
};

struct control_failure {
	bool lost_peer; /* a peer went away: probably not this rank's fault */
	char *text;	/* owned */
};

struct control_beat {
	uint64_t resident_bytes, available_bytes; /* of this process; of its machine */
};

/* One frame around a payload. */
void control_put(struct buf *out, enum control_type type, unsigned rank, const void *payload,
		 size_t length);

void control_put_hello(struct buf *out, const struct control_hello *hello);
/* `out` should be secret, and so should a reader's `in` that a plan comes through. */
void control_put_plan(struct buf *out, const struct control_plan *plan);
void control_put_address(struct buf *out, unsigned rank, const struct control_address *address);
void control_put_peers(struct buf *out, const struct control_address *peers, uint32_t count);
void control_put_ready(struct buf *out, unsigned rank, const struct control_ready *ready);
void control_put_step(struct buf *out, enum control_type type, unsigned rank,
		      const struct control_step *step);
void control_put_number(struct buf *out, enum control_type type, unsigned rank, uint64_t number);
/* A FILE frame; the name is borrowed. */
void control_put_chunk(struct buf *out, unsigned rank, const struct control_chunk *chunk);
/* A whole file as FILE frames of at most CONTROL_CHUNK bytes each. */
void control_put_file(struct buf *out, unsigned rank, uint64_t step, const char *name,
		      const void *bytes, size_t length);
void control_put_failure(struct buf *out, unsigned rank, const struct control_failure *failure);
void control_put_beat(struct buf *out, const struct control_beat *beat);
void control_put_row(struct buf *out, unsigned rank, const struct control_row *row);
void control_put_survey(struct buf *out, unsigned rank, const char *text);

/* Payloads back to structs; -1 and err if the payload is malformed, nothing is owned then. */
int control_get_hello(struct control_hello *out, const struct control_frame *frame,
		      struct error *err);
int control_get_plan(struct control_plan *out, const struct control_frame *frame,
		     struct error *err);
int control_get_address(struct control_address *out, const struct control_frame *frame,
			struct error *err);
int control_get_peers(struct control_address **out, uint32_t *count,
		      const struct control_frame *frame, struct error *err);
int control_get_ready(struct control_ready *out, const struct control_frame *frame,
		      struct error *err);
int control_get_step(struct control_step *out, const struct control_frame *frame,
		     struct error *err);
int control_get_number(uint64_t *out, const struct control_frame *frame, struct error *err);
int control_get_chunk(struct control_chunk *out, const struct control_frame *frame,
		      struct error *err);
int control_get_failure(struct control_failure *out, const struct control_frame *frame,
			struct error *err);
int control_get_beat(struct control_beat *out, const struct control_frame *frame,
		     struct error *err);
int control_get_row(struct control_row *out, const struct control_frame *frame, struct error *err);
int control_get_survey(char **out, const struct control_frame *frame, struct error *err);

void control_hello_release(struct control_hello *hello);
void control_plan_release(struct control_plan *plan); /* wipes the key */
void control_address_release(struct control_address *address);

/* Bytes as they come, frames as they get complete. Zeroed is valid. */
struct control_reader {
	struct buf in;
	size_t from;  /* where in it the next frame begins, once what was taken is left behind */
	size_t taken; /* bytes of the frame that was handed out last */
	bool begun;   /* the first frame was seen */
};

/* The next complete frame: 1, 0 if more bytes are needed, -1 if the stream is not ours. */
int control_next(struct control_reader *reader, struct control_frame *frame, struct error *err);
void control_reader_release(struct control_reader *reader);

#endif
