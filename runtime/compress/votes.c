/* One bit an element: plus or minus a size. */
#include "runtime/compress/votes.h"

#include <math.h>

#include "runtime/compress/bits.h"

size_t votes_encode(const float *x, size_t count, unsigned char *out)
{
	struct codes_plan plan = { .kernel = kernels()->code_signs };

	codes_encode(&plan, x, count, 1, out);
	return bits_size(count, 1);
}

int votes_add(const unsigned char *bytes, float size, float scale, float *y, size_t count,
	      struct error *err)
{
	float table[2] = { scale * size, -(scale * size) };

	if (codes_check_end(bytes, count, 1, err) < 0)
		return -1;
	codes_add(bytes, count, 1, table, y);
	return 0;
}

int votes_decode_add(const unsigned char *bytes, size_t length, size_t header, float size,
		     float scale, float *y, size_t count, struct error *err)
{
	if (codes_check_length(length, count ? header + bits_size(count, 1) : 0, err) < 0)
		return -1;
	if (count == 0)
		return 0;
	if (header > 0) {
		size = codes_get_scale(bytes);
		if (codes_check_scale(size, err) < 0)
			return -1;
	}
	return votes_add(bytes + header, size, scale, y, count, err);
}

double votes_error(const float *x, size_t count, double size)
{
	double sum = 0;

	for (size_t i = 0; i < count; i++) {
		double off = fabs((double)x[i]) + size;

		sum += off * off;
	}
	return sqrt(sum);
}
