/* The texts of --help, from the tables. */
#include "cmd/help.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "cmd/cmd.h"
#include "cmd/output.h"
#include "lib/log.h"
#include "lib/memory.h"
#include "lib/suggest.h"
#include "lib/table.h"
#include "lib/terminal.h"

/* A long sentence is a table of one cell. */
static void print_paragraph(const char *text)
{
	struct table table = { .align = "l", .width = terminal_width(STDOUT_FILENO) };

	table_add(&table, "%s", text);
	output_table(&table);
	table_release(&table);
}

void help_overview(void)
{
	struct table table = { .align = "ll", .indent = 2, .width = terminal_width(STDOUT_FILENO) };

	print_paragraph("dstrain trains a model on this machine or on many hosts over SSH.");
	printf("\nUsage: dstrain COMMAND [FLAGS]\n\nCommands:\n");
	for (size_t i = 0; commands[i]; i++) {
		if (commands[i]->hidden)
			continue;
		table_add(&table, "%s%s%s", commands[i]->name, commands[i]->operands[0] ? " " : "",
			  commands[i]->operands);
		table_add(&table, "%s", commands[i]->summary);
	}
	output_table(&table);
	printf("\nSee `dstrain COMMAND --help`, `man dstrain` and `man dstrain-recipe`.\n");
	table_release(&table);
}

void help_command(const struct command *command)
{
	struct table table = { .align = "lll",
			       .indent = 2,
			       .width = terminal_width(STDOUT_FILENO) };

	printf("Usage: dstrain %s%s%s [FLAGS]\n\n", command->name, command->operands[0] ? " " : "",
	       command->operands);
	print_paragraph(command->summary);
	if (command->details) {
		printf("\n");
		print_paragraph(command->details);
	}
	printf("\nFlags:\n");
	for (const struct flag *f = NULL; (f = flags_next(command, f));) {
		table_add(&table, "%s%c", f->letter ? "-" : "", f->letter);
		table_add(&table, "--%s%s%s", f->opt.key, f->metavar ? " " : "",
			  f->metavar ? f->metavar : "");
		table_add(&table, "%s", f->opt.summary);
	}
	output_table(&table);
	table_release(&table);
}

void help_unknown(const char *word)
{
	const char **names = NULL;
	const char *near;
	size_t count = 0;

	for (size_t i = 0; commands[i]; i++) {
		if (commands[i]->hidden)
			continue;
		names = xrealloc(names, count + 1, sizeof(*names));
		names[count++] = commands[i]->name;
	}
	near = suggest(word, names, count);
	if (near)
		log_error("no command '%s'; did you mean '%s'?", word, near);
	else
		log_error("no command '%s'; see `dstrain --help`", word);
	free(names);
}
