/* What all members have to know before they vote. */
#include "runtime/exchange_way.h"

#include <stdlib.h>
#include <string.h>

#include "lib/error.h"

int exchange_agree(struct exchange *exchange, const struct vector *vector, const float *x,
		   struct error *err)
{
	const struct group *group = vector->group;
	size_t *starts = exchange->numbers, *lengths = starts + group->count, spans;
	float *largest = coder_measure(exchange->coder, vector->offset, x, vector->count, &spans);
	unsigned char *all = NULL;
	float other;
	int status;

	if (!largest)
		return 0;
	status = coll_allgather_bytes(exchange->env.net, group, (unsigned char *)largest,
				      spans * sizeof(*largest), &all, starts, lengths, err);
	for (int i = 0; i < group->count && status == 0; i++) {
		if (lengths[i] != spans * sizeof(*largest))
			status = error_set(err,
					   "rank %d: %zu bytes of sizes where %zu were expected",
					   group->ranks[i], lengths[i], spans * sizeof(*largest));
		for (size_t k = 0; k < spans && status == 0; k++) {
			memcpy(&other, all + starts[i] + k * sizeof(other), sizeof(other));
			largest[k] = other > largest[k] ? other : largest[k];
		}
	}
	free(all);
	return status;
}
