/* What dq_sgd promises of its codes, alone and through the exchange. */
#include "tests/unit/unit.h"

#include <math.h>
#include <string.h>

#include "runtime/compress/compress.h"
#include "runtime/exchange.h"
#include "tests/unit/cluster.h"
#include "tests/unit/part.h"

enum { STATE_MOST = 16, LEAST = 2, MOST = 8 };

static const char *const norms[] = { "inf", "2" };

static struct part dq_sgd(const char *norm, const char *kappa)
{
	return part_with(registry_find(&compressors, "dq_sgd"),
			 (const char *const[]){ "mode", "fixed", "rounding", "nearest", "norm",
						norm, "kappa", kappa, NULL });
}

/* Heavy tails. */
static void fill_heavily(float *x, size_t count)
{
	struct rng rng = rng_make(3, RNG_DATA, 0, 0);

	for (size_t i = 0; i < count; i++)
		x[i] = (float)(rng_normal(&rng, 2 * i) * exp(rng_normal(&rng, 2 * i + 1)));
}

static double norm_of(const float *x, size_t count, bool infinity)
{
	double squares = 0, largest = 0;

	for (size_t i = 0; i < count; i++) {
		squares += (double)x[i] * (double)x[i];
		largest = fmax(largest, fabs((double)x[i]));
	}
	return infinity ? largest : sqrt(squares);
}

/* Bits of which one is the sign. */
static unsigned levels_of(unsigned bits)
{
	return (1u << (bits - 1)) - 1;
}

/* Of the whole vector: (norm / s)^2 times the sum of f (1 - f). */
static double variance_of(const float *x, size_t count, double norm, unsigned levels)
{
	double sum = 0;

	for (size_t i = 0; i < count; i++) {
		double u = levels * fabs((double)x[i]) / norm, f = u - floor(u);

		sum += f * (1 - f);
	}
	return norm / levels * (norm / levels) * sum;
}

/* The payload's length. `level`: what adapt left in the state, or NULL. */
static size_t encode(const struct part *part, const float *level, const float *x, size_t count,
		     uint64_t draw, unsigned char *bytes)
{
	struct compress_input input = {
		.x = x, .count = count, .state = level, .rng = rng_make(1, RNG_COMPRESS, 0, draw)
	};

	return PART_AS(part, struct compressor)->encode(part->params, &input, bytes);
}

static void decode(const struct part *part, const unsigned char *bytes, size_t length, float *y,
		   size_t count)
{
	struct error err = { "" };

	memset(y, 0, count * sizeof(*y));
	if (PART_AS(part, struct compressor)
		    ->decode_add(part->params, bytes, length, 1, y, count, &err) < 0)
		fail_msg("%s", err.text);
}

static void the_variance_is_exact_and_below_its_bound(void **state)
{
	enum { COUNT = 300, DRAWS = 1500 };
	unsigned char bytes[8 + COUNT];
	float x[COUNT], y[COUNT];

	(void)state;
	fill_heavily(x, COUNT);
	for (unsigned k = 0; k < 2 * (MOST - LEAST + 1); k++) {
		unsigned bits = LEAST + k / 2, s = levels_of(bits);
		float level[STATE_MOST] = { (float)bits };
		struct part part = dq_sgd(norms[k % 2], "1");
		double norm = norm_of(x, COUNT, k % 2 == 0), seen = 0;
		double exact = variance_of(x, COUNT, norm, s);

		for (uint64_t draw = 0; draw < DRAWS; draw++) {
			size_t length = encode(&part, level, x, COUNT, draw, bytes);

			decode(&part, bytes, length, y, COUNT);
			for (size_t i = 0; i < COUNT; i++)
				seen += pow((double)y[i] - (double)x[i], 2) / DRAWS;
		}
		assert_true(seen >= 0.97 * exact && seen <= 1.03 * exact);
		assert_true(seen <= COUNT / (4.0 * s * s) * norm * norm);
		part_release(&part);
	}
}

/* With the same random numbers. */
static void what_is_scaled_by_a_power_of_two_is_so_decoded(void **state)
{
	enum { COUNT = 300 };
	unsigned char bytes[8 + COUNT];
	float x[COUNT], scaled[COUNT], y[COUNT], z[COUNT];

	(void)state;
	fill_heavily(x, COUNT);
	for (size_t i = 0; i < COUNT; i++)
		scaled[i] = 0x1p-30f * x[i];
	for (unsigned k = 0; k < 2 * (MOST - LEAST + 1); k++) {
		float level[STATE_MOST] = { (float)(LEAST + k / 2) };
		struct part part = dq_sgd(norms[k % 2], "1");

		decode(&part, bytes, encode(&part, level, x, COUNT, 5, bytes), y, COUNT);
		decode(&part, bytes, encode(&part, level, scaled, COUNT, 5, bytes), z, COUNT);
		for (size_t i = 0; i < COUNT; i++)
			assert_true(z[i] == 0x1p-30f * y[i]);
		part_release(&part);
	}
}

/* The bits that `kappa` gives in the steps after the first of a training without decay. */
static double bits_at(const char *norm, const char *kappa, double size, size_t steps, float *level)
{
	struct part part = dq_sgd(norm, kappa);
	const struct compressor *dq = PART_AS(&part, struct compressor);
	double bits = 0;

	assert_true(dq->state_count <= STATE_MOST);
	for (size_t step = 0; step < steps; step++) {
		struct compress_step about = { .step = step,
					       .steps = steps,
					       .count = step ? 100 : 0,
					       .norm2 = size,
					       .norm_inf = size };

		dq->adapt(part.params, &about, level);
		assert_true(step < 2 || (double)level[0] == bits);
		bits = (double)level[0];
	}
	part_release(&part);
	return bits;
}

static void a_larger_kappa_never_takes_fewer_bits(void **state)
{
	double last = 0;

	(void)state;
	for (int power = -6; power < 14; power++) {
		float level[STATE_MOST] = { 0 };
		char *kappa = xasprintf("%.6f", ldexp(1, power));
		double bits = bits_at("2", kappa, 1, 3, level);

		assert_true(bits >= last && bits >= LEAST && bits <= MOST);
		last = bits;
		free(kappa);
	}
	assert_true(last == MOST);
}

/* Behind the byte that says how many bits. */
static void with_a_constant_norm_it_is_qsgd(void **state)
{
	enum { COUNT = 333 };
	static const char *const kappas[] = { "1", "3", "7", "15", "31", "63", "127" };
	unsigned char ours[8 + COUNT], theirs[8 + COUNT];
	float x[COUNT];

	(void)state;
	fill_heavily(x, COUNT);
	for (unsigned k = 0; k < 2 * ARRAY_SIZE(kappas); k++) {
		const char *norm = norms[k % 2];
		float level[STATE_MOST] = { 0 };
		double bits = bits_at(norm, kappas[k / 2], 1, 30, level);
		char digits[] = { (char)('0' + (int)bits), '\0' };
		struct part dq = dq_sgd(norm, kappas[k / 2]);
		struct part qsgd = part_with(
			registry_find(&compressors, "qsgd"),
			(const char *const[]){ "bits", digits, "norm", norm, "block", "0", NULL });
		size_t length = encode(&qsgd, NULL, x, COUNT, k, theirs);

		assert_true(bits == LEAST + k / 2);
		assert_int_equal(encode(&dq, level, x, COUNT, k, ours), 1 + length);
		assert_int_equal(ours[0], bits);
		assert_memory_equal(ours + 1, theirs, length);
		part_release(&dq);
		part_release(&qsgd);
	}
}

/* An exchange of such a vector, everybody's to everybody. */
static struct exchange *open_exchange(const struct part *part, struct net *net, size_t count)
{
	const struct exchange_env env = { .net = net,
					  .params = { .collective = EXCHANGE_GATHER },
					  .count = count,
					  .coder = { .compressor = part, .seed = 11 } };

	return exchange_new(&env);
}

enum { VECTOR = 400, STEPS = 200 };

/* Ranks have the same vector, and draw other random numbers. The first step knows no norm. */
static void variance_body(int rank, struct net *net, void *arg)
{
	struct exchange *exchange = open_exchange(arg, net, VECTOR);
	int ranks[CLUSTER_MAX], world = net_world(net);
	struct group group = group_world(ranks, world, rank);
	float x[VECTOR], mean[VECTOR];
	double seen = 0, norm, exact;
	struct error err;

	fill_heavily(x, VECTOR);
	norm = norm_of(x, VECTOR, true);
	for (size_t step = 0; step <= STEPS; step++) {
		memcpy(mean, x, sizeof(x));
		cluster_must(exchange_mean(exchange, &group, step, 0, mean, VECTOR, &err), &err);
		for (size_t i = 0; i < VECTOR && step > 0; i++)
			seen += pow((double)mean[i] - (double)x[i], 2) / STEPS;
	}
	assert(exchange_report(exchange).level == 4);
	exact = variance_of(x, VECTOR, norm, levels_of(4)) / world;
	assert(seen >= 0.97 * exact && seen <= 1.03 * exact);
	exchange_free(exchange);
}

static void the_variance_of_a_mean_falls_as_ranks_are_more(void **state)
{
	float x[VECTOR];
	char *kappa;
	struct part part;

	(void)state;
	fill_heavily(x, VECTOR);
	kappa = xasprintf("%.6f", levels_of(4) / norm_of(x, VECTOR, true));
	part = dq_sgd("inf", kappa);
	for (int world = 2; world <= 8; world *= 2)
		cluster_run("inproc", world, variance_body, &part);
	part_release(&part);
	free(kappa);
}

/* A step down a quadratic, of curvatures from 0.1 to 1, towards what all ranks want alike. */
static void descend(struct exchange *exchange, const struct group *group, size_t step,
		    const float *wanted, float *w)
{
	float grad[VECTOR];
	struct error err;

	for (size_t i = 0; i < VECTOR; i++)
		grad[i] = (0.1f + 0.9f * (float)i / VECTOR) * (w[i] - wanted[i]);
	cluster_must(exchange_mean(exchange, group, step, 0, grad, VECTOR, &err), &err);
	for (size_t i = 0; i < VECTOR; i++)
		w[i] -= 0.2f * grad[i];
}

static void trajectory_body(int rank, struct net *net, void *arg)
{
	struct part none = part_default(&compressors, "none");
	struct exchange *plain = open_exchange(&none, net, VECTOR);
	struct exchange *coded = open_exchange(arg, net, VECTOR);
	int ranks[CLUSTER_MAX];
	struct group group = group_world(ranks, net_world(net), rank);
	float wanted[VECTOR], exact[VECTOR] = { 0 }, w[VECTOR] = { 0 };

	fill_heavily(wanted, VECTOR);
	for (size_t step = 0; step < STEPS; step++) {
		double off = 0;

		descend(plain, &group, step, wanted, exact);
		descend(coded, &group, step, wanted, w);
		for (size_t i = 0; i < VECTOR; i++)
			off += pow((double)w[i] - (double)exact[i], 2);
		off = sqrt(off) / norm_of(wanted, VECTOR, false);
		assert(off <= (step + 1 == STEPS ? 1e-4 : 3e-3));
	}
	assert(exchange_report(coded).level == MOST);
	exchange_free(plain);
	exchange_free(coded);
	part_release(&none);
}

/* Eight bits are the most: never far from the way with float32, and at the end where it ends. */
static void with_eight_bits_training_is_that_with_float32(void **state)
{
	struct part part = dq_sgd("inf", "1000000000");

	(void)state;
	cluster_run("inproc", 4, trajectory_body, &part);
	part_release(&part);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_variance_is_exact_and_below_its_bound),
		cmocka_unit_test(what_is_scaled_by_a_power_of_two_is_so_decoded),
		cmocka_unit_test(a_larger_kappa_never_takes_fewer_bits),
		cmocka_unit_test(with_a_constant_norm_it_is_qsgd),
		cmocka_unit_test(the_variance_of_a_mean_falls_as_ranks_are_more),
		cmocka_unit_test(with_eight_bits_training_is_that_with_float32),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
