#include "cli.h"
#include <stdio.h>

int cli_check_config(int argc, char **argv)
{
    struct config *config = cli_load_config(argc, argv);
    if (!config)
        return 1;
    printf("ok: %zu routes, %zu listeners\n", config->route_count, config->listen_count);
    config_free(&config);
    return 0;
}
