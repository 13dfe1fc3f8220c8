/* Parameters of the layers that presets are made of. */
#ifndef DSTRAIN_RUNTIME_LAYER_PARAMS_H
#define DSTRAIN_RUNTIME_LAYER_PARAMS_H

#include <stddef.h>

struct linear_params {
	size_t outputs;
};

struct dropout_params {
	double rate;
};

#endif
