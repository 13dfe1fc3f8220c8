/* Words and their numbers, in an open-addressed table. */
#include "runtime/data/vocabulary.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "lib/memory.h"

enum { FIRST_ROOM = 1024 };

/* FNV-1a */
static size_t hash(const char *text, size_t length)
{
	uint64_t h = 14695981039346656037u;

	for (size_t i = 0; i < length; i++)
		h = (h ^ (unsigned char)text[i]) * 1099511628211u;
	return (size_t)(h ^ h >> 32);
}

/* The slot that holds the word, or the free one where it belongs. The table is never full. */
static uint32_t *slot_of(const struct vocabulary *v, const char *text, size_t length)
{
	for (size_t at = hash(text, length);; at++) {
		uint32_t *slot = &v->slots[at & (v->room - 1)];
		const struct word *word = *slot ? &v->words[*slot - 1] : NULL;

		if (!word || (word->length == length && memcmp(word->text, text, length) == 0))
			return slot;
	}
}

static void fill_slots(struct vocabulary *v)
{
	memset(v->slots, 0, v->room * sizeof(*v->slots));
	for (size_t i = 0; i < v->count; i++)
		*slot_of(v, v->words[i].text, v->words[i].length) = (uint32_t)i + 1;
}

static void make_room(struct vocabulary *v)
{
	if (2 * (v->count + 1) <= v->room)
		return;
	v->room = v->room ? 2 * v->room : FIRST_ROOM;
	v->slots = xrealloc(v->slots, v->room, sizeof(*v->slots));
	fill_slots(v);
}

void vocabulary_add(struct vocabulary *v, const char *text, size_t length)
{
	uint32_t *slot;

	make_room(v);
	slot = slot_of(v, text, length);
	if (!*slot) {
		v->words = xgrow(v->words, v->count, sizeof(*v->words));
		v->words[v->count++] =
			(struct word){ .text = xstrndup(text, length), .length = length };
		*slot = (uint32_t)v->count;
	}
	v->words[*slot - 1].times++;
}

static int compare(const void *a, const void *b)
{
	const struct word *x = a, *y = b;

	if (x->times != y->times)
		return x->times < y->times ? 1 : -1;
	return strcmp(x->text, y->text);
}

void vocabulary_rank(struct vocabulary *v, size_t most)
{
	if (v->count == 0)
		return;
	qsort(v->words, v->count, sizeof(*v->words), compare);
	while (v->count > most)
		free(v->words[--v->count].text);
	fill_slots(v);
}

uint32_t vocabulary_find(const struct vocabulary *v, const char *text, size_t length)
{
	uint32_t number = v->count ? *slot_of(v, text, length) : 0;

	return number ? number - 1 : VOCABULARY_NONE;
}

void vocabulary_release(struct vocabulary *v)
{
	for (size_t i = 0; i < v->count; i++)
		free(v->words[i].text);
	free(v->words);
	free(v->slots);
	*v = (struct vocabulary){ 0 };
}

static int is_of_word(char c)
{
	return isalnum((unsigned char)c) || (unsigned char)c > 127;
}

char *vocabulary_word(char **next, size_t *length)
{
	char *at = *next, *word;

	while (*at && !is_of_word(*at))
		at++;
	for (word = at; is_of_word(*at); at++)
		*at = (char)tolower((unsigned char)*at);
	*next = at;
	*length = (size_t)(at - word);
	return *length ? word : NULL;
}
