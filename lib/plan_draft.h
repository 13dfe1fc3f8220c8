/* A list of plans in the making. Pure. */
#ifndef DSTRAIN_LIB_PLAN_DRAFT_H
#define DSTRAIN_LIB_PLAN_DRAFT_H

#include "lib/cost.h"
#include "lib/plan.h"
#include "lib/plan_layout.h"

/* What differs by less than this factor is as good. */
#define PLAN_TIE 1.01

/* An order of the ranks that candidates are built on. */
struct plan_order {
	const char *name; /* "rack-major" */
	int *ranks;	  /* [world]; NULL: none such */
};
enum plan_order_name { ORDER_GIVEN, ORDER_MAJOR, ORDER_INTERLEAVED, ORDER_BEST, ORDERS };

struct plan_draft {
	const struct plan_env *env;
	struct cost_env cost; /* of the parameters; its codec is that of the slowest host */
	double *rates;	      /* of plan_rates */
	struct plan_layout layout;
	struct plan_order orders[ORDERS];
	double compute_s, deadline;
	struct plan_list *out;
};

/* What of `comm_s` does not hide behind the part `overlap` of computing. */
double plan_exposed(const struct plan_draft *draft, double comm_s, double overlap);
/* "rack1.up, 200 Mbit/s, crossed by 2 flows". Caller frees. */
char *plan_bottleneck(const struct cost_env *env, const struct cost *cost);
/* Appends; takes over what `plan` owns. */
void plan_list_add(struct plan_list *list, const struct plan *plan);

/* Appends those that are exact in every step, the first of them on the given order. */
void plan_add_bsp(struct plan_draft *draft, bool compressed);
/* Appends the best of those that average weights in groups. */
void plan_add_ds_sync(struct plan_draft *draft, bool compressed);

#endif
