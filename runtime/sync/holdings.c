/* Which ranks hold which parameters. */
#include "runtime/sync/holdings.h"

#include <math.h>
#include <stdlib.h>

#include "lib/error.h"
#include "lib/links.h"
#include "lib/memory.h"
#include "runtime/sync/sync.h"

/* A host's slowest way out, of which each of the ranks there that hold something has a part. */
static double rate_of(const struct sync_env *env, const double *parts, size_t rank)
{
	size_t host = (size_t)env->host_of[rank], to = links_slowest(env->links, host);
	double here = 0;

	for (size_t r = 0; r < (size_t)env->world->count; r++)
		here += env->host_of[r] == (int)host ? parts[r] : 0;
	return to == env->links->hosts ? NAN : links_rate(env->links, host, to) / here;
}

/* parts[] is 1 of those who hold something; it becomes their rates if all are known. */
static void weigh(const struct sync_env *env, double *parts)
{
	size_t n = (size_t)env->world->count;
	double *rates = xcalloc(n, sizeof(*rates));
	bool known = env->links && env->host_of;

	for (size_t r = 0; r < n && known; r++) {
		rates[r] = parts[r] > 0 ? rate_of(env, parts, r) : 0;
		known = isfinite(rates[r]) && (rates[r] > 0 || parts[r] == 0);
	}
	for (size_t r = 0; r < n && known; r++)
		parts[r] = rates[r];
	free(rates);
}

static int choose(double *parts, const struct opt_counts *ranks, size_t world, struct error *err)
{
	for (size_t i = 0; i < ranks->count; i++) {
		size_t rank = ranks->values[i];

		if (rank >= world)
			return error_set(err, "sync.servers: no rank %zu; there are %zu, from 0 on",
					 rank, world);
		if (parts[rank] > 0)
			return error_set(err, "sync.servers: rank %zu is there twice", rank);
		parts[rank] = 1;
	}
	for (size_t r = 0; r < world && ranks->count == 0; r++)
		parts[r] = 1;
	return 0;
}

int holdings_make(struct holdings *out, const struct opt_counts *ranks, const struct sync_env *env,
		  struct error *err)
{
	size_t n = (size_t)env->world->count;
	double *parts = xcalloc(n, sizeof(*parts)), sum = 0, so_far = 0;

	if (choose(parts, ranks, n, err) < 0) {
		free(parts);
		return -1;
	}
	weigh(env, parts);
	for (size_t r = 0; r < n; r++)
		sum += parts[r];
	out->bounds = xcalloc(n + 1, sizeof(*out->bounds));
	for (size_t r = 0; r < n; r++) {
		so_far += parts[r];
		out->bounds[r + 1] = (size_t)llround((double)env->count * (so_far / sum));
	}
	free(parts);
	return 0;
}

void holdings_release(struct holdings *holdings)
{
	free(holdings->bounds);
	*holdings = (struct holdings){ 0 };
}
