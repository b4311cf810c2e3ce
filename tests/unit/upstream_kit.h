/* What the unit tests of daemon/upstream share: fetches that are run to their end, in time. */
#ifndef YT_TESTS_UPSTREAM_KIT_H
#define YT_TESTS_UPSTREAM_KIT_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/buf.h"
#include "base/clock.h"
#include "loop.h"
#include "scripted_server.h"
#include "upstream/upstream.h"

#include <signal.h>

/* --- upstreams --- */

/* A set of servers on 127.0.0.1, with the account user:secret when `account`. */
static inline struct upstream_set *set_of(const unsigned *ports, size_t n, bool account)
{
    struct config_upstream config[4];
    char urls[4][64];
    char user[] = "user", password[] = "secret", name[] = "test";
    assert_true(n <= 4);
    memset(config, 0, sizeof config);
    for (size_t i = 0; i < n; i++) {
        snprintf(urls[i], sizeof urls[i], "http://127.0.0.1:%u", ports[i]);
        config[i].url = urls[i];
        config[i].username = account ? user : NULL;
        config[i].password = account ? password : NULL;
    }
    struct config_route route = {.name = name, .upstreams = config, .upstream_count = n};
    struct upstream_set *set = NULL;
    struct errinfo info;
    assert_int_equal(upstream_set_new(&route, &set, &info), ERR_OK);
    return set;
}

/* How much later than its deadline a thing may come on a busy machine. */
enum { KIT_LATE_MS = 4000 };

static const struct uplink_options kit_options = {
    .connect_timeout_ms = 1000,
    .response_timeout_ms = 1500,
    .stall_timeout_ms = 400,
};

/* --- one fetch, run to its end --- */

struct fetched {
    /* what the consumer wants */
    enum fetch_flow head_flow;
    enum fetch_flow body_flow;
    int64_t resume_after_ms; /* after a pause */
    /* what came */
    bool has_head;
    int status;
    bool refused, framed, has_length;
    uint64_t length;
    char retry_after[64];
    char etag[64];
    char url[128];
    struct buf body;
    bool done;
    enum err result;
    char msg[200];
    int64_t ms; /* from the start to on_done */
    /* private */
    struct loop loop;
    struct fetch *fetch;
    struct timer resume;
    int64_t began;
};

static inline void kit_text(char out[64], struct slice value)
{
    snprintf(out, 64, "%.*s", (int)value.n, value.p ? value.p : "");
}

static inline void kit_resume(struct timer *t)
{
    struct fetched *r = (struct fetched *)(void *)((char *)t - offsetof(struct fetched, resume));
    r->head_flow = r->body_flow = FETCH_CONTINUE;
    fetch_resume(r->fetch);
}

static inline enum fetch_flow kit_flow(struct fetched *r, enum fetch_flow flow)
{
    if (flow == FETCH_PAUSE)
        timer_set(&r->resume, r->resume_after_ms);
    return flow;
}

static inline enum fetch_flow kit_head(void *arg, const struct fetch_head *head)
{
    struct fetched *r = arg;
    assert_false(r->has_head);
    r->has_head = true;
    r->status = head->status;
    r->refused = head->refused;
    r->framed = head->framed;
    r->has_length = head->has_length;
    r->length = head->length;
    kit_text(r->retry_after, http_fields_value(&head->fields, HF_RETRY_AFTER));
    kit_text(r->etag, http_fields_value(&head->fields, HF_ETAG));
    snprintf(r->url, sizeof r->url, "%.*s", SLICE_ARG(head->url));
    return kit_flow(r, r->head_flow);
}

static inline enum fetch_flow kit_body(void *arg, const void *bytes, size_t n)
{
    struct fetched *r = arg;
    assert_true(r->has_head);
    if (r->body_flow == FETCH_CONTINUE)
        buf_add(&r->body, slice_of(bytes, n));
    return kit_flow(r, r->body_flow);
}

static inline void kit_done(void *arg, enum err result, const struct errinfo *info)
{
    struct fetched *r = arg;
    assert_false(r->done);
    r->done = true;
    r->result = result;
    r->ms = clock_mono_ms() - r->began;
    snprintf(r->msg, sizeof r->msg, "%s", info ? info->msg : "");
    assert_true((result == ERR_OK) == (info == NULL));
    reactor_stop(r->loop.reactor);
}

static const struct fetch_ops kit_ops = {kit_head, kit_body, kit_done};

/* Runs one fetch with an uplink of its own; the caller frees with fetched_free. */
static inline void run_fetch(const struct fetch_request *request,
                             const struct uplink_options *options, struct tokens *tokens,
                             struct fetched *r)
{
    struct uplink *uplink = NULL;
    loop_open(&r->loop);
    buf_init(&r->body, 64 << 20);
    timer_init(&r->resume, r->loop.reactor, kit_resume);
    assert_int_equal(uplink_new(r->loop.reactor, tokens, options, &uplink, NULL), ERR_OK);
    r->began = clock_mono_ms();
    r->fetch = fetch_start(uplink, request, &kit_ops, r);
    assert_false(r->has_head || r->done);
    reactor_run(r->loop.reactor);
    assert_true(r->done);
    assert_true(r->has_head || r->result != ERR_OK);
    timer_clear(&r->resume);
    uplink_free(&uplink);
    loop_close(&r->loop);
}

/* A GET of `path` with tokens of its own. */
static inline void get(struct upstream_set *set, const char *path, struct fetched *r)
{
    struct fetch_request request = {.set = set, .path = slice_str(path), .id = SLICE("t")};
    struct tokens *tokens = tokens_new();
    run_fetch(&request, &kit_options, tokens, r);
    tokens_free(&tokens);
}

static inline void fetched_free(struct fetched *r)
{
    buf_free(&r->body);
    *r = (struct fetched){.fetch = NULL};
}

static inline void check_body(const struct fetched *r, const char *want)
{
    if (!slice_eq(buf_slice(&r->body), slice_str(want)))
        fail_msg("got \"%.*s\", want \"%s\"", (int)r->body.n, r->body.p ? r->body.p : "", want);
}

/* Group set-up: no proxy of the environment comes between, and a closed peer is no signal. */
static inline int kit_setup(void **state)
{
    static const char *const names[] = {"http_proxy", "https_proxy", "HTTPS_PROXY", "all_proxy",
                                        "ALL_PROXY",  "no_proxy",    "NO_PROXY"};
    (void)state;
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        unsetenv(names[i]);
    signal(SIGPIPE, SIG_IGN);
    return uplink_global_init(NULL) == ERR_OK ? 0 : -1;
}

#endif
