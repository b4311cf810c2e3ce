/*
 * Which proxy a request leaves through, decided here and not by libcurl, because what an upstream
 * may redirect to is checked by address, and behind a proxy the address is the proxy's.
 */
#ifndef YT_UPSTREAM_EGRESS_H
#define YT_UPSTREAM_EGRESS_H

#include "http/url.h"

struct egress {
    char *http; /* proxy for http URLs; NULL: direct */
    char *https;
    char *no_proxy; /* never NULL */
};

/*
 * `proxy` is the configured one; NULL: http_proxy, https_proxy, HTTPS_PROXY, all_proxy and
 * ALL_PROXY count, as for curl (HTTP_PROXY does not: a CGI would get it from a request field).
 * no_proxy and NO_PROXY count in both cases. Reads the environment: before threads that write it.
 */
void egress_init(struct egress *e, const char *proxy);
void egress_close(struct egress *e);

/* NULL: direct. */
const char *egress_proxy(const struct egress *e, const struct http_url *url);

#endif
