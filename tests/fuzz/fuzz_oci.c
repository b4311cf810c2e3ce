/*
 * The registry planner. Lines: target path, query, Accept, the route's upstream host, a Link value
 * that is also the body's media type; what follows is the body. Whatever comes in, what goes out
 * must be safe to send.
 */
#include <stdlib.h>

#include "base/json.h"
#include "protocol/protocol.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { ARENA_CAP = 512 * 1024, FIRST_CHARACTER = 0x21, LAST_CHARACTER = 0x7e };

static void require(bool good)
{
    if (!good)
        abort();
}

static struct slice take_line(struct slice *rest)
{
    struct slice line = slice_to(*rest, slice_find(*rest, '\n'));

    *rest = slice_from(*rest, line.n + 1);
    return line;
}

static bool knows_all(void *arg, struct slice name)
{
    (void)arg;
    return name.n > 0 && http_is_field_value(name);
}

static bool knows_none(void *arg, struct slice name)
{
    (void)arg;
    (void)name;
    return false;
}

static bool no_event(void *arg, const struct json_event *event)
{
    (void)arg;
    (void)event;
    return true;
}

static void require_sendable(struct slice s)
{
    for (size_t i = 0; i < s.n; i++)
        require(s.p[i] >= FIRST_CHARACTER && s.p[i] <= LAST_CHARACTER);
}

static void check_error(const struct plan *plan, struct arena *a)
{
    struct plan_page page;

    plan->render_error(a, plan->refusal, plan->refusal_detail, &page);
    require(page.status >= 400 && page.status <= 599);
    require(json_walk(page.body, 8, no_event, NULL) == ERR_OK);
}

/* What is asked upstream means the same when it is asked here: the key has one form only. */
static void check_is_normal(const struct plan_input *in, struct arena *a, const struct plan *plan)
{
    struct slice upstream = plan->upstream_path;
    struct http_request request = {.method = HTTP_GET};
    struct plan_input again = *in;
    struct plan second;
    size_t mark = slice_find(upstream, '?');

    request.path = slice_to(upstream, mark);
    request.query = slice_from(upstream, mark + 1);
    again.request = &request;
    again.path = request.path;
    again.namespace = slice_of(NULL, 0);
    if (!protocols[0]->plan(&again, a, &second))
        return;
    require(second.kind == plan->kind);
    require(slice_eq(second.resource, plan->resource));
}

static void check_object(const struct plan_input *in, struct arena *a, const struct plan *plan,
                         struct slice link, struct slice body)
{
    require(plan->upstream_path.n && plan->upstream_path.p[0] == '/');
    require(
        http_path_is_clean(slice_to(plan->upstream_path, slice_find(plan->upstream_path, '?'))));
    require_sendable(plan->upstream_path);
    require_sendable(plan->scope);
    require(http_is_field_value(plan->accept) && http_is_field_value(plan->alternate_accept));
    check_is_normal(in, a, plan);
    if (plan->inspect)
        (void)!plan->inspect(body, link);
    if (plan->rewrite_link) {
        struct slice value = plan->rewrite_link(plan, a, link);
        require(!value.p || (value.p[0] == '<' && http_is_field_value(value)));
    }
}

static void check_request(const struct http_request *request, struct slice host, struct slice link,
                          struct slice body, bool (*known)(void *arg, struct slice name))
{
    const struct protocol *oci = protocols[0];
    static const struct config_route config = {.cache = true};
    struct plan_input in = {.request = request, .upstream_host = host, .config = &config};
    struct arena a;
    struct plan plan;

    arena_init(&a, NULL, 0, ARENA_CAP);
    enum namespace_result result =
        oci->find_namespace(request, &a, known, NULL, &in.namespace, &in.path);
    /* The router plans for namespaces that a route serves. */
    if (result == NAMESPACE_NONE || knows_all(NULL, in.namespace)) {
        if (oci->plan(&in, &a, &plan)) {
            if (plan.kind == PLAN_REFUSED)
                check_error(&plan, &a);
            else if (plan.kind != PLAN_LOCAL)
                check_object(&in, &a, &plan, link, body);
        }
    }
    arena_reset(&a);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice rest = slice_of((const char *)data, size);
    struct http_request request = {.method = HTTP_GET};
    struct arena a;

    arena_init(&a, NULL, 0, ARENA_CAP);
    request.path = take_line(&rest);
    request.query = take_line(&rest);
    struct slice accept = take_line(&rest);
    struct slice host = take_line(&rest);
    struct slice link = take_line(&rest);
    if (http_path_is_clean(request.path) && size <= HTTP_HEAD_MAX &&
        http_fields_add(&request.fields, &a, 1, SLICE("Accept"), accept)) {
        check_request(&request, host, link, rest, knows_all);
        check_request(&request, host, link, rest, knows_none);
    }
    arena_reset(&a);
    return 0;
}
