/* Text in aligned columns. */
#ifndef DSTRAIN_LIB_TABLE_H
#define DSTRAIN_LIB_TABLE_H

#include <stddef.h>

struct buf;

/* Zeroed but for `align`; cells fill it row by row. */
struct table {
	const char *align; /* a letter per column: 'l' or 'r' */
	size_t indent;	   /* blanks before each row */
	size_t width;	   /* of a row, by breaking the last column between words; 0: any */
	char **cells;
	size_t count;
};

void table_add(struct table *table, const char *format, ...) __attribute__((format(printf, 2, 3)));
void table_head(struct table *table, const char *const *texts); /* NULL-terminated */
void table_print(const struct table *table, struct buf *out);	/* two blanks between columns */
void table_print_markdown(const struct table *table, struct buf *out); /* first row: headings */
void table_release(struct table *table);

#endif
