/* A trained model that a command names: a run, one checkpoint of it, or a file. */
#include "cmd/trained.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "cmd/cmd.h"
#include "cmd/job_load.h"
#include "lib/collect.h"
#include "lib/error.h"
#include "lib/file.h"
#include "lib/log.h"
#include "lib/manifest.h"
#include "lib/memory.h"
#include "lib/runs.h"

#define MODEL "model.safetensors"

/* Of a checkpoint in RUN/checkpoints/step-N; NULL if it lies elsewhere. */
static char *recipe_of(const char *dir)
{
	char *path = path_join(dir, "../../recipe.yaml");

	if (file_exists(path))
		return path;
	free(path);
	return NULL;
}

static char *directory_of(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash ? xstrndup(path, slash == path ? 1 : (size_t)(slash - path)) : xstrdup(".");
}

static int find_in_run(struct trained *out, const char *word, struct error *err)
{
	char *run = run_path(word, err), *dir, *newest;
	struct manifest manifest = { 0 };

	if (!run) {
		error_set(err,
			  "no '%s': neither a safetensors file, a checkpoint, a run directory, nor "
			  "the name of a run; see `dstrain ps`",
			  word);
		return EXIT_USAGE;
	}
	dir = path_join(run, "checkpoints");
	newest = collect_newest(dir, &manifest, err);
	if (newest) {
		out->model = path_join(newest, MODEL);
		out->recipe = path_join(run, "recipe.yaml");
		out->step = manifest.step;
	}
	manifest_release(&manifest);
	free(newest);
	free(dir);
	free(run);
	return out->model ? EXIT_DONE : EXIT_FAILED;
}

static int find_in_checkpoint(struct trained *out, const char *dir, struct error *err)
{
	struct manifest manifest = { 0 };
	int status = EXIT_DONE;

	if (manifest_read(&manifest, dir, err) < 0) {
		error_prefix(err, "checkpoint '%s'", dir);
		status = EXIT_FAILED;
	} else {
		out->model = path_join(dir, MODEL);
		out->recipe = recipe_of(dir);
		out->step = manifest.step;
	}
	manifest_release(&manifest);
	return status;
}

static int find(struct trained *out, const char *word, struct error *err)
{
	char *manifest = path_join(word, "manifest.json");
	bool is_checkpoint = file_exists(manifest);
	struct stat about;
	char *dir;

	free(manifest);
	if (is_checkpoint)
		return find_in_checkpoint(out, word, err);
	if (stat(word, &about) < 0 || S_ISDIR(about.st_mode))
		return find_in_run(out, word, err);
	dir = directory_of(word);
	out->model = xstrdup(word);
	out->recipe = recipe_of(dir);
	free(dir);
	return EXIT_DONE;
}

/* `recipe` (may be NULL) is used in place of the run's. */
static int find_with_recipe(struct trained *out, const char *word, const char *recipe,
			    struct error *err)
{
	int status = find(out, word, err);

	if (status == EXIT_DONE && recipe) {
		free(out->recipe);
		out->recipe = xstrdup(recipe);
	}
	if (status == EXIT_DONE && !out->recipe) {
		error_set(err, "'%s' is not in a run directory; name its recipe with --recipe",
			  word);
		status = EXIT_USAGE;
	}
	return status;
}

static void trained_release(struct trained *trained)
{
	free(trained->model);
	free(trained->recipe);
	*trained = (struct trained){ 0 };
}

static int use_with_job(const struct trained *trained, const struct flags *flags, trained_use *use)
{
	struct job_load load = { .trained = true };
	struct error err;
	int status = EXIT_DONE;

	if (job_load(&load, trained->recipe, flags) < 0) {
		job_load_report(&load);
		status = EXIT_USAGE;
	} else if (use(trained, &load.job, flags, &err) < 0) {
		log_error("%s", err.text);
		status = EXIT_FAILED;
	}
	job_load_release(&load);
	return status;
}

int trained_run(const struct flags *flags, trained_use *use)
{
	struct trained trained = { 0 };
	struct error err;
	int status = find_with_recipe(&trained, flags->operands[0], flags->recipe, &err);

	if (status == EXIT_DONE)
		status = use_with_job(&trained, flags, use);
	else
		log_error("%s", err.text);
	trained_release(&trained);
	return status;
}
