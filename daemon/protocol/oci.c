/*
 * The planner for container registries: the OCI distribution specification (spec.md of
 * opencontainers/distribution-spec), which is the Docker registry API v2 written down.
 */
#include "base/buf.h"
#include "base/json.h"
#include "rows.h"

enum {
    OCI_NAME_MAX = 255, /* of a repository, slashes included */
    OCI_TAG_MAX = 128,
    MANIFEST_MAX = 4 * 1048 * 1048, /* containerd's bound, the largest among the clients */
    LIST_MAX = 16 * 1024 * 1024,
    JSON_DEPTH_MAX = 64,
    ERROR_PAGE_MAX = 16 * 1024,
    LIST_PARAMS_MAX = 2,
};

#define API_ROOT "/v2"
#define API_VERSION "Docker-Distribution-Api-Version: registry/2.0\r\n"
#define NOTHING ((struct slice){NULL, 0})

/* The media types of manifests; the modern ones come first. */
enum {
    MODERN_TYPES = 4,
    SCHEMA1_TYPES = 2,
    CLIENT_TYPES = MODERN_TYPES + SCHEMA1_TYPES + 1,
};

static const struct slice manifest_types[CLIENT_TYPES] = {
    SLICE("application/vnd.oci.image.index.v1+json"),
    SLICE("application/vnd.docker.distribution.manifest.list.v2+json"),
    SLICE("application/vnd.oci.image.manifest.v1+json"),
    SLICE("application/vnd.docker.distribution.manifest.v2+json"),
    SLICE("application/vnd.docker.distribution.manifest.v1+json"),
    SLICE("application/vnd.docker.distribution.manifest.v1+prettyjws"),
    SLICE("application/json"), /* old clients list it for schema 1 */
};

/*
 * What every upstream is asked for. Without the lists a registry picks one platform itself, without
 * the OCI types it may say that the tag does not exist.
 */
#define MODERN_ACCEPT                                                                              \
    "application/vnd.oci.image.index.v1+json, "                                                    \
    "application/vnd.docker.distribution.manifest.list.v2+json, "                                  \
    "application/vnd.oci.image.manifest.v1+json, "                                                 \
    "application/vnd.docker.distribution.manifest.v2+json"

static const struct slice json_type[] = {SLICE("application/json")};
static const enum http_field_id list_fields[] = {HF_LINK, HF_OCI_FILTERS_APPLIED};

/* Joins into the arena; p == NULL when it is full. */
#define JOIN(a, ...)                                                                               \
    join((a), (const struct slice[]){__VA_ARGS__},                                                 \
         sizeof((const struct slice[]){__VA_ARGS__}) / sizeof(struct slice))

static struct slice join(struct arena *a, const struct slice *parts, size_t count)
{
    size_t n = 0;

    for (size_t i = 0; i < count; i++)
        n += parts[i].n;
    char *p = arena_alloc(a, n);
    char *end = p;
    for (size_t i = 0; p && i < count; i++) {
        if (parts[i].n)
            memcpy(end, parts[i].p, parts[i].n);
        end += parts[i].n;
    }
    return slice_of(p, p ? n : 0);
}

/* --- grammar --- */

static bool is_digit_or_lower(char c)
{
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z');
}

/* Length of the separator within a component: one dot, one or two underscores, any dashes. */
static size_t separator_length(struct slice s)
{
    size_t n = 0;

    if (s.p[0] == '.')
        return 1;
    if (s.p[0] == '_')
        return s.n > 1 && s.p[1] == '_' ? 2 : 1;
    while (n < s.n && s.p[n] == '-')
        n++;
    return n;
}

/* [a-z0-9]+((\.|_|__|-+)[a-z0-9]+)* */
static bool component_is_valid(struct slice s)
{
    for (;;) {
        size_t run = 0;
        while (run < s.n && is_digit_or_lower(s.p[run]))
            run++;
        if (run == 0)
            return false;
        s = slice_from(s, run);
        if (s.n == 0)
            return true;
        s = slice_from(s, separator_length(s));
    }
}

static bool name_is_valid(struct slice name)
{
    if (name.n > OCI_NAME_MAX)
        return false;
    for (;;) {
        size_t end = slice_find(name, '/');
        if (!component_is_valid(slice_to(name, end)))
            return false;
        if (end == name.n)
            return true;
        name = slice_from(name, end + 1);
    }
}

/* [a-zA-Z0-9_][a-zA-Z0-9._-]{0,127} */
static bool tag_is_valid(struct slice tag)
{
    if (tag.n == 0 || tag.n > OCI_TAG_MAX || tag.p[0] == '.' || tag.p[0] == '-')
        return false;
    for (size_t i = 0; i < tag.n; i++) {
        char c = tag.p[i];
        if (!is_digit_or_lower(c) && !(c >= 'A' && c <= 'Z') && c != '_' && c != '.' && c != '-')
            return false;
    }
    return true;
}

/* --- the path --- */

enum endpoint {
    ENDPOINT_UNKNOWN,
    ENDPOINT_BASE,
    ENDPOINT_CATALOG,
    ENDPOINT_UPLOAD,
    ENDPOINT_MANIFEST,
    ENDPOINT_BLOB,
    ENDPOINT_TAGS,
    ENDPOINT_REFERRERS,
};

struct target {
    enum endpoint endpoint;
    struct slice name;
    struct slice reference; /* tag or digest */
};

/* Cuts the last component, with the slash before it, off the path. */
static struct slice take_last(struct slice *path)
{
    size_t slash = slice_rfind(*path, '/');
    struct slice last = slash == path->n ? *path : slice_from(*path, slash + 1);

    *path = slice_to(*path, slash == path->n ? 0 : slash);
    return last;
}

/* Of "NAME/kind/last"; in an upload's path NAME still ends in "/blobs". */
static enum endpoint endpoint_of(struct slice name, struct slice kind, struct slice last)
{
    if (slice_eq(kind, SLICE("manifests")))
        return ENDPOINT_MANIFEST;
    if (slice_eq(kind, SLICE("blobs")))
        return slice_eq(last, SLICE("uploads")) ? ENDPOINT_UPLOAD : ENDPOINT_BLOB;
    if (slice_eq(kind, SLICE("referrers")))
        return ENDPOINT_REFERRERS;
    if (slice_eq(kind, SLICE("tags")) && slice_eq(last, SLICE("list")))
        return ENDPOINT_TAGS;
    if (slice_eq(kind, SLICE("uploads")) && slice_ends(name, SLICE("/blobs")))
        return ENDPOINT_UPLOAD;
    return ENDPOINT_UNKNOWN;
}

/* From the right: a name holds slashes, and components such as "blobs" or "tags". */
static struct target parse_resource(struct slice resource)
{
    struct target t = {.name = resource};
    struct slice last = take_last(&t.name);
    struct slice kind = take_last(&t.name);

    t.endpoint = endpoint_of(t.name, kind, last);
    t.reference = last;
    return t;
}

static struct target parse_path(struct slice path)
{
    if (slice_eq(path, SLICE(API_ROOT)) || slice_eq(path, SLICE(API_ROOT "/")))
        return (struct target){.endpoint = ENDPOINT_BASE};
    if (!slice_starts(path, SLICE(API_ROOT "/")))
        return (struct target){.endpoint = ENDPOINT_UNKNOWN};
    struct slice resource = slice_from(path, sizeof API_ROOT);
    if (slice_eq(resource, SLICE("_catalog")))
        return (struct target){.endpoint = ENDPOINT_CATALOG};
    return parse_resource(resource);
}

/* --- the query --- */

struct param {
    struct slice text;
    struct slice name;
    struct slice value;
};

/* Takes the next "name=value" off; false when the query is used up. */
static bool next_param(struct slice *query, struct param *p)
{
    while (query->n) {
        p->text = slice_to(*query, slice_find(*query, '&'));
        *query = slice_from(*query, p->text.n + 1);
        size_t equals = slice_find(p->text, '=');
        p->name = slice_to(p->text, equals);
        p->value = slice_from(p->text, equals + 1);
        if (p->text.n)
            return true;
    }
    return false;
}

static bool is_ns(const struct param *p)
{
    return slice_eq(p->name, SLICE("ns"));
}

/* The query as it came, less what selects the route here; p == NULL when the arena is full. */
static struct slice query_without_ns(struct arena *a, struct slice query)
{
    char *out = arena_alloc(a, query.n);
    struct param p;
    size_t n = 0;

    while (out && next_param(&query, &p)) {
        if (is_ns(&p))
            continue;
        if (n)
            out[n++] = '&';
        memcpy(out + n, p.text.p, p.text.n);
        n += p.text.n;
    }
    return slice_of(out, n);
}

static bool is_unreserved(char c)
{
    return is_digit_or_lower(c) || (c >= 'A' && c <= 'Z') || c == '-' || c == '.' || c == '_' ||
           c == '~';
}

/* RFC 3986 section 2.1, every octet but the unreserved ones; p == NULL when the arena is full. */
static struct slice percent_encode(struct arena *a, struct slice s)
{
    static const char hex[] = "0123456789ABCDEF";
    char *out = arena_alloc(a, s.n * 3);
    size_t n = 0;

    for (size_t i = 0; out && i < s.n; i++) {
        unsigned char c = (unsigned char)s.p[i];
        if (is_unreserved(s.p[i])) {
            out[n++] = s.p[i];
            continue;
        }
        out[n++] = '%';
        out[n++] = hex[c >> 4];
        out[n++] = hex[c & 15];
    }
    return slice_of(out, n);
}

/* --- the namespace --- */

static struct slice lower_case(struct arena *a, struct slice s)
{
    size_t i = 0;

    while (i < s.n && !(s.p[i] >= 'A' && s.p[i] <= 'Z'))
        i++;
    if (i == s.n)
        return s;
    char *p = arena_strdup(a, s);
    for (; p && i < s.n; i++)
        if (p[i] >= 'A' && p[i] <= 'Z')
            p[i] = (char)(p[i] + ('a' - 'A'));
    return slice_of(p, p ? s.n : 0);
}

/* Two different ns parameters contradict each other: the empty name, which nobody serves. */
static bool find_ns(struct slice query, struct slice *ns)
{
    bool found = false;
    struct param p;

    while (next_param(&query, &p)) {
        if (!is_ns(&p))
            continue;
        *ns = found && !slice_eq(*ns, p.value) ? SLICE("") : p.value;
        found = true;
    }
    return found;
}

/* docker's rule for the first component of an image's name. */
static bool looks_like_registry(struct slice s)
{
    return slice_find(s, '.') < s.n || slice_find(s, ':') < s.n || slice_eq(s, SLICE("localhost"));
}

/*
 * "/v2/quay.io/a/b/tags/list". What only looks like a registry is one if a repository's name is
 * left without it: "/v2/my.app/tags/list" is of the repository my.app.
 */
static bool find_path_namespace(struct slice path, struct arena *a,
                                bool (*known)(void *arg, struct slice name), void *arg,
                                struct slice *name, struct slice *rest)
{
    if (!slice_starts(path, SLICE(API_ROOT "/")))
        return false;
    struct slice resource = slice_from(path, sizeof API_ROOT);
    size_t end = slice_find(resource, '/');
    struct slice tail = slice_from(resource, end);
    struct slice first = lower_case(a, slice_to(resource, end));
    bool is_known = first.n && known(arg, first);
    if (!is_known && !(looks_like_registry(first) && parse_resource(slice_from(tail, 1)).name.n))
        return false;
    *name = first;
    *rest = JOIN(a, SLICE(API_ROOT), tail);
    return true;
}

static enum namespace_result find_namespace(const struct http_request *request, struct arena *a,
                                            bool (*known)(void *arg, struct slice name), void *arg,
                                            struct slice *name, struct slice *rest)
{
    struct slice ns;

    *name = SLICE("");
    *rest = request->path;
    if (find_ns(request->query, &ns)) {
        *name = lower_case(a, http_percent_decode(a, ns));
        return NAMESPACE_QUERY;
    }
    if (find_path_namespace(request->path, a, known, arg, name, rest))
        return NAMESPACE_PATH;
    return NAMESPACE_NONE;
}

/* --- errors --- */

struct error_row {
    int status;
    const char *code; /* of the specification's table; UNAVAILABLE is the reference registry's */
    const char *message;
};

static const struct error_row error_rows[PLAN_ERR_COUNT] = {
    [PLAN_ERR_BAD_REQUEST] = {400, "UNSUPPORTED", "the request is malformed"},
    [PLAN_ERR_BAD_NAME] = {400, "NAME_INVALID", "this is no name of a repository"},
    [PLAN_ERR_BAD_DIGEST] = {400, "DIGEST_INVALID", "this is no digest"},
    [PLAN_ERR_NO_ROUTE] = {404, "NAME_UNKNOWN", "no upstream is configured for this name"},
    [PLAN_ERR_NOT_FOUND] = {404, "NAME_UNKNOWN", "the upstream registry does not have it"},
    [PLAN_ERR_DENIED] = {404, "NAME_UNKNOWN",
                         "the upstream registry does not have this repository, or refuses it to "
                         "this cache"},
    [PLAN_ERR_UNSUPPORTED] = {404, "UNSUPPORTED", "a pull-through cache does not serve this"},
    [PLAN_ERR_METHOD] = {405, "UNSUPPORTED",
                         "this is a pull-through cache: it is read-only, push to the upstream "
                         "registry"},
    [PLAN_ERR_UPSTREAM] = {503, "UNAVAILABLE",
                           "this is not in the cache, and the upstream registry gives no usable "
                           "answer"},
    [PLAN_ERR_BUSY] = {503, "UNAVAILABLE", "the cache is at one of its limits, try again later"},
};

/* 404 has a code for each kind of object. */
static const char *missing_code(struct slice resource)
{
    switch (parse_resource(resource).endpoint) {
    case ENDPOINT_MANIFEST:
        return "MANIFEST_UNKNOWN";
    case ENDPOINT_BLOB:
        return "BLOB_UNKNOWN";
    default:
        return "NAME_UNKNOWN";
    }
}

static void write_error(struct buf *b, const char *code, const char *message, struct slice detail)
{
    buf_addf(b, "{\"errors\":[{\"code\":\"%s\",\"message\":\"%s\"", code, message);
    if (detail.n) {
        buf_add(b, SLICE(",\"detail\":\""));
        buf_add_json(b, detail);
        buf_addc(b, '"');
    }
    buf_add(b, SLICE("}]}\n"));
}

static void render_error(struct arena *a, enum plan_error error, struct slice detail,
                         struct plan_page *page)
{
    const struct error_row *row = &error_rows[error];
    struct buf b;

    buf_init(&b, ERROR_PAGE_MAX);
    write_error(&b, error == PLAN_ERR_NOT_FOUND ? missing_code(detail) : row->code, row->message,
                detail);
    *page = (struct plan_page){
        .status = row->status,
        .content_type = json_type[0],
        .body = b.failed ? NOTHING : arena_copy(a, buf_slice(&b)),
        .fields = error == PLAN_ERR_METHOD ? SLICE(API_VERSION "Allow: GET, HEAD\r\n")
                                           : SLICE(API_VERSION),
    };
    if (!page->body.p)
        page->body = SLICE("{\"errors\":[{\"code\":\"UNKNOWN\",\"message\":\"out of room\"}]}\n");
    buf_free(&b);
}

/* --- bodies --- */

/* Without parameters. */
static struct slice bare_type(struct slice content_type)
{
    return slice_trim(slice_to(content_type, slice_find(content_type, ';')));
}

struct manifest_look {
    struct slice type;
    bool is_object;
    bool wrong;
    unsigned versions;
    unsigned types;
};

/*
 * A member that stands twice means different things to different readers: refused where it matters.
 */
static bool look_at_manifest(void *arg, const struct json_event *event)
{
    struct manifest_look *look = arg;

    if (event->kind == JSON_END || event->depth > 1)
        return true;
    if (event->depth == 0) {
        look->is_object = event->kind == JSON_OBJECT;
    } else if (slice_eq(event->key, SLICE("schemaVersion"))) {
        look->versions++;
        look->wrong |= event->kind != JSON_NUMBER || !slice_eq(event->text, SLICE("2"));
    } else if (slice_eq(event->key, SLICE("mediaType"))) {
        look->types++;
        look->wrong |= event->kind != JSON_STRING || !slice_ieq(event->text, look->type);
    }
    return true;
}

static enum err inspect_manifest(struct slice body, struct slice content_type)
{
    struct manifest_look look = {.type = bare_type(content_type)};

    if (json_walk(body, JSON_DEPTH_MAX, look_at_manifest, &look) != ERR_OK)
        return ERR_CORRUPT;
    bool good = look.is_object && !look.wrong && look.versions == 1 && look.types <= 1;
    return good ? ERR_OK : ERR_CORRUPT;
}

struct tags_look {
    bool is_object;
    bool wrong;
    unsigned lists;
};

/* A repository without tags may answer null. */
static bool look_at_tags(void *arg, const struct json_event *event)
{
    struct tags_look *look = arg;

    if (event->kind == JSON_END || event->depth > 1)
        return true;
    if (event->depth == 0) {
        look->is_object = event->kind == JSON_OBJECT;
    } else if (slice_eq(event->key, SLICE("tags"))) {
        look->lists++;
        look->wrong |= event->kind != JSON_ARRAY && event->kind != JSON_NULL;
    }
    return true;
}

static enum err inspect_tags(struct slice body, struct slice content_type)
{
    struct tags_look look = {0};

    (void)content_type;
    if (json_walk(body, JSON_DEPTH_MAX, look_at_tags, &look) != ERR_OK)
        return ERR_CORRUPT;
    return look.is_object && !look.wrong && look.lists == 1 ? ERR_OK : ERR_CORRUPT;
}

/* --- Link (RFC 8288) --- */

/* Takes the next "<target>; params" off; false at the end or where the text is no link. */
static bool next_link(struct slice *value, struct slice *target, struct slice *params)
{
    *value = slice_trim(*value);
    while (value->n && value->p[0] == ',')
        *value = slice_trim(slice_from(*value, 1));
    size_t end = slice_find(*value, '>');
    if (end == value->n || value->p[0] != '<')
        return false;
    *target = slice_of(value->p + 1, end - 1);
    *value = slice_trim(slice_from(*value, end + 1));
    *params = SLICE("");
    return value->n == 0 || value->p[0] == ',' || http_list_next(value, params);
}

static bool is_next_link(struct slice params)
{
    struct slice param;

    while (http_params_next(&params, &param))
        if (slice_ieq(param, SLICE("rel=next")) || slice_ieq(param, SLICE("rel=\"next\"")))
            return true;
    return false;
}

static bool query_is_clean(struct slice query)
{
    const struct slice unsafe = SLICE("<>\"\\");

    for (size_t i = 0; i < query.n; i++)
        if (query.p[i] <= ' ' || query.p[i] > '~' || slice_find(unsafe, query.p[i]) < unsafe.n)
            return false;
    return query.n > 0;
}

/*
 * Only the query is the upstream's: host and path are how this cache is asked. A target that is not
 * the same list, asked further, is not followed.
 */
static struct slice lead_back(const struct plan *plan, struct arena *a, struct slice target)
{
    target = slice_to(target, slice_find(target, '#'));
    struct slice path = slice_to(target, slice_find(target, '?'));
    struct slice query = slice_from(target, path.n + 1);
    struct slice own_path = plan->link_path;

    if (!query_is_clean(query) || (path.n && !slice_eq(take_last(&path), take_last(&own_path))))
        return NOTHING;
    query = query_without_ns(a, query);
    if (query.n == 0)
        return NOTHING;
    return JOIN(a, SLICE("<"), plan->link_path, SLICE("?"), query,
                plan->link_query.n ? SLICE("&") : SLICE(""), plan->link_query,
                SLICE(">; rel=\"next\""));
}

static struct slice rewrite_link(const struct plan *plan, struct arena *a, struct slice value)
{
    struct slice target;
    struct slice params;

    while (next_link(&value, &target, &params))
        if (is_next_link(params))
            return lead_back(plan, a, target);
    return NOTHING;
}

/* --- plans --- */

static bool refuse(struct plan *plan, enum plan_error error, struct slice detail)
{
    plan->kind = PLAN_REFUSED;
    plan->refusal = error;
    plan->refusal_detail = detail;
    return true;
}

/*
 * No challenge, whatever the upstream wants: classic dockerd would answer one with its password for
 * Docker Hub.
 */
static bool answer_base(struct plan *plan)
{
    plan->kind = PLAN_LOCAL;
    plan->page = (struct plan_page){
        .status = 200,
        .content_type = json_type[0],
        .body = SLICE("{}"),
        .fields = SLICE(API_VERSION),
    };
    return true;
}

static bool is_selected_by_query(const struct plan_input *in)
{
    return in->namespace.n && http_query_get(in->request->query, SLICE("ns")).p;
}

static bool leads_to_docker_hub(const struct plan_input *in)
{
    static const struct slice hosts[] = {SLICE("registry-1.docker.io"), SLICE("docker.io"),
                                         SLICE("index.docker.io")};

    return slice_eq(in->namespace, SLICE("docker.io")) ||
           plan_type_listed(hosts, sizeof hosts / sizeof hosts[0], in->upstream_host);
}

/* On Docker Hub "ubuntu" is short for "library/ubuntu", in paths and in scopes. */
static struct slice full_name(const struct plan_input *in, struct arena *a, struct slice name)
{
    if (slice_find(name, '/') < name.n || !leads_to_docker_hub(in))
        return name;
    return JOIN(a, SLICE("library/"), name);
}

/* Sets what the path decides; `query` with its '?' or empty. */
static bool set_resource(struct plan *plan, struct arena *a, struct slice name, struct slice kind,
                         struct slice reference, struct slice query)
{
    plan->upstream_path = JOIN(a, SLICE(API_ROOT "/"), name, kind, reference, query);
    plan->resource = slice_from(plan->upstream_path, sizeof API_ROOT);
    return plan->upstream_path.p != NULL;
}

/*
 * The digest of the reference. A well-formed one of an algorithm that cannot be computed here is
 * relayed, since nothing vouches for its bytes. false: it is none.
 */
static bool set_digest(struct plan *plan, struct slice reference)
{
    enum err result = digest_parse(reference, &plan->digest);

    if (result == ERR_NOTFOUND) {
        plan->kind = PLAN_RELAYED;
        plan->digest.algo = DIGEST_NONE;
    }
    plan->immutable = true;
    return result == ERR_OK || result == ERR_NOTFOUND;
}

static bool plan_blob(struct plan *plan, struct arena *a, const struct target *t)
{
    if (!set_digest(plan, t->reference))
        return refuse(plan, PLAN_ERR_BAD_DIGEST, t->reference);
    plan->head = HEAD_ASKS;
    plan->content_type = SLICE("application/octet-stream");
    plan->digest_field = SLICE("Docker-Content-Digest");
    return set_resource(plan, a, t->name, SLICE("/blobs/"), t->reference, SLICE(""));
}

static bool note_modern_type(void *arg, struct slice element)
{
    unsigned *seen = arg;

    for (unsigned i = 0; i < MODERN_TYPES; i++)
        if (slice_ieq(element, manifest_types[i]))
            *seen |= 1U << i;
    return true;
}

/* As today's clients do: one pass over the field, and nothing is left to negotiate. */
static bool lists_modern_types(const struct http_fields *fields)
{
    unsigned seen = 0;

    http_fields_each_element(fields, HF_ACCEPT, note_modern_type, &seen);
    return seen == (1U << MODERN_TYPES) - 1;
}

/*
 * Reduces the client's Accept to the known types that it takes, so that the number of variants is
 * bounded and their order does not matter. A client that lists none of them takes what there is, as
 * one that lists nothing (RFC 9110 section 12.5.1 allows to disregard the field).
 */
static bool set_negotiation(struct plan *plan, struct arena *a, const struct http_fields *fields)
{
    struct slice *taken = arena_alloc(a, CLIENT_TYPES * sizeof *taken);
    struct slice accept = SLICE("");
    size_t count = 0;

    if (!taken)
        return false;
    for (size_t i = 0; i < CLIENT_TYPES; i++) {
        if (i == MODERN_TYPES)
            plan->accepted_count = count;
        if (http_accepts(fields, manifest_types[i]))
            taken[count++] = manifest_types[i];
    }
    plan->accepted = taken;
    plan->accepts_any = count == 0 || plan->accepted_count == MODERN_TYPES;
    if (plan->accepts_any)
        return true;
    for (size_t i = 0; i < count; i++)
        accept = JOIN(a, accept, i ? SLICE(", ") : SLICE(""), taken[i]);
    plan->alternate_accept = accept;
    plan->alternate_variant = JOIN(a, SLICE("accept="), accept);
    return accept.p && plan->alternate_variant.p;
}

static void set_manifest_rules(struct plan *plan)
{
    plan->head = HEAD_FILLS;
    plan->accept = SLICE(MODERN_ACCEPT);
    plan->max_size = MANIFEST_MAX;
    plan->inspect = inspect_manifest;
    plan->digest_field = SLICE("Docker-Content-Digest");
    plan->bare_content_type = true;
    plan->types = manifest_types;
    plan->type_count = MODERN_TYPES;
    plan->relayed_types = manifest_types + MODERN_TYPES;
    plan->relayed_type_count = SCHEMA1_TYPES;
}

static bool plan_manifest(struct plan *plan, struct arena *a, const struct target *t,
                          const struct http_fields *fields)
{
    bool by_digest = slice_find(t->reference, ':') < t->reference.n;

    set_manifest_rules(plan);
    if (!set_resource(plan, a, t->name, SLICE("/manifests/"), t->reference, SLICE("")))
        return false;
    if (by_digest)
        return set_digest(plan, t->reference) || refuse(plan, PLAN_ERR_BAD_DIGEST, t->reference);
    /* Nothing can have been pushed under it, so it is not there. */
    if (!tag_is_valid(t->reference))
        return refuse(plan, PLAN_ERR_NOT_FOUND, plan->resource);
    plan->refresh = REFRESH_HEAD_DIGEST;
    plan->alias_prefix = slice_to(plan->resource, plan->resource.n - t->reference.n);
    return http_fields_count(fields, HF_ACCEPT) == 0 || lists_modern_types(fields) ||
           set_negotiation(plan, a, fields);
}

/* --- lists --- */

/* What an endpoint's query may hold, in the order in which it stands in the key. */
struct list_kind {
    struct slice path; /* between the name and the reference */
    struct slice params[LIST_PARAMS_MAX];
};

static const struct list_kind tags_kind = {SLICE("/tags/"), {SLICE("n"), SLICE("last")}};
static const struct list_kind referrers_kind = {SLICE("/referrers/"), {SLICE("artifactType")}};

struct list_query {
    struct slice values[LIST_PARAMS_MAX]; /* raw */
    bool is_foreign;                      /* more in it than the specification knows */
};

static struct list_query read_list_query(const struct list_kind *kind, struct slice query)
{
    struct list_query q = {0};
    struct param p;

    while (next_param(&query, &p)) {
        size_t i = 0;
        while (i < LIST_PARAMS_MAX && !slice_eq(kind->params[i], p.name))
            i++;
        if (i < LIST_PARAMS_MAX && p.name.n && !q.values[i].n)
            q.values[i] = p.value;
        else if (!is_ns(&p))
            q.is_foreign = true;
    }
    return q;
}

/* A value in its one form; p == NULL when it has none. */
static struct slice normal_value(struct arena *a, struct slice name, struct slice raw)
{
    struct slice value = http_percent_decode(a, raw);
    uint64_t number;

    if (!value.p)
        return NOTHING;
    if (!slice_eq(name, SLICE("n")))
        return percent_encode(a, value);
    return slice_u64(value, &number) ? arena_printf(a, "%llu", (unsigned long long)number)
                                     : NOTHING;
}

/* "?n=10&last=x", or empty; p == NULL when a value is malformed. */
static struct slice normal_query(const struct list_kind *kind, struct arena *a,
                                 const struct list_query *q)
{
    struct slice out = SLICE("");

    for (size_t i = 0; i < LIST_PARAMS_MAX; i++) {
        if (!q->values[i].n)
            continue;
        struct slice value = normal_value(a, kind->params[i], q->values[i]);
        if (!value.p || !out.p)
            return NOTHING;
        out = JOIN(a, out, out.n ? SLICE("&") : SLICE("?"), kind->params[i], SLICE("="), value);
    }
    return out;
}

/*
 * A registry's own form of paging ("next_page=...") must come back to it as it was written; it has
 * no normal form, so it gets no place in the store.
 */
static struct slice list_query(struct plan *plan, struct arena *a, const struct list_kind *kind,
                               struct slice query)
{
    struct list_query q = read_list_query(kind, query);

    if (!q.is_foreign)
        return normal_query(kind, a, &q);
    plan->kind = PLAN_RELAYED;
    query = query_without_ns(a, query);
    return query_is_clean(query) ? JOIN(a, SLICE("?"), query) : NOTHING;
}

/* Links lead back in the form of the request; the variant keeps the forms apart. */
static bool set_links(struct plan *plan, struct arena *a, const struct plan_input *in,
                      const struct target *t, struct slice kind)
{
    bool in_path = in->namespace.n && !is_selected_by_query(in);

    plan->rewrite_link = rewrite_link;
    plan->link_path = JOIN(a, SLICE(API_ROOT "/"), in_path ? in->namespace : SLICE(""),
                           in_path ? SLICE("/") : SLICE(""), t->name, kind, t->reference);
    plan->variant = SLICE("");
    if (in_path) {
        plan->variant = JOIN(a, SLICE("path="), in->namespace);
    } else if (in->namespace.n) {
        plan->link_query = JOIN(a, SLICE("ns="), percent_encode(a, in->namespace));
        plan->variant = plan->link_query;
    }
    return plan->link_path.p && plan->variant.p;
}

static bool plan_list(struct plan *plan, struct arena *a, const struct plan_input *in,
                      const struct target *t, const struct list_kind *kind)
{
    struct slice query = list_query(plan, a, kind, in->request->query);

    if (!query.p)
        return refuse(plan, PLAN_ERR_BAD_REQUEST, SLICE("a query parameter is malformed"));
    plan->refresh = REFRESH_CONDITIONAL;
    plan->head = HEAD_FILLS;
    plan->max_size = LIST_MAX;
    plan->bare_content_type = true;
    plan->type_count = 1;
    plan->kept_fields = list_fields;
    plan->kept_field_count = sizeof list_fields / sizeof list_fields[0];
    return set_links(plan, a, in, t, kind->path) &&
           set_resource(plan, a, t->name, kind->path, t->reference, query);
}

static bool plan_tags(struct plan *plan, struct arena *a, const struct plan_input *in,
                      const struct target *t)
{
    plan->accept = json_type[0];
    plan->types = json_type;
    plan->inspect = inspect_tags;
    return plan_list(plan, a, in, t, &tags_kind);
}

static bool plan_referrers(struct plan *plan, struct arena *a, const struct plan_input *in,
                           const struct target *t)
{
    struct digest subject;
    enum err result = digest_parse(t->reference, &subject);

    if (result != ERR_OK && result != ERR_NOTFOUND)
        return refuse(plan, PLAN_ERR_BAD_DIGEST, t->reference);
    plan->accept = manifest_types[0];
    plan->types = manifest_types;
    plan->inspect = inspect_manifest;
    return plan_list(plan, a, in, t, &referrers_kind);
}

/* --- the planner --- */

static bool plan_object(struct plan *plan, struct arena *a, const struct plan_input *in,
                        struct target *t)
{
    if (!name_is_valid(t->name))
        return refuse(plan, PLAN_ERR_BAD_NAME, t->name);
    t->name = full_name(in, a, t->name);
    plan->kind = in->cache ? PLAN_CACHED : PLAN_RELAYED;
    plan->scope = JOIN(a, SLICE("repository:"), t->name, SLICE(":pull"));
    if (is_selected_by_query(in))
        plan->fields = JOIN(a, SLICE(API_VERSION "OCI-Namespace: "), in->namespace, SLICE("\r\n"));
    if (!t->name.p || !plan->scope.p || !plan->fields.p)
        return false;
    switch (t->endpoint) {
    case ENDPOINT_MANIFEST:
        return plan_manifest(plan, a, t, &in->request->fields);
    case ENDPOINT_BLOB:
        return plan_blob(plan, a, t);
    case ENDPOINT_TAGS:
        return plan_tags(plan, a, in, t);
    default:
        return plan_referrers(plan, a, in, t);
    }
}

static bool plan_request(const struct plan_input *in, struct arena *a, struct plan *plan)
{
    struct target t = parse_path(in->path);

    *plan = (struct plan){
        .render_error = render_error, .fields = SLICE(API_VERSION), .accepts_any = true};
    if (in->request->method != HTTP_GET && in->request->method != HTTP_HEAD)
        return refuse(plan, PLAN_ERR_METHOD, SLICE(""));
    switch (t.endpoint) {
    case ENDPOINT_BASE:
        return answer_base(plan);
    case ENDPOINT_UPLOAD:
        return refuse(plan, PLAN_ERR_METHOD, SLICE(""));
    case ENDPOINT_CATALOG:
        return refuse(plan, PLAN_ERR_UNSUPPORTED, SLICE("repositories are not listed"));
    case ENDPOINT_UNKNOWN:
        return refuse(plan, PLAN_ERR_UNSUPPORTED, SLICE("no such endpoint in the registry API"));
    default:
        return plan_object(plan, a, in, &t);
    }
}

const struct protocol protocol_oci = {
    .name = SLICE("oci"),
    .root = SLICE(API_ROOT),
    .find_namespace = find_namespace,
    .plan = plan_request,
    .render_error = render_error,
};
