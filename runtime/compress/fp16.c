/* IEEE half precision, rounded to nearest even; what is too large becomes infinite. */
#include "runtime/compress/compress.h"

#include <math.h>

#include "runtime/compress/codes.h"

enum { WIDTH = 2 /* bytes of a half */ };

static size_t bound(const void *params, size_t count)
{
	(void)params;
	return count * WIDTH;
}

static size_t encode(const void *params, const struct compress_input *input, unsigned char *out)
{
	kernels()->half_pack(out, input->x, input->count);
	return bound(params, input->count);
}

static int decode_add(const void *params, const unsigned char *bytes, size_t length, float scale,
		      float *y, size_t count, struct error *err)
{
	if (codes_check_length(length, bound(params, count), err) < 0)
		return -1;
	kernels()->half_add(y, bytes, scale, count);
	return 0;
}

/* Half a unit of the last place: of ten bits, or of the smallest subnormals. */
static double largest_error(const void *params, const struct compress_input *input)
{
	double sum = 0;

	(void)params;
	for (size_t i = 0; i < input->count; i++) {
		double size = fabs((double)input->x[i]);
		double most = fmax(size * 0x1p-11, 0x1p-25);

		sum += size < 65520 ? most * most : INFINITY;
	}
	return sqrt(sum);
}

const struct compressor compress_fp16 = {
	.entry = { .name = "fp16", .summary = "half precision with error feedback" },
	.payload = PAYLOAD_OPAQUE,
	.feedback = FEEDBACK_CLASSIC,
	.bound = bound,
	.encode = encode,
	.decode_add = decode_add,
	.error = largest_error,
};
