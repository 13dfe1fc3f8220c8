/* Clusters guessed by the hosts' numbers: they are mostly listed rack by rack. */
#include <stdlib.h>

#include "lib/memory.h"
#include "lib/survey_inside.h"

static bool suspect_block(struct survey *survey, size_t first, size_t size, enum suspect_kind kind)
{
	bool *members = xcalloc(survey->hosts, sizeof(*members)), is_new;

	for (size_t host = first; host < first + size; host++)
		members[host] = true;
	is_new = survey_suspect(survey, members, kind);
	free(members);
	return is_new;
}

static bool in_a_row(const bool *members, size_t hosts)
{
	size_t edges = members[0];

	for (size_t host = 1; host < hosts; host++)
		edges += members[host] != members[host - 1];
	return edges + members[hosts - 1] == 2;
}

/* Where one block is a cluster the others are likely to be, and need less to be believed. */
void survey_suspect_siblings(struct survey *survey, size_t number)
{
	size_t first = 0, size = survey->suspects[number].size;
	enum suspect_kind kind = 2 * size < survey->hosts ? SUSPECT_SLOW : SUSPECT_GUESSED;

	if (!in_a_row(survey->suspects[number].members, survey->hosts))
		return;
	while (!survey->suspects[number].members[first])
		first++;
	for (first %= size; first + size <= survey->hosts; first += size)
		suspect_block(survey, first, size, kind);
}

/* The first hosts, by halves, thirds and so on of all: the largest that share a way out. */
bool survey_blocks(struct survey *survey)
{
	struct blocks *blocks = &survey->blocks;

	if (survey->hosts < 4 || survey_time_is_up(survey, survey->passes == 0 ? 0.6 : 0.95))
		return false;
	if (survey->passes++ == 0)
		blocks->size = survey->hosts;
	else if (survey_segments(survey))
		return true;
	if (blocks->under_test && survey->suspects[blocks->suspect].proven) {
		survey->suspects[blocks->suspect].tried[SURVEY_DOWN] = 0;
		survey->suspects[blocks->suspect].kind = SUSPECT_SLOW;
		survey_suspect_siblings(survey, blocks->suspect);
		blocks->size = 0;
	}
	blocks->under_test = false;
	while (blocks->size > 2) {
		if (survey->hosts % --blocks->size != 0 ||
		    !suspect_block(survey, 0, blocks->size, SUSPECT_GUESSED))
			continue;
		blocks->under_test = true;
		blocks->suspect = survey->suspect_count - 1;
		survey->suspects[blocks->suspect].tried[SURVEY_DOWN] = TEST_SPREAD | TEST_ALL;
		break;
	}
	return survey_segments(survey);
}
