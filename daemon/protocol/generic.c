/*
 * The planner for any HTTP site: a reverse proxy that caches by the rules of RFC 9111 and as far as
 * the upstream's answers say, and keeps for good what the configuration calls immutable.
 */
#include "pattern.h"
#include "refusal.h"
#include "rows.h"

/* --- errors --- */

struct error_row {
    int status;
    const char *text;
};

static const struct error_row error_rows[PLAN_ERR_COUNT] = {
    [PLAN_ERR_BAD_REQUEST] = {400, "the request is malformed"},
    [PLAN_ERR_BAD_NAME] = {400, "this names nothing"},
    [PLAN_ERR_BAD_DIGEST] = {400, "this is no digest"},
    [PLAN_ERR_NO_ROUTE] = {404, "nothing is served here"},
    [PLAN_ERR_NOT_FOUND] = {404, "the upstream does not have it"},
    [PLAN_ERR_DENIED] = {403, "the upstream refuses it to this cache"},
    [PLAN_ERR_UNSUPPORTED] = {404, "this cache does not serve it"},
    [PLAN_ERR_METHOD] = {405, "this method is not passed on"},
    [PLAN_ERR_CREDENTIALS] = {401, "the upstream wants credentials"},
    [PLAN_ERR_FORBIDDEN] = {403, "the upstream refuses it to these credentials"},
    [PLAN_ERR_FOREIGN] = {403, "this route may not fetch from there"},
    [PLAN_ERR_ONLY_CACHED] = {504, "this is not in the cache, and nothing else was asked for"},
    [PLAN_ERR_UPSTREAM] = {503,
                           "this is not in the cache, and the upstream gives no usable answer"},
    [PLAN_ERR_BUSY] = {503, "the cache is at one of its limits, try again later"},
};

static struct slice error_fields(enum plan_error error)
{
    switch (error) {
    case PLAN_ERR_CREDENTIALS:
        return SLICE("WWW-Authenticate: Basic realm=\"the upstream, through this cache\"\r\n");
    case PLAN_ERR_METHOD:
        return SLICE("Allow: GET, HEAD, OPTIONS\r\n");
    default:
        return SLICE("");
    }
}

static void render_error(struct arena *a, enum plan_error error, struct slice detail,
                         struct plan_page *page)
{
    const struct error_row *row = &error_rows[error];
    refusal_text(a, row->status, row->text, detail, error_fields(error), page);
}

/* --- the request that goes to the upstream --- */

/* What a server behind a proxy may believe although no answer says that it depends on it. */
static bool could_poison(struct slice name)
{
    static const struct slice names[] = {
        SLICE("forwarded"),         SLICE("x-real-ip"),     SLICE("x-original-url"),
        SLICE("x-rewrite-url"),     SLICE("x-http-method"), SLICE("x-http-method-override"),
        SLICE("x-method-override"),
    };
    static const struct slice prefix = SLICE("x-forwarded-");
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        if (slice_ieq(name, names[i]))
            return true;
    return slice_ieq(slice_to(name, prefix.n), prefix);
}

/* Says who the client is: no answer that others get may depend on it. */
static bool is_personal(const struct http_field *field)
{
    return field->id == HF_COOKIE || field->id == HF_AUTHORIZATION ||
           slice_ieq(field->name, SLICE("referer")) || slice_ieq(field->name, SLICE("from"));
}

/* The cache speaks for itself in these, or needs them for its own questions. */
static bool is_the_caches_own(enum http_field_id id)
{
    switch (id) {
    case HF_ACCEPT: /* has a place of its own in the plan */
    case HF_ACCEPT_ENCODING:
    case HF_CONTENT_LENGTH:
    case HF_EXPECT:
    case HF_HOST:
    case HF_IF_RANGE:
    case HF_RANGE:
    case HF_USER_AGENT:
    case HF_VIA:
        return true;
    default:
        return false;
    }
}

/* Of a GET the cache answers these itself, for each client anew; a change may hang on them. */
static bool is_condition(const struct http_field *field)
{
    return field->id == HF_IF_NONE_MATCH || field->id == HF_IF_MODIFIED_SINCE ||
           slice_ieq(field->name, SLICE("if-match")) ||
           slice_ieq(field->name, SLICE("if-unmodified-since"));
}

static bool is_forwarded(const struct http_fields *fields, const struct http_field *field,
                         bool reads)
{
    if (is_the_caches_own(field->id) || is_personal(field) || could_poison(field->name))
        return false;
    return !(reads && is_condition(field)) && http_field_is_end_to_end(fields, field);
}

/* Accept's lines as one; empty when there is none. */
static struct slice join_accept(struct arena *a, const struct http_fields *fields)
{
    struct slice all = SLICE("");
    for (size_t i = 0; i < fields->n && all.p; i++) {
        if (fields->v[i].id != HF_ACCEPT)
            continue;
        all = all.n ? arena_printf(a, "%.*s, %.*s", SLICE_ARG(all), SLICE_ARG(fields->v[i].value))
                    : fields->v[i].value;
    }
    return all;
}

/*
 * The fields that go upstream, as lines, and as fields: what is held back counts as absent when an
 * answer varies with it, because all clients get the answer to a request without it.
 */
static bool set_request(struct plan *plan, struct arena *a, const struct http_fields *client,
                        bool reads)
{
    struct http_fields *sent = arena_zalloc(a, sizeof *sent);
    struct slice *lines = arena_alloc(a, (client->n + 1) * sizeof *lines);
    plan->accept = join_accept(a, client);
    if (!sent || !lines || !plan->accept.p)
        return false;
    for (size_t i = 0; i < client->n; i++) {
        const struct http_field *field = &client->v[i];
        if (!is_forwarded(client, field, reads))
            continue;
        struct slice *line = &lines[plan->line_count++];
        *line = arena_printf(a, "%.*s: %.*s", SLICE_ARG(field->name), SLICE_ARG(field->value));
        if (!line->p || !http_fields_add(sent, a, HTTP_FIELDS_MAX, field->name, field->value))
            return false;
    }
    plan->lines = lines;
    plan->request_fields = sent;
    return !plan->accept.n ||
           http_fields_add(sent, a, HTTP_FIELDS_MAX, http_field_name(HF_ACCEPT), plan->accept);
}

/* --- plans --- */

static bool set_resource(struct plan *plan, struct arena *a, const struct plan_input *in)
{
    struct slice path = in->path.n ? in->path : SLICE("/");
    struct slice query = in->request->query;
    plan->upstream_path =
        query.p ? arena_printf(a, "%.*s?%.*s", SLICE_ARG(path), SLICE_ARG(query)) : path;
    plan->resource = plan->upstream_path;
    plan->variant = SLICE("");
    return plan->resource.p != NULL;
}

/* Only with `auth: passthrough`; else the cache has an account of its own, or none. */
static void set_credential(struct plan *plan, const struct plan_input *in)
{
    if (in->config->passthrough)
        plan->credential = http_fields_value(&in->request->fields, HF_AUTHORIZATION);
}

static bool is_immutable(const struct plan_input *in)
{
    const struct config_strings *patterns = &in->config->immutable;
    for (size_t i = 0; i < patterns->n; i++)
        if (pattern_covers(slice_str(patterns->v[i]), in->path))
            return true;
    return false;
}

/*
 * The configuration vouches for the bytes, so what the answer says of its storage and what a client
 * says of its wishes count for nothing. Not for what a client's credentials bring: the grant to see
 * it ends.
 */
static void set_immutable(struct plan *plan)
{
    static const enum http_field_id kept[] = {HF_CONTENT_DISPOSITION, HF_CONTENT_ENCODING,
                                              HF_CONTENT_LANGUAGE};
    plan->immutable = true;
    plan->accept = SLICE("*/*");
    plan->kept_fields = kept;
    plan->kept_field_count = sizeof kept / sizeof kept[0];
    plan->fields = SLICE("Cache-Control: public, max-age=31536000, immutable\r\n");
}

static bool plan_reading(struct plan *plan, struct arena *a, const struct plan_input *in)
{
    plan->kind = in->config->cache ? PLAN_CACHED : PLAN_RELAYED;
    plan->refresh = REFRESH_CONDITIONAL;
    plan->head = HEAD_ASKS;
    if (!plan->credential.n && is_immutable(in)) {
        set_immutable(plan);
        return true;
    }
    plan->obeys_upstream = true;
    plan->passes_status = true;
    return set_request(plan, a, &in->request->fields, true);
}

/* What a change of the resource makes out of date: what is held of it, for this client and all. */
static bool set_outdated(struct plan *plan, struct arena *a)
{
    struct plan *held = arena_zalloc(a, 2 * sizeof *held);
    if (!held)
        return false;
    held[0] = (struct plan){.kind = PLAN_CACHED,
                            .render_error = render_error,
                            .resource = plan->resource,
                            .variant = plan->variant};
    held[1] = held[0];
    held[1].credential = plan->credential;
    plan->outdates[0] = &held[0];
    plan->outdates[1] = plan->credential.n ? &held[1] : NULL;
    return true;
}

/* Nobody may change things there under the name of the cache. */
static bool has_account(const struct config_route *config)
{
    for (size_t i = 0; i < config->upstream_count; i++)
        if (config->upstreams[i].username)
            return true;
    return false;
}

static bool plan_other(struct plan *plan, struct arena *a, const struct plan_input *in)
{
    const struct http_request *r = in->request;
    bool is_safe = r->method == HTTP_OPTIONS;
    if (slice_eq(r->method_text, SLICE("TRACE")) || slice_eq(r->method_text, SLICE("CONNECT")))
        return plan_refuse(plan, PLAN_ERR_METHOD, SLICE(""));
    if (!is_safe && has_account(in->config))
        return plan_refuse(plan, PLAN_ERR_METHOD, SLICE("the cache's own account only reads"));
    plan->kind = PLAN_RELAYED;
    plan->method = r->method;
    plan->method_text = r->method_text;
    plan->takes_body = r->framing != HTTP_NO_BODY;
    plan->obeys_upstream = true;
    plan->passes_status = true;
    return set_request(plan, a, &r->fields, false) && (is_safe || set_outdated(plan, a));
}

static bool plan_request(const struct plan_input *in, struct arena *a, struct plan *plan)
{
    const struct http_request *r = in->request;
    *plan = (struct plan){.render_error = render_error, .fields = SLICE(""), .accepts_any = true};
    if (!in->config)
        return plan_refuse(plan, PLAN_ERR_NO_ROUTE, SLICE(""));
    if (!set_resource(plan, a, in))
        return false;
    set_credential(plan, in);
    if (r->method == HTTP_GET || r->method == HTTP_HEAD)
        return plan_reading(plan, a, in);
    return plan_other(plan, a, in);
}

const struct protocol protocol_generic = {
    .config = {.name = SLICE("generic"), .takes_passthrough = true, .takes_immutable = true},
    .plan = plan_request,
    .render_error = render_error,
};
