/*
 * One HTTP/1.1 request and its answer, by libcurl on the reactor. Knows nothing of upstreams,
 * redirects or tokens. daemon/upstream/transfer.c is the only user of libcurl.
 */
#ifndef YT_UPSTREAM_TRANSFER_H
#define YT_UPSTREAM_TRANSFER_H

#include "head.h"
#include "upstream/upstream.h"

struct transfers; /* a reactor's libcurl multi handle with its pool of connections */
struct transfer;

YT_MUST_CHECK enum err transfers_new(struct reactor *reactor, const struct uplink_options *options,
                                     struct transfers **out, struct errinfo *info);
/* All transfers must have ended. */
void transfers_free(struct transfers **ts);

struct transfer_request {
    bool head;           /* HEAD, else GET, */
    const char *method;  /* unless this is not NULL: sent once, on a connection of its own */
    const char *url;     /* absolute http or https */
    const char *proxy;   /* NULL: direct */
    struct slice *lines; /* fields to send, "Name: value" */
    size_t line_count;
    struct pipe *body; /* NULL: none. Is read until the transfer is gone; stays the caller's */
    bool has_body_length;
    uint64_t body_length;
};

/* None of these may end a transfer or start another, but on_done may. */
struct transfer_ops {
    /* Connected to `address`, nothing is sent yet. false: nothing will be, on_done follows. */
    bool (*on_connected)(void *arg, const char *address);
    /* The body is being sent; `starved`: nothing of it is left to send, more is to come. */
    void (*on_upload)(void *arg, bool starved);
    /* FETCH_PAUSE is not an answer here. The head lives as long as the transfer. */
    enum fetch_flow (*on_head)(void *arg, struct answer_head *head);
    enum fetch_flow (*on_body)(void *arg, const void *bytes, size_t n);
    /*
     * The transfer is gone when this returns. ERR_CLOSED: a callback has ended it, or the body of
     * the request broke off.
     */
    void (*on_done)(void *arg, enum err result, const struct errinfo *info);
};

/* Copies the request. ERR_NOMEM when libcurl has no memory for it. No callback from within. */
YT_MUST_CHECK enum err transfer_start(struct transfers *ts, const struct transfer_request *request,
                                      const struct transfer_ops *ops, void *arg,
                                      struct transfer **out);
/* After FETCH_PAUSE of on_body; may call on_body and on_done before it returns. */
void transfer_resume(struct transfer *t);
/* Ends it at once, without on_done and without blocking. Not from within on_head or on_body. */
void transfer_end(struct transfer **t);
/* Is the answer known to be complete, although the body of the request is still being sent? */
bool transfer_is_answered(const struct transfer *t);
/* The head goes to the caller, who frees it; NULL when there is none. */
struct answer_head *transfer_take_head(struct transfer *t);

#endif
