/*
 * Sums of matrices as products P Q^T of few columns: PowerSGD (Vogels, Karimireddy and Jaggi,
 * NeurIPS 2019, algorithms 1 and 2). P = sum_i M_i Q of what is in Q from the step before, made
 * orthonormal; Q = sum_i M_i^T P; the sum is P Q^T, of which rank i has contributed P (M_i^T P)^T.
 * Two allreduces a vector, of all its P and of all its Q. What is no matrix, or too small to gain,
 * and what needs no scheme rides the first as it is.
 *
 * What a rank decides on follows from sums alone, by arithmetic that is the same on all processors,
 * so that all ranks have the same bits.
 */
#include <stdlib.h>
#include <string.h>

#include "lib/memory.h"
#include "runtime/device/low_rank.h"
#include "runtime/exchange_way.h"
#include "runtime/residual.h"

/* One piece of a vector on its way. */
struct term {
	struct coder_piece piece;
	size_t rows, columns, rank; /* rank 0: it is summed as it is */
	float *x;		    /* where the sum goes */
	float *due;		    /* what this rank brings */
	float *start;		    /* [rank][columns] what P is made of */
	float *left;		    /* [rank][rows] P; the sum, if it travels as it is */
	float *right, *own;	    /* [rank][columns] Q, and this rank's part of it */
};

struct factors {
	uint64_t seed;
	float *start;	  /* [start_count] of all matrices: warm starts */
	size_t *start_of; /* [span_count] where those of a matrix are */
	size_t start_count;

	struct term *terms; /* [span_count] of the vector, [count] of them */
	size_t count;
	float *sums; /* [room] what terms point to: all left, all right, all own */
	size_t room, lefts, rights;
};

static bool is_opaque(const struct coder_piece *piece)
{
	return piece->compressor->payload == PAYLOAD_OPAQUE;
}

/* Of a whole matrix; what a vector has a part of is as good as none. */
static size_t rank_of(const struct coder_piece *piece)
{
	const struct coder_span *span = piece->span;

	if (piece->compressor->payload != PAYLOAD_FACTORS || span->rows == 0 ||
	    piece->count != span->count)
		return 0;
	return piece->compressor->rank(piece->params, span->rows, span->count / span->rows);
}

/* The same on all ranks. */
static void draw(const struct factors *factors, size_t offset, uint64_t step, uint64_t first,
		 float *x, size_t count)
{
	struct rng rng = rng_make(factors->seed, RNG_FACTORS, offset, step);

	for (size_t i = 0; i < count; i++)
		x[i] = (float)rng_normal(&rng, first + i);
}

static void draw_starts(struct factors *factors, const struct exchange *exchange)
{
	struct coder_piece piece;
	size_t span = 0;

	factors->start = xaligned(factors->start_count * sizeof(*factors->start));
	while (coder_next(exchange->coder, 0, exchange->env.count, &span, &piece)) {
		size_t rank = rank_of(&piece);
		size_t columns = rank ? piece.count / piece.span->rows : 0;
		float *start = factors->start + factors->start_of[span - 1];

		draw(factors, piece.offset, 0, 0, start, rank * columns);
		for (size_t k = 0; k < rank; k++)
			low_rank_normalise(start + k * columns, columns);
	}
}

struct factors *exchange_factors_new(const struct exchange *exchange)
{
	size_t count = exchange->env.coder.spans ? exchange->env.coder.span_count : 1, span = 0;
	struct factors *factors = xcalloc(1, sizeof(*factors));
	struct coder_piece piece;
	bool some = false;

	factors->seed = exchange->env.coder.seed;
	factors->start_of = xcalloc(count, sizeof(*factors->start_of));
	factors->terms = xcalloc(count, sizeof(*factors->terms));
	while (coder_next(exchange->coder, 0, exchange->env.count, &span, &piece)) {
		size_t rank = rank_of(&piece);

		some = some || piece.compressor->payload == PAYLOAD_FACTORS;
		factors->start_of[span - 1] = factors->start_count;
		if (rank)
			factors->start_count += rank * (piece.count / piece.span->rows);
	}
	if (!some) {
		exchange_factors_free(factors);
		return NULL;
	}
	if (!exchange->env.differences)
		draw_starts(factors, exchange);
	return factors;
}

void exchange_factors_free(struct factors *factors)
{
	if (!factors)
		return;
	free(factors->start);
	free(factors->start_of);
	free(factors->terms);
	free(factors->sums);
	free(factors);
}

size_t exchange_factors_state(struct factors *factors, struct state_array *arrays)
{
	if (!factors || !factors->start || !factors->start_count)
		return 0;
	arrays[0] = (struct state_array){ "factors", factors->start, factors->start_count };
	return 1;
}

bool exchange_next_opaque(const struct exchange *exchange, const struct vector *vector,
			  size_t *span, struct vector *run)
{
	struct coder_piece piece;

	*run = *vector;
	run->count = 0;
	if (!exchange->factors) {
		run->count = *span ? 0 : vector->count;
		*span = 1;
		return run->count > 0;
	}
	while (coder_next(exchange->coder, vector->offset, vector->count, span, &piece)) {
		if (is_opaque(&piece)) {
			run->offset = run->count ? run->offset : piece.offset;
			run->count += piece.count;
		} else if (run->count) {
			break;
		}
	}
	run->x = vector->x + (run->offset - vector->offset);
	return run->count > 0;
}

static void make_room(struct factors *factors)
{
	size_t wanted = factors->lefts + 2 * factors->rights;

	if (wanted <= factors->room)
		return;
	free(factors->sums);
	factors->sums = xaligned(wanted * sizeof(*factors->sums));
	factors->room = wanted;
}

static void lay_out(struct factors *factors)
{
	float *left, *right;

	make_room(factors);
	left = factors->sums;
	right = left + factors->lefts;
	for (size_t i = 0; i < factors->count; i++) {
		struct term *term = &factors->terms[i];

		term->left = left;
		term->right = right;
		term->own = right + factors->rights;
		left += term->rank ? term->rank * term->rows : term->piece.count;
		right += term->rank * term->columns;
	}
}

/* The vector's pieces that are no message's. */
static void collect(struct factors *factors, const struct exchange *exchange,
		    const struct vector *vector)
{
	struct coder_piece piece;
	size_t span = 0;

	factors->count = factors->lefts = factors->rights = 0;
	while (coder_next(exchange->coder, vector->offset, vector->count, &span, &piece)) {
		struct term term = { .piece = piece,
				     .rank = rank_of(&piece),
				     .x = vector->x + (piece.offset - vector->offset) };

		if (is_opaque(&piece))
			continue;
		if (term.rank) {
			term.rows = piece.span->rows;
			term.columns = piece.count / term.rows;
		}
		if (factors->start)
			term.start = factors->start + factors->start_of[span - 1];
		factors->lefts += term.rank ? term.rank * term.rows : piece.count;
		factors->rights += term.rank * term.columns;
		factors->terms[factors->count++] = term;
	}
	lay_out(factors);
}

/* P = M Q, of the last step's Q. */
static void start_warm(const struct term *term)
{
	low_rank_left(term->left, term->start, term->due, term->rank, term->rows, term->columns);
}

/* Differences to a reference may add up to nothing while none of them is nothing: P = M M^T G, with
 * G drawn, spans what is largest in any of them. */
static void start_cold(const struct factors *factors, const struct term *term, size_t step)
{
	draw(factors, term->piece.offset, step, 0, term->left, term->rank * term->rows);
	low_rank_right(term->own, term->left, term->due, term->rank, term->rows, term->columns);
	for (size_t k = 0; k < term->rank; k++)
		low_rank_normalise(term->own + k * term->columns, term->columns);
	low_rank_left(term->left, term->own, term->due, term->rank, term->rows, term->columns);
}

static int begin(struct exchange *exchange, const struct vector *vector, bool cold,
		 struct error *err)
{
	struct factors *factors = exchange->factors;

	for (size_t i = 0; i < factors->count; i++) {
		struct term *term = &factors->terms[i];
		const struct coder_piece *piece = &term->piece;

		term->due = cold ? term->x
				 : residual_due(exchange->residual, piece->offset, term->x,
						piece->count);
		if (coder_check(exchange->coder, piece, term->due, err) < 0)
			return exchange_give_up(exchange, err);
		if (!term->rank)
			memcpy(term->left, term->due, piece->count * sizeof(*term->left));
		else if (cold)
			start_cold(factors, term, vector->step);
		else
			start_warm(term);
	}
	return 0;
}

static int add_up(struct exchange *exchange, const struct group *group, struct error *err)
{
	struct factors *factors = exchange->factors;
	float *right = factors->sums + factors->lefts, *own = right + factors->rights;
	size_t count = 0;

	for (size_t i = 0; i < factors->count; i++)
		count += factors->terms[i].piece.count;
	coder_count(exchange->coder, (factors->lefts + factors->rights) * sizeof(float), count);
	if (coll_allreduce(exchange->env.net, group, exchange->env.algorithm, factors->sums,
			   factors->lefts, err) < 0)
		return -1;
	for (size_t i = 0; i < factors->count; i++) {
		const struct term *term = &factors->terms[i];

		low_rank_orthonormalise(term->left, term->rank, term->rows);
		if (term->rank)
			low_rank_right(term->own, term->left, term->due, term->rank, term->rows,
				       term->columns);
	}
	memcpy(right, own, factors->rights * sizeof(*right));
	return coll_allreduce(exchange->env.net, group, exchange->env.algorithm, right,
			      factors->rights, err);
}

/* Takes what this rank has contributed out of `from`, which may be NULL, and puts the sum where it
 * goes. */
static void finish(const struct term *term, float *from)
{
	size_t count = term->piece.count;

	if (term->rank) {
		if (from)
			low_rank_subtract(from, term->left, term->own, term->rank, term->rows,
					  term->columns);
		low_rank_expand(term->x, term->left, term->right, term->rank, term->rows,
				term->columns);
		return;
	}
	for (size_t i = 0; from && i < count; i++)
		from[i] -= term->due[i];
	memcpy(term->x, term->left, count * sizeof(*term->x));
}

/* The next step starts from this one's Q. Where there was nothing, anew: it would stay nothing. */
static void keep_starts(const struct factors *factors, const struct term *term, size_t step)
{
	size_t count = term->columns;

	for (size_t k = 0; k < term->rank; k++) {
		float *start = term->start + k * count;

		memcpy(start, term->right + k * count, count * sizeof(*start));
		if (low_rank_normalise(start, count))
			continue;
		draw(factors, term->piece.offset, step + 1, k * count, start, count);
		low_rank_normalise(start, count);
	}
}

int exchange_factors(struct exchange *exchange, const struct vector *vector, float *weights,
		     struct error *err)
{
	struct factors *factors = exchange->factors;
	float *from = weights ? weights : residual_owed(exchange->residual);

	collect(factors, exchange, vector);
	if (factors->count == 0)
		return 0;
	if (begin(exchange, vector, weights, err) < 0 || add_up(exchange, vector->group, err) < 0)
		return -1;
	for (size_t i = 0; i < factors->count; i++) {
		const struct term *term = &factors->terms[i];

		finish(term, from ? from + term->piece.offset : NULL);
		if (weights)
			continue;
		residual_settled(exchange->residual, term->piece.offset, term->piece.count);
		keep_starts(factors, term, vector->step);
	}
	return 0;
}
