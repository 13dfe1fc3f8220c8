/* What every unit test includes first. */
#ifndef DSTRAIN_TESTS_UNIT_H
#define DSTRAIN_TESTS_UNIT_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

/* Of many cases that are alike take every SPACING-th: sanitizers see as much in these. */
#if defined(__SANITIZE_THREAD__)
enum { SPACING = 5 };
#elif defined(__SANITIZE_ADDRESS__)
enum { SPACING = 3 };
#else
enum { SPACING = 1 };
#endif

#endif
