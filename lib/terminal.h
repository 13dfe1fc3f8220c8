/* What a file descriptor's terminal can show. */
#ifndef DSTRAIN_LIB_TERMINAL_H
#define DSTRAIN_LIB_TERMINAL_H

#include <stdbool.h>
#include <stddef.h>

enum terminal_color { COLOR_AUTO, COLOR_ALWAYS, COLOR_NEVER };

extern const char *const terminal_color_names[]; /* NULL-terminated, for --color */

/* Escape sequences, or empty texts where there is no colour. */
struct style {
	const char *bold, *red, *green, *yellow, *reset;
};

bool terminal_rewrites(int fd); /* a terminal, and not a dumb one: a line can be erased */
size_t terminal_width(int fd);	/* columns; 80 if it is no terminal or does not say */
/* COLOR_AUTO: a terminal that is not "dumb", and NO_COLOR is unset or empty. */
struct style terminal_style(int fd, enum terminal_color color);

#endif
