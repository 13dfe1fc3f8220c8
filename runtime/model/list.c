/* A model's layers as a recipe lists them. */
#include "runtime/model/list.h"

#include <stdlib.h>
#include <string.h>

#include "lib/error.h"
#include "lib/memory.h"
#include "lib/opt.h"
#include "runtime/model/layer.h"

enum { NAME_BYTES = 40 }; /* and ".running_mean" still fits into a tensor's name */

struct reading {
	struct settings *given, *resolved;
	struct problems *problems;
	const char **names; /* of all layers so far; borrowed */
	size_t count;
};

/* A single value beside a preset is not a list, but how many of them that is asked for. */
bool layer_list_given(const struct settings *given, const char *prefix)
{
	char *key = xasprintf("%s.layers", prefix), *preset_key = xasprintf("%s.preset", prefix);
	const struct setting *own = settings_find(given, key);
	bool found = settings_has(given, key);
	bool counted = own && own->kind == SETTING_SCALAR && settings_has(given, preset_key);

	free(preset_key);
	free(key);
	return found && !counted;
}

/* [relu, flatten] -> KEY.0, KEY.1. An empty list stays one. */
static void split_words(struct settings *given, const char *key)
{
	struct setting *found = settings_find(given, key), words;

	if (!found || found->kind != SETTING_LIST || found->count == 0)
		return;
	words = *found;
	found->kind = SETTING_SECTION;
	found->values = NULL;
	found->count = 0;
	for (size_t i = 0; i < words.count; i++) {
		char *item = xasprintf("%s.%zu", key, i);
		struct setting *word = settings_add(given, item, SETTING_SCALAR, words.value_place);

		setting_add_value(word, words.values[i], strlen(words.values[i]));
		free(words.values[i]);
		free(item);
	}
	free(words.values);
}

static void expand(struct settings *given, const char *key);

static bool expand_item(struct settings *given, const char *key, size_t i)
{
	char *item = xasprintf("%s.%zu", key, i);
	bool there = settings_has(given, item);

	if (there) {
		char *layers_key = xasprintf("%s.residual.layers", item);
		char *shortcut_key = xasprintf("%s.residual.shortcut", item);

		registry_expand(given, item, "layer");
		expand(given, layers_key);
		expand(given, shortcut_key);
		free(layers_key);
		free(shortcut_key);
	}
	free(item);
	return there;
}

static void expand(struct settings *given, const char *key)
{
	size_t i = 0;

	split_words(given, key);
	while (expand_item(given, key, i))
		i++;
}

void layer_list_expand(struct settings *given, const char *prefix)
{
	char *key = xasprintf("%s.layers", prefix);

	expand(given, key);
	free(key);
}

/* After a problem: nothing below can be judged. */
static void ignore(struct settings *given, const char *key)
{
	size_t length = strlen(key);

	for (size_t i = 0; i < given->count; i++) {
		const char *other = given->entries[i].key;

		if (strncmp(other, key, length) == 0 &&
		    (other[length] == '\0' || other[length] == '.'))
			given->entries[i].used = true;
	}
}

/* Of an item, or of the word that it is. */
static struct place place_of(const struct settings *given, const char *key)
{
	const struct setting *found = settings_find(given, key);

	for (size_t i = 0; !found && i < given->count; i++)
		if (strncmp(given->entries[i].key, key, strlen(key)) == 0)
			found = &given->entries[i];
	return found ? found->place : (struct place){ .file = "recipe" };
}

static bool is_name(const char *name)
{
	static const char letters[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
				      "0123456789_-.";

	return name[0] && name[0] != '.' && name[strlen(name) - 1] != '.' && !strstr(name, "..") &&
	       strspn(name, letters) == strlen(name);
}

static bool is_taken(const struct reading *r, const char *name)
{
	for (size_t i = 0; i < r->count; i++)
		if (strcmp(r->names[i], name) == 0)
			return true;
	return false;
}

/* Reads KEY.name: `fallback` if there is none, below `above` if that is a block's name. */
static char *read_name(struct reading *r, const char *key, const char *above, const char *fallback)
{
	const struct opt row[] = { { "name", OPT_TEXT, 0, fallback, "of the layer" }, { 0 } };
	char *full_key = xasprintf("%s.name", key), *own = NULL, *name;
	size_t before = r->problems->count;
	struct place place;

	opt_read(row, r->given, key, &own, r->resolved, r->problems);
	place = settings_find(r->resolved, full_key)->value_place;
	name = xasprintf("%s%s%s", above, above[0] ? "." : "", own ? own : "");
	if (r->problems->count == before && !is_name(own ? own : ""))
		problems_add(r->problems, place,
			     "%s: '%s' is no name: letters, digits, '_' and '-', and '.' between",
			     full_key, own ? own : "");
	else if (strlen(name) > NAME_BYTES)
		problems_add(r->problems, place, "%s: '%s' is longer than %d bytes", full_key, name,
			     NAME_BYTES);
	if (is_taken(r, name))
		problems_add(r->problems, place, "%s: '%s' names two layers", full_key, name);
	r->names = xgrow(r->names, r->count, sizeof(*r->names));
	r->names[r->count++] = name;
	free(own);
	free(full_key);
	return name;
}

static void read_layers(struct reading *r, const char *key, const char *above, const char *word,
			struct layer_list *list);

static struct layer_list *read_branch(struct reading *r, const char *block_key, const char *above,
				      const char *word)
{
	struct layer_list *list = xcalloc(1, sizeof(*list));
	char *key = xasprintf("%s.%s", block_key, word);

	list->place = place_of(r->given, settings_has(r->given, key) ? key : block_key);
	read_layers(r, key, above, word, list);
	free(key);
	return list;
}

static void read_block(struct reading *r, const char *key, struct layer_item *item)
{
	item->body = read_branch(r, key, item->name, "layers");
	item->shortcut = read_branch(r, key, item->name, "shortcut");
	if (item->body->count == 0) {
		problems_add(r->problems, item->place, "%s.layers: lists no layer", key);
		ignore(r->given, key);
	}
}

static void read_layer(struct reading *r, const char *key, struct layer_item *item)
{
	char *full = xasprintf("%s.layer", key);

	if (!settings_has(r->given, full)) {
		problems_add(r->problems, item->place,
			     "%s: needs a word, a key 'layer' or a key 'residual'", key);
		ignore(r->given, key);
		free(full);
		return;
	}
	registry_read(&layers, r->given, key, "layer", NULL, &item->part, r->resolved, r->problems);
	if (item->part.entry && PART_AS(&item->part, struct layer)->joins)
		problems_add(r->problems, settings_find(r->given, full)->value_place,
			     "%s: '%s' has two inputs; write residual: {layers: [...]}", full,
			     item->part.entry->name);
	free(full);
}

/* False behind the last item. */
static bool read_item(struct reading *r, const char *list_key, size_t i, const char *above,
		      const char *word, struct layer_list *list)
{
	char *key = xasprintf("%s.%zu", list_key, i), *block_key, *number;
	struct layer_item *item;
	bool there = settings_has(r->given, key);

	if (there) {
		block_key = xasprintf("%s.residual", key);
		number = xasprintf("%s%s%zu", word, word[0] ? "." : "", i);
		list->items = xgrow(list->items, list->count, sizeof(*item));
		item = &list->items[list->count++];
		*item = (struct layer_item){ .place = place_of(r->given, key) };
		item->name = read_name(r, key, above, number);
		if (settings_has(r->given, block_key))
			read_block(r, block_key, item);
		else
			read_layer(r, key, item);
		free(number);
		free(block_key);
	}
	free(key);
	return there;
}

/* `word` goes before an item's number in its name. */
static void read_layers(struct reading *r, const char *key, const char *above, const char *word,
			struct layer_list *list)
{
	struct setting *whole = settings_find(r->given, key);
	size_t i = 0;

	if (whole) {
		whole->used = true;
		if (whole->kind == SETTING_LIST)
			settings_copy(r->resolved, key, whole);
	}
	while (read_item(r, key, i, above, word, list))
		i++;
}

static void read_loss(struct reading *r, const char *prefix, struct layer_list *list)
{
	static const struct opt row[] = { { "loss", OPT_PART, 0, "auto", "loss" }, { 0 } };
	char *key = xasprintf("%s.loss", prefix);
	const struct setting *given = settings_find(r->given, key);

	if (!given || (given->kind == SETTING_SCALAR && strcmp(given->values[0], "auto") == 0)) {
		opt_read(row, r->given, prefix, NULL, r->resolved, r->problems);
	} else {
		list->loss_place = given->value_place;
		registry_read(&losses, r->given, prefix, "loss", NULL, &list->loss, r->resolved,
			      r->problems);
	}
	free(key);
}

void layer_list_read(struct layer_list *list, struct settings *given, const char *prefix,
		     struct settings *resolved, struct problems *problems)
{
	struct reading r = { .given = given, .resolved = resolved, .problems = problems };
	char *key = xasprintf("%s.layers", prefix), *preset_key = xasprintf("%s.preset", prefix);
	const struct setting *preset;

	layer_list_expand(given, prefix);
	list->place = place_of(given, key);
	read_layers(&r, key, "", "", list);
	if (list->count == 0)
		problems_add(problems, list->place, "%s: lists no layer", key);
	read_loss(&r, prefix, list);
	preset = settings_find(given, preset_key);
	if (preset) {
		problems_add(problems, preset->place, "a model has a preset or layers, not both");
		ignore(given, prefix);
	}
	free(r.names);
	free(preset_key);
	free(key);
}

static int build_items(const struct layer_list *list, struct model_builder *builder,
		       struct error *err);

static int build_block(const struct layer_item *item, struct model_builder *builder,
		       struct error *err)
{
	int begin = model_mark(builder), end;

	if (build_items(item->body, builder, err) < 0)
		return -1;
	end = model_mark(builder);
	model_go(builder, begin);
	if (build_items(item->shortcut, builder, err) < 0)
		return -1;
	if (model_join(builder, end, item->name, "add", NULL, err) < 0)
		return place_prefix(err, item->place);
	return 0;
}

static int build_items(const struct layer_list *list, struct model_builder *builder,
		       struct error *err)
{
	for (size_t i = 0; i < list->count; i++) {
		const struct layer_item *item = &list->items[i];

		if (item->body) {
			if (build_block(item, builder, err) < 0)
				return -1;
		} else if (model_add(builder, item->name, item->part.entry->name, item->part.params,
				     err) < 0) {
			return place_prefix(err, item->place);
		}
	}
	return 0;
}

int layer_list_build(const struct layer_list *list, struct model_builder *builder,
		     struct error *err)
{
	const struct layer_item *last = &list->items[list->count - 1];
	const struct entry *chosen = list->loss.entry;
	int status;

	if (build_items(list, builder, err) < 0)
		return -1;
	status = chosen ? model_set_loss(builder, chosen->name, err)
			: model_set_usual_loss(builder, err);
	if (status < 0) {
		error_prefix(err, "layer '%s'", last->name);
		return place_prefix(err, chosen ? list->loss_place : last->place);
	}
	return 0;
}

static void branch_free(struct layer_list *list)
{
	if (list)
		layer_list_release(list);
	free(list);
}

void layer_list_release(struct layer_list *list)
{
	for (size_t i = 0; i < list->count; i++) {
		struct layer_item *item = &list->items[i];

		free(item->name);
		part_release(&item->part);
		branch_free(item->body);
		branch_free(item->shortcut);
	}
	free(list->items);
	part_release(&list->loss);
	*list = (struct layer_list){ 0 };
}
