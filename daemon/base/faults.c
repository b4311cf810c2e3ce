#include "faults.h"

#include <stdarg.h>
#include <stdio.h>

void faults_add(struct faults *f, unsigned line, const char *fmt, ...)
{
    size_t at = f->n;
    va_list args;

    while (at > 0 && f->v[at - 1].line > line)
        at--;
    if (at == FAULTS_MAX)
        return;
    if (f->n < FAULTS_MAX)
        f->n++;
    memmove(&f->v[at + 1], &f->v[at], (f->n - at - 1) * sizeof f->v[0]);
    f->v[at].line = line;
    va_start(args, fmt);
    vsnprintf(f->v[at].text, sizeof f->v[at].text, fmt, args);
    va_end(args);
}

void faults_print(const struct faults *f, const char *file, struct buf *out)
{
    for (size_t i = 0; i < f->n; i++) {
        buf_addf(out, "%s:", file);
        if (f->v[i].line)
            buf_addf(out, "%u:", f->v[i].line);
        buf_addf(out, " %s\n", f->v[i].text);
    }
}
