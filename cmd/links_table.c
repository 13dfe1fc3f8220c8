/* What was measured of links, for people. */
#include "cmd/links_table.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "cmd/output.h"
#include "lib/buf.h"
#include "lib/json.h"
#include "lib/memory.h"
#include "lib/table.h"

enum { SMALL = 8, EXTREMES = 8, NAMED = 6 };

#define LEAST_CHANGE 0.1

static void add_number(struct table *table, double number, int digits)
{
	if (isfinite(number))
		table_add(table, "%.*f", digits, number);
	else
		table_add(table, "-");
}

static double mbit(double bytes_per_s)
{
	return bytes_per_s * 8e-6;
}

static void add_pair(struct table *table, const struct links *links, size_t from, size_t to)
{
	const struct link_pair *pair = links_pair(links, from, to);

	table_add(table, "%s", links->names[from]);
	table_add(table, "%s", links->names[to]);
	add_number(table, pair->rtt_s * 1e3, 3);
	add_number(table, mbit(pair->bytes_per_s), 1);
	add_number(table, pair->spread * 100, 1);
}

static struct table new_table(void)
{
	struct table table = { .align = "llrrr" };

	table_head(&table, (const char *const[]){ "from", "to", "rtt ms", "Mbit/s", "+-%", NULL });
	return table;
}

static int by_rate(const void *a, const void *b)
{
	const struct link_pair *x = *(const struct link_pair *const *)a;
	const struct link_pair *y = *(const struct link_pair *const *)b;

	return (x->bytes_per_s > y->bytes_per_s) - (x->bytes_per_s < y->bytes_per_s);
}

/* The slowest pairs and the fastest one, of those that are known. */
static void add_extremes(struct table *table, const struct links *links)
{
	const struct link_pair **pairs = xcalloc(links->hosts * links->hosts, sizeof(*pairs));
	size_t count = 0;

	for (size_t i = 0; i < links->hosts * links->hosts; i++)
		if (isfinite(links->pairs[i].bytes_per_s) && i % (links->hosts + 1) != 0)
			pairs[count++] = &links->pairs[i];
	qsort(pairs, count, sizeof(const struct link_pair *), by_rate);
	for (size_t i = 0; i < count; i++) {
		size_t at = (size_t)(pairs[i] - links->pairs);

		if (i < EXTREMES || i == count / 2 || i + 1 == count)
			add_pair(table, links, at / links->hosts, at % links->hosts);
	}
	free(pairs);
}

void links_table_pairs(const struct links *links, bool all)
{
	struct table table = new_table();

	if (all || links->hosts <= SMALL) {
		for (size_t i = 0; i < links->hosts * links->hosts; i++)
			if (i % (links->hosts + 1) != 0)
				add_pair(&table, links, i / links->hosts, i % links->hosts);
	} else {
		printf("the %d slowest pairs, the median and the fastest; --verbose shows all\n",
		       EXTREMES);
		add_extremes(&table, links);
	}
	output_table(&table);
	table_release(&table);
}

/* "h1 h2 and 14 more". */
static char *name_side(const struct links *links, const bool *side)
{
	struct buf text = { 0 };
	size_t members = 0;

	for (size_t i = 0; i < links->hosts; i++) {
		if (side[i] && members < NAMED)
			buf_addf(&text, "%s%s", members ? " " : "", links->names[i]);
		members += side[i];
	}
	if (members == links->hosts) {
		buf_release(&text);
		return xstrdup("all");
	}
	if (members > NAMED)
		buf_addf(&text, " and %zu more", members - NAMED);
	return buf_take(&text);
}

void links_table_segments(const struct links *links)
{
	struct table table = { .align = "lrrll" };

	if (links->segment_count == 0) {
		printf("no segment that flows share is narrower than they are\n");
		return;
	}
	table_head(&table, (const char *const[]){ "segment", "Mbit/s", "+-%", "from", "to", NULL });
	for (size_t i = 0; i < links->segment_count; i++) {
		const struct link_segment *segment = &links->segments[i];
		char *from = name_side(links, segment->from), *to = name_side(links, segment->to);

		table_add(&table, "%s", segment->name);
		add_number(&table, mbit(segment->bytes_per_s), 1);
		add_number(&table, segment->spread * 100, 1);
		table_add(&table, "%s", from);
		table_add(&table, "%s", to);
		free(from);
		free(to);
	}
	output_table(&table);
	table_release(&table);
}

static bool is_unsure(double rate, double spread)
{
	return isfinite(rate) && !(spread <= LINKS_PRECISION);
}

struct json *links_unsure_json(const struct links *links)
{
	struct json *list = json_array_new();
	size_t hosts = links->hosts;

	for (size_t i = 0; i < hosts * hosts; i++) {
		struct json *entry;

		if (i % (hosts + 1) == 0 ||
		    !is_unsure(links->pairs[i].bytes_per_s, links->pairs[i].spread))
			continue;
		entry = json_object_new();
		json_add_text(entry, "from", links->names[i / hosts]);
		json_add_text(entry, "to", links->names[i % hosts]);
		json_add(list, NULL, entry);
	}
	for (size_t i = 0; i < links->segment_count; i++) {
		const struct link_segment *segment = &links->segments[i];
		struct json *entry;

		if (!is_unsure(segment->bytes_per_s, segment->spread))
			continue;
		entry = json_object_new();
		json_add_text(entry, "segment", segment->name);
		json_add(list, NULL, entry);
	}
	return list;
}

void links_table_unsure(const struct links *links)
{
	size_t hosts = links->hosts, pairs = 0, segments = 0;
	struct buf names = { 0 };

	for (size_t i = 0; i < hosts * hosts; i++) {
		if (i % (hosts + 1) == 0 ||
		    !is_unsure(links->pairs[i].bytes_per_s, links->pairs[i].spread))
			continue;
		if (pairs++ < NAMED)
			buf_addf(&names, "%s%s to %s", pairs > 1 ? ", " : "",
				 links->names[i / hosts], links->names[i % hosts]);
	}
	if (pairs > NAMED)
		buf_addf(&names, " and %zu more", pairs - NAMED);
	for (size_t i = 0; i < links->segment_count; i++) {
		const struct link_segment *segment = &links->segments[i];

		if (is_unsure(segment->bytes_per_s, segment->spread) && segments++ < NAMED)
			buf_addf(&names, "%s%s", names.length ? ", " : "", segment->name);
	}
	if (segments > NAMED)
		buf_addf(&names, " and %zu more", segments - NAMED);
	if (names.length)
		printf("not known within %.0f %%, give it more time (--seconds): %s\n",
		       LINKS_PRECISION * 100, buf_text(&names));
	buf_release(&names);
}

void links_table_changes(const struct links *before, const struct links *links)
{
	struct table table = { .align = "lrrr" };
	size_t count;
	struct links_change *changes = links_compare(before, links, LEAST_CHANGE, &count);

	table_head(&table, (const char *const[]){ "changed", "before", "Mbit/s", "%", NULL });
	for (size_t i = 0; i < count; i++) {
		const struct links_change *change = &changes[i];

		if (change->segment)
			table_add(&table, "%s", change->segment);
		else
			table_add(&table, "%s to %s", links->names[change->from],
				  links->names[change->to]);
		add_number(&table, mbit(change->before), 1);
		add_number(&table, mbit(change->after), 1);
		add_number(&table, (change->after / change->before - 1) * 100, 0);
	}
	if (count)
		output_table(&table);
	else
		printf("nothing has changed by more than %.0f %%\n", LEAST_CHANGE * 100);
	table_release(&table);
	free(changes);
}

struct json *links_changes_json(const struct links *before, const struct links *links)
{
	struct json *list = json_array_new();
	size_t count;
	struct links_change *changes = links_compare(before, links, LEAST_CHANGE, &count);

	for (size_t i = 0; i < count; i++) {
		struct json *entry = json_object_new();

		if (changes[i].segment) {
			json_add_text(entry, "segment", changes[i].segment);
		} else {
			json_add_text(entry, "from", links->names[changes[i].from]);
			json_add_text(entry, "to", links->names[changes[i].to]);
		}
		json_add_real(entry, "before", changes[i].before);
		json_add_real(entry, "after", changes[i].after);
		json_add(list, NULL, entry);
	}
	free(changes);
	return list;
}
