/*
 * links.json: the hosts' names, a matrix [from][to] of each number of the pairs, and the segments
 * with their two sides: "all", "others" (all but those of the other side), or a list of names.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "lib/buf.h"
#include "lib/error.h"
#include "lib/json.h"
#include "lib/links.h"
#include "lib/memory.h"

/* The matrices of links.json, one for each number of a pair. */
static const struct column {
	const char *key;
	size_t offset;
	bool may_be_zero;
} columns[] = {
	{ "bytes_per_s", offsetof(struct link_pair, bytes_per_s), false },
	{ "spread", offsetof(struct link_pair, spread), true },
	{ "rtt_s", offsetof(struct link_pair, rtt_s), true },
	{ "rtt_min_s", offsetof(struct link_pair, rtt_min_s), true },
};

static double *pair_number(struct link_pair *pair, size_t offset)
{
	return (void *)((char *)pair + offset);
}

static void print_matrix(const struct links *links, const struct column *column, struct json *to)
{
	size_t hosts = links->hosts, known = 0;
	struct json *rows;

	for (size_t i = 0; i < hosts * hosts; i++)
		known += !isnan(*pair_number(&links->pairs[i], column->offset));
	if (known == 0)
		return;
	rows = json_array_new();
	for (size_t i = 0; i < hosts; i++) {
		struct json *row = json_array_new();

		for (size_t j = 0; j < hosts; j++)
			json_add_real(row, NULL,
				      *pair_number(links_pair(links, i, j), column->offset));
		json_add(rows, NULL, row);
	}
	json_add(to, column->key, rows);
}

/* One side of a segment: "all", "others" (than those of the other side), or their names. */
static void print_side(const struct links *links, const char *key, const bool *side,
		       const bool *other, struct json *to)
{
	size_t members = 0, others = 0;
	struct json *names;

	for (size_t i = 0; i < links->hosts; i++) {
		members += side[i];
		others += side[i] != other[i];
	}
	if (members == links->hosts || (others == links->hosts && 2 * members > links->hosts)) {
		json_add_text(to, key, members == links->hosts ? "all" : "others");
		return;
	}
	names = json_array_new();
	for (size_t i = 0; i < links->hosts; i++)
		if (side[i])
			json_add_text(names, NULL, links->names[i]);
	json_add(to, key, names);
}

struct json *links_json(const struct links *links)
{
	struct json *json = json_object_new(), *names = json_array_new();
	struct json *segments = json_array_new(), *compute;

	for (size_t i = 0; i < links->hosts; i++)
		json_add_text(names, NULL, links->names[i]);
	json_add(json, "hosts", names);
	for (size_t i = 0; i < ARRAY_SIZE(columns); i++)
		print_matrix(links, &columns[i], json);
	for (size_t i = 0; i < links->segment_count; i++) {
		const struct link_segment *segment = &links->segments[i];
		struct json *entry = json_object_new();

		json_add_text(entry, "name", segment->name);
		json_add_real(entry, "bytes_per_s", segment->bytes_per_s);
		if (isfinite(segment->spread))
			json_add_real(entry, "spread", segment->spread);
		print_side(links, "from", segment->from, segment->to, entry);
		print_side(links, "to", segment->to, segment->from, entry);
		json_add(segments, NULL, entry);
	}
	json_add(json, "segments", segments);
	if (links->compute_s) {
		compute = json_array_new();
		for (size_t i = 0; i < links->hosts; i++)
			json_add_real(compute, NULL, links->compute_s[i]);
		json_add(json, "compute_s", compute);
	}
	return json;
}

void links_print(const struct links *links, struct buf *out)
{
	struct json *json = links_json(links);

	json_print(json, 1, out);
	json_free(json);
}

static int read_number(double *out, const struct json *json, bool may_be_zero, struct error *err)
{
	*out = NAN;
	if (!json)
		return error_set(err, "a number is missing");
	if (json_unset(json))
		return 0;
	*out = json_number(json, NAN);
	if (!isfinite(*out) || *out < 0 || (*out == 0 && !may_be_zero))
		return error_set(err, "not a number above 0, nor null");
	return 0;
}

static int read_matrix(struct links *links, const struct column *column, const struct json *rows,
		       struct error *err)
{
	size_t hosts = links->hosts;

	if (rows && json_size(rows) != hosts)
		return error_set(err, "'%s' needs a row for each of the %zu hosts", column->key,
				 hosts);
	for (size_t i = 0; rows && i < hosts; i++) {
		const struct json *row = json_at(rows, i);

		if (json_size(row) != hosts)
			return error_set(err,
					 "'%s', row %zu: needs a number for each of the %zu hosts",
					 column->key, i + 1, hosts);
		for (size_t j = 0; j < hosts; j++)
			if (read_number(pair_number(links_pair(links, i, j), column->offset),
					json_at(row, j), column->may_be_zero, err) < 0)
				return error_prefix(err, "'%s', row %zu, column %zu", column->key,
						    i + 1, j + 1);
	}
	return 0;
}

static int read_members(bool *side, const struct links *links, const struct json *names,
			struct error *err)
{
	for (size_t i = 0; i < json_size(names); i++) {
		const char *name = json_text(json_at(names, i));
		size_t host = name ? links_find(links, name) : links->hosts;

		if (host == links->hosts)
			return error_set(err, "no host '%s' in 'hosts'", name ? name : "");
		side[host] = true;
	}
	return 0;
}

/* "others" is left for when the other side is known. */
static int read_side(bool *side, const struct links *links, const struct json *json,
		     struct error *err)
{
	const char *word = json_text(json);

	if (word && strcmp(word, "all") == 0)
		memset(side, true, links->hosts * sizeof(*side));
	else if (!json || (word && strcmp(word, "others") != 0))
		return error_set(err, "not \"all\", \"others\" or a list of hosts");
	else if (!word)
		return read_members(side, links, json, err);
	return 0;
}

static bool is_others(const struct json *json)
{
	const char *word = json_text(json);

	return word && strcmp(word, "others") == 0;
}

static int read_segment(struct links *links, const struct json *json, struct error *err)
{
	const struct json *from = json_get(json, "from"), *to = json_get(json, "to");
	const char *name = json_get_text(json, "name");
	struct link_segment *segment;

	if (!name)
		return error_set(err, "it has no name");
	segment = links_add_segment(links, name, NAN);
	if (read_number(&segment->bytes_per_s, json_get(json, "bytes_per_s"), false, err) < 0)
		return error_prefix(err, "'%s': bytes_per_s", name);
	if (json_get(json, "spread") &&
	    read_number(&segment->spread, json_get(json, "spread"), true, err) < 0)
		return error_prefix(err, "'%s': spread", name);
	if (read_side(segment->from, links, from, err) < 0)
		return error_prefix(err, "'%s': from", name);
	if (read_side(segment->to, links, to, err) < 0)
		return error_prefix(err, "'%s': to", name);
	if (is_others(from) && is_others(to))
		return error_set(err, "'%s': only one side can be \"others\"", name);
	for (size_t i = 0; i < links->hosts; i++) {
		if (is_others(from))
			segment->from[i] = !segment->to[i];
		if (is_others(to))
			segment->to[i] = !segment->from[i];
	}
	return 0;
}

static int read_hosts(struct links *out, const struct json *json, struct error *err)
{
	size_t hosts = json_size(json);
	const char **names;

	if (hosts == 0 || hosts > LINKS_HOSTS)
		return error_set(err, "'hosts' is not a list of 1 to %d names", LINKS_HOSTS);
	names = xcalloc(hosts, sizeof(*names));
	for (size_t i = 0; i < hosts; i++) {
		names[i] = json_text(json_at(json, i));
		if (!names[i] || !names[i][0]) {
			free(names);
			return error_set(err, "'hosts': item %zu is not a name", i + 1);
		}
	}
	links_init(out, names, hosts);
	free(names);
	for (size_t i = 0; i < hosts; i++)
		if (links_find(out, out->names[i]) != i)
			return error_set(err, "'hosts': '%s' is there twice", out->names[i]);
	return 0;
}

static int read_compute(struct links *out, const struct json *json, struct error *err)
{
	if (!json)
		return 0;
	if (json_size(json) != out->hosts)
		return error_set(err, "'compute_s' needs a number for each of the %zu hosts",
				 out->hosts);
	out->compute_s = xcalloc(out->hosts, sizeof(*out->compute_s));
	for (size_t i = 0; i < out->hosts; i++)
		if (read_number(&out->compute_s[i], json_at(json, i), true, err) < 0)
			return error_prefix(err, "'compute_s', item %zu", i + 1);
	return 0;
}

static int read_all(struct links *out, const struct json *json, struct error *err)
{
	const struct json *segments = json_get(json, "segments");

	if (read_hosts(out, json_get(json, "hosts"), err) < 0)
		return -1;
	for (size_t i = 0; i < ARRAY_SIZE(columns); i++)
		if (read_matrix(out, &columns[i], json_get(json, columns[i].key), err) < 0)
			return -1;
	for (size_t i = 0; i < json_size(segments); i++)
		if (read_segment(out, json_at(segments, i), err) < 0)
			return error_prefix(err, "segment %zu", i + 1);
	return read_compute(out, json_get(json, "compute_s"), err);
}

int links_from_json(struct links *out, const struct json *json, struct error *err)
{
	struct links links = { 0 };

	if (read_all(&links, json, err) < 0) {
		links_release(&links);
		return -1;
	}
	*out = links;
	return 0;
}

int links_parse(struct links *out, const char *text, size_t length, struct error *err)
{
	struct json *json = json_parse(text, length, err);
	int status = json ? links_from_json(out, json, err) : -1;

	json_free(json);
	return status;
}
