#include "freshness.h"

enum freshness freshness_of(const struct store_entry *entry, const struct cache_route *route,
                            int64_t now_wall_ms, int64_t *ttl_ms)
{
    if (entry->immutable) {
        *ttl_ms = INT64_MAX;
        return FRESH;
    }
    /* A wall clock that was set back must not make an entry fresh for ever. */
    int64_t age = now_wall_ms - entry->validated_ms;
    if (age < 0)
        age = route->ttl_ms;
    *ttl_ms = route->ttl_ms - age;
    if (*ttl_ms > 0)
        return FRESH;
    int64_t past = -*ttl_ms;
    if (past < route->stale_while_refreshing_ms)
        return STALE_SERVABLE;
    return past <= route->stale_for_ms ? STALE_WAITING : STALE_TOO_OLD;
}

int64_t ttl_seconds(int64_t ttl_ms)
{
    return ttl_ms > 0 ? ttl_ms / 1000 : ttl_ms / 1000 - 1;
}
