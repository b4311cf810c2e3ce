/*
 * What a planner says about one request: everything the engine and the server need to serve it, in
 * terms of no particular protocol. Made by a protocol's planner in the request's arena; pure data.
 */
#ifndef YT_PLAN_H
#define YT_PLAN_H

#include "base/arena.h"
#include "base/buf.h"
#include "base/config.h"
#include "base/digest.h"
#include "http/request.h"

/* How long credentials that the upstream has accepted are good for without asking it again. */
enum { PLAN_GRANT_MS = 5 * 60 * 1000 };

enum plan_kind {
    PLAN_CACHED,  /* look up, fill, deliver */
    PLAN_RELAYED, /* stream through, store nothing */
    PLAN_LOCAL,   /* `page` is the answer */
    PLAN_REFUSED, /* `refusal` is rendered as an error */
};

/* How a stale entry is checked. */
enum plan_refresh {
    REFRESH_GET,         /* fetch anew */
    REFRESH_CONDITIONAL, /* GET with the stored validators; 304 keeps the entry */
    REFRESH_HEAD_DIGEST, /* HEAD; the same digest keeps the entry, another one is fetched */
};

/* What a HEAD request for something that is not held does. */
enum plan_head {
    HEAD_FILLS, /* the object is small and a GET will follow: fill, then answer */
    HEAD_ASKS,  /* ask the upstream by HEAD, store nothing */
};

/* Why a request gets no object. A protocol renders each in its own form. */
enum plan_error {
    PLAN_ERR_BAD_REQUEST, /* the request breaks the protocol's rules */
    PLAN_ERR_BAD_NAME,    /* a name that can name nothing */
    PLAN_ERR_BAD_DIGEST,
    PLAN_ERR_NO_ROUTE,    /* nothing is configured for it */
    PLAN_ERR_NOT_FOUND,   /* upstream says so */
    PLAN_ERR_DENIED,      /* upstream refuses it to us */
    PLAN_ERR_UNSUPPORTED, /* an endpoint that a cache does not serve */
    PLAN_ERR_METHOD,      /* a method (a push, a deletion) that a cache does not serve */
    PLAN_ERR_CREDENTIALS, /* upstream refuses it to a client that has shown no credentials */
    PLAN_ERR_FORBIDDEN,   /* upstream refuses it to the client's own credentials */
    PLAN_ERR_FOREIGN,     /* on a host, or at an address, that this route may not fetch from */
    PLAN_ERR_ONLY_CACHED, /* the client takes only what is held, and it is not */
    PLAN_ERR_UPSTREAM,    /* not held, and the upstream fails or answers nonsense */
    PLAN_ERR_BUSY,        /* a bound of the cache itself is reached */
    PLAN_ERR_COUNT
};

/* A whole answer in memory. */
struct plan_page {
    int status;
    struct slice content_type;
    struct slice body;
    struct slice fields; /* raw lines, each with CRLF */
};

struct plan_input {
    const struct http_request *request;
    struct slice path;      /* raw, after the router has taken off what selected the route */
    struct slice namespace; /* what selected it by name (?ns= or path); empty otherwise */
    struct slice base; /* what absolute links to this route start with ("http://cache:5000/npm",
                          no slash at the end); empty: the client has named no host, or the
                          protocol has no such links */
    struct slice upstream_host;        /* of the route's first upstream, without port */
    const struct config_route *config; /* the route; NULL when the path has none */
};

struct plan;

/*
 * The protocol's way to say an error. `detail`: the plan's resource for NOT_FOUND, DENIED,
 * CREDENTIALS and FORBIDDEN, what is served here for NO_ROUTE, else a sentence for people; may be
 * empty. Pure and never fails: texts go into the arena, and without room there a fixed page is
 * given.
 */
typedef void plan_error_f(struct arena *a, enum plan_error error, struct slice detail,
                          struct plan_page *page);

/*
 * Is a complete body what this resource must be? Called on a background thread before anything is
 * stored; pure. ERR_CORRUPT when it is not.
 */
typedef enum err plan_inspect_f(struct slice body, struct slice content_type);

/*
 * What an index page says about one file that it names. Slices live in the arena that the reading
 * was given.
 */
struct plan_fact {
    bool found;
    struct digest digest; /* the strongest of those that can be computed here; or DIGEST_NONE */
    bool has_size;
    uint64_t size;
    struct slice url; /* where the file is: absolute http or https, without fragment */
    bool foreign;     /* it is on a host that this route may not fetch from */
};

/* What a reading knows of the body that it reads. Everything outlives the reading. */
struct plan_reading {
    const struct plan *plan;   /* on whose behalf */
    struct slice url;          /* where the body came from: absolute, after redirects */
    struct slice content_type; /* as the upstream called it */
    struct arena *arena;       /* for the fact's texts */
    struct plan_fact *fact;    /* to be filled in; NULL when the body is rewritten */
};

/*
 * Reads a body in pieces, whatever its size, in bounded memory: to write it anew, or to find a fact
 * in it. One thread at a time, not always the same; no I/O. The result depends on the body, the
 * content type, the URL and the plan alone.
 */
struct plan_reader {
    /* NULL: no memory. */
    void *(*begin)(const struct plan_reading *reading);
    /*
     * Appends what is to be written to `out` (NULL when a fact is looked for). ERR_CORRUPT: this is
     * not what the content type says, or breaks the protocol; ERR_LIMIT; ERR_NOMEM.
     */
    enum err (*feed)(void *state, struct slice bytes, struct buf *out);
    /* The body is complete: the same. */
    enum err (*finish)(void *state, struct buf *out);
    void (*end)(void *state);
};

struct plan {
    enum plan_kind kind;
    plan_error_f *render_error; /* always set */

    /* PLAN_LOCAL */
    struct plan_page page;
    /* PLAN_REFUSED */
    enum plan_error refusal;
    struct slice refusal_detail;

    /* --- PLAN_CACHED and PLAN_RELAYED --- */
    struct slice resource; /* with the route's name and the variant: the cache key */
    struct slice variant;
    struct slice upstream_path; /* raw path and query, begins with '/' */
    struct slice accept;        /* Accept for the upstream; empty: none is sent */
    struct slice scope;         /* what a token must allow ("repository:a/b:pull"); may be empty */
    /*
     * Where it is, if not at upstream_path: absolute. The upstreams are then asked for what this
     * URL names below the base of one of them; any other host is asked without credentials, and may
     * not be at an address of a kind (private, loopback) at which no upstream of the route is.
     */
    struct slice url;
    bool takes_gzip; /* the upstream may send it gzip-coded; it is stored so */

    /*
     * PLAN_RELAYED only: a request of another method, sent on to one upstream and never again.
     * HTTP_GET and HTTP_HEAD follow the client's own method.
     */
    enum http_method method;
    struct slice method_text;  /* for HTTP_METHOD_OTHER */
    bool takes_body;           /* the client's request body goes with it */
    const struct slice *lines; /* further request fields, "Name: value" */
    size_t line_count;
    bool passes_status; /* whatever status the upstream's answer has, it is the answer */
    /* After a success these are held no longer. NULL: the rest of the array too. */
    const struct plan *outdates[2];

    /*
     * The client's own credentials (the value of Authorization), for the upstream alone. What they
     * bring is held for them alone, and for PLAN_GRANT_MS at most without asking again, except
     * bytes with a digest that evidence names.
     */
    struct slice credential;

    /*
     * Made from another object: `source` is looked up, and its body is written anew by `rewrite`
     * (then gzip-coded if `gzips`). Freshness, failures and negotiation are the source's. `variant`
     * must hold whatever the result depends on besides the source: link base, form, coding, and the
     * version of the rewriter.
     */
    const struct plan *source;
    const struct plan_reader *rewrite;
    bool gzips;
    struct slice link_base;            /* for the rewriter: what absolute links start with */
    struct slice page_name;            /* for the rewriter: whose page it is */
    const struct config_route *config; /* for `find`: from where it may be fetched; or NULL */

    /*
     * Served only if one of these pages names it: the first that is held is read by `find`, which
     * gives url, digest and size. Asked for on a miss; with a credential, or `always_proven`,
     * also before what is held is served. NULL: nothing to prove.
     */
    const struct plan *pages[2];
    const struct plan_reader *find;
    struct slice wanted; /* for `find` */
    bool always_proven;

    /* An upstream field with a number that never falls; a page in which it does is refused. */
    struct slice rising_field;
    /* Storage, freshness and Vary are as the upstream's answer says (RFC 9111). */
    bool obeys_upstream;
    const struct http_fields *request_fields; /* obeys_upstream: for Vary and Cache-Control */

    bool immutable;       /* the bytes under this key never change */
    struct digest digest; /* the bytes must have it; DIGEST_NONE: not known beforehand */
    uint64_t max_size;    /* a longer body is refused; 0: no bound */
    bool is_sized;        /* a shorter one too */
    enum plan_refresh refresh;
    enum plan_head head;
    plan_inspect_f *inspect; /* or NULL; then max_size is set and small enough to map */
    /*
     * Or NULL: reads the complete body, decoded, on a background thread before anything is stored,
     * with a fact that nobody looks at (so it may be what `find` is of other plans, with an empty
     * `wanted`). ERR_CORRUPT: it is not stored.
     */
    const struct plan_reader *check;

    /*
     * The field in which this protocol's servers say the digest of the body, and in which it is
     * shown to clients; the ETag is then the quoted digest. Empty: none.
     */
    struct slice digest_field;
    /*
     * With a digest known after the fill, the same answer is also stored, as immutable, under the
     * resource alias_prefix + digest. Empty: not.
     */
    struct slice alias_prefix;

    struct slice content_type; /* shown instead of the upstream's; empty: the upstream's */
    bool bare_content_type;    /* parameters are cut off */
    const struct slice *types; /* media types that may be stored; NULL: any */
    size_t type_count;
    const struct slice *relayed_types; /* passed through, neither verified nor stored */
    size_t relayed_type_count;
    const enum http_field_id *kept_fields; /* further upstream fields that clients get */
    size_t kept_field_count;
    struct slice fields; /* raw lines that every answer carries */
    /*
     * Turns the value of an upstream's Link field into one that leads a client back here; p ==
     * NULL: the field is left out. Called for each Link field that would be stored or relayed, with
     * this plan's link_path and link_query, which must live as long as the fill; the variant holds
     * what differs in them, so a stored value suits every client of its key. NULL when no Link is
     * kept.
     */
    struct slice (*rewrite_link)(const struct plan *plan, struct arena *a, struct slice value);
    struct slice link_path;  /* raw path by which a client asks here for this resource */
    struct slice link_query; /* "ns=docker.io": what selects the route; or empty */

    /*
     * Negotiation. When the stored type is none that this client takes, the engine goes on with
     * the alternate: another variant, fetched with the client's own (normalised) Accept.
     */
    bool accepts_any;
    const struct slice *accepted; /* media types, lower case */
    size_t accepted_count;
    struct slice alternate_variant;
    struct slice alternate_accept;
};

static inline bool plan_type_listed(const struct slice *types, size_t n, struct slice type)
{
    for (size_t i = 0; i < n; i++)
        if (slice_ieq(types[i], type))
            return true;
    return false;
}

static inline bool plan_accepts(const struct plan *plan, struct slice type)
{
    return plan->accepts_any || plan_type_listed(plan->accepted, plan->accepted_count, type);
}

#endif
