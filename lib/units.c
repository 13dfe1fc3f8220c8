/* Text to quantities and back: "64MiB", "2s". SI inside: bytes, seconds. */
#include "lib/units.h"

#include <ctype.h>
#include <errno.h>
#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/error.h"

struct unit {
	const char *name;
	double factor;
};

static const struct unit byte_units[] = { { "", 1 },
					  { "B", 1 },
					  { "K", 1024 },
					  { "KiB", 1024 },
					  { "M", 1048576 },
					  { "MiB", 1048576 },
					  { "G", 1073741824 },
					  { "GiB", 1073741824 },
					  { "kB", 1e3 },
					  { "KB", 1e3 },
					  { "MB", 1e6 },
					  { "GB", 1e9 },
					  { "TB", 1e12 },
					  { "TiB", 1099511627776 },
					  { 0 } };
static const struct unit time_units[] = { { "", 1 },	  { "s", 1 },	  { "ms", 1e-3 },
					  { "us", 1e-6 }, { "m", 60 },	  { "min", 60 },
					  { "h", 3600 },  { "d", 86400 }, { 0 } };

int units_count(uint64_t *out, const char *text, struct error *err)
{
	char *end;
	unsigned long long value;

	if (!isdigit((unsigned char)text[0]))
		return error_set(err, "'%s' is not a whole number", text);
	errno = 0;
	value = strtoull(text, &end, 10);
	if (*end)
		return error_set(err, "'%s' is not a whole number", text);
	if (errno == ERANGE)
		return error_set(err, "'%s' is too large", text);
	*out = value;
	return 0;
}

/* The number at the start of text; *rest is what follows it, blanks skipped. */
static int number(double *out, const char *text, const char **rest)
{
	char *end;

	if (!isdigit((unsigned char)text[0]) && !strchr("+-.", text[0]))
		return -1;
	*out = strtod(text, &end);
	if (end == text || !isfinite(*out))
		return -1;
	while (*end == ' ')
		end++;
	*rest = end;
	return 0;
}

int units_real(double *out, const char *text, struct error *err)
{
	const char *rest;
	double value;

	if (number(&value, text, &rest) < 0 || *rest)
		return error_set(err, "'%s' is not a finite number", text);
	*out = value;
	return 0;
}

static int with_unit(double *out, const char *text, const struct unit *units, const char *what,
		     struct error *err)
{
	const char *rest;
	double value;

	if (number(&value, text, &rest) < 0 || value < 0)
		return error_set(err, "'%s' is not %s", text, what);
	for (const struct unit *unit = units; unit->name; unit++) {
		if (strcmp(rest, unit->name) != 0)
			continue;
		*out = value * unit->factor;
		return isfinite(*out) ? 0 : error_set(err, "'%s' is too large", text);
	}
	return error_set(err, "'%s' is not %s", text, what);
}

int units_bytes(uint64_t *out, const char *text, struct error *err)
{
	double bytes;

	if (with_unit(&bytes, text, byte_units, "a size such as 4096 or 64MiB", err) < 0)
		return -1;
	if (bytes >= 9e18)
		return error_set(err, "'%s' is too large", text);
	*out = (uint64_t)bytes;
	return 0;
}

int units_seconds(double *out, const char *text, struct error *err)
{
	return with_unit(out, text, time_units, "a time such as 2s or 5m", err);
}

/* In the unit that leaves less than `step` of it, or the last; `names` ends with NULL. */
static char *show(char *out, size_t size, double number, double step, const char *const *names)
{
	bool whole = number < step;

	for (; number >= step && names[1]; names++)
		number /= step;
	snprintf(out, size, whole ? "%.0f%s" : "%.1f%s", number, *names);
	return out;
}

char *units_show_bytes(char *out, size_t size, double bytes)
{
	static const char *const names[] = { " B", " KiB", " MiB", " GiB", " TiB", NULL };

	return show(out, size, bytes, 1024, names);
}

char *units_show_count(char *out, size_t size, double count)
{
	static const char *const names[] = { "", " k", " M", " G", " T", " P", NULL };

	return show(out, size, count, 1000, names);
}

char *units_show_rate(char *out, size_t size, double bytes_per_s)
{
	static const char *const names[] = { " B/s", " kB/s", " MB/s", " GB/s", NULL };

	return show(out, size, bytes_per_s, 1000, names);
}

char *units_show_bits(char *out, size_t size, double bytes_per_s)
{
	static const char *const names[] = { "bit/s", "kbit/s", "Mbit/s", "Gbit/s", "Tbit/s" };
	double bits = bytes_per_s * 8;
	size_t i = 0;

	for (; bits >= 999.5 && i < 4; i++)
		bits /= 1000;
	snprintf(out, size, "%.3g %s", bits, names[i]);
	return out;
}

char *units_show_seconds(char *out, size_t size, double seconds)
{
	unsigned long whole = (unsigned long)(seconds + 0.5);

	if (seconds < 60)
		snprintf(out, size, "%.1fs", seconds);
	else if (whole < 3600)
		snprintf(out, size, "%lum%02lus", whole / 60, whole % 60);
	else
		snprintf(out, size, "%luh%02lum", whole / 3600, whole / 60 % 60);
	return out;
}
