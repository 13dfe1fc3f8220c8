/* The command line as a table: one row gives a flag's name, type, default, range and help text. */
#include "cmd/flags.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cmd/cmd.h"
#include "lib/memory.h"
#include "lib/setting.h"
#include "lib/suggest.h"
#include "lib/terminal.h"

#define TO(field)     offsetof(struct flags, field)
#define LARGEST_BYTES 8589934592.0 /* 8 GiB */
#define SWITCH(key, field, summary)                     \
	{                                               \
		key, OPT_BOOL, TO(field), "no", summary \
	}

static const struct flag table[] = {
	{ FLAG_HOSTS,
	  { "hosts", OPT_TEXT, TO(hosts), "", "a hosts file, 'local:4' or 'a:4,b:4'" },
	  "WHERE",
	  'H' },
	{ FLAG_SET,
	  { "set", OPT_TEXT, TO(set), "", "give a key of the recipe another value; repeatable" },
	  "KEY=VALUE" },
	{ FLAG_EMULATE,
	  { "emulate", OPT_TEXT, TO(emulate), "",
	    "act out a network on this machine: a topology, links.json or rates" },
	  "FILE" },
	{ FLAG_RUN_DIR,
	  { "run-dir", OPT_TEXT, TO(run_dir), "", "directory of the run; default: runs/NAME" },
	  "DIR" },
	{ FLAG_RECIPE,
	  { "recipe", OPT_TEXT, TO(recipe), "", "the model's recipe, where no run tells it" },
	  "FILE" },
	{ FLAG_DATA,
	  { "data", OPT_TEXT, TO(data), "", "other test data: short for --set data.test=FILE" },
	  "FILE" },
	{ FLAG_SAMPLE,
	  { "prompt", OPT_TEXT, TO(prompt), "", "how the text begins; default: a new line" },
	  "TEXT" },
	{ FLAG_SAMPLE,
	  { "tokens", OPT_COUNT, TO(tokens), "500", "how many words or characters follow", .min = 0,
	    .max = 1e9 },
	  "COUNT" },
	{ FLAG_SAMPLE,
	  { "temperature", OPT_REAL, TO(temperature), "1",
	    "above 1: wilder; below: tamer; 0: always the most probable", .min = 0, .max = 100 },
	  "NUMBER" },
	{ FLAG_SAMPLE,
	  { "top-k", OPT_COUNT, TO(top_k), "0", "only so many of the most probable; 0: all",
	    .min = 0, .max = 1e9 },
	  "COUNT" },
	{ FLAG_SAMPLE,
	  { "seed", OPT_COUNT, TO(seed), "0", "of what is drawn", .min = 0, .max = 1e15 },
	  "COUNT" },
	{ FLAG_LINKS,
	  { "links", OPT_TEXT, TO(links), "",
	    "what the network carries: as dstrain probe saved it, a topology, or a table" },
	  "FILE" },
	{ FLAG_FANOUT,
	  { "fanout", OPT_COUNT, TO(fanout), "32", "hosts to act on at the same time", .min = 1,
	    .max = 1024 },
	  "COUNT" },
	{ FLAG_SIZES,
	  { "begin", OPT_BYTES, TO(begin_bytes), "4K", "smallest size", .min = 4,
	    .max = LARGEST_BYTES },
	  "SIZE",
	  'b' },
	{ FLAG_SIZES,
	  { "end", OPT_BYTES, TO(end_bytes), "256M", "largest size", .min = 4,
	    .max = LARGEST_BYTES },
	  "SIZE",
	  'e' },
	{ FLAG_SIZES,
	  { "factor", OPT_COUNT, TO(factor), "2", "from one size to the next", .min = 2,
	    .max = 1024 },
	  "COUNT",
	  'f' },
	{ FLAG_SIZES,
	  { "iters", OPT_COUNT, TO(iters), "0", "iterations of each size; default: 0.2 s of them",
	    .min = 0, .max = 100000 },
	  "COUNT",
	  'n' },
	{ FLAG_PLAN,
	  { "rtt", OPT_TEXT, TO(rtt), "", "round trips in ms, where --links is a table of rates" },
	  "FILE" },
	{ FLAG_PLAN,
	  { "bytes", OPT_BYTES, TO(plan_bytes), "0",
	    "size of the parameters; default: those of the recipe, or 4MiB", .min = 0,
	    .max = 1e15 },
	  "SIZE" },
	{ FLAG_PLAN,
	  { "compute", OPT_SECONDS, TO(compute_s), "0s",
	    "of a step without communication; default: as the links say, or measured here",
	    .min = 0, .max = 86400 },
	  "TIME" },
	{ FLAG_PLAN,
	  { "period", OPT_COUNT, TO(period), "0",
	    "steps within which averages are exact; default: the recipe's, or 8", .max = 1024 },
	  "COUNT" },
	{ FLAG_PLAN,
	  { "search", OPT_SECONDS, TO(search_s), "1s", "look for better orders at most so long",
	    .min = 0, .max = 86400 },
	  "TIME" },
	{ FLAG_PROBE,
	  { "save", OPT_TEXT, TO(save), "", "write what was measured there, as dstrain-links(5)" },
	  "FILE" },
	{ FLAG_PROBE,
	  { "against", OPT_TEXT, TO(against), "", "say what has changed since that was written" },
	  "FILE" },
	{ FLAG_PROBE,
	  { "seconds", OPT_SECONDS, TO(probe_s), "0s",
	    "measure for about so long; default: 4s, and 1s for each host", .min = 0,
	    .max = 86400 },
	  "TIME" },
	{ FLAG_PROBE,
	  { "bytes", OPT_BYTES, TO(probe_bytes), "0", "send about so much; default: no limit" },
	  "SIZE" },
	{ FLAG_PROBE,
	  { "concurrent", OPT_COUNT, TO(concurrent), "0", "flows at once; default: any number",
	    .min = 0, .max = 1e6 },
	  "COUNT" },
	{ FLAG_PROBE, SWITCH("pairs-only", pairs_only, "do not look for what flows share") },
	{ FLAG_PROBE, SWITCH("ssh-only", ssh_only, "measure nothing: only say who reaches whom") },
	{ FLAG_DRY_RUN, SWITCH("dry-run", dry_run, "show what would be done, and do nothing") },
	{ FLAG_GRACE,
	  { "grace", OPT_SECONDS, TO(grace_s), "30s",
	    "time for a checkpoint when told to stop, as 90s or 2m", .min = 1, .max = 86400 },
	  "TIME" },
	{ FLAG_DETACH, SWITCH("detach", detach, "return once training has begun; it goes on") },
	{ FLAG_STOP,
	  { "grace", OPT_SECONDS, TO(stop_grace_s), "0s",
	    "time for a checkpoint; default: what the run has" },
	  "TIME" },
	{ FLAG_STOP, SWITCH("now", now, "end at once, without a checkpoint") },
	{ FLAG_FOLLOW, SWITCH("follow", follow, "go on until the run ends"), .letter = 'f' },
	{ FLAG_CLEAN, SWITCH("force", force, "also where a run is at work: it is ended there") },
	{ FLAG_CLEAN, SWITCH("yes", yes, "do not ask, also on a terminal"), .letter = 'y' },
	{ FLAG_PRINT, SWITCH("print", print, "print the recipe with every default filled in") },
	{ FLAG_MARKDOWN, SWITCH("markdown", markdown, "print a Markdown table") },
	{ FLAG_JSON, SWITCH("json", json, "print results as JSON") },
	{ FLAG_ALWAYS, SWITCH("quiet", quiet, "say only what is wrong"), .letter = 'q' },
	{ FLAG_ALWAYS, SWITCH("verbose", verbose, "say more"), .letter = 'v' },
	{ FLAG_ALWAYS,
	  { "color", OPT_CHOICE, TO(color), "auto", "colour: auto, always or never",
	    .choices = terminal_color_names },
	  "WHEN" },
	{ FLAG_ALWAYS, SWITCH("help", help, "show this text"), .letter = 'h' },
	{ FLAG_ALWAYS, SWITCH("version", version, "show the version") },
};

/* "dstrain: error: ..." as the log writes it. */
static const struct place place = { .file = "dstrain: error" };

struct reading {
	const struct command *command;
	struct flags *flags;
	char **argv;
	int argc, next;
	struct settings given;
	struct problems problems;
};

const struct flag *flags_next(const struct command *command, const struct flag *previous)
{
	const struct flag *flag = previous ? previous + 1 : table;

	for (; flag < table + ARRAY_SIZE(table); flag++)
		if ((flag->member & (command->flags | FLAG_ALWAYS)) != 0)
			return flag;
	return NULL;
}

/* As messages name it. Caller frees. */
static char *name_of(const struct flag *flag)
{
	return xasprintf("--%s", flag->opt.key);
}

static void report_unknown(struct reading *r, const char *name)
{
	const char *names[ARRAY_SIZE(table)];
	const char *near;
	size_t count = 0;

	for (const struct flag *f = NULL; (f = flags_next(r->command, f));)
		names[count++] = f->opt.key;
	near = suggest(name, names, count);
	if (near)
		problems_add(&r->problems, place, "unknown flag '--%s'; did you mean '--%s'?", name,
			     near);
	else
		problems_add(&r->problems, place, "unknown flag '--%s'", name);
}

/* `value` is what stands behind '=' or right behind a letter; NULL if nothing does. */
static void give(struct reading *r, const struct flag *flag, const char *value)
{
	struct setting *entry;
	char *key;

	if (!value && flag->opt.type == OPT_BOOL)
		value = "yes";
	if (!value && r->next < r->argc)
		value = r->argv[r->next++];
	if (!value || !value[0]) {
		problems_add(&r->problems, place, "'--%s' needs a value (%s)", flag->opt.key,
			     flag->metavar ? flag->metavar : "yes or no");
		return;
	}
	if (flag->member == FLAG_SET) {
		r->flags->set =
			xrealloc(r->flags->set, r->flags->set_count + 1, sizeof(*r->flags->set));
		r->flags->set[r->flags->set_count++] = value;
		return;
	}
	key = name_of(flag);
	settings_remove(&r->given, key);
	entry = settings_add(&r->given, key, SETTING_SCALAR, place);
	setting_add_value(entry, value, strlen(value));
	free(key);
}

static void read_long(struct reading *r, const char *text)
{
	size_t length = strcspn(text, "=");
	char *name = xstrndup(text, length);

	for (char *c = name; (c = strchr(c, '_'));)
		*c = '-';
	for (const struct flag *f = NULL; (f = flags_next(r->command, f));) {
		if (strcmp(f->opt.key, name) == 0) {
			give(r, f, text[length] ? text + length + 1 : NULL);
			free(name);
			return;
		}
	}
	report_unknown(r, name);
	free(name);
}

static void read_letters(struct reading *r, const char *letters)
{
	while (*letters) {
		const struct flag *flag = NULL;
		char letter = *letters++;

		while ((flag = flags_next(r->command, flag)) && flag->letter != letter)
			;
		if (!flag) {
			problems_add(&r->problems, place, "unknown flag '-%c'", letter);
		} else if (flag->opt.type == OPT_BOOL) {
			give(r, flag, NULL);
		} else {
			give(r, flag, *letters ? letters : NULL);
			return;
		}
	}
}

static void read_words(struct reading *r)
{
	bool ended = false;

	r->flags->operands = xcalloc((size_t)r->argc, sizeof(*r->flags->operands));
	while (r->next < r->argc) {
		const char *word = r->argv[r->next++];

		if (ended || word[0] != '-' || !word[1])
			r->flags->operands[r->flags->operand_count++] = word;
		else if (strcmp(word, "--") == 0)
			ended = true;
		else if (word[1] == '-')
			read_long(r, word + 2);
		else
			read_letters(r, word + 1);
	}
}

static void check_operands(struct reading *r)
{
	const struct flags *flags = r->flags;

	if (flags->help || flags->version)
		return;
	if (flags->operand_count < r->command->least)
		problems_add(&r->problems, place, "'dstrain %s' needs %s", r->command->name,
			     r->command->operands);
	if (flags->operand_count > r->command->most)
		problems_add(&r->problems, place, "unexpected '%s'",
			     flags->operands[r->command->most]);
}

int flags_read(struct flags *flags, const struct command *command, int argc, char **argv)
{
	struct reading r = { .command = command, .flags = flags, .argv = argv, .argc = argc };
	struct settings resolved = { 0 };
	size_t count;

	read_words(&r);
	for (const struct flag *f = NULL; (f = flags_next(command, f));) {
		struct opt rows[] = { f->opt, { 0 } };
		char *key = name_of(f);

		rows[0].key = key;
		if (f->member != FLAG_SET)
			opt_read(rows, &r.given, "", flags, &resolved, &r.problems);
		free(key);
	}
	check_operands(&r);
	count = r.problems.count;
	if (count)
		fprintf(stderr, "%sdstrain: see `dstrain %s --help`\n", buf_text(&r.problems.text),
			command->name);
	settings_release(&r.given);
	settings_release(&resolved);
	problems_release(&r.problems);
	return count ? -1 : 0;
}

void flags_release(struct flags *flags, const struct command *command)
{
	for (const struct flag *f = NULL; (f = flags_next(command, f));) {
		struct opt rows[] = { f->opt, { 0 } };

		if (f->member != FLAG_SET)
			opt_release(rows, flags);
	}
	free(flags->set);
	free(flags->operands);
	*flags = (struct flags){ 0 };
}
