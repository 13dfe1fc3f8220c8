/* Messages for people, on stderr, one line each. */
#include "lib/log.h"

#include <stdarg.h>
#include <stdio.h>

static enum log_level shown = LOG_INFO;
static void (*clear_line)(void);

void log_level_set(enum log_level level)
{
	shown = level;
}

void log_before_line(void (*clear)(void))
{
	clear_line = clear;
}

static void __attribute__((format(printf, 3, 0)))
line(enum log_level level, const char *word, const char *format, va_list args)
{
	char text[2048];
	int used;

	if (level > shown)
		return;
	used = snprintf(text, sizeof(text), "dstrain: %s", word);
	vsnprintf(text + used, sizeof(text) - (size_t)used, format, args);
	if (clear_line)
		clear_line();
	fprintf(stderr, "%s\n", text); /* one call, so that lines of threads do not mix */
}

#define LOG_FUNCTION(name, level, word)          \
	void name(const char *format, ...)       \
	{                                        \
		va_list args;                    \
                                                 \
		va_start(args, format);          \
		line(level, word, format, args); \
		va_end(args);                    \
	}

LOG_FUNCTION(log_error, LOG_ERROR, "error: ")
LOG_FUNCTION(log_warn, LOG_WARN, "warning: ")
LOG_FUNCTION(log_info, LOG_INFO, "")
LOG_FUNCTION(log_debug, LOG_DEBUG, "debug: ")
