/* What a checkpoint directory holds. */
#include "lib/manifest.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/buf.h"
#include "lib/error.h"
#include "lib/file.h"
#include "lib/json.h"
#include "lib/memory.h"

static const char name[] = "manifest.json";
static const char format[] = "dstrain-checkpoint";

enum { VERSION = 1, LARGEST = 1 << 24 };

int manifest_add(struct manifest *manifest, const char *dir, const char *file, struct error *err)
{
	struct manifest_file entry = { 0 };
	char *path = path_join(dir, file);
	int status = file_size(&entry.bytes, path, err);

	if (status == 0)
		status = digest_file(entry.digest, path, err);
	if (status == 0) {
		manifest->files = xrealloc(manifest->files, manifest->file_count + 1,
					   sizeof(*manifest->files));
		entry.name = xstrdup(file);
		manifest->files[manifest->file_count++] = entry;
	}
	free(path);
	return status;
}

int manifest_write(const struct manifest *manifest, const char *dir, struct error *err)
{
	struct json *json = json_object_new(), *files = json_array_new();
	struct buf text = { 0 };
	char *path = path_join(dir, name);
	int status;

	json_add_text(json, "format", format);
	json_add_count(json, "version", VERSION);
	json_add_count(json, "step", manifest->step);
	json_add_count(json, "steps_per_epoch", manifest->steps_per_epoch);
	json_add_count(json, "samples", manifest->samples);
	if (manifest->steps_per_epoch) { /* the data cursor, for other programs: ours is the step */
		json_add_count(json, "epochs_done", manifest->step / manifest->steps_per_epoch);
		json_add_count(json, "steps_into_epoch",
			       manifest->step % manifest->steps_per_epoch);
	}
	json_add_count(json, "seed", manifest->seed);
	json_add_count(json, "world", manifest->world);
	json_add_real(json, "elapsed_s", manifest->elapsed_s);
	json_add_text(json, "recipe_sha256", manifest->recipe_digest);
	for (size_t i = 0; i < manifest->file_count; i++) {
		struct json *file = json_object_new();

		json_add_text(file, "name", manifest->files[i].name);
		json_add_count(file, "bytes", manifest->files[i].bytes);
		json_add_text(file, "sha256", manifest->files[i].digest);
		json_add(files, NULL, file);
	}
	json_add(json, "files", files);
	json_print(json, 2, &text);
	buf_add(&text, "\n", 1);
	status = file_write(path, text.data, text.length, err);
	json_free(json);
	buf_release(&text);
	free(path);
	return status;
}

int manifest_check(const char *dir, const struct manifest_file *file, bool quick, struct error *err)
{
	char *path = path_join(dir, file->name);
	char digest[DIGEST_HEX];
	uint64_t bytes;
	int status = file_size(&bytes, path, err);

	if (status == 0 && bytes != file->bytes)
		status = error_set(err, "'%s' has %llu bytes instead of %llu", file->name,
				   (unsigned long long)bytes, (unsigned long long)file->bytes);
	if (quick || status < 0) {
		free(path);
		return status;
	}
	status = digest_file(digest, path, err);
	if (status == 0 && strcmp(digest, file->digest) != 0)
		status = error_set(err, "the checksum of '%s' is wrong", file->name);
	free(path);
	return status;
}

static void copy_digest(char to[DIGEST_HEX], const char *from)
{
	snprintf(to, DIGEST_HEX, "%s", from ? from : "");
}

static int read_files(struct manifest *out, const struct json *files, struct error *err)
{
	for (size_t i = 0; i < json_size(files); i++) {
		const struct json *from = json_at(files, i);
		const char *file = json_get_text(from, "name");
		struct manifest_file *to;

		if (!file || strchr(file, '/') || file[0] == '.')
			return error_set(err, "file %zu has no plain name", i + 1);
		out->files = xrealloc(out->files, out->file_count + 1, sizeof(*out->files));
		to = &out->files[out->file_count++];
		*to = (struct manifest_file){ .name = xstrdup(file),
					      .bytes = json_get_count(from, "bytes", 0) };
		copy_digest(to->digest, json_get_text(from, "sha256"));
	}
	if (!manifest_find(out, "model.safetensors"))
		return error_set(err, "no 'model.safetensors'");
	return 0;
}

static int read_json(struct manifest *out, const struct json *json, struct error *err)
{
	const char *kind = json_get_text(json, "format");

	if (!kind || strcmp(kind, format) != 0)
		return error_set(err, "%s is not a checkpoint's", name);
	if (json_get_count(json, "version", 0) != VERSION)
		return error_set(err, "%s has version %llu, this dstrain reads %d", name,
				 json_get_count(json, "version", 0), VERSION);
	out->step = json_get_count(json, "step", 0);
	out->steps_per_epoch = json_get_count(json, "steps_per_epoch", 0);
	out->samples = json_get_count(json, "samples", 0);
	out->seed = json_get_count(json, "seed", 0);
	out->world = (uint32_t)json_get_count(json, "world", 0);
	out->elapsed_s = json_get_real(json, "elapsed_s", 0);
	copy_digest(out->recipe_digest, json_get_text(json, "recipe_sha256"));
	return read_files(out, json_get(json, "files"), err);
}

int manifest_parse(struct manifest *out, const char *dir, struct error *err)
{
	struct manifest manifest = { 0 };
	struct buf text = { 0 };
	char *path = path_join(dir, name);
	struct json *json = NULL;
	int status = file_read(&text, path, LARGEST, err);

	if (status == 0) {
		json = json_parse(buf_text(&text), text.length, err);
		status = json ? read_json(&manifest, json, err) : -1;
	}
	if (status == 0) {
		*out = manifest;
		manifest = (struct manifest){ 0 };
	}
	manifest_release(&manifest);
	json_free(json);
	buf_release(&text);
	free(path);
	return status;
}

int manifest_read(struct manifest *out, const char *dir, struct error *err)
{
	struct manifest manifest = { 0 };
	int status = manifest_parse(&manifest, dir, err);

	for (size_t i = 0; status == 0 && i < manifest.file_count; i++)
		status = manifest_check(dir, &manifest.files[i], false, err);
	if (status == 0)
		*out = manifest;
	else
		manifest_release(&manifest);
	return status;
}

uint64_t manifest_bytes(const struct manifest *manifest)
{
	uint64_t bytes = 0;

	for (size_t i = 0; i < manifest->file_count; i++)
		bytes += manifest->files[i].bytes;
	return bytes;
}

const struct manifest_file *manifest_find(const struct manifest *manifest, const char *file)
{
	for (size_t i = 0; i < manifest->file_count; i++)
		if (strcmp(manifest->files[i].name, file) == 0)
			return &manifest->files[i];
	return NULL;
}

void manifest_release(struct manifest *manifest)
{
	for (size_t i = 0; i < manifest->file_count; i++)
		free(manifest->files[i].name);
	free(manifest->files);
	*manifest = (struct manifest){ 0 };
}
