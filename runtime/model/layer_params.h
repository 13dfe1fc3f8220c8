/* Parameters of the layers that presets are made of. */
#ifndef DSTRAIN_RUNTIME_LAYER_PARAMS_H
#define DSTRAIN_RUNTIME_LAYER_PARAMS_H

#include <stdbool.h>
#include <stddef.h>

struct linear_params {
	size_t outputs;
	bool bias;
	const char *tie;  /* borrowed; NULL: none */
	double deviation; /* of the weights at the begin; 0: as PyTorch's; no option */
};

struct embedding_params {
	size_t rows, width;
	double deviation; /* of the weights at the begin; 0: 1; no option */
};

struct position_params {
	double deviation; /* the same */
};

struct gelu_params {
	int approximate; /* 1: by tanh */
};

struct attention_params {
	size_t heads;
	bool causal, bias;
	/* As linear's; the second of c_proj. */
	double deviation, last_deviation;
};

struct dropout_params {
	double rate;
};

#endif
