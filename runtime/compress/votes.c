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

double votes_error(const float *x, size_t count, double size)
{
	double sum = 0;

	for (size_t i = 0; i < count; i++) {
		double off = fabs((double)x[i]) + size;

		sum += off * off;
	}
	return sqrt(sum);
}
