/* Arithmetic on vectors, single-threaded, by the kernels of this processor. */
#include "runtime/device/cpu.h"

#include "runtime/device/kernels.h"

const char *cpu_kernel(void)
{
	return kernels()->isa;
}

void cpu_add(float *y, const float *x, size_t count)
{
	kernels()->add(y, x, count);
}

void cpu_sum(float *y, const float *const *x, size_t n, size_t count)
{
	kernels()->add_many(y, x, n, count);
}

void cpu_scale(float *y, float factor, size_t count)
{
	kernels()->scale(y, factor, count);
}

void cpu_axpy(float *y, float factor, const float *x, size_t count)
{
	kernels()->axpy(y, factor, x, count);
}

double cpu_sum_squares(const float *x, size_t count)
{
	return kernels()->sum_squares(x, count);
}
