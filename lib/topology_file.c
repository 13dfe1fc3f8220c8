/* A topology file: YAML to the tree of racks and hosts. */
#include "lib/topology.h"

#include <ctype.h>
#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "lib/error.h"
#include "lib/links.h"
#include "lib/memory.h"
#include "lib/setting.h"
#include "lib/suggest.h"
#include "lib/units.h"
#include "lib/yaml.h"

enum { SLOTS_MAX = 4096, NAME_MAX_LENGTH = 10 };

/* What TCP leaves of a wire's bytes: 1448 of payload in each Ethernet frame of 1514. */
static const double payload = 1448.0 / 1514.0;

const char *const topology_way_names[] = { "up", "down" };

struct reading {
	const struct settings *all; /* of the file, keys as yaml_read_names gives them */
	const char *file;
	struct topology *out;
	struct problems problems;
};

static int find_node(const struct reading *r, const char *name)
{
	for (size_t i = 0; i < r->out->count; i++)
		if (strcmp(r->out->nodes[i].name, name) == 0)
			return (int)i;
	return -1;
}

static bool is_name(const char *name)
{
	size_t length = strlen(name);

	return length > 0 && length <= NAME_MAX_LENGTH && islower((unsigned char)name[0]) &&
	       strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789-") == length;
}

/* Returns its number, or -1 after reporting. */
static int add_node(struct reading *r, const char *name, bool is_rack, int parent,
		    struct place place)
{
	static const char *const taken[] = { "core", "ctl", "sw", "lo" };
	bool is_taken = find_node(r, name) >= 0;

	for (size_t i = 0; i < ARRAY_SIZE(taken); i++)
		is_taken |= strcmp(name, taken[i]) == 0;
	if (!is_name(name))
		problems_add(&r->problems, place,
			     "'%s' is not a name (a-z, 0-9 and -, at most %d characters)", name,
			     NAME_MAX_LENGTH);
	else if (is_taken)
		problems_add(&r->problems, place, "the name '%s' is taken", name);
	else if (!is_rack && r->out->hosts == LINKS_HOSTS)
		problems_add(&r->problems, place, "more than %d hosts", LINKS_HOSTS);
	else {
		r->out->nodes = xgrow(r->out->nodes, r->out->count, sizeof(*r->out->nodes));
		r->out->nodes[r->out->count] = (struct topology_node){ .name = xstrdup(name),
								       .is_rack = is_rack,
								       .parent = parent,
								       .bytes_per_s = { NAN, NAN },
								       .slots = 1 };
		r->out->hosts += !is_rack;
		return (int)r->out->count++;
	}
	return -1;
}

/* "h[1-4]": where the brackets begin, and the two numbers; false: it is none. */
static bool read_range(const char *text, size_t *prefix, uint64_t *first, uint64_t *last)
{
	const char *open = strrchr(text, '['), *dash = open ? strchr(open, '-') : NULL;
	const char *close = dash ? strchr(dash, ']') : NULL;
	char *numbers[2];
	struct error ignored;
	bool fine;

	if (!close || close[1])
		return false;
	numbers[0] = xstrndup(open + 1, (size_t)(dash - open) - 1);
	numbers[1] = xstrndup(dash + 1, (size_t)(close - dash) - 1);
	*prefix = (size_t)(open - text);
	fine = units_count(first, numbers[0], &ignored) == 0 &&
	       units_count(last, numbers[1], &ignored) == 0;
	free(numbers[0]);
	free(numbers[1]);
	return fine;
}

/* Hosts numbered on from `first`, while they are good. */
static void add_numbered(struct reading *r, const char *prefix, size_t length, uint64_t first,
			 uint64_t last, int rack, struct place place)
{
	for (uint64_t i = first; i <= last; i++) {
		char *name = xasprintf("%.*s%llu", (int)length, prefix, (unsigned long long)i);
		int added = add_node(r, name, false, rack, place);

		free(name);
		if (added < 0)
			return;
	}
}

/* A count (numbered on from the hosts so far), a range, or a host. */
static void add_member(struct reading *r, const char *text, int rack, struct place place)
{
	uint64_t first, last;
	struct error ignored;
	size_t prefix;

	if (units_count(&last, text, &ignored) == 0)
		add_numbered(r, "h", 1, r->out->hosts + 1,
			     last > LINKS_HOSTS ? LINKS_HOSTS + 1 : r->out->hosts + last, rack,
			     place);
	else if (read_range(text, &prefix, &first, &last))
		add_numbered(r, text, prefix, first, last, rack, place);
	else
		add_node(r, text, false, rack, place);
}

static void add_members(struct reading *r, const struct setting *entry, int rack)
{
	for (size_t i = 0; i < entry->count; i++)
		add_member(r, entry->values[i], rack, entry->value_place);
}

/* The last part of a key, for people; caller frees. */
static char *last_part(const char *key)
{
	const char *dot = strrchr(key, '.');

	return yaml_show_dots(xstrdup(dot ? dot + 1 : key));
}

/* The rack that a key such as "racks.row.r1" stands in. */
static int rack_above(const struct reading *r, const char *key)
{
	char *above = xstrndup(key, (size_t)(strrchr(key, '.') - key));
	char *name = strchr(above, '.') ? last_part(above) : NULL;
	int rack = name ? find_node(r, name) : TOPOLOGY_CORE;

	free(name);
	free(above);
	return rack;
}

static bool is_below(const char *key, const char *prefix)
{
	size_t length = strlen(prefix);

	return strncmp(key, prefix, length) == 0 && key[length] == '.';
}

static void read_racks(struct reading *r)
{
	for (size_t i = 0; i < r->all->count; i++) {
		const struct setting *entry = &r->all->entries[i];
		char *name;
		int rack;

		if (strcmp(entry->key, "racks") == 0 && entry->kind != SETTING_SECTION)
			problems_add(&r->problems, entry->value_place,
				     "'racks' needs a name for each, such as 'r1: h[1-4]'");
		if (!is_below(entry->key, "racks"))
			continue;
		name = last_part(entry->key);
		rack = add_node(r, name, true, rack_above(r, entry->key), entry->place);
		free(name);
		if (rack >= 0)
			add_members(r, entry, rack);
	}
}

static void read_hosts(struct reading *r)
{
	const struct setting *entry = settings_find(r->all, "hosts");

	if (entry && entry->kind == SETTING_SECTION)
		problems_add(&r->problems, entry->value_place,
			     "'hosts' needs a count, a range such as h[1-4], or a list of names");
	else if (entry)
		add_members(r, entry, TOPOLOGY_CORE);
}

/* As tc writes it: "100mbit", or "none". */
static int read_rate(double *bytes_per_s, const char *text, struct error *err)
{
	static const struct {
		const char *unit;
		double bits;
	} units[] = { { "kbit", 1e3 }, { "mbit", 1e6 }, { "gbit", 1e9 } };
	size_t digits = strspn(text, "0123456789");
	char *number = xstrndup(text, digits);
	uint64_t count = 0;
	size_t unit = 0;
	int status;

	*bytes_per_s = NAN;
	if (strcmp(text, "none") == 0) {
		free(number);
		return 0;
	}
	while (unit < ARRAY_SIZE(units) && strcmp(text + digits, units[unit].unit) != 0)
		unit++;
	status = units_count(&count, number, err);
	free(number);
	if (status < 0 || count == 0 || text[0] == '0' || unit == ARRAY_SIZE(units))
		return error_set(err, "'%s' is not a rate such as 100mbit, 1gbit or none", text);
	*bytes_per_s = (double)count * units[unit].bits / 8 * payload;
	return 0;
}

static void report(struct reading *r, const struct setting *entry, const struct error *err)
{
	problems_add(&r->problems, entry->value_place, "%s", err->text);
}

static void set_rate(struct reading *r, const struct setting *entry, double *bytes_per_s)
{
	struct error err;

	*bytes_per_s = NAN;
	if (entry->kind == SETTING_LIST)
		problems_add(&r->problems, entry->value_place, "not a rate such as 100mbit");
	else if (entry->kind == SETTING_SCALAR &&
		 read_rate(bytes_per_s, entry->values[0], &err) < 0)
		report(r, entry, &err);
}

/* What stands directly below `prefix` must be among `keys`. */
static void check_keys(struct reading *r, const char *prefix, const char *const *keys, size_t count)
{
	size_t length = strlen(prefix) + (prefix[0] != '\0');

	for (size_t i = 0; i < r->all->count; i++) {
		const struct setting *entry = &r->all->entries[i];
		const char *near;
		char *key;
		size_t k = 0;

		if ((prefix[0] && !is_below(entry->key, prefix)) ||
		    strchr(entry->key + length, '.'))
			continue;
		while (k < count && strcmp(entry->key + length, keys[k]) != 0)
			k++;
		if (k < count)
			continue;
		key = last_part(entry->key);
		near = suggest(key, keys, count);
		problems_add(&r->problems, entry->place, "unknown key '%s'%s%s%s", key,
			     near ? "; did you mean '" : "", near ? near : "", near ? "'?" : "");
		free(key);
	}
}

/* One rate for both ways, or {up: RATE, down: RATE} for those that are meant. */
static void read_rates(struct reading *r, const char *key, double bytes_per_s[2])
{
	const struct setting *entry = settings_find(r->all, key);
	bool split = false;

	if (!entry)
		return;
	for (enum topology_way way = TOPOLOGY_UP; way <= TOPOLOGY_DOWN; way++) {
		char *name = xasprintf("%s.%s", key, topology_way_names[way]);
		const struct setting *one = settings_find(r->all, name);

		split |= one != NULL;
		if (one)
			set_rate(r, one, &bytes_per_s[way]);
		free(name);
	}
	check_keys(r, key, topology_way_names, ARRAY_SIZE(topology_way_names));
	if (split)
		return;
	set_rate(r, entry, &bytes_per_s[TOPOLOGY_UP]);
	bytes_per_s[TOPOLOGY_DOWN] = bytes_per_s[TOPOLOGY_UP];
}

/* True: it is there, and good. */
static bool read_seconds(struct reading *r, const char *key, double *seconds)
{
	const struct setting *entry = settings_find(r->all, key);
	struct error err;

	if (!entry)
		return false;
	if (entry->kind != SETTING_SCALAR)
		problems_add(&r->problems, entry->value_place, "not a time such as 0.2ms");
	else if (units_seconds(seconds, entry->values[0], &err) < 0)
		report(r, entry, &err);
	else
		return true;
	return false;
}

static void read_defaults(struct reading *r)
{
	double nic[2] = { NAN, NAN }, uplink[2] = { NAN, NAN }, delay = 0;

	read_rates(r, "nic", nic);
	read_rates(r, "uplink", uplink);
	r->out->has_delay = read_seconds(r, "delay", &delay);
	for (size_t i = 0; i < r->out->count; i++) {
		struct topology_node *node = &r->out->nodes[i];

		memcpy(node->bytes_per_s, node->is_rack ? uplink : nic, sizeof(nic));
		node->delay_s = node->is_rack ? 0 : delay;
	}
}

static void read_slots(struct reading *r, const char *key, struct topology_node *node)
{
	const struct setting *entry = settings_find(r->all, key);
	struct error ignored;
	uint64_t slots;

	if (!entry)
		return;
	r->out->has_slots = true;
	if (entry->kind == SETTING_SCALAR && units_count(&slots, entry->values[0], &ignored) == 0 &&
	    slots >= 1 && slots <= SLOTS_MAX)
		node->slots = (size_t)slots;
	else
		problems_add(&r->problems, entry->value_place, "not a number of slots from 1 to %d",
			     SLOTS_MAX);
}

/* What a host or rack has of its own. The lab's other keys mean nothing here. */
static void read_override(struct reading *r, const struct setting *entry)
{
	static const char *const host_keys[] = { "nic", "delay", "slots", "home_files" };
	static const char *const rack_keys[] = { "uplink", "delay" };
	char *name = last_part(entry->key);
	int number = find_node(r, name);
	struct topology_node *node = number < 0 ? NULL : &r->out->nodes[number];
	char *rates = xasprintf("%s.%s", entry->key, node && node->is_rack ? "uplink" : "nic");
	char *delay = xasprintf("%s.delay", entry->key), *slots = xasprintf("%s.slots", entry->key);

	if (!node && strcmp(name, "ctl") != 0) {
		problems_add(&r->problems, entry->place, "no host or rack '%s'", name);
	} else if (node) {
		check_keys(r, entry->key, node->is_rack ? rack_keys : host_keys,
			   node->is_rack ? ARRAY_SIZE(rack_keys) : ARRAY_SIZE(host_keys));
		read_rates(r, rates, node->bytes_per_s);
		r->out->has_delay |= read_seconds(r, delay, &node->delay_s);
		if (!node->is_rack)
			read_slots(r, slots, node);
	}
	free(name);
	free(rates);
	free(delay);
	free(slots);
}

static void read_overrides(struct reading *r)
{
	const struct setting *whole = settings_find(r->all, "overrides");

	if (whole && whole->kind != SETTING_SECTION)
		problems_add(&r->problems, whole->value_place,
			     "'overrides' needs names of hosts and racks below it");
	for (size_t i = 0; i < r->all->count; i++) {
		const struct setting *entry = &r->all->entries[i];

		if (is_below(entry->key, "overrides") &&
		    !strchr(entry->key + strlen("overrides."), '.'))
			read_override(r, entry);
	}
}

static void add_change(struct reading *r, double at_s, int node, enum topology_way way,
		       double bytes_per_s)
{
	size_t i = r->out->change_count++;

	r->out->changes = xgrow(r->out->changes, i, sizeof(*r->out->changes));
	for (; i > 0 && r->out->changes[i - 1].at_s > at_s; i--)
		r->out->changes[i] = r->out->changes[i - 1];
	r->out->changes[i] = (struct topology_change){ at_s, bytes_per_s, node, way };
	r->out->nodes[node].changes[way] = true;
}

/* "h1" or "r1.up": the node, and the ways that are meant. */
static int read_link(struct reading *r, const struct setting *entry, bool ways[2])
{
	char *text = yaml_show_dots(xstrdup(entry->values[0])), *dot = strchr(text, '.');
	int node;

	ways[TOPOLOGY_UP] = !dot || strcmp(dot, ".up") == 0;
	ways[TOPOLOGY_DOWN] = !dot || strcmp(dot, ".down") == 0;
	if (dot)
		*dot = '\0';
	node = find_node(r, text);
	free(text);
	if (node >= 0 && (ways[TOPOLOGY_UP] || ways[TOPOLOGY_DOWN]))
		return node;
	problems_add(&r->problems, entry->value_place,
		     "'%s' is not a host or rack, nor one with .up or .down behind it",
		     entry->values[0]);
	return -1;
}

static const struct setting *find_part(struct reading *r, const struct setting *entry,
				       const char *part)
{
	char *key = xasprintf("%s.%s", entry->key, part);
	const struct setting *found = settings_find(r->all, key);

	free(key);
	if (found && found->kind == SETTING_SCALAR)
		return found;
	problems_add(&r->problems, entry->place,
		     "a change is {at: TIME, link: NAME, rate: RATE}; '%s' is missing", part);
	return NULL;
}

static void read_change(struct reading *r, const struct setting *entry)
{
	static const char *const keys[] = { "at", "link", "rate" };
	const struct setting *parts[ARRAY_SIZE(keys)];
	double at_s, bytes_per_s;
	bool ways[2], fine = true;
	int node;

	check_keys(r, entry->key, keys, ARRAY_SIZE(keys));
	for (size_t i = 0; i < ARRAY_SIZE(keys); i++) {
		parts[i] = find_part(r, entry, keys[i]);
		fine &= parts[i] != NULL;
	}
	if (!fine)
		return;
	fine = read_seconds(r, parts[0]->key, &at_s);
	node = read_link(r, parts[1], ways);
	set_rate(r, parts[2], &bytes_per_s);
	if (fine && r->out->repeat_s > 0 && at_s >= r->out->repeat_s)
		problems_add(&r->problems, parts[0]->value_place, "is not before 'repeat'");
	for (enum topology_way way = TOPOLOGY_UP; fine && node >= 0 && way <= TOPOLOGY_DOWN; way++)
		if (ways[way])
			add_change(r, at_s, node, way, bytes_per_s);
}

static void read_changes(struct reading *r)
{
	const struct setting *entry = settings_find(r->all, "changes");

	read_seconds(r, "repeat", &r->out->repeat_s);
	if (entry && entry->kind != SETTING_SECTION)
		problems_add(&r->problems, entry->value_place,
			     "'changes' is a list of {at: TIME, link: NAME, rate: RATE}");
	for (size_t i = 0; i < r->all->count; i++) {
		entry = &r->all->entries[i];
		if (is_below(entry->key, "changes") &&
		    !strchr(entry->key + strlen("changes."), '.'))
			read_change(r, entry);
	}
}

static void read_tree(struct reading *r)
{
	static const char *const keys[] = { "network", "nic",	    "uplink",  "delay", "hosts",
					    "racks",   "overrides", "changes", "repeat" };

	check_keys(r, "", keys, ARRAY_SIZE(keys));
	read_hosts(r);
	read_racks(r);
	read_defaults(r);
	read_overrides(r);
	read_changes(r);
	if (r->out->hosts == 0 && r->problems.count == 0)
		problems_add(&r->problems, (struct place){ .file = r->file },
			     "no hosts in it; write 'hosts: 4', or 'racks:' with hosts in them");
}

void topology_release(struct topology *topology)
{
	for (size_t i = 0; i < topology->count; i++)
		free(topology->nodes[i].name);
	free(topology->nodes);
	free(topology->changes);
	*topology = (struct topology){ 0 };
}

int topology_read(struct topology *out, const char *text, size_t length, const char *name,
		  struct problems *problems, struct error *err)
{
	struct topology topology = { 0 };
	struct settings all = { 0 };
	struct reading r = { .all = &all, .file = name, .out = &topology };
	int status = yaml_read_names(&all, text, length, name, problems, err);

	if (status == 0) {
		read_tree(&r);
		status = problems_move(problems, &r.problems, name, err);
	}
	settings_release(&all);
	if (status == 0)
		*out = topology;
	else
		topology_release(&topology);
	return status;
}
