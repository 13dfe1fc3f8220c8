/*
 * As many of the largest coordinates as improve most for what they cost: communication-aware
 * adaptive tuning, see runtime/compress/cutoff.h. What a message costs says a model of the network.
 */
#include "runtime/compress/compress.h"

#include <math.h>
#include <string.h>

#include "lib/error.h"
#include "lib/opt.h"
#include "runtime/compress/codes.h"
#include "runtime/compress/chances.h"
#include "runtime/compress/cutoff.h"
#include "runtime/compress/indices.h"
#include "runtime/compress/sparse.h"
#include "runtime/device/codec.h"
#include "runtime/device/kernels.h"

enum variant { SPARSIFY, SPARSIFY_QUANTISE, STOCHASTIC };
enum cost { BITS, AFFINE, PACKETS, MEASURED, ETHERNET, PAPER, IOT };

struct cat_params {
	int variant, cost;
	size_t fixed_cost, packet, packet_cost; /* bytes */
	double latency_s, bandwidth;		/* of a link, bytes/s */
};

static const char *const variants[] = { "sparsify", "sparsify_quantise", "stochastic", NULL };
static const char *const costs[] = { "bits",	 "affine", "packets", "measured",
				     "ethernet", "paper",  "iot",     NULL };

static const struct opt options[] = {
	{ "variant", OPT_CHOICE, offsetof(struct cat_params, variant), "sparsify",
	  "send values, signs and one magnitude, or values at random", 0, 0, variants },
	{ "cost", OPT_CHOICE, offsetof(struct cat_params, cost), "ethernet", "what a message costs",
	  0, 0, costs },
	{ "fixed_cost", OPT_BYTES, offsetof(struct cat_params, fixed_cost), "64",
	  "cost of any message, with affine and packets", 0, 1e15 },
	{ "packet", OPT_BYTES, offsetof(struct cat_params, packet), "512",
	  "payload of a packet, with packets", 16, 1e9 },
	{ "packet_cost", OPT_BYTES, offsetof(struct cat_params, packet_cost), "576",
	  "cost of a packet, with packets", 1, 1e9 },
	{ "latency", OPT_SECONDS, offsetof(struct cat_params, latency_s), "1ms",
	  "of a message, with measured where links are not known", 0, 1e6 },
	{ "bandwidth", OPT_REAL, offsetof(struct cat_params, bandwidth), "1.25e7",
	  "bytes per second of a link, with measured where links are not known", 1, 1e15 },
	{ 0 },
};

static const uint32_t dense = UINT32_MAX; /* in the place of the number of coordinates */

/* In bytes, as if each took a second of a link with `measured`. */
static struct cutoff_cost cost_of(const struct cat_params *cat, const struct compress_link *link)
{
	const double bit = 1.0 / 8;
	double rate = link ? link->bytes_per_s : cat->bandwidth;
	double latency_s = link && !isnan(link->latency_s) ? link->latency_s : cat->latency_s;

	switch ((enum cost)cat->cost) {
	case BITS: break;
	case AFFINE: return (struct cutoff_cost){ (double)cat->fixed_cost, bit, 0 };
	case PACKETS:
		return (struct cutoff_cost){ (double)cat->fixed_cost, (double)cat->packet_cost,
					     8 * (double)cat->packet };
	case MEASURED: return (struct cutoff_cost){ latency_s * rate, bit, 0 };
	case ETHERNET: return (struct cutoff_cost){ 0, 1518, 8 * 1460 };
	case PAPER: return (struct cutoff_cost){ 64, 576, 8 * 512 };
	case IOT: /* waking the radio up costs ten packets */
		return (struct cutoff_cost){ 1270, 127, 8 * 100 };
	}
	return (struct cutoff_cost){ 0, bit, 0 };
}

static struct cutoff_rule rule_of(const struct cat_params *cat, const struct compress_input *input)
{
	size_t count = input->count;
	struct cutoff_rule rule = { .cost = cost_of(cat, input->link),
				    .dense = 32 * (double)count };
	double index = count > 1 ? ceil(log2((double)count)) : 0;

	rule.signs = cat->variant == SPARSIFY_QUANTISE;
	rule.header = rule.signs ? 32 : 0;
	rule.each = index + (rule.signs ? 1 : 32);
	return rule;
}

/* Also what the search for the cutoff needs, which happens where the payload will be. */
static size_t bound(const void *params, size_t count)
{
	(void)params;
	return SPARSE_HEADER + sizeof(float) + sparse_bound_any(count);
}

static struct cutoff choose(const struct cat_params *cat, const struct compress_input *input,
			    unsigned char *out)
{
	struct cutoff_rule rule = rule_of(cat, input);
	uint32_t *scratch = (void *)(out + -(uintptr_t)out % sizeof(*scratch));

	return cutoff_choose(&rule, input->x, input->count, scratch);
}

static size_t signs_bytes(size_t chosen)
{
	return (chosen + 7) / 8;
}

/* One magnitude, the mean, which makes the step as long as it should be; signs; indices. */
static size_t encode_signs(const struct compress_input *input, const struct cutoff *cutoff,
			   unsigned char *out)
{
	size_t chosen = cutoff->chosen, at = 0;
	unsigned char *signs = out + sizeof(float);
	struct index_writer writer =
		indices_write(signs + signs_bytes(chosen), chosen, input->count);
	struct selection selection = cutoff->selection;
	float size = (float)(cutoff->sum / (double)chosen);

	memcpy(out, &size, sizeof(size));
	memset(signs, 0, signs_bytes(chosen));
	for (size_t k = 0; k < chosen; k++, at++) {
		at = select_next(&selection, input->x, input->count, at);
		signs[k / 8] |= (unsigned char)((input->x[at] < 0) << k % 8);
		indices_put(&writer, at);
	}
	return (size_t)(indices_end(&writer) - out);
}

static size_t put_dense(const struct compress_input *input, unsigned char *out)
{
	sparse_put_header(out, dense);
	memcpy(out + SPARSE_HEADER, input->x, input->count * sizeof(float));
	return SPARSE_HEADER + input->count * sizeof(float);
}

/* Twice the same draws: how many, and which. */
static size_t encode_drawn(const struct cat_params *cat, const struct compress_input *input,
			   unsigned char *out)
{
	struct cutoff_rule rule = rule_of(cat, input);
	struct chances chances = chances_choose(&rule, input->x, input->count);
	unsigned char *values = out + SPARSE_HEADER;
	size_t chosen = 0, at, drawn, count = input->count;
	uint16_t places[CHANCES_BLOCK];
	struct index_writer writer;

	if (chances.dense)
		return put_dense(input, out);
	for (at = 0; at < count && chances.number > 0; at += CHANCES_BLOCK)
		chosen += chances_draw(&chances, &input->rng, input->first, input->x, at,
				       count - at < CHANCES_BLOCK ? count - at : CHANCES_BLOCK,
				       places);
	sparse_put_header(out, chosen);
	if (chosen == 0)
		return SPARSE_HEADER;
	writer = indices_write(values + chosen * sizeof(float), chosen, count);
	for (at = 0; at < count; at += CHANCES_BLOCK) {
		drawn = chances_draw(&chances, &input->rng, input->first, input->x, at,
				     count - at < CHANCES_BLOCK ? count - at : CHANCES_BLOCK,
				     places);
		for (size_t k = 0; k < drawn; k++, values += sizeof(float)) {
			float value = chances_value(&chances, input->x[at + places[k]]);

			memcpy(values, &value, sizeof(value));
			indices_put(&writer, at + places[k]);
		}
	}
	return (size_t)(indices_end(&writer) - out);
}

static size_t encode_largest(const struct cat_params *cat, const struct compress_input *input,
			     unsigned char *out)
{
	struct cutoff cutoff = choose(cat, input, out);
	unsigned char *body = out + SPARSE_HEADER;

	if (cutoff.dense)
		return put_dense(input, out);
	sparse_put_header(out, cutoff.chosen);
	if (cutoff.chosen == 0)
		return SPARSE_HEADER;
	if (cat->variant == SPARSIFY_QUANTISE)
		return SPARSE_HEADER + encode_signs(input, &cutoff, body);
	return SPARSE_HEADER +
	       sparse_encode(input->x, input->count, cutoff.selection, cutoff.chosen, body);
}

static size_t encode(const void *params, const struct compress_input *input, unsigned char *out)
{
	const struct cat_params *cat = params;

	return cat->variant == STOCHASTIC ? encode_drawn(cat, input, out)
					  : encode_largest(cat, input, out);
}

/* Where signs go: added to y, or kept as pairs. */
struct target {
	float scale, *y; /* y NULL: pairs */
	size_t first;
	struct compress_pairs *pairs;
};

static void put(const struct target *target, size_t k, size_t at, float value)
{
	if (target->y) {
		target->y[at] += target->scale * value;
		return;
	}
	target->pairs->indices[k] = (uint32_t)(target->first + at);
	target->pairs->values[k] = value;
	target->pairs->count = k + 1;
}

static int decode_signs(const unsigned char *bytes, size_t length, size_t chosen, size_t count,
			const struct target *target, struct error *err)
{
	const unsigned char *signs = bytes + sizeof(float);
	size_t start = sizeof(float) + signs_bytes(chosen), at;
	struct index_reader reader;
	float size;

	if (chosen > count || length < start)
		return error_set(err, "a payload of %zu bytes cannot hold %zu of %zu signs", length,
				 chosen, count);
	memcpy(&size, bytes, sizeof(size));
	reader = indices_read(bytes + start, length - start, chosen, count);
	for (size_t k = 0; k < chosen; k++) {
		if (!indices_next(&reader, &at))
			return error_set(err, "a payload of %zu bytes with damaged indices",
					 length);
		put(target, k, at, signs[k / 8] >> k % 8 & 1 ? -size : size);
	}
	if (!indices_ended(&reader))
		return error_set(err, "a payload of %zu bytes has more than its %zu signs", length,
				 chosen);
	return 0;
}

static int decode(const void *params, const unsigned char *bytes, size_t length, size_t count,
		  const struct target *target, struct error *err)
{
	const struct cat_params *cat = params;
	const unsigned char *body = bytes + SPARSE_HEADER;
	size_t chosen;

	if (sparse_get_header(bytes, length, &chosen, err) < 0)
		return -1;
	length -= SPARSE_HEADER;
	if (cat->variant == SPARSIFY_QUANTISE && chosen != dense && chosen > 0)
		return decode_signs(body, length, chosen, count, target, err);
	if (chosen == dense)
		chosen = count;
	if (target->y)
		return sparse_decode_add(body, length, chosen, target->scale, target->y, count,
					 err);
	return sparse_unpack(body, length, chosen, target->first, count, target->pairs, err);
}

static int decode_add(const void *params, const unsigned char *bytes, size_t length, float scale,
		      float *y, size_t count, struct error *err)
{
	struct target target = { .scale = scale, .y = y };

	return decode(params, bytes, length, count, &target, err);
}

static int pairs(const void *params, const unsigned char *bytes, size_t length, size_t first,
		 size_t count, struct compress_pairs *pairs, struct error *err)
{
	struct target target = { .first = first, .pairs = pairs };

	return decode(params, bytes, length, count, &target, err);
}

static size_t any(const void *params, size_t count)
{
	(void)params;
	return count;
}

/* Each one is not sent, or is. */
static double drawn_error(const struct cat_params *cat, const struct compress_input *input)
{
	struct cutoff_rule rule = rule_of(cat, input);
	struct chances chances = chances_choose(&rule, input->x, input->count);
	double sum = 0;

	for (size_t i = 0; i < input->count && !chances.dense; i++) {
		double x = (double)input->x[i];
		double off = fabs((double)chances_value(&chances, input->x[i]) - x);

		off = x != 0 ? fmax(off, fabs(x)) : 0;
		sum += off * off;
	}
	return sqrt(sum);
}

/* The largest coordinate at least is taken off the squares; with signs, which promise the square
 * of a sum over a number, a part of it. */
static double largest_error(const void *params, const struct compress_input *input)
{
	double squares = kernels()->sum_squares(input->x, input->count);
	double largest = (double)codes_largest(input->x, input->count);
	double gain = largest * largest / (double)(input->count + 1);

	if (((const struct cat_params *)params)->variant == STOCHASTIC)
		return drawn_error(params, input);
	return sqrt(fmax(squares - gain, 0));
}

static bool runs_away(const void *params)
{
	return ((const struct cat_params *)params)->variant == STOCHASTIC;
}

const struct compressor compress_cat = {
	.entry = { .name = "cat",
		   .summary = "as many large coordinates as pay, with error feedback",
		   .options = options,
		   .params_size = sizeof(struct cat_params) },
	.payload = PAYLOAD_OPAQUE,
	.sparse = true,
	.feedback = FEEDBACK_CLASSIC,
	.runs_away = runs_away,
	.bound = bound,
	.encode = encode,
	.decode_add = decode_add,
	.error = largest_error,
	.chosen = any,
	.pairs = pairs,
};
