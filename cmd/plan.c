/* dstrain plan: who should synchronise with whom on a network, and why. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cmd/cmd.h"
#include "cmd/job_load.h"
#include "cmd/output.h"
#include "lib/error.h"
#include "lib/hosts.h"
#include "lib/json.h"
#include "lib/links.h"
#include "lib/links_file.h"
#include "lib/log.h"
#include "lib/memory.h"
#include "lib/plan.h"
#include "lib/roster.h"
#include "lib/table.h"
#include "lib/terminal.h"
#include "lib/units.h"
#include "runtime/calibrate.h"
#include "runtime/outfit.h"

enum { PERIOD = 8, TEXT = 32, DEFAULT_BYTES = 4 << 20, GROUPS_SHOWN = 8, RANKS_SHOWN = 8 };

/* What is asked, and the answer. */
struct planning {
	const struct flags *flags;
	struct links links; /* of the hosts that take part */
	size_t *slots;	    /* [hosts] */
	int *host_of;	    /* [world] */
	struct plan_env env;
	struct plan_list list;
	char *advice, *verdict; /* NULL: none */
	bool measured;		/* compute_s, on this machine */
};

/* Some host's is known from the links. */
static bool links_tell_compute(const struct links *links)
{
	for (size_t h = 0; links->compute_s && h < links->hosts; h++)
		if (!isnan(links->compute_s[h]))
			return true;
	return false;
}

/* As long as a rank takes on this machine, beside as many as the first host has. */
static int measure_compute(struct planning *planning, const struct job *job, struct error *err)
{
	const struct data_format *format = PART_AS(&job->data, struct data_format);
	struct dataset train = { 0 }, none = { 0 };
	struct outfit_env env = { .job = job,
				  .train = &train,
				  .test = &none,
				  .world = (unsigned)planning->env.world,
				  .ranks_here = planning->slots[0] };
	int status = format->load(job->data.params, DATA_TRAIN, job->params.seed, &train, err);

	if (status == 0)
		status = calibrate(&env, &planning->env.compute_s, err);
	planning->measured = status == 0;
	dataset_release(&train);
	return status;
}

static int judge_recipe(struct planning *planning, struct job_load *load, struct error *err)
{
	const struct job *job = &load->job;
	size_t world = (size_t)planning->env.world;
	struct model *model;
	int status = 0;

	if (job_load_fits(load, world, err) < 0 || job_load_build(load, world, &model, err) < 0)
		return -1;
	if (!model)
		return 0; /* said with the recipe's other problems */
	job_foresee(job, (double)model_count(model) * sizeof(float), &planning->env);
	calibrate_codec(&planning->env.codec, job, model,
			job->params.emulate ? world : planning->slots[0]);
	model_free(model);
	if (isnan(planning->env.compute_s) && !links_tell_compute(&planning->links))
		status = measure_compute(planning, job, err);
	return status;
}

static int read_recipe(struct planning *planning, const char *path)
{
	struct job_load load = { 0 };
	struct error err;
	int status = EXIT_DONE;

	if (job_load(&load, path, planning->flags) == 0 && judge_recipe(planning, &load, &err) < 0)
		status = output_failure(EXIT_USAGE, &err);
	if (load.problems.count > 0)
		status = EXIT_USAGE;
	job_load_report(&load);
	job_load_release(&load);
	return status;
}

/* The hosts of --hosts, in their order, out of all that the file knows. */
static int select_hosts(struct planning *planning, struct links *all, struct problems *problems,
			struct error *err)
{
	struct hosts hosts = { 0 };
	const char **names;
	int status = hosts_load(&hosts, planning->flags->hosts, problems, err);

	if (status == 0) {
		names = xcalloc(hosts.count, sizeof(*names));
		planning->slots = xrealloc(planning->slots, hosts.count, sizeof(size_t));
		for (size_t i = 0; i < hosts.count; i++) {
			names[i] = hosts.entries[i].name;
			planning->slots[i] = hosts.entries[i].slots;
		}
		status = links_select(&planning->links, all, names, hosts.count, err);
		if (status < 0)
			error_prefix(err, "%s", planning->flags->links);
		free(names);
	}
	hosts_release(&hosts);
	return status;
}

static int read_links(struct planning *planning)
{
	const struct flags *flags = planning->flags;
	struct links_script script = { 0 };
	struct problems problems = { 0 };
	struct links all = { 0 };
	struct error err;
	int status = links_load(&all, &script, flags->links, flags->rtt, &problems, &err);

	if (status == 0) {
		planning->slots = xcalloc(all.hosts, sizeof(size_t));
		for (size_t h = 0; h < all.hosts; h++)
			planning->slots[h] = script.slots ? script.slots[h] : 1;
		if (flags->hosts) {
			status = select_hosts(planning, &all, &problems, &err);
		} else {
			planning->links = all;
			all = (struct links){ 0 };
		}
	}
	fputs(buf_text(&problems.text), stderr);
	if (status < 0)
		output_failure(EXIT_USAGE, &err);
	links_script_release(&script);
	links_release(&all);
	problems_release(&problems);
	return status < 0 ? EXIT_USAGE : EXIT_DONE;
}

/* "h1", or "h1:0" where a host has several. */
static void add_rank(const struct planning *planning, int rank, struct buf *out)
{
	int host = planning->host_of[rank], first = rank;

	buf_addf(out, "%s", planning->links.names[host]);
	while (first > 0 && planning->host_of[first - 1] == host)
		first--;
	if (planning->slots[host] > 1)
		buf_addf(out, ":%d", rank - first);
}

/* "h1 h2 | h3 h4", cut short unless everything is wanted. */
static void add_groups(const struct planning *planning, const struct partition *phase,
		       struct buf *out)
{
	const int *ranks = phase->ranks;
	bool all = planning->flags->verbose;

	PARTITION_GROUPS (phase, g, ranks) {
		if (g == GROUPS_SHOWN && !all) {
			buf_addf(out, " | and %d more", phase->groups - g);
			return;
		}
		buf_addf(out, "%s", g ? " | " : "");
		for (int i = 0; i < phase->sizes[g]; i++) {
			if (i == RANKS_SHOWN && phase->groups > 1 && !all) {
				buf_addf(out, " and %d more", phase->sizes[g] - i);
				break;
			}
			buf_addf(out, "%s", i ? " " : "");
			add_rank(planning, ranks[i], out);
		}
	}
}

static void add_milliseconds(struct table *table, double seconds)
{
	table_add(table, seconds < 0.1 ? "%.2f" : "%.1f", seconds * 1e3);
}

static void add_row(struct table *table, const struct plan *plan, bool coded)
{
	char text[TEXT];

	table_add(table, "%s", plan->name);
	add_milliseconds(table, plan->step_s);
	add_milliseconds(table, plan->comm_s);
	if (coded)
		add_milliseconds(table, plan->codec_s);
	table_add(table, "%s", units_show_bytes(text, sizeof(text), plan->bytes_sent));
	if (plan->exact_after)
		table_add(table, "%d", plan->exact_after);
	else
		table_add(table, "never");
	table_add(table, "%s", plan->bottleneck);
}

/* All candidates; the choice stands first. */
static void print_table(const struct planning *planning)
{
	static const char *const head[] = { "plan",	   "ms/step",	   "comm", "sent",
					    "exact after", "held back by", NULL };
	static const char *const coded_head[] = { "plan", "ms/step",	 "comm",	 "codec",
						  "sent", "exact after", "held back by", NULL };
	bool coded = planning->verdict;
	struct style style = terminal_style(STDOUT_FILENO, planning->flags->color);
	struct table table = { .align = coded ? "lrrrrrl" : "lrrrrl" };
	struct buf out = { 0 };
	const char *choice;
	size_t length;

	table_head(&table, coded ? coded_head : head);
	for (size_t i = 0; i < planning->list.count; i++)
		add_row(&table, &planning->list.plans[i], coded);
	table_print(&table, &out);
	choice = strchr(buf_text(&out), '\n') + 1;
	length = strcspn(choice, "\n");
	printf("%.*s%s%.*s%s%s", (int)(choice - out.data), out.data, style.bold, (int)length,
	       choice, style.reset, choice + length);
	buf_release(&out);
	table_release(&table);
}

/* A ring of the ranks as they are numbered, which others are compared with. */
static bool is_reference(const struct plan *plan)
{
	return plan->kind == PLAN_RING && !plan->compressed && plan_is_in_given_order(plan);
}

/* How much sooner a step is done than with that ring. */
static double gain(const struct planning *planning)
{
	const struct plan_list *list = &planning->list;

	for (size_t i = 0; i < list->count; i++)
		if (is_reference(&list->plans[i]))
			return list->plans[0].step_s > 0
				       ? list->plans[i].step_s / list->plans[0].step_s
				       : 1;
	return 1;
}

static bool is_same(const struct partition *a, const struct partition *b, int world)
{
	return a->groups == b->groups &&
	       memcmp(a->sizes, b->sizes, (size_t)a->groups * sizeof(int)) == 0 &&
	       memcmp(a->ranks, b->ranks, (size_t)world * sizeof(int)) == 0;
}

/* "steps 1 2 3 5" of a period that have the groups of phase p; false: said with an earlier one. */
static bool add_steps(const struct schedule *schedule, int p, struct buf *out)
{
	const struct partition *phase = schedule->phase;
	struct buf steps = { 0 };
	int count = 0;

	for (int i = 0; i < schedule->phases; i++) {
		if (!is_same(&phase[i], &phase[p], schedule->world))
			continue;
		if (i < p)
			return false;
		buf_addf(&steps, " %d", i + 1);
		count++;
	}
	buf_addf(out, "step%s%s: ", count > 1 ? "s" : "", buf_text(&steps));
	buf_release(&steps);
	return true;
}

static void print_choice(const struct planning *planning)
{
	const struct plan *chosen = &planning->list.plans[0];
	struct buf out = { 0 };

	printf("\nchosen: %s", chosen->name);
	if (!is_reference(chosen))
		printf(", %.2f times as fast as a ring in the given order", gain(planning));
	printf("\n");
	for (int p = 0; p < chosen->schedule.phases; p++) {
		if (chosen->kind != PLAN_DS_SYNC)
			buf_addf(&out, "order: ");
		else if (!add_steps(&chosen->schedule, p, &out))
			continue;
		add_groups(planning, &chosen->schedule.phase[p], &out);
		buf_addf(&out, "\n");
	}
	fputs(buf_text(&out), stdout);
	if (planning->verdict)
		printf("note: %s\n", planning->verdict);
	if (planning->advice)
		printf("note: %s\n", planning->advice);
	buf_release(&out);
}

static void print_text(const struct planning *planning)
{
	double compute_s = planning->list.plans[0].compute_s;
	const char *source = compute_s > 0 ? "" : " (--compute tells)";
	char bytes[TEXT];

	if (planning->measured)
		source = " (as measured here)";
	printf("%d rank%s on %zu host%s, %s of parameters, computing %.3g ms a step%s\n\n",
	       planning->env.world, planning->env.world == 1 ? "" : "s", planning->links.hosts,
	       planning->links.hosts == 1 ? "" : "s",
	       units_show_bytes(bytes, sizeof(bytes), planning->env.bytes), compute_s * 1e3,
	       source);
	print_table(planning);
	print_choice(planning);
}

/* What the recipe's compressor does, as it was measured here. */
static struct json *codec_json(const struct planning *planning)
{
	const struct cost_codec *codec = &planning->env.codec;
	struct json *json = json_object_new();

	json_add_text(json, "scheme", planning->env.scheme);
	json_add_real(json, "ratio", codec->ratio);
	json_add_real(json, "encode_bytes_per_s", 1 / codec->encode_s);
	json_add_real(json, "decode_bytes_per_s", 1 / codec->decode_s);
	json_add_text(json, "verdict", planning->verdict);
	return json;
}

static void print_json(const struct planning *planning)
{
	struct json *result = json_object_new(), *ranks = json_array_new();
	struct json *candidates = json_array_new();

	for (int rank = 0; rank < planning->env.world; rank++)
		json_add_text(ranks, NULL, planning->links.names[planning->host_of[rank]]);
	for (size_t i = 0; i < planning->list.count; i++)
		json_add(candidates, NULL, plan_json(&planning->list.plans[i]));
	json_add_count(result, "world", (uint64_t)planning->env.world);
	json_add(result, "ranks", ranks);
	json_add_real(result, "bytes", planning->env.bytes);
	json_add_real(result, "compute_s", planning->list.plans[0].compute_s);
	json_add_count(result, "consensus_period", (uint64_t)planning->env.consensus_period);
	json_add(result, "chosen", plan_json(&planning->list.plans[0]));
	json_add_real(result, "gain", gain(planning));
	json_add_text(result, "note", planning->advice);
	if (planning->verdict)
		json_add(result, "codec", codec_json(planning));
	json_add(result, "candidates", candidates);
	output_json(result);
	json_free(result);
}

/* Exit status. */
static int make_plan(struct planning *planning)
{
	const struct flags *flags = planning->flags;
	struct error err;
	int status = read_links(planning);

	if (status != EXIT_DONE)
		return status;
	planning->host_of =
		roster_spread(planning->slots, planning->links.hosts, &planning->env.world);
	planning->env.host_of = planning->host_of;
	planning->env.bytes = DEFAULT_BYTES;
	planning->env.compute_s = flags->compute_s > 0 ? flags->compute_s : NAN;
	if (flags->operand_count > 0)
		status = read_recipe(planning, flags->operands[0]);
	if (status != EXIT_DONE)
		return status;
	if (flags->plan_bytes > 0)
		planning->env.bytes = (double)flags->plan_bytes;
	if (flags->period > 0)
		planning->env.consensus_period = (int)flags->period;
	if (plan_build(&planning->list, &planning->env, &err) < 0)
		return output_failure(EXIT_FAILED, &err);
	planning->advice = plan_advice(&planning->env, &planning->list.plans[0]);
	planning->verdict = plan_verdict(planning->env.scheme, &planning->list);
	return EXIT_DONE;
}

static int plan(const struct flags *flags)
{
	struct planning planning = { .flags = flags,
				     .env = { .links = &planning.links,
					      .consensus_period = PERIOD,
					      .search_s = flags->search_s } };
	int status;

	if (!flags->links) {
		log_error("which network? measure it with `dstrain probe --save links.json`, and "
			  "plan with --links links.json");
		return EXIT_USAGE;
	}
	if (flags->set_count > 0 && flags->operand_count == 0) {
		log_error("--set changes a recipe, and there is none");
		return EXIT_USAGE;
	}
	status = make_plan(&planning);
	if (status == EXIT_DONE && flags->json)
		print_json(&planning);
	else if (status == EXIT_DONE)
		print_text(&planning);
	free(planning.slots);
	free(planning.host_of);
	free(planning.advice);
	free(planning.verdict);
	plan_list_release(&planning.list);
	links_release(&planning.links);
	return status;
}

const struct command plan_command = {
	.name = "plan",
	.operands = "[RECIPE]",
	.least = 0,
	.most = 1,
	.operand_kind = OPERAND_FILE,
	.flags = FLAG_HOSTS | FLAG_SET | FLAG_LINKS | FLAG_PLAN | FLAG_JSON,
	.summary = "Say who should synchronise with whom on a network",
	.details =
		"Predicts the seconds of a training step for rings, trees, halving and doubling, "
		"hierarchical allreduce, and for averaging in groups that change from step to "
		"step (ds_sync), on the network of --links, shared links included; and says what "
		"holds each of them back. Starts nothing and connects to nothing: any network can "
		"be planned for. --hosts takes some of the hosts, with their slots. What a step of "
		"the recipe takes without communication is measured on this machine, in a moment, "
		"unless --compute or the links file says it; and so is what its compressor does, "
		"if it has one: then each way is there with it and without.",
	.run = plan,
};
