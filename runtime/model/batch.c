/* What a model sees of the data. */
#include "runtime/model/batch.h"

size_t shape_count(const struct shape *shape)
{
	size_t count = 1;

	for (size_t i = 0; i < shape->rank; i++)
		count *= shape->dim[i];
	return count;
}
