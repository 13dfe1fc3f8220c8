/* YAML text to settings (libyaml underneath). */
#include "lib/yaml.h"

#include <stdlib.h>
#include <string.h>

#include <yaml.h>

#include "lib/error.h"
#include "lib/memory.h"
#include "lib/setting.h"

struct reading {
	yaml_document_t document;
	const char *name;
	struct settings *out;
	struct problems found;
	bool names;   /* keys may have dots, and no value */
	bool full;    /* more keys or text than anybody needs: the rest was left out */
	size_t bytes; /* in out: aliases make a small file large */
};

static struct place place_at(const struct reading *r, yaml_mark_t mark)
{
	return (struct place){ r->name, (int)mark.line + 1, (int)mark.column + 1 };
}

static const char *scalar_text(const yaml_node_t *node)
{
	return (const char *)node->data.scalar.value;
}

static bool is_empty(const yaml_node_t *node)
{
	static const char *const words[] = { "", "~", "null", "Null", "NULL" };

	if (node->type != YAML_SCALAR_NODE || node->data.scalar.style != YAML_PLAIN_SCALAR_STYLE)
		return false;
	for (size_t i = 0; i < ARRAY_SIZE(words); i++)
		if (strcmp(scalar_text(node), words[i]) == 0)
			return true;
	return false;
}

/* Anything else is a mistake, and would reach the user's terminal. */
static bool is_clean(const yaml_node_t *node)
{
	return strlen(scalar_text(node)) == node->data.scalar.length &&
	       setting_is_text(scalar_text(node));
}

/* What may stand anywhere: 0, or -1 after reporting. */
static int check_node(struct reading *r, const yaml_node_t *node, const char *key)
{
	static const char standard[] = "tag:yaml.org,2002:";
	const char *tag = (const char *)node->tag;
	struct place place = place_at(r, node->start_mark);

	if (tag && strncmp(tag, standard, strlen(standard)) != 0)
		problems_add(&r->found, place, "%s: tags such as '%s' are not understood", key,
			     tag);
	else if (is_empty(node) && !r->names)
		problems_add(&r->found, place, "'%s' needs a value", key);
	else if (node->type == YAML_SCALAR_NODE && !is_clean(node))
		problems_add(&r->found, place, "%s: the text has a control character in it", key);
	else
		return 0;
	return -1;
}

/* The name of pair `i`, or NULL after reporting. */
static const char *pair_name(struct reading *r, const yaml_node_t *mapping, size_t i)
{
	const yaml_node_pair_t *pairs = mapping->data.mapping.pairs.start;
	const yaml_node_t *key = yaml_document_get_node(&r->document, pairs[i].key);
	struct place place = place_at(r, key->start_mark);
	const char *name;

	if (key->type != YAML_SCALAR_NODE || is_empty(key) || key->data.scalar.length == 0 ||
	    key->data.scalar.length > YAML_KEY_BYTES || !is_clean(key)) {
		problems_add(&r->found, place, "a key must be plain text of at most %d bytes",
			     YAML_KEY_BYTES);
		return NULL;
	}
	name = scalar_text(key);
	if (strcmp(name, "<<") == 0) {
		problems_add(&r->found, place,
			     "merging with '<<' is not supported; "
			     "repeat the keys");
		return NULL;
	}
	if (strchr(name, '.') && !r->names) {
		problems_add(&r->found, place,
			     "key '%s' has a dot in it; write nested keys on lines of their own",
			     name);
		return NULL;
	}
	for (size_t j = 0; j < i; j++) {
		const yaml_node_t *other = yaml_document_get_node(&r->document, pairs[j].key);

		if (other->type == YAML_SCALAR_NODE && strcmp(scalar_text(other), name) == 0) {
			problems_add(&r->found, place, "duplicate key '%s'; first in line %d", name,
				     place_at(r, other->start_mark).line);
			return NULL;
		}
	}
	return name;
}

static void add_value(struct reading *r, const char *key, yaml_mark_t at, const yaml_node_t *value,
		      int depth);

static void add_pairs(struct reading *r, const char *key, const yaml_node_t *mapping, int depth)
{
	const yaml_node_pair_t *pairs = mapping->data.mapping.pairs.start;
	size_t count = (size_t)(mapping->data.mapping.pairs.top - pairs);

	r->full |= count > YAML_KEYS;
	for (size_t i = 0; i < count && !r->full; i++) {
		const char *name = pair_name(r, mapping, i);
		size_t above = strlen(key) + (key[0] != '\0');
		char *full;

		if (!name)
			continue;
		full = xasprintf("%s%s%s", key, key[0] ? "." : "", name);
		for (char *dot = full + above; (dot = strchr(dot, '.'));)
			*dot = YAML_DOT;
		add_value(r, full, yaml_document_get_node(&r->document, pairs[i].key)->start_mark,
			  yaml_document_get_node(&r->document, pairs[i].value), depth);
		free(full);
	}
}

static bool all_scalars(struct reading *r, const yaml_node_t *list)
{
	for (const yaml_node_item_t *item = list->data.sequence.items.start;
	     item < list->data.sequence.items.top; item++)
		if (yaml_document_get_node(&r->document, *item)->type != YAML_SCALAR_NODE)
			return false;
	return true;
}

static void add_items(struct reading *r, const char *key, const yaml_node_t *list, int depth)
{
	const yaml_node_item_t *items = list->data.sequence.items.start;
	size_t count = (size_t)(list->data.sequence.items.top - items);

	for (size_t i = 0; i < count; i++) {
		const yaml_node_t *item = yaml_document_get_node(&r->document, items[i]);
		char *full = xasprintf("%s.%zu", key, i);

		add_value(r, full, item->start_mark, item, depth);
		free(full);
	}
}

static void add_text(struct reading *r, struct setting *entry, const yaml_node_t *scalar)
{
	size_t length = scalar->data.scalar.length;

	r->bytes += sizeof(char *) + length;
	if (r->bytes <= YAML_VALUE_BYTES)
		setting_add_value(entry, scalar_text(scalar), length);
}

static void add_scalars(struct reading *r, struct setting *entry, const yaml_node_t *list)
{
	for (const yaml_node_item_t *item = list->data.sequence.items.start;
	     item < list->data.sequence.items.top && r->bytes <= YAML_VALUE_BYTES; item++) {
		const yaml_node_t *node = yaml_document_get_node(&r->document, *item);

		if (check_node(r, node, entry->key) == 0)
			add_text(r, entry, node);
	}
}

static void add_value(struct reading *r, const char *key, yaml_mark_t at, const yaml_node_t *value,
		      int depth)
{
	struct place place = place_at(r, at);
	enum setting_kind kind = SETTING_SECTION;
	struct setting *entry;

	if (check_node(r, value, key) < 0)
		return;
	if (r->out->count >= YAML_KEYS || r->bytes > YAML_VALUE_BYTES) {
		r->full = true;
		return;
	}
	if (depth > YAML_DEPTH) {
		problems_add(&r->found, place, "nested more than %d deep", YAML_DEPTH);
		return;
	}
	if (value->type == YAML_SCALAR_NODE && !is_empty(value))
		kind = SETTING_SCALAR;
	else if (value->type == YAML_SEQUENCE_NODE && all_scalars(r, value))
		kind = SETTING_LIST;
	entry = settings_add(r->out, key, kind, place);
	entry->value_place = place_at(r, value->start_mark);
	if (kind == SETTING_SCALAR)
		add_text(r, entry, value);
	else if (kind == SETTING_LIST)
		add_scalars(r, entry, value);
	else if (value->type == YAML_MAPPING_NODE)
		add_pairs(r, key, value, depth + 1);
	else if (value->type == YAML_SEQUENCE_NODE)
		add_items(r, key, value, depth + 1);
}

static void read_root(struct reading *r)
{
	const yaml_node_t *root = yaml_document_get_root_node(&r->document);

	if (!root || is_empty(root))
		problems_add(&r->found, (struct place){ .file = r->name }, "is empty");
	else if (root->type != YAML_MAPPING_NODE)
		problems_add(&r->found, place_at(r, root->start_mark),
			     "must be 'key: value' lines, not %s",
			     root->type == YAML_SCALAR_NODE ? "a plain text" : "a list");
	else
		add_pairs(r, "", root, 1);
	if (r->full || r->bytes > YAML_VALUE_BYTES)
		problems_add(&r->found, (struct place){ .file = r->name },
			     "too large: more than %d keys or %d bytes of text", YAML_KEYS,
			     YAML_VALUE_BYTES);
}

/* libyaml's words for what it did not like, in the user's. */
static const char *plain_words(const yaml_parser_t *parser)
{
	static const char *const words[][2] = {
		{ "mapping values are not allowed in this context",
		  "unexpected ':'; indent the key as its neighbours, or quote the text" },
		{ "could not find expected ':'", "a line without ':'; write 'key: value'" },
		{ "did not find expected key",
		  "cannot be read as 'key: value'; check the indentation of this line" },
		{ "did not find expected '-' indicator",
		  "expected '-' here; check the indentation of this line" },
		{ "did not find expected ',' or '}'", "a ',' or '}' is missing before this" },
		{ "did not find expected ',' or ']'", "a ',' or ']' is missing before this" },
		{ "found unexpected end of stream", "the quoted text has no end" },
		{ "found undefined alias", "the alias refers to an anchor that is not there" },
		{ "found duplicate anchor", "this anchor was defined before" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(words); i++)
		if (strcmp(parser->problem, words[i][0]) == 0)
			return words[i][1];
	return parser->problem;
}

static void report_binary(struct reading *r, const char *text, size_t offset)
{
	struct place place = { r->name, 1, 1 };

	for (size_t i = 0; i < offset; i++) {
		place.column++;
		if (text[i] == '\n') {
			place.line++;
			place.column = 1;
		}
	}
	problems_add(&r->found, place, "is not text in UTF-8");
}

static bool tab_indents(const char *text, size_t length, size_t line)
{
	const char *next = text, *end = text + length;

	for (; line && next; line--) {
		next = memchr(next, '\n', (size_t)(end - next));
		if (next)
			next++;
	}
	while (next && next < end && *next == ' ')
		next++;
	return next && next < end && *next == '\t';
}

static void report_syntax(struct reading *r, const yaml_parser_t *parser, const char *text,
			  size_t length)
{
	struct place place = place_at(r, parser->problem_mark);

	if (parser->error == YAML_READER_ERROR && parser->problem_offset < length)
		report_binary(r, text, parser->problem_offset);
	else if (tab_indents(text, length, parser->problem_mark.line))
		problems_add(&r->found, place, "tabs may not indent; use spaces");
	else
		problems_add(&r->found, place, "%s", plain_words(parser));
}

static void read_documents(struct reading *r, yaml_parser_t *parser, const char *text,
			   size_t length)
{
	if (!yaml_parser_load(parser, &r->document)) {
		report_syntax(r, parser, text, length);
		return;
	}
	read_root(r);
	yaml_document_delete(&r->document);
	if (r->found.count)
		return;
	if (!yaml_parser_load(parser, &r->document)) {
		report_syntax(r, parser, text, length);
		return;
	}
	if (yaml_document_get_root_node(&r->document))
		problems_add(&r->found, place_at(r, r->document.start_mark),
			     "a second document; a file holds one");
	yaml_document_delete(&r->document);
}

static int read_all(struct reading *reading, const char *text, size_t length,
		    struct problems *problems, struct error *err)
{
	yaml_parser_t parser;

	if (length > YAML_BYTES)
		return error_set(err, "'%s' is larger than %d bytes", reading->name, YAML_BYTES);
	if (!yaml_parser_initialize(&parser))
		return error_set(err, "out of memory");
	yaml_parser_set_encoding(&parser, YAML_UTF8_ENCODING);
	yaml_parser_set_input_string(&parser, (const unsigned char *)text, length);
	read_documents(reading, &parser, text, length);
	yaml_parser_delete(&parser);
	return problems_move(problems, &reading->found, reading->name, err);
}

int yaml_read(struct settings *out, const char *text, size_t length, const char *name,
	      struct problems *problems, struct error *err)
{
	struct reading reading = { .name = name, .out = out };

	return read_all(&reading, text, length, problems, err);
}

int yaml_read_names(struct settings *out, const char *text, size_t length, const char *name,
		    struct problems *problems, struct error *err)
{
	struct reading reading = { .name = name, .out = out, .names = true };

	return read_all(&reading, text, length, problems, err);
}

char *yaml_show_dots(char *text)
{
	for (char *dot = text; (dot = strchr(dot, YAML_DOT));)
		*dot = '.';
	return text;
}
