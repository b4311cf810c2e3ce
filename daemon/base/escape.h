/*
 * JSON string escaping (RFC 8259 section 7), one piece at a time, so that callers with and without
 * memory of their own can share it.
 */
#ifndef YT_BASE_ESCAPE_H
#define YT_BASE_ESCAPE_H

#include "base/slice.h"

enum { ESCAPE_MAX = 6 };

/* Is it UTF-8 throughout (RFC 3629)? */
bool utf8_valid(struct slice s);

/* How many bytes at the start of `s` stand for themselves inside a JSON string. */
size_t escape_plain(struct slice s);

/*
 * Takes one character off the front of `s`, which is not empty, and writes it as it stands inside a
 * JSON string; returns how many bytes that are. A byte that is not part of valid UTF-8, and a
 * control character of any kind, becomes \u00XX.
 */
size_t escape_next(struct slice *s, char out[ESCAPE_MAX]);

#endif
