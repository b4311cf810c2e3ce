/* What the fuzz targets share: the entry point's prototype and checks that end the process. */
#ifndef YT_TESTS_FUZZ_CHECK_H
#define YT_TESTS_FUZZ_CHECK_H

#include <stdio.h>
#include <stdlib.h>

#include "base/slice.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Unlike assert, never compiled out. */
#define CHECK(condition)                                                                           \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            fprintf(stderr, "%s:%d: broken: %s\n", __FILE__, __LINE__, #condition);                \
            abort();                                                                               \
        }                                                                                          \
    } while (0)

static inline struct slice fuzz_input(const uint8_t *data, size_t size)
{
    return slice_of((const char *)data, size);
}

/* Does `part` lie inside `whole`? A slice that is not there does. */
static inline bool is_inside(struct slice whole, struct slice part)
{
    return !part.p || (part.p >= whole.p && part.p + part.n <= whole.p + whole.n);
}

/* Takes the bytes before the next LF, or all, off *text. */
static inline struct slice take_line(struct slice *text)
{
    size_t end = slice_find(*text, '\n');
    struct slice line = slice_to(*text, end);
    *text = slice_from(*text, end + 1);
    return line;
}

#endif
