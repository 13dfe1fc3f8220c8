/*
 * Arithmetic on float vectors and matrices on the processor: OpenBLAS for products, plain loops
 * that the compiler vectorises for the rest. Every sum has an order that no instruction set
 * changes.
 */
#define _DEFAULT_SOURCE /* MAP_ANONYMOUS */
#include "runtime/device/cpu.h"

#include <cblas.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "lib/error.h"
#include "runtime/device/kernels.h"

/* The best of these is picked when the program is loaded; same results, wider registers. clang 14
 * exports such functions under another name, and the thread sanitizer is not up by then. */
#if defined(__x86_64__) && !defined(__clang__) && !defined(__SANITIZE_THREAD__)
#define WIDE __attribute__((target_clones("avx512f", "avx2", "default")))
#else
#define WIDE
#endif

/* Before OpenBLAS looks, which is before main: threads of its own that nobody asked for yet cost
 * every command their start, every fork their end, and spin where address space is scarce. */
__attribute__((constructor(101))) static void begin_alone(void)
{
	setenv("OPENBLAS_NUM_THREADS", "1", 0);
}

void cpu_threads(int threads)
{
	openblas_set_num_threads(threads);
}

const char *cpu_kernel(void)
{
	return openblas_get_corename();
}

/* OpenBLAS maps BUFFER bytes at the first product of a thread, and tries for ever if it cannot. */
int cpu_reserve(struct error *err)
{
	enum { SIDE = 64, BUFFER = 128 << 20 };
	static const float zero[SIDE * SIDE];
	float product[SIDE * SIDE];
	void *room = mmap(NULL, BUFFER, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (room == MAP_FAILED)
		return error_set(err,
				 "out of memory: no %d MiB of address space for matrix products; "
				 "see `ulimit -v`",
				 BUFFER >> 20);
	munmap(room, BUFFER);
	cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasNoTrans, SIDE, SIDE, SIDE, 1, zero, SIDE,
		    zero, SIDE, 0, product, SIDE);
	return 0;
}

WIDE void cpu_add(float *y, const float *x, size_t count)
{
	for (size_t i = 0; i < count; i++)
		y[i] += x[i];
}

WIDE static void add_pair(float *restrict sum, const float *x, const float *y, size_t count)
{
	for (size_t i = 0; i < count; i++)
		sum[i] = x[i] + y[i];
}

/* Blocks that stay in the first cache, so that memory is read and written once. */
void cpu_sum(float *y, const float *const *x, size_t n, size_t count)
{
	enum { BLOCK = 1024 };
	float sum[BLOCK];

	for (size_t start = 0, length; start < count; start += length) {
		length = count - start < BLOCK ? count - start : BLOCK;
		add_pair(sum, x[0] + start, x[1] + start, length);
		for (size_t k = 2; k < n; k++)
			cpu_add(sum, x[k] + start, length);
		memcpy(y + start, sum, length * sizeof(*y));
	}
}

WIDE void cpu_scale(float *y, float factor, size_t count)
{
	for (size_t i = 0; i < count; i++)
		y[i] *= factor;
}

WIDE void cpu_axpy(float *y, float factor, const float *x, size_t count)
{
	for (size_t i = 0; i < count; i++)
		y[i] += factor * x[i];
}

double cpu_sum_squares(const float *x, size_t count)
{
	return kernels()->sum_squares(x, count);
}
