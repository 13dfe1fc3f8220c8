/* Links from files: what kind a file is, and the tables of measured clouds. */
#include "lib/links_file.h"

#include <ctype.h>
#include <float.h>
#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "lib/buf.h"
#include "lib/error.h"
#include "lib/file.h"
#include "lib/memory.h"
#include "lib/setting.h"
#include "lib/topology.h"
#include "lib/units.h"
#include "lib/utf8.h"

enum { FILE_BYTES = 256 << 20 };

static const double bytes_per_gbit = 1e9 / 8, s_per_ms = 1e-3;

/* Lines of cells between commas. */
struct cell {
	const char *text;
	int column;
};
struct row {
	struct cell *cells;
	size_t count;
	int line;
};
struct table {
	char *text; /* cells point into it */
	const char *path;
	struct row *rows;
	size_t count;
	struct problems *problems;
};

static const char pair_header[][20] = { "region_a", "region_b", "delay_ms", "bandwidth_gbps" };

static void add_row(struct table *table, char *line, int number)
{
	struct row row = { .line = number };
	char *start = line;

	for (char *next = line; next; start = next) {
		char *text = start, *end;

		next = strchr(start, ',');
		end = next ? next : start + strlen(start);
		if (next)
			*next++ = '\0';
		while (isspace((unsigned char)*text))
			text++;
		while (end > text && isspace((unsigned char)end[-1]))
			*--end = '\0';
		row.cells = xgrow(row.cells, row.count, sizeof(*row.cells));
		row.cells[row.count++] = (struct cell){ text, (int)(text - line) + 1 };
	}
	table->rows = xgrow(table->rows, table->count, sizeof(*table->rows));
	table->rows[table->count++] = row;
}

static bool is_blank(const char *line)
{
	return line[strspn(line, " \t\r")] == '\0' || line[0] == '#';
}

static struct table table_read(const char *text, const char *path, struct problems *problems)
{
	struct table table = { .text = xstrdup(text), .path = path, .problems = problems };
	char *line = table.text;
	int number = 1;

	for (char *next; line; line = next, number++) {
		next = strchr(line, '\n');
		if (next)
			*next++ = '\0';
		if (!is_blank(line))
			add_row(&table, line, number);
	}
	return table;
}

static void table_release(struct table *table)
{
	for (size_t i = 0; i < table->count; i++)
		free(table->rows[i].cells);
	free(table->rows);
	free(table->text);
}

static struct place place_of(const struct table *table, const struct row *row, size_t cell)
{
	return (struct place){ table->path, row->line, row->cells[cell].column };
}

/* NAN for an empty cell, or after reporting. */
static double read_number(struct table *table, const struct row *row, size_t cell, double least)
{
	const char *text = row->cells[cell].text;
	struct error err;
	double value = NAN;

	if (text[0] == '\0')
		return NAN;
	if (units_real(&value, text, &err) < 0 || value < least) {
		problems_add(table->problems, place_of(table, row, cell),
			     "'%s' is not a number above 0", text);
		return NAN;
	}
	return value;
}

/* What a matrix holds, and where it goes. */
typedef void put_number(struct link_pair *pair, double value);

static void put_gbps(struct link_pair *pair, double value)
{
	pair->bytes_per_s = value * bytes_per_gbit;
}

static void put_rtt_ms(struct link_pair *pair, double value)
{
	pair->rtt_s = pair->rtt_min_s = value * s_per_ms;
}

/* Row sends, column receives. Names that the links do not have are left out. */
static void read_matrix(struct table *table, struct links *links, put_number *put, double least)
{
	const struct row *header = &table->rows[0];
	size_t *columns = xcalloc(header->count, sizeof(*columns));

	for (size_t j = 1; j < header->count; j++)
		columns[j] = links_find(links, header->cells[j].text);
	for (size_t i = 1; i < table->count; i++) {
		const struct row *row = &table->rows[i];
		size_t from = links_find(links, row->cells[0].text);

		if (row->count != header->count)
			problems_add(table->problems, place_of(table, row, row->count - 1),
				     "%zu cells; the first line has %zu", row->count,
				     header->count);
		for (size_t j = 1; row->count == header->count && j < row->count; j++) {
			double value = read_number(table, row, j, least);

			if (from < links->hosts && columns[j] < links->hosts && from != columns[j])
				put(links_pair(links, from, columns[j]), value);
		}
	}
	free(columns);
}

/* Hosts as the cells of a matrix's first line name them. */
static void name_hosts(struct table *table, struct links *links)
{
	const struct row *header = &table->rows[0];
	const char **names = xcalloc(header->count, sizeof(*names));

	for (size_t j = 1; j < header->count; j++)
		names[j - 1] = header->cells[j].text;
	links_init(links, names, header->count - 1);
	free(names);
	for (size_t j = 0; j < links->hosts; j++)
		if (!links->names[j][0] || links_find(links, links->names[j]) != j)
			problems_add(table->problems, place_of(table, header, j + 1),
				     "the name '%s' is empty or there twice", links->names[j]);
	for (size_t i = 1; i < table->count; i++)
		if (links_find(links, table->rows[i].cells[0].text) == links->hosts)
			problems_add(table->problems, place_of(table, &table->rows[i], 0),
				     "'%s' is not in the first line", table->rows[i].cells[0].text);
}

static bool is_pairs(const struct table *table)
{
	const struct row *header = &table->rows[0];

	for (size_t i = 0; i < ARRAY_SIZE(pair_header); i++)
		if (header->count != ARRAY_SIZE(pair_header) ||
		    strcmp(header->cells[i].text, pair_header[i]) != 0)
			return false;
	return true;
}

/* Hosts in the order in which rows name them. */
static void name_regions(const struct table *table, struct links *links)
{
	const char **names = xcalloc(2 * table->count, sizeof(*names));
	size_t count = 0;

	for (size_t i = 1; i < table->count; i++)
		for (size_t side = 0; side < 2 && side < table->rows[i].count; side++) {
			const char *name = table->rows[i].cells[side].text;
			size_t known = 0;

			while (known < count && strcmp(names[known], name) != 0)
				known++;
			if (known == count && count < LINKS_HOSTS)
				names[count++] = name;
		}
	links_init(links, names, count);
	free(names);
}

/* Rows hold for both directions; their delay is that of a round trip. */
static void read_pairs(struct table *table, struct links *links)
{
	name_regions(table, links);
	for (size_t i = 1; i < table->count; i++) {
		const struct row *row = &table->rows[i];
		size_t a, b;

		if (row->count != ARRAY_SIZE(pair_header) || !row->cells[0].text[0] ||
		    !row->cells[1].text[0]) {
			problems_add(table->problems, place_of(table, row, 0),
				     "not two regions, a delay and a bandwidth");
			continue;
		}
		a = links_find(links, row->cells[0].text);
		b = links_find(links, row->cells[1].text);
		if (a == b || a == links->hosts || b == links->hosts) {
			problems_add(table->problems, place_of(table, row, 1),
				     "not another region, or more than %d", LINKS_HOSTS);
			continue;
		}
		put_rtt_ms(links_pair(links, a, b), read_number(table, row, 2, 0));
		put_gbps(links_pair(links, a, b), read_number(table, row, 3, DBL_MIN));
		*links_pair(links, b, a) = *links_pair(links, a, b);
	}
}

static int read_rtts(struct links *links, const char *path, struct problems *problems,
		     struct error *err)
{
	struct problems found = { 0 };
	struct buf text = { 0 };
	struct table table;
	int status = file_read(&text, path, FILE_BYTES, err);

	if (status < 0)
		return -1;
	table = table_read(buf_text(&text), path, &found);
	if (table.count == 0 || is_pairs(&table))
		problems_add(&found, (struct place){ .file = path },
			     "no matrix of round trips in milliseconds");
	else
		read_matrix(&table, links, put_rtt_ms, 0);
	table_release(&table);
	buf_release(&text);
	return problems_move(problems, &found, path, err);
}

static int read_table(struct links *out, const char *text, const char *path, const char *rtt_path,
		      struct problems *problems, struct error *err)
{
	struct problems found = { 0 };
	struct table table = table_read(text, path, &found);
	struct links links = { 0 };
	bool pairs = is_pairs(&table);
	int status;

	if (pairs) {
		read_pairs(&table, &links);
	} else if (table.rows[0].count > LINKS_HOSTS) {
		problems_add(&found, (struct place){ .file = path }, "more than %d hosts",
			     LINKS_HOSTS);
	} else {
		name_hosts(&table, &links);
		read_matrix(&table, &links, put_gbps, DBL_MIN);
	}
	if (links.hosts == 0 && found.count == 0)
		problems_add(&found, (struct place){ .file = path }, "no hosts in it");
	table_release(&table);
	status = problems_move(problems, &found, path, err);
	if (status == 0 && rtt_path && pairs)
		status = error_set(err,
				   "'%s' has round trips of its own; '%s' is for a matrix of "
				   "rates",
				   path, rtt_path);
	else if (status == 0 && rtt_path)
		status = read_rtts(&links, rtt_path, problems, err);
	if (status == 0)
		*out = links;
	else
		links_release(&links);
	return status;
}

static int read_tree(struct links *out, struct links_script *script, const struct buf *text,
		     const char *path, struct problems *problems, struct error *err)
{
	struct topology topology;

	if (topology_read(&topology, text->data, text->length, path, problems, err) < 0)
		return -1;
	topology_links(&topology, out, script);
	topology_release(&topology);
	return 0;
}

/* The first line that says something. */
static const char *first_line(const char *text)
{
	while (*text && (isspace((unsigned char)*text) || *text == '#'))
		text += *text == '#' ? strcspn(text, "\n") : 1;
	return text;
}

/* Cells between commas, where YAML would have a key first. */
static bool is_table(const char *line)
{
	size_t end = strcspn(line, "\n"), comma = strcspn(line, ",\n");
	const char *colon = strstr(line, ": ");

	return comma < end && (!colon || colon > line + comma);
}

/* What is printed as JSON has to be. */
static int check_names(const struct links *links, const char *path, struct error *err)
{
	for (size_t i = 0; i < links->hosts; i++) {
		const char *name = links->names[i];
		size_t left = strlen(name), step;
		uint32_t code;

		for (; left > 0; name += step, left -= step) {
			step = utf8_next((const unsigned char *)name, left, &code);
			if (step == 0)
				return error_set(err, "%s: the name of host %zu is not UTF-8", path,
						 i + 1);
		}
	}
	return 0;
}

int links_load(struct links *out, struct links_script *script, const char *path,
	       const char *rtt_path, struct problems *problems, struct error *err)
{
	struct buf text = { 0 };
	const char *line;
	int status = file_read(&text, path, FILE_BYTES, err);

	if (script)
		*script = (struct links_script){ 0 };
	if (status < 0)
		return -1;
	line = first_line(buf_text(&text));
	if (is_table(line) && line[0] != '{') {
		status = read_table(out, text.data, path, rtt_path, problems, err);
	} else if (rtt_path) {
		status = error_set(err, "'%s' is for a matrix of rates, which '%s' is not",
				   rtt_path, path);
	} else if (line[0] == '{') {
		status = links_parse(out, text.data, text.length, err);
		if (status < 0)
			error_prefix(err, "%s", path);
	} else {
		status = read_tree(out, script, &text, path, problems, err);
	}
	buf_release(&text);
	if (status == 0 && check_names(out, path, err) < 0) {
		links_release(out);
		if (script)
			links_script_release(script);
		status = -1;
	}
	return status;
}

void links_script_release(struct links_script *script)
{
	free(script->events);
	free(script->slots);
	*script = (struct links_script){ 0 };
}
