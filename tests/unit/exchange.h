/* What tests of exchanges have in common: gradients made up, and what must come of them. */
#ifndef DSTRAIN_TESTS_EXCHANGE_H
#define DSTRAIN_TESTS_EXCHANGE_H

#include <math.h>
#include <stdatomic.h>

#include "runtime/exchange.h"
#include "tests/unit/cluster.h"

#define DIGEST_START 14695981039346656037u

/* Of a rank's gradient in a step. */
static inline float element(int rank, size_t step, size_t i)
{
	uint32_t mixed = ((uint32_t)i * 512 + (uint32_t)step * 16 + (uint32_t)rank + 1) *
			 UINT32_C(2654435761);

	return (float)(mixed >> 8) * 0x1p-24f - 0.5f;
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

/* The first rank says what it must be. */
static inline void must_equal(_Atomic uint64_t *wanted, uint64_t digest)
{
	uint64_t none = 0;

	if (!atomic_compare_exchange_strong(wanted, &none, digest))
		assert(none == digest);
}

/* Over all steps, what came out and what is still owed is what went in. */
static inline void check_totals(struct net *net, const struct group *world, const double *totals,
				struct exchange *exchange, size_t count, size_t steps)
{
	float *owed = xcalloc(count, sizeof(*owed)), *residual = exchange_residual(exchange);
	struct error err;

	if (residual)
		memcpy(owed, residual, count * sizeof(*owed));
	cluster_must(coll_allreduce(net, world, COLL_TREE, owed, count, &err), &err);
	for (size_t i = 0; i < count; i++) {
		double given = 0;

		for (int r = 0; r < world->count; r++)
			for (size_t step = 0; step < steps; step++)
				given += (double)element(r, step, i);
		assert(fabs(totals[i] + (double)owed[i] - given) < 1e-3);
	}
	free(owed);
}

#endif
