/* A fill's side of a fetch: asks, and judges the heads of the answers. */
#include "base/clock.h"
#include "base/counters.h"
#include "fill.h"
#include "http/date.h"
#include "http/range.h"
#include "obey.h"
#include "worker.h"

/* --- judging --- */

static enum fill_verdict refuse(struct fill *f, const char *why)
{
    err_set(&f->info, ERR_UPSTREAM, "%s", why);
    return VERDICT_FAILED;
}

/* The statuses that mean the same for every kind of question; VERDICT_NONE for the others. */
static enum fill_verdict judge_status(struct fill *f, const struct fetch_head *head)
{
    if (head->status == 404 || head->status == 410)
        return VERDICT_NOT_FOUND;
    if (head->status == 401 || head->status == 403)
        return VERDICT_DENIED;
    if (head->status == 429 || head->status >= 500) {
        err_set(&f->info, ERR_UPSTREAM, "the upstream answered %d", head->status);
        return VERDICT_FAILED;
    }
    return VERDICT_NONE;
}

/* The digest that the upstream claims for the body; DIGEST_NONE without a usable claim. */
static struct digest claimed_digest(const struct fill *f, const struct fetch_head *head)
{
    struct digest d = {.algo = DIGEST_NONE};
    if (!f->plan.digest_field.n)
        return d;
    const struct http_field *field = http_fields_find(&head->fields, f->plan.digest_field);
    if (!field || digest_parse(field->value, &d) != ERR_OK)
        d.algo = DIGEST_NONE;
    return d;
}

static struct slice shown_type(const struct fill *f, const struct fetch_head *head)
{
    if (f->plan.content_type.n)
        return f->plan.content_type;
    struct slice type = http_fields_value(&head->fields, HF_CONTENT_TYPE);
    return f->plan.bare_content_type ? slice_trim(slice_to(type, slice_find(type, ';'))) : type;
}

/* A Link leads back to us or is dropped; other fields stay as they are. */
static struct slice kept_value(struct fill *f, const struct http_field *field)
{
    if (field->id != HF_LINK)
        return field->value;
    return f->plan.rewrite_link ? f->plan.rewrite_link(&f->plan, &f->arena, field->value)
                                : slice_of(NULL, 0);
}

/* The plan's kept fields as lines for the client. false when they do not fit. */
static bool keep_fields(struct fill *f, const struct fetch_head *head, struct slice *lines)
{
    struct buf b;
    buf_init(&b, STORE_RECORD_MAX / 2);
    for (size_t i = 0; i < f->plan.kept_field_count; i++) {
        for (size_t j = 0; j < head->fields.n; j++) {
            const struct http_field *field = &head->fields.v[j];
            if (field->id != f->plan.kept_fields[i])
                continue;
            struct slice value = kept_value(f, field);
            if (value.p)
                buf_addf(&b, "%.*s: %.*s\r\n", SLICE_ARG(field->name), SLICE_ARG(value));
        }
    }
    *lines = arena_copy(&f->arena, buf_slice(&b));
    bool ok = !b.failed && lines->p;
    buf_free(&b);
    return ok;
}

/* Is this status, whatever it is, the client's answer? */
static bool is_passed(const struct fill *f, const struct fetch_head *head)
{
    bool reads = f->plan.method == HTTP_GET || f->plan.method == HTTP_HEAD;
    if (!f->plan.passes_status || !f->plan.obeys_upstream)
        return f->plan.passes_status;
    return reads ? http_rules_passes(head->status, &head->fields) : head->status != 401;
}

static bool copy_head(struct fill *f, const struct fetch_head *head)
{
    struct fill_head *h = &f->head;
    h->content_type = arena_copy(&f->arena, shown_type(f, head));
    h->etag = arena_copy(&f->arena, http_fields_value(&head->fields, HF_ETAG));
    h->last_modified = arena_copy(&f->arena, http_fields_value(&head->fields, HF_LAST_MODIFIED));
    h->status = is_passed(f, head) ? head->status : 200; /* 206 is between us and the upstream */
    h->url = arena_copy(&f->arena, head->url);
    h->shown = f->expected;
    h->has_size = f->has_total;
    h->size = f->total;
    h->storing = f->storing;
    return h->content_type.p && h->etag.p && h->last_modified.p && h->url.p &&
           (f->plan.obeys_upstream || keep_fields(f, head, &h->fields));
}

/*
 * The rest is not to be had. What an earlier process left may be no beginning of what the upstream
 * has now, or all of it but for the head: as long as nothing was promised, the whole is asked for.
 */
static enum fill_verdict rest_refused(struct fill *f, const struct fetch_head *head)
{
    err_set(&f->info, ERR_UPSTREAM, "the rest was refused with %d", head->status);
    return f->phase == FILL_ANSWERING ? VERDICT_AGAIN : VERDICT_ANEW;
}

/* 416: nothing is missing. What the body is must then be known without its head. */
static enum fill_verdict judge_complete(struct fill *f, const struct fetch_head *head)
{
    if (f->phase == FILL_ANSWERING)
        return VERDICT_COMPLETE;
    f->has_total = true;
    f->total = f->received;
    if (!f->plan.content_type.n || !copy_head(f, head))
        return rest_refused(f, head);
    return VERDICT_COMPLETE;
}

static bool is_strong(struct slice etag)
{
    return etag.n && etag.p[0] == '"';
}

bool fill_can_be_resumed(const struct fill *f)
{
    bool reads = f->plan.method == HTTP_GET || f->plan.method == HTTP_HEAD;
    return reads && (f->expected.algo != DIGEST_NONE || is_strong(f->head.etag));
}

/* Without a digest to prove it in the end, the validator must say that it is still the same. */
static bool is_same_body(const struct fill *f, const struct fetch_head *head)
{
    if (f->expected.algo != DIGEST_NONE)
        return true;
    return head->framed && is_strong(f->head.etag) &&
           slice_eq(http_fields_value(&head->fields, HF_ETAG), f->head.etag);
}

/* 206 or 200 or 416 to a request for the rest. */
static enum fill_verdict judge_rest(struct fill *f, const struct fetch_head *head)
{
    struct http_content_range range;
    bool has_range =
        http_content_range_parse(http_fields_value(&head->fields, HF_CONTENT_RANGE), &range);
    if (head->status == 416 && has_range && range.has_size && range.size == f->received)
        return judge_complete(f, head);
    if ((head->status == 200 || head->status == 206) && !is_same_body(f, head))
        return refuse(f, "the object changed while it was fetched");
    if (head->status == 206 && has_range && range.has_range && range.first == f->received &&
        range.has_size && range.last + 1 == range.size &&
        (!f->has_total || f->total == range.size)) {
        f->has_total = true;
        f->total = range.size;
        counter_inc(COUNTER_FILLS_RESUMED);
        return VERDICT_BODY;
    }
    if (head->status == 200 && (!f->has_total || !head->has_length || head->length == f->total)) {
        /* From the start after all: the same bytes once more, which are not taken twice. */
        f->skip = f->received;
        f->has_total = f->has_total || head->has_length;
        f->total = head->has_length ? head->length : f->total;
        return VERDICT_BODY;
    }
    return rest_refused(f, head);
}

static enum fill_verdict judge_first(struct fill *f, const struct fetch_head *head)
{
    if (head->status == 304 && f->purpose == FILL_REFRESH) {
        obey_not_modified(f, head);
        return VERDICT_UNCHANGED;
    }
    if (head->status != 200 && !is_passed(f, head)) {
        err_set(&f->info, ERR_UPSTREAM, "the upstream answered %d", head->status);
        return VERDICT_FAILED;
    }
    f->has_total = head->has_length;
    f->total = head->length;
    return VERDICT_BODY;
}

/* Does the type allow this body, and may it be stored? */
static enum fill_verdict judge_type(struct fill *f, const struct fetch_head *head)
{
    struct slice type = shown_type(f, head);
    if (plan_type_listed(f->plan.relayed_types, f->plan.relayed_type_count, type)) {
        f->storing = false;
        f->expected.algo = DIGEST_NONE;
        return VERDICT_BODY;
    }
    if (f->plan.types && !plan_type_listed(f->plan.types, f->plan.type_count, type))
        return refuse(f, "the upstream answered with a type that this resource cannot have");
    return VERDICT_BODY;
}

static enum fill_verdict judge_digest(struct fill *f, const struct fetch_head *head)
{
    struct digest claimed = claimed_digest(f, head);
    if (f->expected.algo != DIGEST_NONE) {
        if (claimed.algo == f->expected.algo && !digest_equal(&claimed, &f->expected))
            return refuse(f, "the upstream names another digest than was asked for");
        return VERDICT_BODY;
    }
    if (f->purpose == FILL_REFRESH && claimed.algo != DIGEST_NONE &&
        digest_equal(&claimed, &f->held.shown))
        return VERDICT_UNCHANGED;
    f->expected = claimed;
    return VERDICT_BODY;
}

void fill_choose_mode(struct fill *f)
{
    if (f->mode != MODE_UNSET)
        return; /* a resumed body goes on where it was */
    if (f->has_total && f->total > f->home->engine->max_object)
        f->storing = false;
    if (!f->storing)
        f->mode = MODE_WINDOW;
    else if (f->has_total && f->total > STORE_INLINE_MAX)
        f->mode = MODE_FILE;
    else
        f->mode = MODE_MEMORY;
    if (f->mode != MODE_FILE)
        f->hasher = hasher_new(f->expected.algo);
    if (!f->storing) /* who comes later finds the beginning gone */
        fill_table_remove(f->home->engine->table, &f->node);
}

/* A page that is older than the one held: a mirror that lags, or a replay. */
static bool falls_back(const struct fill *f, const struct fetch_head *head)
{
    uint64_t number;
    const struct http_field *field = http_fields_find(&head->fields, f->plan.rising_field);
    return f->held.has_rising && field && fill_rising_number(field->value, &number) &&
           number < f->held.rising;
}

/* A page is read here, so its coding must be known. Of other bodies the digest is all that counts.
 */
static enum fill_verdict judge_coding(struct fill *f, const struct fetch_head *head)
{
    struct slice coding = http_fields_value(&head->fields, HF_CONTENT_ENCODING);
    if (!f->plan.check || coding.n == 0 || slice_ieq(coding, SLICE("identity")))
        return VERDICT_BODY;
    f->head.gzip = slice_ieq(coding, SLICE("gzip")) || slice_ieq(coding, SLICE("x-gzip"));
    return f->head.gzip ? VERDICT_BODY : refuse(f, "the upstream answered in an unknown coding");
}

/* What holds for the first head of a body; a resumed one was judged before. */
static enum fill_verdict judge_new_body(struct fill *f, const struct fetch_head *head)
{
    enum fill_verdict v = judge_type(f, head);
    if (v == VERDICT_BODY && f->storing)
        v = judge_digest(f, head);
    if (v == VERDICT_BODY)
        v = judge_coding(f, head);
    if (v == VERDICT_BODY && f->plan.rising_field.n && falls_back(f, head))
        v = refuse(f, "the upstream answered with an older page than the one that is held");
    if (v != VERDICT_BODY)
        return v;
    if (!obey_head(f, head))
        return refuse(f, "the head is too long to keep");
    bool open_ended = !head->framed && f->expected.algo == DIGEST_NONE;
    if (open_ended && (f->storing || !f->plan.obeys_upstream))
        return refuse(f, "the end of the body cannot be told from a broken connection");
    if (f->plan.max_size && f->has_total && f->total > f->plan.max_size)
        return refuse(f, "the body is longer than this resource may be");
    obey_note_named(f, head);
    fill_choose_mode(f);
    return copy_head(f, head) ? VERDICT_BODY : refuse(f, "the head is too long to keep");
}

static enum fill_verdict judge_get(struct fill *f, const struct fetch_head *head)
{
    bool resumed = f->received > 0;
    enum fill_verdict v = !resumed && is_passed(f, head) ? VERDICT_NONE : judge_status(f, head);
    if (v != VERDICT_NONE && f->phase == FILL_ANSWERING)
        return VERDICT_AGAIN; /* the object was there a moment ago */
    if (v == VERDICT_NONE)
        v = resumed ? judge_rest(f, head) : judge_first(f, head);
    if (v == VERDICT_BODY && f->phase == FILL_STARTING)
        v = judge_new_body(f, head);
    return v;
}

/* The answer to a HEAD that asks whether what is held is right. */
static enum fill_verdict judge_check(struct fill *f, const struct fetch_head *head)
{
    enum fill_verdict v = judge_status(f, head);
    if (head->status == 501)
        return VERDICT_NO_HEAD; /* no outage: the method is not implemented */
    if (v == VERDICT_NOT_FOUND || v == VERDICT_FAILED)
        return v;
    if (head->status != 200)
        return VERDICT_NO_HEAD;
    struct digest claimed = claimed_digest(f, head);
    if (f->purpose == FILL_CONFIRM) {
        bool other = claimed.algo == f->plan.digest.algo && claimed.algo != DIGEST_NONE &&
                     !digest_equal(&claimed, &f->plan.digest);
        return other ? VERDICT_NO_HEAD : VERDICT_UNCHANGED;
    }
    if (claimed.algo == DIGEST_NONE)
        return VERDICT_NO_HEAD;
    if (digest_equal(&claimed, &f->held.shown))
        return VERDICT_UNCHANGED;
    f->moved_to = claimed;
    return VERDICT_MOVED;
}

/* The answer that a client's own HEAD will get. */
static enum fill_verdict judge_asked(struct fill *f, const struct fetch_head *head)
{
    bool passed = is_passed(f, head);
    enum fill_verdict v = passed ? VERDICT_NONE : judge_status(f, head);
    if (f->asking && !passed && (v == VERDICT_DENIED || head->status == 405))
        return VERDICT_NO_HEAD; /* some registries refuse HEAD and answer GET */
    if (v != VERDICT_NONE)
        return v;
    if (head->status != 200 && !passed)
        return refuse(f, "the upstream did not answer the question");
    struct digest claimed = claimed_digest(f, head);
    if (claimed.algo == f->expected.algo && claimed.algo != DIGEST_NONE &&
        !digest_equal(&claimed, &f->expected))
        return refuse(f, "the upstream names another digest than was asked for");
    f->has_total = head->has_length;
    f->total = head->length;
    if (f->expected.algo == DIGEST_NONE)
        f->expected = claimed;
    return obey_head(f, head) && copy_head(f, head) ? VERDICT_ASKED
                                                    : refuse(f, "the head is too long to keep");
}

/* --- callbacks of the fetch --- */

static void note_status(struct fill *f, const struct fetch_head *head)
{
    int64_t delay = 0;
    struct slice wish = http_fields_value(&head->fields, HF_RETRY_AFTER);
    bool wished = wish.p && http_retry_after_parse(wish, clock_wall_ms() / 1000, &delay);
    pthread_mutex_lock(&f->lock);
    f->upstream_status = head->status;
    f->retry_after_s = wished ? delay : 0;
    pthread_mutex_unlock(&f->lock);
}

static enum fetch_flow on_head(void *arg, const struct fetch_head *head)
{
    struct fill *f = arg;
    note_status(f, head);
    bool check = f->asking && (f->purpose == FILL_CONFIRM || f->purpose == FILL_REFRESH);
    if (check)
        f->verdict = judge_check(f, head);
    else if (f->purpose == FILL_ASK)
        f->verdict = judge_asked(f, head);
    else
        f->verdict = judge_get(f, head);
    if (f->verdict != VERDICT_BODY)
        return FETCH_ABORT;
    if (f->phase == FILL_STARTING)
        fill_publish(f, FILL_ANSWERING);
    return FETCH_CONTINUE;
}

static enum fetch_flow on_body(void *arg, const void *bytes, size_t n)
{
    struct fill *f = arg;
    uint64_t fresh = n > f->skip ? n - f->skip : 0;
    if ((f->has_total && f->received + fresh > f->total) ||
        (f->plan.max_size && f->received + fresh > f->plan.max_size)) {
        f->verdict = refuse(f, "the body is longer than it may be");
        f->info.code = ERR_CORRUPT; /* nothing of it is worth keeping */
        return FETCH_ABORT;
    }
    enum err rc = fill_take(f, bytes, n);
    if (rc == ERR_AGAIN) {
        f->paused = true;
        return FETCH_PAUSE;
    }
    if (rc != ERR_OK) {
        f->verdict = refuse(f, "out of memory");
        return FETCH_ABORT;
    }
    return FETCH_CONTINUE;
}

static void on_done(void *arg, enum err result, const struct errinfo *info)
{
    struct fill *f = arg;
    f->fetch = NULL;
    f->fetch_over = true;
    f->paused = false;
    f->fetch_result = result;
    if (result != ERR_OK && info && f->verdict != VERDICT_FAILED)
        f->info = *info;
    if (result == ERR_FOREIGN) {
        pthread_mutex_lock(&f->lock);
        f->foreign = true;
        pthread_mutex_unlock(&f->lock);
    }
    fill_run(f);
}

static const struct fetch_ops fill_fetch_ops = {on_head, on_body, on_done};

void fill_fetch_begin(struct fill *f, enum http_method method)
{
    struct fetch_request r = {
        .set = f->route->upstreams,
        .method = method,
        .method_text = f->plan.method_text,
        .path = f->plan.upstream_path,
        .url = f->plan.url,
        .takes_gzip = f->plan.takes_gzip,
        .authorization = f->plan.credential,
        .lines = f->plan.lines,
        .line_count = f->plan.line_count,
        .any_status = f->plan.passes_status,
        .body = f->body,
        .has_body_length = f->has_body_length,
        .body_length = f->body_length,
        .scope = f->plan.scope,
        .accept = f->plan.accept,
        .offset = f->received,
        .id = slice_str(f->id),
    };
    if (f->received && f->expected.algo == DIGEST_NONE)
        r.if_range = f->head.etag;
    if (f->purpose == FILL_REFRESH && f->plan.refresh == REFRESH_CONDITIONAL && !f->received) {
        r.etag = f->held.etag;
        r.last_modified = f->held.last_modified;
    }
    f->body = NULL; /* the fetch has it */
    f->asking = method == HTTP_HEAD;
    f->fetch_over = false;
    f->paused = false;
    f->verdict = VERDICT_NONE;
    f->skip = 0;
    f->fetch = fetch_start(f->home->uplink, &r, &fill_fetch_ops, f);
}
