/*
 * The fill: one fetch of one object, many readers. It belongs to the object and not to a client.
 * It runs on the worker that started it; followers read from any worker.
 *
 * Ownership: reference-counted. The table and the running state machine hold one together, each
 * follower holds one. Fields under "home" are touched on the home reactor only (and by the one job
 * that is out, while it is out); fields under "shared" with the lock held.
 */
#ifndef YT_CACHE_FILL_H
#define YT_CACHE_FILL_H

#include "cache/engine.h"
#include "fill_table.h"
#include "http_rules.h"
#include "reading.h"
#include <pthread.h>
#include <stdatomic.h>

enum {
    FILL_ARENA_FIRST = 2048,
    FILL_ARENA_CAP = 256 * 1024,
    FILL_CHUNK = 256 * 1024,      /* bytes handed to one write, and what it is aligned to */
    FILL_TURN = 4096 * 1024,      /* bytes that one job writes before others have the thread */
    FILL_GATHER_MS = 20,          /* between writes of less than a chunk, while more may come */
    FILL_QUEUE_MAX = 1536 * 1024, /* bytes received and not yet written; then upstream pauses */
    FILL_QUEUE_LOW = 512 * 1024,  /* until so few are left */
    FILL_WINDOW_MAX = 256 * 1024, /* the same for a relay */
    FILL_BREAKS_MAX = 6,          /* broken connections in a row without progress */
};

enum fill_purpose {
    FILL_FETCH,   /* nothing is held */
    FILL_REFRESH, /* a stale entry is held */
    FILL_CONFIRM, /* the bytes are held under another key: may this one name them? */
    FILL_RELAY,   /* stored nowhere, for one client */
    FILL_ASK,     /* a HEAD request for one client */
};

enum fill_phase {
    FILL_STARTING,
    FILL_ANSWERING, /* `head` is known, the body is on its way */
    FILL_VERIFIED,  /* the body is complete and right */
    /* The rest are ends without a body. */
    FILL_UNCHANGED, /* what is held is current: look it up */
    FILL_MOVED,     /* the key names other bytes now, and they are held: look it up */
    FILL_NOT_FOUND,
    FILL_DENIED,
    FILL_FAILED,
};

struct chunk {
    struct chunk *next;
    uint64_t offset;
    size_t n;
    size_t cap;
    char bytes[];
};

/* Fixed before the phase becomes FILL_ANSWERING. Slices live in the fill's arena. */
struct fill_head {
    int status;
    struct slice content_type;
    struct slice fields;
    struct slice etag; /* the upstream's */
    struct slice last_modified;
    struct slice url;    /* where the body comes from */
    bool gzip;           /* it is gzip-coded, which no field says */
    struct digest shown; /* known before the body, or DIGEST_NONE */
    bool has_size;
    uint64_t size;
    bool storing;
};

/* The stale entry that a refresh compares with. */
struct fill_held {
    struct digest shown;
    struct digest content;
    struct slice etag;
    struct slice last_modified;
    bool has_rising; /* plan.rising_field */
    uint64_t rising;
};

/* Where the body's bytes go. */
enum fill_mode {
    MODE_UNSET,
    MODE_MEMORY, /* small: kept whole in chunks */
    MODE_FILE,   /* chunks are written to the partial file and dropped */
    MODE_WINDOW, /* chunks are dropped when every follower has read them */
};

enum fill_verdict {
    VERDICT_NONE,
    VERDICT_BODY,     /* accept the body */
    VERDICT_COMPLETE, /* 416 to a resume at the very end: all bytes are here */
    VERDICT_AGAIN,    /* broken off for a reason that another try may mend */
    VERDICT_ANEW,     /* the bytes kept from an earlier try are of no use */
    VERDICT_UNCHANGED,
    VERDICT_MOVED, /* by HEAD: another digest, in f->moved_to */
    VERDICT_NOT_FOUND,
    VERDICT_DENIED,
    VERDICT_FAILED,
    VERDICT_ASKED,   /* FILL_ASK: the head is the answer */
    VERDICT_NO_HEAD, /* a HEAD that told nothing: use GET */
};

struct fill {
    unsigned magic;
    atomic_int refs;
    struct engine_worker *home;
    const struct cache_route *route;
    struct plan plan; /* a copy whose slices live in `arena` */
    enum fill_purpose purpose;
    struct fill_held held;
    struct table_node node, alias_node;
    struct arena arena;
    char arena_first[FILL_ARENA_FIRST];
    char id[20];
    int64_t started_ms; /* monotonic */

    /* home */
    int step;
    struct fill *prev, *next; /* the worker's list */
    struct reading *reading;  /* of what this is made from */
    bool reading_over;
    enum err reading_result;
    struct digest made_from;
    bool malformed;    /* the plan's check refused the body */
    bool proven;       /* FILL_CONFIRM: a page names the digest, nobody need be asked */
    struct pipe *body; /* of the request to be sent on; or NULL */
    bool has_body_length;
    uint64_t body_length;
    struct fetch *fetch;
    bool fetch_over;
    enum err fetch_result;
    struct errinfo info; /* why it failed */
    enum fill_verdict verdict;
    enum fill_mode mode;
    bool storing;
    bool paused;
    bool cancelled;
    bool asking;              /* the fetch is a HEAD */
    struct digest expected;   /* what the body must have; DIGEST_NONE: unknown */
    struct digest content;    /* SHA-256, after verification */
    struct digest moved_to;   /* VERDICT_MOVED */
    struct digest head_shown; /* what clients see; `expected`, or `content` without */
    struct slice alias_resource;
    struct slice small; /* the body of MODE_MEMORY, when it was needed in one piece */
    uint64_t held_size; /* FILL_CONFIRM: of the bytes held */
    /* obey.h */
    struct http_rules rules;
    struct slice vary; /* what the answers to this request are known to depend on */
    int64_t vary_since_ms;
    bool names_vary;              /* that is news: the entry under the plain key must say it */
    struct table_node plain_node; /* for who cannot know of the variant yet */
    struct slice plain_variant;
    struct store_entry fresh; /* VERDICT_UNCHANGED: the entry as the 304 has left it */
    bool has_fresh;
    struct slice named[2]; /* further resources that the change has touched */
    bool outdated;         /* what the change has touched is held no longer */
    enum fill_phase outcome;
    bool keep_partial;
    bool stored;           /* the index has it */
    struct hasher *hasher; /* while no partial hashes */
    struct partial *partial;
    struct partial *job_partial; /* opened by the job that is out */
    uint64_t received;           /* bytes taken, in the order of the body */
    uint64_t skip;               /* bytes to ignore: a resume was answered from the start */
    uint64_t progress;           /* `received` at the last break */
    unsigned breaks;
    bool has_total;
    uint64_t total;
    struct job job;
    bool job_out;
    enum err job_result;
    struct errinfo job_info;
    int64_t written_ms; /* monotonic: when a write job last left */
    bool job_takes_any; /* its first chunk need not be full */
    struct timer write_timer;
    bool write_timer_out;
    struct timer timer;
    bool timer_out;
    struct mail indexed_mail;
    bool index_out;
    enum err index_result;

    /* shared */
    pthread_mutex_t lock;
    enum fill_phase phase;
    struct fill_head head;
    int upstream_status;   /* of the last answer; 0: none */
    int64_t retry_after_s; /* what it wished for; 0: nothing */
    bool foreign;          /* failed since it is at a place that may not be asked */
    int read_fd;           /* of the partial file, -1 without; closed with the fill */
    uint64_t file_end;     /* bytes readable from read_fd */
    uint64_t window_end;   /* bytes readable from chunks, where they are */
    struct chunk *chunks, **chunks_last;
    struct chunk *spares;    /* for reuse */
    struct chunk *job_chunk; /* that the job is at */
    uint64_t job_offset;     /* hashed up to here */
    size_t queued;
    bool wants_room; /* home waits until `queued` has fallen */
    struct follower *followers;
    struct mail wake_mail;
    bool wake_posted;
    bool ended; /* the machine has stopped; only followers are left */
};

struct follower {
    struct mail mail;
    struct fill *fill;
    struct reactor *reactor;
    void (*notify)(void *arg);
    void *arg;
    struct follower *prev, *next;
    uint64_t pos;
    bool armed;
    bool posted;
    bool left;
};

/* A consistent look at the shared state. */
struct fill_view {
    enum fill_phase phase;
    uint64_t file_end;
    uint64_t window_end;
    bool from_start; /* the body is readable from its first byte on */
    bool storing;    /* and from any byte on, once it is there */
    int fd;
    int upstream_status;
    int64_t retry_after_s;
    bool foreign;
};

struct fill_spec {
    const struct store_key *key;
    /* When an entry that names the fields to vary with has led to `key`; else vary is empty. */
    struct slice vary;
    int64_t vary_since_ms;
    const struct store_key *plain_key;
    struct slice plain_variant;
    const struct cache_route *route;
    const struct plan *plan;
    enum fill_purpose purpose;
    const struct store_entry *held; /* FILL_REFRESH */
    const struct digest *content;   /* FILL_CONFIRM: the bytes that are held */
    bool proven;
    struct pipe *body; /* handed over; or NULL */
    bool has_body_length;
    uint64_t body_length;
    uint64_t content_size;
};

/*
 * Makes a fill that is not running yet, with one reference for the machine. NULL at a bound or when
 * memory is out.
 */
struct fill *fill_new(struct engine_worker *home, const struct fill_spec *spec);
/* Begins; never calls back from within. */
void fill_start(struct fill *f);
/* Ends a fill that was made but is not needed: its followers look up again. */
void fill_withdraw(struct fill *f);
/* Ends a running one as soon as that is possible without blocking; partial bytes are kept. */
void fill_cancel(struct fill *f);
struct fill *fill_ref(struct fill *f);
void fill_unref(struct fill **f);

/* --- fill.c: goes on after an event --- */
void fill_run(struct fill *f);

/* --- fill_fetch.c: the upstream's answer --- */
void fill_fetch_begin(struct fill *f, enum http_method method);
/* Decides where the body goes, when its size is known or known to be unknown. */
void fill_choose_mode(struct fill *f);
/* Can it be told that the rest, asked for anew, belongs to the bytes that were received? */
bool fill_can_be_resumed(const struct fill *f);

/* The number in a rising field. */
bool fill_rising_number(struct slice value, uint64_t *number);

/* --- fill_verify.c: on a background thread, over the complete body --- */
/* Is it what it must be? Gives f->content. ERR_CORRUPT, then f->malformed may say more. */
YT_MUST_CHECK enum err fill_verify(struct fill *f);

/* --- fill_make.c: made from another object --- */
/* false: no memory. */
bool fill_make_begin(struct fill *f);
/* Why nothing was made: the outcome, and f->info. */
enum fill_phase fill_make_failure(struct fill *f);

/* --- fill_body.c: bytes and followers --- */
void fill_body_init(struct fill *f);
void fill_body_free(struct fill *f);
/* Takes received bytes. ERR_AGAIN: they must wait (the upstream pauses); ERR_NOMEM. */
YT_MUST_CHECK enum err fill_take(struct fill *f, const char *bytes, size_t n);
/*
 * Has what waits written in the background, if that is not under way. As long as more may come a
 * chunk that is not full waits FILL_GATHER_MS since the last write: pages that a body has brought
 * in small pieces cost each later hit up to a fifth more CPU (measured).
 */
void fill_write_next(struct fill *f);
/* On home, when the write job is back. */
void fill_written(struct fill *f);
bool fill_has_room(struct fill *f);
bool fill_all_written(struct fill *f);
/* No follower is left and nothing is stored: nobody needs it. */
bool fill_is_abandoned(struct fill *f);
/* Sets the phase and wakes the followers. */
void fill_publish(struct fill *f, enum fill_phase phase);
/* The small body as one slice in the arena; p == NULL when memory is out. */
struct slice fill_small_body(struct fill *f);

/* NULL when memory is out. The follower is armed: the next change calls notify on `reactor`. */
struct follower *follower_new(struct fill *f, struct reactor *reactor, void (*notify)(void *arg),
                              void *arg);
/* Nulls the pointer; notify is not called afterwards. */
void follower_leave(struct follower **f);
/* Looks and arms in one step, so that no change is missed. */
void follower_look(struct follower *f, struct fill_view *view);
/* Copies bytes at pos from the chunks; 0 when they are gone. */
size_t follower_copy(struct follower *f, uint64_t pos, char *out, size_t n);
void follower_taken(struct follower *f, uint64_t pos);

#endif
