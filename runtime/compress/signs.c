/* Signs of one bit an element: times the mean of |x|, or as votes. */
#include "runtime/compress/signs.h"

#include <math.h>

#include "lib/error.h"
#include "runtime/compress/bits.h"
#include "runtime/compress/codes.h"
#include "runtime/compress/votes.h"

enum { SCALE = 4 /* bytes */ };

static size_t header(const struct signs_params *params)
{
	return params->vote ? 0 : SCALE;
}

size_t signs_bound(const void *params, size_t count)
{
	return count ? header(params) + bits_size(count, 1) : 0;
}

static float mean_size(const struct compress_input *input)
{
	struct code_measure measure;

	kernels()->code_measure(input->x, input->count, &measure);
	return (float)((measure.above - measure.below) / (double)input->count);
}

size_t signs_encode(const void *params, const struct compress_input *input, unsigned char *out)
{
	if (input->count == 0)
		return 0;
	if (header(params) > 0)
		codes_put_scale(out, mean_size(input));
	return header(params) + votes_encode(input->x, input->count, out + header(params));
}

int signs_decode_add(const void *params, const unsigned char *bytes, size_t length, float scale,
		     float *y, size_t count, struct error *err)
{
	return votes_decode_add(bytes, length, header(params), 1, scale, y, count, err);
}

/* What is left of |x| is as far from its mean as it is: the mean's square goes away. */
double signs_error(const void *params, const struct compress_input *input)
{
	double size = 1, sum = 0;

	if (input->count == 0)
		return 0;
	if (header(params) > 0)
		size = (double)mean_size(input);
	for (size_t i = 0; i < input->count; i++) {
		double off = fabs((double)input->x[i]) - size;

		sum += off * off;
	}
	return sqrt(sum) + 0x1p-23 * size * sqrt((double)input->count);
}

enum vote signs_vote(const void *params)
{
	return ((const struct signs_params *)params)->vote ? VOTE_SIGNS : VOTE_NO;
}
