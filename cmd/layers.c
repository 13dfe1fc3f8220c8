/* What a model is made of and what it costs, for people and as JSON. */
#include "cmd/layers.h"

#include <stdio.h>

#include "cmd/job_load.h"
#include "cmd/output.h"
#include "lib/json.h"
#include "lib/table.h"
#include "lib/units.h"
#include "runtime/model/model.h"

enum { TEXT = 32 };

static double total(const struct job_memory *memory)
{
	return memory->weights + memory->gradient + memory->slots + memory->arena;
}

static void add_costs(struct table *table, size_t parameters, double flops, double bytes)
{
	char text[TEXT];

	table_add(table, "%zu", parameters);
	table_add(table, "%s", units_show_count(text, sizeof(text), flops));
	table_add(table, "%s", units_show_bytes(text, sizeof(text), bytes));
}

static void print_table(const struct model *model)
{
	static const char *const heads[] = { "layer", "kind",	"output", "parameters",
					     "FLOPs", "memory", NULL };
	struct table table = { .align = "lllrrr" };
	double flops = 0, bytes = 0;
	struct model_row row;

	table_head(&table, heads);
	for (size_t i = 0; model_row(model, i, &row); i++) {
		char shape[SHAPE_TEXT];

		table_add(&table, "%s", row.name);
		table_add(&table, "%s%s", row.layer, row.relu ? " + relu" : "");
		table_add(&table, "%s", shape_show(shape, &row.output));
		add_costs(&table, row.parameters, row.flops, (double)row.bytes);
		flops += row.flops;
		bytes += (double)row.bytes;
	}
	table_add(&table, "all");
	table_add(&table, "loss %s", model_loss_name(model));
	table_add(&table, "%s", "");
	add_costs(&table, model_count(model), flops, bytes);
	output_table(&table);
	table_release(&table);
}

void layers_print(const struct job_load *load, const struct model *model, size_t ranks)
{
	const struct job *job = &load->job;
	struct job_memory memory = job_memory(job, model);
	char text[6][TEXT];

	print_table(model);
	printf("a step of %zu samples: %sFLOP\n", job->params.batch,
	       units_show_count(text[0], TEXT, model_flops(model) * (double)job->params.batch));
	printf("memory of a rank with %zu samples: %s (weights %s, gradient %s, %s %s, between "
	       "layers %s), and %s of samples on each host\n",
	       job_rank_batch(job, ranks), units_show_bytes(text[0], TEXT, total(&memory)),
	       units_show_bytes(text[1], TEXT, memory.weights),
	       units_show_bytes(text[2], TEXT, memory.gradient), job->optimizer.entry->name,
	       units_show_bytes(text[3], TEXT, memory.slots),
	       units_show_bytes(text[4], TEXT, memory.arena),
	       units_show_bytes(text[5], TEXT, load->sample_bytes));
}

static struct json *row_json(const struct model_row *row)
{
	struct json *json = json_object_new(), *shape = json_array_new();

	json_add_text(json, "name", row->name);
	json_add_text(json, "layer", row->layer);
	json_add_bool(json, "relu", row->relu);
	for (size_t i = 0; i < row->output.rank; i++)
		json_add_count(shape, NULL, row->output.dim[i]);
	json_add(json, "output", shape);
	json_add_count(json, "parameters", row->parameters);
	json_add_count(json, "flops", (uint64_t)row->flops);
	json_add_count(json, "bytes", row->bytes);
	return json;
}

static struct json *memory_json(const struct job_memory *memory)
{
	struct json *json = json_object_new();

	json_add_count(json, "weights", (uint64_t)memory->weights);
	json_add_count(json, "gradient", (uint64_t)memory->gradient);
	json_add_count(json, "optimizer", (uint64_t)memory->slots);
	json_add_count(json, "arena", (uint64_t)memory->arena);
	json_add_count(json, "all", (uint64_t)total(memory));
	return json;
}

struct json *layers_json(const struct job_load *load, const struct model *model, size_t ranks)
{
	const struct job *job = &load->job;
	struct json *json = json_object_new(), *rows = json_array_new();
	struct job_memory memory = job_memory(job, model);
	struct model_row row;

	for (size_t i = 0; model_row(model, i, &row); i++)
		json_add(rows, NULL, row_json(&row));
	json_add(json, "layers", rows);
	json_add_text(json, "loss", model_loss_name(model));
	json_add_count(json, "parameters", model_count(model));
	json_add_count(json, "step_flops",
		       (uint64_t)(model_flops(model) * (double)job->params.batch));
	json_add_count(json, "rank_batch", job_rank_batch(job, ranks));
	json_add(json, "memory", memory_json(&memory));
	json_add_count(json, "sample_bytes", (uint64_t)load->sample_bytes);
	return json;
}
