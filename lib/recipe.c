/* What to train: a recipe file's settings, before anything in them is judged. */
#include "lib/recipe.h"

#include <stdlib.h>
#include <string.h>

#include "lib/buf.h"
#include "lib/error.h"
#include "lib/file.h"
#include "lib/memory.h"
#include "lib/yaml.h"

int recipe_parse(struct settings *out, const char *text, size_t length, const char *name,
		 struct problems *problems, struct error *err)
{
	return yaml_read(out, text, length, name, problems, err);
}

int recipe_load(struct settings *out, const char *path, struct problems *problems,
		struct error *err)
{
	struct buf text = { 0 };
	int status = file_read(&text, path, YAML_BYTES, err);

	if (status == 0)
		status = recipe_parse(out, buf_text(&text), text.length, path, problems, err);
	buf_release(&text);
	return status;
}

int recipe_set(struct settings *recipe, const char *assignment, struct error *err)
{
	static const struct place place = { .file = "--set" };
	const char *equals = strchr(assignment, '=');
	char *key;

	if (!equals || equals[1] == '\0')
		return error_set(err, "'%s' is not of the form KEY=VALUE", assignment);
	key = xstrndup(assignment, (size_t)(equals - assignment));
	if (!key[0] || key[0] == '.' || equals[-1] == '.' || strstr(key, "..")) {
		error_set(err, "'%s' is not a key such as train.epochs", key);
		free(key);
		return -1;
	}
	settings_set(recipe, key, equals + 1, place);
	free(key);
	return 0;
}
