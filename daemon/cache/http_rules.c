#include "http_rules.h"

#include "base/buf.h"
#include "http/date.h"
#include "http/url.h"
#include "http/vary.h"

#include <inttypes.h>

enum {
    LINES_MAX = HTTP_HEAD_MAX,
    RECENT_MS = 2000, /* how long ago a validation satisfies a client that wants one */
};

/* --- judging --- */

bool http_rules_passes(int status, const struct http_fields *fields)
{
    switch (status) {
    case 206:
    case 304:
    case 401:
    case 416:
    case 429:
        return false;
    case 404:
    case 410:
        return http_says_how_to_cache(fields);
    default:
        return status >= 200 && status < 500;
    }
}

static bool is_useful(const struct rules_head *head, const struct http_rules *r, int64_t age_ms)
{
    bool has_validator =
        http_fields_get(head->fields, HF_ETAG) || http_fields_get(head->fields, HF_LAST_MODIFIED);
    return r->lifetime_ms > age_ms || (head->status < 300 && has_validator);
}

bool http_rules_judge(const struct rules_head *head, struct arena *a, struct http_rules *out)
{
    struct http_directives d;
    const struct http_received received = {
        .status = head->status,
        .fields = head->fields,
        .now_s = head->now_ms / 1000,
        .delay_s = head->delay_ms / 1000,
    };
    http_directives_read(head->fields, &d);
    int64_t age_ms = http_initial_age(&received) * 1000;
    *out = (struct http_rules){
        .must_revalidate = http_forbids_stale(&d) || head->status >= 300,
        .lifetime_ms = http_lifetime(&received, &d, head->ttl_ms / 1000) * 1000,
        .validated_ms = head->now_ms - age_ms,
        .vary = http_vary_names(a, head->fields),
    };
    out->stores = http_may_store(&received, &d, head->plan->credential.n > 0) &&
                  !http_vary_is_any(out->vary) && is_useful(head, out, age_ms);
    return out->vary.p != NULL;
}

/* --- fields --- */

/* Is it passed on as a line? */
static bool is_kept(const struct http_fields *fields, const struct http_field *field)
{
    switch (field->id) {
    case HF_ACCEPT_RANGES:
    case HF_AGE:
    case HF_CONTENT_LENGTH:
    case HF_CONTENT_TYPE:
    case HF_ETAG:
    case HF_LAST_MODIFIED:
    case HF_SET_COOKIE:
    case HF_WWW_AUTHENTICATE:
        return false;
    default:
        return !slice_ieq(field->name, SLICE("alt-svc")) && http_field_is_end_to_end(fields, field);
    }
}

/* May a 304 change it? Not what describes the bytes, which it does not bring. */
static bool is_updated(const struct http_fields *fields, const struct http_field *field)
{
    return is_kept(fields, field) && field->id != HF_CONTENT_ENCODING &&
           field->id != HF_CONTENT_RANGE && !slice_ieq(field->name, SLICE("content-md5"));
}

static void add_line(struct buf *b, const struct http_field *field)
{
    buf_addf(b, "%.*s: %.*s\r\n", SLICE_ARG(field->name), SLICE_ARG(field->value));
}

static bool take_lines(struct buf *b, struct arena *a, struct slice *lines)
{
    *lines = b->failed ? slice_of(NULL, 0) : arena_copy(a, buf_slice(b));
    buf_free(b);
    return lines->p != NULL;
}

static void add_missing_date(struct buf *b, const struct rules_head *head)
{
    char text[HTTP_DATE_LENGTH + 1];
    if (http_fields_get(head->fields, HF_DATE))
        return;
    http_date_format(head->now_ms / 1000, text);
    buf_addf(b, "Date: %s\r\n", text);
}

bool http_rules_keep(const struct rules_head *head, struct arena *a, struct slice *lines)
{
    const struct http_fields *fields = head->fields;
    struct buf b;
    buf_init(&b, LINES_MAX);
    for (size_t i = 0; i < fields->n; i++)
        if (is_kept(fields, &fields->v[i]))
            add_line(&b, &fields->v[i]);
    add_missing_date(&b, head);
    return take_lines(&b, a, lines);
}

/* --- 304 --- */

static bool read_lines(struct slice lines, struct arena *a, struct http_fields *out)
{
    while (lines.n) {
        size_t end = slice_find(lines, '\n');
        struct slice line = slice_to(lines, end ? end - 1 : 0); /* the CR is not part of it */
        size_t colon = slice_find(line, ':');
        if (colon < line.n && !http_fields_add(out, a, HTTP_FIELDS_MAX, slice_to(line, colon),
                                               slice_trim(slice_from(line, colon + 1))))
            return false;
        lines = slice_from(lines, end + 1);
    }
    return true;
}

static bool is_replaced(const struct http_fields *fresh, const struct http_field *stored)
{
    if (stored->id == HF_DATE)
        return true; /* of the answer before */
    for (size_t i = 0; i < fresh->n; i++)
        if (slice_ieq(fresh->v[i].name, stored->name) && is_updated(fresh, &fresh->v[i]))
            return true;
    return false;
}

static struct slice newer(struct slice stored, const struct http_fields *fresh,
                          enum http_field_id id)
{
    struct slice value = http_fields_value(fresh, id);
    return value.n ? value : stored;
}

/* What an answer with the entry's bytes would have said, had it been sent now. */
static bool merge(const struct rules_head *head, struct arena *a, struct store_entry *entry,
                  struct http_fields *all)
{
    struct http_fields stored = {0};
    struct buf b;
    if (!read_lines(entry->fields, a, &stored))
        return false;
    buf_init(&b, LINES_MAX);
    for (size_t i = 0; i < stored.n; i++)
        if (!is_replaced(head->fields, &stored.v[i]))
            add_line(&b, &stored.v[i]);
    for (size_t i = 0; i < head->fields->n; i++)
        if (is_updated(head->fields, &head->fields->v[i]))
            add_line(&b, &head->fields->v[i]);
    add_missing_date(&b, head);
    entry->content_type = newer(entry->content_type, head->fields, HF_CONTENT_TYPE);
    entry->last_modified = newer(entry->last_modified, head->fields, HF_LAST_MODIFIED);
    return take_lines(&b, a, &entry->fields) && read_lines(entry->fields, a, all);
}

/* The fields that are not among the lines, for the judgement. */
static bool add_own(const struct rules_head *head, struct arena *a, const struct store_entry *entry,
                    struct http_fields *all)
{
    const struct http_field own[] = {
        {SLICE("Last-Modified"), entry->last_modified, HF_LAST_MODIFIED},
        {SLICE("ETag"), entry->etag, HF_ETAG},
        {SLICE("Age"), http_fields_value(head->fields, HF_AGE), HF_AGE},
    };
    for (size_t i = 0; i < sizeof own / sizeof own[0]; i++)
        if (own[i].value.n &&
            !http_fields_add(all, a, HTTP_FIELDS_MAX + 3, own[i].name, own[i].value))
            return false;
    return true;
}

bool http_rules_freshen(const struct rules_head *head, struct arena *a, struct store_entry *entry)
{
    struct http_fields all = {0};
    struct http_rules r;
    if (!merge(head, a, entry, &all) || !add_own(head, a, entry, &all))
        return false;
    struct rules_head whole = *head;
    whole.status = entry->status;
    whole.fields = &all;
    if (!http_rules_judge(&whole, a, &r))
        return false;
    entry->has_lifetime = true;
    entry->lifetime_ms = r.stores ? r.lifetime_ms : 0;
    entry->must_revalidate = r.must_revalidate || !r.stores;
    entry->validated_ms = r.validated_ms;
    return true;
}

/* --- demands --- */

/* All false for plans that do not heed them. */
static struct http_demands demands_of(const struct plan *plan)
{
    struct http_demands d = {0};
    if (plan->obeys_upstream && plan->request_fields)
        http_demands_read(plan->request_fields, &d);
    return d;
}

static bool is_to_be_validated(const struct http_demands *d, int64_t age_ms, int64_t ttl_ms)
{
    if (age_ms >= 0 && age_ms < RECENT_MS)
        return false;
    return d->no_cache || (d->max_age.given && age_ms > d->max_age.seconds * 1000) ||
           (d->min_fresh.given && ttl_ms < d->min_fresh.seconds * 1000);
}

enum freshness http_rules_demand(const struct plan *plan, const struct store_entry *entry,
                                 enum freshness how, int64_t ttl_ms, int64_t now_ms)
{
    const struct http_demands d = demands_of(plan);
    if (entry->immutable)
        return how;
    int64_t age_ms = now_ms - entry->validated_ms;
    if (how == FRESH)
        return is_to_be_validated(&d, age_ms, ttl_ms) ? STALE_WAITING : FRESH;
    bool may_be_stale = how == STALE_WAITING && d.max_stale.given && !d.no_cache &&
                        -ttl_ms <= d.max_stale.seconds * 1000 &&
                        (!d.max_age.given || age_ms <= d.max_age.seconds * 1000);
    return may_be_stale ? STALE_SERVABLE : how;
}

bool http_rules_forbids_storing(const struct plan *plan)
{
    return demands_of(plan).no_store;
}

bool http_rules_only_held(const struct plan *plan)
{
    return demands_of(plan).only_if_cached;
}

/* --- Vary --- */

struct slice http_rules_variant(struct arena *a, struct slice variant, struct slice vary,
                                int64_t since_ms, const struct http_fields *request)
{
    struct slice values = http_vary_text(a, vary, request);
    if (!values.p)
        return values;
    return arena_printf(a, "%.*svary since %" PRId64 "\n%.*s", SLICE_ARG(variant), since_ms,
                        SLICE_ARG(values));
}

/* --- after a change --- */

struct slice http_rules_named_path(struct arena *a, struct slice url, struct slice upstream_path,
                                   struct slice reference)
{
    const struct slice none = slice_of(NULL, 0);
    struct http_url at, named;
    if (!reference.n || !slice_ends(url, upstream_path) || !http_url_parse(url, &at))
        return none;
    struct slice base = slice_to(url, url.n - upstream_path.n);
    struct slice target = http_url_resolve(a, &at, reference);
    if (!target.p || !http_url_parse(target, &named) || !http_url_same_origin(&at, &named))
        return none;
    /* The origins are equal, however they are spelt: the base's path decides. */
    size_t path_at = (size_t)(at.path.p - url.p);
    struct slice base_path = slice_from(base, path_at);
    struct slice path = slice_of(named.path.p, (size_t)(target.p + target.n - named.path.p));
    if (named.path.p < target.p || named.path.p > target.p + target.n)
        return none; /* no path was written */
    bool below =
        slice_starts(path, base_path) && path.n > base_path.n && path.p[base_path.n] == '/';
    return below ? slice_from(path, base_path.n) : none;
}
