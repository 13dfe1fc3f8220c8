/*
 * Plain text, a token being a character (or a byte). The different characters of the training file,
 * sorted, are the vocabulary. The end of that file may be kept for evaluation.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/error.h"
#include "lib/memory.h"
#include "lib/utf8.h"
#include "runtime/data/data.h"
#include "runtime/data/mapped.h"
#include "runtime/data/sequence.h"

enum unit { UNIT_CHARACTER, UNIT_BYTE };

static const char *const units[] = { "character", "byte", NULL };

struct text_params {
	char *path[2]; /* by enum data_part */
	double test_share;
	int unit;
	struct sequence_params sequence;
};

static const struct opt text_options[] = {
	{ "train", OPT_PATH, offsetof(struct text_params, path[DATA_TRAIN]), NULL,
	  "text to train on, may be gzipped" },
	{ "test", OPT_PATH, offsetof(struct text_params, path[DATA_TEST]), "",
	  "text held out for evaluation" },
	{ "test_share", OPT_REAL, offsetof(struct text_params, test_share), "0",
	  "how much of the end of the training file is held out instead", .min = 0, .max = 0.9 },
	{ "unit", OPT_CHOICE, offsetof(struct text_params, unit), "character",
	  "what a token is: a character of UTF-8, or a byte", .choices = units },
	SEQUENCE_OPTIONS(text_params, sequence),
	{ 0 }
};

/* One file, and the numbers of its units. */
struct text {
	const char *path;
	struct mapped file;
	int unit;
	size_t count; /* units */
};

/* The unit at *at, which moves behind it. The text was checked. */
static uint32_t next_unit(const struct text *text, size_t *at)
{
	uint32_t unit = text->file.bytes[*at];

	if (text->unit == UNIT_BYTE || unit < 0x80)
		++*at;
	else
		*at += utf8_next(text->file.bytes + *at, text->file.length - *at, &unit);
	return unit;
}

static int check_text(struct text *text, struct error *err)
{
	const uint8_t *bytes = text->file.bytes;
	size_t length = text->file.length, line = 1;
	uint32_t unit;

	if (length == 0)
		return error_set(err, "'%s' is empty", text->path);
	for (size_t at = 0, step; at < length; at += step, text->count++) {
		step = text->unit == UNIT_BYTE ? 1 : utf8_next(bytes + at, length - at, &unit);
		if (bytes[at] == '\0')
			return error_set(err, "'%s' is not a text file: byte %zu is 0", text->path,
					 at + 1);
		if (step == 0)
			return error_set(err,
					 "%s:%zu: byte %zu of the file is not UTF-8; with "
					 "data.unit: byte it does not matter",
					 text->path, line, at + 1);
		line += bytes[at] == '\n';
	}
	return 0;
}

static int text_open(struct text *text, const struct text_params *params, enum data_part part,
		     struct error *err)
{
	*text = (struct text){ .path = params->path[part], .unit = params->unit };
	if (mapped_open(&text->file, text->path, err) < 0)
		return -1;
	if (check_text(text, err) == 0)
		return 0;
	mapped_release(&text->file);
	return -1;
}

/* The different units of a text, sorted. */
struct alphabet {
	uint32_t *numbers; /* [limit], of each unit, from 1; 0: it does not occur */
	uint32_t limit;
	size_t count;
};

static struct alphabet alphabet_of(const struct text *text)
{
	struct alphabet alphabet = { .limit = 1 };
	uint32_t unit;

	for (size_t at = 0; at < text->file.length;) {
		unit = next_unit(text, &at);
		if (unit >= alphabet.limit)
			alphabet.limit = unit + 1;
	}
	alphabet.numbers = xcalloc(alphabet.limit, sizeof(*alphabet.numbers));
	for (size_t at = 0; at < text->file.length;)
		alphabet.numbers[next_unit(text, &at)] = 1;
	for (unit = 0; unit < alphabet.limit; unit++)
		if (alphabet.numbers[unit])
			alphabet.numbers[unit] = (uint32_t)++alphabet.count;
	return alphabet;
}

static char **name_units(const struct alphabet *alphabet, int unit)
{
	char **words = xcalloc(alphabet->count, sizeof(*words));

	for (uint32_t i = 0, found = 0; i < alphabet->limit; i++) {
		uint8_t bytes[4] = { (uint8_t)i };

		if (alphabet->numbers[i])
			words[found++] = xstrndup((const char *)bytes,
						  unit == UNIT_BYTE ? 1 : utf8_put(bytes, i));
	}
	return words;
}

static int refuse_unit(const struct text *text, size_t start, size_t end, struct error *err)
{
	const uint8_t *at = text->file.bytes + start;
	char name[16];
	size_t line = 1;

	for (size_t i = 0; i < start; i++)
		line += text->file.bytes[i] == '\n';
	if (*at < ' ' || *at == 0x7f || (*at >= 0x80 && text->unit == UNIT_BYTE))
		snprintf(name, sizeof(name), "character %u", (unsigned)*at);
	else
		snprintf(name, sizeof(name), "'%.*s'", (int)(end - start), (const char *)at);
	return error_set(err, "%s:%zu: %s does not occur in the training text", text->path, line,
			 name);
}

/* Units [first, first + row->count), numbered. Caller frees *out. */
static int encode(const struct text *text, const struct alphabet *alphabet, size_t first,
		  struct row *row, uint8_t **out, struct error *err)
{
	uint8_t *next = *out = xmalloc(row->count * row->width + 1);
	size_t at = 0;

	while (first-- > 0)
		next_unit(text, &at);
	for (size_t i = 0; i < row->count; i++) {
		size_t start = at;
		uint32_t unit = next_unit(text, &at);
		uint32_t number = unit < alphabet->limit ? alphabet->numbers[unit] : 0;

		if (number == 0) {
			free(*out);
			return refuse_unit(text, start, at, err);
		}
		number--;
		for (size_t byte = 0; byte < row->width; byte++)
			*next++ = (uint8_t)(number >> 8 * byte);
	}
	row->start = *out;
	return 0;
}

/* Which units of `text` are the part. */
static size_t part_start(const struct text_params *params, enum data_part part,
			 const struct text *text, size_t *count)
{
	size_t kept = (size_t)((double)text->count * (1 - params->test_share));

	*count = text->count;
	if (params->path[DATA_TEST])
		return 0;
	*count = part == DATA_TRAIN ? kept : text->count - kept;
	return part == DATA_TRAIN ? 0 : kept;
}

static int add_part(const struct text_params *params, enum data_part part, const struct text *train,
		    const struct text *text, struct dataset *out, struct error *err)
{
	struct alphabet alphabet = alphabet_of(train);
	size_t most = alphabet.count;
	struct row row = { .width = most <= 1 << 8 ? 1 : most <= 1 << 16 ? 2 : 4 };
	size_t first = part_start(params, part, text, &row.count);
	uint8_t *ids;
	int status = encode(text, &alphabet, first, &row, &ids, err);

	out->classes = out->vocabulary = most;
	out->words = name_units(&alphabet, params->unit);
	free(alphabet.numbers);
	if (status == 0) {
		struct mapped memory = mapped_own(ids, row.count * row.width);

		status = sequence_add(&params->sequence, part, text->path, &memory, &row, out, err);
	}
	return status;
}

static int load(const void *params_of_format, enum data_part part, uint64_t seed,
		struct dataset *out, struct error *err)
{
	const struct text_params *params = params_of_format;
	struct text train = { 0 }, test = { 0 };
	bool other = part == DATA_TEST && params->path[DATA_TEST];
	int status;

	(void)seed;
	*out = (struct dataset){ 0 };
	if (params->path[DATA_TEST] && params->test_share > 0)
		return error_set(err, "data.test and data.test_share exclude each other; "
				      "set data.test_share to 0");
	if (part == DATA_TEST && !other && params->test_share == 0)
		return 0;
	status = text_open(&train, params, DATA_TRAIN, err);
	if (status == 0 && other)
		status = text_open(&test, params, DATA_TEST, err);
	if (status == 0)
		status = add_part(params, part, &train, other ? &test : &train, out, err);
	mapped_release(&train.file);
	mapped_release(&test.file);
	if (status < 0)
		dataset_release(out);
	return status;
}

const struct data_format format_text = {
	.entry = { .name = "text",
		   .summary = "plain text, character by character",
		   .options = text_options,
		   .params_size = sizeof(struct text_params) },
	.load = load,
};
