/* The known name nearest to a mistyped one. */
#ifndef DSTRAIN_LIB_SUGGEST_H
#define DSTRAIN_LIB_SUGGEST_H

#include <stddef.h>

/* NULL if none is near enough to be worth saying. The result points into `names`. */
const char *suggest(const char *word, const char *const *names, size_t count);

#endif
