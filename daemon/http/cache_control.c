#include "http/cache_control.h"

#include "chars.h"
#include "http/date.h"

/* --- directives --- */

struct directive {
    struct slice name;
    struct slice value; /* as written, quotes included; p == NULL without '=' */
};

static struct directive split_directive(struct slice element)
{
    size_t at = slice_find(element, '=');
    struct slice rest = slice_from(element, at + 1);
    return (struct directive){
        .name = slice_to(element, at),
        .value = at < element.n ? slice_of(element.p + at + 1, rest.n) : slice_of(NULL, 0),
    };
}

/*
 * Is it `name`? Blanks before the '=' are against the grammar; what restricts is understood all the
 * same, and a number is then none.
 */
static bool is_named(const struct directive *d, struct slice name)
{
    return slice_ieq(slice_trim(d->name), name);
}

/* "60" or "\"60\"" (section 5.2: a recipient takes both forms). */
static int64_t read_seconds(const struct directive *d)
{
    struct slice v = d->value;
    uint64_t number;
    if (v.n >= 2 && v.p[0] == '"' && v.p[v.n - 1] == '"')
        v = slice_of(v.p + 1, v.n - 2);
    bool is_number = v.n > 0 && http_chars_all(v, HTTP_CHAR_DIGIT) && http_is_token(d->name);
    if (!is_number)
        return 0;
    bool fits = slice_u64(v, &number) && number < HTTP_SECONDS_MAX;
    return fits ? (int64_t)number : HTTP_SECONDS_MAX;
}

/* Two that differ: what contradicts itself is stale (section 4.2.1). */
static void take_seconds(const struct directive *d, struct http_delta *delta)
{
    int64_t seconds = read_seconds(d);
    delta->seconds = delta->given && delta->seconds != seconds ? 0 : seconds;
    delta->given = true;
}

static bool take_demand(void *arg, struct slice element)
{
    struct http_demands *out = arg;
    struct directive d = split_directive(element);
    out->no_cache |= is_named(&d, SLICE("no-cache"));
    out->no_store |= is_named(&d, SLICE("no-store"));
    out->only_if_cached |= is_named(&d, SLICE("only-if-cached"));
    if (is_named(&d, SLICE("max-age")))
        take_seconds(&d, &out->max_age);
    else if (is_named(&d, SLICE("min-fresh")))
        take_seconds(&d, &out->min_fresh);
    else if (is_named(&d, SLICE("max-stale")) && d.value.p)
        take_seconds(&d, &out->max_stale);
    else if (is_named(&d, SLICE("max-stale")))
        out->max_stale = (struct http_delta){.given = true, .seconds = HTTP_SECONDS_MAX};
    return true;
}

static bool take_pragma(void *arg, struct slice element)
{
    struct http_demands *out = arg;
    out->no_cache |= slice_ieq(element, SLICE("no-cache"));
    return true;
}

void http_demands_read(const struct http_fields *request, struct http_demands *out)
{
    *out = (struct http_demands){0};
    if (http_fields_get(request, HF_CACHE_CONTROL))
        http_fields_each_element(request, HF_CACHE_CONTROL, take_demand, out);
    else
        http_fields_each_element(request, HF_PRAGMA, take_pragma, out);
}

static bool take_directive(void *arg, struct slice element)
{
    struct http_directives *out = arg;
    struct directive d = split_directive(element);
    out->no_cache |= is_named(&d, SLICE("no-cache"));
    out->no_store |= is_named(&d, SLICE("no-store"));
    out->is_private |= is_named(&d, SLICE("private"));
    out->is_public |= is_named(&d, SLICE("public"));
    out->must_understand |= is_named(&d, SLICE("must-understand"));
    out->must_revalidate |=
        is_named(&d, SLICE("must-revalidate")) || is_named(&d, SLICE("proxy-revalidate"));
    if (is_named(&d, SLICE("max-age")))
        take_seconds(&d, &out->max_age);
    else if (is_named(&d, SLICE("s-maxage")))
        take_seconds(&d, &out->s_maxage);
    return true;
}

void http_directives_read(const struct http_fields *response, struct http_directives *out)
{
    *out = (struct http_directives){0};
    http_fields_each_element(response, HF_CACHE_CONTROL, take_directive, out);
}

bool http_forbids_stale(const struct http_directives *d)
{
    return d->must_revalidate || d->no_cache || d->s_maxage.given;
}

/* --- storing --- */

bool http_says_how_to_cache(const struct http_fields *response)
{
    return http_fields_get(response, HF_CACHE_CONTROL) || http_fields_get(response, HF_EXPIRES) ||
           http_fields_get(response, HF_LAST_MODIFIED);
}

/* RFC 9110 section 15.1: the statuses whose freshness may be guessed. */
static bool is_guessable(int status)
{
    switch (status) {
    case 200:
    case 203:
    case 204:
    case 300:
    case 301:
    case 308:
    case 404:
    case 405:
    case 410:
    case 414:
    case 501:
        return true;
    default:
        return false;
    }
}

/* The further ones whose meaning for a cache is known here. */
static bool is_understood(int status)
{
    switch (status) {
    case 302:
    case 303:
    case 307:
    case 400:
    case 403:
        return true;
    default:
        return is_guessable(status);
    }
}

static bool is_whole_answer(int status)
{
    return status >= 200 && status <= 599 && status != 206 && status != 304;
}

bool http_may_store(const struct http_received *r, const struct http_directives *d, bool authorized)
{
    /* must-understand takes the place of a no-store beside it (section 5.2.2.3). */
    bool forbidden = d->must_understand ? !is_understood(r->status) : d->no_store;
    bool shareable = d->is_public || d->must_revalidate || d->s_maxage.given;
    bool is_explicit = d->is_public || d->max_age.given || d->s_maxage.given ||
                       http_fields_get(r->fields, HF_EXPIRES);
    return is_whole_answer(r->status) && !forbidden && !d->is_private &&
           (!authorized || shareable) && (is_explicit || is_guessable(r->status));
}

/* --- freshness --- */

static int64_t clamp(int64_t seconds)
{
    return seconds < 0 ? 0 : seconds < HTTP_SECONDS_MAX ? seconds : HTTP_SECONDS_MAX;
}

/* Date, or when it came, if that is missing or no date. */
static int64_t made_at(const struct http_received *r)
{
    int64_t date;
    return http_date_parse(http_fields_value(r->fields, HF_DATE), &date) ? date : r->now_s;
}

/* Several Expires that are not the same are no date, like one that is malformed ("0"). */
static int64_t lifetime_by_expires(const struct http_received *r)
{
    struct slice text = http_fields_value(r->fields, HF_EXPIRES);
    int64_t expires;
    if (!http_date_parse(text, &expires))
        return 0;
    for (size_t i = 0; i < r->fields->n; i++)
        if (r->fields->v[i].id == HF_EXPIRES && !slice_eq(r->fields->v[i].value, text))
            return 0;
    return clamp(expires - made_at(r));
}

static int64_t guess_lifetime(const struct http_received *r, const struct http_directives *d,
                              int64_t max_s)
{
    enum { PART = 10 };
    int64_t changed;
    bool may_guess = is_guessable(r->status) || d->is_public;
    if (!may_guess || !http_date_parse(http_fields_value(r->fields, HF_LAST_MODIFIED), &changed))
        return 0;
    int64_t guess = clamp((made_at(r) - changed) / PART);
    return guess < max_s ? guess : clamp(max_s);
}

int64_t http_lifetime(const struct http_received *r, const struct http_directives *d,
                      int64_t guess_max_s)
{
    if (d->no_cache)
        return 0;
    if (d->s_maxage.given)
        return d->s_maxage.seconds;
    if (d->max_age.given)
        return d->max_age.seconds;
    if (http_fields_get(r->fields, HF_EXPIRES))
        return lifetime_by_expires(r);
    return guess_lifetime(r, d, guess_max_s);
}

static int64_t age_value(const struct http_fields *fields)
{
    struct slice text = http_fields_value(fields, HF_AGE);
    uint64_t seconds;
    if (!text.p)
        return 0;
    bool is_number = text.n > 0 && http_chars_all(text, HTTP_CHAR_DIGIT);
    if (!is_number || http_fields_count(fields, HF_AGE) > 1)
        return HTTP_SECONDS_MAX;
    return slice_u64(text, &seconds) && seconds < HTTP_SECONDS_MAX ? (int64_t)seconds
                                                                   : HTTP_SECONDS_MAX;
}

int64_t http_initial_age(const struct http_received *r)
{
    int64_t apparent = clamp(r->now_s - made_at(r));
    int64_t corrected = clamp(age_value(r->fields) + clamp(r->delay_s));
    return apparent > corrected ? apparent : corrected;
}
