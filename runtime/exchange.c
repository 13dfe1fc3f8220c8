/* The only place where compressors meet the wire: residual, encode, collective, decode. */
#include "runtime/exchange.h"

#include <assert.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "lib/error.h"
#include "lib/memory.h"
#include "lib/registry.h"
#include "runtime/compress/compress.h"
#include "runtime/device/cpu.h"
#include "runtime/transport/transport.h"

struct exchange {
	struct exchange_env env;
	const struct compressor *compressor;
	float *residual;	/* [env.count], or NULL */
	unsigned char *payload; /* as much as the largest vector so far needs */
	size_t payload_size;
};

struct exchange *exchange_new(const struct exchange_env *env)
{
	struct exchange *exchange = xcalloc(1, sizeof(*exchange));

	exchange->env = *env;
	exchange->compressor = PART_AS(env->compressor, struct compressor);
	if (exchange->compressor->payload == PAYLOAD_OPAQUE)
		exchange->residual = xaligned(env->count * sizeof(float));
	return exchange;
}

void exchange_free(struct exchange *exchange)
{
	if (!exchange)
		return;
	free(exchange->residual);
	free(exchange->payload);
	free(exchange);
}

float *exchange_residual(struct exchange *exchange)
{
	return exchange->residual;
}

/* One vector of a step. */
struct vector {
	size_t step, offset;
	float *x;
	size_t count;
};

static int decode(const struct exchange *exchange, const unsigned char *payload, size_t length,
		  float scale, float *y, size_t count, struct error *err)
{
	return exchange->compressor->decode_add(exchange->env.compressor->params, payload, length,
						scale, y, count, err);
}

/* Encodes x and what earlier steps left behind. Returns the length of exchange->payload. */
static size_t encode(struct exchange *exchange, const struct vector *vector)
{
	const void *params = exchange->env.compressor->params;
	float *residual = exchange->residual + vector->offset;
	size_t bound = exchange->compressor->bound(params, vector->count);
	uint64_t which = (uint64_t)net_rank(exchange->env.net) << 40 | vector->offset;
	struct compress_input input = { .x = residual,
					.count = vector->count,
					.rng = rng_make(exchange->env.seed, RNG_COMPRESS, which,
							vector->step) };

	if (bound > exchange->payload_size) {
		free(exchange->payload);
		exchange->payload = xmalloc(bound);
		exchange->payload_size = bound;
	}
	cpu_add(residual, vector->x, vector->count);
	return exchange->compressor->encode(params, &input, exchange->payload);
}

/* Takes what was sent out of the residual. A value that overflowed stays out of it: one bad step
 * must not spoil all later ones. */
static int keep_rest(struct exchange *exchange, const struct vector *vector, size_t length,
		     struct error *err)
{
	float *residual = exchange->residual + vector->offset;

	if (decode(exchange, exchange->payload, length, -1, residual, vector->count, err) < 0)
		return -1;
	for (size_t i = 0; i < vector->count; i++)
		residual[i] = isfinite(residual[i]) ? residual[i] : 0;
	return 0;
}

static int sum_opaque(struct exchange *exchange, const struct group *group,
		      const struct vector *vector, struct error *err)
{
	size_t n = (size_t)group->count, length = encode(exchange, vector);
	size_t *starts = xcalloc(2 * n, sizeof(*starts)), *lengths = starts + n;
	unsigned char *all = NULL;
	int status = keep_rest(exchange, vector, length, err);

	if (status == 0)
		status = coll_allgather_bytes(exchange->env.net, group, exchange->payload, length,
					      &all, starts, lengths, err);
	if (status == 0)
		memset(vector->x, 0, vector->count * sizeof(float));
	for (size_t i = 0; i < n && status == 0; i++) {
		status = decode(exchange, all + starts[i], lengths[i], 1, vector->x, vector->count,
				err);
		if (status < 0)
			error_prefix(err, "rank %d", group->ranks[i]);
	}
	free(all);
	free(starts);
	return status;
}

int exchange_sum(struct exchange *exchange, const struct group *group, size_t step, size_t offset,
		 float *x, size_t count, struct error *err)
{
	struct vector vector = { .step = step, .offset = offset, .x = x, .count = count };

	if (group->count == 1 || count == 0)
		return 0;
	if (exchange->compressor->payload == PAYLOAD_SUMS)
		return coll_allreduce(exchange->env.net, group, exchange->env.algorithm, x, count,
				      err);
	assert(offset <= exchange->env.count && count <= exchange->env.count - offset);
	return sum_opaque(exchange, group, &vector, err);
}

int exchange_mean(struct exchange *exchange, const struct group *group, size_t step, size_t offset,
		  float *x, size_t count, struct error *err)
{
	if (exchange_sum(exchange, group, step, offset, x, count, err) < 0)
		return -1;
	cpu_scale(x, 1 / (float)group->count, count);
	return 0;
}
