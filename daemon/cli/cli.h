/* The subcommands. Each takes its arguments (argv[0] is its name) and returns the exit status. */
#ifndef YT_CLI_CLI_H
#define YT_CLI_CLI_H

#include "base/config.h"

int cli_serve(int argc, char **argv);
int cli_check_config(int argc, char **argv);
int cli_version(int argc, char **argv);

/*
 * Reads the options that serve and check-config share (-c FILE) and loads the configuration.
 * On failure says why on standard error and returns NULL. Free with config_free.
 */
struct config *cli_load_config(int argc, char **argv);

#endif
