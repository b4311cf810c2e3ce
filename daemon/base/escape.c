#include "escape.h"

static bool is_plain(unsigned char c)
{
    return c >= 0x20 && c < 0x7f && c != '"' && c != '\\';
}

size_t escape_plain(struct slice s)
{
    size_t i = 0;

    while (i < s.n && is_plain((unsigned char)s.p[i]))
        i++;
    return i;
}

static bool is_continuation(unsigned char c)
{
    return (c & 0xc0) == 0x80;
}

/*
 * Length of the well-formed multi-byte UTF-8 sequence at the start of `s`, or 0 (RFC 3629 section
 * 4). The range of the second byte rules out overlong forms, surrogates and what is past U+10FFFF.
 */
static size_t utf8_length(struct slice s)
{
    unsigned char lead = (unsigned char)s.p[0];
    unsigned char low = 0x80;
    unsigned char high = 0xbf;
    size_t n = lead >= 0xf0 ? 4 : lead >= 0xe0 ? 3 : 2;

    if (lead < 0xc2 || lead > 0xf4 || s.n < n)
        return 0;
    if (lead == 0xe0)
        low = 0xa0;
    else if (lead == 0xed)
        high = 0x9f;
    else if (lead == 0xf0)
        low = 0x90;
    else if (lead == 0xf4)
        high = 0x8f;
    unsigned char second = (unsigned char)s.p[1];
    if (second < low || second > high)
        return 0;
    for (size_t i = 2; i < n; i++)
        if (!is_continuation((unsigned char)s.p[i]))
            return 0;
    return n;
}

/* The letter of a two-character escape, or 0. */
static char short_escape(unsigned char c)
{
    switch (c) {
    case '"':
    case '\\':
        return (char)c;
    case '\n':
        return 'n';
    case '\r':
        return 'r';
    case '\t':
        return 't';
    default:
        return 0;
    }
}

static size_t escape_byte(unsigned char c, char out[ESCAPE_MAX])
{
    static const char hex[] = "0123456789abcdef";
    char letter = short_escape(c);

    out[0] = '\\';
    if (letter) {
        out[1] = letter;
        return 2;
    }
    out[1] = 'u';
    out[2] = '0';
    out[3] = '0';
    out[4] = hex[c >> 4];
    out[5] = hex[c & 15];
    return 6;
}

bool utf8_valid(struct slice s)
{
    while (s.n) {
        bool ascii = (unsigned char)s.p[0] < 0x80;
        size_t n = ascii ? 1 : utf8_length(s);
        if (n == 0)
            return false;
        s = slice_from(s, n);
    }
    return true;
}

/* U+0080 to U+009F: controls that terminals obey. */
static bool is_c1_control(struct slice s, size_t length)
{
    return length == 2 && (unsigned char)s.p[0] == 0xc2 && (unsigned char)s.p[1] < 0xa0;
}

size_t escape_next(struct slice *s, char out[ESCAPE_MAX])
{
    unsigned char c = (unsigned char)s->p[0];
    size_t n = is_plain(c) ? 1 : utf8_length(*s);

    if (is_c1_control(*s, n)) {
        c = (unsigned char)s->p[1];
        *s = slice_from(*s, 2);
        return escape_byte(c, out);
    }
    if (n == 0) {
        *s = slice_from(*s, 1);
        return escape_byte(c, out);
    }
    memcpy(out, s->p, n);
    *s = slice_from(*s, n);
    return n;
}
