/* help: the tables of commands and options as text for people, and as a script for bash. main only. */
#ifndef CAROUSEL_SERVER_HELP_H
#define CAROUSEL_SERVER_HELP_H

#include <stdio.h>

#include "server/cli/arguments.h"

/* Print the help of a command, or, for COMMAND_NONE, the list of commands. */
void help_print(enum command command, FILE *out);
/* Print the bash script that completes command lines of carousel. */
void help_print_completion(FILE *out);

/* Do what `help`, `completion`, or --help with a command ask. Returns the process's exit code. */
int help_run(const struct arguments *arguments);

#endif
