/*
 * The strict HTTP/1.x request parser (RFC 9112). Pure: bytes in; consumed, need more or error out.
 * What a lenient parser would repair is refused here, because two readers that disagree about a
 * message's end can be played against each other.
 */
#ifndef YT_HTTP_REQUEST_H
#define YT_HTTP_REQUEST_H

#include "http/fields.h"

enum {
    HTTP_HEAD_MAX = 64 * 1024, /* request line and fields with their line ends */
    HTTP_FIELDS_MAX = 200,
    HTTP_TARGET_MAX = 16 * 1024,
};

enum http_method {
    HTTP_GET,
    HTTP_HEAD,
    HTTP_POST,
    HTTP_PUT,
    HTTP_PATCH,
    HTTP_DELETE,
    HTTP_OPTIONS,
    HTTP_METHOD_OTHER, /* a token that is none of the above: TRACE, CONNECT, ... */
};

enum http_framing {
    HTTP_NO_BODY, /* no length given, or 0 */
    HTTP_LENGTH,  /* content_length bytes follow */
    HTTP_CHUNKED, /* http/chunked.h reads it */
};

struct http_request {
    enum http_method method;
    struct slice method_text;
    struct slice target; /* as received: origin-form, or absolute-form */
    struct slice path;   /* raw, begins with '/'; "*" for OPTIONS * */
    struct slice query;  /* raw, without '?'; p == NULL when there is no '?' */
    struct slice host; /* Host, or the authority of an absolute-form target; may be empty in 1.0 */
    struct slice host_name; /* the same without port and brackets */
    int minor;              /* 0 or 1 */
    struct http_fields fields;
    enum http_framing framing;
    uint64_t content_length;
    bool keep_alive;
    bool expect_continue;
};

/*
 * Looks for the end of a head in data (after skipping CRLF that precedes a request line, RFC 9112
 * section 2.2). Returns the length of the head with its last CRLFCRLF, leading CRLFs included; 0
 * when it is not complete. `scanned` (start with 0) remembers how far earlier calls looked, so that
 * a head that trickles in is not searched again and again. A bare LF LF also counts as an end, so
 * that the parser can refuse it at once.
 */
size_t http_head_length(struct slice data, size_t *scanned);

/*
 * Parses one complete head. Slices in *req point into `head`; field rows are allocated in `a`.
 * Returns 0, or the status to answer before closing: 400, 414 (target), 431 (fields), 501 (transfer
 * coding), 505 (version), 417 (an Expect that is not 100-continue). *why is then a static text.
 *
 * Refused with 400, among others: bare LF or CR, obs-fold, blank before the colon, empty or
 * non-token names, NUL and controls in values, no or several Host in 1.1, an invalid Host,
 * Content-Length that is not digits or differs between lines or values, Content-Length together
 * with Transfer-Encoding, Transfer-Encoding in 1.0 or not ending in chunked, blanks or controls in
 * the target, bytes in it that are not ASCII, userinfo or fragment. `Content-Length: 5, 5` and two
 * equal lines are refused too, and so is CONNECT, whose target is no path.
 */
int http_request_parse(struct slice head, struct arena *a, struct http_request *req,
                       const char **why);

/*
 * Is the raw path safe to route and to send on? false for ".", ".." segments (also written with
 * %2e, also beside a %2f), backslash and control bytes (also escaped), bytes that are not ASCII,
 * bad percent escapes, and for a path that does not begin with '/' ("*"). Routing is on raw bytes:
 * %2f itself is left alone.
 */
bool http_path_is_clean(struct slice path);

/*
 * The raw value of the first query parameter `name` ("ns" in "ns=docker.io&x"), or p == NULL.
 */
struct slice http_query_get(struct slice query, struct slice name);

/* Percent-decodes into the arena; p == NULL for a bad escape or when the arena is full. */
struct slice http_percent_decode(struct arena *a, struct slice s);

enum { ACCEPT_TYPES_MAX = 8 };

/*
 * How much the client wants each of n media types (ACCEPT_TYPES_MAX at most; without parameters),
 * from 0 (not at all) to 1000: the weight of the closest member of Accept (RFC 9110 section
 * 12.5.1), so that q=0 on the type itself outdoes a wildcard. 1000 each when there is no Accept or
 * it is empty.
 */
void http_accept_qualities(const struct http_fields *f, const struct slice *types, size_t n,
                           unsigned *qualities);

/*
 * Does the client take a gzip-coded answer, and not rather one without any coding? RFC 9110 section
 * 12.5.3; false without Accept-Encoding.
 */
bool http_accepts_gzip(const struct http_fields *f);

#endif
