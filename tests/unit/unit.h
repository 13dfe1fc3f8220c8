/* What every unit test includes first. */
#ifndef DSTRAIN_TESTS_UNIT_H
#define DSTRAIN_TESTS_UNIT_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#endif
