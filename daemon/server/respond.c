/* Makes the parts of an answer: heads, ranges, validators. Sends nothing. */
#include "base/clock.h"
#include "base/instance.h"
#include "conn.h"
#include "http/date.h"
#include "http/response.h"
#include <stdio.h>

enum {
    HEAD_ROOM = 1024,
    BOUNDARY_LENGTH = 24,
    JOINED_MAX = 4096, /* to copy so little behind the head costs less than to send two pieces */
};

static struct slice date_now(struct server_worker *w)
{
    int64_t second = clock_wall_s();
    if (second != w->date_second) {
        http_date_format(second, w->date);
        w->date_second = second;
    }
    return slice_of(w->date, HTTP_DATE_LENGTH);
}

static bool begin(struct exchange *x, struct head_writer *w, int status, size_t extra)
{
    size_t cap = HEAD_ROOM + extra;
    char *p = arena_alloc(&x->arena, cap);
    if (!p)
        return false;
    x->status = status;
    head_begin(w, p, cap, status);
    return true;
}

/* The fields of every answer, and the head's end. */
static bool finish(struct exchange *x, struct head_writer *w)
{
    head_add_own(w, SLICE("Via"), instance_via());
    head_add_own(w, SLICE("X-Request-Id"), slice_str(x->id));
    if (x->conn->close_after || x->conn->worker->stopping)
        head_add_own(w, SLICE("Connection"), SLICE("close"));
    else if (x->request.minor == 0)
        head_add_own(w, SLICE("Connection"), SLICE("keep-alive"));
    return head_done(w);
}

static const char *cache_word(const struct cache_status *cs)
{
    if (cs->hit)
        return cs->has_ttl && cs->ttl < 0 ? "stale" : "hit";
    if (cs->collapsed)
        return "collapsed";
    if (cs->fwd && strcmp(cs->fwd, "stale") == 0)
        return "refreshed";
    return cs->fwd && strcmp(cs->fwd, "bypass") == 0 ? "bypass" : "miss";
}

static void add_cache_status(struct exchange *x, struct head_writer *w,
                             const struct cache_status *cs)
{
    char text[CACHE_STATUS_MAX];
    x->cache = cache_word(cs);
    head_add_own(w, SLICE("Cache-Status"), cache_status_format(cs, text));
}

static struct part *new_parts(struct exchange *x, size_t n)
{
    x->parts = arena_zalloc(&x->arena, n * sizeof *x->parts);
    x->part_count = x->parts ? n : 0;
    x->part_at = 0;
    return x->parts;
}

bool respond_page(struct exchange *x, const struct plan_page *page, const struct cache_status *cs,
                  int64_t retry_after_s)
{
    struct head_writer w;
    if (!begin(x, &w, page->status, page->fields.n + page->content_type.n))
        return false;
    head_add(&w, SLICE("Content-Type"), page->content_type);
    head_add_u64(&w, SLICE("Content-Length"), page->body.n);
    head_add_raw(&w, page->fields);
    if (retry_after_s > 0)
        head_add_u64(&w, SLICE("Retry-After"), (uint64_t)retry_after_s);
    if (cs)
        add_cache_status(x, &w, cs);
    head_add_own(&w, SLICE("Date"), date_now(x->conn->worker));
    if (!finish(x, &w) || !new_parts(x, 2))
        return false;
    x->parts[0].text = slice_of(w.p, w.n);
    if (x->request.method != HTTP_HEAD)
        x->parts[1].text = page->body;
    return true;
}

/* --- answers with a body --- */

static void add_entity_fields(struct exchange *x, struct head_writer *w)
{
    const struct answer *a = &x->lookup.answer;
    if (a->shown.n)
        head_add_own(w, x->plan.digest_field, a->shown);
    if (a->etag.n)
        head_add(w, SLICE("ETag"), a->etag);
    if (a->last_modified.n)
        head_add(w, SLICE("Last-Modified"), a->last_modified);
    if (!a->has_date)
        head_add_own(w, SLICE("Date"), date_now(x->conn->worker));
    head_add_raw(w, x->plan.fields);
    head_add_raw(w, a->fields);
    if (a->status_field.hit || a->age_s > 0)
        head_add_u64(w, SLICE("Age"), (uint64_t)a->age_s);
    add_cache_status(x, w, &a->status_field);
    if (a->stale_because_of_failure)
        head_add_own(w, SLICE("Warning"),
                     SLICE("299 - \"served from cache: the upstream cannot be reached or fails\""));
}

static size_t entity_room(const struct exchange *x)
{
    const struct answer *a = &x->lookup.answer;
    return a->shown.n + a->etag.n + a->last_modified.n + x->plan.fields.n + a->fields.n +
           a->content_type.n + x->plan.digest_field.n;
}

static bool respond_not_modified(struct exchange *x)
{
    struct head_writer w;
    if (!begin(x, &w, 304, entity_room(x)))
        return false;
    add_entity_fields(x, &w);
    if (!finish(x, &w) || !new_parts(x, 1))
        return false;
    x->parts[0].text = slice_of(w.p, w.n);
    return true;
}

static bool respond_unsatisfiable(struct exchange *x)
{
    struct head_writer w;
    char range[40];
    int n =
        snprintf(range, sizeof range, "bytes */%llu", (unsigned long long)x->lookup.answer.size);
    if (!begin(x, &w, 416, entity_room(x)))
        return false;
    head_add_own(&w, SLICE("Content-Range"), slice_of(range, (size_t)n));
    head_add_u64(&w, SLICE("Content-Length"), 0);
    add_entity_fields(x, &w);
    if (!finish(x, &w) || !new_parts(x, 1))
        return false;
    x->parts[0].text = slice_of(w.p, w.n);
    return true;
}

/* How the end of a body of unknown size is told. */
static void add_open_framing(struct exchange *x, struct head_writer *w)
{
    x->open_ended = true;
    x->chunked = x->request.minor > 0;
    if (x->chunked)
        head_add_own(w, SLICE("Transfer-Encoding"), SLICE("chunked"));
    else
        x->conn->close_after = true;
}

/* RFC 9110 section 8.6: these have neither a body nor any framing of one. */
static bool is_bodiless(int status)
{
    return status == 204 || status == 304;
}

static bool respond_whole(struct exchange *x)
{
    const struct answer *a = &x->lookup.answer;
    struct head_writer w;
    bool bodiless = is_bodiless(a->status);
    bool has_body = x->request.method != HTTP_HEAD && a->body != BODY_NONE && !bodiless;
    bool joins = has_body && a->body == BODY_MEMORY && a->size <= JOINED_MAX;
    size_t joined = joins ? (size_t)a->size : 0;
    if (!begin(x, &w, a->status, entity_room(x) + joined))
        return false;
    if (a->content_type.n)
        head_add(&w, SLICE("Content-Type"), a->content_type);
    if (a->has_size && !bodiless)
        head_add_u64(&w, SLICE("Content-Length"), a->size);
    else if (!bodiless)
        add_open_framing(x, &w);
    if (a->seekable && a->status == 200)
        head_add_own(&w, SLICE("Accept-Ranges"), SLICE("bytes"));
    add_entity_fields(x, &w);
    if (!finish(x, &w) || !new_parts(x, 1))
        return false;
    x->parts[0].text = slice_of(w.p, w.n);
    if (joined) {
        memcpy(w.p + w.n, x->lookup.held_body.bytes.p, joined);
        x->parts[0].text.n += joined;
    } else if (has_body) {
        x->parts[0].end = a->has_size ? a->size : UINT64_MAX;
    }
    return true;
}

static bool respond_range(struct exchange *x, const struct http_range *r)
{
    const struct answer *a = &x->lookup.answer;
    struct head_writer w;
    char range[80];
    int n = snprintf(range, sizeof range, "bytes %llu-%llu/%llu", (unsigned long long)r->first,
                     (unsigned long long)r->last, (unsigned long long)a->size);
    if (!begin(x, &w, 206, entity_room(x)))
        return false;
    head_add(&w, SLICE("Content-Type"), a->content_type);
    head_add_u64(&w, SLICE("Content-Length"), r->last - r->first + 1);
    head_add_own(&w, SLICE("Content-Range"), slice_of(range, (size_t)n));
    add_entity_fields(x, &w);
    if (!finish(x, &w) || !new_parts(x, 1))
        return false;
    x->parts[0] = (struct part){slice_of(w.p, w.n), r->first, r->last + 1};
    return true;
}

/* One part for each range, in the order asked, never joined: podman counts them. */
static bool make_range_parts(struct exchange *x, const struct http_ranges *ranges,
                             const char *boundary, uint64_t *length)
{
    const struct answer *a = &x->lookup.answer;
    if (!new_parts(x, ranges->n + 2))
        return false;
    *length = 0;
    for (size_t i = 0; i < ranges->n; i++) {
        const struct http_range *r = &ranges->v[i];
        struct slice text = arena_printf(
            &x->arena,
            "%s--%s\r\nContent-Type: %.*s\r\nContent-Range: bytes %llu-%llu/%llu\r\n\r\n",
            i ? "\r\n" : "", boundary, SLICE_ARG(a->content_type), (unsigned long long)r->first,
            (unsigned long long)r->last, (unsigned long long)a->size);
        if (!text.p)
            return false;
        x->parts[i + 1] = (struct part){text, r->first, r->last + 1};
        *length += text.n + (r->last - r->first + 1);
    }
    struct slice end = arena_printf(&x->arena, "\r\n--%s--\r\n", boundary);
    x->parts[ranges->n + 1].text = end;
    *length += end.n;
    return end.p != NULL;
}

static bool respond_multipart(struct exchange *x, const struct http_ranges *ranges)
{
    struct head_writer w;
    uint64_t length;
    char boundary[BOUNDARY_LENGTH + 1], type[80];
    snprintf(boundary, sizeof boundary, "yantian%s", x->id);
    int n = snprintf(type, sizeof type, "multipart/byteranges; boundary=%s", boundary);
    if (!make_range_parts(x, ranges, boundary, &length) || !begin(x, &w, 206, entity_room(x)))
        return false;
    head_add(&w, SLICE("Content-Type"), slice_of(type, (size_t)n));
    head_add_u64(&w, SLICE("Content-Length"), length);
    add_entity_fields(x, &w);
    if (!finish(x, &w))
        return false;
    x->parts[0].text = slice_of(w.p, w.n);
    return true;
}

static bool respond_too_many_ranges(struct exchange *x)
{
    struct plan_page page = {
        .status = 400,
        .content_type = SLICE("text/plain; charset=utf-8"),
        .body = SLICE("too many ranges\n"),
    };
    return respond_page(x, &page, &x->lookup.answer.status_field, 0);
}

/*
 * If-Modified-Since counts without If-None-Match only (RFC 9110 section 13.1.3), and where the date
 * is that of these very bytes: a tag may go back to older ones.
 */
static bool is_not_modified(const struct exchange *x)
{
    const struct answer *a = &x->lookup.answer;
    const struct http_fields *fields = &x->request.fields;
    struct slice none_match = http_fields_value(fields, HF_IF_NONE_MATCH);
    if (none_match.p)
        return a->etag.n && http_if_none_match(none_match, a->etag);
    bool exact = !x->plan.source && !x->plan.digest_field.n;
    return exact && http_if_modified_since(http_fields_value(fields, HF_IF_MODIFIED_SINCE),
                                           a->last_modified);
}

/*
 * RFC 9110 section 13.2.2: conditions, then Range with If-Range. What a relayed request of
 * another method, or one that failed, brings is passed on as it is.
 */
bool respond_answer(struct exchange *x)
{
    const struct answer *a = &x->lookup.answer;
    const struct http_fields *fields = &x->request.fields;
    bool reads = x->request.method == HTTP_GET || x->request.method == HTTP_HEAD;
    if (!reads || a->status != 200)
        return respond_whole(x);
    if (is_not_modified(x))
        return respond_not_modified(x);
    struct slice range = http_fields_value(fields, HF_RANGE);
    if (!range.p || x->request.method != HTTP_GET || !a->seekable ||
        !http_if_range_matches(http_fields_value(fields, HF_IF_RANGE), a->etag, a->last_modified))
        return respond_whole(x);
    struct http_ranges ranges;
    switch (http_range_parse(range, a->size, &x->arena, &ranges)) {
    case RANGE_NONE:
        break;
    case RANGE_OK:
        return ranges.n == 1 ? respond_range(x, &ranges.v[0]) : respond_multipart(x, &ranges);
    case RANGE_UNSATISFIABLE:
        return respond_unsatisfiable(x);
    case RANGE_TOO_MANY:
        return respond_too_many_ranges(x);
    }
    return respond_whole(x);
}
