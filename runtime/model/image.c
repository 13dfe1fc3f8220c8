/* What layers of images share. */
#include "runtime/model/image.h"

#include "lib/error.h"
#include "runtime/model/layer.h"

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

static size_t stride_of(const struct pool2d_params *pool)
{
	return pool->stride ? pool->stride : pool->kernel;
}

int image_pool(const struct pool2d_params *pool, const struct shape *input, struct shape *output,
	       struct error *err)
{
	if (2 * pool->padding > pool->kernel)
		return error_set(err, "a padding of %zu is more than half the kernel's side of %zu",
				 pool->padding, pool->kernel);
	return image_windows(input, pool->kernel, stride_of(pool), pool->padding, output, err);
}

struct pool image_pool_of(const struct layer_call *call)
{
	const struct pool2d_params *params = call->params;

	return (struct pool){
		.kernel = params->kernel,
		.stride = stride_of(params),
		.padding = params->padding,
		.height = call->input->dim[1],
		.width = call->input->dim[2],
		.out_height = call->output->dim[1],
		.out_width = call->output->dim[2],
	};
}
