/* A private array of a rank that a checkpoint must hold. */
#ifndef DSTRAIN_RUNTIME_STATE_ARRAY_H
#define DSTRAIN_RUNTIME_STATE_ARRAY_H

#include <stddef.h>

struct state_array {
	const char *name;
	float *x; /* of the module that tells of it */
	size_t count;
};

enum { STATE_ARRAYS = 8 }; /* that a module has at most */

#endif
