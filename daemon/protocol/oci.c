/*
 * The planner for container registries: the OCI distribution specification (spec.md of
 * opencontainers/distribution-spec), which is the Docker registry API v2 written down.
 */
#include "base/buf.h"
#include "oci_body.h"
#include "oci_link.h"
#include "oci_path.h"
#include "refusal.h"
#include "rows.h"

enum {
    MANIFEST_MAX = 4 * 1048 * 1048, /* containerd's bound, the largest among the clients */
    LIST_MAX = 16 * 1024 * 1024,
    ERROR_PAGE_MAX = 16 * 1024,
    LIST_PARAMS_MAX = 2,
};

#define API_VERSION "Docker-Distribution-Api-Version: registry/2.0\r\n"

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
    [PLAN_ERR_CREDENTIALS] = {404, "NAME_UNKNOWN", "the upstream registry refuses it"},
    [PLAN_ERR_FORBIDDEN] = {404, "NAME_UNKNOWN", "the upstream registry refuses it"},
    [PLAN_ERR_FOREIGN] = {403, "DENIED", "this route may not fetch from there"},
    [PLAN_ERR_ONLY_CACHED] = {504, "UNAVAILABLE", "this is not in the cache"},
    [PLAN_ERR_UPSTREAM] = {503, "UNAVAILABLE",
                           "this is not in the cache, and the upstream registry gives no usable "
                           "answer"},
    [PLAN_ERR_BUSY] = {503, "UNAVAILABLE", "the cache is at one of its limits, try again later"},
};

/* 404 has a code for each kind of object. */
static const char *missing_code(struct slice resource)
{
    switch (oci_parse_resource(resource).endpoint) {
    case OCI_ENDPOINT_MANIFEST:
        return "MANIFEST_UNKNOWN";
    case OCI_ENDPOINT_BLOB:
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
        .body = b.failed ? slice_of(NULL, 0) : arena_copy(a, buf_slice(&b)),
        .fields = error == PLAN_ERR_METHOD ? SLICE(API_VERSION "Allow: GET, HEAD\r\n")
                                           : SLICE(API_VERSION),
    };
    if (!page->body.p)
        page->body = SLICE("{\"errors\":[{\"code\":\"UNKNOWN\",\"message\":\"out of room\"}]}\n");
    buf_free(&b);
}

/* --- plans --- */

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
    return OCI_JOIN(a, SLICE("library/"), name);
}

/* Sets what the path decides; `query` with its '?' or empty. */
static bool set_resource(struct plan *plan, struct arena *a, struct slice name, struct slice kind,
                         struct slice reference, struct slice query)
{
    plan->upstream_path = OCI_JOIN(a, SLICE(OCI_ROOT "/"), name, kind, reference, query);
    plan->resource = slice_from(plan->upstream_path, sizeof OCI_ROOT);
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

static bool plan_blob(struct plan *plan, struct arena *a, const struct oci_target *t)
{
    if (!set_digest(plan, t->reference))
        return plan_refuse(plan, PLAN_ERR_BAD_DIGEST, t->reference);
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
    unsigned qualities[CLIENT_TYPES];
    size_t count = 0;

    if (!taken)
        return false;
    http_accept_qualities(fields, manifest_types, CLIENT_TYPES, qualities);
    for (size_t i = 0; i < CLIENT_TYPES; i++) {
        if (i == MODERN_TYPES)
            plan->accepted_count = count;
        if (qualities[i] > 0)
            taken[count++] = manifest_types[i];
    }
    plan->accepted = taken;
    plan->accepts_any = count == 0 || plan->accepted_count == MODERN_TYPES;
    if (plan->accepts_any)
        return true;
    for (size_t i = 0; i < count; i++)
        accept = OCI_JOIN(a, accept, i ? SLICE(", ") : SLICE(""), taken[i]);
    plan->alternate_accept = accept;
    plan->alternate_variant = OCI_JOIN(a, SLICE("accept="), accept);
    return accept.p && plan->alternate_variant.p;
}

static void set_manifest_rules(struct plan *plan)
{
    plan->head = HEAD_FILLS;
    plan->accept = SLICE(MODERN_ACCEPT);
    plan->max_size = MANIFEST_MAX;
    plan->inspect = oci_inspect_manifest;
    plan->digest_field = SLICE("Docker-Content-Digest");
    plan->bare_content_type = true;
    plan->types = manifest_types;
    plan->type_count = MODERN_TYPES;
    plan->relayed_types = manifest_types + MODERN_TYPES;
    plan->relayed_type_count = SCHEMA1_TYPES;
}

static bool plan_manifest(struct plan *plan, struct arena *a, const struct oci_target *t,
                          const struct http_fields *fields)
{
    bool by_digest = slice_find(t->reference, ':') < t->reference.n;

    set_manifest_rules(plan);
    if (!set_resource(plan, a, t->name, SLICE("/manifests/"), t->reference, SLICE("")))
        return false;
    if (by_digest)
        return set_digest(plan, t->reference) ||
               plan_refuse(plan, PLAN_ERR_BAD_DIGEST, t->reference);
    /* Nothing can have been pushed under it, so it is not there. */
    if (!oci_tag_is_valid(t->reference))
        return plan_refuse(plan, PLAN_ERR_NOT_FOUND, plan->resource);
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
    struct oci_param p;

    while (oci_param_next(&query, &p)) {
        size_t i = 0;
        while (i < LIST_PARAMS_MAX && !slice_eq(kind->params[i], p.name))
            i++;
        if (i < LIST_PARAMS_MAX && p.name.n && !q.values[i].n)
            q.values[i] = p.value;
        else if (!oci_param_is_ns(&p))
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
        return slice_of(NULL, 0);
    if (!slice_eq(name, SLICE("n")))
        return oci_percent_encode(a, value);
    return slice_u64(value, &number) ? arena_printf(a, "%llu", (unsigned long long)number)
                                     : slice_of(NULL, 0);
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
            return slice_of(NULL, 0);
        out = OCI_JOIN(a, out, out.n ? SLICE("&") : SLICE("?"), kind->params[i], SLICE("="), value);
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
    query = oci_query_without_ns(a, query);
    return oci_query_is_clean(query) ? OCI_JOIN(a, SLICE("?"), query) : slice_of(NULL, 0);
}

/* Links lead back in the form of the request; the variant keeps the forms apart. */
static bool set_links(struct plan *plan, struct arena *a, const struct plan_input *in,
                      const struct oci_target *t, struct slice kind)
{
    bool in_path = in->namespace.n && !is_selected_by_query(in);

    plan->rewrite_link = oci_rewrite_link;
    plan->link_path = OCI_JOIN(a, SLICE(OCI_ROOT "/"), in_path ? in->namespace : SLICE(""),
                               in_path ? SLICE("/") : SLICE(""), t->name, kind, t->reference);
    plan->variant = SLICE("");
    if (in_path) {
        plan->variant = OCI_JOIN(a, SLICE("path="), in->namespace);
    } else if (in->namespace.n) {
        plan->link_query = OCI_JOIN(a, SLICE("ns="), oci_percent_encode(a, in->namespace));
        plan->variant = plan->link_query;
    }
    return plan->link_path.p && plan->variant.p;
}

static bool plan_list(struct plan *plan, struct arena *a, const struct plan_input *in,
                      const struct oci_target *t, const struct list_kind *kind)
{
    struct slice query = list_query(plan, a, kind, in->request->query);

    if (!query.p)
        return plan_refuse(plan, PLAN_ERR_BAD_REQUEST, SLICE("a query parameter is malformed"));
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
                      const struct oci_target *t)
{
    plan->accept = json_type[0];
    plan->types = json_type;
    plan->inspect = oci_inspect_tags;
    return plan_list(plan, a, in, t, &tags_kind);
}

static bool plan_referrers(struct plan *plan, struct arena *a, const struct plan_input *in,
                           const struct oci_target *t)
{
    struct digest subject;
    enum err result = digest_parse(t->reference, &subject);

    if (result != ERR_OK && result != ERR_NOTFOUND)
        return plan_refuse(plan, PLAN_ERR_BAD_DIGEST, t->reference);
    plan->accept = manifest_types[0];
    plan->types = manifest_types;
    plan->inspect = oci_inspect_manifest;
    return plan_list(plan, a, in, t, &referrers_kind);
}

/* --- the planner --- */

static bool plan_object(struct plan *plan, struct arena *a, const struct plan_input *in,
                        struct oci_target *t)
{
    if (!in->config)
        return plan_refuse(plan, PLAN_ERR_NO_ROUTE, SLICE(""));
    if (!oci_name_is_valid(t->name))
        return plan_refuse(plan, PLAN_ERR_BAD_NAME, t->name);
    t->name = full_name(in, a, t->name);
    plan->kind = in->config->cache ? PLAN_CACHED : PLAN_RELAYED;
    plan->scope = OCI_JOIN(a, SLICE("repository:"), t->name, SLICE(":pull"));
    if (is_selected_by_query(in))
        plan->fields =
            OCI_JOIN(a, SLICE(API_VERSION "OCI-Namespace: "), in->namespace, SLICE("\r\n"));
    if (!t->name.p || !plan->scope.p || !plan->fields.p)
        return false;
    switch (t->endpoint) {
    case OCI_ENDPOINT_MANIFEST:
        return plan_manifest(plan, a, t, &in->request->fields);
    case OCI_ENDPOINT_BLOB:
        return plan_blob(plan, a, t);
    case OCI_ENDPOINT_TAGS:
        return plan_tags(plan, a, in, t);
    default:
        return plan_referrers(plan, a, in, t);
    }
}

static bool plan_request(const struct plan_input *in, struct arena *a, struct plan *plan)
{
    struct oci_target t = oci_parse_path(in->path);

    *plan = (struct plan){
        .render_error = render_error, .fields = SLICE(API_VERSION), .accepts_any = true};
    if (in->request->method != HTTP_GET && in->request->method != HTTP_HEAD)
        return plan_refuse(plan, PLAN_ERR_METHOD, SLICE(""));
    switch (t.endpoint) {
    case OCI_ENDPOINT_BASE:
        return answer_base(plan);
    case OCI_ENDPOINT_UPLOAD:
        return plan_refuse(plan, PLAN_ERR_METHOD, SLICE(""));
    case OCI_ENDPOINT_CATALOG:
        return plan_refuse(plan, PLAN_ERR_UNSUPPORTED, SLICE("repositories are not listed"));
    case OCI_ENDPOINT_UNKNOWN:
        return plan_refuse(plan, PLAN_ERR_UNSUPPORTED,
                           SLICE("no such endpoint in the registry API"));
    default:
        return plan_object(plan, a, in, &t);
    }
}

const struct protocol protocol_oci = {
    .config = {.name = SLICE("oci"), .root = SLICE(OCI_ROOT)},
    .find_namespace = oci_find_namespace,
    .plan = plan_request,
    .render_error = render_error,
};
