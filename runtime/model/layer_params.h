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

enum bag_mode { BAG_MEAN, BAG_SUM };

struct embedding_bag_params {
	size_t width;
	int mode;
};

struct dropout_params {
	double rate;
};

struct conv2d_params {
	size_t channels, kernel, stride, padding, groups;
	bool bias;
};

struct pool2d_params {
	size_t kernel, stride, padding; /* stride 0: the kernel's side */
};

struct batch_norm_params {
	double eps, momentum;
};

struct group_norm_params {
	size_t groups;
	double eps;
};

#endif
