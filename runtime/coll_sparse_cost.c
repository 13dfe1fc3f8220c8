/* What a sparse allreduce takes, predicted from what all members know. */
#include "runtime/coll_sparse.h"

#include <math.h>
#include <stdbool.h>

#include "runtime/coll_cost.h"
#include "runtime/sparse_vector.h"

/* Seconds to pack a pair and unpack it again, and to merge it with others. */
static const double CODE_S = 18e-9, MERGE_S = 5e-9;

enum { HEAD = 8, FIRST = 64 << 10 }; /* bytes in front of pairs; most of a message */

/* Of two halves, by plain arithmetic: all members must choose alike. */
double coll_sparse_fill(size_t space, double count, int n)
{
	double all = (double)space, half, sum;

	if (n <= 1 || count >= all)
		return fmin(count, all);
	half = coll_sparse_fill(space, count, n / 2);
	sum = half + half * (1 - half / all);
	return n % 2 ? sum + count * (1 - sum / all) : sum;
}

/* Bytes of `count` pairs. Indices take half a bit less each than they can at most. */
static double packed(double space, double count)
{
	size_t coordinates = (size_t)ceil(space), pairs = (size_t)ceil(count);
	double values = count * sizeof(float), indices;

	if (pairs == 0)
		return HEAD;
	pairs = pairs < coordinates ? pairs : coordinates;
	indices = (double)(sparse_vector_bound(pairs, coordinates) - pairs * sizeof(float));
	indices = fmax(indices * count / (double)pairs - count / 16, 0);
	return HEAD + fmin(values + indices, space * sizeof(float));
}

/* To so many peers at once, `bytes` each, and what is done with their pairs. */
static double step(const struct coll_cost *cost, double peers, double bytes, double coded,
		   double merged)
{
	double messages = bytes > FIRST ? 2 * peers : peers;

	return cost->alpha_s + (messages - 1) * cost->message_s + peers * bytes * cost->beta_s +
	       coded * CODE_S + merged * MERGE_S;
}

static struct coll_sparse_cost recursive_doubling(const struct coll_cost *cost, int n, size_t space,
						  double count)
{
	struct coll_sparse_cost total = { .algorithm = COLL_SPARSE_RECURSIVE_DOUBLING };
	double all = (double)space, sum = coll_sparse_fill(space, count, n), bytes;
	int power = 1, folded;

	while (power <= n / 2)
		power *= 2;
	folded = n - power;
	if (folded > 0) {
		total.seconds = step(cost, 1, packed(all, count), count, 2 * count) +
				step(cost, 1, packed(all, sum), sum, 0);
		total.bytes = folded * (packed(all, count) + packed(all, sum));
	}
	for (int bit = 1; bit < power; bit *= 2) {
		for (int first = 0; first < power; first += bit) {
			int guests = folded - first < bit ? folded - first : bit;

			sum = coll_sparse_fill(space, count, bit + (guests > 0 ? guests : 0));
			bytes = packed(all, sum);
			total.bytes += bit * bytes;
			if (first == 0) /* nobody sends more */
				total.seconds += step(cost, 1, bytes, sum, 2 * sum);
		}
	}
	return total;
}

static struct coll_sparse_cost split_allgather(const struct coll_cost *cost, int n, size_t space,
					       double count)
{
	double slice = (double)space / n, sum = coll_sparse_fill(space, count, n);
	double scattered = packed(slice, count / n), gathered = packed(slice, sum / n);
	double merged = 0;

	for (int bit = 1; bit < n; bit *= 2)
		merged += count;
	return (struct coll_sparse_cost){
		.algorithm = COLL_SPARSE_SPLIT_ALLGATHER,
		.seconds = step(cost, n - 1, scattered, count, merged) +
			   step(cost, n - 1, gathered, sum, 0),
		.bytes = n * (n - 1) * (scattered + gathered),
	};
}

struct coll_sparse_cost coll_sparse_cost(const struct coll_cost *cost, int n,
					 enum coll_sparse_algorithm algorithm, size_t space,
					 double count)
{
	struct coll_sparse_cost doubling = { .algorithm = COLL_SPARSE_RECURSIVE_DOUBLING };
	struct coll_sparse_cost split = { .algorithm = COLL_SPARSE_SPLIT_ALLGATHER };

	if (n > 1 && space > 0) {
		doubling = recursive_doubling(cost, n, space, count);
		split = split_allgather(cost, n, space, count);
	}
	if (algorithm == COLL_SPARSE_AUTO)
		return doubling.seconds <= split.seconds ? doubling : split;
	return algorithm == COLL_SPARSE_RECURSIVE_DOUBLING ? doubling : split;
}
