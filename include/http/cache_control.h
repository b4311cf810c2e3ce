/*
 * What RFC 9111 lets a shared cache do with an answer: store it, for how long it is fresh, how old
 * it came, and what a request demands of what is held. Pure.
 */
#ifndef YT_HTTP_CACHE_CONTROL_H
#define YT_HTTP_CACHE_CONTROL_H

#include "http/fields.h"

/* Longer times are cut to a year: nobody can tell the difference, and sums never overflow. */
enum { HTTP_SECONDS_MAX = 365 * 86400 };

/* A directive's seconds. What is no number, or differs from an earlier one, counts as 0. */
struct http_delta {
    bool given;
    int64_t seconds; /* 0 to HTTP_SECONDS_MAX */
};

/* Section 5.2.1, and Pragma (section 5.4) where there is no Cache-Control. */
struct http_demands {
    bool no_cache;
    bool no_store;
    bool only_if_cached;
    struct http_delta max_age;
    struct http_delta min_fresh;
    struct http_delta max_stale; /* without a value HTTP_SECONDS_MAX: however stale */
};

void http_demands_read(const struct http_fields *request, struct http_demands *out);

/*
 * Section 5.2.2. `no-cache` and `private` with a list of fields count as without it, which section
 * 5.2.2.4 and 5.2.2.7 allow.
 */
struct http_directives {
    bool no_cache;
    bool no_store;
    bool is_private;
    bool is_public;
    bool must_revalidate; /* proxy-revalidate is the same for a shared cache */
    bool must_understand;
    struct http_delta max_age;
    struct http_delta s_maxage;
};

void http_directives_read(const struct http_fields *response, struct http_directives *out);

/* An answer, complete or on its way, as it came. */
struct http_received {
    int status;
    const struct http_fields *fields;
    int64_t now_s;   /* when its head came, since 1970 */
    int64_t delay_s; /* since the request was sent */
};

/* Does the answer say anything about its storage or age: Cache-Control, Expires, Last-Modified? */
bool http_says_how_to_cache(const struct http_fields *response);

/*
 * May a shared cache store this answer to a GET (section 3)? `authorized`: the request carried
 * Authorization (section 3.5). Vary is not looked at. 206 and 304 are never whole answers.
 */
bool http_may_store(const struct http_received *r, const struct http_directives *d,
                    bool authorized);

/*
 * Seconds from its making on for which the answer is fresh (section 4.2.1): s-maxage, max-age,
 * Expires less Date; else, where the status allows to guess (section 4.2.2), a tenth of the time
 * since Last-Modified, `guess_max_s` at most; else 0. 0 for no-cache, and for dates that are none.
 */
int64_t http_lifetime(const struct http_received *r, const struct http_directives *d,
                      int64_t guess_max_s);

/*
 * How old the answer is now (section 4.2.3), 0 to HTTP_SECONDS_MAX. An Age that is no single number
 * gives HTTP_SECONDS_MAX: a cache on the way holds it for nobody knows how long. (Section 5.1 would
 * rather have such a field ignored; to ask once more than needed is always allowed.)
 */
int64_t http_initial_age(const struct http_received *r);

/* May it never be served stale (section 4.2.4): must-revalidate and its kin, s-maxage, no-cache? */
bool http_forbids_stale(const struct http_directives *d);

#endif
