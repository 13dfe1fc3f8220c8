/* Delimited text (RFC 4180), record by record, taken apart in place. */
#include "runtime/data/record.h"

#include <stdlib.h>

#include "lib/error.h"
#include "lib/memory.h"

static char *skip_blanks(const struct record_reader *reader, char *at)
{
	while (*at == ' ' || (*at == '\t' && reader->delimiter != '\t'))
		at++;
	return at;
}

static char *trim(char *start, char *stop)
{
	while (stop > start && (stop[-1] == ' ' || stop[-1] == '\t'))
		stop--;
	*stop = '\0';
	return start;
}

/* The end of a line: "\n", "\r\n" or the end of the text. Returns how long it is, -1: none. */
static int line_end(const struct record_reader *reader, const char *at)
{
	if (at >= reader->end)
		return 0;
	if (*at == '\n' || (*at == '\r' && at + 1 == reader->end))
		return 1;
	return at[0] == '\r' && at[1] == '\n' ? 2 : -1;
}

static char *plain_field(const struct record_reader *reader, char *at, char **stop)
{
	char *start = at;

	while (*at != reader->delimiter && line_end(reader, at) < 0)
		at++;
	*stop = at;
	return start;
}

/* `at` is behind the opening quote. "" stands for a quote. NULL if the closing one is missing. */
static char *quoted_field(struct record_reader *reader, char *at, char **stop, char **text_stop)
{
	char *start = at, *to = at;

	for (; at < reader->end; at++) {
		if (*at == '"' && *++at != '"') {
			*text_stop = to;
			*stop = skip_blanks(reader, at);
			return start;
		}
		reader->next_line += *at == '\n';
		*to++ = *at;
	}
	return NULL;
}

/* Takes one field off; *more tells whether another follows in this record. */
static int take_field(struct record_reader *reader, char **field, int *more, struct error *err)
{
	char *at = skip_blanks(reader, reader->next), *stop, *text_stop;
	char ended;
	int end;

	if (*at == '"') {
		*field = quoted_field(reader, at + 1, &stop, &text_stop);
		if (!*field)
			return error_set(err, "the quote that opens here is never closed");
		if (*stop != reader->delimiter && line_end(reader, stop) < 0)
			return error_set(err, "text follows the closing quote");
	} else {
		*field = plain_field(reader, at, &stop);
		text_stop = stop;
	}
	ended = *stop;
	end = line_end(reader, stop);
	*more = end < 0 && ended == reader->delimiter;
	reader->next = stop + (*more ? 1 : end);
	reader->next_line += !*more && end > 0;
	if (*at == '"')
		*text_stop = '\0';
	else
		trim(*field, text_stop);
	return 0;
}

static void skip_blank_lines(struct record_reader *reader)
{
	for (;;) {
		char *at = skip_blanks(reader, reader->next);
		int end = line_end(reader, at);

		if (end < 0)
			return;
		reader->next = at + end;
		if (end == 0)
			return;
		reader->next_line++;
	}
}

int record_next(struct record_reader *reader, struct error *err)
{
	int more = 1;

	skip_blank_lines(reader);
	if (reader->next >= reader->end)
		return 0;
	reader->line = reader->next_line + 1;
	for (reader->count = 0; more; reader->count++) {
		if (reader->count == reader->room) {
			reader->room = reader->room ? 2 * reader->room : 16;
			reader->fields = xrealloc(reader->fields, reader->room, sizeof(char *));
		}
		if (take_field(reader, &reader->fields[reader->count], &more, err) < 0)
			return error_prefix(err, "column %zu", reader->count + 1);
	}
	return 1;
}

void record_release(struct record_reader *reader)
{
	free(reader->fields);
	reader->fields = NULL;
	reader->count = reader->room = 0;
}
