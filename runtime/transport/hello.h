/* What two ranks tell each other first: who they are and which run they belong to. */
#ifndef DSTRAIN_RUNTIME_HELLO_H
#define DSTRAIN_RUNTIME_HELLO_H

#include <stdbool.h>
#include <stdint.h>

struct error;

enum { HELLO_BYTES = 40, HELLO_VERSION = 2 };

struct hello {
	uint32_t version;
	uint64_t job;
	uint32_t view;
	int rank, world;
	bool encrypt;
	int streams, stream; /* connections between each two ranks, and which one this is */
};

void hello_put(const struct hello *hello, unsigned char out[HELLO_BYTES]);
/* -1: this is no hello. */
int hello_get(struct hello *hello, const unsigned char bytes[HELLO_BYTES], struct error *err);
/* Whether both belong together; -1 with what differs. Ranks and which stream it is are not
 * compared. */
int hello_match(const struct hello *mine, const struct hello *theirs, struct error *err);

#endif
