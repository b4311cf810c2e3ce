/* Absolute http and https URLs and references to them (RFC 3986), as far as a proxy needs. Pure. */
#ifndef YT_HTTP_URL_H
#define YT_HTTP_URL_H

#include "base/arena.h"

enum { HTTP_URL_MAX = 16 * 1024 };

struct http_url {
    bool https;
    struct slice authority; /* as written: host, brackets and port */
    struct slice host;      /* without brackets; lower case is not enforced */
    bool v6;
    unsigned port;      /* the scheme's default when absent */
    struct slice path;  /* raw; begins with '/', "/" when absent */
    struct slice query; /* raw, without '?'; p == NULL when absent */
};

/*
 * false: not absolute http(s), userinfo present, bad host or port, bytes that are not visible
 * ASCII, backslash, longer than HTTP_URL_MAX. A fragment is dropped. Slices point into `text`.
 */
bool http_url_parse(struct slice text, struct http_url *url);

/*
 * A Location value against the URL that answered it: absolute, "//host/x", "/x", "?q" and relative
 * forms (dot segments removed, RFC 3986 section 5.2). The result is an absolute URL in the arena,
 * without fragment and without the scheme's own port (p == NULL: not usable); it parses with
 * http_url_parse.
 */
struct slice http_url_resolve(struct arena *a, const struct http_url *base, struct slice reference);

/* Same scheme, host (any case) and port (RFC 6454). */
bool http_url_same_origin(const struct http_url *a, const struct http_url *b);

/*
 * For logs: scheme, host, port and path; the query, which may be signed, is left out, and so is all
 * of a text that does not parse (a static text says so). p == NULL when the arena is full.
 */
struct slice http_url_for_log(struct arena *a, struct slice text);

/*
 * May an upstream at `host` name `realm_host` as its token realm without configuration? Equal
 * hosts, or names under the same registrable domain (docker.io for registry-1.docker.io and
 * auth.docker.io). That is the last two labels, or three under a country's second level (co.uk);
 * names under a domain that many customers share (amazonaws.com) are never siblings. Addresses
 * must be equal. A rule of ours: a hostile 401 must not choose who gets the credentials.
 */
bool http_hosts_are_siblings(struct slice host, struct slice realm_host);

/*
 * "host:port" or "[v6]:port" or "host" (port = 0). false when malformed: a host is a name of
 * letters, digits, '-' and '_' in labels, an IPv4 address in its dotted form only, or an IPv6
 * address in brackets, without zone; a port is 1 to 65535 without leading zeros.
 */
bool http_authority_parse(struct slice text, struct slice *host, unsigned *port);

#endif
