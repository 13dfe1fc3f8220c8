/* Element by element over long vectors, by a team. */
#include "runtime/device/vector.h"

#include <string.h>

#include "runtime/device/cpu.h"
#include "runtime/device/kernels.h"
#include "runtime/device/team.h"
#include "runtime/slice.h"

enum { CHUNK = 16384, COLUMNS = 64 };

struct vectors {
	/* One of these three; none: addition, of x and z if there is a z. */
	vector_function *function;
	vector_slope *slope;
	bool copy;
	float *y;
	const float *x, *z;
	size_t count;
	bool relu;
};

static void work(void *arg, size_t chunk, size_t member)
{
	const struct vectors *v = arg;
	size_t at = chunk * CHUNK, count = v->count - at < CHUNK ? v->count - at : CHUNK;

	(void)member;
	if (v->function)
		v->function(v->y + at, v->x + at, count);
	else if (v->slope)
		v->slope(v->y + at, v->x + at, v->z + at, count);
	else if (v->z)
		kernels()->sum(v->y + at, v->x + at, v->z + at, count, v->relu);
	else if (v->copy)
		memcpy(v->y + at, v->x + at, count * sizeof(*v->y));
	else
		cpu_add(v->y + at, v->x + at, count);
}

static void run(struct team *team, struct vectors vectors)
{
	team_run(team, slice_pieces(vectors.count, CHUNK), work, &vectors);
}

void vector_map(struct team *team, vector_function *function, float *y, const float *x,
		size_t count)
{
	run(team, (struct vectors){ .function = function, .y = y, .x = x, .count = count });
}

void vector_map_slope(struct team *team, vector_slope *slope, float *dx, const float *x,
		      const float *dy, size_t count)
{
	run(team, (struct vectors){ .slope = slope, .y = dx, .x = x, .z = dy, .count = count });
}

void vector_relu(struct team *team, float *y, const float *x, size_t count)
{
	vector_map(team, kernels()->relu, y, x, count);
}

void vector_relu_slope(struct team *team, float *dx, const float *y, const float *dy, size_t count)
{
	vector_map_slope(team, kernels()->relu_slope, dx, y, dy, count);
}

void vector_sum(struct team *team, float *y, const float *x, const float *z, size_t count,
		bool relu)
{
	run(team, (struct vectors){ .y = y, .x = x, .z = z, .count = count, .relu = relu });
}

void vector_copy(struct team *team, float *y, const float *x, size_t count)
{
	run(team, (struct vectors){ .copy = true, .y = y, .x = x, .count = count });
}

void vector_add(struct team *team, float *y, const float *x, size_t count)
{
	run(team, (struct vectors){ .y = y, .x = x, .count = count });
}

struct rows {
	float *sum;
	const float *x;
	size_t rows, count;
};

static void sum_columns(void *arg, size_t chunk, size_t member)
{
	const struct rows *r = arg;
	size_t at = chunk * COLUMNS, left = r->count - at;

	(void)member;
	kernels()->sum_rows(r->sum + at, r->x + at, r->rows, r->count,
			    left < COLUMNS ? left : COLUMNS);
}

void vector_sum_rows(struct team *team, float *sum, const float *x, size_t rows, size_t count)
{
	struct rows r = { sum, x, rows, count };

	team_run(team, slice_pieces(count, COLUMNS), sum_columns, &r);
}
