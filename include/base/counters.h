/*
 * Counters for /metrics. One row here makes the counter, its name and its help text. Each worker
 * counts in its own set (no shared cache line on the hot path); a scrape adds them up.
 */
#ifndef YT_BASE_COUNTERS_H
#define YT_BASE_COUNTERS_H

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

/* X(id, metric name, kind, help) */
#define COUNTER_ROWS(X)                                                                            \
    X(CONNECTIONS_ACCEPTED, "yantian_connections_accepted_total", "counter",                       \
      "Client connections accepted.")                                                              \
    X(CONNECTIONS_OPEN, "yantian_connections_open", "gauge", "Client connections open now.")       \
    X(CONNECTIONS_REFUSED, "yantian_connections_refused_total", "counter",                         \
      "Client connections refused at client.max_connections.")                                     \
    X(CLIENT_TIMEOUTS, "yantian_client_timeouts_total", "counter",                                 \
      "Client connections closed at a deadline.")                                                  \
    X(CLIENT_ABORTS, "yantian_client_aborts_total", "counter",                                     \
      "Clients that left before their answer was complete.")                                       \
    X(REQUESTS, "yantian_requests_total", "counter", "Requests answered.")                         \
    X(REQUESTS_REJECTED, "yantian_requests_rejected_total", "counter",                             \
      "Requests refused by the HTTP parser.")                                                      \
    X(HITS, "yantian_hits_total", "counter", "Requests answered from the store, fresh.")           \
    X(STALE_HITS, "yantian_stale_hits_total", "counter",                                           \
      "Requests answered from the store past freshness.")                                          \
    X(MISSES, "yantian_misses_total", "counter", "Requests that needed the upstream.")             \
    X(COLLAPSED, "yantian_collapsed_total", "counter",                                             \
      "Requests that joined a running fill or refresh.")                                           \
    X(NEGATIVE_HITS, "yantian_negative_hits_total", "counter",                                     \
      "Requests answered from a remembered 404.")                                                  \
    X(RELAYED, "yantian_relayed_total", "counter", "Requests relayed without storing.")            \
    X(BYTES_SENT, "yantian_client_bytes_sent_total", "counter", "Bytes sent to clients.")          \
    X(COLD_READS, "yantian_cold_reads_total", "counter",                                           \
      "Reads of held bodies that were not in memory.")                                             \
    X(FILLS_STARTED, "yantian_fills_started_total", "counter", "Fills started.")                   \
    X(FILLS_FAILED, "yantian_fills_failed_total", "counter",                                       \
      "Fills that ended without an object.")                                                       \
    X(FILLS_RESUMED, "yantian_fills_resumed_total", "counter",                                     \
      "Fills that went on after a break with a Range request.")                                    \
    X(DIGEST_MISMATCHES, "yantian_digest_mismatches_total", "counter",                             \
      "Bodies whose digest was wrong.")                                                            \
    X(UPSTREAM_REQUESTS, "yantian_upstream_requests_total", "counter",                             \
      "Requests sent to upstreams, token requests included.")                                      \
    X(UPSTREAM_FAILURES, "yantian_upstream_failures_total", "counter",                             \
      "Upstream attempts that failed or answered 5xx or 429.")                                     \
    X(UPSTREAM_BYTES, "yantian_upstream_bytes_received_total", "counter",                          \
      "Body bytes received from upstreams.")                                                       \
    X(TOKEN_REQUESTS, "yantian_token_requests_total", "counter", "Bearer tokens asked for.")       \
    X(EVICTIONS, "yantian_evictions_total", "counter", "Blobs evicted to make room.")              \
    X(STORE_ERRORS, "yantian_store_errors_total", "counter", "Failed writes or reads of the store.")

enum counter_id {
#define X(id, name, kind, help) COUNTER_##id,
    COUNTER_ROWS(X)
#undef X
        COUNTER_COUNT
};

struct counter_row {
    const char *name;
    const char *kind;
    const char *help;
};
extern const struct counter_row counter_rows[COUNTER_COUNT];

struct counters {
    _Atomic uint64_t v[COUNTER_COUNT];
};

/*
 * The calling thread's set; created at first use, never freed before the process ends. A thread
 * that ends leaves its counts.
 */
struct counters *counters_mine(void);
/* Sum over all threads. */
uint64_t counters_sum(enum counter_id id);

static inline void counter_add(enum counter_id id, uint64_t n)
{
    struct counters *c = counters_mine();
    /* Only this thread writes: a plain add that others may read. */
    atomic_store_explicit(&c->v[id], atomic_load_explicit(&c->v[id], memory_order_relaxed) + n,
                          memory_order_relaxed);
}

static inline void counter_inc(enum counter_id id)
{
    counter_add(id, 1);
}

static inline void counter_dec(enum counter_id id)
{
    counter_add(id, (uint64_t)-1);
}

#endif
