/*
 * A picture of a matrix of rates. Each shade is a factor of the square root of two below the one
 * before, counted from the fastest pair: noise looks like nothing, a slow rack looks like one.
 */
#include "cmd/heat_map.h"

#include <math.h>
#include <string.h>

#include "lib/buf.h"
#include "lib/links.h"

enum { SHADES = 10, LABEL = 16, CELL_MOST = 3 };

static const char ink[SHADES + 1] = "@%#*+=-:. ";
/* Backgrounds of the terminal's 256 colours, from green to red. */
static const int colors[SHADES] = { 34, 70, 106, 142, 178, 172, 166, 160, 124, 88 };

static double fastest(const struct links *links)
{
	double most = 0;

	for (size_t i = 0; i < links->hosts * links->hosts; i++)
		if (isfinite(links->pairs[i].bytes_per_s) && i % (links->hosts + 1) != 0)
			most = fmax(most, links->pairs[i].bytes_per_s);
	return most;
}

static size_t shade_of(double rate, double most)
{
	/* A little off, so that what is as fast looks so. */
	double steps = 2 * log2(most / rate * 0.95);

	return steps <= 0 ? 0 : steps >= SHADES ? SHADES - 1 : (size_t)steps;
}

static void add_cell(struct buf *out, char letter, size_t shade, size_t cell, bool color)
{
	char text[CELL_MOST + 1];

	memset(text, letter, cell);
	text[cell] = '\0';
	if (color && shade < SHADES)
		buf_addf(out, "\033[48;5;%dm\033[30m%s\033[0m", colors[shade], text);
	else
		buf_addf(out, "%s", text);
}

static void add_head(const struct links *links, size_t cell, size_t label, struct buf *out)
{
	buf_addf(out, "%*s", (int)label + 5, "");
	for (size_t i = 1; i <= links->hosts; i++)
		buf_addf(out, "%*zu", (int)cell, cell == 1 ? i % 10 : i % 100);
	buf_addf(out, "\n");
}

static void add_row(const struct links *links, size_t from, double most, size_t cell, size_t label,
		    bool color, struct buf *out)
{
	buf_addf(out, "%3zu %-*.*s ", from + 1, (int)label, (int)label, links->names[from]);
	for (size_t to = 0; to < links->hosts; to++) {
		double rate = links_pair(links, from, to)->bytes_per_s;
		size_t shade = isfinite(rate) && from != to ? shade_of(rate, most) : SHADES;

		add_cell(out,
			 from == to	  ? '\\'
			 : shade < SHADES ? ink[shade]
					  : '?',
			 shade, cell, color);
	}
	buf_addf(out, "\n");
}

/* The shades that occur, and from which rate on. */
static void add_legend(const struct links *links, double most, bool color, struct buf *out)
{
	bool used[SHADES] = { false };

	for (size_t i = 0; i < links->hosts * links->hosts; i++)
		if (isfinite(links->pairs[i].bytes_per_s) && i % (links->hosts + 1) != 0)
			used[shade_of(links->pairs[i].bytes_per_s, most)] = true;
	buf_addf(out, "rows send, columns receive; Mbit/s from:");
	for (size_t i = 0; i < SHADES; i++) {
		if (!used[i])
			continue;
		buf_addf(out, "  ");
		add_cell(out, ink[i], i, 2, color);
		if (i + 1 == SHADES)
			buf_addf(out, " 0");
		else
			buf_addf(out, " %.3g", 0.95 * most / pow(2, (double)(i + 1) / 2) * 8e-6);
	}
	buf_addf(out, "\n");
}

void heat_map_print(const struct links *links, size_t width, bool color, struct buf *out)
{
	double most = fastest(links);
	size_t label = 0, cell = CELL_MOST;

	if (most == 0)
		return;
	for (size_t i = 0; i < links->hosts; i++)
		if (strlen(links->names[i]) > label)
			label = strlen(links->names[i]);
	if (label > LABEL)
		label = LABEL;
	while (cell > 1 && label + 5 + cell * links->hosts >= width)
		cell--;
	add_head(links, cell, label, out);
	for (size_t i = 0; i < links->hosts; i++)
		add_row(links, i, most, cell, label, color, out);
	add_legend(links, most, color, out);
}
