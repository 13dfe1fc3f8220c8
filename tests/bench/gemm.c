/*
 * Matrix products of training, by dstrain and by OpenBLAS, turn about: GFLOP/s of the fastest of
 * many calls, and the share of what the processor could do if it only multiplied and added. The
 * matrices stay in the second or third cache. usage: gemm [--quick]
 */
#include <cblas.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/clock.h"
#include "lib/memory.h"
#include "runtime/device/cpu.h"
#include "runtime/device/team.h"

enum { FORWARD, WEIGHTS, INPUTS, PASSES };

static const char *const passes[PASSES] = { "forward", "dW", "dx" };

/* Layers of a batch: samples, outputs, inputs. */
static const size_t layers[][3] = {
	{ 128, 512, 784 },    { 128, 256, 512 },   { 128, 10, 256 },	{ 1024, 384, 128 },
	{ 1024, 128, 128 },   { 1024, 512, 128 },  { 1024, 128, 512 },	{ 1024, 65, 128 },
	{ 1024, 1152, 384 },  { 1024, 1536, 384 }, { 1024, 384, 1536 }, { 128, 128, 32 },
	{ 256, 256, 64 },     { 1, 512, 784 },	   { 128, 1, 784 },	{ 1024, 1024, 1024 },
	{ 2048, 2048, 2048 },
};

#ifdef __x86_64__
/* Twelve sums that do not wait for each other. */
#define PEAK(name, isa, floats)                                                          \
	__attribute__((target(isa), noinline)) static double name(void)                  \
	{                                                                                \
		enum { SUMS = 12, TIMES = 20000 };                                       \
		typedef float wide __attribute__((vector_size(4 * (floats))));           \
		wide sum[SUMS] = { { 0 } }, factor = { 0.5f }, addend = { 1 };           \
		double began = clock_now();                                              \
                                                                                         \
		for (int i = 0; i < TIMES; i++)                                          \
			_Pragma("GCC unroll 12") for (int j = 0; j < SUMS; j++) sum[j] = \
				sum[j] * factor + addend;                                \
		for (int j = 0; j < SUMS; j++)                                           \
			__asm__ volatile("" ::"x"(sum[j]));                              \
		return 2.0 * TIMES * SUMS * (floats) / (clock_now() - began);            \
	}
PEAK(peak_avx512, "avx512f", 16)
PEAK(peak_avx2, "avx2,fma", 8)

static double peak_once(void)
{
	return __builtin_cpu_supports("avx512f") ? peak_avx512() : peak_avx2();
}

static double peak(void)
{
	double best = 0;

	for (int i = 0; i < 1000; i++) {
		double rate = peak_once();

		best = rate > best ? rate : best;
	}
	return best;
}
#else
static double peak(void)
{
	return 0;
}
#endif

static void by_openblas(const struct cpu_gemm *g)
{
	cblas_sgemm(CblasRowMajor, g->ta ? CblasTrans : CblasNoTrans,
		    g->tb ? CblasTrans : CblasNoTrans, (int)g->m, (int)g->n, (int)g->k, 1, g->a,
		    (int)(g->ta ? g->m : g->k), g->b, (int)(g->tb ? g->k : g->n), g->beta, g->c,
		    (int)g->n);
}

static void keep_fastest(double *best, void (*product)(const struct cpu_gemm *),
			 const struct cpu_gemm *gemm)
{
	double began = clock_now(), took;

	product(gemm);
	took = clock_now() - began;
	*best = *best == 0 || took < *best ? took : *best;
}

static float *some_floats(size_t count)
{
	float *x = xaligned(count * sizeof(*x));

	for (size_t i = 0; i < count; i++)
		x[i] = (float)(i % 17) - 8;
	return x;
}

static void measure(const size_t *layer, int pass, struct team *team, double seconds, double most)
{
	size_t batch = layer[0], outputs = layer[1], inputs = layer[2];
	struct cpu_gemm gemm = {
		.ta = pass == WEIGHTS,
		.tb = pass == FORWARD,
		.m = pass == WEIGHTS ? outputs : batch,
		.n = pass == FORWARD ? outputs : inputs,
		.k = pass == FORWARD   ? inputs
		     : pass == WEIGHTS ? batch
				       : outputs,
		.team = team,
	};
	float *a = some_floats(gemm.m * gemm.k), *b = some_floats(gemm.n * gemm.k);
	float *c = some_floats(gemm.m * gemm.n);
	double until = clock_now() + seconds, ours = 0, theirs = 0;
	double work = 2e-9 * (double)gemm.m * (double)gemm.n * (double)gemm.k;

	gemm.a = a;
	gemm.b = b;
	gemm.c = c;
	while (clock_now() < until || theirs == 0) {
		keep_fastest(&ours, cpu_gemm, &gemm);
		keep_fastest(&theirs, by_openblas, &gemm);
	}
	printf("%4zu x %4zu x %4zu %-7s %7zu %8.1f %8.1f %6.2f", gemm.m, gemm.n, gemm.k,
	       passes[pass], team_threads(team), work / ours, work / theirs, theirs / ours);
	if (most > 0)
		printf(" %5.0f %%", 1e11 * work / ours / (most * (double)team_threads(team)));
	printf("\n");
	fflush(stdout);
	free(a);
	free(b);
	free(c);
}

int main(int argc, char **argv)
{
	bool quick = argc > 1 && strcmp(argv[1], "--quick") == 0;
	double seconds = quick ? 0.05 : 0.2, most = peak();

	printf("%s here, %s in OpenBLAS; %.1f GFLOP/s at most for each thread\n", cpu_kernel(),
	       openblas_get_corename(), most * 1e-9);
	printf("   m x    n x    k pass    threads dstrain OpenBLAS  ratio of peak\n");
	for (size_t threads = 1; threads <= 2; threads++) {
		struct team *team = team_new(threads);

		openblas_set_num_threads((int)threads);
		for (size_t i = 0; i < ARRAY_SIZE(layers); i++)
			for (int pass = 0; pass < PASSES; pass++)
				measure(layers[i], pass, team, seconds, most);
		team_free(team);
	}
	return 0;
}
