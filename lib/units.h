/* Text to quantities and back: "64MiB", "2s". SI inside: bytes, seconds. */
#ifndef DSTRAIN_LIB_UNITS_H
#define DSTRAIN_LIB_UNITS_H

#include <stddef.h>
#include <stdint.h>

struct error;

/* Whole texts only: trailing characters, signs, overflow and NaN are errors. */
int units_count(uint64_t *out, const char *text, struct error *err); /* "512", "1e6" is refused */
int units_real(double *out, const char *text, struct error *err);    /* finite */
int units_bytes(uint64_t *out, const char *text, struct error *err); /* "4096", "64MiB", "10MB" */
int units_seconds(double *out, const char *text,
		  struct error *err); /* "2", "2s", "50ms", "5m", "1h" */

/* Short forms for people, e.g. "1.5 MiB", "12.0 MB/s", "3m12s". Returns `out`. */
char *units_show_bytes(char *out, size_t size, double bytes);
char *units_show_count(char *out, size_t size, double count); /* "235.1 k" */
char *units_show_rate(char *out, size_t size, double bytes_per_s);
char *units_show_bits(char *out, size_t size, double bytes_per_s); /* "200 Mbit/s" */
char *units_show_seconds(char *out, size_t size, double seconds);

#endif
