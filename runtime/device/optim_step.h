/* The coefficients of one step of an optimizer, as its kernels want them. In each, g stands for
 * scale * gradient + decay * w, and w for the weight before the step. */
#ifndef DSTRAIN_RUNTIME_OPTIM_STEP_H
#define DSTRAIN_RUNTIME_OPTIM_STEP_H

/* velocity = momentum * velocity + rest * g; w -= lr * (of_gradient * g + of_velocity * velocity).
 * Without momentum: w -= lr * g. */
struct sgd_step {
	float scale, decay, lr;
	float momentum, rest, of_gradient, of_velocity;
};

/* mean = beta1 * mean + rest1 * g; square = beta2 * square + rest2 * g^2;
 * w = shrink * w - lr * mean / (sqrt(square) + eps) */
struct adam_step {
	float scale, decay, lr;
	float beta1, rest1, beta2, rest2, shrink, eps;
};

/* sum += initial + g^2; w -= lr * g / (sqrt(sum) + eps) */
struct adagrad_step {
	float scale, decay, lr;
	float initial, eps;
};

/* mean, square: as Adam, of the gradient alone; direction = correction * mean / (sqrt(square) +
 * eps) + decay * w; w -= lr * direction */
struct lamb_step {
	float scale, decay, lr;
	float beta1, rest1, beta2, rest2, correction, eps;
};

#endif
