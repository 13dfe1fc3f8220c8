/* The only place where compressors meet the wire: residual, encode, collective, decode. */
#include "runtime/exchange.h"

#include <assert.h>
#include <stdlib.h>

#include "lib/error.h"
#include "lib/memory.h"
#include "runtime/coll_cost.h"
#include "runtime/coll_sparse.h"
#include "runtime/coll_volume.h"
#include "runtime/device/cpu.h"
#include "runtime/exchange_way.h"
#include "runtime/residual.h"
#include "runtime/slice.h"
#include "runtime/transport/transport.h"

/* As enum feedback, behind what leaves it to the scheme. */
static const char *const feedbacks[] = { "auto",     "none", "classic", "momentum-corrected",
					 "momentum", NULL };

static const char *const collectives[] = { "auto", "gather", "owners", "sparse", NULL };

const struct opt exchange_options[] = {
	{ "feedback", OPT_CHOICE, offsetof(struct exchange_params, feedback), "auto",
	  "what is left out is sent later: as it suits the scheme, never, or always",
	  .choices = feedbacks },
	{ "momentum", OPT_REAL, offsetof(struct exchange_params, momentum), "0.9",
	  "of feedback with momentum, in place of the optimizer's", .min = 0, .max = 0.9999 },
	{ "collective", OPT_CHOICE, offsetof(struct exchange_params, collective), "auto",
	  "how compressed vectors are summed: whole, slices by their owners, or pairs",
	  .choices = collectives },
	{ 0 }
};

enum feedback exchange_feedback(const struct exchange_params *params, const struct part *compressor)
{
	const struct compressor *scheme = PART_AS(compressor, struct compressor);

	if (scheme->payload == PAYLOAD_SUMS)
		return FEEDBACK_NONE;
	if (params->feedback)
		return (enum feedback)(params->feedback - 1);
	return scheme->runs_away && scheme->runs_away(compressor->params) ? FEEDBACK_NONE
									  : scheme->feedback;
}

bool exchange_is_lossy(const struct exchange *exchange)
{
	return coder_is_lossy(exchange->coder, 0, exchange->env.count);
}

static bool acts_alone(const struct exchange *exchange, enum feedback feedback)
{
	struct coder_piece piece;
	size_t span = 0;

	while (coder_next(exchange->coder, 0, exchange->env.count, &span, &piece))
		if (piece.vote != VOTE_NO)
			return true;
	return feedback == FEEDBACK_MOMENTUM || feedback == FEEDBACK_MOMENTUM_CORRECTED;
}

struct exchange *exchange_new(const struct exchange_env *env)
{
	struct exchange *exchange = xcalloc(1, sizeof(*exchange));
	struct coder_env coder = env->coder;
	enum feedback feedback = env->differences
					 ? FEEDBACK_NONE
					 : exchange_feedback(&env->params, env->coder.compressor);

	coder.rank = net_rank(env->net);
	coder.count = env->count;
	exchange->env = *env;
	exchange->coder = coder_new(&coder);
	exchange->residual = residual_new(feedback, env->params.momentum, env->count);
	exchange->acts_alone = acts_alone(exchange, feedback);
	exchange->factors = exchange_factors_new(exchange);
	exchange->numbers = xcalloc(4 * (size_t)net_world(env->net), sizeof(size_t));
	for (int k = 0; k < EXCHANGE_DEPTH; k++) {
		exchange->slices[k] = coll_round_new(net_world(env->net));
		exchange->sums[k] = coll_round_new(net_world(env->net));
	}
	return exchange;
}

void exchange_free(struct exchange *exchange)
{
	if (!exchange)
		return;
	for (int k = 0; k < EXCHANGE_DEPTH; k++) {
		coll_round_free(exchange->slices[k]);
		coll_round_free(exchange->sums[k]);
	}
	exchange_factors_free(exchange->factors);
	residual_free(exchange->residual);
	coder_free(exchange->coder);
	free(exchange->difference);
	free(exchange->sent);
	free(exchange->message);
	free(exchange->numbers);
	coll_sparse_free(exchange->sparse);
	sparse_vector_release(&exchange->pairs);
	free(exchange);
}

float *exchange_residual(struct exchange *exchange)
{
	return residual_owed(exchange->residual);
}

size_t exchange_state(struct exchange *exchange, struct state_array *arrays)
{
	size_t count = residual_state(exchange->residual, arrays), learnt;
	float *scheme = coder_state(exchange->coder, &learnt);

	if (scheme)
		arrays[count++] = (struct state_array){ "compress", scheme, learnt };
	return count + exchange_factors_state(exchange->factors, arrays + count);
}

struct coder_report exchange_report(const struct exchange *exchange)
{
	return coder_report(exchange->coder);
}

int64_t exchange_saved(const struct exchange *exchange)
{
	return exchange->saved;
}

void exchange_count_dense(struct exchange *exchange, const struct vector *vector)
{
	const struct exchange_env *env = &exchange->env;

	exchange->saved += (int64_t)(net_payload_sent(env->net) +
				     coll_allreduce_volume(env->net, vector->group, env->algorithm,
							   vector->count));
}

void exchange_count_sent(struct exchange *exchange)
{
	exchange->saved -= (int64_t)net_payload_sent(exchange->env.net);
}

struct vector exchange_part(const struct vector *of, size_t start, size_t count)
{
	struct vector part = *of;

	part.offset += start;
	part.x += start;
	part.count = count;
	return part;
}

struct vector exchange_segment(const struct vector *vector, size_t segments, size_t k)
{
	size_t count, start = slice_start(vector->count, segments, k, &count);

	return exchange_part(vector, start, count);
}

enum coll_way exchange_way(const struct group *group, size_t bytes)
{
	const struct coll_cost *cost = group->cost ? group->cost : &coll_cost_default;

	return coll_cost_best(cost, group->count, bytes) == COLL_RING ? COLL_SAME_RING
								      : COLL_SAME_DIRECT;
}

int exchange_decode(struct exchange *exchange, int rank, const unsigned char *message,
		    size_t length, size_t offset, float *y, size_t count, struct error *err)
{
	if (coder_decode(exchange->coder, message, length, 1, offset, y, count, err) == 0)
		return 0;
	for (int k = 0; k < EXCHANGE_DEPTH; k++) {
		coll_round_flush(exchange->slices[k]);
		coll_round_flush(exchange->sums[k]);
	}
	return error_prefix(err, "rank %d", rank);
}

int exchange_give_up(struct exchange *exchange, const struct error *err)
{
	net_abort(exchange->env.net, err->text);
	for (int k = 0; k < EXCHANGE_DEPTH; k++) {
		coll_round_abandon(exchange->slices[k]);
		coll_round_abandon(exchange->sums[k]);
	}
	return -1;
}

void exchange_make_room(struct exchange *exchange, size_t bytes)
{
	if (bytes <= exchange->room)
		return;
	free(exchange->message);
	exchange->message = xmalloc(bytes);
	exchange->room = bytes;
}

int exchange_messages(struct exchange *exchange, const struct vector *vector, struct error *err)
{
	static int (*const run[])(struct exchange *, const struct vector *, struct error *) = {
		[EXCHANGE_GATHER] = exchange_gather,
		[EXCHANGE_OWNERS] = exchange_owners,
		[EXCHANGE_SPARSE] = exchange_sparse,
	};
	enum exchange_collective way = exchange->env.params.collective;

	if (way == EXCHANGE_AUTO)
		way = exchange_choose(exchange, vector);
	if (run[way](exchange, vector, err) < 0)
		return -1;
	coder_count_votes(exchange->coder, vector->offset, vector->x, vector->count);
	return 0;
}

static int sum_opaque(struct exchange *exchange, const struct vector *vector, struct error *err)
{
	bool in_parts = exchange->env.algorithm == COLL_HIERARCHICAL &&
			coll_parts_count(vector->group->parts) > 1;

	return in_parts ? exchange_across(exchange, vector, err)
			: exchange_messages(exchange, vector, err);
}

static int sum_lossy(struct exchange *exchange, const struct vector *vector, struct error *err)
{
	struct vector run;
	size_t span = 0;

	coder_begin(exchange->coder, vector->step, vector->offset, vector->x, vector->count);
	if (exchange->factors && exchange_factors(exchange, vector, NULL, err) < 0)
		return -1;
	while (exchange_next_opaque(exchange, vector, &span, &run))
		if (sum_opaque(exchange, &run, err) < 0)
			return -1;
	return 0;
}

int exchange_sum(struct exchange *exchange, const struct group *group, size_t step, size_t offset,
		 float *x, size_t count, struct error *err)
{
	struct vector vector = {
		.group = group, .step = step, .offset = offset, .x = x, .count = count
	};

	if (count == 0 || (group->count == 1 && !exchange->acts_alone))
		return 0;
	if (!coder_is_lossy(exchange->coder, offset, count))
		return coll_allreduce(exchange->env.net, group, exchange->env.algorithm, x, count,
				      err);
	assert(offset <= exchange->env.count && count <= exchange->env.count - offset);
	exchange_count_dense(exchange, &vector);
	if (sum_lossy(exchange, &vector, err) < 0)
		return -1;
	exchange_count_sent(exchange);
	return 0;
}

int exchange_mean(struct exchange *exchange, const struct group *group, size_t step, size_t offset,
		  float *x, size_t count, struct error *err)
{
	if (exchange_sum(exchange, group, step, offset, x, count, err) < 0)
		return -1;
	cpu_scale(x, 1 / (float)group->count, count);
	if (coder_is_lossy(exchange->coder, offset, count))
		coder_count_votes(exchange->coder, offset, x, count);
	return 0;
}
