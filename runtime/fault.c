/* Faults and slowness on purpose, for experiments. */
#include "runtime/fault.h"

#include <math.h>

#include "lib/buf.h"
#include "lib/error.h"
#include "runtime/device/cpu.h"
#include "runtime/rng.h"

static const char *const kinds[] = {
	"none", "sign_flip", "noise", "scale", "constant", "nan", NULL
};

#define ROW(field) offsetof(struct fault_params, field)

const struct opt fault_options[] = {
	{ "rank", OPT_COUNTS, ROW(ranks), "", "ranks whose gradients are wrong: one, or a list",
	  .min = 0, .max = 1e6 },
	{ "kind", OPT_CHOICE, ROW(kind), "none", "what is wrong with these", .choices = kinds },
	{ "size", OPT_REAL, ROW(size), "10", "how wrong", .min = 0, .max = 1e30 },
	{ "compute", OPT_SECONDS, ROW(compute_s), "0s",
	  "what a step's computation stands for: ranks sleep until it has lasted so long", .min = 0,
	  .max = 86400 },
	{ "straggle.probability", OPT_REAL, ROW(probability), "0",
	  "how likely a rank straggles in a step", .min = 0, .max = 1 },
	{ "straggle.factor", OPT_REAL, ROW(factor), "10",
	  "how many times as long a step takes where a rank straggles", .min = 1, .max = 1e6 },
	{ "straggle.ranks", OPT_COUNTS, ROW(stragglers), "",
	  "ranks that straggle at random; none: all of them", .min = 0, .max = 1e6 },
	{ "straggle.permanent", OPT_COUNTS, ROW(permanent), "", "ranks that straggle in every step",
	  .min = 0, .max = 1e6 },
	{ 0 }
};

static bool lists(const struct opt_counts *ranks, size_t rank)
{
	for (size_t i = 0; i < ranks->count; i++)
		if (ranks->values[i] == rank)
			return true;
	return false;
}

static int check_ranks(const struct opt_counts *ranks, const char *key, size_t world,
		       struct error *err)
{
	for (size_t i = 0; i < ranks->count; i++)
		if (ranks->values[i] >= world)
			return error_set(err, "%s: there is no rank %zu; %zu rank%s from 0 on", key,
					 ranks->values[i], world,
					 world == 1 ? " counts" : "s count");
	return 0;
}

int fault_check(const struct fault_params *params, size_t world, struct error *err)
{
	if (check_ranks(&params->ranks, "fault.rank", world, err) < 0 ||
	    check_ranks(&params->stragglers, "fault.straggle.ranks", world, err) < 0)
		return -1;
	return check_ranks(&params->permanent, "fault.straggle.permanent", world, err);
}

static void add_ranks(struct buf *out, const struct opt_counts *ranks)
{
	buf_addf(out, ranks->count == 1 ? "rank" : "ranks");
	for (size_t i = 0; i < ranks->count; i++)
		buf_addf(out, "%s %zu", i ? "," : "", ranks->values[i]);
}

static void begin(struct buf *out)
{
	if (out->length)
		buf_addf(out, "; ");
}

void fault_describe(const struct fault_params *params, struct buf *out)
{
	if (params->kind != FAULT_NONE) {
		buf_addf(out, "gradients of ");
		add_ranks(out, &params->ranks);
		buf_addf(out, " are wrong (%s)", kinds[params->kind]);
	}
	if (params->probability > 0) {
		begin(out);
		buf_addf(out, "%g %% of the steps", params->probability * 100);
		if (params->stragglers.count) {
			buf_addf(out, " of ");
			add_ranks(out, &params->stragglers);
		}
		buf_addf(out, " take %g times as long", params->factor);
	}
	if (params->permanent.count) {
		begin(out);
		buf_addf(out, "all steps of ");
		add_ranks(out, &params->permanent);
		buf_addf(out, " take %g times as long", params->factor);
	}
	if (params->compute_s > 0) {
		begin(out);
		buf_addf(out, "a step computes for at least %g s", params->compute_s);
	}
}

struct fault fault_of_rank(const struct fault_params *params, uint64_t seed, unsigned rank,
			   double share)
{
	return (struct fault){ .params = params,
			       .seed = seed,
			       .rank = rank,
			       .share = share,
			       .load = 1,
			       .wrong = params->kind != FAULT_NONE && lists(&params->ranks, rank) };
}

static bool straggles(const struct fault *fault, size_t step)
{
	const struct fault_params *params = fault->params;
	struct rng rng = rng_make(fault->seed, RNG_FAULT, fault->rank, step);

	if (lists(&params->permanent, fault->rank))
		return true;
	return (params->stragglers.count == 0 || lists(&params->stragglers, fault->rank)) &&
	       rng_uniform(&rng, 0) < params->probability;
}

double fault_lasts(const struct fault *fault, size_t step, double computed_s)
{
	double usual_s = fmax(computed_s, fault->params->compute_s * fault->load);

	return straggles(fault, step) ? usual_s * fault->params->factor : usual_s;
}

static void add_noise(const struct fault *fault, size_t step, size_t offset, float *grad,
		      size_t count)
{
	struct rng rng = rng_make(fault->seed, RNG_FAULT, fault->rank, step);
	double size = fault->params->size * fault->share;

	for (size_t i = 0; i < count; i++) /* number 0 said whether the rank straggles */
		grad[i] += (float)(size * rng_normal(&rng, offset + i + 1));
}

void fault_gradient(const struct fault *fault, size_t step, size_t offset, float *grad,
		    size_t count)
{
	double size = fault->params->size;

	if (!fault->wrong)
		return;
	switch (fault->params->kind) {
	case FAULT_SIGN_FLIP: cpu_scale(grad, (float)-size, count); break;
	case FAULT_NOISE: add_noise(fault, step, offset, grad, count); break;
	case FAULT_SCALE: cpu_scale(grad, (float)size, count); break;
	case FAULT_CONSTANT:
	case FAULT_NAN:
		size = fault->params->kind == FAULT_NAN ? (double)NAN : size * fault->share;
		for (size_t i = 0; i < count; i++)
			grad[i] = (float)size;
		break;
	default: break;
	}
}
