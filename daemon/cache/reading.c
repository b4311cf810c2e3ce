/*
 * A reading is a little machine: the lookup answers; then piece by piece: take bytes of the body,
 * let a job read them, hand on what the job made; at the end of the body one more job finishes.
 */
#include "reading.h"
#include "base/container.h"
#include "base/gzip.h"
#include "worker.h"
#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

enum { READING_ARENA_CAP = 128 * 1024 };

/* A body on its way through decoder, reader and coder. On one thread at a time. */
struct course {
    struct plan_reading what;
    const struct plan_reader *reader;
    void *state;
    struct inflater *inflater;
    struct deflater *deflater;
    struct buf plain; /* what the reader wrote and the coder has not taken */
    struct buf out;
};

struct reading {
    struct engine_worker *worker;
    const struct reading_ops *ops;
    void *arg;
    struct arena arena;
    struct plan object; /* what is read */
    struct plan plan;   /* on whose behalf; for the reader */
    struct plan_fact fact;
    struct lookup look;
    bool gzips;
    struct course course;
    struct mail mail; /* the lookup answered at once; or the consumer has room again */
    bool mailed;
    struct job job;
    bool job_out;
    enum err job_result;
    char *in;
    int fd; /* the piece is in a file, at pos; else in `in` */
    size_t n;
    bool last; /* the job finishes */
    uint64_t pos, end;
    bool answered;
    bool over; /* the body was read to its end */
    bool closed;
};

/* --- the course of the bytes --- */

static enum err course_begin(struct course *c, bool inflates, uint64_t max_size, bool gzips)
{
    c->state = c->reader->begin(&c->what);
    if (inflates)
        c->inflater = inflater_new(max_size ? max_size : UINT64_MAX);
    if (gzips)
        c->deflater = deflater_new();
    buf_init(&c->plain, READING_OUT_MAX);
    buf_init(&c->out, READING_OUT_MAX);
    bool made = c->state && (c->inflater || !inflates) && (c->deflater || !gzips);
    return made ? ERR_OK : ERR_NOMEM;
}

static void course_end(struct course *c)
{
    if (c->state)
        c->reader->end(c->state);
    c->state = NULL;
    inflater_free(&c->inflater);
    deflater_free(&c->deflater);
    buf_free(&c->plain);
    buf_free(&c->out);
}

/* Where the reader writes: nowhere when it looks for a fact. */
static struct buf *written(struct course *c)
{
    if (c->what.fact)
        return NULL;
    return c->deflater ? &c->plain : &c->out;
}

static enum err code(struct course *c, enum err rc)
{
    if (rc == ERR_OK && c->plain.failed)
        return ERR_LIMIT; /* a part of it must not pass for the whole */
    if (rc == ERR_OK && c->deflater && c->plain.n) {
        rc = deflater_feed(c->deflater, buf_slice(&c->plain), &c->out);
        buf_clear(&c->plain);
    }
    return rc == ERR_OK && c->out.failed ? ERR_LIMIT : rc;
}

static enum err feed_plain(void *arg, struct slice bytes)
{
    struct course *c = arg;
    return code(c, c->reader->feed(c->state, bytes, written(c)));
}

static enum err course_feed(struct course *c, struct slice bytes)
{
    return c->inflater ? inflater_feed(c->inflater, bytes, feed_plain, c) : feed_plain(c, bytes);
}

static enum err course_finish(struct course *c)
{
    enum err rc = c->inflater ? inflater_finish(c->inflater) : ERR_OK;
    if (rc == ERR_OK)
        rc = code(c, c->reader->finish(c->state, written(c)));
    if (rc == ERR_OK && c->deflater)
        rc = deflater_finish(c->deflater, &c->out);
    return rc == ERR_OK && c->out.failed ? ERR_LIMIT : rc;
}

/* --- a body that is there --- */

static enum err read_piece(int fd, char *out, size_t n, uint64_t pos, size_t *got)
{
    ssize_t r;
    do
        r = pread(fd, out, n, (off_t)pos);
    while (r < 0 && errno == EINTR);
    *got = r > 0 ? (size_t)r : 0;
    return r < 0 ? ERR_IO : ERR_OK;
}

static enum err feed_file(struct course *c, int fd)
{
    char *piece = malloc(READING_PIECE);
    uint64_t pos = 0;
    size_t got = 1;
    enum err rc = piece ? ERR_OK : ERR_NOMEM;
    while (rc == ERR_OK && got) {
        rc = read_piece(fd, piece, READING_PIECE, pos, &got);
        if (rc == ERR_OK && got)
            rc = course_feed(c, slice_of(piece, got));
        pos += got;
    }
    free(piece);
    return rc;
}

enum err reading_check(const struct plan *plan, struct slice url, struct slice content_type,
                       bool gzip, int fd, struct slice bytes)
{
    struct arena arena;
    struct plan_fact fact = {0};
    arena_init(&arena, NULL, 0, READING_ARENA_CAP);
    struct course c = {
        .what = {.plan = plan,
                 .url = url,
                 .content_type = content_type,
                 .arena = &arena,
                 .fact = &fact},
        .reader = plan->check,
    };
    enum err rc = course_begin(&c, gzip, plan->max_size, false);
    if (rc == ERR_OK)
        rc = fd >= 0 ? feed_file(&c, fd) : course_feed(&c, bytes);
    if (rc == ERR_OK)
        rc = course_finish(&c);
    course_end(&c);
    arena_reset(&arena);
    return rc;
}

/* --- the machine --- */

/* When the last of lookup, job and mail has let go of it. */
static void release(struct reading *r)
{
    struct engine_worker *w = r->worker;
    if (r->job_out || r->mailed)
        return;
    lookup_end(&r->look);
    course_end(&r->course);
    free(r->in);
    arena_reset(&r->arena);
    free(r);
    w->readings--;
    engine_worker_fill_gone(w);
}

static void over(struct reading *r, enum err result)
{
    r->over = true;
    r->ops->on_done(r->arg, result);
}

static void job_work(struct job *j)
{
    struct reading *r = container_of(j, struct reading, job);
    size_t got = r->n;
    r->job_result = ERR_OK;
    if (r->last) {
        r->job_result = course_finish(&r->course);
        return;
    }
    if (r->fd >= 0)
        r->job_result = read_piece(r->fd, r->in, r->n, r->pos, &got);
    if (r->job_result == ERR_OK && got == 0)
        r->job_result = ERR_UPSTREAM; /* the file is shorter than it was */
    r->n = got;
    if (r->job_result == ERR_OK)
        r->job_result = course_feed(&r->course, slice_of(r->in, got));
}

static void read_on(struct reading *r);

/* Hands on what was made. false: it has to wait, or the reading is closed by now. */
static bool hand_on(struct reading *r)
{
    struct buf *out = &r->course.out;
    if (out->n == 0)
        return true;
    if (!r->ops->on_output(r->arg, buf_slice(out)) || r->closed)
        return false;
    buf_clear(out);
    return true;
}

static void go_on(struct reading *r)
{
    if (!hand_on(r))
        return;
    if (r->last)
        over(r, ERR_OK);
    else
        read_on(r);
}

static void job_done(struct job *j)
{
    struct reading *r = container_of(j, struct reading, job);
    r->job_out = false;
    if (r->closed) {
        release(r);
        return;
    }
    if (r->job_result != ERR_OK) {
        over(r, r->job_result);
        return;
    }
    r->pos += r->last ? 0 : r->n;
    lookup_body_taken(&r->look, r->pos);
    go_on(r);
}

static void submit(struct reading *r, const struct piece *p)
{
    size_t most = r->course.inflater ? READING_CODED : READING_PIECE;
    r->last = p->kind == PIECE_END;
    r->fd = p->kind == PIECE_FILE ? p->fd : -1;
    r->n = r->last ? 0 : p->n < most ? (size_t)p->n : most;
    if (p->kind == PIECE_MEMORY && p->bytes != r->in)
        memcpy(r->in, p->bytes, r->n);
    r->job_out = true;
    r->job.work = job_work;
    r->job.done = job_done;
    pool_submit(r->worker->engine->pool, &r->job, r->worker->reactor);
}

static void read_on(struct reading *r)
{
    struct piece p = {.kind = PIECE_END};
    if (r->look.answer.body != BODY_NONE && r->pos < r->end)
        lookup_body(&r->look, r->pos, r->end, true, r->in, READING_CODED, &p);
    if (p.kind == PIECE_WAIT)
        return;
    if (p.kind == PIECE_FAILED) {
        over(r, ERR_UPSTREAM);
        return;
    }
    submit(r, &p);
}

static void on_body(struct lookup *l)
{
    struct reading *r = container_of(l, struct reading, look);
    if (r->answered && !r->closed && !r->job_out && !r->over && r->course.out.n == 0)
        read_on(r); /* else the mail, or the job that is out, comes to it */
}

static void begin_body(struct reading *r)
{
    const struct answer *a = &r->look.answer;
    r->answered = true;
    r->course.what.url = a->url;
    r->course.what.content_type = a->content_type;
    r->end = a->has_size ? a->size : UINT64_MAX;
    if (r->look.state == LOOKUP_ERROR || a->status != 200) {
        over(r, ERR_UPSTREAM);
        return;
    }
    enum err rc = course_begin(&r->course, a->gzip, r->object.max_size, r->gzips);
    if (rc != ERR_OK) {
        over(r, rc);
        return;
    }
    r->ops->on_answer(r->arg);
    if (!r->closed)
        read_on(r);
}

static void on_ready(struct lookup *l)
{
    struct reading *r = container_of(l, struct reading, look);
    if (!r->closed)
        begin_body(r);
}

static void on_mail(struct mail *m)
{
    struct reading *r = container_of(m, struct reading, mail);
    r->mailed = false;
    if (r->closed)
        release(r);
    else if (!r->answered)
        begin_body(r);
    else if (!r->job_out && !r->over)
        go_on(r);
}

static void post(struct reading *r)
{
    if (r->mailed)
        return;
    r->mailed = true;
    reactor_post(r->worker->reactor, &r->mail);
}

struct reading *reading_start(struct engine_worker *w, const struct reading_spec *spec,
                              const struct reading_ops *ops, void *arg)
{
    struct reading *r = calloc(1, sizeof *r);
    if (!r)
        return NULL;
    arena_init(&r->arena, NULL, 0, READING_ARENA_CAP);
    r->in = malloc(READING_PIECE);
    if (!r->in || !plan_copy(&r->arena, spec->object, &r->object) ||
        !plan_copy(&r->arena, spec->plan, &r->plan)) {
        arena_reset(&r->arena);
        free(r->in);
        free(r);
        return NULL;
    }
    r->worker = w;
    r->ops = ops;
    r->arg = arg;
    r->gzips = spec->gzips;
    r->mail.run = on_mail;
    r->course.reader = spec->reader;
    r->course.what = (struct plan_reading){
        .plan = &r->plan,
        .arena = &r->arena,
        .fact = spec->finds ? &r->fact : NULL,
    };
    w->readings++;
    r->look = (struct lookup){
        .worker = w,
        .route = spec->route,
        .plan = &r->object,
        .arena = &r->arena,
        .id = arena_copy(&r->arena, spec->id),
        .internal = true,
        .only_held = spec->only_held,
        .has_max_age = spec->has_max_age,
        .max_age_ms = spec->max_age_ms,
        .on_ready = on_ready,
        .on_body = on_body,
    };
    if (lookup_start(&r->look) != LOOKUP_WAITING)
        post(r);
    return r;
}

void reading_resume(struct reading *r)
{
    post(r);
}

const struct lookup *reading_lookup(const struct reading *r)
{
    return &r->look;
}

const struct plan_fact *reading_fact(const struct reading *r)
{
    return &r->fact;
}

struct digest reading_content(const struct reading *r)
{
    return lookup_content(&r->look);
}

void reading_close(struct reading **rp)
{
    struct reading *r = *rp;
    if (!r)
        return;
    *rp = NULL;
    r->closed = true;
    if (!r->job_out)
        lookup_end(&r->look); /* it must not begin a fill that nobody wants; a job reads its file */
    post(r);                  /* it may be one of its own callbacks that closes it */
}
