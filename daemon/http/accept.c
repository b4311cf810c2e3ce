#include "http/request.h"

#include <assert.h>

#include "chars.h"

enum { QUALITY_MAX = 1000 };

/*
 * RFC 9110 section 12.4.2, in thousandths. Digits past the third never make a 0 of what is more.
 * What is no weight counts for nothing, as if it were not there.
 */
static unsigned weight_value(struct slice q)
{
    unsigned value = 0, unit = 100;
    bool more = false;

    if (q.n && q.p[0] == '0')
        q = slice_from(q, 1);
    else if (q.n < 2 || q.p[0] != '.') /* ".2" is sent by old Java clients */
        return QUALITY_MAX;
    if (q.n && q.p[0] != '.')
        return QUALITY_MAX;
    for (size_t i = 1; i < q.n; i++) {
        if (!http_char_is(q.p[i], HTTP_CHAR_DIGIT))
            return QUALITY_MAX;
        unsigned digit = (unsigned)(q.p[i] - '0');
        value += digit * unit;
        more = more || digit > 0;
        unit /= 10;
    }
    return value || !more ? value : 1;
}

/* What stands behind a member's name: its weight, and whether parameters stand before that. */
struct member_tail {
    unsigned quality;
    bool has_params;
};

static struct member_tail read_tail(struct slice params)
{
    struct member_tail tail = {.quality = QUALITY_MAX};
    struct slice param;

    while (http_params_next(&params, &param)) {
        if (slice_ieq(slice_to(param, 2), SLICE("q="))) {
            tail.quality = weight_value(slice_from(param, 2));
            break; /* the rest are extensions, which nobody defines */
        }
        tail.has_params = true;
    }
    return tail;
}

/* --- Accept --- */

enum { MATCH_NONE, MATCH_ANY, MATCH_TYPE, MATCH_PARAMS, MATCH_EXACT };

/* How closely the media range names `type`, which has no parameters. */
static int match_range(struct slice range, bool has_params, struct slice type)
{
    if (slice_ieq(range, type))
        return has_params ? MATCH_PARAMS : MATCH_EXACT;
    if (slice_eq(range, SLICE("*/*")))
        return MATCH_ANY;
    size_t slash = slice_find(type, '/');
    if (slash < type.n && slice_ends(range, SLICE("/*")) && range.n == slash + 2 &&
        slice_ieq(slice_to(range, slash), slice_to(type, slash)))
        return MATCH_TYPE;
    return MATCH_NONE;
}

struct accept_search {
    const struct slice *types;
    size_t n;
    unsigned *qualities;
    int matches[ACCEPT_TYPES_MAX]; /* the closest so far decides */
    bool given;                    /* the field has a member at all */
};

static void judge_type(struct accept_search *search, size_t i, struct slice range,
                       struct member_tail tail)
{
    int match = match_range(range, tail.has_params, search->types[i]);

    if (match == MATCH_NONE || match < search->matches[i])
        return;
    if (match > search->matches[i] || tail.quality > search->qualities[i])
        search->qualities[i] = tail.quality;
    search->matches[i] = match;
}

static bool accept_member(void *arg, struct slice member)
{
    struct accept_search *search = arg;
    struct slice range;

    if (!http_params_next(&member, &range))
        return true;
    struct member_tail tail = read_tail(member);
    search->given = true;
    for (size_t i = 0; i < search->n; i++)
        judge_type(search, i, range, tail);
    return true;
}

void http_accept_qualities(const struct http_fields *f, const struct slice *types, size_t n,
                           unsigned *qualities)
{
    struct accept_search search = {.types = types, .n = n, .qualities = qualities};

    assert(n <= ACCEPT_TYPES_MAX);
    for (size_t i = 0; i < n; i++)
        qualities[i] = 0;
    http_fields_each_element(f, HF_ACCEPT, accept_member, &search);
    for (size_t i = 0; i < n && !search.given; i++)
        qualities[i] = QUALITY_MAX;
}

/* --- Accept-Encoding --- */

enum { CODING_NOT_NAMED = -1 };

struct coding_search {
    int gzip;     /* its weight, or CODING_NOT_NAMED */
    int any;      /* of "*" */
    int identity; /* of no coding at all */
};

static void raise_to(int *weight, unsigned quality)
{
    if (*weight < (int)quality)
        *weight = (int)quality;
}

static bool coding_member(void *arg, struct slice member)
{
    struct coding_search *search = arg;
    struct slice name;

    if (!http_params_next(&member, &name))
        return true;
    unsigned quality = read_tail(member).quality;
    /* "x-gzip" is the same (RFC 9110 section 8.4.1.3). */
    if (slice_ieq(name, SLICE("gzip")) || slice_ieq(name, SLICE("x-gzip")))
        raise_to(&search->gzip, quality);
    else if (slice_eq(name, SLICE("*")))
        raise_to(&search->any, quality);
    else if (slice_ieq(name, SLICE("identity")))
        raise_to(&search->identity, quality);
    return true;
}

bool http_accepts_gzip(const struct http_fields *f)
{
    struct coding_search search = {CODING_NOT_NAMED, CODING_NOT_NAMED, CODING_NOT_NAMED};

    http_fields_each_element(f, HF_ACCEPT_ENCODING, coding_member, &search);
    int gzip = search.gzip != CODING_NOT_NAMED ? search.gzip : search.any;
    return gzip > 0 && gzip >= search.identity;
}
