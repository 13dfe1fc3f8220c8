/*
 * The exact argmax without sorting everything: a histogram by magnitude bounds what the numbers
 * that end in each of its bins can reach. The bins that may hold the best are partitioned bit by
 * bit, and parts that cannot hold it are left alone.
 */
#include "runtime/compress/cutoff.h"

#include <assert.h>
#include <math.h>

#include "runtime/device/kernels.h"

enum {
	BIN_BITS = 11,
	BINS = 1 << BIN_BITS,
	BIN_SHIFT = 31 - BIN_BITS,
};

/* Sums in another order are equal if they differ by less. */
static const double tolerance = 1e-10;

struct search {
	const struct cutoff_rule *rule;
	double best; /* ratio that some number reaches */
	struct cutoff cutoff;
};

/* What has been chosen already when numbers in some part are looked at. */
struct taken {
	size_t number;
	double sum;
};

double cutoff_price(const struct cutoff_cost *cost, double bits)
{
	double units = cost->packet > 0 ? ceil(bits / cost->packet) : bits;

	return cost->fixed + cost->unit * units;
}

static double share_of(const struct cutoff_rule *rule, uint32_t size)
{
	double x = select_magnitude(size);

	return rule->signs ? x : x * x;
}

static double ratio(const struct cutoff_rule *rule, size_t number, double sum)
{
	double n = (double)number, price = cutoff_price(&rule->cost, rule->header + n * rule->each);

	return (rule->signs ? sum * sum / n : sum) / price;
}

/* The last number that costs no more packets than this one. */
static size_t end_of_packet(const struct cutoff_rule *rule, size_t number)
{
	double bits = rule->header + (double)number * rule->each, packet = rule->cost.packet;
	double end = floor((ceil(bits / packet) * packet - rule->header) / rule->each);

	return end > (double)number ? (size_t)end : number;
}

/*
 * The best of `count` numbers, all of whose shares are alike. As a function of the number the
 * ratio has its maxima at both ends, or at the first and last numbers of packets: with n numbers
 * before, a = sum / share - n >= 0 and r = fixed / unit, its slope has the sign of a r - n (r - 2a)
 * with signs, which changes once at most and from falling to rising, or does not change at all.
 */
static double best_of_run(const struct cutoff_rule *rule, const struct taken *taken, double share,
			  size_t count, size_t *number)
{
	size_t end = taken->number + count, n = taken->number + 1;
	double best = -1;

	while (n <= end) {
		double sum = taken->sum + share * (double)(n - taken->number);
		double reached = ratio(rule, n, sum);
		size_t next = rule->cost.packet > 0 ? end_of_packet(rule, n) : end;

		if (reached > best * (1 + tolerance)) {
			best = reached;
			*number = n;
		}
		n = n < next && n < end ? (next < end ? next : end) : n + 1;
	}
	return best;
}

static void offer(struct search *search, const struct taken *taken, uint32_t size, size_t count)
{
	size_t number = 0;
	double share = share_of(search->rule, size);
	double reached = best_of_run(search->rule, taken, share, count, &number);
	struct cutoff *cutoff = &search->cutoff;

	if (reached < search->best * (1 - tolerance))
		return;
	if (reached <= search->best * (1 + tolerance) && cutoff->chosen && cutoff->chosen < number)
		return;
	search->best = fmax(reached, search->best);
	cutoff->chosen = number;
	cutoff->sum = taken->sum + share * (double)(number - taken->number);
	cutoff->selection = (struct selection){ .size = size, .equal = number - taken->number };
}

/* Those with the bit to the front; returns how many. */
static size_t partition(uint32_t *sizes, size_t count, uint32_t bit)
{
	size_t ones = 0;

	for (size_t i = 0; i < count; i++) {
		uint32_t size = sizes[i];

		sizes[i] = sizes[ones];
		sizes[ones] = size;
		ones += (size & bit) != 0;
	}
	return ones;
}

/* Numbers that end among these sizes, which have all bits above the `width` last in common. */
static void search_part(struct search *search, uint32_t *sizes, size_t count, unsigned width,
			struct taken taken)
{
	uint32_t largest;
	size_t ones, number;

	if (count == 0)
		return;
	largest = sizes[0] | ((UINT32_C(1) << width) - 1);
	if (width == 0 || count == 1) {
		offer(search, &taken, sizes[0], count);
		return;
	}
	if (best_of_run(search->rule, &taken, share_of(search->rule, largest), count, &number) <
	    search->best * (1 - tolerance))
		return;
	ones = partition(sizes, count, UINT32_C(1) << (width - 1));
	search_part(search, sizes, ones, width - 1, taken);
	for (size_t i = 0; i < ones; i++)
		taken.sum += share_of(search->rule, sizes[i]);
	taken.number += ones;
	search_part(search, sizes + ones, count - ones, width - 1, taken);
}

struct histogram {
	uint32_t numbers[BINS];
	double sums[BINS];
};

static void count_bins(struct histogram *bins, bool signs, const float *x, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		uint32_t bin = select_size(x[i]) >> BIN_SHIFT;
		double size = fabs((double)x[i]);

		bins->numbers[bin]++;
		bins->sums[bin] += signs ? size : size * size;
	}
}

/* The largest ratio at the end of a bin. */
static double best_edge(const struct cutoff_rule *rule, const struct histogram *bins)
{
	struct taken taken = { 0 };
	double best = 0;

	for (size_t bin = BINS; bin-- > 0;) {
		taken.number += bins->numbers[bin];
		taken.sum += bins->sums[bin];
		if (bins->numbers[bin])
			best = fmax(best, ratio(rule, taken.number, taken.sum));
	}
	return best;
}

/* Where in the scratch the elements of each bin that may hold the best begin, from the largest. */
struct places {
	uint32_t start[BINS];
	bool wanted[BINS];
	uint32_t least;	 /* the smallest size of a bin that may */
	size_t reaching; /* how many are as large or larger */
};

static void place_bins(const struct search *search, const struct histogram *bins,
		       struct places *places)
{
	const struct cutoff_rule *rule = search->rule;
	struct taken taken = { 0 };
	uint32_t next = 0;
	size_t number;

	for (size_t bin = BINS; bin-- > 0;) {
		uint32_t largest = (uint32_t)((bin + 1) << BIN_SHIFT) - 1;
		uint32_t count = bins->numbers[bin];

		places->start[bin] = next;
		places->wanted[bin] =
			count && best_of_run(rule, &taken, share_of(rule, largest), count,
					     &number) >= search->best * (1 - tolerance);
		taken.number += count;
		if (places->wanted[bin]) {
			next += count;
			places->least = (uint32_t)bin << BIN_SHIFT;
			places->reaching = taken.number;
		}
		taken.sum += bins->sums[bin];
	}
}

static void gather_one(struct places *places, float x, uint32_t *scratch)
{
	uint32_t size = select_size(x), bin = size >> BIN_SHIFT;

	if (places->wanted[bin])
		scratch[places->start[bin]++] = size;
}

/* The elements of wanted bins; leaves in start where each ends. Few are looked for, many met. */
static void gather(struct places *places, const float *x, size_t count, uint32_t *scratch)
{
	if (places->reaching > count / 16) {
		for (size_t i = 0; i < count; i++)
			gather_one(places, x[i], scratch);
		return;
	}
	for (size_t i = 0; i < count; i++) {
		i += kernels()->find_size(x + i, count - i, places->least);
		if (i < count)
			gather_one(places, x[i], scratch);
	}
}

static void search_bins(struct search *search, const struct histogram *bins, const float *x,
			size_t count, uint32_t *scratch)
{
	struct places places = { 0 };
	struct taken taken = { 0 };

	search->best = best_edge(search->rule, bins);
	place_bins(search, bins, &places);
	gather(&places, x, count, scratch);
	for (size_t bin = BINS; bin-- > 0;) {
		size_t n = bins->numbers[bin];

		if (places.wanted[bin])
			search_part(search, scratch + places.start[bin] - n, n, BIN_SHIFT, taken);
		taken.number += n;
		taken.sum += bins->sums[bin];
	}
}

struct cutoff cutoff_choose(const struct cutoff_rule *rule, const float *x, size_t count,
			    uint32_t *scratch)
{
	struct histogram bins = { 0 };
	struct search search = { .rule = rule };
	double squares = 0;

	count_bins(&bins, rule->signs, x, count);
	if (rule->signs)
		squares = kernels()->sum_squares(x, count);
	else
		for (size_t bin = 0; bin < BINS; bin++)
			squares += bins.sums[bin];
	if (!(squares > 0))
		return (struct cutoff){ 0 };
	search_bins(&search, &bins, x, count, scratch);
	if (rule->dense > 0 && squares / cutoff_price(&rule->cost, rule->dense) > search.best) {
		search.cutoff.dense = true;
		search.cutoff.chosen = count;
	}
	return search.cutoff;
}
