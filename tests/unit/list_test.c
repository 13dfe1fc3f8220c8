/* Models listed layer by layer: graphs of any shape give right gradients in an arena whose parts
 * share memory, weights begin as they should, and faults are found where they are. */
#include "tests/unit/unit.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/error.h"
#include "lib/recipe.h"
#include "runtime/device/cpu.h"
#include "runtime/device/team.h"
#include "tests/unit/model_bench.h"

enum { FEATURES = 6, CLASSES = 3 };

static struct layer_list parse(const char *layers_text)
{
	char *text = xasprintf("model: {layers: %s}", layers_text);
	struct settings given = { 0 }, resolved = { 0 };
	struct problems problems = { 0 };
	struct layer_list list = { 0 };
	struct error err;

	assert_int_equal(recipe_parse(&given, text, strlen(text), "recipe", &problems, &err), 0);
	layer_list_read(&list, &given, "model", &resolved, &problems);
	settings_report_unused(&given, &resolved, &problems);
	assert_string_equal(buf_text(&problems.text), "");
	settings_release(&given);
	settings_release(&resolved);
	problems_release(&problems);
	free(text);
	return list;
}

static struct model_env row_of(size_t features)
{
	return env_of(&(struct kind){ { .dim = { features }, .rank = 1 }, CLASSES, .labels = 1 });
}

static void start_listed(struct bench *b, const struct model_env *env)
{
	struct error err;

	b->env = *env;
	if (model_new_listed(&b->model, &b->list, &b->env, &err) < 0)
		fail_msg("%s", err.text);
	bench_start(b);
}

static struct bench bench_of(const char *layers_text)
{
	struct model_env env = row_of(FEATURES);
	struct bench b = { .list = parse(layers_text) };

	start_listed(&b, &env);
	return b;
}

/* Some of each tensor. Truncation is below 1e-5 with h = 2^-9, and rounding moves a difference by
 * 1e-7 / h = 5e-5. */
static void check_gradient(struct bench *b, const char *text)
{
	size_t tensors;
	const struct tensor *tensor = model_tensors(b->model, &tensors);

	gradient(b, b->grad);
	for (size_t t = 0; t < tensors; t++) {
		size_t end = tensor[t].offset + tensor[t].count;

		for (size_t i = tensor[t].offset; i < end; i += 1 + tensor[t].count / 6)
			if (!(distance(b, i, 0x1p-9f) <= 2e-4) &&
			    !(distance(b, i, 0x1p-7f) <= 2e-4))
				fail_msg("%s: derivative %zu of '%s' is not %g, by %g", text,
					 i - tensor[t].offset, tensor[t].name, (double)b->grad[i],
					 distance(b, i, 0x1p-9f));
	}
}

#define LINEAR(outputs) "{layer: linear, outputs: " #outputs "}"

static const char *const graphs[] = {
	/* a block at the very beginning, of which the shortcut is the sample */
	"[residual: {layers: [" LINEAR(6) ", tanh, " LINEAR(6) "]}, linear]",
	/* a relu behind the sum, which the sum does itself; another at the begin of a block */
	"[" LINEAR(5) ", relu, residual: {layers: [relu, " LINEAR(5) "]}, relu, linear]",
	/* what comes before a block ends in a relu that the shortcut must not lose */
	"[" LINEAR(5) ", residual: {layers: [relu, " LINEAR(5) "]}, linear]",
	/* both ways have weights */
	"[" LINEAR(4) ", residual: {layers: [" LINEAR(7) ", relu], shortcut: [" LINEAR(
		7) "]}, linear]",
	/* sums of sums, without anything between */
	"[" LINEAR(4) ", residual: {layers: [residual: {layers: [" LINEAR(
		4) "]}, residual: {layers: "
		   "[" LINEAR(4) ", tanh]}]}, residual: {layers: [" LINEAR(4) "]}, linear]",
	/* in a block and in its shortcut, blocks */
	"[" LINEAR(4) ", residual: {layers: [residual: {layers: [" LINEAR(4) ", relu, " LINEAR(
		4) "]}, "
		   "relu], shortcut: [residual: {layers: [" LINEAR(4) "]}, tanh]}, relu, linear]",
	/* a shortcut of things without weights, all of which could overwrite what they read */
	"[" LINEAR(4) ", residual: {layers: [tanh, sigmoid], shortcut: [dropout, relu]}, linear]",
	/* a way that nothing with weights lies on ends the model */
	"[linear, residual: {layers: [tanh], shortcut: [sigmoid]}]",
	"[{layer: dropout, rate: 0.3}, " LINEAR(9) ", dropout, relu, dropout, linear]",
};

static void graphs_of_all_kinds_give_right_gradients(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(graphs); i++) {
		struct bench b = bench_of(graphs[i]);

		check_gradient(&b, graphs[i]);
		bench_release(&b);
	}
}

/* Layers that keep a width of 4, drawn at random; a block has one or two ways of such layers. */
static void draw_layers(const struct rng *rng, uint64_t *draws, size_t depth, struct buf *out)
{
	static const char *const words[] = { LINEAR(4), LINEAR(4), "relu", "tanh", "dropout" };
	size_t count = 1 + rng_below(rng, (*draws)++, 3);

	buf_addf(out, "[");
	for (size_t i = 0; i < count; i++) {
		buf_addf(out, i ? ", " : "");
		if (depth == 0 || rng_below(rng, (*draws)++, 3) > 0) {
			buf_addf(out, "%s", words[rng_below(rng, (*draws)++, ARRAY_SIZE(words))]);
			continue;
		}
		buf_addf(out, "residual: {layers: ");
		draw_layers(rng, draws, depth - 1, out);
		if (rng_below(rng, (*draws)++, 2)) {
			buf_addf(out, ", shortcut: ");
			draw_layers(rng, draws, depth - 1, out);
		}
		buf_addf(out, "}");
	}
	buf_addf(out, "]");
}

static void random_graphs_give_right_gradients(void **state)
{
	(void)state;
	for (uint64_t seed = 0; seed < 40; seed++) {
		struct rng rng = rng_make(seed, RNG_DATA, 0, 0);
		struct buf text = { 0 };
		uint64_t draws = 0;
		struct bench b;

		buf_addf(&text, "[" LINEAR(4) ", residual: {layers: ");
		draw_layers(&rng, &draws, 2, &text);
		buf_addf(&text, "}, linear]");
		b = bench_of(buf_text(&text));
		check_gradient(&b, buf_text(&text));
		bench_release(&b);
		buf_release(&text);
	}
}

static void a_model_for_evaluation_alone_says_the_same_with_less_memory(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(graphs); i++) {
		struct bench b = bench_of(graphs[i]), other = { .list = parse(graphs[i]) };

		b.env.forward_only = true;
		start_listed(&other, &b.env);
		b.batch.training = other.batch.training = false;
		assert_true(mean_loss(&b) == mean_loss(&other));
		assert_true(other.model->arena_bytes < b.model->arena_bytes);
		bench_release(&b);
		bench_release(&other);
	}
}

static void teams_change_no_bit(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(graphs); i++) {
		struct bench b = bench_of(graphs[i]), other = { .list = parse(graphs[i]) };

		b.env.team = team_new(3);
		start_listed(&other, &b.env);
		gradient(&b, b.grad);
		gradient(&other, other.grad);
		assert_memory_equal(b.grad, other.grad, model_count(b.model) * sizeof(float));
		bench_release(&other);
		team_free(b.env.team);
		bench_release(&b);
	}
}

static void layers_of_a_straight_model_share_memory(void **state)
{
	static const char five[] = "[" LINEAR(64) ", sigmoid, " LINEAR(64) ", sigmoid, " LINEAR(
		64) ", sigmoid, " LINEAR(64) ", sigmoid, " LINEAR(64) ", sigmoid, linear]";
	struct bench deep = bench_of(five);
	size_t layer = BATCH * 64 * sizeof(float);

	(void)state;
	/* Five outputs for backward to read, which have overwritten those before the sigmoids; a
	 * slope that goes and one that comes; and what belongs to the last layer. */
	assert_in_range(deep.model->arena_bytes, 6 * layer, 8 * layer);
	bench_release(&deep);
}

static void nothing_is_asked_for_by_a_plan(void **state)
{
	struct model_env env = row_of(FEATURES);
	struct layer_list list = parse(graphs[0]);
	struct model *model;
	struct error err;

	(void)state;
	env.plan_only = true;
	env.max_batch = (size_t)1 << 40; /* more than there is anywhere */
	assert_int_equal(model_new_listed(&model, &list, &env, &err), 0);
	assert_true(model_arena_bytes(model) > (size_t)1 << 40);
	assert_null(model->arena);
	model_free(model);
	layer_list_release(&list);
}

/* The message of a model that cannot be. */
static void refused(const char *layers_text, const struct model_env *env, const char *message)
{
	struct layer_list list = parse(layers_text);
	struct model *model;
	struct error err;

	assert_int_equal(model_new_listed(&model, &list, env, &err), -1);
	if (!strstr(err.text, message))
		fail_msg("'%s' is not in '%s'", message, err.text);
	layer_list_release(&list);
}

static void nothing_comes_between_words_and_their_table(void **state)
{
	struct model_env env = row_of(FEATURES);

	(void)state;
	env.vocabulary = 5;
	refused("[" LINEAR(4) ", {layer: embedding, width: 2}, linear]", &env,
		"layer '1': a layer of kind 'embedding' reads the words of the samples");
}

/* Of two that share a table the one that runs backward last would forget the other's gradient. */
static void a_table_is_shared_but_once(void **state)
{
	struct model_env env = row_of(FEATURES);

	(void)state;
	env.vocabulary = 5;
	refused("[{layer: embedding, width: 5, name: words}, "
		"{layer: linear, outputs: 5, tie: words.weight}, tanh, "
		"{layer: linear, outputs: 5, tie: words.weight}]",
		&env, "layer '3': 'words.weight' is shared by another layer already");
}

static void sizes_that_would_overflow_are_refused(void **state)
{
	struct model_env env = row_of(FEATURES);

	(void)state;
	env.plan_only = true;
	env.max_batch = 32;
	env.input = (struct shape){ .dim = { 1 << 20, 1 }, .rank = 2 };
	refused("[{layer: linear, outputs: 16777216}, flatten, linear]", &env,
		"layer '0': 32 samples of [1048576, 16777216] are too much");
	env.max_batch = 1;
	refused("[{layer: linear, outputs: 16777216}, flatten, {layer: linear, outputs: "
		"16777216}]",
		&env, "layer '2': a 'weight' of [16777216, 17592186044416] is too much");
}

static const struct model_row *row_named(const struct model *model, const char *name)
{
	static struct model_row row;

	for (size_t i = 0; model_row(model, i, &row); i++)
		if (strcmp(row.name, name) == 0)
			return &row;
	fail_msg("no layer '%s'", name);
	return NULL;
}

static void rows_say_what_layers_are_and_cost(void **state)
{
	struct bench b = bench_of("[{layer: linear, outputs: 5, name: first}, relu, tanh, linear]");
	const struct model_row *row = row_named(b.model, "first");
	double flops = 2 * FEATURES * 5, head = 2 * 5 * CLASSES;

	(void)state;
	assert_string_equal(row->layer, "linear");
	assert_true(row->relu);
	assert_int_equal(row->parameters, 6 * 5 + 5);
	assert_true(row->flops == flops);
	assert_int_equal(row->bytes, 5 * sizeof(float));
	row = row_named(b.model, "3");
	assert_false(row->relu);
	assert_int_equal(row->output.dim[0], CLASSES);
	/* Nobody asks for derivatives by the samples. */
	assert_true(model_flops(b.model) == 2 * flops + 3 * head);
	bench_release(&b);
}

static void what_is_not_finite_is_found_where_it_begins(void **state)
{
	struct bench b = bench_of(
		"[{layer: linear, outputs: 4, name: stem}, {name: block, residual: {layers: "
		"[relu, {layer: linear, outputs: 4, name: fc}]}}, "
		"{layer: linear, name: head}]");
	size_t tensors;
	const struct tensor *tensor = model_tensors(b.model, &tensors);

	(void)state;
	assert_null(model_nonfinite(b.model, b.weight, &b.batch));
	for (size_t t = 0; t < tensors; t++) {
		float kept = b.weight[tensor[t].offset];

		b.weight[tensor[t].offset] = t % 2 ? NAN : INFINITY;
		assert_string_equal(model_nonfinite(b.model, b.weight, &b.batch), tensor[t].name);
		b.weight[tensor[t].offset] = kept;
	}
	for (size_t i = 0; i < tensor[2].count; i++) /* finite, but not what they make */
		b.weight[tensor[2].offset + i] = 0x1p127f;
	assert_string_equal(tensor[2].name, "block.fc.weight");
	for (size_t i = 0; i < BATCH * FEATURES; i++)
		b.batch.x[i] *= 100;
	assert_string_equal(model_nonfinite(b.model, b.weight, &b.batch), "block.fc");
	b.batch.x[1] = NAN;
	assert_string_equal(model_nonfinite(b.model, b.weight, &b.batch), "stem");
	bench_release(&b);
}

static double mean_square(const float *x, size_t count)
{
	return cpu_sum_squares(x, count) / (double)count;
}

/* The mean square of what `depth` layers of 256 make of small samples. */
static double signal(const char *activation, size_t depth, enum model_init_rule rule)
{
	struct model_env env = row_of(256);
	struct buf text = { 0 };
	struct bench b = { 0 };
	double sum = 0;
	size_t outputs;

	env.classes = 256;
	env.init = rule;
	for (size_t i = 0; i < depth; i++)
		buf_addf(&text, "%s" LINEAR(256) ", %s", i ? ", " : "[", activation);
	buf_addf(&text, "]");
	b.list = parse(buf_text(&text));
	start_listed(&b, &env);
	for (size_t i = 0; i < BATCH * 256; i++)
		b.batch.x[i] *= 0.1f;
	for (size_t seed = 0; seed < 3; seed++) {
		b.model->env.seed = seed;
		model_init(b.model, b.weight);
		mean_loss(&b);
		sum += mean_square(model_outputs(b.model, &outputs), BATCH * 256);
	}
	bench_release(&b);
	buf_release(&text);
	return sum;
}

static void critical_weights_keep_signals_alive_through_twenty_layers(void **state)
{
	static const char *const activations[] = { "relu", "tanh" };
	static const enum model_init_rule others[] = { MODEL_INIT_XAVIER, MODEL_INIT_KAIMING };

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(activations); i++) {
		double first = signal(activations[i], 1, MODEL_INIT_CRITICAL), ratio;

		for (size_t depth = 5; depth <= 20; depth += 15) {
			ratio = signal(activations[i], depth, MODEL_INIT_CRITICAL) / first;
			if (!(ratio >= 0.5 && ratio <= 2))
				fail_msg("%s: after %zu layers a signal is %g of the first",
					 activations[i], depth, ratio);
		}
		/* The rule for the other one does not. */
		ratio = signal(activations[i], 20, others[i]) /
			signal(activations[i], 1, others[i]);
		assert_false(ratio >= 0.5 && ratio <= 2);
	}
}

static void rules_of_initialisation_have_their_variance(void **state)
{
	static const struct {
		enum model_init_rule rule;
		double variance; /* of weights from 256 to 128 */
	} rules[] = { { MODEL_INIT_KAIMING, 2.0 / 256 },
		      { MODEL_INIT_XAVIER, 2.0 / (256 + 128) },
		      { MODEL_INIT_CRITICAL, 1.0 / 256 } };

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rules); i++) {
		struct model_env env = row_of(256);
		struct bench b = { .list = parse("[" LINEAR(128) ", tanh, linear]") };

		env.init = rules[i].rule;
		start_listed(&b, &env);
		assert_true(fabs(mean_square(b.weight, 256 * 128) / rules[i].variance - 1) < 0.03);
		for (size_t k = 0; k < 128; k++)
			assert_true(b.weight[256 * 128 + k] == 0); /* the bias */
		bench_release(&b);
	}
}

static void names_are_those_of_a_sequence_or_the_recipes(void **state)
{
	static const char *const expected[] = {
		"0.weight",    "0.bias",    "2.layers.0.weight",   "2.layers.0.bias",
		"2.fc.weight", "2.fc.bias", "2.shortcut.0.weight", "2.shortcut.0.bias",
		"head.weight", "head.bias"
	};
	static const char text[] =
		"[" LINEAR(4) ", relu, residual: {"
			      "layers: [" LINEAR(3) ", {layer: linear, outputs: "
						    "5, name: fc}], shortcut: [" LINEAR(
							    5) "]}, "
							       "{layer: linear, name: head}]";
	struct bench b = bench_of(text);
	size_t tensors;
	const struct tensor *tensor = model_tensors(b.model, &tensors);

	(void)state;
	assert_int_equal(tensors, ARRAY_SIZE(expected));
	for (size_t i = 0; i < tensors; i++)
		assert_string_equal(tensor[i].name, expected[i]);
	bench_release(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(graphs_of_all_kinds_give_right_gradients),
		cmocka_unit_test(random_graphs_give_right_gradients),
		cmocka_unit_test(a_model_for_evaluation_alone_says_the_same_with_less_memory),
		cmocka_unit_test(teams_change_no_bit),
		cmocka_unit_test(layers_of_a_straight_model_share_memory),
		cmocka_unit_test(nothing_is_asked_for_by_a_plan),
		cmocka_unit_test(nothing_comes_between_words_and_their_table),
		cmocka_unit_test(a_table_is_shared_but_once),
		cmocka_unit_test(sizes_that_would_overflow_are_refused),
		cmocka_unit_test(rows_say_what_layers_are_and_cost),
		cmocka_unit_test(what_is_not_finite_is_found_where_it_begins),
		cmocka_unit_test(critical_weights_keep_signals_alive_through_twenty_layers),
		cmocka_unit_test(rules_of_initialisation_have_their_variance),
		cmocka_unit_test(names_are_those_of_a_sequence_or_the_recipes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
