/*
 * Objects of an upstream whose answers go wrong as a test scripts them. Served by the scripted
 * server: give the first of them as its `arg`.
 */
#ifndef YT_TESTS_ORIGIN_H
#define YT_TESTS_ORIGIN_H

#include "base/clock.h"
#include "base/digest.h"
#include "scripted_server.h"

#include <stdatomic.h>
#include <time.h>

/* --- waiting --- */

static inline void kit_sleep(long ms)
{
    struct timespec t = {ms / 1000, ms % 1000 * 1000000};
    nanosleep(&t, NULL);
}

/* Until `what` holds. Use it for what is atomic, or guarded otherwise. */
#define await(what)                                                                                \
    do {                                                                                           \
        int64_t await_end_ = clock_mono_ms() + KIT_WAIT_S * 1000;                                  \
        while (!(what)) {                                                                          \
            if (clock_mono_ms() > await_end_)                                                      \
                fail_msg("never came: %s", #what);                                                 \
            kit_sleep(1);                                                                          \
        }                                                                                          \
    } while (0)

enum { ORIGIN_ACTS_MAX = 8 };
enum framing { BY_LENGTH, BY_CHUNKS, BY_END };
enum ending { GOES_ON, CUTS, RESETS, STALLS };

/* How one request is answered. All zero: as it should be. */
struct act {
    int status;       /* not 0: this one, with a short page */
    const char *raw;  /* not NULL: these bytes instead of an answer */
    const char *line; /* further field lines, each with CRLF */
    enum framing framing;
    bool whole;     /* Range is ignored */
    bool no_digest; /* the digest field is left out */
    bool no_etag;
    bool wrong;              /* the bytes are others than those of the digest */
    bool nothing;            /* Content-Length: 0 */
    size_t shift;            /* Content-Range begins so much too far on */
    size_t surplus;          /* so many bytes too many */
    atomic_bool *holds_head; /* not NULL: the head comes when it is open */
    size_t until;            /* the body comes up to that offset of the object, */
    atomic_bool *holds_rest; /* not NULL: the rest when this is open */
    enum ending ending;      /* else it ends there so */
};

/* One object of the upstream. */
struct origin {
    struct origin *next;
    pthread_mutex_t lock; /* of what follows: the test changes it between requests */
    char path[256];
    char digest_path[256]; /* the same, asked for by digest; or empty */
    char *bytes;
    size_t n;
    struct digest digest;
    char etag[32];
    const char *type;
    struct act gets[ORIGIN_ACTS_MAX]; /* for the first, second, ... GET; the last one stays */
    size_t get_count;
    struct act head; /* for every HEAD */
    unsigned got, headed;
};

static inline void fill_with_noise(char *p, size_t n, uint64_t seed)
{
    uint64_t x = seed * UINT64_C(0x9e3779b97f4a7c15) + 1;
    for (size_t i = 0; i < n; i++) {
        x = x * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
        p[i] = (char)(x >> 56);
    }
}

/* Other bytes, which become the origin's own, with their digest and an ETag. */
static inline void origin_put(struct origin *o, char *bytes, size_t n, unsigned version)
{
    pthread_mutex_lock(&o->lock);
    free(o->bytes);
    o->bytes = bytes;
    o->n = n;
    o->digest = (struct digest){.algo = DIGEST_SHA256};
    sha256(bytes, n, o->digest.bytes);
    snprintf(o->etag, sizeof o->etag, "\"v%u-%zu\"", version, n);
    pthread_mutex_unlock(&o->lock);
}

/* New bytes, with another digest and ETag. */
static inline void origin_change(struct origin *o, unsigned seed, size_t n)
{
    char *bytes = malloc(n + 1);
    fill_with_noise(bytes, n, seed);
    origin_put(o, bytes, n, seed);
}

static inline void origin_script(struct origin *o, const struct act *gets, size_t count)
{
    assert_true(count <= ORIGIN_ACTS_MAX);
    pthread_mutex_lock(&o->lock);
    memcpy(o->gets, gets, count * sizeof *gets);
    o->get_count = count;
    o->got = 0;
    pthread_mutex_unlock(&o->lock);
}

static inline void origin_heads(struct origin *o, struct act head)
{
    pthread_mutex_lock(&o->lock);
    o->head = head;
    pthread_mutex_unlock(&o->lock);
}

/* How many GETs since the last script, how many HEADs. */
static inline unsigned origin_got(struct origin *o)
{
    pthread_mutex_lock(&o->lock);
    unsigned n = o->got;
    pthread_mutex_unlock(&o->lock);
    return n;
}

static inline unsigned origin_headed(struct origin *o)
{
    pthread_mutex_lock(&o->lock);
    unsigned n = o->headed;
    pthread_mutex_unlock(&o->lock);
    return n;
}

/* What a request meets: a copy, so that no lock is held while it is answered. */
struct turn {
    struct act act;
    bool is_head;
    char *bytes;
    size_t n;
    size_t from;
    bool partial;
    char etag[32];
    char digest[DIGEST_TEXT_MAX];
    const char *type;
};

static inline bool has_line(const struct visit *v, const char *line)
{
    return strstr(v->head, line) != NULL;
}

static inline struct turn turn_of(struct origin *o, const struct visit *v)
{
    struct turn t = {.is_head = strncmp(v->head, "HEAD ", 5) == 0};
    const char *range = strstr(v->head, "\r\nRange: bytes=");
    pthread_mutex_lock(&o->lock);
    if (t.is_head) {
        t.act = o->head;
        o->headed++;
    } else {
        if (o->get_count)
            t.act = o->gets[o->got < o->get_count ? o->got : o->get_count - 1];
        o->got++;
    }
    t.n = o->n;
    t.bytes = malloc(o->n + 1);
    memcpy(t.bytes, o->bytes, o->n);
    snprintf(t.etag, sizeof t.etag, "%s", o->etag);
    digest_text(&o->digest, t.digest);
    t.type = o->type;
    pthread_mutex_unlock(&o->lock);
    if (t.act.wrong)
        for (size_t i = 0; i < t.n; i++)
            t.bytes[i] = (char)(t.bytes[i] ^ 1);
    char if_range[64];
    snprintf(if_range, sizeof if_range, "\r\nIf-Range: %s\r\n", t.etag);
    t.partial = range && !t.act.whole && (!has_line(v, "\r\nIf-Range: ") || has_line(v, if_range));
    t.from = t.partial ? strtoull(range + 15, NULL, 10) : 0;
    return t;
}

/* Bytes of the object from `from` on, in the framing of the act. */
static inline bool say_body(struct visit *v, const struct turn *t, size_t from, size_t to)
{
    while (from < to) {
        size_t n = to - from < 8000 ? to - from : 8000;
        if (t->act.framing == BY_CHUNKS)
            say(v, "%zx\r\n", n);
        if (!say_bytes(v, t->bytes + from, n))
            return false;
        if (t->act.framing == BY_CHUNKS)
            say(v, "\r\n");
        from += n;
    }
    return true;
}

/* Until the client has gone, or the test is over. */
static inline bool stall(struct visit *v)
{
    char byte;
    return recv(v->fd, &byte, 1, 0) > 0;
}

/* On a thread of the server, where nothing may be asserted. */
static inline void wait_open(const atomic_bool *gate)
{
    for (int ms = 0; !atomic_load(gate) && ms < KIT_WAIT_S * 1000; ms++)
        kit_sleep(1);
}

static inline bool stop_there(struct visit *v, const struct act *a)
{
    switch (a->ending) {
    case GOES_ON:
    case CUTS:
        break;
    case RESETS:
        return reset_connection(v);
    case STALLS:
        return stall(v);
    }
    return false;
}

static inline void say_head(struct visit *v, const struct turn *t)
{
    const struct act *a = &t->act;
    size_t length = a->nothing ? 0 : t->n - t->from + a->surplus;
    say(v, t->partial ? "HTTP/1.1 206 Partial Content\r\n" : "HTTP/1.1 200 OK\r\n");
    if (t->partial)
        say(v, "Content-Range: bytes %zu-%zu/%zu\r\n", t->from + a->shift, t->n - 1, t->n);
    say(v, "Content-Type: %s\r\n%s", t->type, a->line ? a->line : "");
    if (!a->no_digest)
        say(v, "Docker-Content-Digest: %s\r\n", t->digest);
    if (!a->no_etag)
        say(v, "ETag: %s\r\n", t->etag);
    if (a->framing == BY_LENGTH)
        say(v, "Content-Length: %zu\r\n\r\n", length);
    else
        say(v, a->framing == BY_CHUNKS ? "Transfer-Encoding: chunked\r\n\r\n"
                                       : "Connection: close\r\n\r\n");
}

static inline void say_surplus(struct visit *v, const struct turn *t)
{
    char *more = calloc(1, t->act.surplus + 1);
    struct turn filler = *t;
    filler.bytes = more;
    (void)say_body(v, &filler, 0, t->act.surplus);
    free(more);
}

static inline bool say_object(struct visit *v, const struct turn *t)
{
    const struct act *a = &t->act;
    size_t from = t->from;
    say_head(v, t);
    if (t->is_head || a->nothing)
        return true;
    if (a->until > from) {
        if (!say_body(v, t, from, a->until))
            return false;
        from = a->until;
    }
    if (a->ending != GOES_ON)
        return stop_there(v, a);
    if (a->holds_rest)
        wait_open(a->holds_rest);
    if (!say_body(v, t, from, t->n))
        return false;
    if (a->surplus)
        say_surplus(v, t);
    if (a->framing == BY_CHUNKS)
        say(v, "0\r\n\r\n");
    return a->framing != BY_END;
}

static inline bool say_turn(struct visit *v, const struct turn *t)
{
    char etag[64], page[128];
    if (t->act.holds_head)
        wait_open(t->act.holds_head);
    if (t->act.raw) {
        say(v, "%s", t->act.raw);
        return false;
    }
    if (t->act.status) {
        snprintf(page, sizeof page, "%d x", t->act.status);
        return answer_text(v, page, t->act.line ? t->act.line : "", "no\n");
    }
    snprintf(etag, sizeof etag, "\r\nIf-None-Match: %s\r\n", t->etag);
    if (has_line(v, etag)) {
        say(v, "HTTP/1.1 304 Not Modified\r\nETag: %s\r\n\r\n", t->etag);
        return true;
    }
    if (t->partial && t->from >= t->n) {
        say(v, "HTTP/1.1 416 x\r\nContent-Range: bytes */%zu\r\nContent-Length: 0\r\n\r\n", t->n);
        return true;
    }
    return say_object(v, t);
}

static inline bool is_asked_for(const struct visit *v, struct origin *o)
{
    pthread_mutex_lock(&o->lock);
    bool is = asks_for(v, o->path) || (o->digest_path[0] && asks_for(v, o->digest_path));
    pthread_mutex_unlock(&o->lock);
    return is;
}

static inline bool answer_from_origins(struct visit *v)
{
    for (struct origin *o = v->server->arg; o; o = o->next) {
        if (!is_asked_for(v, o))
            continue;
        struct turn t = turn_of(o, v);
        bool goes_on = say_turn(v, &t);
        free(t.bytes);
        return goes_on;
    }
    return answer_text(v, "404 Not Found", "", "nothing\n");
}

static inline void origin_init(struct origin *o, unsigned seed, size_t n)
{
    *o = (struct origin){.type = "application/octet-stream"};
    pthread_mutex_init(&o->lock, NULL);
    origin_change(o, seed, n);
}

static inline void origin_free(struct origin *o)
{
    pthread_mutex_destroy(&o->lock);
    free(o->bytes);
}

#endif
