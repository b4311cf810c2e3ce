/* Prints conf/REFERENCE.md: the daemon's own table of configuration keys, as Markdown. */
#include <stdio.h>

#include "base/config.h"

enum { REFERENCE_MAX = 256 * 1024 };

int main(void)
{
    struct buf b;

    buf_init(&b, REFERENCE_MAX);
    buf_add(&b, SLICE("# Configuration reference\n\n"
                      "Made by `make reference` from the table in `daemon/base/config_keys.h`; "
                      "`make lint` fails when\nthe two differ. Durations are written `250ms`, "
                      "`90s`, `5m`, `2h`, `30d`; sizes `4096`, `64KiB`,\n`10MiB`, `100GiB`, "
                      "`1TiB`. A key that is not listed here is an error.\n\n"));
    config_reference(&b);
    bool whole = !b.failed && fwrite(b.p, 1, b.n, stdout) == b.n && fflush(stdout) == 0;
    buf_free(&b);
    return whole ? 0 : 1;
}
