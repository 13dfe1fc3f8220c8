/*
 * Texts that another program has made numbers of. llm.c's layout is 256 words of 32 bits (magic,
 * version, number of tokens, zeros) and the tokens, of 16 bits or of 32 as the magic says; without
 * such a header the recipe tells the size. Several files are one after the other, but no sample
 * spans two.
 */
#include "lib/error.h"
#include "lib/wire.h"
#include "runtime/data/data.h"
#include "runtime/data/mapped.h"
#include "runtime/data/sequence.h"

enum { HEADER = 256 * 4, MAGIC_16 = 20240520, MAGIC_32 = 20240801 };
enum layout { LAYOUT_LLMC, LAYOUT_UINT16, LAYOUT_UINT32 };

static const char *const layouts[] = { "llmc", "uint16", "uint32", NULL };

struct tokens_params {
	struct opt_texts paths[2]; /* by enum data_part */
	struct sequence_params sequence;
	size_t vocabulary;
	int layout;
};

static const struct opt tokens_options[] = {
	{ "train", OPT_PATHS, offsetof(struct tokens_params, paths[DATA_TRAIN]), NULL,
	  "tokens to train on, may be gzipped" },
	{ "test", OPT_PATHS, offsetof(struct tokens_params, paths[DATA_TEST]), "",
	  "tokens held out for evaluation" },
	{ "layout", OPT_CHOICE, offsetof(struct tokens_params, layout), "llmc",
	  "llmc: with a header that tells all; else plain little-endian numbers",
	  .choices = layouts },
	SEQUENCE_OPTIONS(tokens_params, sequence),
	{ "vocabulary", OPT_COUNT, offsetof(struct tokens_params, vocabulary), "0",
	  "number of different tokens; 0: one more than the largest in the training part", .min = 0,
	  .max = MOST_TOKENS },
	{ 0 }
};

static int read_header(const char *path, const struct mapped *file, struct row *row,
		       struct error *err)
{
	struct wire wire = wire_reader(file->bytes, file->length < HEADER ? 0 : HEADER);
	uint32_t magic = wire_get_u32(&wire), version = wire_get_u32(&wire);
	uint32_t count = wire_get_u32(&wire);

	if (magic != MAGIC_16 && magic != MAGIC_32)
		return error_set(err,
				 "'%s' is not a token file as llm.c writes them; if it has no "
				 "header, say so with data.layout",
				 path);
	if (version != (magic == MAGIC_16 ? 1 : 7))
		return error_set(err, "'%s' has version %u of its layout, which is not known", path,
				 version);
	row->width = magic == MAGIC_16 ? 2 : 4;
	row->start = file->bytes + HEADER;
	row->count = (file->length - HEADER) / row->width;
	if (row->count != count || (file->length - HEADER) % row->width)
		return error_set(err, "'%s' %s: its header says %u tokens, and %zu are there", path,
				 row->count < count ? "is cut short" : "has extra bytes", count,
				 row->count);
	return 0;
}

static int find_row(const struct tokens_params *params, const char *path, const struct mapped *file,
		    struct row *row, struct error *err)
{
	if (params->layout == LAYOUT_LLMC)
		return read_header(path, file, row, err);
	row->width = params->layout == LAYOUT_UINT16 ? 2 : 4;
	row->start = file->bytes;
	row->count = file->length / row->width;
	if (file->length % row->width)
		return error_set(err, "'%s' is cut short: %zu bytes are no whole number of tokens",
				 path, file->length);
	return 0;
}

static int open_row(const struct tokens_params *params, const char *path, struct mapped *file,
		    struct row *row, struct error *err)
{
	if (mapped_open(file, path, err) < 0)
		return -1;
	if (find_row(params, path, file, row, err) == 0)
		return 0;
	mapped_release(file);
	return -1;
}

/* The training files tell. */
static int count_vocabulary(const struct tokens_params *params, size_t *vocabulary,
			    struct error *err)
{
	const struct opt_texts *paths = &params->paths[DATA_TRAIN];
	int status = 0;

	*vocabulary = params->vocabulary;
	for (size_t i = 0; status == 0 && params->vocabulary == 0 && i < paths->count; i++) {
		struct mapped file;
		struct row row;
		size_t needed;

		if (open_row(params, paths->values[i], &file, &row, err) < 0)
			return -1;
		needed = (size_t)row_largest(&row) + 1;
		*vocabulary = needed > *vocabulary ? needed : *vocabulary;
		status = needed > MOST_TOKENS ? row_check(&row, MOST_TOKENS, paths->values[i], err)
					      : 0;
		mapped_release(&file);
	}
	return status;
}

static int add_rows(const struct tokens_params *params, enum data_part part, struct dataset *out,
		    struct error *err)
{
	const struct opt_texts *paths = &params->paths[part];
	bool counted = part == DATA_TRAIN && params->vocabulary == 0; /* from these very files */

	for (size_t i = 0; i < paths->count; i++) {
		const char *path = paths->values[i];
		struct mapped file;
		struct row row;

		if (open_row(params, path, &file, &row, err) < 0 ||
		    sequence_add(&params->sequence, part, path, &file, &row, out, err) < 0 ||
		    (!counted && row_check(&row, out->vocabulary, path, err) < 0))
			return -1;
	}
	return 0;
}

static int load(const void *params_of_format, enum data_part part, uint64_t seed,
		struct dataset *out, struct error *err)
{
	const struct tokens_params *params = params_of_format;

	(void)seed;
	*out = (struct dataset){ 0 };
	if (params->paths[part].count == 0)
		return 0;
	if (count_vocabulary(params, &out->vocabulary, err) == 0 &&
	    add_rows(params, part, out, err) == 0) {
		out->classes = out->vocabulary;
		dataset_forget(out);
		return 0;
	}
	dataset_release(out);
	return -1;
}

const struct data_format format_tokens = {
	.entry = { .name = "tokens",
		   .summary = "texts as numbers, in llm.c's layout or plain",
		   .options = tokens_options,
		   .params_size = sizeof(struct tokens_params) },
	.load = load,
};
