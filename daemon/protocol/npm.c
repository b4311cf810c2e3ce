/*
 * The planner for npm registries (CommonJS package registry as npm, pnpm and yarn speak it).
 */
#include "npm_packument.h"
#include "npm_path.h"
#include "protocol/protocol.h"
#include "refusal.h"
#include "rows.h"

#define DOCUMENT_MAX ((uint64_t)512 * 1024 * 1024)

enum {
    SMALL_DOCUMENT_MAX = 16 * 1024 * 1024, /* search results, keys, attestations, tags */
    ERROR_PAGE_MAX = 16 * 1024,
    ERROR_DETAIL_MAX = 1024,
    PATH_TEXT_MAX = 4 * 1024,
    CLIENT_MAX_AGE_S = 300, /* as long as the public registry lets clients keep a packument */
    MS_PER_S = 1000,
    RELAYED_LINES = 5,
};

#define ABBREVIATED_TYPE "application/vnd.npm.install-v1+json"
#define JSON_TYPE "application/json"

static const struct slice document_types[] = {SLICE(ABBREVIATED_TYPE), SLICE(JSON_TYPE)};
static const struct slice json_type[] = {SLICE(JSON_TYPE)};

/* The two forms of a packument. What is asked is what npm asks, so that upstreams know it. */
struct form {
    struct slice name; /* in the key */
    struct slice accept;
};

static const struct form abbreviated = {
    SLICE("abbreviated"), SLICE(ABBREVIATED_TYPE "; q=1.0, " JSON_TYPE "; q=0.8, */*")};
static const struct form full = {SLICE("full"), SLICE(JSON_TYPE)};

/* --- errors: npm shows the member `error` to its user --- */

struct error_row {
    int status;
    const char *message;
};

static const struct error_row error_rows[PLAN_ERR_COUNT] = {
    [PLAN_ERR_BAD_REQUEST] = {400, "the request is malformed"},
    [PLAN_ERR_BAD_NAME] = {400, "this is no name of a package"},
    [PLAN_ERR_BAD_DIGEST] = {400, "this is no digest"},
    [PLAN_ERR_NO_ROUTE] = {404, "no upstream is configured for this"},
    [PLAN_ERR_NOT_FOUND] = {404, "Not found"},
    [PLAN_ERR_DENIED] = {403, "the upstream registry refuses this to the cache"},
    [PLAN_ERR_UNSUPPORTED] = {404, "a pull-through cache does not serve this"},
    [PLAN_ERR_METHOD] = {405, "this is a read-only cache without accounts: log in at the upstream "
                              "registry and publish there"},
    [PLAN_ERR_CREDENTIALS] = {401, "the upstream registry wants credentials for this"},
    [PLAN_ERR_FORBIDDEN] = {403, "the upstream registry refuses this to your credentials"},
    [PLAN_ERR_FOREIGN] = {403, "the package's tarball is at a place from which this route may not "
                               "fetch (see file_hosts in the cache's configuration)"},
    [PLAN_ERR_ONLY_CACHED] = {504, "this is not in the cache"},
    [PLAN_ERR_UPSTREAM] = {503, "this is not in the cache, and the upstream registry gives no "
                                "usable answer"},
    [PLAN_ERR_BUSY] = {503, "the cache is at one of its limits, try again later"},
};

/* npm tells its user what to do about a 401 by the scheme that comes first. */
static struct slice error_fields(enum plan_error error)
{
    switch (error) {
    case PLAN_ERR_METHOD:
        return SLICE("Allow: GET, HEAD\r\n");
    case PLAN_ERR_CREDENTIALS:
        return SLICE("WWW-Authenticate: Bearer realm=\"npm\", Basic realm=\"npm\"\r\n");
    default:
        return SLICE("");
    }
}

static void render_error(struct arena *a, enum plan_error error, struct slice detail,
                         struct plan_page *page)
{
    const struct error_row *row = &error_rows[error];
    struct buf b;

    buf_init(&b, ERROR_PAGE_MAX);
    buf_addf(&b, "{\"error\":\"%s", row->message);
    if (detail.n) {
        buf_add(&b, SLICE(": "));
        buf_add_json(&b, slice_to(detail, ERROR_DETAIL_MAX));
    }
    buf_add(&b, SLICE("\"}\n"));
    *page = (struct plan_page){
        .status = row->status,
        .content_type = json_type[0],
        .body = b.failed ? slice_of(NULL, 0) : arena_copy(a, buf_slice(&b)),
        .fields = error_fields(error),
    };
    if (!page->body.p)
        page->body = SLICE("{\"error\":\"out of room\"}\n");
    buf_free(&b);
}

/* --- what all plans have --- */

struct request {
    const struct plan_input *in;
    struct arena *arena;
    struct npm_target target;
    struct slice credential; /* empty: none, or not to be sent on */
};

static struct plan new_plan(const struct request *r)
{
    return (struct plan){
        .kind = r->in->config->cache ? PLAN_CACHED : PLAN_RELAYED,
        .render_error = render_error,
        .accepts_any = true,
        .credential = r->credential,
        .config = r->in->config,
    };
}

static struct slice joined_fields(const struct request *r, struct slice cache_control,
                                  const char *vary)
{
    bool personal = r->in->config->passthrough;

    if (!personal && !*vary)
        return arena_printf(r->arena, "Cache-Control: %.*s\r\n", SLICE_ARG(cache_control));
    return arena_printf(r->arena, "Cache-Control: %.*s\r\nVary: %s%s%s\r\n",
                        SLICE_ARG(cache_control), vary, *vary && personal ? ", " : "",
                        personal ? "Authorization" : "");
}

/* `vary`: the request fields, but for Authorization, on which the answer depends. */
static struct slice document_fields(const struct request *r, const char *vary)
{
    int64_t max_age = r->in->config->ttl_ms / MS_PER_S;

    if (r->credential.n)
        return joined_fields(r, SLICE("private, no-cache"), vary);
    if (max_age > CLIENT_MAX_AGE_S)
        max_age = CLIENT_MAX_AGE_S;
    struct slice value = arena_printf(r->arena, "public, max-age=%lld", (long long)max_age);
    return value.p ? joined_fields(r, value, vary) : value;
}

static struct slice file_fields(const struct request *r)
{
    return joined_fields(r,
                         r->credential.n ? SLICE("private, max-age=31536000, immutable")
                                         : SLICE("public, max-age=31536000, immutable"),
                         "");
}

/* Sets resource and upstream_path: `before`, the escaped name, `after`. */
static bool set_path(struct plan *plan, const struct request *r, const char *before,
                     const char *between, struct slice after)
{
    struct buf b;

    buf_init(&b, PATH_TEXT_MAX);
    buf_add(&b, slice_str(before));
    npm_add_escaped(&b, r->target.name);
    buf_add(&b, slice_str(between));
    buf_add(&b, after);
    plan->upstream_path = b.failed ? slice_of(NULL, 0) : arena_copy(r->arena, buf_slice(&b));
    plan->resource = slice_from(plan->upstream_path, 1);
    buf_free(&b);
    return plan->upstream_path.p != NULL;
}

/* --- packuments, and the documents of single versions --- */

static bool fill_source(struct plan *plan, const struct request *r, const struct form *form)
{
    bool of_version = r->target.endpoint == NPM_VERSION;

    *plan = new_plan(r);
    plan->variant = form->name;
    plan->accept = form->accept;
    plan->takes_gzip = true;
    plan->max_size = DOCUMENT_MAX;
    plan->refresh = REFRESH_CONDITIONAL;
    plan->head = HEAD_FILLS;
    plan->types = document_types;
    plan->type_count = sizeof document_types / sizeof document_types[0];
    plan->bare_content_type = true;
    plan->check = of_version ? &npm_version_reader : &npm_packument_reader;
    plan->page_name = r->target.name;
    return set_path(plan, r, "/", of_version ? "/" : "", of_version ? r->target.item : SLICE(""));
}

static struct plan *new_source(const struct request *r, const struct form *form)
{
    struct plan *plan = arena_alloc(r->arena, sizeof *plan);

    return plan && fill_source(plan, r, form) ? plan : NULL;
}

/* Of a package, whatever the request's own target is below it. */
static struct plan *new_packument(const struct request *r, const struct form *form)
{
    struct request of_package = *r;

    of_package.target.endpoint = NPM_PACKUMENT;
    return new_source(&of_package, form);
}

/* A client that has no preference gets the whole: so do registries. */
static const struct form *wanted_form(const struct http_fields *fields)
{
    unsigned qualities[2];

    http_accept_qualities(fields, document_types, 2, qualities);
    return qualities[0] > qualities[1] ? &abbreviated : &full;
}

/* Made from its source; the tarballs' links are what has to be written anew. */
static bool plan_document(struct plan *plan, const struct request *r)
{
    const struct http_fields *fields = &r->in->request->fields;
    bool of_version = r->target.endpoint == NPM_VERSION;
    const struct form *form = of_version ? &full : wanted_form(fields);

    if (!r->in->base.n)
        return plan_refuse(plan, PLAN_ERR_BAD_REQUEST,
                           SLICE("without a Host the links to tarballs cannot be written"));
    plan->source = new_source(r, form);
    if (!plan->source)
        return false;
    plan->rewrite = of_version ? &npm_version_reader : &npm_packument_reader;
    plan->gzips = http_accepts_gzip(fields);
    plan->link_base = r->in->base;
    plan->page_name = r->target.name;
    plan->head = HEAD_FILLS;
    plan->resource = plan->source->resource;
    plan->upstream_path = plan->source->upstream_path;
    plan->variant =
        arena_printf(r->arena, "%.*s made=" NPM_REWRITER_VERSION "%s base=%.*s",
                     SLICE_ARG(form->name), plan->gzips ? " gzip" : "", SLICE_ARG(r->in->base));
    plan->fields = document_fields(r, of_version ? "Accept-Encoding" : "Accept, Accept-Encoding");
    return plan->variant.p && plan->fields.p;
}

/* --- tarballs --- */

static bool plan_tarball(struct plan *plan, const struct request *r)
{
    if (!npm_file_is_valid(r->target.item))
        return plan_refuse(plan, PLAN_ERR_NOT_FOUND, r->in->path);
    plan->immutable = true;
    plan->head = HEAD_ASKS;
    plan->pages[0] = new_packument(r, &abbreviated);
    plan->pages[1] = new_packument(r, &full);
    plan->find = &npm_packument_reader;
    plan->page_name = r->target.name;
    plan->wanted = arena_copy(r->arena, r->target.item);
    plan->always_proven = r->in->config->passthrough;
    plan->fields = file_fields(r);
    return plan->pages[0] && plan->pages[1] && plan->wanted.p && plan->fields.p &&
           set_path(plan, r, "/", "/-/", plan->wanted);
}

/* --- what goes through unchanged, and what is kept as it comes --- */

static struct slice path_and_query(const struct request *r)
{
    struct slice query = r->in->request->query;

    return arena_printf(r->arena, "%.*s%s%.*s", SLICE_ARG(r->in->path), query.p ? "?" : "",
                        SLICE_ARG(query));
}

/* The fields of the request that belong to its body, and to what its user may do. */
static bool set_relayed_lines(struct plan *plan, const struct request *r)
{
    static const struct slice names[RELAYED_LINES] = {SLICE("Content-Type"),
                                                      SLICE("Content-Encoding"), SLICE("npm-otp"),
                                                      SLICE("npm-auth-type"), SLICE("npm-command")};
    struct slice *lines = arena_alloc(r->arena, sizeof names);

    if (!lines)
        return false;
    plan->lines = lines;
    for (size_t i = 0; i < RELAYED_LINES; i++) {
        const struct http_field *f = http_fields_find(&r->in->request->fields, names[i]);
        bool is_secret = f && f->id == HF_NPM_OTP;
        if (!f || (is_secret && !plan->credential.n))
            continue; /* one-time passwords go where the credentials go */
        lines[plan->line_count] =
            arena_printf(r->arena, "%.*s: %.*s", SLICE_ARG(names[i]), SLICE_ARG(f->value));
        if (!lines[plan->line_count++].p)
            return false;
    }
    return true;
}

/* The upstream's answer is the answer, whatever it says. */
static bool plan_relay(struct plan *plan, const struct request *r)
{
    static const enum http_field_id kept[] = {HF_NPM_NOTICE};
    const struct http_request *request = r->in->request;

    plan->kind = PLAN_RELAYED;
    plan->method = request->method;
    plan->takes_body = request->method != HTTP_GET && request->method != HTTP_HEAD;
    plan->passes_status = true;
    plan->head = HEAD_ASKS;
    plan->accept = http_fields_value(&request->fields, HF_ACCEPT);
    plan->kept_fields = kept;
    plan->kept_field_count = sizeof kept / sizeof kept[0];
    plan->fields = SLICE("Cache-Control: private, no-store\r\n");
    plan->variant = request->method_text;
    plan->upstream_path = path_and_query(r);
    plan->resource = slice_from(plan->upstream_path, 1);
    return plan->upstream_path.p && set_relayed_lines(plan, r);
}

static bool needs_passthrough(struct plan *plan, const struct request *r)
{
    return r->in->config->passthrough ? plan_relay(plan, r)
                                      : plan_refuse(plan, PLAN_ERR_METHOD, SLICE(""));
}

/* A write of the package's own: what is held of it is old then. */
static bool plan_package_write(struct plan *plan, const struct request *r)
{
    if (r->in->config->passthrough) {
        plan->outdates[0] = new_packument(r, &abbreviated);
        plan->outdates[1] = new_packument(r, &full);
        if (!plan->outdates[0] || !plan->outdates[1])
            return false;
    }
    return needs_passthrough(plan, r);
}

static void set_small_document(struct plan *plan, const struct request *r)
{
    plan->accept = json_type[0];
    plan->max_size = SMALL_DOCUMENT_MAX;
    plan->refresh = REFRESH_CONDITIONAL;
    plan->head = HEAD_FILLS;
    plan->types = json_type;
    plan->type_count = 1;
    plan->bare_content_type = true;
    plan->check = &npm_object_reader;
    plan->fields = document_fields(r, "");
}

static bool plan_search(struct plan *plan, const struct request *r)
{
    struct slice query = npm_normal_query(r->arena, r->in->request->query);

    if (!query.p)
        return plan_refuse(plan, PLAN_ERR_BAD_REQUEST, SLICE("the query"));
    set_small_document(plan, r);
    plan->upstream_path =
        arena_printf(r->arena, "/-/v1/search%s%.*s", query.n ? "?" : "", SLICE_ARG(query));
    plan->resource = slice_from(plan->upstream_path, 1);
    return plan->upstream_path.p && plan->fields.p;
}

static bool plan_keys(struct plan *plan, const struct request *r)
{
    set_small_document(plan, r);
    plan->upstream_path = SLICE("/-/npm/v1/keys");
    plan->resource = slice_from(plan->upstream_path, 1);
    return plan->fields.p != NULL;
}

static bool plan_attestations(struct plan *plan, const struct request *r)
{
    if (!npm_version_is_valid(r->target.item))
        return plan_refuse(plan, PLAN_ERR_NOT_FOUND, r->in->path);
    set_small_document(plan, r);
    return plan->fields.p && set_path(plan, r, "/-/npm/v1/attestations/", "@", r->target.item);
}

/* Who shows credentials may have changed them a moment ago, and looks at what came of it. */
static bool plan_dist_tags(struct plan *plan, const struct request *r)
{
    if (r->target.item.n)
        return plan_refuse(plan, PLAN_ERR_UNSUPPORTED, SLICE("a single tag"));
    if (r->credential.n)
        return plan_relay(plan, r);
    set_small_document(plan, r);
    return plan->fields.p && set_path(plan, r, "/-/package/", "/dist-tags", SLICE(""));
}

static bool answer_ping(struct plan *plan)
{
    plan->kind = PLAN_LOCAL;
    plan->page = (struct plan_page){
        .status = 200, .content_type = json_type[0], .body = SLICE("{}"), .fields = SLICE("")};
    return true;
}

/* --- the planner --- */

static bool has_name(enum npm_endpoint endpoint)
{
    switch (endpoint) {
    case NPM_PACKUMENT:
    case NPM_VERSION:
    case NPM_TARBALL:
    case NPM_PACKAGE:
    case NPM_ATTESTATIONS:
    case NPM_DIST_TAGS:
        return true;
    default:
        return false;
    }
}

static bool plan_write(struct plan *plan, const struct request *r)
{
    enum http_method method = r->in->request->method;

    if (method == HTTP_OPTIONS || method == HTTP_METHOD_OTHER)
        return plan_refuse(plan, PLAN_ERR_METHOD, SLICE(""));
    if (r->target.endpoint == NPM_AUDIT && method == HTTP_POST)
        return plan_relay(plan, r);
    return has_name(r->target.endpoint) ? plan_package_write(plan, r) : needs_passthrough(plan, r);
}

/* Who is about to write a document back wants it as the upstream has it. */
static bool is_for_writing(const struct request *r)
{
    return slice_eq(http_query_get(r->in->request->query, SLICE("write")), SLICE("true"));
}

static bool plan_read(struct plan *plan, const struct request *r)
{
    if (has_name(r->target.endpoint) && is_for_writing(r))
        return needs_passthrough(plan, r);
    switch (r->target.endpoint) {
    case NPM_VERSION:
        if (!npm_version_is_valid(r->target.item))
            return plan_refuse(plan, PLAN_ERR_NOT_FOUND, r->in->path);
        return plan_document(plan, r);
    case NPM_PACKUMENT:
        return plan_document(plan, r);
    case NPM_TARBALL:
        return plan_tarball(plan, r);
    case NPM_PING:
        return answer_ping(plan);
    case NPM_SEARCH:
        return plan_search(plan, r);
    case NPM_KEYS:
        return plan_keys(plan, r);
    case NPM_ATTESTATIONS:
        return plan_attestations(plan, r);
    case NPM_DIST_TAGS:
        return plan_dist_tags(plan, r);
    case NPM_ACCOUNT:
        return needs_passthrough(plan, r);
    default:
        return r->in->config->passthrough
                   ? plan_relay(plan, r)
                   : plan_refuse(plan, PLAN_ERR_UNSUPPORTED, SLICE("no such endpoint"));
    }
}

static bool plan_request(const struct plan_input *in, struct arena *a, struct plan *plan)
{
    enum http_method method = in->request->method;
    struct request r = {.in = in, .arena = a, .target = npm_parse_path(a, in->path)};

    if (in->config->passthrough)
        r.credential = http_fields_value(&in->request->fields, HF_AUTHORIZATION);
    *plan = new_plan(&r);
    if (has_name(r.target.endpoint) && !npm_name_is_valid(r.target.name))
        return plan_refuse(plan, PLAN_ERR_BAD_NAME, r.target.name);
    return method == HTTP_GET || method == HTTP_HEAD ? plan_read(plan, &r) : plan_write(plan, &r);
}

const struct protocol protocol_npm = {
    .config = {.name = SLICE("npm"), .takes_passthrough = true, .takes_file_hosts = true},
    .plan = plan_request,
    .render_error = render_error,
    .links = true,
};
