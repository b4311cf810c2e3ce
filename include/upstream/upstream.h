/*
 * Upstreams: where a route's objects come from, what is known of their health, and the tokens that
 * they want. Shared by all workers; made once from the configuration.
 */
#ifndef YT_UPSTREAM_UPSTREAM_H
#define YT_UPSTREAM_UPSTREAM_H

#include "base/config.h"
#include "base/err.h"
#include "base/pipe.h"
#include "http/request.h"
#include "io/reactor.h"

struct upstream;     /* one server */
struct upstream_set; /* those of one route, in the order to try */

/*
 * Copies what it needs. ERR_CONFIG with a text when a URL is unusable. The set must outlive the
 * fetches that use it.
 */
YT_MUST_CHECK enum err upstream_set_new(const struct config_route *route, struct upstream_set **out,
                                        struct errinfo *info);
void upstream_set_free(struct upstream_set **set);
/* Host of the first upstream, without port. */
struct slice upstream_set_host(const struct upstream_set *set);

/* --- fetching: a worker's libcurl --- */

struct uplink; /* one per reactor */
struct tokens; /* one per process */

struct uplink_options {
    const char *proxy;   /* NULL: from the environment */
    const char *ca_file; /* NULL: the system's */
    int64_t connect_timeout_ms;
    int64_t response_timeout_ms; /* until the head of an answer is in */
    int64_t stall_timeout_ms;    /* without a byte of the body */
};

/*
 * Once per process, before the first thread. The process must ignore SIGPIPE: OpenSSL writes to its
 * sockets without MSG_NOSIGNAL.
 */
YT_MUST_CHECK enum err uplink_global_init(struct errinfo *info);
struct tokens *tokens_new(void);
void tokens_free(struct tokens **tokens);

/* ERR_IO when ca_file cannot be read. */
YT_MUST_CHECK enum err uplink_new(struct reactor *reactor, struct tokens *tokens,
                                  const struct uplink_options *options, struct uplink **out,
                                  struct errinfo *info);
/*
 * After the reactor's loop has ended, before reactor_free. Fetches that are left end without a
 * callback.
 */
void uplink_free(struct uplink **uplink);

/*
 * HTTP_GET and HTTP_HEAD go round the upstreams until one answers. Any other method may change
 * something: it is sent once, to the first upstream that is not known to be down, and follows no
 * redirect; whatever status comes is the answer, with its body.
 */
struct fetch_request {
    struct upstream_set *set;
    enum http_method method;
    struct slice method_text; /* for HTTP_METHOD_OTHER */
    struct slice path;        /* raw path and query */
    /*
     * Absolute, instead of path; or empty. What lies below the base of one of the upstreams is
     * asked of all of them, in order, by its path below the base; what is elsewhere at the origin
     * of one, of that one alone. Any other place is asked without credentials, tells nothing about
     * an upstream's health, and may not be at an address that reaches less far than the upstreams
     * (address.h).
     */
    struct slice url;
    bool any_status;     /* whatever the last upstream answers is given with its body, too: 4xx,
                            5xx, a redirect without Location, a 403 without a challenge */
    struct slice scope;  /* for the token; empty: what the challenge asks */
    struct slice accept; /* empty: none */
    struct slice etag;   /* If-None-Match; empty: none */
    struct slice last_modified; /* If-Modified-Since; empty: none */
    uint64_t offset;            /* > 0: Range from here on */
    struct slice if_range;
    bool takes_gzip;            /* Accept-Encoding: gzip, not identity */
    struct slice authorization; /* the client's own, for the upstreams' own origins; else empty.
                                   Neither the cache's account nor a token is used then, and a
                                   401 or 403 is negative at once */
    const struct slice *lines;  /* further fields, "Name: value" */
    size_t line_count;
    struct pipe *body;    /* NULL: none. The fetch is its reading end and leaves it; only with a
                             method that is sent once */
    bool has_body_length; /* else the body goes in chunks */
    uint64_t body_length;
    struct slice id; /* the request's or fill's id, for the log */
};

/* The head of the final answer: not a redirect, not a challenge that could be met. */
struct fetch_head {
    int status;
    struct http_fields fields; /* live until the fetch is over */
    bool has_length;
    uint64_t length;  /* of this body; for HEAD and 304 of the body that a GET would have */
    bool framed;      /* by length or chunks; false: the end is where the connection ends */
    bool refused;     /* a 401 or 403 that no credentials of the cache's own can change */
    struct slice url; /* that gave this answer: absolute, after redirects; lives as the fields do */
};

enum fetch_flow {
    FETCH_CONTINUE,
    FETCH_PAUSE, /* of on_body: nothing was taken, the same bytes come again after fetch_resume;
                    of on_head: the head was taken, no on_body before fetch_resume */
    FETCH_ABORT, /* on_done follows, with ERR_CLOSED */
};

/*
 * Called on the uplink's reactor, never from within fetch_start, fetch_resume or fetch_cancel, all
 * of which may be called from within a callback (but not from the fetch's own on_done). on_head
 * comes once at most; without it on_done has an error. After on_done the fetch is gone.
 */
struct fetch_ops {
    enum fetch_flow (*on_head)(void *arg, const struct fetch_head *head);
    enum fetch_flow (*on_body)(void *arg, const void *bytes, size_t n);
    /* ERR_OK: the body is complete by its framing. */
    void (*on_done)(void *arg, enum err result, const struct errinfo *info);
};

struct fetch;

/*
 * Tries the upstreams of the set in order until one gives an answer that is neither a failure
 * (unreachable, nonsense, 408, 429, 5xx) nor negative (any other 4xx but 416). An upstream that is
 * known to be down counts as failed without being asked. When none is left:
 * - something failed: on_done has ERR_UPSTREAM; before it on_head if an upstream answered 429 or
 *   5xx, with that head and without its body (with any_status the last one's is given, ERR_OK);
 * - all answers were negative: a 401 or 403 goes before the others, since it says nothing about
 *   what exists. One that was not the last to come has its body left out (length is 0).
 * `url` at a foreign place that may not be asked, or that is none: on_done has ERR_FOREIGN. The
 * body of the request broke off: ERR_CLOSED. Too many fetches at once: ERR_LIMIT. Everything in
 * `request` is copied, but the body is handed over.
 */
struct fetch *fetch_start(struct uplink *uplink, const struct fetch_request *request,
                          const struct fetch_ops *ops, void *arg);
void fetch_resume(struct fetch *fetch);
/* No callback comes any more; the transfer ends when it can without blocking. */
void fetch_cancel(struct fetch *fetch);
/* Seconds after which a known-down upstream set is worth asking again (for Retry-After); >= 1. */
int64_t upstream_set_retry_after(const struct upstream_set *set);
/* Is every upstream of the set known to be down at this moment? */
bool upstream_set_is_down(const struct upstream_set *set);

#endif
