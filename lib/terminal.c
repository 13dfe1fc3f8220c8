/* What a file descriptor's terminal can show. */
#include "lib/terminal.h"

#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

const char *const terminal_color_names[] = { "auto", "always", "never", NULL };

bool terminal_rewrites(int fd)
{
	const char *term = getenv("TERM");

	return term && term[0] && strcmp(term, "dumb") != 0 && isatty(fd);
}

size_t terminal_width(int fd)
{
	struct winsize size = { 0 };

	if (ioctl(fd, TIOCGWINSZ, &size) < 0 || size.ws_col == 0)
		return 80;
	return size.ws_col;
}

static bool wants_color(int fd)
{
	const char *no_color = getenv("NO_COLOR");

	if (no_color && no_color[0])
		return false;
	return terminal_rewrites(fd);
}

struct style terminal_style(int fd, enum terminal_color color)
{
	if (color == COLOR_NEVER || (color == COLOR_AUTO && !wants_color(fd)))
		return (struct style){ "", "", "", "", "" };
	return (struct style){ .bold = "\033[1m",
			       .red = "\033[31m",
			       .green = "\033[32m",
			       .yellow = "\033[33m",
			       .reset = "\033[0m" };
}
