#include "freshness.h"

static enum freshness how_stale(const struct store_entry *entry, const struct cache_route *route,
                                int64_t past_ms)
{
    if (entry->must_revalidate)
        return STALE_TOO_OLD;
    /* Who says for how long an answer is fresh has not agreed to its being served beyond. */
    if (!entry->has_lifetime && past_ms < route->stale_while_refreshing_ms)
        return STALE_SERVABLE;
    return past_ms <= route->stale_for_ms ? STALE_WAITING : STALE_TOO_OLD;
}

enum freshness freshness_of(const struct store_entry *entry, const struct cache_route *route,
                            int64_t now_wall_ms, int64_t *ttl_ms)
{
    if (entry->immutable) {
        *ttl_ms = INT64_MAX;
        return FRESH;
    }
    int64_t lifetime_ms = entry->has_lifetime ? entry->lifetime_ms : route->ttl_ms;
    int64_t age_ms = now_wall_ms - entry->validated_ms;
    /* A wall clock that was set back must not make an entry fresh for ever. */
    if (age_ms < 0)
        age_ms = lifetime_ms;
    *ttl_ms = lifetime_ms - age_ms;
    return *ttl_ms > 0 ? FRESH : how_stale(entry, route, -*ttl_ms);
}

int64_t ttl_seconds(int64_t ttl_ms)
{
    return ttl_ms > 0 ? ttl_ms / 1000 : ttl_ms / 1000 - 1;
}
