/* Which of the compiled kernels this processor runs. */
#include "runtime/device/kernels.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "lib/memory.h"

extern const struct kernels kernels_plain;
#ifdef __x86_64__
extern const struct kernels kernels_avx2, kernels_avx512;

static bool has_avx2(void)
{
	return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
}

static bool has_avx512(void)
{
	return has_avx2() && __builtin_cpu_supports("avx512f") &&
	       __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512bw") &&
	       __builtin_cpu_supports("avx512vl");
}
#endif

enum { MOST_SETS = 3 };

static const struct kernels *sets[MOST_SETS + 1] = { &kernels_plain };
static const struct kernels *usual = &kernels_plain, *chosen = &kernels_plain;

/* Before main, so that no thread sees it change. */
__attribute__((constructor(102))) static void choose(void)
{
	const char *wanted = getenv("DSTRAIN_ISA");
	size_t count = 1;

#ifdef __x86_64__
	if (has_avx2())
		sets[count++] = &kernels_avx2;
	if (has_avx512())
		sets[count++] = &kernels_avx512;
#endif
	usual = sets[count - 1];
	for (size_t i = 0; wanted && i < count; i++)
		if (strcmp(sets[i]->isa, wanted) == 0)
			usual = sets[i];
	chosen = usual;
}

const struct kernels *kernels(void)
{
	return chosen;
}

const struct kernels *const *kernels_all(void)
{
	return sets;
}

void kernels_choose(const struct kernels *set)
{
	chosen = set ? set : usual;
}
