/* The admin listener's pages. */
#include "base/clock.h"
#include "base/counters.h"
#include "service.h"

static void add_counters(struct buf *b)
{
    for (int i = 0; i < COUNTER_COUNT; i++) {
        const struct counter_row *row = &counter_rows[i];
        buf_addf(b, "# HELP %s %s\n# TYPE %s %s\n%s %lld\n", row->name, row->help, row->name,
                 row->kind, row->name, (long long)counters_sum((enum counter_id)i));
    }
}

static void add_gauge(struct buf *b, const char *name, const char *help, uint64_t value)
{
    buf_addf(b, "# HELP %s %s\n# TYPE %s gauge\n%s %llu\n", name, help, name, name,
             (unsigned long long)value);
}

static void add_store(struct buf *b, struct store *store)
{
    struct store_stats st;
    store_stats(store, &st);
    add_gauge(b, "yantian_store_entries", "Answers in the index.", st.entries);
    add_gauge(b, "yantian_store_blobs", "Distinct bodies held.", st.blobs);
    add_gauge(b, "yantian_store_bytes", "Bytes of the bodies held.", st.bytes);
    add_gauge(b, "yantian_store_max_bytes", "Bound on them.", st.max_bytes);
    add_gauge(b, "yantian_store_queue", "Index operations waiting.", st.queued);
    add_gauge(b, "yantian_store_failing", "1 while the disk refuses writes.", st.failing);
}

static struct slice metrics(const struct service *s, struct arena *a)
{
    struct buf b;
    buf_init(&b, 64 * 1024);
    buf_add(&b, SLICE("# HELP yantian_build_info The version that runs.\n"
                      "# TYPE yantian_build_info gauge\n"));
    buf_addf(&b, "yantian_build_info{version=\"%s\"} 1\n", YT_VERSION);
    add_gauge(&b, "yantian_uptime_seconds", "Seconds since the start.",
              (uint64_t)(clock_mono_ms() - s->started_ms) / 1000);
    add_counters(&b);
    add_store(&b, s->store);
    struct slice text = arena_copy(a, buf_slice(&b));
    buf_free(&b);
    return text;
}

bool admin_page(const struct service *s, const struct http_request *request, struct arena *a,
                struct plan_page *page)
{
    *page = (struct plan_page){.status = 200, .content_type = SLICE("text/plain; charset=utf-8")};
    if (slice_eq(request->path, SLICE("/healthz"))) {
        page->body = SLICE("ok\n");
    } else if (slice_eq(request->path, SLICE("/readyz"))) {
        bool ready = atomic_load(&s->ready);
        page->status = ready ? 200 : 503;
        page->body = ready ? SLICE("ready\n") : SLICE("not ready\n");
    } else if (slice_eq(request->path, SLICE("/metrics"))) {
        page->content_type = SLICE("text/plain; version=0.0.4; charset=utf-8");
        page->body = metrics(s, a);
        return page->body.p != NULL;
    } else {
        return false;
    }
    return true;
}
