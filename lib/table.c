/* Text in aligned columns. */
#include "lib/table.h"

#include <assert.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "lib/buf.h"
#include "lib/memory.h"

enum { GAP = 2, NARROWEST = 24 }; /* the last column is never broken to less */

void table_add(struct table *table, const char *format, ...)
{
	va_list args;

	table->cells = xgrow(table->cells, table->count, sizeof(*table->cells));
	va_start(args, format);
	table->cells[table->count++] = xvasprintf(format, args);
	va_end(args);
}

void table_head(struct table *table, const char *const *texts)
{
	for (; *texts; texts++)
		table_add(table, "%s", *texts);
}

/* Characters of UTF-8, not bytes. */
static size_t shown(const char *text, size_t length)
{
	size_t count = 0;

	for (size_t i = 0; i < length; i++)
		count += ((unsigned char)text[i] & 0xc0) != 0x80;
	return count;
}

/* The bytes of `text` that fit into `room` characters: whole words, at least one. */
static size_t fitting(const char *text, size_t room)
{
	size_t fits = 0;

	for (size_t end = 0;; end++) {
		if (text[end] && text[end] != ' ')
			continue;
		if (fits && shown(text, end) > room)
			return fits;
		fits = end;
		if (!text[end])
			return fits;
	}
}

/* The last column, which may go on for more lines, each starting at column `from`. */
static void print_last(const struct table *table, const char *text, size_t from, struct buf *out)
{
	size_t room = table->width > from + NARROWEST ? table->width - from : NARROWEST;
	size_t length;

	while (table->width && (length = fitting(text, room)) < strlen(text)) {
		buf_add(out, text, length);
		buf_addf(out, "\n%*s", (int)from, "");
		text += length + 1;
	}
	buf_addf(out, "%s\n", text);
}

static void print_row(const struct table *table, char *const *cells, const size_t *widths,
		      struct buf *out)
{
	size_t columns = strlen(table->align), from = table->indent;

	buf_addf(out, "%*s", (int)table->indent, "");
	for (size_t i = 0; i < columns; i++) {
		int blanks = (int)(widths[i] - shown(cells[i], strlen(cells[i])));

		if (table->align[i] == 'r')
			buf_addf(out, "%*s", blanks, "");
		if (i + 1 == columns)
			break;
		buf_addf(out, "%s", cells[i]);
		buf_addf(out, "%*s", (table->align[i] == 'l' ? blanks : 0) + GAP, "");
		from += widths[i] + GAP;
	}
	print_last(table, cells[columns - 1], from, out);
}

void table_print(const struct table *table, struct buf *out)
{
	size_t columns = strlen(table->align);
	size_t *widths = xcalloc(columns, sizeof(*widths));

	assert(table->count % columns == 0);
	for (size_t i = 0; i < table->count; i++) {
		size_t width = shown(table->cells[i], strlen(table->cells[i]));

		if (width > widths[i % columns])
			widths[i % columns] = width;
	}
	for (size_t i = 0; i < table->count; i += columns)
		print_row(table, &table->cells[i], widths, out);
	free(widths);
}

void table_print_markdown(const struct table *table, struct buf *out)
{
	size_t columns = strlen(table->align);

	for (size_t i = 0; i < table->count; i++) {
		buf_addf(out, i % columns ? " " : "| ");
		for (const char *c = table->cells[i]; *c; c++) {
			buf_addf(out, *c == '|' ? "\\" : "");
			buf_add(out, c, 1);
		}
		buf_addf(out, " |");
		if ((i + 1) % columns == 0)
			buf_addf(out, "\n");
		for (size_t j = 0; i + 1 == columns && j < columns; j++)
			buf_addf(out, "%s%s", table->align[j] == 'r' ? "|---:" : "|---",
				 j + 1 == columns ? "|\n" : "");
	}
}

void table_release(struct table *table)
{
	for (size_t i = 0; i < table->count; i++)
		free(table->cells[i]);
	free(table->cells);
	table->cells = NULL;
	table->count = 0;
}
