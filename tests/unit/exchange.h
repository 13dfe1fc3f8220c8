/* An exchange of a block of three tensors on every rank of a cluster. */
#ifndef DSTRAIN_TESTS_EXCHANGE_H
#define DSTRAIN_TESTS_EXCHANGE_H

#include <stdatomic.h>

#include "runtime/coll_cost.h"
#include "runtime/compress/compress.h"
#include "runtime/exchange.h"
#include "tests/unit/cluster.h"

enum { BLOCK = 3000, STEPS = 20 };

/* What the ranks of all runs share. */
struct trial {
	const struct part *compressor;
	const struct coll_cost *cost;	    /* of the group */
	const struct compress_rules *rules; /* may be NULL */
	struct exchange_params params;
	_Atomic uint64_t digest;     /* of the results; the first rank says what it must be */
	uint64_t debts[CLUSTER_MAX]; /* of residuals, by rank */
};

static const struct coder_span spans[] = { { "first", 0, 700 },
					   { "second", 700, 1 },
					   { "third", 701, BLOCK - 701 } };

static inline float element(int rank, size_t step, size_t i)
{
	uint32_t mixed = ((uint32_t)i * 512 + (uint32_t)step * 16 + (uint32_t)rank + 1) *
			 UINT32_C(2654435761);

	return (float)(mixed >> 8) * 0x1p-24f - 0.5f;
}

static inline struct exchange *open_exchange(const struct trial *trial, struct net *net)
{
	struct exchange_env env = { .net = net,
				    .params = trial->params,
				    .count = BLOCK,
				    .coder = { .compressor = trial->compressor,
					       .rules = trial->rules,
					       .seed = 42,
					       .steps = STEPS,
					       .spans = spans,
					       .span_count = ARRAY_SIZE(spans) } };

	return exchange_new(&env);
}

static inline uint64_t mix(uint64_t digest, const float *x, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		uint32_t bits;

		memcpy(&bits, &x[i], sizeof(bits));
		digest = (digest ^ bits) * 1099511628211u;
	}
	return digest;
}

static inline void must_agree(struct trial *trial, uint64_t digest)
{
	uint64_t none = 0;

	if (!atomic_compare_exchange_strong(&trial->digest, &none, digest))
		assert(none == digest);
}

/* x becomes this rank's gradient of a step, sent in two buckets, the later one first. */
static inline void exchange_step(struct exchange *exchange, const struct group *world, size_t step,
				 float *x)
{
	const size_t half = BLOCK / 3;
	struct error err;

	for (size_t i = 0; i < BLOCK; i++)
		x[i] = element(world->index, step, i);
	cluster_must(exchange_sum(exchange, world, step, half, x + half, BLOCK - half, &err), &err);
	cluster_must(exchange_sum(exchange, world, step, 0, x, half, &err), &err);
}

#endif
