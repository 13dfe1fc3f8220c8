/* Times one scheme on one thread: compress NAME COUNT [KEY VALUE]... prints the median seconds of
 * encode, of decode_add and of a copy of as many floats, and the payload's bytes. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/clock.h"
#include "runtime/compress/compress.h"
#include "tests/bench/part.h"

#define TIME_S 0.25

enum { ROUNDS_MOST = 100000 };

enum work { COPY, ENCODE, DECODE, WORKS };

struct bench {
	struct part part;
	struct compress_input input;
	float *x, *y;
	unsigned char *payload;
	size_t length;
};

static void once(struct bench *bench, enum work work)
{
	const struct compressor *compressor = PART_AS(&bench->part, struct compressor);
	const void *params = bench->part.params;
	size_t count = bench->input.count;
	struct error err;

	if (work == COPY)
		memcpy(bench->y, bench->x, count * sizeof(float));
	else if (work == ENCODE)
		bench->length = compressor->encode(params, &bench->input, bench->payload);
	else
		assert(compressor->decode_add(params, bench->payload, bench->length, 0.5f, bench->y,
					      count, &err) == 0);
}

static int ascending(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static double median(double *times, size_t rounds)
{
	qsort(times, rounds, sizeof(*times), ascending);
	return times[rounds / 2];
}

int main(int argc, char **argv)
{
	size_t count = argc > 2 ? number(argv[2]) : 0, rounds = 0;
	struct bench bench = { .x = xaligned(count * sizeof(float)),
			       .y = xaligned(count * sizeof(float)) };
	double *times[WORKS], end;

	if (!count) {
		fprintf(stderr, "usage: compress NAME COUNT [KEY VALUE]...\n");
		return 2;
	}
	bench.part = make_part(&compressors, argv[1], argv + 3);
	bench.input = (struct compress_input){ .x = bench.x,
					       .count = count,
					       .rng = rng_make(1, RNG_COMPRESS, 0, 0) };
	bench.payload =
		xaligned(PART_AS(&bench.part, struct compressor)->bound(bench.part.params, count));
	for (size_t i = 0; i < count; i++)
		bench.x[i] = (float)rng_normal(&bench.input.rng, i);
	for (enum work work = COPY; work < WORKS; work++)
		times[work] = xcalloc(ROUNDS_MOST, sizeof(double));
	once(&bench, ENCODE);
	for (end = clock_now() + WORKS * TIME_S; clock_now() < end && rounds < ROUNDS_MOST;
	     rounds++)
		for (enum work work = COPY; work < WORKS; work++) {
			double begun = clock_now();

			once(&bench, work);
			times[work][rounds] = clock_now() - begun;
		}
	printf("%.9f %.9f %.9f %zu\n", median(times[ENCODE], rounds), median(times[DECODE], rounds),
	       median(times[COPY], rounds), bench.length);
	for (enum work work = COPY; work < WORKS; work++)
		free(times[work]);
	part_release(&bench.part);
	free(bench.payload);
	free(bench.x);
	free(bench.y);
	return 0;
}
