/* dstrain completion: scripts for shells, from the tables of commands, flags and registries. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cmd/cmd.h"
#include "lib/buf.h"
#include "lib/log.h"
#include "lib/memory.h"
#include "lib/setting.h"
#include "runtime/job.h"

static const char *const shells[] = { "bash", "zsh", "fish", NULL };

/* What comes after a flag that takes a value, or as an operand. */
enum offer { OFFER_NOTHING, OFFER_FILES, OFFER_DIRECTORIES, OFFER_WORDS };

static enum offer offer_for(const struct flag *flag)
{
	if (flag->opt.choices || flag->member == FLAG_SET)
		return OFFER_WORDS;
	if (flag->member == FLAG_RUN_DIR)
		return OFFER_DIRECTORIES;
	return flag->opt.type == OPT_TEXT ? OFFER_FILES : OFFER_NOTHING;
}

static enum offer offer_operand(const struct command *command)
{
	static const enum offer offers[] = { [OPERAND_NONE] = OFFER_NOTHING,
					     [OPERAND_FILE] = OFFER_FILES,
					     [OPERAND_DIRECTORY] = OFFER_DIRECTORIES,
					     [OPERAND_WORD] = OFFER_WORDS,
					     [OPERAND_CATEGORY] = OFFER_WORDS };

	return offers[command->operand_kind];
}

static void add_words(struct buf *out, const char *const *words)
{
	for (size_t i = 0; words && words[i]; i++)
		buf_addf(out, "%s%s", out->length ? " " : "", words[i]);
}

static void add_key(struct settings *keys, const char *prefix, const char *key, const char *end)
{
	char *full = xasprintf("%s%s%s%s", prefix, prefix[0] ? "." : "", key, end);

	if (!settings_find(keys, full))
		settings_add(keys, full, SETTING_SCALAR, (struct place){ 0 });
	free(full);
}

/* Every key that some recipe can have, as --set wants it: "train.epochs=". */
static void add_recipe_keys(struct buf *out)
{
	struct settings keys = { 0 };

	for (const struct job_section *s = job_sections; s->prefix; s++) {
		for (const struct opt *row = s->options; row && row->key; row++)
			add_key(&keys, s->prefix, row->key, "=");
		if (!s->registry)
			continue;
		add_key(&keys, s->prefix, s->key, "=");
		for (size_t i = 0; s->registry->entries[i]; i++)
			for (const struct opt *row = s->registry->entries[i]->options;
			     row && row->key; row++)
				add_key(&keys, s->prefix, row->key, "=");
	}
	for (size_t i = 0; i < keys.count; i++)
		buf_addf(out, "%s%s", out->length ? " " : "", keys.entries[i].key);
	settings_release(&keys);
}

/* The words of OFFER_WORDS, one blank between; caller releases. */
static struct buf words_for(const struct flag *flag)
{
	struct buf words = { 0 };

	if (flag->member == FLAG_SET)
		add_recipe_keys(&words);
	else
		add_words(&words, flag->opt.choices);
	return words;
}

static struct buf words_operand(const struct command *command)
{
	struct buf words = { 0 };

	if (command->operand_kind == OPERAND_CATEGORY)
		for (size_t i = 0; job_registries[i]; i++)
			buf_addf(&words, "%s%s", i ? " " : "", job_registries[i]->category);
	else
		add_words(&words, command->words);
	return words;
}

static const struct command *next_command(size_t *i)
{
	while (commands[*i] && commands[*i]->hidden)
		(*i)++;
	return commands[*i] ? commands[(*i)++] : NULL;
}

static void bash_offer(enum offer offer, const char *words)
{
	static const char *const actions[] = {
		[OFFER_NOTHING] = "", [OFFER_FILES] = "-f", [OFFER_DIRECTORIES] = "-d"
	};

	if (offer == OFFER_WORDS)
		printf("-W '%s'", words);
	else
		printf("%s", actions[offer]);
}

static void bash_command(const struct command *command)
{
	struct buf words = words_operand(command);

	printf("\t%s)\n\t\tcase $before in\n", command->name);
	for (const struct flag *f = NULL; (f = flags_next(command, f));) {
		struct buf values = words_for(f);

		if (f->opt.type == OPT_BOOL)
			continue;
		printf("\t\t--%s", f->opt.key);
		if (f->letter)
			printf(" | -%c", f->letter);
		printf(") offer=(");
		bash_offer(offer_for(f), buf_text(&values));
		printf(") ;;\n");
		buf_release(&values);
	}
	printf("\t\t*) offer=(");
	bash_offer(offer_operand(command), buf_text(&words));
	printf(") flags='");
	for (const struct flag *f = NULL; (f = flags_next(command, f));)
		printf("--%s ", f->opt.key);
	printf("' ;;\n\t\tesac\n\t\t;;\n");
	buf_release(&words);
}

static void print_bash(void)
{
	const struct command *command;

	printf("# bash completion for dstrain; made by `dstrain completion bash`\n"
	       "_dstrain() {\n"
	       "\tlocal word=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD - 1]}\n"
	       "\tlocal flags='' offer=()\n"
	       "\tif [ \"$COMP_CWORD\" -eq 1 ]; then\n\t\toffer=(-W '");
	for (size_t i = 0; (command = next_command(&i));)
		printf("%s ", command->name);
	printf("--help --version')\n\tfi\n"
	       "\t[ \"$COMP_CWORD\" -gt 1 ] && case ${COMP_WORDS[1]} in\n");
	for (size_t i = 0; (command = next_command(&i));)
		bash_command(command);
	printf("\tesac\n"
	       "\t[[ $word == -* && $flags ]] && offer=(-W \"$flags\")\n"
	       "\tCOMPREPLY=()\n"
	       "\t[ ${#offer[@]} -eq 0 ] ||\n"
	       "\t\tmapfile -t COMPREPLY < <(compgen \"${offer[@]}\" -- \"$word\")\n"
	       "\t[[ ${COMPREPLY[0]} != *= ]] || compopt -o nospace\n"
	       "}\n"
	       "complete -o filenames -F _dstrain dstrain\n");
}

/* Inside single quotes; a backslash goes before each character of `special`. */
static void print_quoted(const char *text, const char *special, const char *quote)
{
	for (; *text; text++) {
		if (*text == '\'')
			printf("%s", quote);
		else
			printf("%s%c", strchr(special, *text) ? "\\" : "", *text);
	}
}

static void zsh_quoted(const char *text)
{
	print_quoted(text, ":[]\\", "'\\''");
}

static void zsh_offer(enum offer offer, const char *words)
{
	static const char *const actions[] = {
		[OFFER_NOTHING] = " ", [OFFER_FILES] = "_files", [OFFER_DIRECTORIES] = "_files -/"
	};

	if (offer == OFFER_WORDS)
		printf("(%s)", words);
	else
		printf("%s", actions[offer]);
}

static void zsh_flag(const struct flag *flag)
{
	struct buf words = words_for(flag);

	printf(" \\\n\t\t\t");
	if (flag->letter)
		printf("'(-%c --%s)'{-%c,--%s}'", flag->letter, flag->opt.key, flag->letter,
		       flag->opt.key);
	else
		printf("'%s--%s", flag->member == FLAG_SET ? "*" : "", flag->opt.key);
	printf("[");
	zsh_quoted(flag->opt.summary);
	printf("]");
	if (flag->opt.type != OPT_BOOL) {
		printf(":%s:", flag->metavar);
		zsh_offer(offer_for(flag), buf_text(&words));
	}
	printf("'");
	buf_release(&words);
}

static void zsh_command(const struct command *command)
{
	struct buf words = words_operand(command);

	printf("\t%s)\n\t\t_arguments", command->name);
	for (const struct flag *f = NULL; (f = flags_next(command, f));)
		zsh_flag(f);
	if (command->operand_kind != OPERAND_NONE) {
		printf(" \\\n\t\t\t'1:operand:");
		zsh_offer(offer_operand(command), buf_text(&words));
		printf("'");
	}
	printf("\n\t\t;;\n");
	buf_release(&words);
}

static void print_zsh(void)
{
	const struct command *command;

	printf("#compdef dstrain\n# zsh completion for dstrain; made by `dstrain completion zsh`\n"
	       "_dstrain() {\n\tlocal -a commands=(\n");
	for (size_t i = 0; (command = next_command(&i));) {
		printf("\t\t'%s:", command->name);
		zsh_quoted(command->summary);
		printf("'\n");
	}
	printf("\t)\n\tif ((CURRENT == 2)); then\n\t\t_describe command "
	       "commands\n\t\treturn\n\tfi\n"
	       "\tshift words\n\t((CURRENT--))\n\tcase $words[1] in\n");
	for (size_t i = 0; (command = next_command(&i));)
		zsh_command(command);
	printf("\tesac\n}\nif [ \"$funcstack[1]\" = _dstrain ]; then\n\t_dstrain \"$@\"\n"
	       "else\n\tcompdef _dstrain dstrain\nfi\n");
}

static void fish_quoted(const char *text)
{
	print_quoted(text, "\\", "\\'");
}

static void fish_offer(enum offer offer, const char *words)
{
	static const char *const actions[] = { [OFFER_NOTHING] = " -x",
					       [OFFER_FILES] = " -r -F",
					       [OFFER_DIRECTORIES] =
						       " -x -a '(__fish_complete_directories)'" };

	if (offer == OFFER_WORDS)
		printf(" -x -a '%s'", words);
	else
		printf("%s", actions[offer]);
}

static void fish_command(const struct command *command)
{
	struct buf words = words_operand(command);

	printf("complete -c dstrain -n __fish_use_subcommand -f -a %s -d '", command->name);
	fish_quoted(command->summary);
	printf("'\n");
	if (command->operand_kind != OPERAND_NONE) {
		printf("complete -c dstrain -n '__fish_seen_subcommand_from %s'", command->name);
		fish_offer(offer_operand(command), buf_text(&words));
		printf("\n");
	}
	for (const struct flag *f = NULL; (f = flags_next(command, f));) {
		struct buf values = words_for(f);

		printf("complete -c dstrain -n '__fish_seen_subcommand_from %s' -l %s",
		       command->name, f->opt.key);
		if (f->letter)
			printf(" -s %c", f->letter);
		if (f->opt.type != OPT_BOOL)
			fish_offer(offer_for(f), buf_text(&values));
		printf(" -d '");
		fish_quoted(f->opt.summary);
		printf("'\n");
		buf_release(&values);
	}
	buf_release(&words);
}

static void print_fish(void)
{
	const struct command *command;

	printf("# fish completion for dstrain; made by `dstrain completion fish`\n"
	       "complete -c dstrain -n __fish_use_subcommand -l help -d 'show the commands'\n"
	       "complete -c dstrain -n __fish_use_subcommand -l version -d 'show the version'\n");
	for (size_t i = 0; (command = next_command(&i));)
		fish_command(command);
}

static int completion(const struct flags *flags)
{
	static void (*const print[])(void) = { print_bash, print_zsh, print_fish };

	for (size_t i = 0; shells[i]; i++) {
		if (strcmp(flags->operands[0], shells[i]) == 0) {
			print[i]();
			return EXIT_DONE;
		}
	}
	log_error("no completion for '%s'; one of bash, zsh, fish", flags->operands[0]);
	return EXIT_USAGE;
}

const struct command completion_command = {
	.name = "completion",
	.operands = "bash|zsh|fish",
	.least = 1,
	.most = 1,
	.operand_kind = OPERAND_WORD,
	.words = shells,
	.summary = "Print a completion script for a shell",
	.details = "For bash: `dstrain completion bash > "
		   "~/.local/share/bash-completion/completions/dstrain`.",
	.run = completion,
};
