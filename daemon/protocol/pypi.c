/*
 * The planner for Python package indexes: the Simple repository API
 * (packaging.python.org, simple-repository-api) and the older JSON beside it.
 */
#include "file_host.h"
#include "http/request.h"
#include "pypi_page.h"
#include "pypi_path.h"
#include "refusal.h"
#include "rows.h"

enum {
    PAGE_MAX = 512 * 1024 * 1024, /* the root page of the largest index is some 40 MiB */
    BESIDE_MAX = 64 * 1024 * 1024,
    PAGE_AGE_MAX_S = 300,
    MS_PER_S = 1000,
};

#define PYPI_LATEST_JSON "application/vnd.pypi.simple.latest+json"
#define PYPI_LATEST_HTML "application/vnd.pypi.simple.latest+html"

static const struct slice simple_types[] = {SLICE(PYPI_JSON), SLICE(PYPI_HTML), SLICE("text/html")};
static const struct slice json_type[] = {SLICE("application/json")};
static const struct slice text_type = SLICE("text/plain; charset=utf-8");
static const enum http_field_id page_fields[] = {HF_X_PYPI_LAST_SERIAL};

/* --- errors: pip and uv show their text --- */

struct error_row {
    int status;
    const char *message;
};

static const struct error_row error_rows[PLAN_ERR_COUNT] = {
    [PLAN_ERR_BAD_REQUEST] = {400, "the request is malformed"},
    [PLAN_ERR_BAD_NAME] = {404, "no project can have this name"},
    [PLAN_ERR_BAD_DIGEST] = {400, "this is no digest"},
    [PLAN_ERR_NO_ROUTE] = {404, "no package index is served here"},
    [PLAN_ERR_NOT_FOUND] = {404, "the upstream index does not have it"},
    [PLAN_ERR_DENIED] = {403, "the upstream index refuses it to this cache"},
    [PLAN_ERR_UNSUPPORTED] = {404, "this is not part of the package index here"},
    [PLAN_ERR_METHOD] = {405, "this is a pull-through cache: it is read-only, upload to the "
                              "upstream index"},
    [PLAN_ERR_CREDENTIALS] = {401, "the upstream index wants credentials"},
    [PLAN_ERR_FORBIDDEN] = {403, "the upstream index refuses it to these credentials"},
    [PLAN_ERR_FOREIGN] = {403,
                          "this file is on a host that the route may not fetch from; it can be "
                          "allowed in the route's file_hosts"},
    [PLAN_ERR_ONLY_CACHED] = {504, "this is not in the cache"},
    [PLAN_ERR_UPSTREAM] = {503, "this is not in the cache, and the upstream index gives no usable "
                                "answer"},
    [PLAN_ERR_BUSY] = {503, "the cache is at one of its limits, try again later"},
};

/* The upstream's own challenge is never shown: it could ask for a password for anything. */
static struct slice error_fields(enum plan_error error)
{
    if (error == PLAN_ERR_METHOD)
        return SLICE("Allow: GET, HEAD\r\n");
    if (error == PLAN_ERR_CREDENTIALS)
        return SLICE("WWW-Authenticate: Basic realm=\"package index\", charset=\"UTF-8\"\r\n");
    return SLICE("");
}

static void render_error(struct arena *a, enum plan_error error, struct slice detail,
                         struct plan_page *page)
{
    const struct error_row *row = &error_rows[error];
    refusal_text(a, row->status, row->message, detail, error_fields(error), page);
}

/* --- redirects to the one spelling (the specification asks for it) --- */

static bool redirect(struct plan *plan, struct arena *a, const struct plan_input *in,
                     struct slice location)
{
    struct slice query = in->request->query;

    if (!location.p)
        return false;
    plan->kind = PLAN_LOCAL;
    plan->page = (struct plan_page){
        .status = 301,
        .content_type = text_type,
        .body = SLICE("see Location\n"),
        .fields = arena_printf(a, "Location: %.*s%s%.*s\r\n", SLICE_ARG(location),
                               query.p ? "?" : "", SLICE_ARG(query)),
    };
    return plan->page.fields.p != NULL;
}

/* Relative, so that neither the prefix nor the host matters: up to where the name stands. */
static bool redirect_to_name(struct plan *plan, struct arena *a, const struct plan_input *in,
                             const struct pypi_target *t, struct slice name)
{
    struct slice location;

    if (t->endpoint == PYPI_ENDPOINT_PROJECT)
        location = arena_printf(a, "%.*s/", SLICE_ARG(name));
    else if (t->endpoint == PYPI_ENDPOINT_JSON)
        location = arena_printf(a, "%.*s/json", SLICE_ARG(name));
    else
        location = arena_printf(a, "%.*s/%.*s/json", SLICE_ARG(name), SLICE_ARG(t->version));
    for (unsigned i = 0; i < t->slash_count && location.p; i++)
        location = arena_printf(a, "../%.*s", SLICE_ARG(location));
    return redirect(plan, a, in, location);
}

/* --- what all plans of a request have --- */

static void set_common(struct plan *plan, const struct plan_input *in)
{
    plan->kind = in->config->cache ? PLAN_CACHED : PLAN_RELAYED;
    plan->render_error = render_error;
    plan->accepts_any = true;
    plan->refresh = REFRESH_CONDITIONAL;
    plan->config = in->config;
    if (in->config->passthrough) {
        plan->always_proven = true;
        plan->credential = http_fields_value(&in->request->fields, HF_AUTHORIZATION);
    }
}

/* What is somebody's own is in no shared cache. */
static struct slice private_fields(struct arena *a, const char *vary)
{
    return arena_printf(a, "Cache-Control: private, no-cache\r\nVary: Authorization%s%s\r\n",
                        *vary ? ", " : "", vary);
}

static struct slice page_lines(const struct plan *plan, struct arena *a,
                               const struct config_route *config, const char *vary)
{
    int64_t age = config->ttl_ms / MS_PER_S;

    if (plan->credential.n)
        return private_fields(a, vary);
    if (age > PAGE_AGE_MAX_S)
        age = PAGE_AGE_MAX_S;
    const char *authorization = config->passthrough ? "Authorization" : "";
    const char *comma = config->passthrough && *vary ? ", " : "";
    bool varies = config->passthrough || *vary;
    return arena_printf(a, "Cache-Control: public, max-age=%lld\r\n%s%s%s%s%s", (long long)age,
                        varies ? "Vary: " : "", authorization, comma, vary, varies ? "\r\n" : "");
}

/* --- sources: the upstream's own pages --- */

/* What a page is called here, whichever its form. */
struct page_kind {
    struct slice resource;
    struct slice upstream_path;
    const struct plan_reader *reader;
};

/*
 * An upstream is the root of a site with "/simple/" below it; one whose URL ends so itself (a
 * devpi index, for example: ".../+simple") has projects only.
 */
static bool upstream_is_simple(const struct config_route *config)
{
    struct slice url = slice_str(config->upstream_count ? config->upstreams[0].url : NULL);

    return slice_ends(url, SLICE("/simple")) || slice_ends(url, SLICE("/+simple"));
}

static struct page_kind root_kind(const struct plan_input *in)
{
    bool is_simple = upstream_is_simple(in->config);

    return (struct page_kind){
        .resource = SLICE("simple/"),
        .upstream_path = is_simple ? SLICE("/") : SLICE("/simple/"),
        .reader = &pypi_root_page,
    };
}

/* p == NULL in resource: the arena is full. */
static struct page_kind project_kind(const struct plan_input *in, struct arena *a,
                                     struct slice name)
{
    struct slice path = arena_printf(a, "/simple/%.*s/", SLICE_ARG(name));
    bool is_simple = upstream_is_simple(in->config);

    return (struct page_kind){
        .resource = slice_from(path, 1),
        .upstream_path = is_simple ? slice_from(path, sizeof "/simple" - 1) : path,
        .reader = &pypi_project_page,
    };
}

static struct plan *new_source(const struct plan_input *in, struct arena *a,
                               const struct page_kind *kind, struct slice variant)
{
    struct plan *s = kind->resource.p ? arena_zalloc(a, sizeof *s) : NULL;

    if (!s)
        return NULL;
    set_common(s, in);
    s->resource = kind->resource;
    s->upstream_path = kind->upstream_path;
    s->variant = variant;
    s->check = kind->reader;
    s->takes_gzip = true;
    s->max_size = PAGE_MAX;
    s->bare_content_type = true;
    s->rising_field = SLICE("X-PyPI-Last-Serial");
    s->kept_fields = page_fields;
    s->kept_field_count = sizeof page_fields / sizeof page_fields[0];
    return s;
}

/* What an upstream without JSON answers, HTML, is kept as what it is. */
static struct plan *new_simple_source(const struct plan_input *in, struct arena *a,
                                      const struct page_kind *kind, bool json)
{
    struct plan *s = new_source(in, a, kind, json ? SLICE("json") : SLICE("html"));

    if (!s)
        return NULL;
    s->types = simple_types;
    s->type_count = sizeof simple_types / sizeof simple_types[0];
    s->accept = json ? SLICE(PYPI_JSON ", " PYPI_HTML ";q=0.2, text/html;q=0.01")
                     : SLICE("text/html, " PYPI_HTML ";q=0.9");
    return s;
}

/* --- pages: made from sources --- */

static bool set_page(struct plan *plan, struct arena *a, const struct plan_input *in,
                     const struct page_kind *kind, const struct plan *source, const char *vary)
{
    if (!source)
        return false;
    set_common(plan, in);
    plan->resource = kind->resource;
    plan->upstream_path = kind->upstream_path;
    plan->source = source;
    plan->rewrite = kind->reader;
    plan->gzips = http_accepts_gzip(&in->request->fields);
    plan->variant =
        plan->gzips ? SLICE("links=" PYPI_PAGE_VERSION ";gzip") : SLICE("links=" PYPI_PAGE_VERSION);
    plan->kept_fields = source->kept_fields;
    plan->kept_field_count = source->kept_field_count;
    plan->fields = page_lines(plan, a, in->config, vary);
    return plan->fields.p != NULL;
}

/*
 * JSON for who prefers it, else HTML, also for who takes neither. The three names of HTML are one
 * to a client. JSON alone is asked for by who takes nothing else; what the upstream answers to
 * that is the answer.
 */
static struct plan *negotiated_source(const struct plan_input *in, struct arena *a,
                                      const struct page_kind *kind)
{
    enum { JSON_NAMES = 2, ALL_NAMES = 5 };
    static const struct slice names[ALL_NAMES] = {SLICE(PYPI_JSON), SLICE(PYPI_LATEST_JSON),
                                                  SLICE("text/html"), SLICE(PYPI_HTML),
                                                  SLICE(PYPI_LATEST_HTML)};
    unsigned qualities[ALL_NAMES], json_quality = 0, html_quality = 0;

    http_accept_qualities(&in->request->fields, names, ALL_NAMES, qualities);
    for (size_t i = 0; i < ALL_NAMES; i++) {
        unsigned *best = i < JSON_NAMES ? &json_quality : &html_quality;
        *best = qualities[i] > *best ? qualities[i] : *best;
    }
    struct plan *s = new_simple_source(in, a, kind, json_quality > html_quality);

    if (s && json_quality > 0 && html_quality == 0) {
        s->accepts_any = false;
        s->accepted = simple_types; /* JSON is the first */
        s->accepted_count = 1;
        s->alternate_variant = SLICE("json alone");
        s->alternate_accept = simple_types[0];
    }
    return s;
}

static bool plan_simple_page(struct plan *plan, struct arena *a, const struct plan_input *in,
                             const struct page_kind *kind)
{
    return set_page(plan, a, in, kind, negotiated_source(in, a, kind), "Accept, Accept-Encoding");
}

static bool plan_root(struct plan *plan, struct arena *a, const struct plan_input *in,
                      const struct pypi_target *t)
{
    struct page_kind kind = root_kind(in);

    if (t->is_spelt_wrong)
        return redirect(plan, a, in, SLICE("simple/"));
    return plan_simple_page(plan, a, in, &kind);
}

static bool plan_project(struct plan *plan, struct arena *a, const struct plan_input *in,
                         struct slice name)
{
    struct page_kind kind = project_kind(in, a, name);

    plan->page_name = name;
    plan->link_base = SLICE("files/");
    return plan_simple_page(plan, a, in, &kind);
}

/* /pypi/NAME/json and /pypi/NAME/VERSION/json */
static bool plan_json(struct plan *plan, struct arena *a, const struct plan_input *in,
                      const struct pypi_target *t, struct slice name)
{
    struct slice version = SLICE("");
    const char *up = "../..";

    if (upstream_is_simple(in->config))
        return plan_refuse(plan, PLAN_ERR_UNSUPPORTED,
                           SLICE("the upstream is a simple index only"));
    if (t->endpoint == PYPI_ENDPOINT_RELEASE) {
        version = pypi_version(a, t->version);
        if (!version.p)
            return plan_refuse(plan, PLAN_ERR_NOT_FOUND, t->version);
        up = "../../..";
    }
    struct slice path = arena_printf(a, "/pypi/%.*s/%.*s%sjson", SLICE_ARG(name),
                                     SLICE_ARG(version), version.n ? "/" : "");
    struct page_kind kind = {slice_from(path, 1), path, &pypi_release_page};
    struct plan *source = new_source(in, a, &kind, SLICE("source"));
    plan->page_name = name;
    plan->link_base = arena_printf(a, "%s/simple/%.*s/files/", up, SLICE_ARG(name));
    if (!path.p || !source || !plan->link_base.p)
        return false;
    source->accept = json_type[0];
    source->types = json_type;
    source->type_count = 1;
    return set_page(plan, a, in, &kind, source, "Accept-Encoding");
}

/* --- files --- */

/* The link does not say the scheme. */
static bool host_is_allowed(const struct config_route *config, struct arena *a, struct slice place)
{
    struct slice text = arena_printf(a, "https://%.*s", SLICE_ARG(place));
    struct http_url url;

    if (http_url_parse(text, &url) && file_host_is_allowed(config, &url))
        return true;
    text = arena_printf(a, "http://%.*s", SLICE_ARG(place));
    return http_url_parse(text, &url) && file_host_is_allowed(config, &url);
}

/*
 * Signatures and provenance change, what stands beside a file only in the query included; a wheel's
 * metadata is part of the wheel.
 */
static bool is_immutable(struct slice path, struct slice query)
{
    enum pypi_beside beside = pypi_take_suffix(&path);

    if (beside == PYPI_FILE)
        beside = pypi_take_suffix(&query);
    return pypi_is_distribution(path) && (beside == PYPI_FILE || beside == PYPI_METADATA);
}

static struct slice file_lines(const struct plan *plan, struct arena *a,
                               const struct config_route *config)
{
    if (!plan->immutable)
        return page_lines(plan, a, config, "");
    if (plan->credential.n)
        return private_fields(a, "");
    return SLICE("Cache-Control: public, max-age=31536000, immutable\r\n");
}

/* The page in JSON is the better evidence: it says sizes. */
static bool set_proof(struct plan *plan, struct arena *a, const struct plan_input *in,
                      struct slice name)
{
    struct page_kind kind = project_kind(in, a, name);

    plan->pages[0] = new_simple_source(in, a, &kind, true);
    plan->pages[1] = new_simple_source(in, a, &kind, false);
    plan->find = &pypi_project_page;
    return plan->pages[0] && plan->pages[1];
}

static bool plan_file(struct plan *plan, struct arena *a, const struct plan_input *in,
                      const struct pypi_target *t, struct slice name)
{
    struct slice query = in->request->query;
    struct slice place = pypi_place(a, t->host, t->path, query);

    if (!place.p)
        return plan_refuse(plan, PLAN_ERR_BAD_REQUEST, SLICE("this is no file's path"));
    if (!host_is_allowed(in->config, a, place))
        return plan_refuse(plan, PLAN_ERR_FOREIGN, slice_to(place, slice_find(place, '/')));
    set_common(plan, in);
    plan->wanted = place;
    plan->resource = arena_printf(a, "files/%.*s", SLICE_ARG(place));
    plan->upstream_path = slice_from(place, slice_find(place, '/'));
    plan->immutable = is_immutable(t->path, query);
    bool is_large = pypi_is_distribution(t->path);
    plan->head = is_large ? HEAD_ASKS : HEAD_FILLS;
    plan->max_size = is_large ? 0 : BESIDE_MAX;
    plan->fields = file_lines(plan, a, in->config);
    return plan->resource.p && plan->fields.p && set_proof(plan, a, in, name);
}

/* --- the planner --- */

static bool plan_target(struct plan *plan, struct arena *a, const struct plan_input *in,
                        const struct pypi_target *t)
{
    struct slice name = pypi_normal_name(a, t->name);

    if (!name.p)
        return plan_refuse(plan, PLAN_ERR_BAD_NAME, t->name);
    if (t->endpoint == PYPI_ENDPOINT_FILE)
        return plan_file(plan, a, in, t, name);
    if (t->is_spelt_wrong || !slice_eq(name, t->name))
        return redirect_to_name(plan, a, in, t, name);
    return t->endpoint == PYPI_ENDPOINT_PROJECT ? plan_project(plan, a, in, name)
                                                : plan_json(plan, a, in, t, name);
}

static bool plan_request(const struct plan_input *in, struct arena *a, struct plan *plan)
{
    struct pypi_target t = pypi_parse_path(in->path);

    *plan = (struct plan){.render_error = render_error, .accepts_any = true};
    if (!in->config)
        return plan_refuse(plan, PLAN_ERR_NO_ROUTE, SLICE(""));
    if (in->request->method != HTTP_GET && in->request->method != HTTP_HEAD)
        return plan_refuse(plan, PLAN_ERR_METHOD, SLICE(""));
    if (t.endpoint == PYPI_ENDPOINT_UNKNOWN)
        return plan_refuse(plan, PLAN_ERR_UNSUPPORTED, SLICE("the index begins at simple/"));
    return t.endpoint == PYPI_ENDPOINT_ROOT ? plan_root(plan, a, in, &t)
                                            : plan_target(plan, a, in, &t);
}

const struct protocol protocol_pypi = {
    .config = {.name = SLICE("pypi"), .takes_passthrough = true, .takes_file_hosts = true},
    .plan = plan_request,
    .render_error = render_error,
};
