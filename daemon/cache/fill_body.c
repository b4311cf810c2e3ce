/* The bytes of a fill on their way from the upstream to the disk and to the followers. */
#include "base/clock.h"
#include "base/container.h"
#include "base/counters.h"
#include "base/log.h"
#include "fill.h"
#include "worker.h"
#include <assert.h>
#include <stdlib.h>
#include <unistd.h>

void fill_body_init(struct fill *f)
{
    pthread_mutex_init(&f->lock, NULL);
    f->read_fd = -1;
    f->chunks_last = &f->chunks;
}

static void free_chunks(struct chunk *c)
{
    while (c) {
        struct chunk *next = c->next;
        free(c);
        c = next;
    }
}

void fill_body_free(struct fill *f)
{
    free_chunks(f->chunks);
    free_chunks(f->spares);
    if (f->read_fd >= 0)
        close(f->read_fd);
    pthread_mutex_destroy(&f->lock);
}

/* --- followers --- */

static void on_follower_mail(struct mail *m)
{
    struct follower *fo = container_of(m, struct follower, mail);
    struct fill *f = fo->fill;
    pthread_mutex_lock(&f->lock);
    fo->posted = false;
    bool left = fo->left;
    pthread_mutex_unlock(&f->lock);
    if (left) {
        free(fo);
        fill_unref(&f);
        return;
    }
    fo->notify(fo->arg);
}

struct follower *follower_new(struct fill *f, struct reactor *reactor, void (*notify)(void *arg),
                              void *arg)
{
    struct follower *fo = calloc(1, sizeof *fo);
    if (!fo)
        return NULL;
    fo->mail.run = on_follower_mail;
    fo->fill = fill_ref(f);
    fo->reactor = reactor;
    fo->notify = notify;
    fo->arg = arg;
    fo->armed = true;
    pthread_mutex_lock(&f->lock);
    fo->next = f->followers;
    if (fo->next)
        fo->next->prev = fo;
    f->followers = fo;
    pthread_mutex_unlock(&f->lock);
    return fo;
}

static void wake_home_locked(struct fill *f)
{
    if (f->wake_posted || f->ended)
        return;
    f->wake_posted = true;
    fill_ref(f); /* given back when the mail has run */
    reactor_post(f->home->reactor, &f->wake_mail);
}

void follower_leave(struct follower **fop)
{
    struct follower *fo = *fop;
    if (!fo)
        return;
    *fop = NULL;
    struct fill *f = fo->fill;
    pthread_mutex_lock(&f->lock);
    if (fo->prev)
        fo->prev->next = fo->next;
    else
        f->followers = fo->next;
    if (fo->next)
        fo->next->prev = fo->prev;
    fo->left = true;
    bool posted = fo->posted;
    wake_home_locked(f); /* it may have waited for this one, or be needed by nobody now */
    pthread_mutex_unlock(&f->lock);
    if (posted)
        return; /* the mail in flight frees it */
    free(fo);
    fill_unref(&f);
}

/* A window loses its beginning when its readers are past it. */
static bool has_beginning_locked(const struct fill *f)
{
    return f->chunks ? f->chunks->offset <= f->file_end : f->window_end <= f->file_end;
}

void follower_look(struct follower *fo, struct fill_view *view)
{
    struct fill *f = fo->fill;
    pthread_mutex_lock(&f->lock);
    view->phase = f->phase;
    view->file_end = f->file_end;
    view->window_end = f->window_end;
    view->from_start = has_beginning_locked(f);
    view->storing = f->phase != FILL_STARTING && f->storing; /* before that it is home's alone */
    view->fd = f->read_fd;
    view->upstream_status = f->upstream_status;
    view->retry_after_s = f->retry_after_s;
    view->foreign = f->foreign;
    fo->armed = true;
    pthread_mutex_unlock(&f->lock);
}

static void wake_followers_locked(struct fill *f)
{
    for (struct follower *fo = f->followers; fo; fo = fo->next) {
        if (!fo->armed || fo->posted)
            continue;
        fo->armed = false;
        fo->posted = true;
        reactor_post(fo->reactor, &fo->mail);
    }
}

void fill_publish(struct fill *f, enum fill_phase phase)
{
    pthread_mutex_lock(&f->lock);
    f->phase = phase;
    wake_followers_locked(f);
    pthread_mutex_unlock(&f->lock);
}

size_t follower_copy(struct follower *fo, uint64_t pos, char *out, size_t n)
{
    struct fill *f = fo->fill;
    size_t done = 0;
    pthread_mutex_lock(&f->lock);
    for (const struct chunk *c = f->chunks; c && done < n; c = c->next) {
        uint64_t at = pos + done;
        if (at < c->offset)
            break; /* these bytes are gone */
        if (at >= c->offset + c->n)
            continue;
        size_t from = (size_t)(at - c->offset);
        size_t take = c->n - from < n - done ? c->n - from : n - done;
        memcpy(out + done, c->bytes + from, take);
        done += take;
    }
    pthread_mutex_unlock(&f->lock);
    return done;
}

/* What every follower has read, or passed over. */
static uint64_t slowest_locked(const struct fill *f)
{
    uint64_t slowest = UINT64_MAX;
    for (const struct follower *fo = f->followers; fo; fo = fo->next)
        if (fo->pos < slowest)
            slowest = fo->pos;
    return slowest;
}

/*
 * Counts bytes, not chunks: while the end is not known the last byte is withheld, and with it a
 * chunk that may be as large as the window.
 */
static bool window_is_full_locked(const struct fill *f)
{
    const struct chunk *c = f->chunks;
    uint64_t slowest = slowest_locked(f);
    uint64_t read = c && slowest > c->offset ? slowest - c->offset : 0;
    return f->queued >= FILL_WINDOW_MAX + (c && read > c->n ? c->n : read);
}

/* A relay's chunks go when the slowest follower is past them. */
static void drop_read_chunks_locked(struct fill *f)
{
    uint64_t slowest = slowest_locked(f);
    while (f->chunks) {
        struct chunk *c = f->chunks;
        uint64_t end = c->offset + c->n;
        uint64_t hashed = f->partial ? f->job_offset : f->received;
        if (end > slowest || end > hashed || c == f->job_chunk)
            return;
        f->chunks = c->next;
        if (!f->chunks)
            f->chunks_last = &f->chunks;
        f->queued -= c->n;
        free(c);
    }
}

void follower_taken(struct follower *fo, uint64_t pos)
{
    struct fill *f = fo->fill;
    pthread_mutex_lock(&f->lock);
    bool was_full = f->mode == MODE_WINDOW && window_is_full_locked(f);
    fo->pos = pos;
    if (f->mode == MODE_WINDOW)
        drop_read_chunks_locked(f);
    if (was_full && !window_is_full_locked(f))
        wake_home_locked(f);
    pthread_mutex_unlock(&f->lock);
}

bool fill_is_abandoned(struct fill *f)
{
    if (f->storing)
        return false;
    pthread_mutex_lock(&f->lock);
    bool none = f->followers == NULL;
    pthread_mutex_unlock(&f->lock);
    return none;
}

/* --- taking bytes --- */

bool fill_has_room(struct fill *f)
{
    bool full;
    pthread_mutex_lock(&f->lock);
    if (f->mode == MODE_WINDOW) {
        drop_read_chunks_locked(f);
        full = window_is_full_locked(f);
    } else {
        full = f->queued >= (f->wants_room ? FILL_QUEUE_LOW : FILL_QUEUE_MAX);
    }
    f->wants_room = full;
    pthread_mutex_unlock(&f->lock);
    return !full;
}

static struct chunk *new_chunk(struct fill *f, size_t cap)
{
    struct chunk *c = f->spares;
    if (c && c->cap >= cap) {
        f->spares = c->next;
        return c;
    }
    c = malloc(sizeof *c + cap);
    if (c)
        c->cap = cap;
    return c;
}

/*
 * A chunk ends at a multiple of its size: the kernel keeps what one aligned write brings as one
 * folio, and that takes a fill 6 % less CPU than the pieces of an unaligned one (measured).
 */
static size_t room_in(const struct chunk *c)
{
    return c->cap - (size_t)(c->offset % c->cap) - c->n;
}

/* The chunk to append to: the last one unless it is full, or hashed or on its way to be. */
static struct chunk *open_chunk_locked(struct fill *f)
{
    struct chunk *last =
        f->chunks_last == &f->chunks ? NULL : container_of(f->chunks_last, struct chunk, next);
    bool untouched = last && last != f->job_chunk && last->offset + last->n > f->job_offset;
    if (untouched && room_in(last))
        return last;
    struct chunk *c = new_chunk(f, f->mode == MODE_FILE ? FILL_CHUNK : 16 * 1024);
    if (!c)
        return NULL;
    c->next = NULL;
    c->offset = f->received;
    c->n = 0;
    assert(f->chunks_last); /* at least &f->chunks */
    *f->chunks_last = c;
    f->chunks_last = &c->next;
    return c;
}

/* How many of the bytes it took: those that one chunk has room for. 0: no memory. */
static size_t append_chunk(struct fill *f, const char *bytes, size_t n)
{
    size_t taken = 0;
    pthread_mutex_lock(&f->lock);
    struct chunk *c = open_chunk_locked(f);
    if (c) {
        taken = room_in(c) < n ? room_in(c) : n;
        memcpy(c->bytes + c->n, bytes, taken);
        c->n += taken;
        f->queued += taken;
        f->received += taken;
        if (f->mode != MODE_FILE) {
            f->window_end = f->received;
            wake_followers_locked(f);
        }
    }
    pthread_mutex_unlock(&f->lock);
    return taken;
}

/* A body of unknown length has outgrown the index: from now on it goes to the disk. */
static void leave_memory(struct fill *f)
{
    hasher_free(&f->hasher); /* the partial hashes from the first byte on */
    pthread_mutex_lock(&f->lock);
    f->mode = MODE_FILE;
    pthread_mutex_unlock(&f->lock);
}

enum err fill_take(struct fill *f, const char *bytes, size_t n)
{
    if (f->skip) {
        size_t drop = f->skip < n ? (size_t)f->skip : n;
        f->skip -= drop;
        bytes += drop;
        n -= drop;
        if (n == 0)
            return ERR_OK;
    }
    if (f->mode == MODE_MEMORY && f->received + n > STORE_INLINE_MAX)
        leave_memory(f);
    if (!fill_has_room(f))
        return ERR_AGAIN;
    while (n) {
        size_t taken = append_chunk(f, bytes, n);
        if (!taken)
            return ERR_NOMEM;
        if (f->hasher)
            hasher_update(f->hasher, bytes, taken);
        bytes += taken;
        n -= taken;
    }
    if (!f->hasher)
        fill_write_next(f);
    return ERR_OK;
}

/* --- writing --- */

/* The first chunk whose bytes are not readable yet; of a file only a full one, unless `any`. */
static struct chunk *next_unwritten_locked(struct fill *f, bool any)
{
    struct chunk *c = f->chunks;
    while (c && c->offset + c->n <= f->job_offset)
        c = c->next;
    return c && f->mode == MODE_FILE && !any && room_in(c) ? NULL : c;
}

static struct chunk *take_unwritten(struct fill *f, bool any)
{
    pthread_mutex_lock(&f->lock);
    f->job_chunk = next_unwritten_locked(f, any);
    pthread_mutex_unlock(&f->lock);
    return f->job_chunk;
}

/*
 * It is kept for the bytes to come, since fresh memory costs a page fault for each page. So the
 * chunks are never more than FILL_QUEUE_MAX takes.
 */
static void drop_written_chunk_locked(struct fill *f, struct chunk *c)
{
    f->chunks = c->next;
    if (!f->chunks)
        f->chunks_last = &f->chunks;
    f->queued -= c->n;
    if (c->cap < FILL_CHUNK) {
        free(c);
        return;
    }
    c->next = f->spares;
    f->spares = c;
}

/*
 * On the background thread, when the chunk is hashed: what is in the file is readable at once. A
 * chunk that is not stays where it is, for home to see to.
 */
static void publish_written(struct fill *f)
{
    struct chunk *c = f->job_chunk;
    pthread_mutex_lock(&f->lock);
    f->job_chunk = NULL;
    f->job_offset = c->offset + c->n; /* hashed up to here, written or not */
    if (f->read_fd < 0 && (f->read_fd = dup(partial_fd(f->job_partial))) < 0)
        f->job_result = err_sys(&f->job_info, "dup");
    if (f->read_fd >= 0)
        f->file_end = partial_size(f->job_partial);
    if (f->job_result == ERR_OK && f->mode == MODE_FILE) {
        drop_written_chunk_locked(f, c);
        if (f->window_end < f->file_end)
            f->window_end = f->file_end;
        wake_followers_locked(f);
        if (f->wants_room && f->queued < FILL_QUEUE_LOW)
            wake_home_locked(f);
    }
    pthread_mutex_unlock(&f->lock);
}

/* Goes on with what has arrived meanwhile, but not for ever: others wait for the thread. */
static void write_work(struct job *j)
{
    struct fill *f = container_of(j, struct fill, job);
    uint64_t offset;
    size_t done = 0;
    bool any = f->job_takes_any;
    f->job_partial = f->partial;
    f->job_result = ERR_OK;
    if (!f->job_partial)
        f->job_result = partial_open(f->home->engine->store, &f->node.key, &f->expected, false,
                                     &f->job_partial, &offset, &f->job_info);
    while (f->job_result == ERR_OK && done < FILL_TURN && take_unwritten(f, any)) {
        struct chunk *c = f->job_chunk;
        any = false;
        done += c->n;
        f->job_result = partial_append(f->job_partial, c->bytes, c->n, &f->job_info);
        publish_written(f);
    }
}

static void write_done(struct job *j)
{
    struct fill *f = container_of(j, struct fill, job);
    f->job_out = false;
    fill_written(f);
    fill_run(f);
}

/* What waits for more bytes is written when the time is over. */
static void write_later(struct fill *f, int64_t ms)
{
    if (f->write_timer_out)
        return;
    f->write_timer_out = true;
    timer_set(&f->write_timer, ms);
}

void fill_write_next(struct fill *f)
{
    if (f->job_out || (f->mode != MODE_FILE && !f->partial))
        return;
    int64_t now = clock_mono_ms(), waits_ms = f->written_ms + FILL_GATHER_MS - now;
    bool any = waits_ms <= 0 || f->fetch_over || f->reading_over;
    pthread_mutex_lock(&f->lock);
    bool is_behind = next_unwritten_locked(f, any) != NULL;
    bool is_waiting = !is_behind && next_unwritten_locked(f, true) != NULL;
    pthread_mutex_unlock(&f->lock);
    if (is_waiting)
        write_later(f, waits_ms);
    if (!is_behind)
        return;
    f->written_ms = now;
    f->job_takes_any = any;
    f->job_out = true;
    f->job.work = write_work;
    f->job.done = write_done;
    pool_submit(f->home->engine->pool, &f->job, f->home->reactor);
}

/*
 * The disk took no more (law 9): what it holds stays readable, the rest stays in memory until the
 * followers have it, and the upstream goes at their speed. The hash goes on.
 */
static void degrade_locked(struct fill *f)
{
    f->mode = MODE_WINDOW;
    f->storing = false;
}

/* After a failed open nothing hashes the chunks that wait; do it here, once. */
static void hash_waiting_chunks(struct fill *f)
{
    f->hasher = hasher_new(f->expected.algo);
    for (const struct chunk *c = f->chunks; c; c = c->next)
        hasher_update(f->hasher, c->bytes, c->n);
}

void fill_written(struct fill *f)
{
    if (f->job_result != ERR_OK && f->storing) {
        counter_inc(COUNTER_STORE_ERRORS);
        log_warn("fill_not_stored", LF_STR("id", f->id), LF_STR("reason", f->job_info.msg));
    }
    if (!f->job_partial)
        hash_waiting_chunks(f);
    pthread_mutex_lock(&f->lock);
    f->partial = f->job_partial;
    if (f->job_result != ERR_OK)
        degrade_locked(f);
    if (f->mode == MODE_WINDOW) {
        f->window_end = f->received;
        wake_followers_locked(f);
    }
    pthread_mutex_unlock(&f->lock);
    if (!f->storing) { /* too late to join */
        fill_table_remove(f->home->engine->table, &f->node);
        fill_table_remove(f->home->engine->table, &f->plain_node);
    }
    fill_write_next(f);
}

bool fill_all_written(struct fill *f)
{
    if (f->job_out)
        return false;
    return !f->partial || f->job_offset == f->received;
}

struct slice fill_small_body(struct fill *f)
{
    char *p = arena_alloc(&f->arena, (size_t)f->received + 1);
    if (!p)
        return slice_of(NULL, 0);
    size_t n = 0;
    for (const struct chunk *c = f->chunks; c; c = c->next) {
        memcpy(p + n, c->bytes, c->n);
        n += c->n;
    }
    return slice_of(p, n);
}
