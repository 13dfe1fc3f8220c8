/* What to train: a recipe file's settings, before anything in them is judged. */
#ifndef DSTRAIN_LIB_RECIPE_H
#define DSTRAIN_LIB_RECIPE_H

#include <stddef.h>

#include "lib/setting.h"

struct error;

/* Reads `path`; -1 with err if it cannot be read; what is wrong inside goes to `problems`
 * (then -1 too, err says how many). Places borrow `path`. */
int recipe_load(struct settings *out, const char *path, struct problems *problems,
		struct error *err);
/* The same from text; `name` stands for the file in places and is borrowed. */
int recipe_parse(struct settings *out, const char *text, size_t length, const char *name,
		 struct problems *problems, struct error *err);
/* "train.epochs=2", as --set gives it. */
int recipe_set(struct settings *recipe, const char *assignment, struct error *err);

#endif
