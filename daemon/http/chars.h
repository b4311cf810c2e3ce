/* Character classes of the HTTP grammars; one table look-up per byte. Private to daemon/http. */
#ifndef YT_HTTP_CHARS_H
#define YT_HTTP_CHARS_H

#include "base/slice.h"

enum {
    HTTP_CHAR_TOKEN = 1,  /* tchar, RFC 9110 section 5.6.2 */
    HTTP_CHAR_VALUE = 2,  /* field value: visible ASCII, obs-text, blank and tab (section 5.5) */
    HTTP_CHAR_TARGET = 4, /* visible ASCII without '#': what a request target may hold */
    HTTP_CHAR_HOST = 8,   /* letters, digits, '-', '_' and '.': a host name as DNS is used */
    HTTP_CHAR_DIGIT = 16,
    HTTP_CHAR_SCHEME = 32, /* RFC 3986 section 3.1, after the first letter */
    HTTP_CHAR_PLAIN = 64,  /* of TARGET what means nothing in a path: not '%', '.', '/', '\\' */
};

extern const unsigned char http_chars[256];

static inline bool http_char_is(char c, int classes)
{
    return (http_chars[(unsigned char)c] & classes) != 0;
}

/* Is every byte of one of the classes? True for an empty slice. */
static inline bool http_chars_all(struct slice s, int classes)
{
    for (size_t i = 0; i < s.n; i++)
        if (!http_char_is(s.p[i], classes))
            return false;
    return true;
}

/* 0 to 15, or -1. */
static inline int http_hex_value(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    return -1;
}

/* The byte that the escape at s.p[at] ('%' and two hex digits) stands for, or -1. */
static inline int http_escape_value(struct slice s, size_t at)
{
    if (s.n - at < 3)
        return -1;
    int high = http_hex_value(s.p[at + 1]);
    int low = http_hex_value(s.p[at + 2]);
    return high < 0 || low < 0 ? -1 : high << 4 | low;
}

#endif
