/*
 * What the tests of the engine share: a site (store, pool, engine, two workers, each with its
 * reactor on a thread of its own) and guests, who look up and read as a connection would. Guests
 * live on a worker's thread; the test's thread starts them, waits, and asserts. Every wait is
 * bounded.
 */
#ifndef YT_TESTS_ENGINE_KIT_H
#define YT_TESTS_ENGINE_KIT_H

#include "base/container.h"
#include "daemon/cache/worker.h"
#include "origin.h"
#include "upstream_kit.h"

#include <ftw.h>
#include <semaphore.h>
#include <sys/stat.h>

enum { SEATS = 2, KIT_MAP_BYTES = 32 * 1024 * 1024, GUEST_SCRATCH = 16 * 1024 };

/* --- the site --- */

struct site;

struct seat {
    struct site *site;
    struct reactor *reactor;
    struct uplink *uplink;
    struct engine_worker *worker;
    pthread_t thread;
    atomic_bool idle;
    bool fills; /* for seat_has_fills */
};

struct site {
    char path[64];
    struct store *store;
    struct pool *pool, *cold_pool;
    struct tokens *tokens;
    struct engine *engine;
    struct upstream_set *set;
    struct cache_route route;
    struct server *server;
    struct seat seats[SEATS];
    struct guest *guests; /* the test's thread only */
    bool stopping;
    pthread_mutex_t lock; /* of what guests have seen */
};

struct site_options {
    int64_t max_size;
    int64_t wait_timeout_ms;
    struct origin *origins;
    answer_f *answer;   /* instead of the origins */
    const char *folder; /* of an earlier site; NULL: a new one */
};

struct call {
    struct mail mail;
    void (*run)(void *arg);
    void *arg;
    sem_t over;
};

static inline void on_call(struct mail *m)
{
    struct call *c = (struct call *)(void *)m;
    c->run(c->arg);
    sem_post(&c->over);
}

/* Runs it on the seat's thread and waits for its end. */
static inline void call_on(struct seat *seat, void (*run)(void *arg), void *arg)
{
    struct call c = {.mail = {.run = on_call}, .run = run, .arg = arg};
    sem_init(&c.over, 0, 0);
    reactor_post(seat->reactor, &c.mail);
    while (sem_wait(&c.over) != 0)
        continue;
    sem_destroy(&c.over);
}

static inline void *run_seat(void *arg)
{
    struct seat *seat = arg;
    reactor_run(seat->reactor);
    return NULL;
}

static inline int remove_path(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
    (void)st;
    (void)type;
    (void)ftw;
    return remove(path);
}

static inline void remove_folder(const char *path)
{
    nftw(path, remove_path, 16, FTW_DEPTH | FTW_PHYS);
}

static inline void make_folder_name(char path[64])
{
    snprintf(path, 64, "/tmp/yantian-test-XXXXXX");
    assert_non_null(mkdtemp(path));
}

/* Nothing here is about an upstream's deadlines: they may not pass on a busy machine. */
static const struct uplink_options site_uplink = {
    .connect_timeout_ms = KIT_LATE_MS,
    .response_timeout_ms = KIT_LATE_MS,
    .stall_timeout_ms = KIT_LATE_MS,
};

static inline void seat_open(struct site *s, struct seat *seat)
{
    seat->site = s;
    atomic_init(&seat->idle, false);
    assert_int_equal(reactor_new(&seat->reactor, NULL), ERR_OK);
    assert_int_equal(uplink_new(seat->reactor, s->tokens, &site_uplink, &seat->uplink, NULL),
                     ERR_OK);
    assert_int_equal(engine_worker_new(s->engine, seat->reactor, seat->uplink, &seat->worker, NULL),
                     ERR_OK);
    pthread_create(&seat->thread, NULL, run_seat, seat);
}

static inline void site_open(struct site *s, const struct site_options *o)
{
    struct store_options store = {.path = s->path,
                                  .max_size = o->max_size ? o->max_size : 256 << 20,
                                  .map_size = KIT_MAP_BYTES};
    *s = (struct site){.path = ""};
    if (o->folder)
        snprintf(s->path, sizeof s->path, "%s", o->folder);
    else
        make_folder_name(s->path);
    pthread_mutex_init(&s->lock, NULL);
    s->server = server_start(o->answer ? o->answer : answer_from_origins, o->origins);
    s->set = set_of(&s->server->port, 1, false);
    s->route = (struct cache_route){.name = SLICE("route"),
                                    .upstreams = s->set,
                                    .ttl_ms = 60000,
                                    .negative_ttl_ms = 10000,
                                    .stale_for_ms = 3600000,
                                    .stale_while_refreshing_ms = 0,
                                    .patience_ms = 2000};
    assert_int_equal(store_open(&store, &s->store, NULL), ERR_OK);
    assert_int_equal(pool_new(2, &s->pool, NULL), ERR_OK);
    assert_int_equal(pool_new(1, &s->cold_pool, NULL), ERR_OK);
    s->tokens = tokens_new();
    struct engine_options engine = {.store = s->store,
                                    .pool = s->pool,
                                    .cold_pool = s->cold_pool,
                                    .wait_timeout_ms =
                                        o->wait_timeout_ms ? o->wait_timeout_ms : 9000};
    s->engine = engine_new(&engine);
    for (int i = 0; i < SEATS; i++)
        seat_open(s, &s->seats[i]);
}

static inline void seat_is_idle(void *arg)
{
    struct seat *seat = arg;
    atomic_store(&seat->idle, true);
}

static inline void stop_worker(void *arg)
{
    struct seat *seat = arg;
    engine_worker_stop(seat->worker, seat_is_idle, seat);
}

/* Without waiting for it. */
static inline void site_order_stop(struct site *s)
{
    s->stopping = true;
    for (int i = 0; i < SEATS; i++)
        call_on(&s->seats[i], stop_worker, &s->seats[i]);
}

static inline void site_stop_workers(struct site *s)
{
    if (!s->stopping)
        site_order_stop(s);
    for (int i = 0; i < SEATS; i++)
        await(atomic_load(&s->seats[i].idle));
}

/* After a stop that was the test's own: the site's end stops them once more. */
static inline void site_forget_stop(struct site *s)
{
    s->stopping = false;
    for (int i = 0; i < SEATS; i++) {
        s->seats[i].worker->stopping = false;
        atomic_store(&s->seats[i].idle, false);
    }
}

static inline void guests_free(struct site *s);

/* The folder stays. */
static inline void site_close(struct site *s)
{
    guests_free(s);
    site_stop_workers(s);
    for (int i = 0; i < SEATS; i++) {
        reactor_stop(s->seats[i].reactor);
        pthread_join(s->seats[i].thread, NULL);
    }
    pool_free(&s->pool);
    pool_free(&s->cold_pool);
    for (int i = 0; i < SEATS; i++) {
        engine_worker_free(&s->seats[i].worker);
        uplink_free(&s->seats[i].uplink);
        reactor_free(&s->seats[i].reactor);
    }
    assert_int_equal(atomic_load(&s->engine->fills), 0);
    engine_free(&s->engine);
    upstream_set_free(&s->set);
    tokens_free(&s->tokens);
    store_close(&s->store);
    server_stop(s->server);
    pthread_mutex_destroy(&s->lock);
}

static inline void site_end(struct site *s)
{
    site_close(s);
    remove_folder(s->path);
}

static inline void note_fills(void *arg)
{
    struct seat *seat = arg;
    seat->fills = seat->worker->fills != NULL;
}

static inline bool seat_has_fills(struct seat *seat)
{
    call_on(seat, note_fills, seat);
    return seat->fills;
}

/* All fills have ended, of whichever guests. */
static inline void site_settle(struct site *s)
{
    for (int i = 0; i < SEATS; i++)
        await(!seat_has_fills(&s->seats[i]));
}

/* --- guests --- */

struct guest {
    struct guest *next;
    struct site *site;
    struct seat *seat;
    struct arena arena;
    struct plan plan;
    struct lookup lookup;
    char names[2][256];
    uint64_t first, end;       /* what it reads; end 0: to the end */
    _Atomic uint64_t appetite; /* how many bytes it takes */
    uint64_t pos, stop;
    bool present;
    bool only_held;
    bool goes_at_once; /* with the answer, within the callback */
    /* under the site's lock: */
    unsigned readies; /* answers given: more than one is a defect */
    bool ready;
    enum lookup_state state;
    enum plan_error error;
    struct answer answer; /* without its slices */
    struct digest shown;  /* answer.shown, read again */
    struct cache_status cache_status;
    int64_t retry_after_s;
    char etag[200];
    char type[80];
    char fields[200];
    char *body;
    size_t body_cap;
    size_t n;
    bool complete;
    bool broken;
    unsigned waits;
};

/* Reads of a guest's fields by the test. */
#define seen(g, what)                                                                              \
    __extension__({                                                                                \
        pthread_mutex_lock(&(g)->site->lock);                                                      \
        __typeof__((g)->what) seen_ = (g)->what;                                                   \
        pthread_mutex_unlock(&(g)->site->lock);                                                    \
        seen_;                                                                                     \
    })

static inline void guest_text(char *out, size_t size, struct slice s)
{
    snprintf(out, size, "%.*s", (int)s.n, s.p ? s.p : "");
}

static inline void guest_note(struct guest *g)
{
    struct lookup *l = &g->lookup;
    pthread_mutex_lock(&g->site->lock);
    g->readies++;
    g->ready = true;
    g->state = l->state;
    g->error = l->error;
    g->answer = l->answer;
    g->cache_status = l->state == LOOKUP_ANSWER ? l->answer.status_field : l->error_status;
    g->retry_after_s = l->retry_after_s;
    if (digest_parse(l->answer.shown, &g->shown) != ERR_OK)
        g->shown.algo = DIGEST_NONE;
    guest_text(g->etag, sizeof g->etag, l->answer.etag);
    guest_text(g->type, sizeof g->type, l->answer.content_type);
    guest_text(g->fields, sizeof g->fields, l->answer.fields);
    pthread_mutex_unlock(&g->site->lock);
}

static inline void guest_take(struct guest *g, const struct piece *piece)
{
    char bytes[GUEST_SCRATCH];
    size_t n = piece->n < sizeof bytes ? (size_t)piece->n : sizeof bytes;
    const char *from = piece->bytes;
    if (g->n + n > g->appetite)
        n = (size_t)(g->appetite - g->n);
    if (piece->kind == PIECE_FILE) {
        assert_int_equal(pread(piece->fd, bytes, n, (off_t)piece->offset), n);
        from = bytes;
    }
    pthread_mutex_lock(&g->site->lock);
    if (g->n + n > g->body_cap) {
        g->body_cap = 2 * (g->n + n);
        g->body = realloc(g->body, g->body_cap);
    }
    memcpy(g->body + g->n, from, n);
    g->n += n;
    pthread_mutex_unlock(&g->site->lock);
    g->pos += n;
    lookup_body_taken(&g->lookup, g->pos);
}

static inline void guest_ends(struct guest *g, bool complete)
{
    pthread_mutex_lock(&g->site->lock);
    g->complete = complete;
    g->broken = !complete;
    pthread_mutex_unlock(&g->site->lock);
}

/* Reads what there is, as a connection with room in its socket does. */
static inline void guest_read(void *arg)
{
    struct guest *g = arg;
    char scratch[GUEST_SCRATCH];
    struct piece piece;
    while (!g->complete && !g->broken) {
        if (g->pos >= g->stop) {
            guest_ends(g, true);
            return;
        }
        if (g->n >= g->appetite)
            return;
        lookup_body(&g->lookup, g->pos, g->stop, true, scratch, sizeof scratch, &piece);
        if (piece.kind == PIECE_WAIT) {
            g->waits++;
            return;
        }
        if (piece.kind == PIECE_END || piece.kind == PIECE_FAILED)
            guest_ends(g, piece.kind == PIECE_END && g->stop == UINT64_MAX);
        else
            guest_take(g, &piece);
    }
}

static inline void guest_answered(struct guest *g)
{
    guest_note(g);
    if (g->lookup.state != LOOKUP_ANSWER)
        return;
    const struct answer *a = &g->lookup.answer;
    g->pos = g->first;
    g->stop = g->end ? g->end : a->has_size ? a->size : UINT64_MAX;
    if (a->body == BODY_NONE || g->lookup.head_only)
        g->stop = g->pos;
    guest_read(g);
}

static inline void guest_end(void *arg)
{
    struct guest *g = arg;
    lookup_end(&g->lookup);
    arena_reset(&g->arena);
}

static inline void guest_on_ready(struct lookup *l)
{
    struct guest *g = (struct guest *)(void *)((char *)l - offsetof(struct guest, lookup));
    if (!g->goes_at_once) {
        guest_answered(g);
        return;
    }
    guest_end(g);
    g->lookup.answer = (struct answer){.status = 0}; /* its texts are gone */
    guest_note(g);
}

static inline void guest_on_body(struct lookup *l)
{
    guest_read((char *)l - offsetof(struct guest, lookup));
}

static inline void guest_begin(void *arg)
{
    struct guest *g = arg;
    if (lookup_start(&g->lookup) != LOOKUP_WAITING)
        guest_answered(g);
}

static inline void no_page(struct arena *a, enum plan_error error, struct slice detail,
                           struct plan_page *page)
{
    (void)a;
    (void)error;
    (void)detail;
    *page = (struct plan_page){.status = 500};
}

static inline void guest_wants(struct guest *g, struct origin *o, const char *resource)
{
    snprintf(g->names[0], sizeof g->names[0], "%s", resource);
    snprintf(g->names[1], sizeof g->names[1], "/v2/%.*s", 200, resource);
    g->plan.resource = slice_str(g->names[0]);
    g->plan.upstream_path = slice_str(g->names[1]);
    pthread_mutex_lock(&o->lock);
    snprintf(o->path, sizeof o->path, "%s", g->names[1]);
    pthread_mutex_unlock(&o->lock);
}

/* A blob by its digest: bytes that never change and must be right. */
static inline void wants_blob(struct guest *g, struct origin *o)
{
    char text[DIGEST_TEXT_MAX], resource[DIGEST_TEXT_MAX + 16];
    pthread_mutex_lock(&o->lock);
    g->plan.digest = o->digest;
    pthread_mutex_unlock(&o->lock);
    digest_text(&g->plan.digest, text);
    snprintf(resource, sizeof resource, "a/blobs/%s", text);
    guest_wants(g, o, resource);
    g->plan.immutable = true;
    g->plan.head = HEAD_ASKS;
    g->plan.content_type = SLICE("application/octet-stream");
    g->plan.digest_field = SLICE("Docker-Content-Digest");
}

/* A tag: what it names may change. */
static inline void wants_tag(struct guest *g, struct origin *o)
{
    guest_wants(g, o, "a/manifests/latest");
    g->plan.alias_prefix = SLICE("a/manifests/");
    g->plan.refresh = REFRESH_HEAD_DIGEST;
    g->plan.max_size = 4 << 20;
    g->plan.digest_field = SLICE("Docker-Content-Digest");
    g->plan.bare_content_type = true;
}

/* What the tag's fill is stored under besides: the same, by its digest. */
static inline void wants_tagged_digest(struct guest *g, struct origin *o)
{
    char text[DIGEST_TEXT_MAX];
    wants_tag(g, o);
    pthread_mutex_lock(&o->lock);
    g->plan.digest = o->digest;
    pthread_mutex_unlock(&o->lock);
    digest_text(&g->plan.digest, text);
    snprintf(g->names[0], sizeof g->names[0], "a/manifests/%s", text);
    snprintf(g->names[1], sizeof g->names[1], "/v2/a/manifests/%s", text);
    g->plan.resource = slice_str(g->names[0]);
    g->plan.upstream_path = slice_str(g->names[1]);
    g->plan.alias_prefix = SLICE("");
    g->plan.immutable = true;
    pthread_mutex_lock(&o->lock);
    snprintf(o->digest_path, sizeof o->digest_path, "%s", g->names[1]);
    pthread_mutex_unlock(&o->lock);
}

/* A list without any digest. */
static inline void wants_list(struct guest *g, struct origin *o)
{
    guest_wants(g, o, "a/tags/list");
    g->plan.refresh = REFRESH_CONDITIONAL;
    g->plan.max_size = 16 << 20;
}

/* Comes in. */
static inline void guest_enter(struct guest *g)
{
    arena_init(&g->arena, NULL, 0, 1 << 20);
    g->lookup = (struct lookup){.worker = g->seat->worker,
                                .route = &g->site->route,
                                .plan = &g->plan,
                                .arena = &g->arena,
                                .id = SLICE("guest"),
                                .head_only = g->lookup.head_only,
                                .only_held = g->only_held,
                                .on_ready = guest_on_ready,
                                .on_body = guest_on_body};
    g->present = true;
    call_on(g->seat, guest_begin, g);
}

static inline void guest_leave(struct guest *g)
{
    if (g->present && !(g->goes_at_once && seen(g, ready)))
        call_on(g->seat, guest_end, g);
    g->present = false;
}

static inline void guests_free(struct site *s)
{
    for (struct guest *g = s->guests, *next; g; g = next) {
        next = g->next;
        guest_leave(g);
        free(g->body);
        free(g);
    }
    s->guests = NULL;
}

/* Takes up to `n` bytes in all from now on. */
static inline void guest_eats(struct guest *g, uint64_t n)
{
    g->appetite = n;
    call_on(g->seat, guest_read, g);
}

static inline void guest_wait_ready(struct guest *g)
{
    await(seen(g, ready));
}

static inline void guest_wait_end(struct guest *g)
{
    await(seen(g, complete) || seen(g, broken) || (seen(g, ready) && g->state == LOOKUP_ERROR));
}

/* It has got all of what it wanted, and the right bytes. */
static inline void check_body_of(struct guest *g, struct origin *o)
{
    guest_wait_end(g);
    if (!seen(g, complete))
        fail_msg("the body broke off at %zu of %zu (state %d, error %d: %.*s)", g->n, o->n,
                 g->state, g->error, SLICE_ARG(g->lookup.error_detail));
    size_t end = g->end ? (size_t)g->end : o->n;
    assert_int_equal(g->n, end - g->first);
    assert_int_equal(g->readies, 1);
    if (g->n)
        assert_memory_equal(g->body, o->bytes + g->first, g->n);
}

static inline void check_error(struct guest *g, enum plan_error error)
{
    guest_wait_ready(g);
    assert_int_equal(g->state, LOOKUP_ERROR);
    assert_int_equal(g->error, error);
    assert_int_equal(g->readies, 1);
}

/* --- the one site and the one object of most tests --- */

static struct site the_site;
static struct origin the_origin;
/* For `holds_head` and `holds_rest`: shut when a test begins, open when it ends. */
static atomic_bool head_gate, rest_gate;

/*
 * An object of `n` bytes, and a site for it. kit_end is the test's tear-down; a test that begins
 * several times calls it in between.
 */
static inline void begin_with(size_t n, struct site_options options)
{
    atomic_store(&head_gate, false);
    atomic_store(&rest_gate, false);
    origin_init(&the_origin, 1, n);
    options.origins = &the_origin;
    site_open(&the_site, &options);
}

static inline void begin(size_t n)
{
    begin_with(n, (struct site_options){.max_size = 0});
}

static inline int kit_end(void **state)
{
    (void)state;
    if (!the_site.store)
        return 0;
    atomic_store(&head_gate, true);
    atomic_store(&rest_gate, true);
    site_end(&the_site);
    origin_free(&the_origin);
    return 0;
}

/* Of all tests that use this kit. */
static inline int kit_begin(void **state)
{
    log_setup(getenv("KIT_VERBOSE") ? LOG_LEVEL_DEBUG : LOG_LEVEL_ERROR, LOG_FORMAT_TEXT);
    return kit_setup(state);
}

/* The GETs of the object go as these rows say; the last one stays. */
#define SCRIPT(...)                                                                                \
    do {                                                                                           \
        const struct act acts_[] = {__VA_ARGS__};                                                  \
        origin_script(&the_origin, acts_, sizeof acts_ / sizeof acts_[0]);                         \
    } while (0)

typedef void wants_f(struct guest *g, struct origin *o);

/* A guest that has not come in yet; it goes with the site. */
static inline struct guest *new_guest(int seat, wants_f *wants)
{
    struct guest *g = calloc(1, sizeof *g);
    *g = (struct guest){.next = the_site.guests,
                        .site = &the_site,
                        .seat = &the_site.seats[seat],
                        .appetite = UINT64_MAX};
    g->plan = (struct plan){
        .kind = PLAN_CACHED, .render_error = no_page, .variant = SLICE(""), .accepts_any = true};
    the_site.guests = g;
    wants(g, &the_origin);
    return g;
}

static inline struct guest *enter(int seat, wants_f *wants)
{
    struct guest *g = new_guest(seat, wants);
    guest_enter(g);
    return g;
}

static inline struct guest *enter_for_head(int seat, wants_f *wants)
{
    struct guest *g = new_guest(seat, wants);
    g->lookup.head_only = true;
    guest_enter(g);
    return g;
}

/* Comes, gets the right bytes, leaves; then all fills are over. */
static inline struct guest *serve_one(int seat, wants_f *wants)
{
    struct guest *g = enter(seat, wants);
    check_body_of(g, &the_origin);
    guest_leave(g);
    site_settle(&the_site);
    return g;
}

/* --- what is stored --- */

static inline bool stored_bytes_are(const struct store_body *body, const struct store_entry *e,
                                    const struct origin *o)
{
    if (e->size != o->n)
        return false;
    if (body->is_inline)
        return slice_eq(body->bytes, slice_of(o->bytes, o->n));
    char *p = malloc(o->n + 1);
    bool same = pread(body->fd, p, o->n, 0) == (ssize_t)o->n && memcmp(p, o->bytes, o->n) == 0;
    free(p);
    return same;
}

enum stored { STORED_NOTHING, STORED_RIGHT, STORED_WRONG };

/* What the store has under the guest's key, compared with the origin's bytes. */
static inline enum stored stored_for(struct guest *g, const struct origin *o)
{
    struct store_reader *reader = NULL;
    struct store_key key;
    struct store_entry e;
    struct store_body body;
    struct arena a;
    enum stored result = STORED_NOTHING;
    arena_init(&a, NULL, 0, 1 << 20);
    assert_int_equal(store_reader_new(g->site->store, &reader, NULL), ERR_OK);
    cache_key(g->site->route.name, g->plan.resource, g->plan.variant, &key);
    if (store_lookup(reader, &key, &a, &e, &body) == ERR_OK) {
        result = stored_bytes_are(&body, &e, o) ? STORED_RIGHT : STORED_WRONG;
        store_body_release(&body);
    }
    store_reader_free(&reader);
    arena_reset(&a);
    return result;
}

/* --- a disk that answers when it is told to --- */

enum { HELD_THREADS_MAX = 2 };

struct held_thread {
    struct job job;
    sem_t *goes_on;
};

struct held_disk {
    sem_t goes_on;
    struct held_thread threads[HELD_THREADS_MAX];
    unsigned n;
};

static inline void held_work(struct job *j)
{
    while (sem_wait(container_of(j, struct held_thread, job)->goes_on) != 0)
        continue;
}

static inline void held_done(struct job *j)
{
    (void)j;
}

/* So many threads of the pool do nothing else from now on. */
static inline void disk_stop(struct held_disk *d, struct pool *pool, unsigned threads,
                             struct reactor *home)
{
    sem_init(&d->goes_on, 0, 0);
    for (d->n = 0; d->n < threads; d->n++) {
        struct held_thread *t = &d->threads[d->n];
        *t = (struct held_thread){{.work = held_work, .done = held_done}, &d->goes_on};
        pool_submit(pool, &t->job, home);
    }
}

static inline void disk_go(struct held_disk *d)
{
    for (unsigned i = 0; i < d->n; i++)
        sem_post(&d->goes_on);
}

/* When the pool is gone. */
static inline void disk_end(struct held_disk *d)
{
    sem_destroy(&d->goes_on);
}

#endif
