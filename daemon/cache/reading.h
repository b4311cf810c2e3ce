/*
 * A reading: another object's body, held or still arriving, through a plan's reader: to make an
 * object from it, or to find a fact in it. The object is looked up as for a client; its bytes are
 * read, decoded, read by the plan's code and coded again in background jobs, a piece at a time.
 *
 * Everything but the jobs happens on the worker's reactor.
 */
#ifndef YT_CACHE_READING_H
#define YT_CACHE_READING_H

#include "cache/engine.h"

enum {
    READING_PIECE = 64 * 1024,     /* bytes of the source for one job */
    READING_CODED = 8 * 1024,      /* gzip-coded ones: they may become a thousand times as many */
    READING_OUT_MAX = 16 * 1048576 /* what one piece may become */
};

struct reading_ops {
    /* The object's answer has come: reading_answer() has it. Once, before the others. */
    void (*on_answer)(void *arg);
    /* false: not now; the same bytes come again after reading_resume. NULL: nothing is made. */
    bool (*on_output)(void *arg, struct slice bytes);
    /*
     * Over: ERR_OK, the whole body was read and is right; ERR_CORRUPT, ERR_LIMIT or ERR_NOMEM from
     * the reader; ERR_UPSTREAM: no body, or not the whole of it. The reading must be closed then.
     */
    void (*on_done)(void *arg, enum err result);
};

struct reading_spec {
    const struct cache_route *route;
    const struct plan *object; /* what is read */
    const struct plan *plan;   /* on whose behalf; for the reader */
    const struct plan_reader *reader;
    bool finds; /* a fact; else the reader writes */
    bool gzips; /* what it writes */
    struct slice id;
    bool only_held;
    bool has_max_age;
    int64_t max_age_ms;
};

struct reading;

/* NULL: no memory. Copies what it needs of the plans. No callback from within. */
struct reading *reading_start(struct engine_worker *w, const struct reading_spec *spec,
                              const struct reading_ops *ops, void *arg);
void reading_resume(struct reading *r);
/* The lookup of the object: its state is LOOKUP_ANSWER, or LOOKUP_ERROR after ERR_UPSTREAM. */
const struct lookup *reading_lookup(const struct reading *r);
/* After ERR_OK of one that finds. Lives as long as the reading. */
const struct plan_fact *reading_fact(const struct reading *r);
/* After ERR_OK: the SHA-256 of what was read. */
struct digest reading_content(const struct reading *r);
/* No callback comes any more. From within callbacks too. Nulls the pointer. */
void reading_close(struct reading **r);

/*
 * Blocking, on a background thread: reads all of `fd` or, if fd < 0, of `bytes` through
 * plan->check.
 */
YT_MUST_CHECK enum err reading_check(const struct plan *plan, struct slice url,
                                     struct slice content_type, bool gzip, int fd,
                                     struct slice bytes);

#endif
