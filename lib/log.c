/* Messages for people, on stderr, one line each. */
#include "lib/log.h"

#include <stdarg.h>
#include <stdio.h>

static enum log_level shown = LOG_INFO;
static void (*clear_line)(void);
static void (*also_to)(const char *text);

void log_level_set(enum log_level level)
{
	shown = level;
}

void log_before_line(void (*clear)(void))
{
	clear_line = clear;
}

void log_also(void (*also)(const char *text))
{
	also_to = also;
}

static void __attribute__((format(printf, 4, 0)))
line(enum log_level level, const char *word, void (*also)(const char *text), const char *format,
     va_list args)
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
	if (also)
		also(text);
}

#define LOG_FUNCTION(name, level, word, also)          \
	void name(const char *format, ...)             \
	{                                              \
		va_list args;                          \
                                                       \
		va_start(args, format);                \
		line(level, word, also, format, args); \
		va_end(args);                          \
	}

LOG_FUNCTION(log_error, LOG_ERROR, "error: ", also_to)
LOG_FUNCTION(log_warn, LOG_WARN, "warning: ", also_to)
LOG_FUNCTION(log_info, LOG_INFO, "", also_to)
LOG_FUNCTION(log_debug, LOG_DEBUG, "debug: ", also_to)
LOG_FUNCTION(log_progress, LOG_INFO, "", NULL)
