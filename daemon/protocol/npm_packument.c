#include "npm_packument.h"

#include <stdlib.h>

#include "file_host.h"
#include "json_splice.h"
#include "npm_path.h"

enum {
    JSON_DEPTH_MAX = 64,
    TOKEN_MAX = 4 * 1024 * 1024, /* a whole README is one string */
    VERSION_KEPT_MAX = 1024,
    LINK_MAX = 64 * 1024,
    PATH_MAX_STEPS = 4,
};

/* The members that lead to `dist`, from the top value on; p == NULL stands for any. */
struct shape {
    struct slice steps[PATH_MAX_STEPS];
    unsigned count;
    unsigned version_at; /* the step whose name is the version; 0: a member `version` at the top */
    bool is_any_object;
};

static const struct shape packument_shape = {
    {{NULL, 0}, SLICE("versions"), {NULL, 0}, SLICE("dist")}, 4, 2, false};
static const struct shape version_shape = {{{NULL, 0}, SLICE("dist")}, 2, 0, false};
static const struct shape object_shape = {{{NULL, 0}}, 1, 0, true};

/* How well a file that the document names fits the wanted one. */
enum fit { FIT_NONE, FIT_LAST_SEGMENT, FIT_DERIVED };

struct document {
    struct json_splice *splice;
    const struct shape *shape;
    const struct plan_reading *reading;
    unsigned matched; /* so many steps are entered; their members have this depth */
    bool is_known;    /* something in it belongs to such a document */
    bool has_version; /* `version` is the one that `dist` is of */
    struct buf version;
    struct buf link; /* what is written */

    /* Of the `dist` that is read. */
    struct buf tarball;
    struct digest integrity, shasum;

    /* The best so far. */
    enum fit fit;
    struct buf found_url;
    struct digest found_digest;
};

/* --- names of files --- */

/* The last component of a URL's path, if a file here can have that name; else empty. */
static struct slice last_segment(struct slice url)
{
    struct slice path = slice_to(url, slice_find(url, '#'));

    path = slice_to(path, slice_find(path, '?'));
    size_t slash = slice_rfind(path, '/');
    struct slice last = slice_from(path, slash < path.n ? slash + 1 : path.n);
    return npm_file_is_valid(last) ? last : SLICE("");
}

static bool has_derived_file(const struct document *d)
{
    return d->has_version && npm_version_is_valid(buf_slice(&d->version));
}

static void write_link(struct document *d, struct slice tarball)
{
    const struct plan *plan = d->reading->plan;
    struct slice last = last_segment(tarball);
    bool derived = has_derived_file(d);

    buf_clear(&d->link);
    if (!derived && !last.n) {
        buf_add(&d->link, SLICE("about:invalid"));
        return;
    }
    buf_add(&d->link, plan->link_base);
    buf_addc(&d->link, '/');
    buf_add(&d->link, plan->page_name);
    buf_add(&d->link, SLICE("/-/"));
    if (derived)
        npm_add_file(&d->link, plan->page_name, buf_slice(&d->version));
    else
        buf_add(&d->link, last);
}

static enum fit fit_of(struct document *d)
{
    const struct plan *plan = d->reading->plan;

    if (!plan->wanted.n || !d->tarball.n)
        return FIT_NONE;
    if (has_derived_file(d)) {
        buf_clear(&d->link);
        npm_add_file(&d->link, plan->page_name, buf_slice(&d->version));
        if (slice_eq(buf_slice(&d->link), plan->wanted))
            return FIT_DERIVED;
    }
    return slice_eq(last_segment(buf_slice(&d->tarball)), plan->wanted) ? FIT_LAST_SEGMENT
                                                                        : FIT_NONE;
}

/* --- members --- */

static void keep(struct buf *b, struct slice text)
{
    buf_clear(b);
    buf_add(b, text);
}

static void begin_dist(struct document *d)
{
    buf_clear(&d->tarball);
    d->integrity.algo = DIGEST_NONE;
    d->shasum.algo = DIGEST_NONE;
}

static void end_dist(struct document *d)
{
    enum fit fit = fit_of(d);

    if (fit <= d->fit)
        return;
    d->fit = fit;
    keep(&d->found_url, buf_slice(&d->tarball));
    d->found_digest = d->integrity.algo != DIGEST_NONE ? d->integrity : d->shasum;
}

/* Hashes that cannot be computed here, and what is no hash, vouch for nothing. */
static void read_dist_member(struct document *d, const struct json_event *event)
{
    if (slice_eq(event->key, SLICE("tarball"))) {
        keep(&d->tarball, event->text);
        if (d->tarball.failed) /* longer than a URL may be */
            buf_clear(&d->tarball);
    } else if (slice_eq(event->key, SLICE("integrity"))) {
        if (digest_from_sri(event->text, &d->integrity) != ERR_OK)
            d->integrity.algo = DIGEST_NONE;
    } else if (slice_eq(event->key, SLICE("shasum"))) {
        if (digest_from_hex(SLICE("sha1"), event->text, &d->shasum) != ERR_OK)
            d->shasum.algo = DIGEST_NONE;
    }
}

static enum err on_dist_member(struct document *d, const struct json_event *event,
                               struct slice *other)
{
    if (event->kind != JSON_STRING)
        return ERR_OK;
    if (d->reading->fact) {
        read_dist_member(d, event);
    } else if (slice_eq(event->key, SLICE("tarball"))) {
        write_link(d, event->text);
        *other = buf_slice(&d->link);
        return d->link.failed ? ERR_LIMIT : ERR_OK;
    }
    return ERR_OK;
}

static void note_version(struct document *d, struct slice version)
{
    keep(&d->version, version);
    d->has_version = !d->version.failed;
}

static enum err on_top_member(struct document *d, const struct json_event *event)
{
    if (event->kind != JSON_STRING)
        return ERR_OK;
    if (slice_eq(event->key, SLICE("name"))) {
        if (!slice_ieq(event->text, d->reading->plan->page_name))
            return ERR_CORRUPT;
        d->is_known = true;
    } else if (d->shape->version_at == 0 && slice_eq(event->key, SLICE("version"))) {
        note_version(d, event->text);
    }
    return ERR_OK;
}

/* --- the walk --- */

static bool is_next_step(const struct document *d, const struct json_event *event)
{
    const struct slice *step = &d->shape->steps[d->matched];

    return event->kind == JSON_OBJECT && d->matched < d->shape->count &&
           (!step->p || slice_eq(*step, event->key));
}

static void enter(struct document *d, const struct json_event *event)
{
    unsigned step = d->matched++;

    if (step == 1)
        d->is_known = true;
    if (step == d->shape->version_at && step > 0)
        note_version(d, event->key);
    if (d->matched == d->shape->count)
        begin_dist(d);
}

static void leave(struct document *d)
{
    if (d->matched == d->shape->count)
        end_dist(d);
    d->matched--;
}

static enum err on_event(void *arg, const struct json_event *event, struct slice *other)
{
    struct document *d = arg;

    if (event->kind == JSON_END) {
        if (event->depth + 1 == d->matched)
            leave(d);
        return ERR_OK;
    }
    if (event->depth != d->matched)
        return ERR_OK;
    if (is_next_step(d, event)) {
        enter(d, event);
        return ERR_OK;
    }
    if (d->matched == 0)
        return ERR_CORRUPT; /* the top value is no object */
    if (d->shape->is_any_object)
        return ERR_OK;
    if (d->matched == d->shape->count)
        return on_dist_member(d, event, other);
    return d->matched == 1 ? on_top_member(d, event) : ERR_OK;
}

/* --- the fact --- */

static bool is_foreign(const struct plan *plan, struct slice url)
{
    struct http_url parsed;

    return !http_url_parse(url, &parsed) || !http_path_is_clean(parsed.path) ||
           (plan->config && !file_host_is_allowed(plan->config, &parsed));
}

/* A relative one is resolved, as clients do. */
static enum err tell(const struct document *d, struct plan_fact *fact)
{
    const struct plan_reading *reading = d->reading;
    struct slice url = buf_slice(&d->found_url);
    struct http_url base;

    if (!http_url_parse(reading->url, &base))
        return ERR_CORRUPT;
    *fact = (struct plan_fact){.found = true, .digest = d->found_digest};
    url = http_url_resolve(reading->arena, &base, url);
    if (url.p && !is_foreign(reading->plan, url))
        fact->url = reading->plan->config
                        ? file_host_as_upstream(reading->plan->config, reading->arena, url)
                        : url;
    else
        fact->foreign = true;
    return fact->url.p || fact->foreign ? ERR_OK : ERR_NOMEM;
}

/* --- the readers --- */

static void end(void *state)
{
    struct document *d = state;

    json_splice_free(&d->splice);
    buf_free(&d->version);
    buf_free(&d->link);
    buf_free(&d->tarball);
    buf_free(&d->found_url);
    free(d);
}

static void *begin(const struct plan_reading *reading, const struct shape *shape)
{
    struct document *d = calloc(1, sizeof *d);

    if (!d)
        return NULL;
    d->shape = shape;
    d->reading = reading;
    d->is_known = shape->is_any_object;
    buf_init(&d->version, VERSION_KEPT_MAX);
    buf_init(&d->link, LINK_MAX);
    buf_init(&d->tarball, HTTP_URL_MAX);
    buf_init(&d->found_url, HTTP_URL_MAX);
    d->splice = json_splice_new(JSON_DEPTH_MAX, TOKEN_MAX, on_event, d);
    if (!d->splice) {
        end(d);
        return NULL;
    }
    return d;
}

static void *begin_packument(const struct plan_reading *reading)
{
    return begin(reading, &packument_shape);
}

static void *begin_version(const struct plan_reading *reading)
{
    return begin(reading, &version_shape);
}

static void *begin_object(const struct plan_reading *reading)
{
    return begin(reading, &object_shape);
}

static enum err feed(void *state, struct slice bytes, struct buf *out)
{
    struct document *d = state;

    return json_splice_feed(d->splice, bytes, out);
}

static enum err finish(void *state, struct buf *out)
{
    struct document *d = state;
    struct plan_fact *fact = d->reading->fact;
    enum err result = json_splice_finish(d->splice, out);

    if (result != ERR_OK)
        return result;
    if (!d->is_known)
        return ERR_CORRUPT;
    return fact && d->fit != FIT_NONE ? tell(d, fact) : ERR_OK;
}

const struct plan_reader npm_packument_reader = {begin_packument, feed, finish, end};
const struct plan_reader npm_version_reader = {begin_version, feed, finish, end};
const struct plan_reader npm_object_reader = {begin_object, feed, finish, end};
