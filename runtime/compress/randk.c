/*
 * Random coordinates, a fixed number of each span. Which ones follows from a number in the payload:
 * one of each of as many equal intervals, so that all are as likely and no index is sent.
 */
#include "runtime/compress/compress.h"

#include <math.h>
#include <string.h>

#include "lib/error.h"
#include "lib/opt.h"
#include "runtime/compress/sparse.h"

struct randk_params {
	double share;
	bool unbiased;
};

static const struct opt options[] = {
	{ "share", OPT_REAL, offsetof(struct randk_params, share), "0.01",
	  "part of a span's coordinates that is sent, at least one", 1e-9, 1 },
	{ "unbiased", OPT_BOOL, offsetof(struct randk_params, unbiased), "no",
	  "divide by the share, so that means are right; only without error feedback" },
	{ 0 },
};

enum { HEADER = sizeof(uint64_t) };

static size_t chosen_of(const void *params, size_t count)
{
	return sparse_share(((const struct randk_params *)params)->share, count);
}

/* The k-th of `chosen` intervals. */
struct interval {
	size_t start, length;
};

static struct interval interval_of(size_t k, size_t chosen, size_t count)
{
	size_t start = k * count / chosen;

	return (struct interval){ .start = start, .length = (k + 1) * count / chosen - start };
}

static size_t pick(const struct rng *rng, size_t k, struct interval interval)
{
	return interval.start + rng_below(rng, k, interval.length);
}

/* The factor of what is sent. */
static float factor(const void *params, struct interval interval)
{
	const struct randk_params *randk = params;

	return randk->unbiased ? (float)interval.length : 1;
}

static struct rng rng_of(uint64_t seed)
{
	return (struct rng){ .seed = seed, .stream = RNG_COMPRESS };
}

static size_t bound(const void *params, size_t count)
{
	return HEADER + chosen_of(params, count) * sizeof(float);
}

static size_t encode(const void *params, const struct compress_input *input, unsigned char *out)
{
	size_t chosen = chosen_of(params, input->count);
	uint64_t seed = rng_u64(&input->rng, input->first);
	struct rng rng = rng_of(seed);

	memcpy(out, &seed, HEADER);
	for (size_t k = 0; k < chosen; k++) {
		struct interval interval = interval_of(k, chosen, input->count);
		float value = factor(params, interval) * input->x[pick(&rng, k, interval)];

		memcpy(out + HEADER + k * sizeof(value), &value, sizeof(value));
	}
	return bound(params, input->count);
}

/* A payload is read from its first interval to the last. */
struct reader {
	const unsigned char *values;
	struct rng rng;
	size_t next, chosen, count;
};

static int open_payload(struct reader *reader, const void *params, const unsigned char *bytes,
			size_t length, size_t count, struct error *err)
{
	size_t wanted = bound(params, count);
	uint64_t seed;

	if (length != wanted)
		return error_set(err, "a payload of %zu bytes where %zu were expected", length,
				 wanted);
	memcpy(&seed, bytes, HEADER);
	*reader = (struct reader){ .values = bytes + HEADER,
				   .rng = rng_of(seed),
				   .chosen = chosen_of(params, count),
				   .count = count };
	return 0;
}

static size_t read_pair(struct reader *reader, float *value)
{
	size_t k = reader->next++;

	memcpy(value, reader->values + k * sizeof(*value), sizeof(*value));
	return pick(&reader->rng, k, interval_of(k, reader->chosen, reader->count));
}

static int decode_add(const void *params, const unsigned char *bytes, size_t length, float scale,
		      float *y, size_t count, struct error *err)
{
	struct reader reader;

	if (open_payload(&reader, params, bytes, length, count, err) < 0)
		return -1;
	while (reader.next < reader.chosen) {
		float value;
		size_t i = read_pair(&reader, &value);

		y[i] += scale * value;
	}
	return 0;
}

static int pairs(const void *params, const unsigned char *bytes, size_t length, size_t first,
		 size_t count, struct compress_pairs *pairs, struct error *err)
{
	struct reader reader;

	if (open_payload(&reader, params, bytes, length, count, err) < 0)
		return -1;
	for (size_t k = 0; k < reader.chosen; k++)
		pairs->indices[k] = (uint32_t)(first + read_pair(&reader, &pairs->values[k]));
	pairs->count = reader.chosen;
	return 0;
}

static double largest_error(const void *params, const struct compress_input *input)
{
	size_t chosen = chosen_of(params, input->count);
	struct rng rng = rng_of(rng_u64(&input->rng, input->first));
	double sum = 0;

	for (size_t k = 0; k < chosen; k++) {
		struct interval interval = interval_of(k, chosen, input->count);
		size_t sent = pick(&rng, k, interval);

		for (size_t i = interval.start; i < interval.start + interval.length; i++) {
			double x = input->x[i];
			double off = i == sent ? x - (double)factor(params, interval) * x : x;

			sum += off * off;
		}
	}
	return sqrt(sum);
}

static bool runs_away(const void *params)
{
	return ((const struct randk_params *)params)->unbiased;
}

const struct compressor compress_randk = {
	.entry = { .name = "randk",
		   .summary = "random coordinates, no indices, with error feedback",
		   .options = options,
		   .params_size = sizeof(struct randk_params) },
	.payload = PAYLOAD_OPAQUE,
	.sparse = true,
	.feedback = FEEDBACK_CLASSIC,
	.runs_away = runs_away,
	.bound = bound,
	.encode = encode,
	.decode_add = decode_add,
	.error = largest_error,
	.chosen = chosen_of,
	.pairs = pairs,
};
