/* Who averages with whom at each step: ds_sync's schedules. */
#include "runtime/sync/ds_schedule.h"

#include <stdlib.h>

#include "lib/error.h"
#include "lib/memory.h"
#include "lib/plan.h"
#include "runtime/sync/sync.h"

const char *const ds_schedule_names[] = { "planned", "radix", "random", "rotating", NULL };

enum { FACTORS = sizeof(int) * 8 };

/* From the smallest: a power of two is averaged in pairs. Returns how many. */
static int prime_factors(int number, int *factors)
{
	int count = 0;

	for (int factor = 2; number > 1; factor++)
		for (; number % factor == 0; number /= factor)
			factors[count++] = factor;
	return count;
}

/* Averages in groups smaller than all never become exact where the number of ranks is a prime. */
static struct schedule smallest_groups(const struct group *world, int group)
{
	int factors[FACTORS], count = prime_factors(world->count, factors);

	if (count > 1)
		return schedule_radix(world->count, world->ranks, factors, count);
	if (world->count <= group + 1) /* of 2 or 3: nobody is left alone */
		return schedule_flat(world->count, world->ranks);
	return schedule_rotating(world->count, world->ranks, group, world->count);
}

static int given_radix(struct schedule *out, const struct group *world,
		       const struct opt_counts *given, struct error *err)
{
	size_t product = 1;
	int *radix;

	for (size_t i = 0; i < given->count && product <= (size_t)world->count; i++)
		product *= given->values[i];
	if (product != (size_t)world->count)
		return error_set(err,
				 "sync.radix: its product has to be the number of ranks, which is "
				 "%d",
				 world->count);
	radix = xcalloc(given->count, sizeof(*radix));
	for (size_t i = 0; i < given->count; i++)
		radix[i] = (int)given->values[i];
	*out = schedule_radix(world->count, world->ranks, radix, (int)given->count);
	free(radix);
	return 0;
}

bool ds_schedule_wants_plan(const struct ds_schedule_params *params)
{
	return params->kind == DS_PLANNED && params->radix.count == 0;
}

/* A plan of groups that stay as they are has no schedule that mixes all ranks. */
static bool is_for_us(const struct plan *plan, const struct group *world)
{
	return plan && plan->kind != PLAN_HIERARCHICAL && plan->schedule.world == world->count;
}

int ds_schedule_init(struct ds_schedule *schedule, const struct ds_schedule_params *params,
		     const struct sync_env *env, struct error *err)
{
	const struct group *world = env->world;
	int group = params->group < (size_t)world->count ? (int)params->group : world->count;

	*schedule = (struct ds_schedule){ .seed = env->seed };
	schedule->planned = ds_schedule_wants_plan(params) && is_for_us(env->plan, world);
	if (params->radix.count && (params->kind == DS_RANDOM || params->kind == DS_ROTATING))
		return error_set(err,
				 "sync.radix: groups of schedule '%s' have none; leave it out, or "
				 "use sync.schedule: radix",
				 ds_schedule_names[params->kind]);
	if (params->kind == DS_RANDOM)
		schedule->drawn = partition_random(world->count, group, env->seed, 0);
	else if (params->kind == DS_ROTATING)
		schedule->fixed =
			schedule_rotating(world->count, world->ranks, group, world->count);
	else if (schedule->planned)
		schedule_copy(&schedule->fixed, &env->plan->schedule);
	else if (params->radix.count)
		return given_radix(&schedule->fixed, world, &params->radix, err);
	else
		schedule->fixed = smallest_groups(world, group);
	return 0;
}

const struct partition *ds_schedule_at(struct ds_schedule *schedule, uint64_t step)
{
	if (schedule->fixed.phases)
		return &schedule->fixed.phase[step % (uint64_t)schedule->fixed.phases];
	partition_draw(&schedule->drawn, schedule->seed, step);
	return &schedule->drawn;
}

void ds_schedule_release(struct ds_schedule *schedule)
{
	schedule_release(&schedule->fixed);
	partition_release(&schedule->drawn);
}
