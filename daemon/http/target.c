#include "base/bytes16.h"
#include "chars.h"
#include "http/request.h"

/*
 * The byte at *at with its escape resolved, *at moved to the byte behind; -1 when it may not stand
 * in a path at all: controls, blank, DEL, backslash (raw or escaped), raw bytes that are not ASCII,
 * a '%' that begins no escape.
 */
static int path_byte(struct slice path, size_t *at)
{
    char raw = path.p[*at];
    int value = (unsigned char)raw;
    if (raw == '%')
        value = http_escape_value(path, *at);
    else if (!http_char_is(raw, HTTP_CHAR_TARGET))
        return -1;
    *at += raw == '%' ? 3 : 1;
    return value < 0x20 || value == 0x7f || value == '\\' ? -1 : value;
}

/* Sixteen bytes that make no dot segment by themselves, nor escape anything. */
static bool are_harmless(bytes16 v)
{
    return bytes16_all(bytes16_visible(v) & (bytes16)(v != '#') & (bytes16)(v != '%') &
                       (bytes16)(v != '.') & (bytes16)(v != '\\'));
}

/*
 * Dot segments are looked for between slashes of both spellings: an upstream that decodes %2f
 * before it removes dot segments would climb on "..%2f".
 */
bool http_path_is_clean(struct slice path)
{
    if (path.n == 0 || path.p[0] != '/')
        return false;
    size_t dots = 0, others = 0; /* of the current segment */
    for (size_t at = 0; at < path.n;) {
        while ((dots == 0 || others > 0) && path.n - at >= sizeof(bytes16) &&
               are_harmless(bytes16_at(path.p + at))) {
            at += sizeof(bytes16);
            others = path.p[at - 1] != '/';
            dots = 0;
        }
        size_t plain = at; /* nearly all bytes are */
        while (at < path.n && http_char_is(path.p[at], HTTP_CHAR_PLAIN))
            at++;
        others += at - plain;
        if (at == path.n)
            break;
        int c = path_byte(path, &at);
        if (c < 0)
            return false;
        if (c == '/') {
            if (others == 0 && (dots == 1 || dots == 2))
                return false;
            dots = others = 0;
        } else if (c == '.') {
            dots++;
        } else {
            others++;
        }
    }
    return others > 0 || dots == 0 || dots > 2;
}

struct slice http_query_get(struct slice query, struct slice name)
{
    while (query.n > 0) {
        size_t end = slice_find(query, '&');
        struct slice param = slice_to(query, end);
        size_t equals = slice_find(param, '=');
        if (slice_eq(slice_to(param, equals), name))
            return slice_from(param, equals + 1);
        query = slice_from(query, end + 1);
    }
    return slice_of(NULL, 0);
}

struct slice http_percent_decode(struct arena *a, struct slice s)
{
    const struct slice none = {NULL, 0};
    char *out = arena_alloc(a, s.n ? s.n : 1);
    if (!out)
        return none;
    size_t n = 0;
    for (size_t i = 0; i < s.n; i++) {
        if (s.p[i] != '%') {
            out[n++] = s.p[i];
            continue;
        }
        int value = http_escape_value(s, i);
        if (value < 0)
            return none;
        out[n++] = (char)value;
        i += 2;
    }
    return slice_of(out, n);
}
