/* How things are shared out. */
#include "runtime/slice.h"

size_t slice_start(size_t count, size_t n, size_t i, size_t *length)
{
	size_t each = count / n, longer = count % n;

	*length = each + (i < longer);
	return each * i + (i < longer ? i : longer);
}

size_t slice_at(size_t count, size_t n, size_t at)
{
	size_t each = count / n, longer = count % n, border = longer * (each + 1);

	return at < border ? at / (each + 1) : longer + (at - border) / each;
}
