/* Small random changes to training images, so that no epoch shows them quite as the last one did.
 */
#ifndef DSTRAIN_RUNTIME_AUGMENT_H
#define DSTRAIN_RUNTIME_AUGMENT_H

#include <stdbool.h>
#include <stddef.h>

struct error;
struct rng;
struct shape;

struct augment_params {
	size_t crop; /* pixels around an image, of which a part of its size is cut out */
	bool flip;   /* left and right change places, of half of the images */
};

bool augment_wanted(const struct augment_params *params);
int augment_check(const struct augment_params *params, const struct shape *shape,
		  struct error *err);
/* Makes another image of one of [channels][rows][columns]. The pixels around it have
 * `around[channel]`, or 0 if that is NULL. */
void augment(const struct augment_params *params, const struct rng *rng, const struct shape *shape,
	     const float *around, const float *image, float *out);

#endif
