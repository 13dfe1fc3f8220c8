/* Levels of a norm. */
#include "runtime/compress/levels.h"

#include <assert.h>

unsigned levels_of(unsigned width)
{
	assert(width >= 2 && width <= 16);
	return (1u << (width - 1)) - 1;
}

/* Away from where floats end: neither `up` nor `inverse` is subnormal or infinite. */
struct code_rule levels_rule(float norm, uint32_t levels, uint32_t sign)
{
	struct code_rule rule = { .up = 1, .most = levels, .sign = sign };

	if (norm == 0)
		return rule;
	if (norm < 0x1p-60f)
		rule.up = 0x1p60f;
	if (norm > 0x1p60f)
		rule.up = 0x1p-60f;
	rule.inverse = (float)levels / (norm * rule.up);
	return rule;
}

/* The highest level is the norm itself, and nothing is larger on the way. */
void levels_table(float *table, unsigned width, float norm, float scale)
{
	unsigned levels = levels_of(width), sign = 1u << (width - 1);

	for (unsigned i = 0; i <= levels; i++) {
		table[i] = scale * (norm * ((float)i / (float)levels));
		table[i + sign] = -table[i];
	}
}

/* Rounding moves an element by some units in its last place, too. */
double levels_error(float norm, unsigned levels)
{
	return (double)norm / levels + 0x1p-21 * (double)norm;
}
