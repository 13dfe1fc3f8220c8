/* PowerSGD (Vogels, Karimireddy and Jaggi, NeurIPS 2019): matrices as products of two factors of
 * few columns, which add up in flight. The sums are runtime/exchange_factors.c's. */
#include "runtime/compress/compress.h"

#include "lib/opt.h"

struct powersgd_params {
	size_t rank;
};

static const struct opt options[] = {
	{ "rank", OPT_COUNT, offsetof(struct powersgd_params, rank), "4",
	  "columns of the factors of a matrix", 1, 1024 },
	{ 0 },
};

/* As it is where factors would not be smaller; so a rank is below both sides. */
static size_t rank_of(const void *params, size_t rows, size_t columns)
{
	const struct powersgd_params *powersgd = params;

	return powersgd->rank * (rows + columns) < rows * columns ? powersgd->rank : 0;
}

const struct compressor compress_powersgd = {
	.entry = { .name = "powersgd",
		   .summary = "matrices as products of thin ones, with error feedback",
		   .options = options,
		   .params_size = sizeof(struct powersgd_params) },
	.payload = PAYLOAD_FACTORS,
	.feedback = FEEDBACK_CLASSIC,
	.rank = rank_of,
};
