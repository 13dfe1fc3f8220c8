/*
 * Matrix products: which way round, by which kernel, and cut into which parts for a team. All of
 * this follows from the shape alone, but for the parts, which change no element's sum.
 */
#include "runtime/device/gemm.h"

#include <stdint.h>

#include "runtime/device/cpu.h"
#include "runtime/device/kernels.h"
#include "runtime/device/team.h"
#include "runtime/slice.h"

/* Products that a vector's worth of floats costs: in a tile, to be turned round. */
enum { LANES = 16, TURN = 10 };
enum { FEW = 4 };		  /* rows or columns for which nothing is worth turning */
enum { SMALLEST_PART = 1 << 18 }; /* products that make up for waking a thread */

/* Roughly, in products: tiles are whole vectors wide, what is turned costs for every element. */
static size_t cost(const struct gemm_part *part)
{
	size_t turned =
		(part->v_x == 1 ? 0 : part->x * part->k) + (part->c_x == 1 ? 0 : part->x * part->y);

	return part->y * slice_round_up(part->x, LANES) * part->k + TURN * turned;
}

/* V from B: C gets whole vectors. */
static struct gemm_part straight(const struct cpu_gemm *gemm)
{
	size_t lda = gemm->lda ? gemm->lda : gemm->ta ? gemm->m : gemm->k;
	size_t ldb = gemm->ldb ? gemm->ldb : gemm->tb ? gemm->k : gemm->n;

	return (struct gemm_part){
		.y = gemm->m,
		.x = gemm->n,
		.k = gemm->k,
		.s = gemm->a,
		.s_y = gemm->ta ? 1 : lda,
		.s_k = gemm->ta ? lda : 1,
		.v = gemm->b,
		.v_x = gemm->tb ? ldb : 1,
		.v_k = gemm->tb ? 1 : ldb,
		.c = gemm->c,
		.c_y = gemm->ldc ? gemm->ldc : gemm->n,
		.c_x = 1,
		.beta = gemm->beta,
		.bias = gemm->bias,
		.relu = gemm->relu,
	};
}

/* The transpose of all: V from A. */
static struct gemm_part turn(const struct gemm_part *part)
{
	struct gemm_part turned = *part;

	turned.y = part->x;
	turned.x = part->y;
	turned.s = part->v;
	turned.s_y = part->v_x;
	turned.s_k = part->v_k;
	turned.v = part->s;
	turned.v_x = part->s_y;
	turned.v_k = part->s_k;
	turned.c_y = part->c_x;
	turned.c_x = part->c_y;
	return turned;
}

/* One product on a team. */
struct shared {
	const struct gemm_part *whole;
	size_t down, across; /* parts */
	void (*kernel)(const struct gemm_part *part);
};

static size_t cut(size_t count, size_t i, size_t n, size_t step)
{
	size_t at = slice_round_up(count * i / n, step);

	return at < count ? at : count;
}

static void run_part(void *arg, size_t chunk, size_t member)
{
	const struct shared *shared = arg;
	struct gemm_part part = *shared->whole;
	size_t down = chunk / shared->across, across = chunk % shared->across;
	size_t y = cut(part.y, down, shared->down, 1);
	size_t x = cut(part.x, across, shared->across, GEMM_COLUMNS);

	(void)member;
	part.y = cut(part.y, down + 1, shared->down, 1) - y;
	part.x = cut(part.x, across + 1, shared->across, GEMM_COLUMNS) - x;
	part.s += y * part.s_y;
	part.v += x * part.v_x;
	part.c += y * part.c_y + x * part.c_x;
	if (part.bias)
		part.bias += part.c_x == 1 ? x : y;
	if (part.y > 0 && part.x > 0)
		shared->kernel(&part);
}

/* As many parts as there are threads, so that the longest is as short as can be. */
static void share(struct shared *shared, size_t threads)
{
	size_t best = SIZE_MAX;

	for (size_t across = 1; across <= threads; across++) {
		size_t down = slice_pieces(threads, across);
		struct gemm_part part = *shared->whole;
		size_t most;

		part.y = slice_pieces(part.y, down);
		part.x = slice_round_up(slice_pieces(part.x, across), GEMM_COLUMNS);
		most = cost(&part) * slice_pieces(down * across, threads);
		if (most < best) {
			best = most;
			shared->down = down;
			shared->across = across;
		}
	}
}

void cpu_gemm(const struct cpu_gemm *gemm)
{
	struct gemm_part part = straight(gemm), turned = turn(&part);
	struct shared shared = {
		.whole = &part, .down = 1, .across = 1, .kernel = kernels()->gemm
	};
	size_t threads = team_threads(gemm->team);
	size_t most = 1 + cost(&part) / SMALLEST_PART;

	if (gemm->m == 0 || gemm->n == 0)
		return;
	if (part.s_k == 1 && part.v_k == 1 && (part.y <= FEW || part.x <= FEW))
		shared.kernel = kernels()->dots;
	else if (gemm->n > 1 && cost(&turned) < cost(&part)) /* one step of C is 1, not both */
		part = turned;
	share(&shared, threads < most ? threads : most);
	team_run(gemm->team, shared.down * shared.across, run_part, &shared);
}
