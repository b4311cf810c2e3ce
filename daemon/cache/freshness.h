/* When a stored answer may be used (RFC 9111 section 4.2, RFC 5861). Pure. */
#ifndef YT_CACHE_FRESHNESS_H
#define YT_CACHE_FRESHNESS_H

#include "cache/engine.h"

enum freshness {
    FRESH,
    STALE_SERVABLE, /* serve at once, refresh beside it */
    STALE_WAITING,  /* refresh first, serve it when that fails or takes too long */
    STALE_TOO_OLD,  /* not to be served, even when the upstream fails */
};

/* *ttl_ms: how long it is still fresh, negative when stale; INT64_MAX when immutable. */
enum freshness freshness_of(const struct store_entry *entry, const struct cache_route *route,
                            int64_t now_wall_ms, int64_t *ttl_ms);

/* Seconds as Cache-Status shows them: a stale entry never shows 0 or more. */
int64_t ttl_seconds(int64_t ttl_ms);

#endif
