/* The cutoff that cat chooses against brute force, and what its payloads promise. */
#include "tests/unit/unit.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "lib/error.h"
#include "runtime/compress/compress.h"
#include "runtime/compress/cutoff.h"
#include "tests/unit/part.h"

enum { LARGEST = 3001, KINDS = 5 };

/* Gaussian, heavy-tailed, log-normal, many alike, mostly zero. */
static void draw(float *x, size_t count, int kind, uint64_t step)
{
	struct rng rng = rng_make(21, RNG_DATA, (uint64_t)kind, step);

	for (size_t i = 0; i < count; i++) {
		double normal = rng_normal(&rng, 2 * i), uniform = rng_uniform(&rng, 2 * i + 1);
		double values[KINDS] = { normal, normal / (uniform * uniform + 1e-6),
					 copysign(exp(2 * normal), uniform - 0.5),
					 floor(4 * normal), uniform < 0.9 ? 0 : normal };

		x[i] = (float)values[kind];
	}
}

static struct cutoff_rule rule_of(size_t count, bool signs, struct cutoff_cost cost)
{
	double index = count > 1 ? ceil(log2((double)count)) : 0;

	return (struct cutoff_rule){ .cost = cost,
				     .signs = signs,
				     .header = signs ? 32 : 0,
				     .each = index + (signs ? 1 : 32) };
}

static const struct cutoff_cost costs[] = {
	{ 0, 1, 0 }, /* bits */
	{ 100, 0.125, 0 },    { 5000, 0.125, 0 }, { 1e9, 0.125, 0 }, { 0, 1518, 8 * 1460 },
	{ 64, 576, 8 * 512 }, { 1270, 127, 800 }, { 1000, 3, 128 },
};

static int larger_first(const void *a, const void *b)
{
	const double *x = a, *y = b;

	return (*x < *y) - (*x > *y);
}

struct brute {
	double *sums; /* [count + 1] of the so many largest */
	double best;
	size_t number;
};

static double ratio_of(const struct cutoff_rule *rule, const double *sums, size_t number)
{
	double n = (double)number, sum = sums[number];

	return (rule->signs ? sum * sum / n : sum) /
	       cutoff_price(&rule->cost, rule->header + n * rule->each);
}

static struct brute by_force(const struct cutoff_rule *rule, const float *x, size_t count)
{
	struct brute brute = { .sums = xcalloc(count + 1, sizeof(double)) };

	for (size_t i = 0; i < count; i++)
		brute.sums[i] = rule->signs ? fabs((double)x[i]) : (double)x[i] * x[i];
	qsort(brute.sums, count, sizeof(double), larger_first);
	memmove(brute.sums + 1, brute.sums, count * sizeof(double));
	brute.sums[0] = 0;
	for (size_t i = 1; i <= count; i++)
		brute.sums[i] += brute.sums[i - 1];
	for (size_t i = 1; i <= count; i++) {
		if (ratio_of(rule, brute.sums, i) <= brute.best)
			continue;
		brute.best = ratio_of(rule, brute.sums, i);
		brute.number = i;
	}
	return brute;
}

static struct cutoff choose(const struct cutoff_rule *rule, const float *x, size_t count)
{
	uint32_t *scratch = xcalloc(count, sizeof(*scratch));
	struct cutoff cutoff = cutoff_choose(rule, x, count, scratch);

	free(scratch);
	return cutoff;
}

static void check_choice(const struct cutoff_rule *rule, const float *x, size_t count)
{
	struct brute brute = by_force(rule, x, count);
	struct cutoff cutoff = choose(rule, x, count);
	size_t chosen = 0;

	if (cutoff.chosen != brute.number) /* as good up to rounding? */
		assert_true(ratio_of(rule, brute.sums, cutoff.chosen) >= brute.best * (1 - 2e-10));
	assert_true(fabs(cutoff.sum - brute.sums[cutoff.chosen]) <= 1e-9 * cutoff.sum);
	for (size_t i = 0; i < count; i++)
		chosen += select_size(x[i]) > cutoff.selection.size;
	if (cutoff.chosen)
		assert_int_equal(chosen + cutoff.selection.equal, cutoff.chosen);
	free(brute.sums);
}

static void the_cutoff_is_that_of_brute_force(void **state)
{
	static const size_t counts[] = { 1, 2, 3, 17, 500, LARGEST };
	float *x = xcalloc(LARGEST, sizeof(*x));

	(void)state;
	for (size_t c = 0; c < ARRAY_SIZE(counts); c++) {
		for (size_t k = 0; k < KINDS * ARRAY_SIZE(costs) * 2; k++) {
			size_t cost = k / 2 % ARRAY_SIZE(costs);
			struct cutoff_rule rule = rule_of(counts[c], k % 2, costs[cost]);
			uint64_t draws = counts[c] < 1000 ? 20 : 3;

			for (uint64_t step = 0; step < draws; step++) {
				draw(x, counts[c], (int)(k / 2 / ARRAY_SIZE(costs)), step);
				check_choice(&rule, x, counts[c]);
			}
		}
	}
	free(x);
}

/* Values of one size, of every size, and the same bits in all but the last place. */
static void cutoffs_of_degenerate_vectors_are_right(void **state)
{
	float x[700];

	(void)state;
	for (size_t cost = 0; cost < ARRAY_SIZE(costs); cost++) {
		for (int signs = 0; signs < 2; signs++) {
			struct cutoff_rule rule = rule_of(700, signs, costs[cost]);

			for (int kind = 0; kind < 5; kind++) {
				for (size_t i = 0; i < 700; i++) {
					float values[] = { 3, ldexpf(1, (int)(i % 200) - 100),
							   i % 2 ? 1 : 1 + 0x1p-23f,
							   1e38f / (float)(i + 1),
							   1e-45f * (float)(i + 1) };

					x[i] = values[kind];
				}
				check_choice(&rule, x, 700);
			}
		}
	}
}

static void a_zero_vector_needs_nothing(void **state)
{
	float x[5] = { 0 };
	struct cutoff_rule rule = rule_of(5, false, costs[1]);

	(void)state;
	assert_int_equal(choose(&rule, x, 5).chosen, 0);
}

static void pure_bits_send_one_value(void **state)
{
	float x[LARGEST];
	struct cutoff_rule rule = rule_of(LARGEST, false, costs[0]);

	(void)state;
	for (int kind = 0; kind < KINDS; kind++) {
		draw(x, LARGEST, kind, 1);
		assert_int_equal(choose(&rule, x, LARGEST).chosen, 1);
	}
}

static void packets_are_filled_with_values(void **state)
{
	float x[LARGEST];

	(void)state;
	for (size_t cost = 4; cost < ARRAY_SIZE(costs); cost++) {
		struct cutoff_rule rule = rule_of(LARGEST, false, costs[cost]);
		size_t full = (size_t)(rule.cost.packet / rule.each);

		for (int kind = 0; kind < 3; kind++) {
			size_t chosen;

			draw(x, LARGEST, kind, 2);
			chosen = choose(&rule, x, LARGEST).chosen;
			assert_true(
				chosen == LARGEST ||
				cutoff_price(&rule.cost, rule.each * (double)chosen) <
					cutoff_price(&rule.cost, rule.each * (double)(chosen + 1)));
			assert_true(chosen >= full || chosen == LARGEST);
		}
	}
}

static void the_cutoff_does_not_depend_on_the_scale(void **state)
{
	float x[LARGEST], scaled[LARGEST];

	(void)state;
	for (size_t k = 0; k < 2 * KINDS * ARRAY_SIZE(costs); k++) {
		struct cutoff_rule rule = rule_of(LARGEST, k % 2, costs[k / 2 % ARRAY_SIZE(costs)]);

		draw(x, LARGEST, (int)(k / 2 / ARRAY_SIZE(costs)), 3);
		for (size_t i = 0; i < LARGEST; i++)
			scaled[i] = -0x1p-40f * x[i];
		assert_int_equal(choose(&rule, x, LARGEST).chosen,
				 choose(&rule, scaled, LARGEST).chosen);
	}
}

static void dear_messages_are_longer_and_dear_bits_make_them_shorter(void **state)
{
	float x[LARGEST];

	(void)state;
	for (int kind = 0; kind < KINDS; kind++) {
		size_t last = 0, chosen;

		draw(x, LARGEST, kind, 4);
		for (double fixed = 1; fixed < 1e9; fixed *= 3) {
			struct cutoff_rule rule =
				rule_of(LARGEST, false, (struct cutoff_cost){ fixed, 0.125, 0 });

			chosen = choose(&rule, x, LARGEST).chosen;
			assert_true(chosen >= last);
			last = chosen;
		}
		for (double unit = 1e-6; unit < 1e3; unit *= 3) {
			struct cutoff_rule rule =
				rule_of(LARGEST, false, (struct cutoff_cost){ 1000, unit, 0 });

			chosen = choose(&rule, x, LARGEST).chosen;
			assert_true(chosen <= last);
			last = chosen;
		}
	}
}

/* What the so many largest have of the square: more with each, by less and less, and never less
 * than their share. */
static void the_share_of_the_largest_is_concave(void **state)
{
	float x[LARGEST];

	(void)state;
	for (int kind = 0; kind < KINDS; kind++) {
		double number = 0, sum = 0, slope = INFINITY, all = 0;

		draw(x, LARGEST, kind, 8);
		for (size_t i = 0; i < LARGEST; i++)
			all += (double)x[i] * x[i];
		for (double fixed = 1; fixed < 1e12; fixed *= 2) {
			struct cutoff_rule rule =
				rule_of(LARGEST, false, (struct cutoff_cost){ fixed, 0.125, 0 });
			struct cutoff cutoff = choose(&rule, x, LARGEST);
			double more = (double)cutoff.chosen - number, gain = cutoff.sum - sum;

			if (more == 0)
				continue;
			assert_true(gain > 0 && gain / more <= slope * (1 + 1e-9));
			assert_true(cutoff.sum / all >= (double)cutoff.chosen / LARGEST - 1e-9);
			slope = gain / more;
			number += more;
			sum += gain;
		}
		assert_true(fabs(sum - all) <= 1e-6 * all);
	}
}

/* A vector through cat with some options. */
struct trip {
	struct part part;
	unsigned char *bytes;
	size_t length;
};

static struct trip encode(const char *variant, const char *cost, const float *x, size_t count,
			  float *y)
{
	const char *const set[] = { "variant", variant, "cost", cost, NULL };
	struct trip trip = { .part = part_with(registry_find(&compressors, "cat"), set) };
	const struct compressor *cat = PART_AS(&trip.part, struct compressor);
	struct compress_input input = { .x = x, .count = count };
	struct error err = { "" };

	trip.bytes = xmalloc(cat->bound(trip.part.params, count));
	trip.length = cat->encode(trip.part.params, &input, trip.bytes);
	assert_true(trip.length <= cat->bound(trip.part.params, count));
	if (cat->decode_add(trip.part.params, trip.bytes, trip.length, 1, y, count, &err) < 0)
		fail_msg("%s", err.text);
	return trip;
}

static void release(struct trip *trip)
{
	free(trip->bytes);
	part_release(&trip->part);
}

static const char *const cost_names[] = { "bits",     "affine", "packets", "measured",
					  "ethernet", "paper",	"iot" };

static size_t sent_by(const struct trip *trip)
{
	uint32_t chosen;

	memcpy(&chosen, trip->bytes, sizeof(chosen));
	return chosen;
}

static void payloads_are_as_short_as_the_rule_says(void **state)
{
	float x[LARGEST];

	(void)state;
	for (size_t k = 0; k < 2 * KINDS * ARRAY_SIZE(cost_names); k++) {
		float y[LARGEST] = { 0 };
		const char *variant = k % 2 ? "sparsify_quantise" : "sparsify";
		struct cutoff_rule rule = rule_of(LARGEST, k % 2, costs[0]);
		struct trip trip;
		size_t chosen;

		draw(x, LARGEST, (int)(k / 2 / ARRAY_SIZE(cost_names)), 5);
		trip = encode(variant, cost_names[k / 2 % ARRAY_SIZE(cost_names)], x, LARGEST, y);
		chosen = sent_by(&trip);
		if (chosen == UINT32_MAX)
			assert_int_equal(trip.length, 4 + 4 * LARGEST);
		else
			assert_true((double)trip.length <=
				    4 + ceil((rule.header + rule.each * (double)chosen) / 8));
		release(&trip);
	}
}

/* Copies, or one size with the right signs; and the descent that was promised for it: on a
 * quadratic of curvature 1 a step along y lowers the loss by <x, y> - |y|^2 / 2. */
static void decoded_steps_descend_as_promised(void **state)
{
	float x[LARGEST];

	(void)state;
	for (size_t k = 0; k < 2 * KINDS; k++) {
		struct cutoff_rule rule = rule_of(LARGEST, k % 2, costs[5]);
		float y[LARGEST] = { 0 };
		double descent = 0, gain;
		struct cutoff cutoff;
		struct trip trip;

		draw(x, LARGEST, (int)k / 2, 6);
		cutoff = choose(&rule, x, LARGEST);
		trip = encode(k % 2 ? "sparsify_quantise" : "sparsify", "paper", x, LARGEST, y);
		for (size_t i = 0; i < LARGEST; i++) {
			assert_true(y[i] == 0 || k % 2 ? y[i] * x[i] >= 0 : y[i] == x[i]);
			descent += (double)x[i] * y[i] - (double)y[i] * y[i] / 2;
		}
		gain = k % 2 ? cutoff.sum * cutoff.sum / (double)cutoff.chosen : cutoff.sum;
		if (sent_by(&trip) != UINT32_MAX) {
			assert_int_equal(sent_by(&trip), cutoff.chosen);
			assert_true(fabs(descent - gain / 2) <= 1e-6 * gain);
		}
		release(&trip);
	}
}

static void dense_vectors_go_as_they_are_where_that_is_cheaper(void **state)
{
	float x[400], y[400] = { 0 };
	struct trip trip;

	(void)state;
	for (size_t i = 0; i < 400; i++)
		x[i] = 1 + (float)(i % 7) / 100;
	trip = encode("sparsify", "measured", x, 400, y);
	assert_int_equal(sent_by(&trip), UINT32_MAX);
	assert_int_equal(trip.length, 4 + 1600);
	assert_memory_equal(x, y, sizeof(x));
	release(&trip);
}

/* The run's links, where they are known, count more than options. */
static void a_link_says_what_messages_cost(void **state)
{
	static const char *const options[][7] = {
		{ "cost", "measured", "latency", "2ms", "bandwidth", "1e6", NULL },
		{ "cost", "measured", NULL },
		{ "cost", "measured", "latency", "2ms", NULL },
	};
	const struct compress_link links[] = { { 0 }, { 2e-3, 1e6 }, { NAN, 1e6 } };
	size_t lengths[ARRAY_SIZE(links)], unlike = 0;
	float x[LARGEST];

	(void)state;
	draw(x, LARGEST, 1, 8);
	for (size_t k = 0; k < ARRAY_SIZE(links); k++) {
		struct part part = part_with(registry_find(&compressors, "cat"), options[k]);
		const struct compressor *cat = PART_AS(&part, struct compressor);
		unsigned char *bytes = xmalloc(cat->bound(part.params, LARGEST));
		struct compress_input input = { .x = x,
						.count = LARGEST,
						.link = k ? &links[k] : NULL };

		lengths[k] = cat->encode(part.params, &input, bytes);
		input.link = NULL;
		if (k)
			unlike += cat->encode(part.params, &input, bytes) != lengths[k];
		free(bytes);
		part_release(&part);
	}
	assert_int_equal(lengths[1], lengths[0]);
	assert_int_equal(lengths[2], lengths[0]);
	assert_true(unlike > 0);
}

static void nothing_is_lost_with_error_feedback(void **state)
{
	double given[400] = { 0 }, sent[400] = { 0 };
	float x[400], left[400] = { 0 };

	(void)state;
	for (uint64_t step = 0; step < 300; step++) {
		const char *variant = step % 2 ? "sparsify_quantise" : "sparsify";
		float y[400] = { 0 };
		struct trip trip;

		draw(x, 400, (int)(step % KINDS), step);
		for (size_t i = 0; i < 400; i++) {
			given[i] += x[i];
			left[i] += x[i];
		}
		trip = encode(variant, cost_names[step % ARRAY_SIZE(cost_names)], left, 400, y);
		for (size_t i = 0; i < 400; i++) {
			sent[i] += y[i];
			left[i] -= y[i];
		}
		release(&trip);
	}
	for (size_t i = 0; i < 400; i++)
		assert_true(fabs(given[i] - sent[i] - left[i]) <= 1e-4 * (1 + fabs(sent[i])));
}

static void pairs_are_what_decoding_gives(void **state)
{
	float x[301];

	(void)state;
	for (int signs = 0; signs < 2; signs++) {
		float y[301] = { 0 }, z[301] = { 0 }, values[301];
		uint32_t indices[301];
		struct compress_pairs pairs = { indices, values, 0 };
		struct error err = { "" };
		struct trip trip;

		draw(x, 301, 1, 8);
		trip = encode(signs ? "sparsify_quantise" : "sparsify", "bits", x, 301, y);
		assert_int_equal(PART_AS(&trip.part, struct compressor)
					 ->pairs(trip.part.params, trip.bytes, trip.length, 0, 301,
						 &pairs, &err),
				 0);
		for (size_t k = 0; k < pairs.count; k++)
			z[indices[k]] += values[k];
		assert_memory_equal(y, z, sizeof(y));
		assert_true(pairs.count > 0);
		release(&trip);
	}
}

static void cut_payloads_are_refused(void **state)
{
	float x[301];
	struct error err = { "" };

	(void)state;
	for (int signs = 0; signs < 2; signs++) {
		float y[301] = { 0 };
		struct trip trip;
		const struct compressor *cat;

		draw(x, 301, 1, 7);
		trip = encode(signs ? "sparsify_quantise" : "sparsify", "bits", x, 301, y);
		cat = PART_AS(&trip.part, struct compressor);
		for (size_t length = 0; length < trip.length; length++) {
			unsigned char *cut = memcpy(xmalloc(length + 1), trip.bytes, length);

			cut = xrealloc(cut, length ? length : 1, 1);
			assert_int_equal(
				cat->decode_add(trip.part.params, cut, length, 1, y, 301, &err),
				-1);
			free(cut);
		}
		release(&trip);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_cutoff_is_that_of_brute_force),
		cmocka_unit_test(cutoffs_of_degenerate_vectors_are_right),
		cmocka_unit_test(a_zero_vector_needs_nothing),
		cmocka_unit_test(pure_bits_send_one_value),
		cmocka_unit_test(packets_are_filled_with_values),
		cmocka_unit_test(the_cutoff_does_not_depend_on_the_scale),
		cmocka_unit_test(dear_messages_are_longer_and_dear_bits_make_them_shorter),
		cmocka_unit_test(the_share_of_the_largest_is_concave),
		cmocka_unit_test(payloads_are_as_short_as_the_rule_says),
		cmocka_unit_test(decoded_steps_descend_as_promised),
		cmocka_unit_test(dense_vectors_go_as_they_are_where_that_is_cheaper),
		cmocka_unit_test(a_link_says_what_messages_cost),
		cmocka_unit_test(nothing_is_lost_with_error_feedback),
		cmocka_unit_test(pairs_are_what_decoding_gives),
		cmocka_unit_test(cut_payloads_are_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
