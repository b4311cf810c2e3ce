/* The faults found in one file, reported together in line order; the earliest FAULTS_MAX are kept.
 */
#ifndef YT_BASE_FAULTS_H
#define YT_BASE_FAULTS_H

#include "base/buf.h"
#include "base/err.h"

enum { FAULTS_MAX = 20, FAULT_TEXT_MAX = 400 };

struct fault {
    unsigned line; /* from 1; 0: of the file as a whole */
    char text[FAULT_TEXT_MAX];
};

struct faults {
    size_t n;
    struct fault v[FAULTS_MAX];
};

/* Longer texts are cut. Faults of one line stay in the order of their coming. */
void faults_add(struct faults *f, unsigned line, const char *fmt, ...) YT_PRINTF(3, 4);

/* One line each: "FILE:LINE: text", or "FILE: text". */
void faults_print(const struct faults *f, const char *file, struct buf *out);

#endif
