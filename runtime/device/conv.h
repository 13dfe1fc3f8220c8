/*
 * Convolutions of images, [batch][channels][height][width], by a team: the sums of one sample at a
 * time, from a copy of its planes that stays in the cache of one member.
 */
#ifndef DSTRAIN_RUNTIME_CONV_H
#define DSTRAIN_RUNTIME_CONV_H

#include <stdbool.h>
#include <stddef.h>

struct team;

enum { CONV_MAX_STRIDE = 8 };

struct conv {
	size_t channels, height, width; /* of what comes in */
	size_t outputs, kernel, stride, padding, groups;
	size_t out_height, out_width;
};

struct conv_call {
	const struct conv *conv;
	size_t batch;
	const float *weight; /* [outputs][channels / groups][kernel][kernel] */
	const float *bias;   /* [outputs]; NULL: none */
	bool relu;
	void *room;	   /* conv_room_bytes */
	struct team *team; /* not NULL; with conv_workspace_bytes */
};

size_t conv_room_bytes(const struct conv *conv); /* overwritten by each call */
size_t conv_workspace_bytes(const struct conv *conv);

void conv_forward(const struct conv_call *call, const float *in, float *out);

/* Overwrites weight_slope, bias_slope (NULL if there is none) and din (may be NULL). With relu, out
 * is forward's, and dout is overwritten. */
void conv_backward(const struct conv_call *call, const float *in, const float *out, float *dout,
		   float *weight_slope, float *bias_slope, float *din);

#endif
