#include "http/fields.h"

#include "chars.h"

static const struct slice field_names[HF_COUNT] = {
#define X(id, name) [HF_##id] = {name, sizeof(name) - 1},
    HTTP_FIELD_ROWS(X)
#undef X
};

/* Length, first and last letter tell all rows apart. */
#define NAME_KEY(length, first, last) ((unsigned)(length) << 16 | (first) << 8 | (last))
#define ROW(length, first, last, id)                                                               \
    case NAME_KEY(length, first, last):                                                            \
        return HF_##id

/* The only row that a name of this length, first and last letter (lower case) can be. */
static enum http_field_id field_candidate(unsigned key)
{
    switch (key) {
        ROW(2, 't', 'e', TE);
        ROW(3, 'a', 'e', AGE);
        ROW(3, 'v', 'a', VIA);
        ROW(4, 'd', 'e', DATE);
        ROW(4, 'e', 'g', ETAG);
        ROW(4, 'h', 't', HOST);
        ROW(4, 'l', 'k', LINK);
        ROW(4, 'v', 'y', VARY);
        ROW(5, 'r', 'e', RANGE);
        ROW(6, 'a', 't', ACCEPT);
        ROW(6, 'c', 'e', COOKIE);
        ROW(6, 'e', 't', EXPECT);
        ROW(6, 'p', 'a', PRAGMA);
        ROW(7, 'e', 's', EXPIRES);
        ROW(7, 'n', 'p', NPM_OTP);
        ROW(7, 't', 'r', TRAILER);
        ROW(7, 'u', 'e', UPGRADE);
        ROW(7, 'w', 'g', WARNING);
        ROW(8, 'i', 'e', IF_RANGE);
        ROW(8, 'l', 'n', LOCATION);
        ROW(10, 'c', 'n', CONNECTION);
        ROW(10, 'k', 'e', KEEP_ALIVE);
        ROW(10, 'n', 'e', NPM_NOTICE);
        ROW(10, 's', 'e', SET_COOKIE);
        ROW(10, 'u', 't', USER_AGENT);
        ROW(11, 'r', 'r', RETRY_AFTER);
        ROW(12, 'c', 'e', CONTENT_TYPE);
        ROW(13, 'a', 'n', AUTHORIZATION);
        ROW(13, 'a', 's', ACCEPT_RANGES);
        ROW(13, 'c', 'e', CONTENT_RANGE);
        ROW(13, 'c', 'l', CACHE_CONTROL);
        ROW(13, 'i', 'h', IF_NONE_MATCH);
        ROW(13, 'l', 'd', LAST_MODIFIED);
        ROW(14, 'c', 'h', CONTENT_LENGTH);
        ROW(15, 'a', 'g', ACCEPT_ENCODING);
        ROW(16, 'c', 'e', CONTENT_LANGUAGE);
        ROW(16, 'c', 'g', CONTENT_ENCODING);
        ROW(16, 'c', 'n', CONTENT_LOCATION);
        ROW(16, 'p', 'n', PROXY_CONNECTION);
        ROW(16, 'w', 'e', WWW_AUTHENTICATE);
        ROW(17, 'i', 'e', IF_MODIFIED_SINCE);
        ROW(17, 't', 'g', TRANSFER_ENCODING);
        ROW(18, 'x', 'l', X_PYPI_LAST_SERIAL);
        ROW(19, 'c', 'n', CONTENT_DISPOSITION);
        ROW(19, 'o', 'd', OCI_FILTERS_APPLIED);
        ROW(21, 'd', 't', DOCKER_CONTENT_DIGEST);
    default:
        return HF_OTHER;
    }
}
#undef ROW

static unsigned lower(char c)
{
    return (unsigned char)c | 0x20u;
}

enum http_field_id http_field_id(struct slice name)
{
    if (name.n == 0 || name.n > 255)
        return HF_OTHER;
    enum http_field_id id =
        field_candidate(NAME_KEY(name.n, lower(name.p[0]), lower(name.p[name.n - 1])));
    return id != HF_OTHER && slice_ieq(name, field_names[id]) ? id : HF_OTHER;
}

struct slice http_field_name(enum http_field_id id)
{
    return field_names[id];
}

static bool fields_grow(struct http_fields *f, struct arena *a)
{
    enum { FIRST_ROWS = 16 };
    size_t cap = f->cap ? f->cap * 2 : FIRST_ROWS;
    struct http_field *rows = arena_alloc(a, cap * sizeof *rows);
    if (!rows)
        return false;
    if (f->n)
        memcpy(rows, f->v, f->n * sizeof *rows);
    f->v = rows;
    f->cap = cap;
    return true;
}

bool http_fields_add(struct http_fields *f, struct arena *a, size_t max, struct slice name,
                     struct slice value)
{
    if (f->n >= max || (f->n == f->cap && !fields_grow(f, a)))
        return false;
    f->v[f->n++] = (struct http_field){name, value, http_field_id(name)};
    return true;
}

const struct http_field *http_fields_get(const struct http_fields *f, enum http_field_id id)
{
    for (size_t i = 0; i < f->n; i++)
        if (f->v[i].id == id)
            return &f->v[i];
    return NULL;
}

struct slice http_fields_value(const struct http_fields *f, enum http_field_id id)
{
    const struct http_field *field = http_fields_get(f, id);
    return field ? field->value : slice_of(NULL, 0);
}

const struct http_field *http_fields_find(const struct http_fields *f, struct slice name)
{
    for (size_t i = 0; i < f->n; i++)
        if (slice_ieq(f->v[i].name, name))
            return &f->v[i];
    return NULL;
}

size_t http_fields_count(const struct http_fields *f, enum http_field_id id)
{
    size_t count = 0;
    for (size_t i = 0; i < f->n; i++)
        count += f->v[i].id == id;
    return count;
}

bool http_is_token(struct slice s)
{
    return s.n > 0 && http_chars_all(s, HTTP_CHAR_TOKEN);
}

bool http_is_field_value(struct slice s)
{
    return http_chars_all(s, HTTP_CHAR_VALUE);
}

/* Offset of the first separator outside a quoted string, or s.n. */
static size_t find_unquoted(struct slice s, char separator)
{
    size_t first = slice_find(s, separator);
    if (slice_find(slice_to(s, first), '"') == first)
        return first;
    bool quoted = false;
    for (size_t i = 0; i < s.n; i++) {
        if (s.p[i] == '"')
            quoted = !quoted;
        else if (quoted && s.p[i] == '\\')
            i++; /* the escaped byte is never a closing quote */
        else if (!quoted && s.p[i] == separator)
            return i;
    }
    return s.n;
}

static bool split_next(struct slice *list, char separator, struct slice *element)
{
    while (list->n > 0) {
        size_t at = find_unquoted(*list, separator);
        *element = slice_trim(slice_to(*list, at));
        *list = slice_from(*list, at + 1);
        if (element->n > 0)
            return true;
    }
    return false;
}

bool http_list_next(struct slice *list, struct slice *element)
{
    return split_next(list, ',', element);
}

bool http_params_next(struct slice *params, struct slice *param)
{
    return split_next(params, ';', param);
}

void http_fields_each_element(const struct http_fields *f, enum http_field_id id,
                              bool (*each)(void *arg, struct slice element), void *arg)
{
    for (size_t i = 0; i < f->n; i++) {
        if (f->v[i].id != id)
            continue;
        struct slice list = f->v[i].value, element;
        while (http_list_next(&list, &element))
            if (!each(arg, element))
                return;
    }
}

static bool is_hop_by_hop(const struct http_field *field)
{
    switch (field->id) {
    case HF_CONNECTION:
    case HF_KEEP_ALIVE:
    case HF_TE:
    case HF_TRAILER:
    case HF_TRANSFER_ENCODING:
    case HF_UPGRADE:
        return true;
    default:
        /* Proxy-Authorization and its kin speak to the next hop only. */
        return slice_ieq(slice_to(field->name, 6), SLICE("proxy-"));
    }
}

bool http_field_is_end_to_end(const struct http_fields *f, const struct http_field *field)
{
    if (is_hop_by_hop(field))
        return false;
    for (size_t i = 0; i < f->n; i++) {
        if (f->v[i].id != HF_CONNECTION)
            continue;
        struct slice list = f->v[i].value, option;
        while (http_list_next(&list, &option))
            if (slice_ieq(option, field->name))
                return false;
    }
    return true;
}
