/*
 * How weights begin, from the seed alone. Kaiming: He et al., "Delving deep into rectifiers", ICCV
 * 2015, equation 10. Xavier: Glorot and Bengio, "Understanding the difficulty of training deep
 * feedforward neural networks", AISTATS 2010, equation 16. Critical: the line between order and
 * chaos, W ~ N(0, C_W / fan_in) with C_b = 0 (Roberts, Yaida and Hanin, "The principles of deep
 * learning theory", 2022, chapter 5): C_W is 2 for relu, 1 for tanh and where no activation
 * follows.
 */
#include <math.h>

#include "runtime/model/stage.h"
#include "runtime/rng.h"

/* The rule of the recipe in place of the layer's own. */
static struct layer_tensor ruled(const struct layer_tensor *tensor, enum model_init_rule rule,
				 double critical)
{
	struct layer_tensor out = *tensor;
	double fan_in = (double)tensor->fan_in, fan_out = (double)tensor->fan_out;

	if (rule == MODEL_INIT_DEFAULT)
		return out;
	if (tensor->bias) {
		out.init = INIT_CONSTANT;
		out.value = 0;
	}
	if (tensor->fan_in == 0)
		return out;
	out.init = rule == MODEL_INIT_XAVIER ? INIT_UNIFORM : INIT_NORMAL;
	if (rule == MODEL_INIT_XAVIER)
		out.value = sqrt(6 / (fan_in + fan_out));
	else if (rule == MODEL_INIT_KAIMING)
		out.value = sqrt(2 / fan_in);
	else
		out.value = sqrt((critical > 0 ? critical : 1) / fan_in);
	return out;
}

static void fill(const struct layer_tensor *how, struct rng rng, float *x, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		if (how->init == INIT_UNIFORM)
			x[i] = (float)((2 * rng_uniform(&rng, i) - 1) * how->value);
		else if (how->init == INIT_NORMAL)
			x[i] = (float)(rng_normal(&rng, i) * how->value);
		else
			x[i] = (float)how->value;
	}
}

void model_init(const struct model *model, float *weight)
{
	for (size_t i = 0; i < model->stage_count; i++) {
		const struct stage *stage = &model->stages[i];

		for (size_t j = stage->plan.tied ? 1 : 0; j < stage->plan.tensors; j++) {
			size_t number = stage->tensor[j];
			const struct tensor *tensor = &model->tensors[number];
			struct layer_tensor how =
				ruled(&stage->plan.tensor[j], model->env.init, stage->critical);

			fill(&how, rng_make(model->env.seed, RNG_INIT, number, 0),
			     weight + tensor->offset, tensor->count);
		}
	}
}
