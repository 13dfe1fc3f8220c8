/* NumPy's file of one array: a header that says what is in it, and its elements. The format is
 * NEP 1's: magic, version, length of the header, a Python dictionary, the elements. */
#include "runtime/data/npy_file.h"

#include <stdlib.h>
#include <string.h>

#include "lib/error.h"
#include "lib/memory.h"
#include "lib/wire.h"

enum { MAGIC = 6, MOST_HEADER = 1 << 16 };

/* What the dictionary says for a key, or NULL. */
static const char *value_of(const char *header, const char *key)
{
	const char *at = strstr(header, key);

	if (!at)
		return NULL;
	at += strlen(key);
	at += strspn(at, " ");
	return *at == ':' ? at + 1 + strspn(at + 1, " ") : NULL;
}

static int read_type(struct npy_file *out, const char *header, struct error *err)
{
	static const char *const types[] = { "<f4", "<f8", "|i1", "<i2", "<i4", "<i8",
					     "|u1", "<u2", "<u4", "<u8", "|b1" };
	const char *type = value_of(header, "'descr'");
	size_t length = type && *type == '\'' ? strcspn(type + 1, "'") : 0;

	for (size_t i = 0; i < ARRAY_SIZE(types); i++) {
		if (length == 3 && memcmp(type + 1, types[i], 3) == 0) {
			out->kind = types[i][1] == 'b' ? 'u' : types[i][1];
			out->width = (size_t)(types[i][2] - '0');
			return 0;
		}
	}
	return error_set(err,
			 "'%s' has elements of type '%.*s'; only little-endian integers and floats "
			 "of 4 or 8 bytes are read",
			 out->path, (int)(length < 20 ? length : 20), length ? type + 1 : "");
}

static int read_shape(struct npy_file *out, const char *header, struct error *err)
{
	const char *at = value_of(header, "'shape'");

	out->count = 1;
	for (at = at && *at == '(' ? at + 1 : ""; *at >= '0' && *at <= '9';) {
		size_t dim = 0;

		for (; *at >= '0' && *at <= '9'; at++)
			dim = dim < SIZE_MAX / 100 ? dim * 10 + (size_t)(*at - '0') : dim;
		if (out->rank == NPY_MOST_RANK)
			return error_set(err, "'%s' has more than %d dimensions", out->path,
					 NPY_MOST_RANK);
		if (dim == 0)
			return error_set(err, "'%s' is empty: dimension %zu is 0", out->path,
					 out->rank);
		if (dim > SIZE_MAX / 64 / out->count)
			return error_set(err, "'%s' claims more elements than a file can hold",
					 out->path);
		out->dim[out->rank++] = dim;
		out->count *= dim;
		at += strspn(at, ", ");
	}
	if (*at != ')' || out->rank == 0)
		return error_set(err, "'%s' holds no array, or a damaged header", out->path);
	return 0;
}

static int read_header(struct npy_file *out, const char *header, struct error *err)
{
	const char *fortran = value_of(header, "'fortran_order'");

	if (!fortran || (strncmp(fortran, "False", 5) != 0 && strncmp(fortran, "True", 4) != 0))
		return error_set(err, "'%s' holds no array, or a damaged header", out->path);
	if (*fortran == 'T')
		return error_set(err,
				 "'%s' is in Fortran order; save numpy.ascontiguousarray() of it",
				 out->path);
	if (read_type(out, header, err) < 0)
		return -1;
	return read_shape(out, header, err);
}

static int check_length(const struct npy_file *out, size_t start, struct error *err)
{
	size_t there = (out->file.length - start) / out->width;

	if (there < out->count)
		return error_set(err, "'%s' is cut short: %zu of %zu elements are there", out->path,
				 there, out->count);
	if (out->file.length - start > out->count * out->width)
		return error_set(err, "'%s' has extra bytes behind its %zu elements", out->path,
				 out->count);
	return 0;
}

static int parse(struct npy_file *out, struct error *err)
{
	struct wire wire = wire_reader(out->file.bytes, out->file.length);
	size_t length, start;
	char *header;
	int status;

	if (out->file.length >= 4 && memcmp(out->file.bytes, "PK\3\4", 4) == 0)
		return error_set(err, "'%s' is an archive, maybe an .npz; unzip the .npy from it",
				 out->path);
	if (out->file.length < MAGIC + 4 || memcmp(out->file.bytes, "\x93NUMPY", MAGIC) != 0)
		return error_set(err, "'%s' is not a .npy file", out->path);
	wire = wire_reader(out->file.bytes + MAGIC, out->file.length - MAGIC);
	length = wire_get_u16(&wire) & 0xff; /* version: major, minor */
	if (length < 1 || length > 3)
		return error_set(err, "'%s' has version %zu of .npy, which is not known", out->path,
				 length);
	length = length == 1 ? wire_get_u16(&wire) : wire_get_u32(&wire);
	if (wire.failed || length > wire.left || length > MOST_HEADER)
		return error_set(err, "'%s' is cut short within its header", out->path);
	header = xstrndup((const char *)wire.next, length);
	start = out->file.length - wire.left + length;
	status = read_header(out, header, err);
	free(header);
	if (status < 0 || check_length(out, start, err) < 0)
		return -1;
	out->elements = out->file.bytes + start;
	return 0;
}

int npy_file_open(struct npy_file *out, const char *path, struct error *err)
{
	*out = (struct npy_file){ .path = path };
	if (mapped_open(&out->file, path, err) < 0)
		return -1;
	if (parse(out, err) == 0)
		return 0;
	npy_file_release(out);
	return -1;
}

double npy_file_element(const struct npy_file *file, size_t i)
{
	const uint8_t *at = file->elements + i * file->width;
	uint64_t bits = 0;
	double real;
	float half;

	for (size_t byte = 0; byte < file->width; byte++)
		bits |= (uint64_t)at[byte] << 8 * byte;
	if (file->kind == 'f' && file->width == sizeof(half)) {
		memcpy(&half, &(uint32_t){ (uint32_t)bits }, sizeof(half));
		return half;
	}
	if (file->kind == 'f') {
		memcpy(&real, &bits, sizeof(real));
		return real;
	}
	if (file->kind == 'i' && at[file->width - 1] >= 0x80 && file->width < 8)
		bits |= UINT64_MAX << 8 * file->width;
	return file->kind == 'i' ? (double)(int64_t)bits : (double)bits;
}

void npy_file_release(struct npy_file *file)
{
	mapped_release(&file->file);
	*file = (struct npy_file){ 0 };
}
