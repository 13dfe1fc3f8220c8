/* One error text, written by the function that knows the reason and passed up unchanged. */
#ifndef DSTRAIN_LIB_ERROR_H
#define DSTRAIN_LIB_ERROR_H

struct error {
	char text[1024];
};

/* Replaces the text. Always returns -1, so that a failing function can return it. */
int error_set(struct error *err, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Puts where it happened, and ": ", in front of the text. Always returns -1. */
int error_prefix(struct error *err, const char *format, ...) __attribute__((format(printf, 2, 3)));

#endif
