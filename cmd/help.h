/* The texts of --help, from the tables. */
#ifndef DSTRAIN_CMD_HELP_H
#define DSTRAIN_CMD_HELP_H

struct command;

void help_overview(void); /* on stdout */
void help_command(const struct command *command);
void help_unknown(const char *word); /* on stderr: no such command */

#endif
