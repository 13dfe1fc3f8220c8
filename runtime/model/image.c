/* What layers of images share. */
#include "runtime/model/image.h"

#include "lib/error.h"
#include "runtime/model/batch.h"

int image_check(const struct shape *input, struct error *err)
{
	static const char *const what[] = { "a scalar", "one row of features",
					    "a sequence, [positions][channels]", NULL,
					    "four dimensions" };

	if (input->rank == 3)
		return 0;
	return error_set(err, "needs images, [channels][height][width], not %s", what[input->rank]);
}

int image_windows(const struct shape *input, size_t kernel, size_t stride, size_t padding,
		  struct shape *output, struct error *err)
{
	size_t height, width;

	if (image_check(input, err) < 0)
		return -1;
	height = input->dim[1] + 2 * padding;
	width = input->dim[2] + 2 * padding;
	if (height < kernel || width < kernel)
		return error_set(err,
				 "a window of %zu x %zu does not fit into an image of %zu x %zu "
				 "with a padding of %zu",
				 kernel, kernel, input->dim[1], input->dim[2], padding);
	*output = *input;
	output->dim[1] = (height - kernel) / stride + 1;
	output->dim[2] = (width - kernel) / stride + 1;
	return 0;
}
