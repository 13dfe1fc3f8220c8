/* A recipe with its names resolved to implementations and every value checked. */
#include "runtime/job.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/error.h"
#include "lib/memory.h"
#include "lib/plan.h"
#include "lib/setting.h"
#include "lib/units.h"
#include "runtime/compress/compress.h"
#include "runtime/evaluate.h"
#include "runtime/share.h"
#include "runtime/sync/auto.h"
#include "runtime/transport/transport.h"

enum { NAME_BYTES = 200 }; /* file systems allow 255, and "-2" may follow */

#define ROW(field) offsetof(struct job_params, field)

static const struct opt top_options[] = {
	{ "name", OPT_TEXT, ROW(name), "run", "name of the run and of its directory" },
	{ "seed", OPT_COUNT, ROW(seed), "42", "of all random numbers" },
	{ "hosts", OPT_TEXT, ROW(hosts), "local:1", "where to train; --hosts overrides" },
	{ 0 }
};

static const char *const init_rules[] = { "default", "kaiming", "xavier", "critical", NULL };

static const struct opt model_options[] = {
	{ "init", OPT_CHOICE, offsetof(struct model_params, init), "default",
	  "how weights begin: as each layer has it, or all by one rule", .choices = init_rules },
	{ "init_from", OPT_PATH, offsetof(struct model_params, init_from), "",
	  "safetensors file of weights to begin with, such as PyTorch writes" },
	{ 0 }
};

static const struct opt train_options[] = {
	{ "epochs", OPT_COUNT, ROW(epochs), "10", "passes over the training data", .min = 1,
	  .max = 1e6 },
	{ "steps", OPT_COUNT, ROW(steps), "0", "steps to train instead of epochs", .min = 0,
	  .max = 1e12 },
	{ "seconds", OPT_SECONDS, ROW(seconds), "0s",
	  "training ends after this time, if it has not before; 0: no limit", .min = 0,
	  .max = 1e9 },
	{ "batch", OPT_COUNT, ROW(batch), "128", "samples of one step, over all ranks", .min = 1,
	  .max = 1e7 },
	{ "share", OPT_CHOICE, ROW(share), "equal",
	  "how ranks share a batch: equally, or in proportion to their measured speed",
	  .choices = share_rules },
	{ "clip", OPT_REAL, ROW(clip), "0", "largest 2-norm of the gradient; 0: no limit", .min = 0,
	  .max = 1e9 },
	{ "threads", OPT_COUNT, ROW(threads), "0",
	  "processor threads of one rank; 0: the processors of its host, shared by the ranks there",
	  .min = 0, .max = 1024 },
	{ "eval_every", OPT_COUNT, ROW(eval_every), "1",
	  "epochs between evaluations on the test data; 0: only at the end", .min = 0, .max = 1e6 },
	{ "eval_ranks", OPT_CHOICE, ROW(eval_ranks), "end",
	  "when ranks whose weights differ evaluate their own, too", .choices = eval_ranks_names },
	{ 0 }
};

static const struct opt transport_options[] = {
	{ "timeout", OPT_SECONDS, ROW(timeout_s), "60s", "longest wait for a peer", .min = 0.1,
	  .max = 86400 },
	{ "port", OPT_TEXT, ROW(port), "0",
	  "a worker's listening port: 0 (any), one, or a range such as 40000-40100" },
	{ "emulate", OPT_PATH, ROW(emulate), "",
	  "file of links to emulate between the ranks: topology, links.json or table of rates" },
	{ "emulate_rtt", OPT_PATH, ROW(emulate_rtt), "",
	  "file of round trips beside a table of rates" },
	{ 0 }
};

static const struct opt checkpoint_options[] = {
	{ "every", OPT_COUNT, ROW(checkpoint_every), "500",
	  "steps between checkpoints; 0: only at the end", .min = 0, .max = 1e12 },
	{ "keep", OPT_COUNT, ROW(checkpoint_keep), "3", "how many checkpoints to keep", .min = 1,
	  .max = 1e6 },
	{ 0 }
};

static const struct opt plan_options[] = {
	{ "links", OPT_TEXT, offsetof(struct job_plan, links), "auto",
	  "what the network carries: measured (probe), from a file, or not asked (none); auto: "
	  "measured if it makes a difference" },
	{ "consensus_period", OPT_COUNT, offsetof(struct job_plan, consensus_period), "8",
	  "steps within which all ranks' weights have been averaged, where that can be exact",
	  .min = 1, .max = 1000 },
	{ "probe_seconds", OPT_SECONDS, offsetof(struct job_plan, probe_s), "20s",
	  "the links may be measured for about so long", .min = 0.1, .max = 86400 },
	{ 0 }
};

#define IN_JOB(field) offsetof(struct job, field)

const struct job_section job_sections[] = {
	{ "", top_options, IN_JOB(params) },
	{ "data", feed_options, IN_JOB(feed_params), &data_formats, "format", NULL, IN_JOB(data) },
	{ "model", model_options, IN_JOB(model_params), &models, "preset", NULL, IN_JOB(model) },
	{ "train", train_options, IN_JOB(params) },
	{ "train.optimizer", optim_options, IN_JOB(optim_params), &optimizers, "name", "sgd",
	  IN_JOB(optimizer) },
	{ "train.schedule", schedule_options, IN_JOB(schedule_params), &schedules, "name",
	  "constant", IN_JOB(schedule) },
	{ "sync", sync_options, IN_JOB(sync_params), &sync_strategies, "strategy", "bsp",
	  IN_JOB(sync) },
	{ "plan", plan_options, IN_JOB(plan) },
	{ "compress", exchange_options, IN_JOB(exchange_params), &compressors, "scheme", "none",
	  IN_JOB(compressor) },
	{ "transport", transport_options, IN_JOB(params), &transports, "name", "tcp",
	  IN_JOB(transport) },
	{ "checkpoint", checkpoint_options, IN_JOB(params) },
	{ "fault", fault_options, IN_JOB(fault) },
	{ 0 }
};

const struct registry *const job_registries[] = {
	&sync_strategies, &compressors, &transports, &models,	    &layers,
	&losses,	  &optimizers,	&schedules,  &data_formats, NULL
};

/* "40000-40100" -> both ends; one number is a range of one. */
static int check_port_range(const char *text)
{
	unsigned low, high;
	char rest;
	int fields = sscanf(text, "%5u-%5u%c", &low, &high, &rest);

	if (fields == 1 && strspn(text, "0123456789") == strlen(text))
		return low <= 65535 ? 0 : -1;
	return fields == 2 && low > 0 && low <= high && high <= 65535 ? 0 : -1;
}

static bool names_a_directory(const char *name)
{
	if (!name || name[0] == '.' || strlen(name) > NAME_BYTES)
		return false;
	for (; *name; name++)
		if (*name == '/' || (unsigned char)*name < ' ')
			return false;
	return true;
}

static void check_emulation(const struct job *job, const struct settings *resolved,
			    struct problems *problems)
{
	const struct setting *where = settings_find(resolved, "transport.emulate");
	const struct transport *transport = PART_AS(&job->transport, struct transport);

	if (job->params.emulate && job->transport.entry && !transport->threads)
		problems_add(problems, where->value_place,
			     "transport.emulate: links are emulated between threads of one "
			     "process; use transport.name: inproc");
	where = settings_find(resolved, "transport.emulate_rtt");
	if (job->params.emulate_rtt && !job->params.emulate)
		problems_add(problems, where->value_place,
			     "transport.emulate_rtt: there is no transport.emulate that it goes "
			     "with");
}

/* Momentum before and after the exchange would be momentum twice. */
static void check_momentum(const struct job *job, const struct settings *resolved,
			   struct problems *problems)
{
	const struct setting *where = settings_find(resolved, "train.optimizer.momentum");
	enum feedback feedback;
	struct error err;
	double momentum;

	if (!job->compressor.entry || !where || units_real(&momentum, where->values[0], &err) < 0 ||
	    momentum == 0)
		return;
	feedback = exchange_feedback(&job->exchange_params, &job->compressor);
	if (feedback == FEEDBACK_MOMENTUM || feedback == FEEDBACK_MOMENTUM_CORRECTED)
		problems_add(problems, where->value_place,
			     "train.optimizer.momentum: 'compress.scheme: %s' has momentum of its "
			     "own (compress.momentum); leave this one out, or say "
			     "compress.feedback: classic",
			     job->compressor.entry->name);
}

static bool keeps_debts(const struct job *job)
{
	enum feedback feedback = exchange_feedback(&job->exchange_params, &job->compressor);

	return !PART_AS(&job->sync, struct sync_strategy)->differences &&
	       (feedback == FEEDBACK_CLASSIC || feedback == FEEDBACK_MOMENTUM_CORRECTED);
}

static bool votes(const struct part *compressor)
{
	const struct compressor *scheme = PART_AS(compressor, struct compressor);

	return scheme && scheme->vote && scheme->vote(compressor->params) != VOTE_NO;
}

/* A vote has no size that could be taken out of what is owed. */
static void check_votes(const struct job *job, const struct settings *resolved,
			struct problems *problems)
{
	const struct compress_rules *rules = &job->compress_rules;
	static const char text[] = "compress.feedback: votes leave nothing behind that could be "
				   "sent later; say none here, or vote: no beside '%s'";

	if (!job->compressor.entry || !job->sync.entry || !keeps_debts(job))
		return;
	if (votes(&job->compressor))
		problems_add(problems, settings_find(resolved, "compress.feedback")->value_place,
			     text, job->compressor.entry->name);
	for (size_t i = 0; i < rules->count; i++)
		if (votes(&rules->items[i].scheme))
			problems_add(problems, rules->items[i].place, text,
				     rules->items[i].scheme.entry->name);
}

/* Whether the strategy can send what a scheme makes. */
static const char *objection(const struct sync_strategy *strategy, const struct part *scheme)
{
	const struct compressor *compressor = PART_AS(scheme, struct compressor);
	enum payload payload = compressor ? compressor->payload : PAYLOAD_SUMS;

	if (strategy->plain && payload != PAYLOAD_SUMS)
		return strategy->plain;
	if (strategy->pairs && payload == PAYLOAD_FACTORS)
		return "sends each rank a message of its own, and factors are for sums; take a "
		       "scheme that has no factors";
	return NULL;
}

static void check_schemes(const struct job *job, const struct settings *resolved,
			  struct problems *problems)
{
	const struct sync_strategy *strategy = PART_AS(&job->sync, struct sync_strategy);
	const struct compress_rules *rules = &job->compress_rules;
	const char *text;

	if (!job->compressor.entry || !strategy)
		return;
	text = objection(strategy, &job->compressor);
	if (text)
		problems_add(problems, settings_find(resolved, "compress.scheme")->value_place,
			     "compress.scheme: sync.strategy '%s' %s", strategy->entry.name, text);
	for (size_t i = 0; i < rules->count; i++) {
		text = objection(strategy, &rules->items[i].scheme);
		if (text)
			problems_add(problems, rules->items[i].place,
				     "compress.rules: sync.strategy '%s' %s", strategy->entry.name,
				     text);
	}
}

static void check_fault(const struct job *job, const struct settings *resolved,
			struct problems *problems)
{
	const struct fault_params *fault = &job->fault;

	if (fault->ranks.count && fault->kind == FAULT_NONE)
		problems_add(problems, settings_find(resolved, "fault.rank")->value_place,
			     "fault.rank: fault.kind has to say what is wrong with the gradients");
	if (fault->kind != FAULT_NONE && fault->ranks.count == 0)
		problems_add(problems, settings_find(resolved, "fault.kind")->value_place,
			     "fault.kind: fault.rank has to say whose gradients are wrong");
}

static void check_values(const struct job *job, const struct settings *resolved,
			 struct problems *problems)
{
	const char *name = job->params.name;
	const struct setting *where = settings_find(resolved, "name");

	if (!names_a_directory(name))
		problems_add(problems, where->value_place,
			     "name: '%s' cannot be the name of a directory", name ? name : "");
	where = settings_find(resolved, "plan.links");
	if (!job->plan.links && !where->values[0][0])
		problems_add(problems, where->value_place,
			     "plan.links: one of auto, probe, none or a file");
	where = settings_find(resolved, "transport.port");
	if (job->params.port && check_port_range(job->params.port) < 0)
		problems_add(problems, where->value_place,
			     "transport.port: '%s' is neither a port nor a range such as "
			     "40000-40100",
			     job->params.port);
	check_emulation(job, resolved, problems);
	check_momentum(job, resolved, problems);
	check_votes(job, resolved, problems);
	check_schemes(job, resolved, problems);
	check_fault(job, resolved, problems);
}

static void rename_setting(struct setting *setting, const char *key)
{
	if (!setting)
		return;
	free(setting->key);
	setting->key = xstrdup(key);
}

/* "batch: {global: 512, share: measured}" is a batch and a share. */
static void expand_batch(struct settings *given)
{
	struct setting *global = settings_find(given, "train.batch.global");
	struct setting *share = settings_find(given, "train.batch.share");

	if (!global && !share)
		return;
	rename_setting(settings_find(given, "train.batch"), "train"); /* nothing but a section */
	rename_setting(global, "train.batch");
	rename_setting(share, "train.share");
}

void job_expand(struct settings *given)
{
	expand_batch(given);
	for (const struct job_section *s = job_sections; s->prefix; s++)
		if (s->registry)
			registry_expand(given, s->prefix, s->key);
	layer_list_expand(given, "model");
}

void job_read(struct job *job, struct settings *given, struct settings *resolved,
	      struct problems *problems)
{
	expand_batch(given);
	for (const struct job_section *s = job_sections; s->prefix; s++) {
		char *base = (char *)job;

		if (s->registry == &models && layer_list_given(given, s->prefix))
			layer_list_read(&job->layers, given, s->prefix, resolved, problems);
		else if (s->registry)
			registry_read(s->registry, given, s->prefix, s->key, s->fallback,
				      (struct part *)(void *)(base + s->part_offset), resolved,
				      problems);
		if (s->options)
			opt_read(s->options, given, s->prefix, base + s->params_offset, resolved,
				 problems);
	}
	compress_rules_read(&job->compress_rules, given, "compress", resolved, problems);
	shard_read(given, &job->shard, resolved, problems);
	settings_report_unused(given, resolved, problems);
	check_values(job, resolved, problems);
}

struct model_env job_model_env(const struct job *job, const struct dataset *dataset)
{
	return (struct model_env){ .input = dataset->shape,
				   .sparse = dataset->sparse.start != NULL,
				   .classes = dataset->classes,
				   .labels = dataset->labels,
				   .vocabulary = dataset->vocabulary,
				   .init = (enum model_init_rule)job->model_params.init,
				   .seed = job->params.seed };
}

int job_model_new(struct model **out, const struct job *job, const struct model_env *env,
		  struct error *err)
{
	return job->layers.count ? model_new_listed(out, &job->layers, env, err)
				 : model_new(out, &job->model, env, err);
}

struct coder_span *job_spans(const struct model *model, size_t *count)
{
	const struct tensor *tensors = model_tensors(model, count);
	struct coder_span *spans = xcalloc(*count, sizeof(*spans));

	for (size_t i = 0; i < *count; i++)
		spans[i] = (struct coder_span){
			.name = tensors[i].name,
			.offset = tensors[i].offset,
			.count = tensors[i].count,
			.rows = tensors[i].shape.rank > 1 ? tensors[i].shape.dim[0] : 0,
			/* statistics have no noise to hide in */
			.exact = tensors[i].rate > 0,
		};
	return spans;
}

bool job_wants_plan(const struct job *job)
{
	const struct sync_strategy *strategy = PART_AS(&job->sync, struct sync_strategy);

	return strategy->chosen_by_plan || job->sync_params.order == SYNC_ORDER_PLANNED ||
	       job->sync_params.allreduce == COLL_HIERARCHICAL ||
	       (strategy->wants_plan && strategy->wants_plan(job->sync.params)) ||
	       (strategy->wants_links && strategy->wants_links(job->sync.params));
}

static bool is_opaque(const struct part *scheme)
{
	return PART_AS(scheme, struct compressor)->payload != PAYLOAD_SUMS;
}

bool job_compresses(const struct job *job)
{
	for (size_t i = 0; i < job->compress_rules.count; i++)
		if (is_opaque(&job->compress_rules.items[i].scheme))
			return true;
	return is_opaque(&job->compressor);
}

const char *job_scheme(const struct job *job)
{
	return is_opaque(&job->compressor) ? job->compressor.entry->name : "compress.rules";
}

void job_foresee(const struct job *job, double bytes, struct plan_env *env)
{
	const struct sync_strategy *strategy = PART_AS(&job->sync, struct sync_strategy);

	env->bytes = bytes;
	env->seed = job->params.seed;
	env->scheme = job_scheme(job);
	env->consensus_period = (int)job->plan.consensus_period;
	env->bsp_overlap = plan_bsp_overlap(bytes, (double)job->sync_params.bucket_bytes);
	if (strategy->foresee)
		strategy->foresee(job->sync.params, env);
}

const struct plan *job_choose_plan(const struct job *job, const struct plan_list *list)
{
	struct sync_wish wish = { &job->sync, &job->sync_params, job_compresses(job) };

	return sync_choose(list, &wish);
}

size_t job_rank_batch(const struct job *job, size_t ranks)
{
	return share_most((enum share_rule)job->params.share, job->params.batch, ranks);
}

struct job_memory job_memory(const struct job *job, const struct model *model)
{
	const struct optimizer *optimizer = PART_AS(&job->optimizer, struct optimizer);
	double block = (double)model_count(model) * sizeof(float);
	struct job_memory memory = { .weights = block,
				     .gradient = block,
				     .arena = (double)model_arena_bytes(model) };

	for (size_t i = 0; i < OPTIM_SLOTS && optimizer->slot_names[i]; i++)
		memory.slots += block;
	return memory;
}

void job_begun(struct job *job)
{
	free(job->model_params.init_from);
	job->model_params.init_from = NULL;
}

void job_rows(struct job *job, job_visit *visit, void *arg)
{
	for (const struct job_section *s = job_sections; s->prefix; s++) {
		char *base = (char *)job;
		struct part *part = (struct part *)(void *)(base + s->part_offset);

		for (const struct opt *row = s->options; row && row->key; row++)
			visit(arg, s->prefix, row, base + s->params_offset);
		if (!s->registry || !part->entry)
			continue;
		for (const struct opt *row = part->entry->options; row && row->key; row++)
			visit(arg, s->prefix, row, part->params);
	}
}

struct files {
	char ***fields;
	size_t count;
};

static void add_files(void *arg, const char *prefix, const struct opt *row, void *params)
{
	struct files *files = arg;
	size_t count;
	char **paths = opt_files(row, params, &count);

	(void)prefix;
	for (size_t i = 0; paths && i < count; i++) {
		files->fields = xgrow(files->fields, files->count, sizeof(*files->fields));
		files->fields[files->count++] = &paths[i];
	}
}

char ***job_files(struct job *job, size_t *count)
{
	struct files files = { 0 };

	job_rows(job, add_files, &files);
	*count = files.count;
	return files.fields;
}

void job_release(struct job *job)
{
	for (const struct job_section *s = job_sections; s->prefix; s++) {
		char *base = (char *)job;

		if (s->registry)
			part_release((struct part *)(void *)(base + s->part_offset));
		if (s->options)
			opt_release(s->options, base + s->params_offset);
	}
	compress_rules_release(&job->compress_rules);
	layer_list_release(&job->layers);
	*job = (struct job){ 0 };
}
