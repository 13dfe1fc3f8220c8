/* A growable run of bytes, always followed by a NUL so that it can be read as text. */
#ifndef DSTRAIN_LIB_BUF_H
#define DSTRAIN_LIB_BUF_H

#include <stdbool.h>
#include <stddef.h>

struct buf {
	char *data; /* NULL while nothing was ever added */
	size_t length, capacity;
	bool secret; /* set by its owner while empty: no byte stays in memory that left the buf */
};

void buf_add(struct buf *buf, const void *bytes, size_t length);
void buf_addf(struct buf *buf, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* Makes room for `length` more bytes and returns where they start; buf->length is unchanged. */
char *buf_reserve(struct buf *buf, size_t length);
void buf_consume(struct buf *buf, size_t length); /* drops bytes from the front */
char *buf_take(struct buf *buf); /* the text, never NULL; caller frees; buf is empty after */
const char *buf_text(const struct buf *buf); /* "" while empty; valid until the next change */
void buf_release(struct buf *buf);	     /* all but `secret` is zero then */

#endif
