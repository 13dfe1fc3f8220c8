/* Exact selection against sorting, and what the schemes of a fixed choice must give. */
#include "tests/unit/unit.h"

#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "lib/error.h"
#include "lib/memory.h"
#include "lib/opt.h"
#include "runtime/compress/compress.h"
#include "runtime/compress/select.h"

enum { LARGEST = 4003, KINDS = 8 };

/* Vectors of every kind that selection could stumble over. */
static void fill(float *x, size_t count, int kind)
{
	struct rng rng = rng_make(3, RNG_DATA, (uint64_t)kind, count);

	for (size_t i = 0; i < count; i++) {
		double normal = rng_normal(&rng, 2 * i), uniform = rng_uniform(&rng, 2 * i + 1);
		double values[KINDS] = {
			normal,
			normal * 1e38, /* clipped below */
			0,
			-2.5,
			normal * FLT_TRUE_MIN * 9,		       /* denormal */
			normal / (uniform * uniform * uniform + 1e-9), /* heavy tails */
			floor(3 * normal),			       /* many alike */
			uniform < 0.99 ? 0 : normal,
		};

		x[i] = (float)fmax(-FLT_MAX, fmin(FLT_MAX, values[kind]));
	}
}

struct place {
	float size;
	size_t index;
};

static int larger_first(const void *a, const void *b)
{
	const struct place *p = a, *q = b;

	if (p->size != q->size)
		return p->size < q->size ? 1 : -1;
	return p->index < q->index ? -1 : 1;
}

/* in[i]: is x[i] one of the `chosen` largest? */
static void choose_by_sorting(const float *x, size_t count, size_t chosen, bool *in)
{
	struct place *places = xcalloc(count + 1, sizeof(*places));

	for (size_t i = 0; i < count; i++)
		places[i] = (struct place){ .size = fabsf(x[i]), .index = i };
	qsort(places, count, sizeof(*places), larger_first);
	memset(in, 0, count);
	for (size_t i = 0; i < chosen; i++)
		in[places[i].index] = true;
	free(places);
}

static void check_selection(const float *x, size_t count, size_t chosen, bool *in)
{
	struct selection selection = select_largest(x, count, chosen);
	size_t at = select_next(&selection, x, count, 0);

	choose_by_sorting(x, count, chosen, in);
	for (size_t i = 0; i < count; i++) {
		if (!in[i])
			continue;
		assert_int_equal(at, i);
		at = select_next(&selection, x, count, at + 1);
	}
	assert_int_equal(at, count);
}

static void selection_is_what_sorting_gives(void **state)
{
	static const size_t counts[] = { 0, 1, 2, 15, 16, 17, 31, 257, LARGEST };
	float *x = xcalloc(LARGEST, sizeof(*x));
	bool *in = xcalloc(LARGEST, sizeof(*in));

	(void)state;
	for (int kind = 0; kind < KINDS; kind++) {
		for (size_t c = 0; c < ARRAY_SIZE(counts); c++) {
			fill(x, counts[c], kind);
			for (size_t chosen = 0; chosen < counts[c]; chosen += 1 + chosen)
				check_selection(x, counts[c], chosen, in);
			check_selection(x, counts[c], counts[c], in);
		}
	}
	free(x);
	free(in);
}

/* Long enough for a sample of every 17th, which finds none, or only, of the large ones. */
static void samples_that_mislead_do_no_harm(void **state)
{
	enum { SAMPLES = 8192, EVERY = 17, COUNT = SAMPLES * EVERY };
	float *x = xcalloc(COUNT, sizeof(*x));
	bool *in = xcalloc(COUNT, sizeof(*in));

	(void)state;
	for (int kind = 0; kind < 4; kind++) {
		fill(x, COUNT, 0);
		for (size_t i = 0; i < COUNT; i++)
			if (kind < 2 && (i % EVERY == 0) == kind)
				x[i] *= 1e-6f;
			else if (kind == 2)
				x[i] = i % EVERY ? 1 : -3;
		check_selection(x, COUNT, 1, in);
		check_selection(x, COUNT, 400, in);
		check_selection(x, COUNT, 20000, in);
	}
	free(x);
	free(in);
}

/* A scheme with default options but for the share of topk or randk, its payload, and back. */
struct trip {
	struct part part;
	const struct compressor *compressor;
	unsigned char *bytes;
	size_t length;
};

static void encode(struct trip *trip, const char *scheme, const float *x, size_t count,
		   uint64_t step)
{
	struct compress_input input = { .x = x,
					.count = count,
					.rng = rng_make(1, RNG_COMPRESS, 2, step) };

	if (!trip->part.entry)
		trip->part = part_default(&compressors, scheme);
	trip->compressor = PART_AS(&trip->part, struct compressor);
	free(trip->bytes);
	trip->bytes = xmalloc(trip->compressor->bound(trip->part.params, count));
	trip->length = trip->compressor->encode(trip->part.params, &input, trip->bytes);
	assert_true(trip->length <= trip->compressor->bound(trip->part.params, count));
}

static void decode(const struct trip *trip, float *y, size_t count)
{
	struct error err = { "" };

	memset(y, 0, count * sizeof(*y));
	if (trip->compressor->decode_add(trip->part.params, trip->bytes, trip->length, 1, y, count,
					 &err) < 0)
		fail_msg("%s", err.text);
}

static void release(struct trip *trip)
{
	part_release(&trip->part);
	free(trip->bytes);
}

static void topk_sends_copies_of_exactly_the_largest(void **state)
{
	float *x = xcalloc(LARGEST, sizeof(*x)), *y = xcalloc(LARGEST, sizeof(*y));
	bool *in = xcalloc(LARGEST, sizeof(*in));

	(void)state;
	for (int kind = 0; kind < KINDS; kind++) {
		struct trip trip = { 0 };

		fill(x, LARGEST, kind);
		encode(&trip, "topk", x, LARGEST, 0);
		decode(&trip, y, LARGEST);
		choose_by_sorting(x, LARGEST, 41, in); /* 1 % of 4003, rounded up */
		for (size_t i = 0; i < LARGEST; i++)
			assert_true(y[i] == (in[i] ? x[i] : 0));
		/* 32 bits of a value and about 8.1 of an index, 12 if these were all they could be
		 */
		assert_true(trip.length >= 41 * 4 && trip.length < 41 * (32 + 12) / 8);
		release(&trip);
	}
	free(x);
	free(y);
	free(in);
}

static void threshold_sends_copies_of_what_reaches_it(void **state)
{
	float *x = xcalloc(LARGEST, sizeof(*x)), *y = xcalloc(LARGEST, sizeof(*y));

	(void)state;
	for (int kind = 0; kind < KINDS; kind++) {
		struct trip trip = { 0 };

		fill(x, LARGEST, kind);
		x[7] = -0.001f; /* the threshold itself, and the number below it */
		x[8] = nextafterf(0.001f, 0);
		encode(&trip, "threshold", x, LARGEST, 0);
		decode(&trip, y, LARGEST);
		for (size_t i = 0; i < LARGEST; i++)
			assert_true(y[i] == (fabsf(x[i]) >= 0.001f ? x[i] : 0));
		release(&trip);
	}
	free(x);
	free(y);
}

/* Any choice of the two numbers: never outside, and what follows from them alone. */
static void randk_sends_one_coordinate_of_each_interval(void **state)
{
	static const size_t counts[] = { 1, 99, 100, 101, 250, LARGEST };
	float *x = xcalloc(LARGEST, sizeof(*x)), *y = xcalloc(LARGEST, sizeof(*y));

	(void)state;
	for (size_t i = 0; i < LARGEST; i++)
		x[i] = 1 + (float)i;
	for (size_t c = 0; c < ARRAY_SIZE(counts); c++) {
		size_t chosen = (counts[c] + 99) / 100, sent = 0;
		struct trip trip = { 0 };

		encode(&trip, "randk", x, counts[c], 3);
		decode(&trip, y, counts[c]);
		assert_int_equal(trip.length, 8 + 4 * chosen);
		for (size_t i = 0; i < counts[c]; i++) {
			assert_true(y[i] == 0 || y[i] == x[i]);
			if (y[i] == 0)
				continue;
			assert_true(i >= sent * counts[c] / chosen);
			assert_true(i < (sent + 1) * counts[c] / chosen);
			sent++;
		}
		assert_int_equal(sent, chosen);
		release(&trip);
	}
	free(x);
	free(y);
}

/* Within five standard errors of the mean; in intervals of n coordinates
 * their variance is x^2 (n - 1), and n is 76 or 77. */
static void unbiased_randk_has_the_right_mean(void **state)
{
	enum { COUNT = 305, DRAWS = 20000 };
	float x[COUNT], y[COUNT];
	double sum[COUNT] = { 0 };
	struct trip trip = { .part = part_default(&compressors, "randk") };
	bool *unbiased = NULL;

	(void)state;
	for (const struct opt *row = trip.part.entry->options; row->key; row++)
		if (strcmp(row->key, "unbiased") == 0)
			unbiased = (void *)((char *)trip.part.params + row->offset);
	assert_non_null(unbiased);
	*unbiased = true;
	fill(x, COUNT, 0);
	for (uint64_t step = 0; step < DRAWS; step++) {
		encode(&trip, "randk", x, COUNT, step);
		decode(&trip, y, COUNT);
		for (size_t i = 0; i < COUNT; i++)
			sum[i] += y[i];
	}
	for (size_t i = 0; i < COUNT; i++)
		assert_true(fabs(sum[i] / DRAWS - x[i]) <= 5 * fabs(x[i]) * sqrt(76.0 / DRAWS));
	release(&trip);
}

/* Every cut, one more byte, and numbers of coordinates that cannot be. */
static void payloads_that_cannot_be_are_refused(void **state)
{
	static const char *const schemes[] = { "topk", "randk", "threshold" };
	float x[301], y[301];
	struct error err = { "" };

	(void)state;
	fill(x, 301, 5);
	for (size_t s = 0; s < ARRAY_SIZE(schemes); s++) {
		struct trip trip = { 0 };

		encode(&trip, schemes[s], x, 301, 0);
		for (size_t length = 0; length < trip.length; length++) {
			unsigned char *cut = xmalloc(length + 1);

			memcpy(cut, trip.bytes, length);
			cut = xrealloc(cut, length ? length : 1, 1);
			assert_int_equal(trip.compressor->decode_add(trip.part.params, cut, length,
								     1, y, 301, &err),
					 -1);
			free(cut);
		}
		memset(trip.bytes, 0xff, trip.length < 4 ? trip.length : 4);
		if (strcmp(schemes[s], "threshold") == 0)
			assert_int_equal(trip.compressor->decode_add(trip.part.params, trip.bytes,
								     trip.length, 1, y, 301, &err),
					 -1);
		release(&trip);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(selection_is_what_sorting_gives),
		cmocka_unit_test(samples_that_mislead_do_no_harm),
		cmocka_unit_test(topk_sends_copies_of_exactly_the_largest),
		cmocka_unit_test(threshold_sends_copies_of_what_reaches_it),
		cmocka_unit_test(randk_sends_one_coordinate_of_each_interval),
		cmocka_unit_test(unbiased_randk_has_the_right_mean),
		cmocka_unit_test(payloads_that_cannot_be_are_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
