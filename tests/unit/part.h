/* Registry entries with options, and numbers to feed them, for tests. */
#ifndef DSTRAIN_TESTS_PART_H
#define DSTRAIN_TESTS_PART_H

#include "lib/buf.h"
#include "lib/memory.h"
#include "lib/opt.h"
#include "lib/registry.h"
#include "lib/setting.h"
#include "runtime/rng.h"

/* `options` is "key", "value", ..., NULL; may be NULL. A count that must be given is 5. */
static inline struct part part_with(const struct entry *entry, const char *const *options)
{
	struct part part = { .entry = entry, .params = xcalloc(1, entry->params_size) };
	struct place here = { .file = "test" };
	struct settings given = { 0 }, resolved = { 0 };
	struct problems problems = { 0 };

	for (const struct opt *row = entry->options; row && row->key; row++)
		if (row->type == OPT_COUNT && !row->fallback)
			settings_set(&given, row->key, "5", here);
	for (size_t i = 0; options && options[i]; i += 2)
		settings_set(&given, options[i], options[i + 1], here);
	opt_read(entry->options, &given, "", part.params, &resolved, &problems);
	assert_string_equal(buf_text(&problems.text), "");
	settings_release(&given);
	settings_release(&resolved);
	problems_release(&problems);
	return part;
}

/* Numbers with |x| in [low, 1]: two streams do not share any. */
static inline void fill(float *x, size_t count, uint64_t which, double low)
{
	struct rng rng = rng_make(11, RNG_DATA, which, 0);

	for (size_t i = 0; i < count; i++) {
		double u = 2 * rng_uniform(&rng, i) - 1;

		x[i] = (float)(u < 0 ? u * (1 - low) - low : u * (1 - low) + low);
	}
}

static inline float *filled(size_t count, uint64_t which, double low)
{
	float *x = xaligned(count * sizeof(*x));

	fill(x, count, which, low);
	return x;
}

#endif
