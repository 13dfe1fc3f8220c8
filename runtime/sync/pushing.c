/* What a rank has where weights are pushed along edges that go one way. */
#include "runtime/sync/pushing.h"

#include <stdlib.h>
#include <string.h>

#include "lib/memory.h"
#include "runtime/device/cpu.h"

struct pushing pushing_new(size_t count)
{
	return (struct pushing){ .count = count,
				 .x = xaligned(count * sizeof(float)),
				 .scratch = xaligned(count * sizeof(float)) };
}

void pushing_release(struct pushing *pushing)
{
	free(pushing->x);
	free(pushing->scratch);
	*pushing = (struct pushing){ 0 };
}

void pushing_give(const struct pushing *pushing, float *weight)
{
	memcpy(weight, pushing->x, pushing->count * sizeof(*weight));
	cpu_scale(weight, 1 / pushing->y, pushing->count);
}

void pushing_take(struct pushing *pushing, float *weight)
{
	if (pushing->y == 0) {
		pushing->y = 1;
		memcpy(pushing->x, weight, pushing->count * sizeof(*weight));
		return;
	}
	pushing_give(pushing, pushing->scratch);
	cpu_axpy(weight, -1, pushing->scratch, pushing->count);
	cpu_add(pushing->x, weight, pushing->count);
}

size_t pushing_state(struct pushing *pushing, struct state_array *arrays)
{
	arrays[0] = (struct state_array){ "pushed", pushing->x, pushing->count };
	arrays[1] = (struct state_array){ "mass", &pushing->y, 1 };
	return 2;
}
