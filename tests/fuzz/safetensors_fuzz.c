/* A safetensors file; what was read lies within it, and comes back the same when written. */
#define _GNU_SOURCE
#include "tests/fuzz/fuzz.h"

#include "tests/safetensors.h"

/* As floats. */
static void write_again(struct safetensors *file)
{
	struct safetensors same;
	struct buf out = { 0 };
	struct error err;

	for (size_t i = 0; i < file->count; i++) {
		float *x = xmalloc(file->entries[i].count * sizeof(*x));

		safetensor_floats(&file->entries[i], x);
		file->entries[i].x = x;
	}
	safetensors_write(&out, file->entries, file->count);
	assert(safetensors_read(&same, out.data, out.length, &err) == 0);
	assert(same.count == file->count);
	safetensors_release(&same);
	for (size_t i = 0; i < file->count; i++)
		free((float *)(uintptr_t)file->entries[i].x);
	buf_release(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length)
{
	uint8_t *copy = xmalloc(length); /* its end is watched */
	struct safetensors file;
	struct error err;

	if (length)
		memcpy(copy, bytes, length);
	if (safetensors_read(&file, copy, length, &err) == 0) {
		for (size_t i = 0; i < file.count; i++) {
			const uint8_t *x = file.entries[i].bytes;

			assert(x >= copy && x + file.entries[i].count <= copy + length);
		}
		write_again(&file);
		safetensors_release(&file);
	}
	free(copy);
	return 0;
}
