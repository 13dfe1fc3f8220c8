/* Which samples belong to which rank, where ranks see different data. */
#ifndef DSTRAIN_RUNTIME_PARTITION_H
#define DSTRAIN_RUNTIME_PARTITION_H

#include <stddef.h>
#include <stdint.h>

struct dataset;
struct shard_params;

/*
 * The samples of a rank; caller frees. Over all ranks every sample occurs exactly once, and each
 * rank has at least one if there are enough; sizes[world]: how many. Not for SHARD_IID.
 */
uint32_t *partition_of(const struct shard_params *params, const struct dataset *dataset, int rank,
		       int world, uint64_t seed, size_t *sizes);

#endif
