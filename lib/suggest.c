/* The known name nearest to a mistyped one. */
#include "lib/suggest.h"

#include <string.h>

enum { LONGEST = 48 };

/* Optimal string alignment distance: edits plus swaps of neighbours ("sycn" is 1 from "sync"). */
static size_t distance(const char *a, const char *b)
{
	size_t row[3][LONGEST + 1] = { { 0 } };
	size_t m = strlen(a), n = strlen(b);

	if (m > LONGEST || n > LONGEST)
		return LONGEST;
	for (size_t j = 0; j <= n; j++)
		row[1][j] = j;
	for (size_t i = 1; i <= m; i++) {
		row[2][0] = i;
		for (size_t j = 1; j <= n; j++) {
			size_t best = row[1][j - 1] + (a[i - 1] != b[j - 1]);

			if (row[1][j] + 1 < best)
				best = row[1][j] + 1;
			if (row[2][j - 1] + 1 < best)
				best = row[2][j - 1] + 1;
			if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] &&
			    row[0][j - 2] + 1 < best)
				best = row[0][j - 2] + 1;
			row[2][j] = best;
		}
		memcpy(row[0], row[1], sizeof(row[0]));
		memcpy(row[1], row[2], sizeof(row[1]));
	}
	return row[1][n];
}

const char *suggest(const char *word, const char *const *names, size_t count)
{
	size_t nearest = strlen(word) / 3 + 2; /* one edit in a short word, more in a long one */
	const char *found = NULL;

	for (size_t i = 0; i < count; i++) {
		size_t d = distance(word, names[i]);

		if (d < nearest && d < strlen(names[i])) {
			nearest = d;
			found = names[i];
		}
	}
	return found;
}
