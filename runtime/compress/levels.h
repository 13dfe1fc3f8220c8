/* Levels 0, 1/s, ..., 1 of a norm, with a sign: a code is the level and, above it, one bit. */
#ifndef DSTRAIN_RUNTIME_LEVELS_H
#define DSTRAIN_RUNTIME_LEVELS_H

#include "runtime/device/codec.h"

/* s of codes of `width` bits, 2 to 16: all of them are used. */
unsigned levels_of(unsigned width);

/* For the kernel code_levels. No |x| exceeds `norm`, which is finite. */
struct code_rule levels_rule(float norm, uint32_t levels, uint32_t sign);

/* What codes of `width` bits stand for, times scale: table[2^width]. */
void levels_table(float *table, unsigned width, float norm, float scale);

/* The most by which one element may be off. */
double levels_error(float norm, unsigned levels);

#endif
