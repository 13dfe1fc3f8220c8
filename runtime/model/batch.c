/* What a model sees of the data. */
#include "runtime/model/batch.h"

#include <stdio.h>

size_t shape_count(const struct shape *shape)
{
	size_t count = 1;

	for (size_t i = 0; i < shape->rank; i++)
		count *= shape->dim[i];
	return count;
}

char *shape_show(char out[SHAPE_TEXT], const struct shape *shape)
{
	size_t length = (size_t)snprintf(out, SHAPE_TEXT, "[");

	for (size_t i = 0; i < shape->rank; i++)
		length += (size_t)snprintf(out + length, SHAPE_TEXT - length, "%s%zu",
					   i ? ", " : "", shape->dim[i]);
	snprintf(out + length, SHAPE_TEXT - length, "]");
	return out;
}
