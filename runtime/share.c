/* How a batch is shared out: in equal parts, or in proportion to how fast ranks are. */
#include "runtime/share.h"

#include <math.h>
#include <stdlib.h>

#include "lib/buf.h"
#include "lib/error.h"
#include "lib/log.h"
#include "lib/memory.h"
#include "lib/numbers.h"
#include "runtime/calibrate.h"
#include "runtime/coll.h"
#include "runtime/fault.h"
#include "runtime/job.h"
#include "runtime/outfit.h"
#include "runtime/slice.h"

enum {
	MOST_TIMES = 4, /* an equal share: more would take too much memory on every rank */
	STEPS = 9	/* whether a rank straggles is asked for so many */
};

const char *const share_rules[] = { "equal", "measured", NULL };

size_t share_most(enum share_rule rule, size_t batch, size_t world)
{
	size_t equal = slice_pieces(batch, world);

	if (rule == SHARE_EQUAL)
		return equal;
	return equal * MOST_TIMES < batch ? equal * MOST_TIMES : batch;
}

/* The rank that would be done first with a sample more. */
static size_t soonest(const float *speed, const float *samples, size_t world, size_t most)
{
	size_t best = world;

	for (size_t r = 0; r < world; r++)
		if (samples[r] < (float)most &&
		    (best == world || ((double)samples[r] + 1) * speed[best] <
					      ((double)samples[best] + 1) * speed[r]))
			best = r;
	return best;
}

/* The rank that is done last, of those that have more than one. */
static size_t latest(const float *speed, const float *samples, size_t world)
{
	size_t worst = world;

	for (size_t r = 0; r < world; r++)
		if (samples[r] > 1 && (worst == world || (double)samples[r] * speed[worst] >
								 (double)samples[worst] * speed[r]))
			worst = r;
	return worst;
}

void share_allot(const float *speed, size_t world, size_t batch, float *samples)
{
	double most = (double)share_most(SHARE_MEASURED, batch, world), sum = 0,
	       left = (double)batch;

	for (size_t r = 0; r < world; r++)
		sum += speed[r];
	for (size_t r = 0; r < world; r++) {
		double ideal = floor((double)batch * speed[r] / sum);

		samples[r] = (float)fmin(fmax(ideal, 1), most);
		left -= samples[r];
	}
	for (; left > 0; left--)
		samples[soonest(speed, samples, world, (size_t)most)]++;
	for (; left < 0; left++)
		samples[latest(speed, samples, world)]--;
}

int shares_measure(struct shares *out, const struct outfit_env *env, const struct fault *fault,
		   struct error *err)
{
	double step_s, lasts[STEPS];
	size_t samples;

	if (calibrate(env, &step_s, err) < 0)
		return -1;
	for (size_t i = 0; i < STEPS; i++)
		lasts[i] = fault_lasts(fault, i, step_s);
	slice_start(env->job->params.batch, env->world, env->rank, &samples);
	*out = (struct shares){ .world = env->world,
				.batch = env->job->params.batch,
				.speed = (double)samples / numbers_median(lasts, STEPS) };
	out->samples = xcalloc(out->world, sizeof(*out->samples));
	out->part = xcalloc(out->world, sizeof(*out->part));
	return 0;
}

int shares_agree(struct shares *shares, struct net *net, const struct group *world,
		 struct error *err)
{
	float *speed = xcalloc(shares->world, sizeof(*speed));
	int status;

	speed[world->ranks[world->index]] = (float)shares->speed;
	status = coll_allreduce(net, world, COLL_AUTO, speed, shares->world, err);
	if (status == 0) {
		share_allot(speed, shares->world, shares->batch, shares->samples);
		status = shares_settle(shares, err);
	}
	free(speed);
	return status;
}

int shares_settle(struct shares *shares, struct error *err)
{
	size_t most = share_most(SHARE_MEASURED, shares->batch, shares->world);
	double sum = 0;

	for (size_t r = 0; r < shares->world; r++) {
		double samples = shares->samples[r];

		if (!(samples >= 1 && samples <= (double)most))
			return error_set(
				err,
				"train.share: rank %zu would take %g samples of a batch of "
				"%zu; was train.batch changed?",
				r, samples, shares->batch);
		shares->part[r] = samples / (double)shares->batch;
		sum += samples;
	}
	if (shares->world && sum != (double)shares->batch)
		return error_set(err,
				 "train.share: the shares are of a batch of %.0f, not %zu; was "
				 "train.batch changed?",
				 sum, shares->batch);
	return 0;
}

size_t shares_first(const struct shares *shares, unsigned rank)
{
	double first = 0;

	for (unsigned r = 0; r < rank; r++)
		first += shares->samples[r];
	return (size_t)first;
}

void shares_tell(const struct shares *shares)
{
	struct buf text = { 0 };

	for (size_t r = 0; r < shares->world; r++)
		buf_addf(&text, " %.0f", shares->samples[r]);
	log_info("samples of a batch, by rank:%s", buf_text(&text));
	buf_release(&text);
}

void shares_release(struct shares *shares)
{
	free(shares->samples);
	free(shares->part);
	*shares = (struct shares){ 0 };
}
