/*
 * The engine: looks up, refreshes, fills, and hands out bodies. It knows plans, not protocols.
 *
 * Threads: one `struct engine` for the process; one `struct engine_worker` for each reactor. A
 * lookup lives on one worker. A fill runs on the worker that started it and is followed from any.
 */
#ifndef YT_CACHE_ENGINE_H
#define YT_CACHE_ENGINE_H

#include "http/response.h"
#include "io/pool.h"
#include "io/reactor.h"
#include "plan.h"
#include "storage/store.h"
#include "upstream/upstream.h"

struct engine;
struct engine_worker;
struct follower;

/* What the engine knows of a route; the owner keeps it alive as long as the engine. */
struct cache_route {
    struct slice name;
    struct upstream_set *upstreams;
    int64_t ttl_ms;
    int64_t negative_ttl_ms;
    int64_t stale_for_ms;
    int64_t stale_while_refreshing_ms;
    int64_t patience_ms;
    bool passthrough; /* clients' own credentials go upstream */
};

struct engine_options {
    struct store *store;
    struct pool *pool;
    struct pool *cold_pool;  /* reads files in; its own, so that fills need not wait for clients */
    int64_t wait_timeout_ms; /* longest wait of a client for the head of what is not held */
};

struct engine *engine_new(const struct engine_options *options);
/* After all workers are gone. */
void engine_free(struct engine **engine);

YT_MUST_CHECK enum err engine_worker_new(struct engine *engine, struct reactor *reactor,
                                         struct uplink *uplink, struct engine_worker **out,
                                         struct errinfo *info);
/*
 * Cancels the fills that wait for an upstream (their partial bytes are kept), lets those that are
 * being committed finish, then calls on_idle on the reactor. No lookup may be running.
 */
void engine_worker_stop(struct engine_worker *w, void (*on_idle)(void *arg), void *arg);
void engine_worker_free(struct engine_worker **w);

/* --- one client's request --- */

enum body_kind {
    BODY_NONE,
    BODY_MEMORY, /* in the lookup's arena */
    BODY_FILE,   /* a descriptor of a complete blob */
    BODY_FILL,   /* a fill in progress */
};

/* What to send. Slices live until lookup_end. */
struct answer {
    int status;
    struct slice content_type;
    struct slice fields; /* raw lines kept from the upstream */
    struct slice etag;   /* as clients see it; may be empty */
    struct slice last_modified;
    bool has_date;      /* one of `fields` is Date */
    struct slice shown; /* the digest as text, for plan->digest_field; or empty */
    bool has_size;
    uint64_t size;
    bool seekable; /* ranges can be served */
    int64_t age_s; /* since it was last known to be current */
    struct cache_status status_field;
    bool stale_because_of_failure; /* deserves a Warning */
    struct slice url;              /* where the body came from; may be empty */
    bool gzip;                     /* the body is gzip-coded, which no field says */
    enum body_kind body;
};

enum lookup_state {
    LOOKUP_WAITING, /* on_ready will come */
    LOOKUP_ANSWER,  /* `answer` is filled */
    LOOKUP_ERROR,   /* `error` and what follows it */
};

struct lookup {
    /* Set by the caller before lookup_start, unchanged until lookup_end. */
    struct engine_worker *worker;
    const struct cache_route *route;
    struct plan *plan; /* the engine may turn it to its alternate variant */
    struct arena *arena;
    struct slice id; /* for the log */
    bool head_only;
    bool internal;    /* no client's: not counted */
    bool has_max_age; /* what was last known to be current longer ago is checked again */
    int64_t max_age_ms;
    bool only_held;    /* never ask the upstream: ERROR with PLAN_ERR_ONLY_CACHED instead */
    struct pipe *body; /* of the request, or NULL; a fill that becomes its reading end nulls it */
    bool has_body_length;
    uint64_t body_length;
    /* From the reactor, never from within lookup_start. */
    void (*on_ready)(struct lookup *l); /* once: state is no longer LOOKUP_WAITING */
    void (*on_body)(struct lookup *l);  /* lookup_body may have more now */

    /* Results. */
    enum lookup_state state;
    struct answer answer;
    enum plan_error error;
    struct slice error_detail;
    int64_t retry_after_s; /* 0: none */
    struct cache_status error_status;

    /* Private to daemon/cache/. */
    struct store_key key;
    struct store_entry held;
    struct store_body held_body;
    struct cold_read *cold_read; /* reads held_body in; or NULL */
    bool read_in;                /* it has: the next piece is in memory */
    bool read_failed;
    bool has_held;
    bool held_usable;  /* may be served when the upstream fails */
    bool joined;       /* somebody else's fill or refresh */
    bool joined_whole; /* it was complete by then */
    unsigned rounds;   /* looked up again so often */
    uint64_t confirm_size;
    /* The entry under plain_key names these fields; the plan's variant holds their values. */
    struct slice vary;
    int64_t vary_since_ms;
    struct store_key plain_key;
    struct slice plain_variant;
    struct follower *follower;
    struct lookup *source;     /* of what this is made from; or NULL */
    struct reading *proof;     /* of the page that must name this; or NULL */
    struct slice made_variant; /* the plan's own, before the source's was added */
    bool bodiless;             /* nobody reads the answer's body */
    bool proven;
    bool shared;       /* under a key that has the digest in it, whoever brought the bytes */
    bool page_checked; /* the page was asked for anew: it did not name this before */
    struct timer timer;
    bool timer_set;
    int64_t now_ms;
};

/* Returns the state; LOOKUP_ANSWER and LOOKUP_ERROR at once for what needs no wait. */
enum lookup_state lookup_start(struct lookup *l);
/* Releases everything; no callback comes afterwards. Also for a lookup that failed. */
void lookup_end(struct lookup *l);

enum piece_kind {
    PIECE_MEMORY, /* bytes .. */
    PIECE_FILE,   /* fd, offset, n */
    PIECE_WAIT,   /* on_body will come */
    PIECE_END,    /* the body ends at `pos` (only asked for when its size was unknown) */
    PIECE_FAILED, /* the body cannot be completed: break the connection */
};

struct piece {
    enum piece_kind kind;
    const char *bytes;
    int fd;
    uint64_t offset;
    uint64_t n;
};

/*
 * The next bytes of an answered body: from `pos` up to `end` (exclusive; UINT64_MAX when the size
 * is not known). `last` says that the answer ends at `end`: its last byte is then withheld until
 * the whole body is verified. `scratch` may be used for bytes that live elsewhere.
 */
void lookup_body(struct lookup *l, uint64_t pos, uint64_t end, bool last, char *scratch,
                 size_t scratch_size, struct piece *piece);
/* The client has taken everything before `pos`; a relay's memory is freed by it. */
void lookup_body_taken(struct lookup *l, uint64_t pos);
/* A piece could not be sent: the client may be gone, or the file is shorter than it was. */
void lookup_body_broken(struct lookup *l);

#endif
