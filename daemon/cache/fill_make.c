/* A fill whose bytes are made from another object of this cache. */
#include "fill.h"
#include "worker.h"

/*
 * The validator of what is made: it changes with the source's and with whatever else the result
 * depends on (the variant). As weak as the source's. Empty when the source has none.
 */
static struct slice made_etag(struct fill *f, struct slice etag)
{
    unsigned char hash[SHA256_BYTES];
    char hex[2 * 16 + 1];
    if (etag.n == 0)
        return slice_of("", 0);
    struct slice both =
        arena_printf(&f->arena, "%.*s %.*s", SLICE_ARG(etag), SLICE_ARG(f->plan.variant));
    if (!both.p)
        return both;
    sha256(both.p, both.n, hash);
    hex_encode(hash, 16, hex);
    bool is_weak = slice_starts(etag, SLICE("W/"));
    return arena_printf(&f->arena, "%s\"%s\"", is_weak ? "W/" : "", hex);
}

static bool make_head(struct fill *f, const struct answer *a)
{
    struct slice type = f->plan.content_type.n ? f->plan.content_type : a->content_type;
    f->head = (struct fill_head){
        .status = 200,
        .content_type = arena_copy(&f->arena, type),
        .fields = arena_printf(&f->arena, "%.*s%s", SLICE_ARG(a->fields),
                               f->plan.gzips ? "Content-Encoding: gzip\r\n" : ""),
        .etag = made_etag(f, a->etag),
        .last_modified = slice_of("", 0),
        .url = slice_of("", 0),
        .storing = f->storing,
    };
    return f->head.content_type.p && f->head.fields.p && f->head.etag.p;
}

static void stop(struct fill *f, enum err result)
{
    f->reading_over = true;
    f->reading_result = result;
    fill_run(f);
}

static void on_answer(void *arg)
{
    struct fill *f = arg;
    fill_choose_mode(f);
    if (!make_head(f, &reading_lookup(f->reading)->answer))
        stop(f, ERR_NOMEM);
}

/* The head goes out with the first bytes: until then a source that is not well formed is an error.
 */
static bool on_output(void *arg, struct slice bytes)
{
    struct fill *f = arg;
    enum err rc = fill_take(f, bytes.p, bytes.n);
    if (rc == ERR_AGAIN) {
        f->paused = true;
        return false;
    }
    if (rc != ERR_OK) {
        stop(f, rc);
        return false;
    }
    if (f->phase == FILL_STARTING)
        fill_publish(f, FILL_ANSWERING);
    return true;
}

static void on_done(void *arg, enum err result)
{
    struct fill *f = arg;
    if (result == ERR_OK)
        f->made_from = reading_content(f->reading);
    stop(f, result);
}

static const struct reading_ops make_ops = {on_answer, on_output, on_done};

bool fill_make_begin(struct fill *f)
{
    struct reading_spec spec = {
        .route = f->route,
        .object = f->plan.source,
        .plan = &f->plan,
        .reader = f->plan.rewrite,
        .gzips = f->plan.gzips,
        .id = slice_str(f->id),
    };
    f->reading = reading_start(f->home, &spec, &make_ops, f);
    return f->reading != NULL;
}

enum fill_phase fill_make_failure(struct fill *f)
{
    const struct lookup *l = reading_lookup(f->reading);
    bool no_source = f->reading_result == ERR_UPSTREAM && l->state == LOOKUP_ERROR;
    if (no_source) {
        pthread_mutex_lock(&f->lock);
        f->upstream_status = l->error_status.fwd_status;
        f->retry_after_s = l->retry_after_s;
        pthread_mutex_unlock(&f->lock);
    }
    if (no_source && l->error == PLAN_ERR_NOT_FOUND)
        return FILL_NOT_FOUND;
    if (no_source && (l->error == PLAN_ERR_DENIED || l->error == PLAN_ERR_FORBIDDEN ||
                      l->error == PLAN_ERR_CREDENTIALS))
        return FILL_DENIED;
    err_set(&f->info, f->reading_result,
            f->reading_result == ERR_CORRUPT ? "what it is made from is not well formed"
                                             : "what it is made from cannot be read");
    return FILL_FAILED;
}
