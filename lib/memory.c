/* Allocation that never returns NULL: out of memory on the host ends the program. */
#include "lib/memory.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void *checked(void *pointer, size_t bytes)
{
	if (pointer)
		return pointer;
	fprintf(stderr, "dstrain: error: out of memory: %zu bytes wanted\n", bytes);
	exit(1);
}

void *xmalloc(size_t bytes)
{
	return checked(malloc(bytes ? bytes : 1), bytes);
}

void *xcalloc(size_t count, size_t bytes)
{
	return checked(calloc(count ? count : 1, bytes ? bytes : 1), bytes);
}

void *xrealloc(void *old, size_t count, size_t bytes)
{
	if (bytes && count > SIZE_MAX / bytes)
		checked(NULL, SIZE_MAX);
	return checked(realloc(old, count && bytes ? count * bytes : 1), count * bytes);
}

void *xgrow(void *old, size_t count, size_t bytes)
{
	return count & (count - 1) ? old : xrealloc(old, count ? 2 * count : 1, bytes);
}

void *xaligned(size_t bytes)
{
	size_t rounded = (bytes + 63) / 64 * 64 + (bytes == 0 ? 64 : 0);
	void *pointer = NULL;

	if (rounded < bytes || posix_memalign(&pointer, 64, rounded) != 0)
		checked(NULL, bytes);
	return memset(pointer, 0, rounded);
}

char *xstrndup(const char *text, size_t length)
{
	char *copy = xmalloc(length + 1);

	memcpy(copy, text, length);
	copy[length] = '\0';
	return copy;
}

char *xstrdup(const char *text)
{
	return xstrndup(text, strlen(text));
}

char *xvasprintf(const char *format, va_list args)
{
	va_list again;
	char *text;
	int length;

	va_copy(again, args);
	length = vsnprintf(NULL, 0, format, args);
	if (length < 0)
		checked(NULL, 0);
	text = xmalloc((size_t)length + 1);
	vsnprintf(text, (size_t)length + 1, format, again);
	va_end(again);
	return text;
}

char *xasprintf(const char *format, ...)
{
	va_list args;
	char *text;

	va_start(args, format);
	text = xvasprintf(format, args);
	va_end(args);
	return text;
}

void memory_wipe(void *bytes, size_t length)
{
	if (length)
		memset(bytes, 0, length);
	__asm__ volatile("" : : "r"(bytes) : "memory"); /* as if somebody read it */
}
