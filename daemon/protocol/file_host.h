/* From where a route may fetch what its index pages name. Pure; any thread. */
#ifndef YT_PROTOCOL_FILE_HOST_H
#define YT_PROTOCOL_FILE_HOST_H

#include "base/config.h"
#include "http/url.h"

/*
 * The hosts of the route's upstreams, each with its own port (80 and 443 stand for each other,
 * since old pages name both), and those of `file_hosts`: "host" with any port, or "host:port".
 */
bool file_host_is_allowed(const struct config_route *config, const struct http_url *url);

/*
 * The same file where the upstream itself is asked: with the upstream's scheme when the URL has the
 * other one and both have their default ports; else `text` as it is. p == NULL: the arena is full.
 */
struct slice file_host_as_upstream(const struct config_route *config, struct arena *a,
                                   struct slice text);

#endif
