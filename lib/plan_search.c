/* Local search for a better order of the ranks. What is tried next depends on the seed alone. */
#include "lib/plan_search.h"

#include <stdlib.h>
#include <string.h>

#include "lib/clock.h"
#include "lib/draw.h"
#include "lib/memory.h"

/* Better by less is not better: sums of floats differ as much. */
static const double LEAST = 1e-9;

static void swap(int *order, int i, int j)
{
	int kept = order[i];

	order[i] = order[j];
	order[j] = kept;
}

static void turn(int *order, int i, int j)
{
	for (; i < j; i++, j--)
		swap(order, i, j);
}

/* The ranks of places i..j-1 go behind those of j..k-1. */
static void move(int *order, int i, int j, int k)
{
	turn(order, i, j - 1);
	turn(order, j, k - 1);
	turn(order, i, k - 1);
}

/* One of: two ranks change places; a part of the ring is turned round; a few ranks go elsewhere. */
static void change(const struct plan_search *search, int *order, uint64_t number)
{
	const struct draw draw = { .seed = search->seed, .stream = number };
	int world = search->world;
	int i = (int)draw_below(&draw, 0, world), j = (int)draw_below(&draw, 1, world);
	uint64_t kind = search->ring ? draw_below(&draw, 2, 3) : 0;

	if (i > j) {
		int kept = i;

		i = j;
		j = kept;
	}
	if (kind == 0) {
		swap(order, i, j);
	} else if (kind == 1) {
		turn(order, i, j);
	} else if (i < j) {
		int length = 1 + (int)draw_below(&draw, 3, 3), most = j - i;

		length = length < most ? length : most;
		if (draw_below(&draw, 4, 2))
			move(order, i, i + length, j + 1);
		else
			move(order, i, j + 1 - length, j + 1);
	}
}

/* What is as good is gone on from, but not taken: an order that wins nothing stays as it is. */
double plan_search_run(struct plan_search *search)
{
	int world = search->world, patience = 500 + (world < 64 ? 60 * world : 4000), tried = 0;
	size_t bytes = (size_t)world * sizeof(int);
	int *now = xmalloc(bytes), *next = xmalloc(bytes);
	double best = search->seconds(search->arg, search->order);

	memcpy(now, search->order, bytes);
	for (uint64_t number = 0; world > 2 && tried < patience; number++, tried++) {
		double seconds;

		if (clock_now() >= search->deadline)
			break;
		memcpy(next, now, bytes);
		change(search, next, number);
		seconds = search->seconds(search->arg, next);
		if (seconds > best)
			continue;
		memcpy(now, next, bytes);
		if (seconds >= best * (1 - LEAST))
			continue;
		best = seconds;
		tried = 0;
		memcpy(search->order, next, bytes);
	}
	free(now);
	free(next);
	return best;
}
