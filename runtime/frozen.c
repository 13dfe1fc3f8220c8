/* A model whose weights come from a file and stay as they are: for forward passes alone. */
#include "runtime/frozen.h"

#include <stdlib.h>

#include "lib/memory.h"
#include "runtime/device/team.h"
#include "runtime/job.h"
#include "runtime/model/model.h"
#include "runtime/weights.h"

int frozen_load(struct frozen *frozen, const struct job *job, struct error *err)
{
	const struct data_format *format = PART_AS(&job->data, struct data_format);

	return format->load(job->data.params, DATA_TRAIN, job->params.seed, &frozen->train, err);
}

int frozen_build(struct frozen *frozen, const struct job *job, size_t max_batch, const char *path,
		 struct error *err)
{
	struct model_env env = job_model_env(job, &frozen->train);

	env.team = frozen->team = team_new(team_size(job->params.threads, 1));
	env.max_batch = max_batch;
	env.forward_only = true;
	if (job_model_new(&frozen->model, job, &env, err) < 0)
		return -1;
	frozen->weight = xaligned(model_count(frozen->model) * sizeof(float));
	return weights_read_file(frozen->weight, frozen->model, path, err);
}

void frozen_release(struct frozen *frozen)
{
	free(frozen->weight);
	model_free(frozen->model);
	team_free(frozen->team);
	dataset_release(&frozen->train);
	*frozen = (struct frozen){ 0 };
}
