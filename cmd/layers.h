/* What a model is made of and what it costs, for people and as JSON. */
#ifndef DSTRAIN_CMD_LAYERS_H
#define DSTRAIN_CMD_LAYERS_H

#include <stddef.h>

struct job_load;
struct json;
struct model;

/* `ranks` share the batch of a step. */
void layers_print(const struct job_load *load, const struct model *model, size_t ranks);
struct json *layers_json(const struct job_load *load, const struct model *model, size_t ranks);

#endif
