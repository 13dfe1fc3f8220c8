/* A model's weights from a safetensors file, which dstrain or PyTorch may have written. */
#include "runtime/weights.h"

#include <stdint.h>
#include <string.h>

#include "lib/buf.h"
#include "lib/error.h"
#include "lib/file.h"
#include "lib/safetensors.h"
#include "runtime/model/model.h"

enum { LISTED = 8 }; /* of each kind; the rest is counted */

/* "missing 'a', 'b' and 3 more" */
struct list {
	struct buf text;
	size_t count;
};

static void list_name(struct list *list, const char *what, const char *name)
{
	if (list->count++ < LISTED)
		buf_addf(&list->text, "%s'%s'", list->count == 1 ? what : ", ", name);
}

static void list_end(struct list *list, struct buf *all)
{
	if (list->count > LISTED)
		buf_addf(&list->text, " and %zu more", list->count - LISTED);
	if (list->count)
		buf_addf(all, "%s%s", all->length ? "; " : "", buf_text(&list->text));
	buf_release(&list->text);
}

static void show_shape(struct buf *out, const size_t *dim, size_t rank)
{
	buf_addf(out, "[");
	for (size_t i = 0; i < rank; i++)
		buf_addf(out, "%s%zu", i ? ", " : "", dim[i]);
	buf_addf(out, "]");
}

static void list_shape(struct list *list, const struct tensor *tensor,
		       const struct safetensor *found)
{
	if (list->count++ >= LISTED)
		return;
	buf_addf(&list->text, "%s'%s' has shape ", list->count == 1 ? "" : ", ", tensor->name);
	show_shape(&list->text, found->dim, found->rank);
	buf_addf(&list->text, " instead of ");
	show_shape(&list->text, tensor->shape.dim, tensor->shape.rank);
}

static bool same_shape(const struct tensor *tensor, const struct safetensor *found)
{
	return tensor->shape.rank == found->rank &&
	       memcmp(tensor->shape.dim, found->dim, found->rank * sizeof(*found->dim)) == 0;
}

static bool is_known(const struct tensor *tensors, size_t count, const char *name)
{
	for (size_t i = 0; i < count; i++)
		if (strcmp(tensors[i].name, name) == 0)
			return true;
	return false;
}

/* That the file has just the model's tensors. */
static int check(const struct tensor *tensors, size_t count, const struct safetensors *file,
		 struct error *err)
{
	struct list missing = { 0 }, unexpected = { 0 }, shapes = { 0 };
	struct buf all = { 0 };
	int status = 0;

	for (size_t i = 0; i < count; i++) {
		const struct safetensor *found = safetensors_find(file, tensors[i].name);

		if (!found)
			list_name(&missing, "missing ", tensors[i].name);
		else if (!same_shape(&tensors[i], found))
			list_shape(&shapes, &tensors[i], found);
	}
	for (size_t i = 0; i < file->count; i++)
		if (!is_known(tensors, count, file->entries[i].name))
			list_name(&unexpected, "unexpected ", file->entries[i].name);
	list_end(&missing, &all);
	list_end(&unexpected, &all);
	list_end(&shapes, &all);
	if (all.length)
		status = error_set(err, "not this model's weights: %s", buf_text(&all));
	buf_release(&all);
	return status;
}

int weights_read(float *weight, const struct model *model, const void *bytes, size_t length,
		 struct error *err)
{
	struct safetensors file;
	size_t count;
	const struct tensor *tensors = model_tensors(model, &count);
	int status;

	if (safetensors_read(&file, bytes, length, err) < 0)
		return -1;
	status = check(tensors, count, &file, err);
	for (size_t i = 0; i < count && status == 0; i++)
		safetensor_floats(safetensors_find(&file, tensors[i].name),
				  weight + tensors[i].offset);
	safetensors_release(&file);
	return status;
}

int weights_read_file(float *weight, const struct model *model, const char *path, struct error *err)
{
	struct buf bytes = { 0 };
	int status = file_read(&bytes, path, SIZE_MAX / 2, err);

	if (status == 0 && weights_read(weight, model, bytes.data, bytes.length, err) < 0)
		status = error_prefix(err, "'%s'", path);
	buf_release(&bytes);
	return status;
}
