/* keys_command: `carousel keys add NAME` and `carousel keys list`, on the file auth.keys_file.
 *
 * add makes a key of 32 random bytes, prints it on stdout, which is the only place where it ever stands, and
 * appends a line with its hash to the file, which is made (mode 0600) if there is none. A server that runs
 * rereads the file at SIGHUP. list prints names, scopes and quotas. Returns the process's exit code. main
 * only. */
#ifndef CAROUSEL_SERVER_KEYS_COMMAND_H
#define CAROUSEL_SERVER_KEYS_COMMAND_H

#include "server/cli/arguments.h"

int keys_command(const struct arguments *arguments, const struct config *config);

#endif
