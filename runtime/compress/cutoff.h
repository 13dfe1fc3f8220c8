/*
 * How many coordinates to send: that number for which the improvement that a step with them
 * promises is largest in relation to what the message costs (Khirirat, Magnusson, Aytekin and
 * Johansson, "A flexible framework for communication-efficient machine learning", AAAI 2021).
 */
#ifndef DSTRAIN_RUNTIME_COMPRESS_CUTOFF_H
#define DSTRAIN_RUNTIME_COMPRESS_CUTOFF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "runtime/compress/select.h"

/* In any unit: only what is proportional to what matters. */
struct cutoff_cost {
	double fixed;  /* of a message */
	double unit;   /* of each bit, or of each packet */
	double packet; /* bits that a packet holds; 0: it is bits that cost */
};

struct cutoff_rule {
	struct cutoff_cost cost;
	bool signs;	     /* are signs and one magnitude sent, or values? */
	double header, each; /* bits of a message, and of each coordinate in it */
	double dense;	     /* bits of the message that is x itself; 0: no choice */
};

struct cutoff {
	size_t chosen; /* 0 if x is zero */
	struct selection selection;
	double sum; /* of the squares of the chosen, or with signs of their magnitudes */
	bool dense; /* send x itself */
};

double cutoff_price(const struct cutoff_cost *cost, double bits);

/* The first number for which sum / price, with signs sum^2 / number / price, is largest; exactly.
 * `scratch` holds `count` numbers. */
struct cutoff cutoff_choose(const struct cutoff_rule *rule, const float *x, size_t count,
			    uint32_t *scratch);

#endif
