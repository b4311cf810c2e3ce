/*
 * The npm planner. Lines: path, query, Accept, Authorization; a first byte chooses method and
 * route. Whatever comes in, what goes out must be safe to send, and mean one thing only.
 */
#include "base/json.h"
#include "fuzz_check.h"
#include "protocol/protocol.h"

enum {
    ARENA_CAP = 512 * 1024,
    FIELDS_MAX = 4,
    FIRST_CHARACTER = 0x21,
    LAST_CHARACTER = 0x7e,
    METHOD_BITS = 7,
    PASSTHROUGH_BIT = 8,
    CACHE_BIT = 16,
};

static bool no_event(void *arg, const struct json_event *event)
{
    (void)arg;
    (void)event;
    return true;
}

static void check_sendable(struct slice s)
{
    for (size_t i = 0; i < s.n; i++)
        CHECK(s.p[i] >= FIRST_CHARACTER && s.p[i] <= LAST_CHARACTER);
}

static void check_error(const struct plan *plan, struct arena *a)
{
    struct plan_page page;

    plan->render_error(a, plan->refusal, plan->refusal_detail, &page);
    CHECK(page.status >= 400 && page.status <= 599);
    CHECK(json_walk(page.body, 2, no_event, NULL) == ERR_OK);
}

/* What is asked upstream means the same when it is asked here: the key has one form only. */
static void check_is_normal(const struct plan_input *in, struct arena *a, const struct plan *plan)
{
    struct slice upstream = plan->upstream_path;
    struct http_request request = *in->request;
    struct plan_input again = *in;
    struct plan second;
    size_t mark = slice_find(upstream, '?');

    request.query = mark < upstream.n ? slice_from(upstream, mark + 1) : slice_of(NULL, 0);
    again.request = &request;
    again.path = slice_to(upstream, mark);
    if (!protocol_find(SLICE("npm"))->plan(&again, a, &second))
        return;
    CHECK(second.kind == plan->kind);
    CHECK(slice_eq(second.resource, plan->resource));
    CHECK(slice_eq(second.variant, plan->variant));
}

static void check_object(const struct plan *plan)
{
    CHECK(plan->kind == PLAN_CACHED || plan->kind == PLAN_RELAYED);
    CHECK(plan->upstream_path.n && plan->upstream_path.p[0] == '/');
    CHECK(http_path_is_clean(slice_to(plan->upstream_path, slice_find(plan->upstream_path, '?'))));
    check_sendable(plan->upstream_path);
    CHECK(slice_eq(plan->resource, slice_from(plan->upstream_path, 1)));
    CHECK(http_is_field_value(plan->accept));
    CHECK(http_is_field_value(plan->credential));
    for (size_t i = 0; i < plan->line_count; i++)
        CHECK(http_is_field_value(plan->lines[i]));
    check_sendable(plan->wanted);
    CHECK(!plan->source || slice_eq(plan->source->resource, plan->resource));
    CHECK(!plan->source || !slice_eq(plan->source->variant, plan->variant));
}

static void check_parts(const struct plan *plan)
{
    const struct plan *parts[] = {plan->source, plan->pages[0], plan->pages[1], plan->outdates[0],
                                  plan->outdates[1]};

    for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++) {
        if (!parts[i])
            continue;
        check_object(parts[i]);
        CHECK(slice_eq(parts[i]->credential, plan->credential));
        CHECK(!parts[i]->source && !parts[i]->pages[0]);
    }
}

static void check_plan(const struct plan_input *in, struct arena *a)
{
    struct plan plan;

    if (!protocol_find(SLICE("npm"))->plan(in, a, &plan))
        return;
    if (plan.kind == PLAN_REFUSED) {
        check_error(&plan, a);
    } else if (plan.kind != PLAN_LOCAL) {
        check_object(&plan);
        check_parts(&plan);
        check_is_normal(in, a, &plan);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice rest = fuzz_input(data, size);
    unsigned choice = size ? data[0] : 0;
    struct config_route config = {.passthrough = choice & PASSTHROUGH_BIT,
                                  .cache = !(choice & CACHE_BIT)};
    struct http_request request = {.method = choice & METHOD_BITS, .method_text = SLICE("X")};
    struct plan_input in = {
        .request = &request, .base = SLICE("http://cache.test/npm"), .config = &config};
    struct arena a;

    rest = slice_from(rest, 1);
    arena_init(&a, NULL, 0, ARENA_CAP);
    in.path = take_line(&rest);
    request.query = take_line(&rest);
    if (request.query.n == 0)
        request.query = slice_of(NULL, 0);
    struct slice accept = take_line(&rest);
    struct slice authorization = take_line(&rest);
    /* What the parser and the exchange let through. */
    bool is_clean = http_path_is_clean(in.path) && slice_find(in.path, '?') == in.path.n &&
                    size <= HTTP_TARGET_MAX && http_is_field_value(accept) &&
                    http_is_field_value(authorization);
    for (size_t i = 0; is_clean && i < request.query.n; i++)
        is_clean = request.query.p[i] >= FIRST_CHARACTER && request.query.p[i] <= LAST_CHARACTER;
    if (is_clean && http_fields_add(&request.fields, &a, FIELDS_MAX, SLICE("Accept"), accept) &&
        http_fields_add(&request.fields, &a, FIELDS_MAX, SLICE("Authorization"), authorization))
        check_plan(&in, &a);
    arena_reset(&a);
    return 0;
}
