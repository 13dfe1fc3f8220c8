/* Plans that know what compression costs and saves. */
#include "tests/unit/unit.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "lib/error.h"
#include "lib/plan.h"
#include "tests/unit/rack_links.h"

static const int self[] = { 0, 1, 2, 3, 4, 5, 6, 7 };

static struct plan_env env_of(const struct links *links)
{
	return (struct plan_env){ .links = links,
				  .host_of = self,
				  .world = (int)links->hosts,
				  .bytes = 1e6,
				  .compute_s = 0.001,
				  .consensus_period = 8 };
}

/* An eighth of the bytes, encoded and decoded at so many bytes a second each. */
static struct cost_codec codec_of(double bytes_per_s)
{
	return (struct cost_codec){ .ratio = 0.125,
				    .encode_s = 1 / bytes_per_s,
				    .decode_s = 1 / bytes_per_s };
}

static struct plan_list built(const struct plan_env *env)
{
	struct plan_list list;
	struct error err;

	if (plan_build(&list, env, &err) < 0)
		fail_msg("%s", err.text);
	return list;
}

static double codec_seconds(const struct plan_env *env, const char *name)
{
	struct plan_list list = built(env);
	double seconds = -1;

	for (size_t i = 0; i < list.count; i++)
		if (strcmp(list.plans[i].name, name) == 0)
			seconds = list.plans[i].codec_s;
	plan_list_release(&list);
	return seconds;
}

static void assert_compressed(const struct plan_env *env, bool compressed, const char *name)
{
	struct plan_list list = built(env);
	const struct plan *chosen = &list.plans[0];

	assert_non_null(plan_first(&list, true));
	assert_non_null(plan_first(&list, false));
	if (chosen->compressed != compressed || !strstr(chosen->name, name))
		fail_msg("'%s' was chosen", chosen->name);
	plan_list_release(&list);
}

static void what_a_slow_core_compresses_is_sent_as_it_is_over_fast_links(void **state)
{
	static const size_t sizes[] = { 8 };
	struct links links = racks_of(sizes, 1, 1.25e9, 0);
	struct plan_env env = env_of(&links);

	(void)state;
	env.bytes = 1e8;
	env.codec = codec_of(1e9); /* all of it three times: 0.3 s, to save 0.12 */
	assert_compressed(&env, false, "");
	env.consensus_period = 1;
	assert_compressed(&env, false, "");
	env.codec = codec_of(1e11);
	assert_compressed(&env, true, "ring, given order, compressed");
	links_release(&links);
}

static void slow_links_are_worth_a_codec(void **state)
{
	static const size_t sizes[] = { 8 };
	struct links links = racks_of(sizes, 1, 1.25e6, 0);
	struct plan_env env = env_of(&links);

	(void)state;
	env.bytes = 1e7;
	env.codec = codec_of(1e9);
	assert_compressed(&env, true, "ds_sync 2x2x2");
	env.momentum = true; /* which is no difference to anything */
	assert_compressed(&env, true, "ring, given order");
	links_release(&links);
}

/* Within a rack nothing is gained; across, the codec has but a rank's slice to do. */
static void only_what_crosses_a_thin_uplink_is_compressed(void **state)
{
	static const size_t sizes[] = { 4, 4 };
	struct links links = racks_of(sizes, 2, 1.25e9, 12.5e6);
	struct plan_env env = env_of(&links);

	(void)state;
	env.bytes = 1e8;
	env.consensus_period = 1;
	env.codec = codec_of(1e9);
	assert_compressed(&env, true, "hierarchical, 2 racks, compressed across");
	links_release(&links);
}

static void the_slowest_host_paces_the_codec(void **state)
{
	static const char name[] = "ring, given order, compressed";
	static const size_t sizes[] = { 4 };
	double compute[] = { 0.1, 0.3, 0.1, 0.1 };
	struct links links = racks_of(sizes, 1, 1.25e6, 0);
	struct plan_env env = env_of(&links);

	(void)state;
	env.codec = codec_of(1e9);
	assert_true(fabs(codec_seconds(&env, name) - 2.75e-3) < 1e-9);
	links.compute_s = compute;
	assert_true(fabs(codec_seconds(&env, name) - 3 * 2.75e-3) < 1e-9);
	links.compute_s = NULL;
	links_release(&links);
}

static void what_compression_costs_and_saves_is_said(void **state)
{
	struct plan dense = { .step_s = 0.030, .compute_s = 0.010, .comm_s = 0.025 };
	struct plan slow = { .step_s = 0.0332,
			     .compute_s = 0.010,
			     .comm_s = 0.020,
			     .codec_s = 0.0051,
			     .compressed = true };
	struct plan fast = {
		.step_s = 0.014, .compute_s = 0.010, .codec_s = 0.001, .compressed = true
	};
	struct plan plans[] = { slow, dense, fast };
	struct plan_list list = { plans, 3 };
	char *text;

	(void)state;
	text = plan_compression("qsgd", &dense, &slow, false);
	assert_string_equal(text, "compressing with qsgd would make a step 3.2 ms longer here "
				  "(codec 5.1 ms, saves 1.9 ms on the wire)");
	free(text);
	text = plan_compression("topk", &dense, &fast, true);
	assert_string_equal(text, "compressing with topk makes a step 16 ms shorter here "
				  "(codec 1 ms, saves 17 ms on the wire)");
	free(text);
	text = plan_compression("topk", &fast, &slow, true);
	assert_string_equal(text, "compressing with topk makes a step 19.2 ms longer here "
				  "(codec 5.1 ms, and 15.1 ms more on the wire)");
	free(text);
	assert_ptr_equal(plan_first(&list, true), &plans[0]);
	assert_ptr_equal(plan_first(&list, false), &plans[1]);
	text = plan_verdict("topk", &list);
	assert_string_equal(text, "compressing with topk makes a step 3.2 ms longer here "
				  "(codec 5.1 ms, saves 1.9 ms on the wire)");
	free(text);
	plans[0] = dense;
	plans[1] = slow;
	text = plan_verdict("topk", &list);
	assert_string_equal(text, "compressing with topk would make a step 3.2 ms longer here "
				  "(codec 5.1 ms, saves 1.9 ms on the wire): not compressed");
	free(text);
	plans[1].step_s = 0.0295; /* of what is so near nobody knows which is faster */
	text = plan_verdict("topk", &list);
	assert_string_equal(text, "compressing with topk would make a step 0.5 ms shorter here "
				  "(codec 5.1 ms, saves 5.6 ms on the wire): not worth it, not "
				  "compressed");
	free(text);
	list.count = 1;
	assert_null(plan_first(&list, true));
	assert_null(plan_verdict("topk", &list));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_a_slow_core_compresses_is_sent_as_it_is_over_fast_links),
		cmocka_unit_test(slow_links_are_worth_a_codec),
		cmocka_unit_test(only_what_crosses_a_thin_uplink_is_compressed),
		cmocka_unit_test(the_slowest_host_paces_the_codec),
		cmocka_unit_test(what_compression_costs_and_saves_is_said),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
