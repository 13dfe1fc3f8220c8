/* What the system allows this process: open files, and memory and processors where a cgroup bounds
 * them. */
#ifndef DSTRAIN_LIB_LIMIT_H
#define DSTRAIN_LIB_LIMIT_H

#include <stddef.h>
#include <stdint.h>

struct error;

/* Raises the limit on open files to `wanted`, if it is lower. `what` for the error: "8 workers". */
int limit_descriptors(size_t wanted, const char *what, struct error *err);

/* Memory that all processes under our limit may have; and what is left of it. */
struct limit_memory {
	uint64_t bytes, available_bytes;
};
struct limit_memory limit_memory(void);

/* How many threads can run at the same time; at least 1. */
size_t limit_processors(void);

#endif
