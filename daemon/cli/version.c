#include "cli.h"
#include <stdio.h>

int cli_version(int argc, char **argv)
{
    (void)argc;
    (void)argv;
    puts("yantian " YT_VERSION);
    return 0;
}
