/* Allocation that never returns NULL: out of memory on the host ends the program. */
#ifndef DSTRAIN_LIB_MEMORY_H
#define DSTRAIN_LIB_MEMORY_H

#include <stdarg.h>
#include <stddef.h>

#define ARRAY_SIZE(array) (sizeof(array) / sizeof((array)[0]))

void *xmalloc(size_t bytes);
void *xcalloc(size_t count, size_t bytes); /* zeroed; ends the program on overflow too */
void *xrealloc(void *old, size_t count, size_t bytes);
/* Room for one more than `count`, for an array that only grows by this: in doubling steps. */
void *xgrow(void *old, size_t count, size_t bytes);
void *xaligned(size_t bytes); /* zeroed, 64-byte aligned; caller frees with free() */
char *xstrdup(const char *text);
char *xstrndup(const char *text, size_t length);
char *xvasprintf(const char *format, va_list args) __attribute__((format(printf, 1, 0)));
char *xasprintf(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* Zeroes what nobody reads again, such as a key: no compiler leaves it out. */
void memory_wipe(void *bytes, size_t length);

#endif
