/*
 * The engine's side of plan.obeys_upstream: what RFC 9111 says about one answer, and about one that
 * is held. Pure; slices live in the arena that is given, or are borrowed from the input.
 */
#ifndef YT_CACHE_HTTP_RULES_H
#define YT_CACHE_HTTP_RULES_H

#include "freshness.h"
#include "http/cache_control.h"

/* The head of an answer to a plan's request. */
struct rules_head {
    const struct plan *plan;
    int status;
    const struct http_fields *fields;
    int64_t now_ms;   /* wall clock */
    int64_t delay_ms; /* since the request was sent */
    int64_t ttl_ms;   /* the route's: bounds a lifetime that is guessed */
};

struct http_rules {
    bool stores;
    bool must_revalidate;
    int64_t lifetime_ms;
    int64_t validated_ms; /* when the answer was new: now, less the age that it came with */
    struct slice vary;    /* the request fields that it depends on (http/vary.h); or empty */
};

/*
 * Is the answer with this status for the client as it is, body and all? false: 401, which is never
 * passed on with the upstream's challenge; failures (429, 5xx); 206, 304 and 416, which answer the
 * engine's own questions; and a 404 or 410 that says nothing about its storage, which is an
 * ordinary one and remembered as such.
 */
bool http_rules_passes(int status, const struct http_fields *fields);

/*
 * What may be done with the answer.
 *
 * Beyond section 3, what could never be used again is not stored: an answer that is stale as it
 * comes and has no validator. A status from 300 on is stored only while it is fresh, so that an
 * outage never turns into an old 404.
 *
 * false: the arena is full.
 */
bool http_rules_judge(const struct rules_head *head, struct arena *a, struct http_rules *out);

/*
 * The fields that are stored and given to clients, as lines: all end-to-end ones (section 3.1),
 * but for what the server writes itself (Content-Type, Content-Length, ETag, Last-Modified,
 * Accept-Ranges, Age), what is about the upstream's own server (Alt-Svc), challenges, and
 * Set-Cookie: what is meant for one client must not reach another. There is always a Date: that of
 * the answer, or now (RFC 9110 section 6.6.1). false: they do not fit.
 */
bool http_rules_keep(const struct rules_head *head, struct arena *a, struct slice *lines);

/*
 * A 304 brings the entry up to date (section 4.3.4): its fields, content type and Last-Modified
 * are replaced by those of the 304, but for the ones that describe the stored bytes; lifetime and
 * age are judged anew. head->status is not looked at. false: they do not fit.
 */
bool http_rules_freshen(const struct rules_head *head, struct arena *a, struct store_entry *entry);

/* --- what a request demands of what is held --- */

/*
 * `how` and `ttl_ms` are freshness_of's, changed by the request's Cache-Control: what would be
 * fresh may have to be asked for first, and what is stale may do. An entry that was validated a
 * moment ago satisfies no-cache and max-age=0 too: clients send those as a matter of course.
 */
enum freshness http_rules_demand(const struct plan *plan, const struct store_entry *entry,
                                 enum freshness how, int64_t ttl_ms, int64_t now_ms);

/* The request forbids to store its answer (section 5.2.1.5). */
bool http_rules_forbids_storing(const struct plan *plan);
/* The request wants what is held, or nothing (section 5.2.1.7). */
bool http_rules_only_held(const struct plan *plan);

/* --- Vary --- */

/*
 * The entry under the plan's own key names the fields (entry.vary, and fetched_ms: since when); the
 * answers are under variants that hold the values. Two entries with different names or times have
 * different variants, so that what an older one led to is not found again. `variant` is the plan's
 * own, without values. p == NULL: the arena is full.
 */
struct slice http_rules_variant(struct arena *a, struct slice variant, struct slice vary,
                                int64_t since_ms, const struct http_fields *request);

/* --- after a change --- */

/*
 * The path with query by which a client would ask here for what Location or Content-Location of an
 * answer names (section 4.4). `url` gave the answer to a request for `upstream_path`. p == NULL: it
 * is not on this upstream, or the arena is full.
 */
struct slice http_rules_named_path(struct arena *a, struct slice url, struct slice upstream_path,
                                   struct slice reference);

#endif
