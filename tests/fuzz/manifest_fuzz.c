/* manifest.json of a checkpoint directory, beside a model.safetensors. */
#define _GNU_SOURCE
#include "tests/fuzz/fuzz.h"

#include <fcntl.h>

#include "lib/manifest.h"

static struct fuzz_file file;
static char dir[] = "/tmp/dstrain-fuzz-XXXXXX";

static void remove_dir(void)
{
	struct error err;

	(void)dir_remove(dir, &err);
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	char *manifest, *model;
	struct error err;

	(void)argc;
	(void)argv;
	assert(mkdtemp(dir));
	(void)atexit(remove_dir);
	file = fuzz_file("manifest");
	manifest = path_join(dir, "manifest.json");
	model = path_join(dir, "model.safetensors");
	assert(symlink(file.path, manifest) == 0);
	assert(file_write(model, "model", 5, &err) == 0);
	free(manifest);
	free(model);
	return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length)
{
	struct manifest manifest = { 0 };
	struct error err;

	fuzz_fill(&file, bytes, length);
	if (manifest_read(&manifest, dir, &err) == 0) {
		assert(manifest_find(&manifest, "model.safetensors"));
		for (size_t i = 0; i < manifest.file_count; i++)
			assert(!strchr(manifest.files[i].name, '/'));
	}
	manifest_release(&manifest);
	return 0;
}
