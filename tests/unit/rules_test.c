/* Schemes for some tensors by their names, and feedback with momentum. */
#include "tests/unit/unit.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "lib/error.h"
#include "lib/memory.h"
#include "lib/recipe.h"
#include "runtime/coder.h"
#include "runtime/compress/compress.h"
#include "runtime/compress/rules.h"
#include "runtime/residual.h"

enum { COUNT = 110 };

static const struct coder_span spans[] = {
	{ .name = "1.weight", .offset = 0, .count = 60 },
	{ .name = "1.bias", .offset = 60, .count = 10 },
	{ .name = "2.weight", .offset = 70, .count = 30 },
	{ .name = "2.mean", .offset = 100, .count = 10, .exact = true }
};

struct reading {
	struct settings given, resolved;
	struct problems problems;
	struct compress_rules rules;
};

static void read_rules(struct reading *r, const char *text)
{
	struct error err;

	*r = (struct reading){ 0 };
	assert_int_equal(recipe_parse(&r->given, text, strlen(text), "recipe", &r->problems, &err),
			 0);
	compress_rules_read(&r->rules, &r->given, "compress", &r->resolved, &r->problems);
	settings_report_unused(&r->given, &r->resolved, &r->problems);
}

static void release(struct reading *r)
{
	compress_rules_release(&r->rules);
	settings_release(&r->given);
	settings_release(&r->resolved);
	problems_release(&r->problems);
}

static const char two_rules[] = "compress: {rules: [{match: '*.bias', scheme: none},"
				" {match: '2.*', scheme: topk, count: 1}]}";

static struct coder *open_coder(const struct reading *r, const struct part *all)
{
	struct coder_env env = { .compressor = all,
				 .rules = &r->rules,
				 .seed = 1,
				 .count = COUNT,
				 .spans = spans,
				 .span_count = ARRAY_SIZE(spans) };

	return coder_new(&env);
}

static void the_first_rule_that_matches_counts_and_others_have_the_scheme_of_all(void **state)
{
	struct part all = part_default(&compressors, "sign");
	float x[COUNT], y[COUNT] = { 0 };
	unsigned char *message;
	struct coder *coder;
	struct reading r;
	struct error err = { "" };
	size_t length;

	(void)state;
	read_rules(&r, two_rules);
	assert_string_equal(buf_text(&r.problems.text), "");
	coder = open_coder(&r, &all);
	for (size_t i = 0; i < COUNT; i++)
		x[i] = (float)i - 40.5f;
	message = xmalloc(coder_bound(coder, 0, COUNT));
	coder_begin(coder, 0, 0, x, COUNT);
	length = coder_encode(coder, 0, x, COUNT, message, &err);
	assert_true(length > 0);
	assert_int_equal(coder_decode(coder, message, length, 1, 0, y, COUNT, &err), 0);
	for (size_t i = 0; i < 60; i++)
		assert_true(fabsf(y[i]) == fabsf(y[0]) && (y[i] < 0) == (x[i] < 0));
	assert_memory_equal(y + 60, x + 60, 10 * sizeof(*x));
	for (size_t i = 70; i < 99; i++)
		assert_true(y[i] == 0);
	assert_true(y[99] == x[99]);
	assert_memory_equal(y + 100, x + 100, 10 * sizeof(*x)); /* whatever a rule says */
	assert_true(coder_is_lossy(coder, 0, COUNT) && !coder_is_lossy(coder, 60, 10));
	free(message);
	coder_free(coder);
	release(&r);
	part_release(&all);
}

static void schemes_that_adapt_learn_of_their_own_tensors_alone(void **state)
{
	struct part all = part_default(&compressors, "adaptive_rms");
	float x[COUNT], *learnt;
	struct coder *coder;
	struct reading r;
	size_t count;

	(void)state;
	read_rules(&r, "compress: {rules: [{match: '1.*', scheme: adaptive_rms}]}");
	coder = open_coder(&r, &all);
	for (size_t i = 0; i < COUNT; i++)
		x[i] = i < 70 ? 3 : 4;
	coder_begin(coder, 0, 0, x, COUNT);
	learnt = coder_state(coder, &count);
	assert_int_equal(count % 2, 0);
	assert_true(learnt[count / 2 - 5] == 30 && learnt[count - 5] == 70);
	assert_true(learnt[count / 2 - 3] == 4 && learnt[count - 3] == 3);
	coder_free(coder);
	release(&r);
	part_release(&all);
}

static void rules_are_part_of_the_resolved_recipe(void **state)
{
	struct reading r, again;
	struct buf text = { 0 }, second = { 0 };

	(void)state;
	read_rules(&r, two_rules);
	settings_print(&r.resolved, &text);
	read_rules(&again, buf_text(&text));
	assert_int_equal(again.rules.count, 2);
	settings_print(&again.resolved, &second);
	assert_string_equal(buf_text(&text), buf_text(&second));
	buf_release(&text);
	buf_release(&second);
	release(&again);
	release(&r);
}

static void what_is_wrong_with_a_rule_is_said_where_it_stands(void **state)
{
	static const char *const wrong[][2] = {
		{ "compress: {rules: [{scheme: none}]}", "compress.rules.0.match" },
		{ "compress: {rules: [{match: 'a'}]}", "compress.rules.0.scheme" },
		{ "compress: {rules: [{match: 'a', scheme: nun}]}", "'nun'" },
		{ "compress: {rules: [{match: 'a', scheme: topk, cuont: 3}]}", "cuont" },
		{ "compress: {rules: ['*.bias']}", "match" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(wrong); i++) {
		struct reading r;

		read_rules(&r, wrong[i][0]);
		assert_true(r.problems.count > 0);
		if (!strstr(buf_text(&r.problems.text), wrong[i][1]))
			fail_msg("%s: %s", wrong[i][0], buf_text(&r.problems.text));
		release(&r);
	}
}

/* One step of momentum-corrected feedback by hand: u = m u + x, v = v + u; what is sent leaves v,
 * and its u starts anew. */
static void momentum_comes_before_the_debt_and_starts_anew_where_it_was_sent(void **state)
{
	static const struct coder_span whole = { .name = "x", .count = 3 };
	struct part topk = part_default(&compressors, "topk");
	struct coder_env env = {
		.compressor = &topk, .count = 3, .spans = &whole, .span_count = 1
	};
	struct coder *coder = coder_new(&env);
	struct residual *residual = residual_new(FEEDBACK_MOMENTUM_CORRECTED, 0.5, 3);
	struct state_array arrays[STATE_ARRAYS];
	float u[3] = { 0 }, v[3] = { 0 };
	unsigned char message[64];
	struct error err = { "" };

	(void)state;
	assert_int_equal(residual_state(residual, arrays), 2);
	for (size_t step = 0; step < 8; step++) {
		float x[3] = { 1, -2, 0.5f + (float)step }, *due;
		size_t length, most = 0;

		for (size_t i = 0; i < 3; i++) {
			u[i] = 0.5f * u[i] + x[i];
			v[i] += u[i];
			most = fabsf(v[i]) > fabsf(v[most]) ? i : most;
		}
		due = residual_due(residual, 0, x, 3);
		assert_memory_equal(due, v, sizeof(v));
		coder_begin(coder, step, 0, due, 3);
		length = coder_encode(coder, 0, due, 3, message, &err);
		assert_int_equal(residual_settle(residual, coder, message, length, 0, 3, &err), 0);
		v[most] = u[most] = 0;
		assert_memory_equal(residual_owed(residual), v, sizeof(v));
		assert_memory_equal(arrays[1].x, u, sizeof(u));
	}
	residual_free(residual);
	coder_free(coder);
	part_release(&topk);
}

static void a_running_mean_owes_nothing(void **state)
{
	struct residual *residual = residual_new(FEEDBACK_MOMENTUM, 0.75, 2);
	float x[2] = { 4, 8 }, again[2] = { 0, 4 }, *due;

	(void)state;
	due = residual_due(residual, 0, x, 2);
	assert_true(due == x && x[0] == 1 && x[1] == 2);
	due = residual_due(residual, 0, again, 2);
	assert_true(due == again && again[0] == 0.75f && again[1] == 2.5f);
	assert_null(residual_owed(residual));
	residual_free(residual);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(
			the_first_rule_that_matches_counts_and_others_have_the_scheme_of_all),
		cmocka_unit_test(schemes_that_adapt_learn_of_their_own_tensors_alone),
		cmocka_unit_test(rules_are_part_of_the_resolved_recipe),
		cmocka_unit_test(what_is_wrong_with_a_rule_is_said_where_it_stands),
		cmocka_unit_test(momentum_comes_before_the_debt_and_starts_anew_where_it_was_sent),
		cmocka_unit_test(a_running_mean_owes_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
