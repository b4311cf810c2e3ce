#include "http/vary.h"

#include <stdlib.h>

#include "base/buf.h"

enum { TEXT_MAX = 128 * 1024 }; /* twice what a head may hold */

struct names {
    struct slice v[HTTP_VARY_MAX];
    size_t n;
    bool any;
};

/* --- names --- */

static bool take_name(void *arg, struct slice name)
{
    struct names *out = arg;
    for (size_t i = 0; i < out->n; i++)
        if (slice_ieq(out->v[i], name))
            return true;
    out->any = slice_eq(name, SLICE("*")) || !http_is_token(name) || out->n == HTTP_VARY_MAX;
    if (!out->any)
        out->v[out->n++] = name;
    return !out->any;
}

static int compare_names(const void *a, const void *b)
{
    const struct slice *left = a, *right = b;
    size_t n = left->n < right->n ? left->n : right->n;
    int order = strncasecmp(left->p, right->p, n);
    return order ? order : (left->n > right->n) - (left->n < right->n);
}

/* Not tolower(), which depends on the locale. */
static char lower(char c)
{
    if (c >= 'A' && c <= 'Z')
        return (char)(c | 0x20);
    return c;
}

static void add_lower(struct buf *b, struct slice s)
{
    for (size_t i = 0; i < s.n; i++)
        buf_addc(b, lower(s.p[i]));
}

/* Into the arena; p == NULL also when the buffer was too small. */
static struct slice take_text(struct arena *a, struct buf *b)
{
    struct slice text = b->failed ? slice_of(NULL, 0) : arena_copy(a, buf_slice(b));
    buf_free(b);
    return text;
}

static struct slice join_names(struct arena *a, struct names *names)
{
    struct buf b;
    if (names->any)
        return SLICE("*");
    if (names->n)
        qsort(names->v, names->n, sizeof names->v[0], compare_names);
    buf_init(&b, TEXT_MAX);
    for (size_t i = 0; i < names->n; i++) {
        if (i)
            buf_addc(&b, ',');
        add_lower(&b, names->v[i]);
    }
    return take_text(a, &b);
}

struct slice http_vary_names(struct arena *a, const struct http_fields *response)
{
    struct names names = {.n = 0};
    http_fields_each_element(response, HF_VARY, take_name, &names);
    return join_names(a, &names);
}

struct slice http_vary_join(struct arena *a, struct slice names, struct slice more)
{
    struct names both = {.n = 0};
    struct slice lists[] = {names, more}, name;
    for (size_t i = 0; i < sizeof lists / sizeof lists[0]; i++)
        while (http_list_next(&lists[i], &name))
            if (!take_name(&both, name))
                break;
    return join_names(a, &both);
}

/* --- values --- */

/* RFC 9110 sections 12.5.1 to 12.5.4: ranges of types, charsets, codings and languages. */
static bool ignores_case(struct slice name)
{
    static const struct slice fields[] = {SLICE("accept"), SLICE("accept-charset"),
                                          SLICE("accept-encoding"), SLICE("accept-language")};
    for (size_t i = 0; i < sizeof fields / sizeof fields[0]; i++)
        if (slice_ieq(name, fields[i]))
            return true;
    return false;
}

/* "name=a,b\n", or "name\n" for a field that is not there. */
static void add_values(struct buf *b, struct slice name, const struct http_fields *request)
{
    bool fold = ignores_case(name), first = true;
    buf_add(b, name);
    for (size_t i = 0; i < request->n; i++) {
        if (!slice_ieq(request->v[i].name, name))
            continue;
        struct slice list = request->v[i].value, element;
        if (first)
            buf_addc(b, '=');
        for (; http_list_next(&list, &element); first = false) {
            if (!first)
                buf_addc(b, ',');
            if (fold)
                add_lower(b, element);
            else
                buf_add(b, element);
        }
        first = false;
    }
    buf_addc(b, '\n');
}

struct slice http_vary_text(struct arena *a, struct slice names, const struct http_fields *request)
{
    struct buf b;
    struct slice name;
    buf_init(&b, TEXT_MAX);
    while (http_list_next(&names, &name))
        add_values(&b, name, request);
    return take_text(a, &b);
}
