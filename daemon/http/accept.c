#include "http/request.h"

/* "q=0", "q=0." up to "q=0.000" (RFC 9110 section 12.4.2). */
static bool is_zero_weight(struct slice param)
{
    if (!slice_ieq(slice_to(param, 2), SLICE("q=")))
        return false;
    struct slice q = slice_from(param, 2);
    if (q.n == 0 || q.p[0] != '0' || (q.n > 1 && q.p[1] != '.'))
        return false;
    for (size_t i = 2; i < q.n; i++)
        if (q.p[i] != '0')
            return false;
    return true;
}

enum { MATCH_NONE, MATCH_ANY, MATCH_TYPE, MATCH_EXACT };

/* How closely the media range names `type`. */
static int match_range(struct slice range, struct slice type)
{
    if (slice_ieq(range, type))
        return MATCH_EXACT;
    if (slice_eq(range, SLICE("*/*")))
        return MATCH_ANY;
    size_t slash = slice_find(type, '/');
    if (slash < type.n && slice_ends(range, SLICE("/*")) && range.n == slash + 2 &&
        slice_ieq(slice_to(range, slash), slice_to(type, slash)))
        return MATCH_TYPE;
    return MATCH_NONE;
}

struct accept_search {
    struct slice type;
    int match; /* the closest so far decides (RFC 9110 section 12.5.1) */
    bool wanted;
};

static bool accept_element(void *arg, struct slice element)
{
    struct accept_search *search = arg;
    struct slice range, param;
    if (!http_params_next(&element, &range))
        return true;
    int match = match_range(range, search->type);
    if (match == MATCH_NONE || match < search->match)
        return true;

    bool wanted = true;
    while (http_params_next(&element, &param))
        if (is_zero_weight(param))
            wanted = false;
    search->wanted = wanted || (match == search->match && search->wanted);
    search->match = match;
    return true;
}

bool http_accepts(const struct http_fields *f, struct slice type)
{
    struct accept_search search = {.type = type};
    http_fields_each_element(f, HF_ACCEPT, accept_element, &search);
    return search.wanted;
}
