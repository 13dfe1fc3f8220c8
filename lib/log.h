/* Messages for people, on stderr, one line each. */
#ifndef DSTRAIN_LIB_LOG_H
#define DSTRAIN_LIB_LOG_H

enum log_level { LOG_ERROR, LOG_WARN, LOG_INFO, LOG_DEBUG };

void log_level_set(enum log_level level); /* LOG_INFO at start */

void log_error(const char *format, ...) __attribute__((format(printf, 1, 2)));
void log_warn(const char *format, ...) __attribute__((format(printf, 1, 2)));
void log_info(const char *format, ...) __attribute__((format(printf, 1, 2)));
void log_debug(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* Like log_info, for how far something is: not handed to log_also. */
void log_progress(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* Called with each line that is written, without line end, from any thread; NULL: none. */
void log_also(void (*also)(const char *text));

/* Called before each line is written, to take a live status line off the terminal; NULL: none. */
void log_before_line(void (*clear)(void));

#endif
