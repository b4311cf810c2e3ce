/* Private to daemon/server: workers, connections and exchanges. One thread each. */
#ifndef YT_SERVER_CONN_H
#define YT_SERVER_CONN_H

#include "http/chunked.h"
#include "http/range.h"
#include "io/listener.h"
#include "io/stream.h"
#include "service.h"

enum {
    READ_SIZE = HTTP_HEAD_MAX, /* one read */
    SCRATCH_SIZE = 64 * 1024,  /* body bytes that are copied out of a fill */
    DISCARD_MAX = 64 * 1024,   /* a request body that is read only to be skipped */
    LINGER_MS = 2000,
    LINGER_MAX = 1024 * 1024, /* bytes read and dropped before a close */
    SEND_TURN = 4096 * 1024,  /* bytes to one client before others: all that a socket takes */
    SEND_RATE_MIN = 1024,     /* bytes per second that a client must take, or send of a body */
    EXCHANGE_ARENA_FIRST = 8 * 1024,
    EXCHANGE_ARENA_CAP = 1024 * 1024,
    SPARE_EXCHANGES = 64,
    LISTENERS_MAX = 64,
    REQUEST_ID_LENGTH = 16,
};

struct listen_point {
    struct server_worker *worker;
    struct listener *listener;
    const char *route; /* or NULL */
    bool admin;
};

struct server_worker {
    struct service *service;
    struct reactor *reactor;
    struct engine_worker *engine;
    struct listen_point listen[LISTENERS_MAX];
    size_t listen_count;
    struct conn *conns;
    struct deadline_queue idle, request, send, linger;
    struct exchange *spare;
    unsigned spare_count;
    char *read_buffer;
    char *scratch;
    uint64_t next_id;
    int64_t date_second; /* for which `date` was made */
    char date[32];
    bool stopping;
    void (*on_idle)(void *arg);
    void *on_idle_arg;
    struct mail idle_mail;
};

/* What the connection does with bytes from the client. */
enum conn_in {
    IN_HEAD,
    IN_BODY,   /* of the request in c->exchange; it is skipped, then the request is run */
    IN_UPLOAD, /* of the request in c->exchange, which is being run: it goes to the engine */
};

/* What the connection does for the client. */
enum conn_out {
    OUT_IDLE,
    OUT_WAIT,   /* for the engine */
    OUT_SEND,   /* the socket is full */
    OUT_LINGER, /* answered for good; reads what still comes, so that the answer is not lost */
};

struct conn {
    struct stream stream;
    struct server_worker *worker;
    struct conn *prev, *next;
    struct deadline deadline;
    struct deadline_queue *deadline_queue;
    const struct listen_point *point;
    char peer[PEER_TEXT_MAX];  /* for the access log */
    struct exchange *exchange; /* NULL between requests */
    enum conn_in in;
    enum conn_out out;
    char *pending; /* bytes read and not yet used; NULL when there are none */
    size_t pending_n, pending_cap;
    size_t scanned; /* of the head in pending */
    struct chunked chunked;
    uint64_t body_left;
    uint64_t skipped;
    uint64_t sent_mark;             /* exchange->sent when the send deadline was set */
    uint64_t uploaded, upload_mark; /* bytes of the upload, and then when its deadline was set */
    unsigned depth;                 /* callbacks on the stack; freed only at 0 */
    bool taking;                    /* conn_take_input is on the stack */
    bool close_after;
    bool dying;
};

/* A piece of an answer: some text, then bytes [first, end) of the body. */
struct part {
    struct slice text;
    uint64_t first, end;
};

struct exchange {
    struct conn *conn;
    struct exchange *next_spare;
    struct arena arena;
    struct http_request request;
    struct routing routing;
    struct lookup lookup;
    bool planned;
    bool looked_up;      /* lookup_end is owed */
    struct pipe *upload; /* the body on its way to the engine, writing end; or NULL */
    int64_t started_ms;
    char id[REQUEST_ID_LENGTH + 1];
    int status;
    const char *cache; /* what the cache did, in a word, for the log */
    bool aborted;      /* not answered to the end, whoever is to blame */
    /* Sending. */
    struct part *parts;
    size_t part_count, part_at;
    uint64_t pos; /* in the body of the current part */
    bool chunked;
    bool open_ended; /* the body's size is not known */
    uint64_t chunk_left;
    bool first_chunk_sent;
    char chunk_text[40];
    uint64_t sent;
    /* Not cleared for each request: what a planner fills, whole, and memory. */
    struct plan plan;
    char arena_first[EXCHANGE_ARENA_FIRST];
};

/* --- conn.c --- */
void conn_accept(void *point, int fd, const struct peer *peer);
/* The exchange's answer is completely sent, or cannot be completed (broken). */
void conn_exchange_over(struct conn *c, bool broken);
/* Sets what is watched, too. The same state again: after a change of the reading half. */
void conn_set_out(struct conn *c, enum conn_out out);
void conn_set_deadline(struct conn *c, struct deadline_queue *q);
/* Sends as much of the exchange's answer as goes; between conn_enter and conn_leave. */
void conn_send(struct conn *c);
void conn_on_deadline(struct deadline *d);
/* Around every callback that may close the connection. */
void conn_enter(struct conn *c);
void conn_leave(struct conn *c);
void conn_close(struct conn *c);
/* The same when the answer is not complete: the client must not take it for one. */
void conn_break(struct conn *c);

/* --- exchange.c --- */
/* NULL when memory is out. */
struct exchange *exchange_new(struct conn *c);
void exchange_free(struct exchange *x);
/* The request is complete, or its body is being uploaded: plan it, look it up, answer or wait. */
void exchange_run(struct exchange *x);
/* The head is in: does its plan want the body? */
bool exchange_takes_body(struct exchange *x);
/* The request has turned out to be malformed. false: part of an answer has been sent. */
bool exchange_abandon(struct exchange *x);
/* Answers a message that could not be parsed, then closes. */
void exchange_reject(struct exchange *x, int status, const char *why);

/* --- upload.c --- */
/* false: no memory. */
bool upload_begin(struct conn *c);
/* Lets go of both ends; a body that was not complete is broken. Also for an exchange without. */
void upload_end(struct exchange *x);
/* Is there a body that can be read on? */
bool upload_wants(const struct conn *c);
/* Answers Expect: 100-continue. */
void upload_invite(struct conn *c);
/* Returns the bytes used, which is all that the pipe has room for, up to the body's end. */
size_t upload_take(struct conn *c, struct slice data, bool *malformed);
void upload_set_deadline(struct conn *c);
/* Has the client sent enough since then? */
bool upload_is_steady(const struct conn *c);

/* --- respond.c: from a result to parts --- */
/* false when the arena is full: then nothing was made. */
bool respond_page(struct exchange *x, const struct plan_page *page, const struct cache_status *cs,
                  int64_t retry_after_s);
bool respond_answer(struct exchange *x);

/* --- deliver.c --- */
enum deliver_result {
    DELIVER_DONE,
    DELIVER_BLOCKED, /* the socket is full, or it is somebody else's turn */
    DELIVER_STARVED, /* the body is not there yet; lookup's on_body will come */
    DELIVER_BROKEN,
};
enum deliver_result deliver(struct exchange *x);

/* --- server.c --- */
void worker_conn_gone(struct server_worker *w);

#endif
