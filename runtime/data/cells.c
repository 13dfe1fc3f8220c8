/* Numbers, categories and texts of a table as sparse rows of numbers. */
#include "runtime/data/cells.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "lib/memory.h"
#include "runtime/data/data.h"
#include "runtime/data/vocabulary.h"

/* What the training part has, and where its columns begin. */
struct code {
	struct vocabulary *categories; /* [words], empty for texts */
	size_t *first;		       /* [words], of the columns of each */
	struct vocabulary texts;
	size_t columns;
};

static void add_text(struct vocabulary *texts, char *text)
{
	size_t length;
	char *word;

	while ((word = vocabulary_word(&text, &length)))
		vocabulary_add(texts, word, length);
}

static struct code learn(const struct cells *train, size_t most_words)
{
	struct code code = { .categories = xcalloc(train->words, sizeof(*code.categories)),
			     .first = xcalloc(train->words, sizeof(*code.first)),
			     .columns = train->numbers };

	for (size_t i = 0; i < train->count; i++)
		for (size_t j = 0; j < train->words; j++) {
			char *cell = train->word[i * train->words + j];

			if (train->kinds[j] == CELL_TEXT)
				add_text(&code.texts, cell);
			else
				vocabulary_add(&code.categories[j], cell, strlen(cell));
		}
	for (size_t j = 0; j < train->words; j++) {
		vocabulary_rank(&code.categories[j], SIZE_MAX);
		code.first[j] = code.columns;
		code.columns += code.categories[j].count;
	}
	vocabulary_rank(&code.texts, most_words);
	for (size_t j = 0; j < train->words; j++)
		if (train->kinds[j] == CELL_TEXT)
			code.first[j] = code.columns;
	code.columns += code.texts.count;
	return code;
}

static void code_release(struct code *code, size_t words)
{
	for (size_t j = 0; j < words; j++)
		vocabulary_release(&code->categories[j]);
	vocabulary_release(&code->texts);
	free(code->categories);
	free(code->first);
}

/* The rows so far, and room for more. */
struct growing {
	struct sparse_rows *rows;
	size_t used, room;
};

static void put(struct growing *out, size_t column, float value)
{
	if (out->used == out->room) {
		out->room = out->room ? 2 * out->room : 4096;
		out->rows->index = xrealloc(out->rows->index, out->room, sizeof(*out->rows->index));
		out->rows->value = xrealloc(out->rows->value, out->room, sizeof(*out->rows->value));
	}
	out->rows->index[out->used] = (uint32_t)column;
	out->rows->value[out->used++] = value;
}

static int compare(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return (x > y) - (x < y);
}

/* Columns from `start` on, each once so far with value 1, become sorted and counted. */
static void count_words(struct growing *out, size_t start)
{
	uint32_t *index = out->rows->index;
	size_t kept = start;

	if (out->used == start)
		return;
	qsort(index + start, out->used - start, sizeof(*index), compare);
	for (size_t i = start; i < out->used; i++) {
		if (i > start && index[i] == index[kept - 1]) {
			out->rows->value[kept - 1]++;
			continue;
		}
		index[kept] = index[i];
		out->rows->value[kept++] = 1;
	}
	out->used = kept;
}

static void put_words(struct growing *out, const struct code *code, size_t first, char *text)
{
	size_t length;
	char *word;

	while ((word = vocabulary_word(&text, &length))) {
		uint32_t number = vocabulary_find(&code->texts, word, length);

		if (number != VOCABULARY_NONE)
			put(out, first + number, 1);
	}
}

static void put_row(struct growing *out, const struct cells *cells, const struct code *code,
		    size_t i)
{
	size_t start;

	for (size_t j = 0; j < cells->numbers; j++)
		if (cells->x[i * cells->numbers + j] != 0)
			put(out, j, cells->x[i * cells->numbers + j]);
	for (size_t j = 0; j < cells->words; j++) {
		const char *cell = cells->word[i * cells->words + j];
		uint32_t number = vocabulary_find(&code->categories[j], cell, strlen(cell));

		if (number != VOCABULARY_NONE)
			put(out, code->first[j] + number, 1);
	}
	start = out->used;
	for (size_t j = 0; j < cells->words; j++)
		if (cells->kinds[j] == CELL_TEXT)
			put_words(out, code, code->first[j], cells->word[i * cells->words + j]);
	count_words(out, start);
}

size_t cells_encode(const struct cells *cells, const struct cells *train, size_t most_words,
		    struct sparse_rows *rows)
{
	struct code code = learn(train, most_words);
	struct growing out = { .rows = rows };
	size_t columns = code.columns;

	*rows = (struct sparse_rows){ .start = xcalloc(cells->count + 1, sizeof(*rows->start)) };
	for (size_t i = 0; i < cells->count; i++) {
		put_row(&out, cells, &code, i);
		rows->start[i + 1] = out.used;
	}
	code_release(&code, train->words);
	return columns;
}
