/*
 * The planner of package indexes. Lines: the path below the route, query, Accept, Authorization.
 * Whatever comes in, what goes out must be safe to send, and have one form only.
 */
#include "base/err.h"
#include "fuzz_check.h"
#include "http/url.h"
#include "protocol/protocol.h"

enum { ARENA_CAP = 1024 * 1024, FIRST_CHARACTER = 0x21, LAST_CHARACTER = 0x7e };

static char upstream_url[] = "https://index.test";
static char listed[] = "files.test";
static char *hosts[] = {listed};
static struct config_upstream upstream = {.url = upstream_url};
static const struct config_route config = {.cache = true,
                                           .passthrough = true,
                                           .upstreams = &upstream,
                                           .upstream_count = 1,
                                           .file_hosts = {.v = hosts, .n = 1}};

static void check_sendable(struct slice s)
{
    for (size_t i = 0; i < s.n; i++)
        CHECK(s.p[i] >= FIRST_CHARACTER && s.p[i] <= LAST_CHARACTER);
}

static bool plan_of(const struct http_request *request, struct arena *a, struct plan *plan)
{
    const struct plan_input in = {.request = request, .path = request->path, .config = &config};

    return protocol_find(SLICE("pypi"))->plan(&in, a, plan);
}

static void check_refusal(const struct plan *plan, struct arena *a)
{
    struct plan_page page;

    plan->render_error(a, plan->refusal, plan->refusal_detail, &page);
    CHECK(page.status >= 400 && page.status <= 599 && page.body.n);
}

/* Where a redirect leads, nothing redirects again. */
static void check_redirect(const struct http_request *request, struct arena *a,
                           const struct plan *plan)
{
    const struct slice field = SLICE("Location: ");
    struct http_url base = {.host = SLICE("here.test"), .port = 80, .path = request->path};
    struct slice location = plan->page.fields;
    struct http_request next = *request;
    struct http_url url;
    struct plan second;

    CHECK(plan->page.status == 301 && slice_starts(location, field));
    CHECK(slice_ends(location, SLICE("\r\n")));
    location = slice_of(location.p + field.n, location.n - field.n - 2);
    check_sendable(location);
    struct slice text = http_url_resolve(a, &base, location);
    CHECK(text.p && http_url_parse(text, &url));
    next.path = url.path;
    next.query = url.query;
    CHECK(plan_of(&next, a, &second));
    CHECK(second.kind != PLAN_LOCAL);
    CHECK(next.query.p == request->query.p || slice_eq(next.query, request->query));
}

static void check_source(const struct plan *source)
{
    CHECK(source && source->resource.n && source->credential.p);
    CHECK(source->upstream_path.p[0] == '/' && http_path_is_clean(source->upstream_path));
    check_sendable(source->upstream_path);
    CHECK(http_is_field_value(source->accept));
}

/* The place itself is the path's one form. */
static void check_file(const struct http_request *request, struct arena *a, const struct plan *plan)
{
    struct http_request again = *request;
    struct plan second;
    size_t mark = slice_find(plan->wanted, '?');

    check_sendable(plan->wanted);
    check_source(plan->pages[0]);
    check_source(plan->pages[1]);
    again.path = arena_printf(a, "/simple/x/files/%.*s", SLICE_ARG(slice_to(plan->wanted, mark)));
    CHECK(again.path.p && http_path_is_clean(again.path));
    CHECK(plan_of(&again, a, &second) && second.kind == PLAN_CACHED);
    CHECK(slice_eq(second.resource, plan->resource));
    CHECK(second.immutable == plan->immutable);
}

static void check_request(const struct http_request *request)
{
    struct plan plan;
    struct arena a;

    arena_init(&a, NULL, 0, ARENA_CAP);
    if (plan_of(request, &a, &plan)) {
        if (plan.kind == PLAN_REFUSED)
            check_refusal(&plan, &a);
        else if (plan.kind == PLAN_LOCAL)
            check_redirect(request, &a, &plan);
        else if (plan.source)
            check_source(plan.source);
        else
            check_file(request, &a, &plan);
    }
    arena_reset(&a);
}

/* What a parsed request's path and query can hold. */
static bool is_part(struct slice s)
{
    for (size_t i = 0; i < s.n; i++)
        if (s.p[i] < FIRST_CHARACTER || s.p[i] > LAST_CHARACTER || s.p[i] == '#' || s.p[i] == '\\')
            return false;
    return true;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice rest = fuzz_input(data, size);
    struct http_request request = {.method = HTTP_GET};
    struct arena a;

    arena_init(&a, NULL, 0, ARENA_CAP);
    request.path = take_line(&rest);
    request.query = take_line(&rest);
    if (request.query.n == 0)
        request.query.p = NULL;
    struct slice accept = take_line(&rest);
    struct slice authorization = take_line(&rest);
    if (http_path_is_clean(request.path) && is_part(request.query) && is_part(request.path) &&
        slice_find(request.path, '?') == request.path.n && size <= 4096 &&
        http_is_field_value(accept) && http_is_field_value(authorization) &&
        http_fields_add(&request.fields, &a, 2, SLICE("Accept"), accept) &&
        http_fields_add(&request.fields, &a, 2, SLICE("Authorization"), authorization))
        check_request(&request);
    arena_reset(&a);
    return 0;
}
