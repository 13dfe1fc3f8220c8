/* Words and their numbers: the most frequent of a text first. */
#ifndef DSTRAIN_RUNTIME_VOCABULARY_H
#define DSTRAIN_RUNTIME_VOCABULARY_H

#include <stddef.h>
#include <stdint.h>

/* Zeroed is valid and empty. */
struct vocabulary {
	struct word {
		char *text; /* owned */
		size_t length, times;
	} * words;	 /* [count]; by number once ranked */
	uint32_t *slots; /* [room], a power of two: 1 + the number of a word; 0: free */
	size_t count, room;
};

#define VOCABULARY_NONE UINT32_MAX

/* Counts one more occurrence. */
void vocabulary_add(struct vocabulary *vocabulary, const char *text, size_t length);
/* Numbers the words by falling frequency, equally frequent ones by their bytes; forgets all from
 * number `most` on. */
void vocabulary_rank(struct vocabulary *vocabulary, size_t most);
/* VOCABULARY_NONE if it is not there. */
uint32_t vocabulary_find(const struct vocabulary *vocabulary, const char *text, size_t length);
void vocabulary_release(struct vocabulary *vocabulary);

/* The next word of a text: letters and digits (all bytes above 127 count as such) in lower case,
 * written over what they were. NULL: none is left. */
char *vocabulary_word(char **next, size_t *length);

#endif
