/* Where arrays that are not alive at the same time may share memory. */
#include "runtime/model/arena.h"

#include <stdlib.h>

#include "lib/memory.h"
#include "runtime/slice.h"

enum { LINE = 64 };

static size_t rounded(size_t bytes)
{
	return slice_round_up(bytes, LINE);
}

/* The largest first, so that small ones fill the gaps; ties in the order of their lives. */
static int compare(const void *a, const void *b)
{
	const struct arena_item *x = *(struct arena_item *const *)a;
	const struct arena_item *y = *(struct arena_item *const *)b;

	if (x->bytes != y->bytes)
		return x->bytes < y->bytes ? 1 : -1;
	return x->begin == y->begin ? (x > y) - (x < y) : x->begin > y->begin ? 1 : -1;
}

/* The lowest offset at which `item` meets none of the placed ones. */
static size_t lowest_place(struct arena_item *const *placed, size_t count,
			   const struct arena_item *item)
{
	size_t offset = 0, moved;

	do {
		moved = offset;
		for (size_t i = 0; i < count; i++) {
			const struct arena_item *other = placed[i];

			if (other->begin <= item->end && item->begin <= other->end &&
			    other->offset < offset + rounded(item->bytes) &&
			    offset < other->offset + rounded(other->bytes))
				offset = other->offset + rounded(other->bytes);
		}
	} while (offset != moved);
	return offset;
}

size_t arena_place(struct arena_item *items, size_t count)
{
	struct arena_item **sorted = xcalloc(count, sizeof(struct arena_item *));
	size_t total = 0, real = 0;

	for (size_t i = 0; i < count; i++) {
		items[i].offset = 0;
		if (items[i].bytes > 0)
			sorted[real++] = &items[i];
	}
	qsort(sorted, real, sizeof(struct arena_item *), compare);
	for (size_t i = 0; i < real; i++) {
		size_t end;

		sorted[i]->offset = lowest_place(sorted, i, sorted[i]);
		end = sorted[i]->offset + rounded(sorted[i]->bytes);
		total = end > total ? end : total;
	}
	free(sorted);
	return total;
}
