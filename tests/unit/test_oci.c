#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>

#include "daemon/protocol/oci.c"

#include "base/json.h"

#define HEX64 "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
#define SHA256 "sha256:" HEX64
#define SHA512 "sha512:" HEX64 HEX64
#define OTHER "blake3:" HEX64
#define OCI_INDEX "application/vnd.oci.image.index.v1+json"
#define OCI_MANIFEST "application/vnd.oci.image.manifest.v1+json"
#define DOCKER_LIST "application/vnd.docker.distribution.manifest.list.v2+json"
#define DOCKER_MANIFEST "application/vnd.docker.distribution.manifest.v2+json"
#define SCHEMA1 "application/vnd.docker.distribution.manifest.v1+json"
#define SCHEMA1_SIGNED "application/vnd.docker.distribution.manifest.v1+prettyjws"

enum { ARENA_CAP = 256 * 1024 };

struct fixture {
    struct arena arena;
    struct http_request request;
    struct plan_input in;
    struct config_route config;
    struct plan plan;
};

static int setup(void **state)
{
    struct fixture *f = test_calloc(1, sizeof *f);

    arena_init(&f->arena, NULL, 0, ARENA_CAP);
    f->in = (struct plan_input){
        .request = &f->request, .upstream_host = SLICE("a.test"), .config = &f->config};
    f->config.cache = true;
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;

    arena_reset(&f->arena);
    test_free(f);
    return 0;
}

static void ask(struct fixture *f, const char *path, const char *query)
{
    f->request.path = slice_str(path);
    f->request.query = slice_str(query);
    f->in.path = f->request.path;
}

static const struct plan *plan_it(struct fixture *f)
{
    assert_true(plan_request(&f->in, &f->arena, &f->plan));
    return &f->plan;
}

static const struct plan *plan_of(struct fixture *f, const char *path, const char *query)
{
    ask(f, path, query);
    return plan_it(f);
}

static void accept_line(struct fixture *f, const char *value)
{
    assert_true(
        http_fields_add(&f->request.fields, &f->arena, 100, SLICE("Accept"), slice_str(value)));
}

static void assert_slice(struct slice got, const char *want)
{
    if (!slice_eq(got, slice_str(want)))
        fail_msg("got \"%.*s\", want \"%s\"", SLICE_ARG(got), want);
}

static const struct plan_page *page_of(struct fixture *f, enum plan_error error,
                                       struct slice detail)
{
    render_error(&f->arena, error, detail, &f->plan.page);
    return &f->plan.page;
}

static bool contains(struct slice s, const char *part)
{
    return memmem(s.p, s.n, part, strlen(part)) != NULL;
}

/* --- what a path asks for --- */

struct object_case {
    const char *path;
    const char *query;
    enum plan_kind kind;
    const char *resource;
    const char *scope;
};

static const struct object_case object_cases[] = {
    {"/v2/a/manifests/latest", NULL, PLAN_CACHED, "a/manifests/latest", "repository:a:pull"},
    {"/v2/a/b/manifests/1", NULL, PLAN_CACHED, "a/b/manifests/1", "repository:a/b:pull"},
    {"/v2/a/manifests/" SHA256, NULL, PLAN_CACHED, "a/manifests/" SHA256, "repository:a:pull"},
    {"/v2/a/manifests/" SHA512, NULL, PLAN_CACHED, "a/manifests/" SHA512, "repository:a:pull"},
    {"/v2/a/blobs/" SHA256, NULL, PLAN_CACHED, "a/blobs/" SHA256, "repository:a:pull"},
    {"/v2/a/blobs/" OTHER, NULL, PLAN_RELAYED, "a/blobs/" OTHER, "repository:a:pull"},
    {"/v2/a/manifests/" OTHER, NULL, PLAN_RELAYED, "a/manifests/" OTHER, "repository:a:pull"},
    {"/v2/a/tags/list", NULL, PLAN_CACHED, "a/tags/list", "repository:a:pull"},
    {"/v2/a/referrers/" SHA256, NULL, PLAN_CACHED, "a/referrers/" SHA256, "repository:a:pull"},
    {"/v2/a/referrers/" OTHER, NULL, PLAN_CACHED, "a/referrers/" OTHER, "repository:a:pull"},
    /* from the right: the protocol's own words are good names */
    {"/v2/blobs/manifests/manifests/1", NULL, PLAN_CACHED, "blobs/manifests/manifests/1",
     "repository:blobs/manifests:pull"},
    {"/v2/tags/list/tags/list", NULL, PLAN_CACHED, "tags/list/tags/list",
     "repository:tags/list:pull"},
    {"/v2/a/blobs/uploads/manifests/x", NULL, PLAN_CACHED, "a/blobs/uploads/manifests/x",
     "repository:a/blobs/uploads:pull"},
    {"/v2/manifests/blobs/" SHA256, NULL, PLAN_CACHED, "manifests/blobs/" SHA256,
     "repository:manifests:pull"},
    {"/v2/_catalog/x/manifests/1", NULL, PLAN_REFUSED, NULL, NULL},
    /* queries */
    {"/v2/a/manifests/1", "ns=b.test", PLAN_CACHED, "a/manifests/1", "repository:a:pull"},
    {"/v2/a/manifests/1", "x=1&y", PLAN_CACHED, "a/manifests/1", "repository:a:pull"},
    {"/v2/a/tags/list", "last=b&n=10", PLAN_CACHED, "a/tags/list?n=10&last=b", "repository:a:pull"},
    {"/v2/a/tags/list", "n=010&ns=b.test&last=%62", PLAN_CACHED, "a/tags/list?n=10&last=b",
     "repository:a:pull"},
    {"/v2/a/tags/list", "n=&last=&&", PLAN_CACHED, "a/tags/list", "repository:a:pull"},
    {"/v2/a/tags/list", "n=5&next_page=ab%3D&ns=b.test", PLAN_RELAYED,
     "a/tags/list?n=5&next_page=ab%3D", "repository:a:pull"},
    {"/v2/a/tags/list", "n=5&n=6", PLAN_RELAYED, "a/tags/list?n=5&n=6", "repository:a:pull"},
    {"/v2/a/tags/list", "N=5", PLAN_RELAYED, "a/tags/list?N=5", "repository:a:pull"},
    {"/v2/a/referrers/" SHA256, "artifactType=application/vnd.x%2Bjson", PLAN_CACHED,
     "a/referrers/" SHA256 "?artifactType=application%2Fvnd.x%2Bjson", "repository:a:pull"},
    {"/v2/a/referrers/" SHA256, "artifactType=application%2Fvnd.x+json", PLAN_CACHED,
     "a/referrers/" SHA256 "?artifactType=application%2Fvnd.x%2Bjson", "repository:a:pull"},
    {"/v2/a/referrers/" SHA256, "n=1", PLAN_RELAYED, "a/referrers/" SHA256 "?n=1",
     "repository:a:pull"},
};

static void test_objects(void **state)
{
    struct fixture *f = *state;

    for (size_t i = 0; i < sizeof object_cases / sizeof object_cases[0]; i++) {
        const struct object_case *c = &object_cases[i];
        const struct plan *plan = plan_of(f, c->path, c->query);
        if (plan->kind != c->kind)
            fail_msg("%s?%s: kind %d", c->path, c->query ? c->query : "", plan->kind);
        assert_ptr_equal(plan->render_error, render_error);
        if (c->kind == PLAN_REFUSED)
            continue;
        assert_slice(plan->resource, c->resource);
        assert_slice(plan->scope, c->scope);
        assert_slice(slice_to(plan->upstream_path, 4), "/v2/");
        assert_slice(slice_from(plan->upstream_path, 4), c->resource);
        assert_slice(plan->fields, API_VERSION);
    }
}

struct refusal_case {
    enum http_method method;
    const char *path;
    const char *query;
    enum plan_error error;
    int status;
    const char *code;
};

static const struct refusal_case refusal_cases[] = {
    {HTTP_GET, "/v2/_catalog", NULL, PLAN_ERR_UNSUPPORTED, 404, "UNSUPPORTED"},
    {HTTP_GET, "/", NULL, PLAN_ERR_UNSUPPORTED, 404, "UNSUPPORTED"},
    {HTTP_GET, "/v1/search", NULL, PLAN_ERR_UNSUPPORTED, 404, "UNSUPPORTED"},
    {HTTP_GET, "/v2x/", NULL, PLAN_ERR_UNSUPPORTED, 404, "UNSUPPORTED"},
    {HTTP_GET, "", NULL, PLAN_ERR_UNSUPPORTED, 404, "UNSUPPORTED"},
    {HTTP_GET, "/v2/a", NULL, PLAN_ERR_UNSUPPORTED, 404, "UNSUPPORTED"},
    {HTTP_GET, "/v2/a/tags", NULL, PLAN_ERR_UNSUPPORTED, 404, "UNSUPPORTED"},
    {HTTP_GET, "/v2/a/tags/list/", NULL, PLAN_ERR_UNSUPPORTED, 404, "UNSUPPORTED"},
    {HTTP_GET, "/v2/a/tags/other", NULL, PLAN_ERR_UNSUPPORTED, 404, "UNSUPPORTED"},
    {HTTP_GET, "/v2/uploads/x", NULL, PLAN_ERR_UNSUPPORTED, 404, "UNSUPPORTED"},
    {HTTP_GET, "/v2/a/blobs/uploads", NULL, PLAN_ERR_METHOD, 405, "UNSUPPORTED"},
    {HTTP_GET, "/v2/a/blobs/uploads/", NULL, PLAN_ERR_METHOD, 405, "UNSUPPORTED"},
    {HTTP_GET, "/v2/a/blobs/uploads/1-2", NULL, PLAN_ERR_METHOD, 405, "UNSUPPORTED"},
    {HTTP_POST, "/v2/a/blobs/uploads/", NULL, PLAN_ERR_METHOD, 405, "UNSUPPORTED"},
    {HTTP_PATCH, "/v2/a/blobs/uploads/1", NULL, PLAN_ERR_METHOD, 405, "UNSUPPORTED"},
    {HTTP_PUT, "/v2/a/manifests/1", NULL, PLAN_ERR_METHOD, 405, "UNSUPPORTED"},
    {HTTP_DELETE, "/v2/a/blobs/" SHA256, NULL, PLAN_ERR_METHOD, 405, "UNSUPPORTED"},
    {HTTP_POST, "/v2/", NULL, PLAN_ERR_METHOD, 405, "UNSUPPORTED"},
    {HTTP_OPTIONS, "/v2/", NULL, PLAN_ERR_METHOD, 405, "UNSUPPORTED"},
    {HTTP_METHOD_OTHER, "/v2/a/manifests/1", NULL, PLAN_ERR_METHOD, 405, "UNSUPPORTED"},
    {HTTP_GET, "/v2/A/manifests/1", NULL, PLAN_ERR_BAD_NAME, 400, "NAME_INVALID"},
    {HTTP_GET, "/v2//manifests/1", NULL, PLAN_ERR_BAD_NAME, 400, "NAME_INVALID"},
    {HTTP_GET, "/v2/manifests/1", NULL, PLAN_ERR_BAD_NAME, 400, "NAME_INVALID"},
    {HTTP_GET, "/v2/tags/list", NULL, PLAN_ERR_BAD_NAME, 400, "NAME_INVALID"},
    {HTTP_GET, "/v2/a%2fb/manifests/1", NULL, PLAN_ERR_BAD_NAME, 400, "NAME_INVALID"},
    {HTTP_GET, "/v2/a//b/blobs/" SHA256, NULL, PLAN_ERR_BAD_NAME, 400, "NAME_INVALID"},
    {HTTP_GET, "/v2/a/blobs/x", NULL, PLAN_ERR_BAD_DIGEST, 400, "DIGEST_INVALID"},
    {HTTP_GET, "/v2/a/blobs/", NULL, PLAN_ERR_BAD_DIGEST, 400, "DIGEST_INVALID"},
    {HTTP_GET, "/v2/a/blobs/sha256:" HEX64 "0", NULL, PLAN_ERR_BAD_DIGEST, 400, "DIGEST_INVALID"},
    {HTTP_GET, "/v2/a/blobs/sha256:abc", NULL, PLAN_ERR_BAD_DIGEST, 400, "DIGEST_INVALID"},
    {HTTP_GET, "/v2/a/manifests/sha512:" HEX64, NULL, PLAN_ERR_BAD_DIGEST, 400, "DIGEST_INVALID"},
    {HTTP_GET, "/v2/a/manifests/:", NULL, PLAN_ERR_BAD_DIGEST, 400, "DIGEST_INVALID"},
    {HTTP_GET, "/v2/a/referrers/latest", NULL, PLAN_ERR_BAD_DIGEST, 400, "DIGEST_INVALID"},
    {HTTP_GET, "/v2/a/manifests/.x", NULL, PLAN_ERR_NOT_FOUND, 404, "MANIFEST_UNKNOWN"},
    {HTTP_GET, "/v2/a/manifests/", NULL, PLAN_ERR_NOT_FOUND, 404, "MANIFEST_UNKNOWN"},
    {HTTP_GET, "/v2/a/tags/list", "n=x", PLAN_ERR_BAD_REQUEST, 400, "UNSUPPORTED"},
    {HTTP_GET, "/v2/a/tags/list", "n=-1", PLAN_ERR_BAD_REQUEST, 400, "UNSUPPORTED"},
    {HTTP_GET, "/v2/a/tags/list", "n=99999999999999999999", PLAN_ERR_BAD_REQUEST, 400,
     "UNSUPPORTED"},
    {HTTP_GET, "/v2/a/tags/list", "last=%4", PLAN_ERR_BAD_REQUEST, 400, "UNSUPPORTED"},
    {HTTP_GET, "/v2/a/tags/list", "x=<>", PLAN_ERR_BAD_REQUEST, 400, "UNSUPPORTED"},
};

static void test_refusals(void **state)
{
    struct fixture *f = *state;

    for (size_t i = 0; i < sizeof refusal_cases / sizeof refusal_cases[0]; i++) {
        const struct refusal_case *c = &refusal_cases[i];
        char code[64];
        f->request.method = c->method;
        const struct plan *plan = plan_of(f, c->path, c->query);
        if (plan->kind != PLAN_REFUSED || plan->refusal != c->error)
            fail_msg("%s?%s: kind %d, error %d", c->path, c->query ? c->query : "", plan->kind,
                     plan->refusal);
        const struct plan_page *page = page_of(f, plan->refusal, plan->refusal_detail);
        assert_int_equal(page->status, c->status);
        snprintf(code, sizeof code, "\"code\":\"%s\"", c->code);
        assert_true(contains(page->body, code));
    }
}

static void test_a_refused_push_says_what_this_is(void **state)
{
    struct fixture *f = *state;
    const struct plan_page *page = page_of(f, PLAN_ERR_METHOD, SLICE(""));

    assert_true(contains(page->body, "pull-through cache"));
    assert_true(contains(page->fields, "Allow: GET, HEAD\r\n"));
}

static void test_the_base_is_answered_here_without_a_challenge(void **state)
{
    struct fixture *f = *state;
    static const char *const paths[] = {"/v2", "/v2/"};

    for (size_t i = 0; i < 4; i++) {
        f->request.method = i < 2 ? HTTP_GET : HTTP_HEAD;
        const struct plan *plan = plan_of(f, paths[i % 2], "ns=docker.io");
        assert_int_equal(plan->kind, PLAN_LOCAL);
        assert_int_equal(plan->page.status, 200);
        assert_slice(plan->page.body, "{}");
        assert_slice(plan->page.content_type, "application/json");
        assert_slice(plan->page.fields, "Docker-Distribution-Api-Version: registry/2.0\r\n");
    }
}

static void test_a_route_that_relays_only(void **state)
{
    struct fixture *f = *state;

    f->config.cache = false;
    assert_int_equal(plan_of(f, "/v2/a/manifests/1", NULL)->kind, PLAN_RELAYED);
    assert_int_equal(plan_of(f, "/v2/a/blobs/" SHA256, NULL)->kind, PLAN_RELAYED);
    assert_int_equal(plan_of(f, "/v2/", NULL)->kind, PLAN_LOCAL);
}

static void test_without_a_route_there_is_the_base_alone(void **state)
{
    struct fixture *f = *state;

    f->in.config = NULL;
    assert_int_equal(plan_of(f, "/v2/", NULL)->kind, PLAN_LOCAL);
    assert_int_equal(plan_of(f, "/v2/a/blobs/" SHA256, NULL)->kind, PLAN_REFUSED);
    assert_int_equal(plan_of(f, "/v2/a/manifests/1", NULL)->refusal, PLAN_ERR_NO_ROUTE);
}

/* --- the rules of each kind of object --- */

static void test_a_blob(void **state)
{
    const struct plan *plan = plan_of(*state, "/v2/a/blobs/" SHA256, NULL);

    assert_true(plan->immutable);
    assert_int_equal(plan->digest.algo, DIGEST_SHA256);
    assert_int_equal(plan->digest.bytes[1], 0x23);
    assert_int_equal(plan->head, HEAD_ASKS);
    assert_slice(plan->content_type, "application/octet-stream");
    assert_int_equal(plan->max_size, 0);
    assert_null(plan->inspect);
    assert_null(plan->types);
    assert_int_equal(plan->accept.n, 0);
    assert_int_equal(plan->alias_prefix.n, 0);
    assert_true(plan_accepts(plan, SLICE("application/octet-stream")));
}

static void test_an_unknown_algorithm_has_no_digest(void **state)
{
    const struct plan *plan = plan_of(*state, "/v2/a/blobs/" OTHER, NULL);

    assert_int_equal(plan->digest.algo, DIGEST_NONE);
    assert_slice(plan->upstream_path, "/v2/a/blobs/" OTHER);
}

static void test_a_manifest_by_digest(void **state)
{
    struct fixture *f = *state;

    accept_line(f, SCHEMA1); /* a digest leaves nothing to negotiate */
    const struct plan *plan = plan_of(f, "/v2/a/manifests/" SHA512, NULL);
    assert_true(plan->immutable);
    assert_int_equal(plan->digest.algo, DIGEST_SHA512);
    assert_true(plan->accepts_any);
    assert_int_equal(plan->alternate_accept.n, 0);
    assert_int_equal(plan->alias_prefix.n, 0);
    assert_int_equal(plan->head, HEAD_FILLS);
    assert_slice(plan->digest_field, "Docker-Content-Digest");
}

static void test_a_manifest_by_tag(void **state)
{
    const struct plan *plan = plan_of(*state, "/v2/a/b/manifests/latest", NULL);

    assert_false(plan->immutable);
    assert_int_equal(plan->digest.algo, DIGEST_NONE);
    assert_int_equal(plan->refresh, REFRESH_HEAD_DIGEST);
    assert_int_equal(plan->head, HEAD_FILLS);
    assert_slice(plan->alias_prefix, "a/b/manifests/");
    assert_slice(plan->digest_field, "Docker-Content-Digest");
    assert_int_equal(plan->max_size, 4393216);
    assert_ptr_equal(plan->inspect, oci_inspect_manifest);
    assert_true(plan->bare_content_type);
    assert_slice(plan->accept, OCI_INDEX ", " DOCKER_LIST ", " OCI_MANIFEST ", " DOCKER_MANIFEST);
    assert_slice(plan->variant, "");
}

static void test_which_manifest_types_are_stored(void **state)
{
    const struct plan *plan = plan_of(*state, "/v2/a/manifests/latest", NULL);
    static const char *const stored[] = {OCI_INDEX, OCI_MANIFEST, DOCKER_LIST, DOCKER_MANIFEST};
    static const char *const relayed[] = {SCHEMA1, SCHEMA1_SIGNED};

    for (size_t i = 0; i < 4; i++)
        assert_true(plan_type_listed(plan->types, plan->type_count, slice_str(stored[i])));
    for (size_t i = 0; i < 2; i++) {
        struct slice type = slice_str(relayed[i]);
        assert_false(plan_type_listed(plan->types, plan->type_count, type));
        assert_true(plan_type_listed(plan->relayed_types, plan->relayed_type_count, type));
    }
    assert_false(plan_type_listed(plan->types, plan->type_count, SLICE("text/html")));
}

static void test_lists(void **state)
{
    struct fixture *f = *state;
    const struct plan *plan = plan_of(f, "/v2/a/tags/list", NULL);

    assert_false(plan->immutable);
    assert_int_equal(plan->refresh, REFRESH_CONDITIONAL);
    assert_int_equal(plan->kept_field_count, 2);
    assert_int_equal(plan->kept_fields[0], HF_LINK);
    assert_int_equal(plan->kept_fields[1], HF_OCI_FILTERS_APPLIED);
    assert_ptr_equal(plan->inspect, oci_inspect_tags);
    assert_true(plan->max_size > 0);
    assert_slice(plan->types[0], "application/json");
    assert_true(plan_accepts(plan, SLICE("application/json")));

    plan = plan_of(f, "/v2/a/referrers/" SHA256, NULL);
    assert_int_equal(plan->digest.algo, DIGEST_NONE); /* it is the subject's, not the answer's */
    assert_int_equal(plan->type_count, 1);
    assert_slice(plan->types[0], OCI_INDEX);
    assert_slice(plan->accept, OCI_INDEX);
    assert_ptr_equal(plan->inspect, oci_inspect_manifest);
}

/* --- negotiation --- */

struct accept_case {
    const char *lines[8];
    bool any;
    const char *accepted; /* one stored type that is taken */
    const char *refused;  /* one that is not */
    const char *alternate;
};

static const struct accept_case accept_cases[] = {
    {{NULL}, true, OCI_INDEX, NULL, ""},
    {{"*/*"}, true, DOCKER_LIST, NULL, ""},
    {{"application/*"}, true, DOCKER_LIST, NULL, ""},
    {{"text/html, */*;q=0.8"}, true, OCI_INDEX, NULL, ""},
    {{"text/html"}, true, OCI_INDEX, NULL, ""},
    {{""}, true, OCI_INDEX, NULL, ""},
    /* containerd: one line */
    {{DOCKER_MANIFEST ", " DOCKER_LIST ", " OCI_MANIFEST ", " OCI_INDEX ", */*"},
     true,
     OCI_INDEX,
     NULL,
     ""},
    {{OCI_MANIFEST ", */*"}, true, DOCKER_LIST, NULL, ""},
    /* dockerd: a line for each, in random order */
    {{DOCKER_LIST, "application/json", OCI_INDEX, SCHEMA1_SIGNED, OCI_MANIFEST, DOCKER_MANIFEST},
     true,
     OCI_INDEX,
     NULL,
     ""},
    /* no lists */
    {{DOCKER_MANIFEST, OCI_MANIFEST},
     false,
     OCI_MANIFEST,
     OCI_INDEX,
     OCI_MANIFEST ", " DOCKER_MANIFEST},
    {{OCI_MANIFEST ";q=0.5," DOCKER_MANIFEST},
     false,
     OCI_MANIFEST,
     DOCKER_LIST,
     OCI_MANIFEST ", " DOCKER_MANIFEST},
    {{OCI_MANIFEST ";q=0, " DOCKER_MANIFEST},
     false,
     DOCKER_MANIFEST,
     OCI_MANIFEST,
     DOCKER_MANIFEST},
    {{"application/JSON, "
      "Application/Vnd.Docker.Distribution.Manifest.V2+JSON"},
     false,
     DOCKER_MANIFEST,
     OCI_INDEX,
     DOCKER_MANIFEST ", application/json"},
    /* old clients */
    {{SCHEMA1_SIGNED, SCHEMA1, "application/json"},
     false,
     NULL,
     DOCKER_MANIFEST,
     SCHEMA1 ", " SCHEMA1_SIGNED ", application/json"},
};

static void test_negotiation(void **state)
{
    struct fixture *f = *state;

    for (size_t i = 0; i < sizeof accept_cases / sizeof accept_cases[0]; i++) {
        const struct accept_case *c = &accept_cases[i];
        f->request.fields = (struct http_fields){0};
        for (size_t j = 0; c->lines[j]; j++)
            accept_line(f, c->lines[j]);
        const struct plan *plan = plan_of(f, "/v2/a/manifests/latest", NULL);
        if (plan->accepts_any != c->any)
            fail_msg("case %zu: accepts_any %d", i, plan->accepts_any);
        if (c->accepted)
            assert_true(plan_accepts(plan, slice_str(c->accepted)));
        if (c->refused)
            assert_false(plan_accepts(plan, slice_str(c->refused)));
        assert_slice(plan->alternate_accept, c->alternate);
        assert_slice(plan->variant, "");
    }
}

static void test_the_order_of_accept_makes_no_variant(void **state)
{
    struct fixture *f = *state;

    accept_line(f, SCHEMA1_SIGNED ", " DOCKER_MANIFEST ";q=0.3");
    struct slice one = plan_of(f, "/v2/a/manifests/1", NULL)->alternate_variant;
    f->request.fields = (struct http_fields){0};
    accept_line(f, DOCKER_MANIFEST);
    accept_line(f, SCHEMA1_SIGNED);
    accept_line(f, "application/vnd.unheard.of");
    struct slice other = plan_of(f, "/v2/a/manifests/1", NULL)->alternate_variant;
    assert_true(one.n > 0);
    assert_true(slice_eq(one, other));
}

/* --- namespaces --- */

struct library_case {
    const char *namespace;
    const char *upstream_host;
    const char *path;
    const char *resource;
};

static const struct library_case library_cases[] = {
    {"docker.io", "mirror.test", "/v2/ubuntu/manifests/1", "library/ubuntu/manifests/1"},
    {"docker.io", "mirror.test", "/v2/library/ubuntu/manifests/1", "library/ubuntu/manifests/1"},
    {"", "registry-1.docker.io", "/v2/ubuntu/manifests/1", "library/ubuntu/manifests/1"},
    {"", "docker.io", "/v2/ubuntu/tags/list", "library/ubuntu/tags/list"},
    {"", "Index.Docker.io", "/v2/ubuntu/blobs/" SHA256, "library/ubuntu/blobs/" SHA256},
    {"", "registry-1.docker.io", "/v2/a/b/manifests/1", "a/b/manifests/1"},
    {"", "registry-1.docker.io", "/v2/library/manifests/1", "library/library/manifests/1"},
    {"", "mirror.test", "/v2/ubuntu/manifests/1", "ubuntu/manifests/1"},
    {"quay.test", "quay.test", "/v2/ubuntu/manifests/1", "ubuntu/manifests/1"},
};

static void test_library_is_inserted_once_and_for_docker_hub_only(void **state)
{
    struct fixture *f = *state;

    for (size_t i = 0; i < sizeof library_cases / sizeof library_cases[0]; i++) {
        const struct library_case *c = &library_cases[i];
        f->in.namespace = slice_str(c->namespace);
        f->in.upstream_host = slice_str(c->upstream_host);
        const struct plan *plan = plan_of(f, c->path, NULL);
        assert_slice(plan->resource, c->resource);
        assert_slice(slice_from(plan->upstream_path, 4), c->resource);
    }
    f->in.namespace = SLICE("docker.io");
    assert_slice(plan_of(f, "/v2/ubuntu/manifests/1", NULL)->scope,
                 "repository:library/ubuntu:pull");
}

static void test_a_query_namespace_is_told_in_the_answer(void **state)
{
    struct fixture *f = *state;

    f->in.namespace = SLICE("a.test:5000");
    assert_slice(plan_of(f, "/v2/a/manifests/1", "ns=a.test%3a5000")->fields,
                 API_VERSION "OCI-Namespace: a.test:5000\r\n");
    assert_slice(plan_of(f, "/v2/a/manifests/1", NULL)->fields, API_VERSION);
    f->in.namespace = SLICE("");
    assert_slice(plan_of(f, "/v2/a/manifests/1", "ns=a.test")->fields, API_VERSION);
}

/* --- Link --- */

struct list_link_case {
    const char *namespace;
    const char *query; /* of the request */
    const char *path;  /* where a link leads */
    const char *link_query;
    const char *variant;
};

static const struct list_link_case list_link_cases[] = {
    {"", NULL, "/v2/a/b/tags/list", "", ""},
    {"one.test", "ns=one.test", "/v2/a/b/tags/list", "ns=one.test", "ns=one.test"},
    {"one.test:1", "ns=one.test:1", "/v2/a/b/tags/list", "ns=one.test%3A1", "ns=one.test%3A1"},
    {"one.test", NULL, "/v2/one.test/a/b/tags/list", "", "path=one.test"},
};

static void test_lists_of_different_links_have_different_variants(void **state)
{
    struct fixture *f = *state;

    for (size_t i = 0; i < sizeof list_link_cases / sizeof list_link_cases[0]; i++) {
        const struct list_link_case *c = &list_link_cases[i];
        f->in.namespace = slice_str(c->namespace);
        const struct plan *plan = plan_of(f, "/v2/a/b/tags/list", c->query);
        assert_ptr_equal(plan->rewrite_link, oci_rewrite_link);
        assert_slice(plan->link_path, c->path);
        assert_slice(plan->link_query, c->link_query);
        assert_slice(plan->variant, c->variant);
    }
    assert_slice(plan_of(f, "/v2/a/manifests/1", NULL)->variant, "");
}

/* --- errors --- */

static bool no_event(void *arg, const struct json_event *event)
{
    (void)arg;
    (void)event;
    return true;
}

static void test_every_error_is_json_with_a_code(void **state)
{
    struct fixture *f = *state;

    for (int error = 0; error < PLAN_ERR_COUNT; error++) {
        const struct plan_page *page =
            page_of(f, (enum plan_error)error, SLICE("a \"quoted\" \x01 detail\xff"));
        assert_in_range(page->status, 400, 504);
        assert_slice(page->content_type, "application/json");
        assert_true(contains(page->body, "{\"errors\":[{\"code\":\""));
        assert_true(contains(page->body, "a \\\"quoted\\\""));
        assert_int_equal(json_walk(page->body, 8, no_event, NULL), ERR_OK);
        assert_true(contains(page->fields, API_VERSION));
    }
}

struct error_case {
    enum plan_error error;
    const char *detail;
    int status;
    const char *code;
};

static const struct error_case error_cases[] = {
    {PLAN_ERR_NOT_FOUND, "a/manifests/1", 404, "MANIFEST_UNKNOWN"},
    {PLAN_ERR_NOT_FOUND, "a/blobs/" SHA256, 404, "BLOB_UNKNOWN"},
    {PLAN_ERR_NOT_FOUND, "a/tags/list?n=1", 404, "NAME_UNKNOWN"},
    {PLAN_ERR_NOT_FOUND, "", 404, "NAME_UNKNOWN"},
    {PLAN_ERR_DENIED, "a/manifests/1", 404, "NAME_UNKNOWN"},
    {PLAN_ERR_NO_ROUTE, "docker.io", 404, "NAME_UNKNOWN"},
    {PLAN_ERR_UPSTREAM, "", 503, "UNAVAILABLE"},
    {PLAN_ERR_BUSY, "", 503, "UNAVAILABLE"},
};

static void test_codes_and_statuses(void **state)
{
    struct fixture *f = *state;

    for (size_t i = 0; i < sizeof error_cases / sizeof error_cases[0]; i++) {
        const struct error_case *c = &error_cases[i];
        char code[64];
        snprintf(code, sizeof code, "\"code\":\"%s\"", c->code);
        const struct plan_page *page = page_of(f, c->error, slice_str(c->detail));
        assert_int_equal(page->status, c->status);
        assert_true(contains(page->body, code));
        assert_int_equal(contains(page->body, "\"detail\""), c->detail[0] != '\0');
    }
}

static void test_an_error_without_room_is_still_an_answer(void **state)
{
    struct arena full;
    struct plan_page page;

    (void)state;
    arena_init(&full, NULL, 0, 0);
    render_error(&full, PLAN_ERR_BUSY, SLICE("detail"), &page);
    assert_int_equal(page.status, 503);
    assert_int_equal(json_walk(page.body, 8, no_event, NULL), ERR_OK);
}

/* A cap of every size: an answer, or an honest false. */
static void test_a_full_arena(void **state)
{
    struct fixture *f = *state;

    accept_line(f, SCHEMA1);
    f->in.namespace = SLICE("one.test");
    for (size_t cap = 0; cap < 2048; cap += 16) {
        struct arena small;
        struct plan plan;
        arena_init(&small, NULL, 0, cap);
        ask(f, "/v2/a/manifests/1", "ns=one.test");
        if (plan_request(&f->in, &small, &plan))
            assert_slice(plan.resource, "a/manifests/1");
        ask(f, "/v2/a/tags/list", "n=1&last=b");
        if (plan_request(&f->in, &small, &plan) && plan.kind == PLAN_CACHED)
            assert_slice(plan.resource, "a/tags/list?n=1&last=b");
        arena_reset(&small);
    }
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_objects),
        TEST(test_refusals),
        TEST(test_a_refused_push_says_what_this_is),
        TEST(test_the_base_is_answered_here_without_a_challenge),
        TEST(test_a_route_that_relays_only),
        TEST(test_without_a_route_there_is_the_base_alone),
        TEST(test_a_blob),
        TEST(test_an_unknown_algorithm_has_no_digest),
        TEST(test_a_manifest_by_digest),
        TEST(test_a_manifest_by_tag),
        TEST(test_which_manifest_types_are_stored),
        TEST(test_lists),
        TEST(test_negotiation),
        TEST(test_the_order_of_accept_makes_no_variant),
        TEST(test_library_is_inserted_once_and_for_docker_hub_only),
        TEST(test_a_query_namespace_is_told_in_the_answer),
        TEST(test_lists_of_different_links_have_different_variants),
        TEST(test_every_error_is_json_with_a_code),
        TEST(test_codes_and_statuses),
        TEST(test_an_error_without_room_is_still_an_answer),
        TEST(test_a_full_arena),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
