/* A model's layers as a recipe lists them. */
#ifndef DSTRAIN_RUNTIME_LIST_H
#define DSTRAIN_RUNTIME_LIST_H

#include <stdbool.h>
#include <stddef.h>

#include "lib/registry.h"
#include "lib/setting.h"

struct error;
struct model_builder;

/* A layer, or a residual block: what `body` and `shortcut` make of the same input is added. */
struct layer_item {
	char *name; /* from the top: "3.layers.0" */
	struct place place;
	struct part part;		    /* of a block: empty */
	struct layer_list *body, *shortcut; /* owned; NULL unless it is a block */
};

/* Zeroed is valid and empty. */
struct layer_list {
	struct layer_item *items;
	size_t count;
	struct place place;
	struct part loss; /* of the model; empty: as the data wants it */
	struct place loss_place;
};

/* Does the recipe list layers as "PREFIX.layers"? Presets may have a count of that name. */
bool layer_list_given(const struct settings *given, const char *prefix);

/* In a list a bare word is short for {layer: WORD}: spells that out, so that --set can add to it.
 */
void layer_list_expand(struct settings *given, const char *prefix);

/*
 * Reads PREFIX.layers and PREFIX.loss. What is wrong goes to `problems`; `resolved` gets every key
 * with its effective value. Places borrow what those of `given` do. `list` must be zeroed, and is
 * releasable whatever happened.
 */
void layer_list_read(struct layer_list *list, struct settings *given, const char *prefix,
		     struct settings *resolved, struct problems *problems);

/* Adds the layers and sets the loss, as a preset does. A message begins with the place of the layer
 * at fault. */
int layer_list_build(const struct layer_list *list, struct model_builder *builder,
		     struct error *err);
void layer_list_release(struct layer_list *list);

#endif
