#include "cli.h"
#include "protocol/protocol.h"
#include <stdio.h>

enum { ERRORS_MAX = 64 * 1024 };

struct config *cli_load_config(int argc, char **argv)
{
    const char *file = CONFIG_DEFAULT_FILE;
    if (argc == 3 && slice_eq(slice_str(argv[1]), SLICE("-c"))) {
        file = argv[2];
    } else if (argc != 1) {
        fprintf(stderr, "usage: yantian %s [-c FILE]\n", argv[0]);
        return NULL;
    }
    struct config *config = NULL;
    struct buf errors;
    buf_init(&errors, ERRORS_MAX);
    if (config_load(file, protocol_configs, &config, &errors) != ERR_OK)
        fprintf(stderr, "%.*s", SLICE_ARG(buf_slice(&errors)));
    buf_free(&errors);
    return config;
}
