/*
 * Numbers too small for a full mantissa cost a hundred cycles each, and what is multiplied by 0.9
 * at every step ends among them. Between these two calls they count as zero on this thread, where
 * the processor can do that.
 */
#ifndef DSTRAIN_RUNTIME_DENORMAL_H
#define DSTRAIN_RUNTIME_DENORMAL_H

#ifdef __SSE2__
#include <xmmintrin.h>

static inline unsigned denormal_flush(void)
{
	enum { RESULTS = 0x8000, OPERANDS = 0x40 };
	unsigned before = _mm_getcsr();

	_mm_setcsr(before | RESULTS | OPERANDS);
	return before;
}

static inline void denormal_restore(unsigned before)
{
	_mm_setcsr(before);
}
#else
static inline unsigned denormal_flush(void)
{
	return 0;
}

static inline void denormal_restore(unsigned before)
{
	(void)before;
}
#endif

#endif
