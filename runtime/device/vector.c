/* Element by element over long vectors, by a team. */
#include "runtime/device/vector.h"

#include "runtime/device/cpu.h"
#include "runtime/device/kernels.h"
#include "runtime/device/team.h"

enum { CHUNK = 16384 };

enum operation { RELU, RELU_SLOPE, ADD };

struct vectors {
	enum operation operation;
	float *y;
	const float *x, *z;
	size_t count;
};

static void work(void *arg, size_t chunk, size_t member)
{
	const struct vectors *v = arg;
	size_t at = chunk * CHUNK, count = v->count - at < CHUNK ? v->count - at : CHUNK;

	(void)member;
	if (v->operation == RELU)
		kernels()->relu(v->y + at, v->x + at, count);
	else if (v->operation == RELU_SLOPE)
		kernels()->relu_slope(v->y + at, v->x + at, v->z + at, count);
	else
		cpu_add(v->y + at, v->x + at, count);
}

static void run(struct team *team, struct vectors vectors)
{
	team_run(team, (vectors.count + CHUNK - 1) / CHUNK, work, &vectors);
}

void vector_relu(struct team *team, float *y, const float *x, size_t count)
{
	run(team, (struct vectors){ .operation = RELU, .y = y, .x = x, .count = count });
}

void vector_relu_slope(struct team *team, float *dx, const float *y, const float *dy, size_t count)
{
	run(team,
	    (struct vectors){ .operation = RELU_SLOPE, .y = dx, .x = y, .z = dy, .count = count });
}

void vector_add(struct team *team, float *y, const float *x, size_t count)
{
	run(team, (struct vectors){ .operation = ADD, .y = y, .x = x, .count = count });
}
