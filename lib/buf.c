/* A growable run of bytes, always followed by a NUL so that it can be read as text. */
#include "lib/buf.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/memory.h"

static void grow(struct buf *buf, size_t capacity)
{
	char *old = buf->data;

	if (!buf->secret || !old) {
		buf->data = xrealloc(old, capacity, 1);
	} else {
		buf->data = xmalloc(capacity);
		memcpy(buf->data, old, buf->length + 1);
		memory_wipe(old, buf->capacity);
		free(old);
	}
	buf->capacity = capacity;
}

char *buf_reserve(struct buf *buf, size_t length)
{
	size_t wanted = buf->length + length + 1;

	if (wanted > buf->capacity) {
		size_t doubled = buf->capacity * 2;

		grow(buf, wanted > doubled ? wanted : doubled);
	}
	return buf->data + buf->length;
}

void buf_add(struct buf *buf, const void *bytes, size_t length)
{
	char *end = buf_reserve(buf, length);

	if (length)
		memcpy(end, bytes, length);
	end[length] = '\0';
	buf->length += length;
}

void buf_addf(struct buf *buf, const char *format, ...)
{
	va_list args;
	int length;

	va_start(args, format);
	length = vsnprintf(NULL, 0, format, args);
	va_end(args);
	if (length <= 0)
		return;
	va_start(args, format);
	vsnprintf(buf_reserve(buf, (size_t)length), (size_t)length + 1, format, args);
	va_end(args);
	buf->length += (size_t)length;
}

void buf_consume(struct buf *buf, size_t length)
{
	if (length == 0)
		return;
	buf->length -= length;
	memmove(buf->data, buf->data + length, buf->length + 1);
	if (buf->secret)
		memory_wipe(buf->data + buf->length + 1, length);
}

char *buf_take(struct buf *buf)
{
	char *text = buf->data ? buf->data : xstrdup("");

	*buf = (struct buf){ 0 };
	return text;
}

const char *buf_text(const struct buf *buf)
{
	return buf->data ? buf->data : "";
}

void buf_release(struct buf *buf)
{
	if (buf->secret)
		memory_wipe(buf->data, buf->capacity);
	free(buf->data);
	*buf = (struct buf){ .secret = buf->secret };
}
