/* Every loss in the registry: derivatives, extreme outputs, right answers, what it refuses. */
#include "tests/unit/unit.h"

#include <math.h>
#include <string.h>

#include "lib/error.h"
#include "runtime/model/layer.h"
#include "tests/unit/part.h"

enum { BATCH = 9, MOST = 10 };

/* What data and models there are; a loss serves those it accepts. */
static const struct {
	size_t classes, outputs;
} kinds[] = { { 0, 1 },	 { 2, 1 }, { 2, 2 }, { 3, 3 }, { 10, 10 },
	      { 10, 1 }, { 3, 2 }, { 0, 3 }, { 1, 1 } };

struct sample {
	const struct loss *loss;
	size_t classes, outputs;
	float logits[BATCH * MOST], targets[BATCH], slopes[BATCH * MOST];
};

typedef void visit(struct sample *sample);

/* Calls `check` for every loss with every kind of data it accepts. */
static void for_each(visit *check)
{
	for (size_t e = 0; losses.entries[e]; e++) {
		size_t accepted = 0;

		for (size_t k = 0; k < ARRAY_SIZE(kinds); k++) {
			struct sample s = { .loss = (const struct loss *)losses.entries[e],
					    .classes = kinds[k].classes,
					    .outputs = kinds[k].outputs };
			struct error err;

			if (s.loss->check(s.classes, s.outputs, &err) < 0)
				continue;
			accepted++;
			fill(s.logits, BATCH * s.outputs, e, 0);
			fill(s.targets, BATCH, 20, 0);
			for (size_t i = 0; i < BATCH && s.classes; i++)
				s.targets[i] = (float)(i % s.classes);
			check(&s);
		}
		assert_true(accepted > 0);
	}
}

static double loss_sum(const struct sample *s)
{
	struct score score = { 0 };

	s->loss->evaluate(&(struct loss_call){ .logits = s->logits,
					       .targets = s->targets,
					       .rows = BATCH,
					       .outputs = s->outputs },
			  &score);
	return score.loss_sum;
}

static struct score with_slopes(struct sample *s, float scale)
{
	struct score score = { 0 };

	memset(s->slopes, 0xff, sizeof(s->slopes)); /* NaNs: to be overwritten */
	s->loss->evaluate(&(struct loss_call){ .logits = s->logits,
					       .targets = s->targets,
					       .rows = BATCH,
					       .outputs = s->outputs,
					       .scale = scale,
					       .dlogits = s->slopes },
			  &score);
	return score;
}

/* What is left is h^2/6 f''' < 2e-6, and a loss that was rounded to 1e-7 as a float, by 2h. */
static void compare_with_differences(struct sample *s)
{
	const float h = 0x1p-7f;

	assert_true(with_slopes(s, 0.25f).loss_sum == loss_sum(s));
	for (size_t i = 0; i < BATCH * s->outputs; i++) {
		float kept = s->logits[i], above = kept + h, below = kept - h;
		double high, low, slope;

		s->logits[i] = above;
		high = loss_sum(s);
		s->logits[i] = below;
		low = loss_sum(s);
		s->logits[i] = kept;
		slope = (high - low) / ((double)above - below) * 0.25;
		if (!(fabs(slope - s->slopes[i]) <= 1e-5 * (1 + fabs(slope))))
			fail_msg("%s with %zu outputs: derivative %zu is %g, differences say %g",
				 s->loss->entry.name, s->outputs, i, (double)s->slopes[i], slope);
	}
}

static void derivatives_match_central_differences(void **state)
{
	(void)state;
	for_each(compare_with_differences);
}

static void try_extremes(struct sample *s)
{
	for (unsigned pattern = 0; pattern < 4; pattern++) {
		struct score score;

		for (size_t i = 0; i < BATCH * s->outputs; i++)
			s->logits[i] = (i + pattern) & (pattern < 2 ? 1 : 2) ? 1e4f : -1e4f;
		score = with_slopes(s, 1);
		assert_true(isfinite(score.loss_sum) && score.loss_sum >= 0);
		for (size_t i = 0; i < BATCH * s->outputs; i++)
			assert_true(isfinite(s->slopes[i]));
	}
}

static void extreme_outputs_give_finite_losses(void **state)
{
	(void)state;
	for_each(try_extremes);
}

static void try_nan(struct sample *s)
{
	for (size_t i = 0; i < s->outputs; i++)
		s->logits[i] = NAN;
	assert_true(isnan(loss_sum(s)));
}

static void not_a_number_is_not_hidden(void **state)
{
	(void)state;
	for_each(try_nan);
}

/* Outputs that say class (target + shift) of each sample with certainty. */
static void answer(struct sample *s, size_t shift)
{
	for (size_t i = 0; i < BATCH; i++) {
		size_t class = ((size_t)s->targets[i] + shift) % s->classes;

		for (size_t j = 0; j < s->outputs; j++)
			s->logits[i * s->outputs + j] =
				(s->outputs == 1 ? class == 1 : class == j) ? 5 : -5;
	}
}

static void count_right_answers(struct sample *s)
{
	double right, wrong;

	if (s->classes == 0)
		return;
	answer(s, 0);
	assert_int_equal(with_slopes(s, 1).correct, BATCH);
	right = loss_sum(s);
	answer(s, 1);
	assert_int_equal(with_slopes(s, 1).correct, 0);
	wrong = loss_sum(s);
	assert_true(right < 0.01 * BATCH && wrong > 5 * BATCH);
}

static void right_answers_are_counted_and_cost_little(void **state)
{
	(void)state;
	for_each(count_right_answers);
}

static void add_up(struct sample *s)
{
	struct score whole = with_slopes(s, 1), sum = { 0 };

	for (size_t i = 0; i < BATCH; i++)
		s->loss->evaluate(&(struct loss_call){ .logits = s->logits + i * s->outputs,
						       .targets = s->targets + i,
						       .rows = 1,
						       .outputs = s->outputs,
						       .scale = 1,
						       .dlogits = NULL },
				  &sum);
	assert_int_equal(sum.correct, whole.correct);
	assert_true(fabs(sum.loss_sum - whole.loss_sum) <= 1e-12 * whole.loss_sum);
}

static void samples_add_up_to_the_batch(void **state)
{
	(void)state;
	for_each(add_up);
}

static void known_values_come_out(void **state)
{
	static const struct {
		const char *name;
		float logits[3], target;
		size_t outputs;
		double loss;
	} known[] = {
		{ "softmax_cross_entropy", { 1, 1, 1 }, 2, 3, 1.0986122886681098 },
		{ "softmax_cross_entropy", { 0, 2, 0 }, 1, 3, 0.2395447662218847 },
		{ "logistic", { 0 }, 1, 1, 0.6931471805599453 },
		{ "logistic", { 2 }, 0, 1, 2.1269280110429727 },
		{ "hinge", { 0.25f }, 1, 1, 0.75 },
		{ "hinge", { 0.25f }, 0, 1, 1.25 },
		{ "hinge", { 0.5f, 2, 1 }, 1, 3, 0 },
		{ "hinge", { 0.5f, 2, 1 }, 0, 3, 2.5 },
		{ "mean_squared_error", { 3 }, 1, 1, 4 },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(known); i++) {
		const struct loss *loss =
			(const struct loss *)registry_find(&losses, known[i].name);
		struct score score = { 0 };

		loss->evaluate(&(struct loss_call){ .logits = known[i].logits,
						    .targets = &known[i].target,
						    .rows = 1,
						    .outputs = known[i].outputs,
						    .scale = 1,
						    .dlogits = NULL },
			       &score);
		assert_true(fabs(score.loss_sum - known[i].loss) < 1e-7);
	}
}

static void data_that_does_not_fit_is_refused_by_name(void **state)
{
	(void)state;
	for (size_t e = 0; losses.entries[e]; e++) {
		const struct loss *loss = (const struct loss *)losses.entries[e];
		size_t refused = 0;

		for (size_t k = 0; k < ARRAY_SIZE(kinds); k++) {
			struct error err = { "" };

			if (loss->check(kinds[k].classes, kinds[k].outputs, &err) == 0)
				continue;
			refused++;
			assert_non_null(strstr(err.text, loss->entry.name));
		}
		assert_true(refused >= 4); /* {10,1}, {3,2}, {0,3} and {1,1} fit nothing */
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(derivatives_match_central_differences),
		cmocka_unit_test(extreme_outputs_give_finite_losses),
		cmocka_unit_test(not_a_number_is_not_hidden),
		cmocka_unit_test(right_answers_are_counted_and_cost_little),
		cmocka_unit_test(samples_add_up_to_the_batch),
		cmocka_unit_test(known_values_come_out),
		cmocka_unit_test(data_that_does_not_fit_is_refused_by_name),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
