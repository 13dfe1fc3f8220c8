/* Coordinates at random, larger ones more probably. */
#include "runtime/compress/chances.h"

#include <assert.h>
#include <math.h>

#include "runtime/device/kernels.h"
#include "runtime/rng.h"

enum {
	BIN_BITS = 12, /* exponent and four bits of the mantissa */
	BINS = 1 << BIN_BITS,
	BIN_SHIFT = 31 - BIN_BITS,
};

/* What is certain at some size, and the sum of the others. */
struct filled {
	double certain, squares, rest;
};

static struct filled fill(const float *x, size_t count, float size)
{
	struct filled filled = { 0 };

	for (size_t i = 0; i < count; i++) {
		double magnitude = fabs((double)x[i]);
		bool certain = fabsf(x[i]) >= size;

		filled.certain += certain;
		filled.squares += certain ? magnitude * magnitude : 0;
		filled.rest += certain ? 0 : magnitude;
	}
	return filled;
}

/* sum of x^2 / p. */
static double spread(const struct filled *filled, double size)
{
	return filled->squares + size * filled->rest;
}

static struct chances finish(const float *x, size_t count, float size)
{
	struct filled filled = fill(x, count, size);
	double squares = kernels()->sum_squares(x, count);

	return (struct chances){ .number = filled.certain +
					   (size > 0 ? filled.rest / (double)size : 0),
				 .size = size,
				 .omega = squares / spread(&filled, (double)size) };
}

/* Each round makes more of them certain, and the size smaller, until none is left to be. */
struct chances chances_of(const float *x, size_t count, double number)
{
	struct filled filled = fill(x, count, INFINITY);
	double before = -1;
	float size = 0;

	while (filled.certain > before && filled.certain < number) {
		before = filled.certain;
		size = (float)(filled.rest / (number - filled.certain));
		filled = fill(x, count, size);
	}
	return finish(x, count, size);
}

struct bins {
	uint32_t numbers[BINS];
	double sums[BINS], squares[BINS];
};

/* The best so far. */
struct best {
	const struct cutoff_rule *rule;
	double ratio, number;
};

static double price(const struct cutoff_rule *rule, double number)
{
	return cutoff_price(&rule->cost, rule->header + number * rule->each);
}

static void offer(struct best *best, double number, double gain)
{
	double ratio = gain / price(best->rule, number);

	if (ratio <= best->ratio * (1 + 1e-10))
		return;
	best->ratio = ratio;
	best->number = number;
}

/* The number that fills the packets of this one. */
static double end_of_packet(const struct cutoff_rule *rule, double number)
{
	double bits = rule->header + number * rule->each, packet = rule->cost.packet;

	return packet > 0 ? (ceil(bits / packet) * packet - rule->header) / rule->each : number;
}

/* With what is certain at `size`: that size, and one by which a packet is full. */
static void offer_size(struct best *best, const struct filled *filled, double size, double squares,
		       double most)
{
	double number = filled->certain + filled->rest / size;
	double full = fmin(end_of_packet(best->rule, number), most);

	offer(best, number, squares / spread(filled, size));
	if (full > number && full > filled->certain)
		offer(best, full,
		      squares / spread(filled, filled->rest / (full - filled->certain)));
}

static void search(struct best *best, const struct bins *bins, double largest, double squares,
		   double most)
{
	struct filled filled = { 0 };

	for (size_t bin = 0; bin < BINS; bin++)
		filled.rest += bins->sums[bin];
	offer_size(best, &filled, largest, squares, most); /* less is not worth a message */
	for (size_t bin = select_size((float)largest) >> BIN_SHIFT;
	     bin > 0 && filled.certain < most; bin--) {
		filled.certain += bins->numbers[bin];
		filled.squares += bins->squares[bin];
		filled.rest = fmax(filled.rest - bins->sums[bin], 0);
		offer_size(best, &filled, (double)select_magnitude((uint32_t)bin << BIN_SHIFT),
			   squares, most);
	}
	offer(best, most, 1);
}

struct chances chances_choose(const struct cutoff_rule *rule, const float *x, size_t count)
{
	struct best best = { .rule = rule };
	struct chances chances = { 0 };
	struct bins bins = { 0 };
	float largest = 0;
	double squares = 0, most = 0;

	for (size_t i = 0; i < count; i++) {
		uint32_t bin = select_size(x[i]) >> BIN_SHIFT;
		double size = fabs((double)x[i]);

		bins.numbers[bin]++;
		bins.sums[bin] += size;
		bins.squares[bin] += size * size;
		squares += size * size;
		most += size > 0;
		largest = fmaxf(largest, fabsf(x[i]));
	}
	if (!(squares > 0))
		return chances;
	search(&best, &bins, (double)largest, squares, most);
	if (rule->dense > 0 && 1 / cutoff_price(&rule->cost, rule->dense) > best.ratio)
		return (struct chances){ .number = (double)count, .omega = 1, .dense = true };
	return chances_of(x, count, best.number);
}

size_t chances_draw(const struct chances *chances, const struct rng *rng, size_t first,
		    const float *x, size_t at, size_t length, uint16_t *places)
{
	uint32_t words[CHANCES_BLOCK + RNG_CHUNK];
	size_t skip = (first + at) % RNG_CHUNK, drawn = 0;

	assert(length <= CHANCES_BLOCK);
	kernels()->random_words(rng, (first + at) / RNG_CHUNK, words,
				(skip + length + RNG_CHUNK - 1) / RNG_CHUNK);
	for (size_t i = 0; i < length; i++) {
		float uniform = (float)(words[skip + i] >> 8) * 0x1p-24f;

		places[drawn] = (uint16_t)i;
		drawn += uniform * chances->size < fabsf(x[at + i]);
	}
	return drawn;
}

float chances_value(const struct chances *chances, float x)
{
	return (float)(chances->omega * (double)copysignf(fmaxf(fabsf(x), chances->size), x));
}
