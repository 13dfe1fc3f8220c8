/* No compression: float32 as it is. */
#include "runtime/compress/compress.h"

#include <string.h>

#include "lib/error.h"

static size_t bound(const void *params, size_t count)
{
	(void)params;
	return count * sizeof(float);
}

static size_t encode(const void *params, const struct compress_input *input, unsigned char *out)
{
	size_t length = bound(params, input->count);

	memcpy(out, input->x, length);
	return length;
}

static int decode_add(const void *params, const unsigned char *bytes, size_t length, float scale,
		      float *y, size_t count, struct error *err)
{
	size_t wanted = bound(params, count);

	if (length != wanted)
		return error_set(err, "a payload of %zu bytes where %zu were expected", length,
				 wanted);
	for (size_t i = 0; i < count; i++) {
		float value;

		memcpy(&value, bytes + i * sizeof(value), sizeof(value));
		y[i] += scale * value;
	}
	return 0;
}

static double largest_error(const void *params, const struct compress_input *input)
{
	(void)params;
	(void)input;
	return 0;
}

const struct compressor compress_none = {
	.entry = { .name = "none", .summary = "float32, sums are exact copies of the plain ones" },
	.payload = PAYLOAD_SUMS,
	.bound = bound,
	.encode = encode,
	.decode_add = decode_add,
	.error = largest_error,
};
