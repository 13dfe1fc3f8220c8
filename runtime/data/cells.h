/* Numbers, categories and texts of a table as sparse rows of numbers. */
#ifndef DSTRAIN_RUNTIME_CELLS_H
#define DSTRAIN_RUNTIME_CELLS_H

#include <stddef.h>

struct sparse_rows;

enum cell_kind { CELL_NUMBER, CELL_LABEL, CELL_CATEGORY, CELL_TEXT };

struct cells {
	size_t count;	       /* rows */
	size_t numbers;	       /* a row */
	const float *x;	       /* [count][numbers] */
	size_t words;	       /* a row */
	char **word;	       /* [count][words]; texts are changed to lower case */
	enum cell_kind *kinds; /* [words]: CELL_CATEGORY or CELL_TEXT */
};

/*
 * The columns of *rows are the numbers, then for each category column one for each different word
 * that `train` has there, then one for each of its `most_words` most frequent words of texts,
 * counted. What `train` does not have is left out of `cells`. Returns the number of columns; the
 * arrays of *rows are the caller's.
 */
size_t cells_encode(const struct cells *cells, const struct cells *train, size_t most_words,
		    struct sparse_rows *rows);

#endif
