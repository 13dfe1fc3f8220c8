/*
 * What convolutions hand to their kernels. Pixels of an output plane come in groups of LANES; a tap
 * is one number of the window, of one channel. A copy of the planes that come in is laid out so
 * that the LANES numbers that tap t gives to the pixels of group g adjoin, at tap_at[t] +
 * group_at[g].
 */
#ifndef DSTRAIN_RUNTIME_CONV_VIEW_H
#define DSTRAIN_RUNTIME_CONV_VIEW_H

#include <stdbool.h>
#include <stddef.h>

enum { CONV_LANES = 16, CONV_BLOCK = 8 };

/*
 * Windows of rows x columns numbers over planes, the first at (top, left), outside of which there
 * are zeros; `step` from one to the next.
 *
 * If rows of the output are whole groups, the copy has each padded row once (or `step` times: the
 * columns 0, step, 2 step, ...; 1, step + 1, ...). Else it has one plane, as narrow as the output,
 * for each column of the window and each row modulo `step`.
 */
struct conv_view {
	size_t channels, height, width;
	ptrdiff_t top, left;
	size_t rows, columns, step;
	size_t out_height, out_width;
	/* of the copy */
	bool by_row;
	size_t copies_down, copies_across; /* of each plane */
	size_t lines, pitch;		   /* of one copy of a plane */
	size_t row_step;		   /* of the planes, from one line to the next */
};

/* out[k][pixel] = bias[k] + the sum over taps of weight * the tap's number */
struct conv_product {
	const float *copy;
	const size_t *tap_at, *group_at;
	size_t taps, groups, pixels;
	const float
		*weight;   /* [channels / block, rounded up][taps][block], zeros behind the last */
	const float *bias; /* as many numbers as weight for one tap; NULL: none */
	size_t channels, block; /* block <= CONV_BLOCK */
	bool relu;
	float *out;   /* [channels][plane] */
	size_t plane; /* floats from one channel to the next */
};

/* sum[tap][lane] += the sum over pixels of turned[pixel][lane] * the tap's number */
struct conv_slope {
	const float *copy;
	const size_t *tap_at, *group_at;
	size_t taps, groups;
	size_t lanes;	     /* LANES or twice as many */
	const float *turned; /* [groups * LANES][lanes] */
	float *sum;	     /* [taps][lanes] */
	float *bias;	     /* [lanes] += the sum of turned; NULL: not wanted */
};

#endif
