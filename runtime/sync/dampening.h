/* How much less an update counts the later it comes. */
#ifndef DSTRAIN_RUNTIME_SYNC_DAMPENING_H
#define DSTRAIN_RUNTIME_SYNC_DAMPENING_H

enum dampening_kind { DAMPENING_CONSTANT, DAMPENING_EXPONENTIAL, DAMPENING_INVERSE };

struct dampening {
	int kind;     /* enum dampening_kind */
	double alpha; /* of the exponential one */
};

extern const char *const dampening_names[]; /* NULL-terminated, for option tables */

/* clang-format off */
#define DAMPENING_OPTIONS(type, member, kind_default) \
	{ "dampening", OPT_CHOICE, offsetof(type, member.kind), kind_default, \
	  "how much less an update counts the later it comes", .choices = dampening_names }, \
	{ "alpha", OPT_REAL, offsetof(type, member.alpha), "0.2", \
	  "how fast exponential dampening falls", .min = 0, .max = 1000 }
/* clang-format on */

/* 1, e^(-alpha staleness) or 1 / (staleness + 1): 1 for staleness 0, falling, above 0 as far as
 * doubles reach. */
double dampening_factor(const struct dampening *dampening, double staleness);

#endif
