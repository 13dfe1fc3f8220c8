/* Delimited text (RFC 4180), record by record, taken apart in place. */
#ifndef DSTRAIN_RUNTIME_RECORD_H
#define DSTRAIN_RUNTIME_RECORD_H

#include <stddef.h>

struct error;

/* Start with `next` and `end` set to text that is followed by a NUL and may be written to. */
struct record_reader {
	char *next, *end;
	char delimiter;
	size_t next_line; /* lines before `next` */
	size_t line;	  /* of the record, from 1 */
	char **fields;	  /* owned; the texts lie in the text that is read, blanks trimmed */
	size_t count, room;
};

/* 1: a record; 0: none are left; -1: err says in which column. Blank lines are skipped. */
int record_next(struct record_reader *reader, struct error *err);
void record_release(struct record_reader *reader);

#endif
