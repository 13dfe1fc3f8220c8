/* What groups agreed on when they met last: compressed averages travel as differences to it. */
#include "runtime/sync/reference.h"

#include <stdlib.h>
#include <string.h>

#include "lib/memory.h"
#include "runtime/device/cpu.h"
#include "runtime/exchange.h"

struct references references_new(const struct sync_env *env, size_t groups)
{
	struct references references = { .groups = groups, .count = env->count };

	if (!exchange_is_lossy(env->exchange))
		return (struct references){ 0 };
	references.x = xaligned(groups * env->count * sizeof(*references.x));
	references.met = xcalloc(groups, sizeof(*references.met));
	return references;
}

static int meet_first(const struct sync_env *env, const struct group *group, float *reference,
		      float *x, struct error *err)
{
	if (coll_allreduce(env->net, group, COLL_AUTO, x, env->count, err) < 0)
		return -1;
	cpu_scale(x, 1 / (float)group->count, env->count);
	memcpy(reference, x, env->count * sizeof(*x));
	return 0;
}

int reference_average(struct references *references, const struct sync_env *env,
		      const struct group *group, size_t which, size_t step, float *x,
		      struct error *err)
{
	float *reference;

	if (!references->x)
		return exchange_average(env->exchange, group, step, x, NULL, err);
	reference = references->x + which * env->count;
	if (references->met[which] != 0)
		return exchange_average(env->exchange, group, step, x, reference, err);
	references->met[which] = 1;
	return meet_first(env, group, reference, x, err);
}

size_t references_state(const struct references *references, struct state_array *arrays)
{
	if (!references->x)
		return 0;
	arrays[0] = (struct state_array){ "reference", references->x,
					  references->groups * references->count };
	arrays[1] = (struct state_array){ "met", references->met, references->groups };
	return 2;
}

void references_release(struct references *references)
{
	free(references->x);
	free(references->met);
	*references = (struct references){ 0 };
}
