/* How much less an update counts the later it comes. */
#include "runtime/sync/dampening.h"

#include <math.h>
#include <stddef.h>

const char *const dampening_names[] = { "constant", "exponential", "inverse", NULL };

double dampening_factor(const struct dampening *dampening, double staleness)
{
	switch ((enum dampening_kind)dampening->kind) {
	case DAMPENING_EXPONENTIAL: return exp(-dampening->alpha * staleness);
	case DAMPENING_INVERSE: return 1 / (staleness + 1);
	case DAMPENING_CONSTANT: break;
	}
	return 1;
}
