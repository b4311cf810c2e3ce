#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "daemon/protocol/npm.c"

#include "base/json.h"

#define BASE "http://cache.test:5000/npm"
#define TOKEN "Bearer npm_secret"

enum { ARENA_CAP = 256 * 1024, FIELDS_MAX = 20 };

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
    f->request.method_text = SLICE("GET");
    f->in = (struct plan_input){.request = &f->request,
                                .base = SLICE(BASE),
                                .upstream_host = SLICE("registry.test"),
                                .config = &f->config};
    f->config.cache = true;
    f->config.ttl_ms = 60 * 1000;
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

static void add_field(struct fixture *f, const char *name, const char *value)
{
    assert_true(http_fields_add(&f->request.fields, &f->arena, FIELDS_MAX, slice_str(name),
                                slice_str(value)));
}

static void set_method(struct fixture *f, enum http_method method, const char *text)
{
    f->request.method = method;
    f->request.method_text = slice_str(text);
}

/* `target`: a path, and a query behind '?'. */
static const struct plan *plan_of(struct fixture *f, const char *target)
{
    struct slice text = slice_str(target);
    size_t mark = slice_find(text, '?');

    f->request.path = slice_to(text, mark);
    f->request.query = mark < text.n ? slice_from(text, mark + 1) : slice_of(NULL, 0);
    f->in.path = f->request.path;
    assert_true(plan_request(&f->in, &f->arena, &f->plan));
    assert_ptr_equal(f->plan.render_error, render_error);
    return &f->plan;
}

static void assert_slice(struct slice got, const char *want)
{
    if (!slice_eq(got, slice_str(want)))
        fail_msg("got \"%.*s\", want \"%s\"", SLICE_ARG(got), want);
}

static bool contains(struct slice s, const char *part)
{
    return memmem(s.p, s.n, part, strlen(part)) != NULL;
}

static void assert_line(struct slice fields, const char *line)
{
    if (!contains(fields, line))
        fail_msg("\"%.*s\" lacks \"%s\"", SLICE_ARG(fields), line);
}

/* --- what is refused --- */

struct refusal_case {
    enum http_method method;
    const char *target;
    enum plan_error error;
    int status;
};

static const struct refusal_case refusal_cases[] = {
    {HTTP_GET, "/..", PLAN_ERR_BAD_NAME, 400},
    {HTTP_GET, "/%2e%2e", PLAN_ERR_BAD_NAME, 400},
    {HTTP_GET, "/@s%2f..", PLAN_ERR_BAD_NAME, 400},
    {HTTP_GET, "/@s%2f%2e%2e", PLAN_ERR_BAD_NAME, 400},
    {HTTP_GET, "/@s%252fn", PLAN_ERR_BAD_NAME, 400},
    {HTTP_GET, "/..%2fetc", PLAN_ERR_BAD_NAME, 400},
    {HTTP_GET, "/%2fetc", PLAN_ERR_BAD_NAME, 400},
    {HTTP_GET, "/a%00b", PLAN_ERR_BAD_NAME, 400},
    {HTTP_GET, "/a%5cb", PLAN_ERR_BAD_NAME, 400},
    {HTTP_GET, "/a%0d%0aX:%20y", PLAN_ERR_BAD_NAME, 400},
    {HTTP_GET, "//a", PLAN_ERR_BAD_NAME, 400},
    {HTTP_GET, "/@s", PLAN_ERR_BAD_NAME, 400},
    {HTTP_GET, "/_a", PLAN_ERR_BAD_NAME, 400},
    {HTTP_GET, "/favicon.ico", PLAN_ERR_BAD_NAME, 400},
    {HTTP_PUT, "/..", PLAN_ERR_BAD_NAME, 400},
    {HTTP_GET, "/-/package/.x/dist-tags", PLAN_ERR_BAD_NAME, 400},
    {HTTP_GET, "/-/npm/v1/attestations/..@1", PLAN_ERR_BAD_NAME, 400},
    {HTTP_GET, "/a/../b", PLAN_ERR_UNSUPPORTED, 404},
    {HTTP_GET, "/a/..", PLAN_ERR_NOT_FOUND, 404},
    {HTTP_GET, "/a/%2e%2e", PLAN_ERR_NOT_FOUND, 404},
    {HTTP_GET, "/a/^1.0.0", PLAN_ERR_NOT_FOUND, 404},
    {HTTP_GET, "/a/-/..", PLAN_ERR_NOT_FOUND, 404},
    {HTTP_GET, "/a/-/.tgz", PLAN_ERR_NOT_FOUND, 404},
    {HTTP_GET, "/a/-/%2e%2e%2fb.tgz", PLAN_ERR_UNSUPPORTED, 404},
    {HTTP_GET, "/a/-/b.zip", PLAN_ERR_NOT_FOUND, 404},
    {HTTP_GET, "/-/npm/v1/attestations/a@", PLAN_ERR_NOT_FOUND, 404},
    {HTTP_GET, "/a/b/c/d", PLAN_ERR_UNSUPPORTED, 404},
    {HTTP_GET, "/-/all", PLAN_ERR_UNSUPPORTED, 404},
    {HTTP_GET, "/-/npm/v1/security/audits", PLAN_ERR_UNSUPPORTED, 404},
    {HTTP_GET, "/-/package/a/dist-tags/latest", PLAN_ERR_UNSUPPORTED, 404},
    {HTTP_GET, "/", PLAN_ERR_UNSUPPORTED, 404},
    {HTTP_GET, "/-/v1/search?text=%", PLAN_ERR_BAD_REQUEST, 400},
    {HTTP_PUT, "/a", PLAN_ERR_METHOD, 405},
    {HTTP_DELETE, "/@s%2fn/-rev/1", PLAN_ERR_METHOD, 405},
    {HTTP_PUT, "/-/package/a/dist-tags/latest", PLAN_ERR_METHOD, 405},
    {HTTP_PUT, "/-/user/org.couchdb.user:me", PLAN_ERR_METHOD, 405},
    {HTTP_POST, "/-/v1/login", PLAN_ERR_METHOD, 405},
    {HTTP_POST, "/-/ping", PLAN_ERR_METHOD, 405},
    {HTTP_POST, "/-/other", PLAN_ERR_METHOD, 405},
    {HTTP_PUT, "/-/npm/v1/security/audits", PLAN_ERR_METHOD, 405},
    {HTTP_GET, "/-/whoami", PLAN_ERR_METHOD, 405},
    {HTTP_GET, "/-/npm/v1/tokens", PLAN_ERR_METHOD, 405},
    {HTTP_GET, "/a?write=true", PLAN_ERR_METHOD, 405},
    {HTTP_OPTIONS, "/a", PLAN_ERR_METHOD, 405},
    {HTTP_METHOD_OTHER, "/a", PLAN_ERR_METHOD, 405},
};

static bool no_event(void *arg, const struct json_event *event)
{
    (void)arg;
    (void)event;
    return true;
}

static void test_refusals(void **state)
{
    struct fixture *f = *state;
    struct plan_page page;

    for (size_t i = 0; i < sizeof refusal_cases / sizeof refusal_cases[0]; i++) {
        const struct refusal_case *c = &refusal_cases[i];
        set_method(f, c->method, "X");
        const struct plan *plan = plan_of(f, c->target);
        if (plan->kind != PLAN_REFUSED || plan->refusal != c->error)
            fail_msg("%s: kind %d, error %d", c->target, plan->kind, plan->refusal);
        render_error(&f->arena, plan->refusal, plan->refusal_detail, &page);
        assert_int_equal(page.status, c->status);
        assert_int_equal(json_walk(page.body, 2, no_event, NULL), ERR_OK);
        assert_true(slice_starts(page.body, SLICE("{\"error\":\"")));
    }
}

static void test_other_methods_are_refused_with_passthrough_too(void **state)
{
    struct fixture *f = *state;

    f->config.passthrough = true;
    set_method(f, HTTP_METHOD_OTHER, "TRACE");
    assert_int_equal(plan_of(f, "/a")->refusal, PLAN_ERR_METHOD);
    set_method(f, HTTP_OPTIONS, "OPTIONS");
    assert_int_equal(plan_of(f, "/-/whoami")->refusal, PLAN_ERR_METHOD);
}

static void test_without_a_host_no_links_can_be_written(void **state)
{
    struct fixture *f = *state;
    static const char *const targets[] = {"/a", "/a/latest"};
    struct plan_page page;

    f->in.base = slice_of(NULL, 0);
    for (size_t i = 0; i < 2; i++) {
        const struct plan *plan = plan_of(f, targets[i]);
        assert_int_equal(plan->kind, PLAN_REFUSED);
        assert_int_equal(plan->refusal, PLAN_ERR_BAD_REQUEST);
        render_error(&f->arena, plan->refusal, plan->refusal_detail, &page);
        assert_int_equal(page.status, 400);
        assert_true(contains(page.body, "without a Host"));
    }
    assert_int_equal(plan_of(f, "/a/-/a-1.tgz")->kind, PLAN_CACHED);
}

static void test_a_full_arena(void **state)
{
    struct fixture *f = *state;
    static const char *const targets[] = {"/a",
                                          "/a/1",
                                          "/a/-/a-1.tgz",
                                          "/-/v1/search",
                                          "/-/npm/v1/keys",
                                          "/a/b",
                                          "/-/npm/v1/attestations/a@1",
                                          "/-/package/a/dist-tags"};
    struct arena no_room;

    arena_init(&no_room, NULL, 0, 0);
    for (size_t i = 0; i < sizeof targets / sizeof targets[0]; i++) {
        f->in.path = slice_str(targets[i]);
        assert_false(plan_request(&f->in, &no_room, &f->plan));
    }
}

/* --- errors --- */

static void test_errors(void **state)
{
    struct fixture *f = *state;
    static const int statuses[PLAN_ERR_COUNT] = {
        [PLAN_ERR_BAD_REQUEST] = 400, [PLAN_ERR_BAD_NAME] = 400,  [PLAN_ERR_BAD_DIGEST] = 400,
        [PLAN_ERR_NO_ROUTE] = 404,    [PLAN_ERR_NOT_FOUND] = 404, [PLAN_ERR_DENIED] = 403,
        [PLAN_ERR_UNSUPPORTED] = 404, [PLAN_ERR_METHOD] = 405,    [PLAN_ERR_CREDENTIALS] = 401,
        [PLAN_ERR_FORBIDDEN] = 403,   [PLAN_ERR_FOREIGN] = 403,   [PLAN_ERR_ONLY_CACHED] = 504,
        [PLAN_ERR_UPSTREAM] = 503,    [PLAN_ERR_BUSY] = 503};
    struct plan_page page;

    for (enum plan_error error = 0; error < PLAN_ERR_COUNT; error++) {
        render_error(&f->arena, error, SLICE("a\"\n\xff\\"), &page);
        assert_int_equal(page.status, statuses[error]);
        assert_slice(page.content_type, "application/json");
        assert_int_equal(json_walk(page.body, 2, no_event, NULL), ERR_OK);
        assert_int_equal(contains(page.fields, "WWW-Authenticate: Bearer"),
                         error == PLAN_ERR_CREDENTIALS);
        assert_int_equal(contains(page.fields, "Allow: GET, HEAD\r\n"), error == PLAN_ERR_METHOD);
    }
    render_error(&f->arena, PLAN_ERR_FOREIGN, SLICE(""), &page);
    assert_true(contains(page.body, "file_hosts"));
    render_error(&f->arena, PLAN_ERR_NOT_FOUND, SLICE("lodash"), &page);
    assert_slice(page.body, "{\"error\":\"Not found: lodash\"}\n");
}

static void test_an_error_without_room(void **state)
{
    struct arena no_room;
    struct plan_page page;

    (void)state;
    arena_init(&no_room, NULL, 0, 0);
    render_error(&no_room, PLAN_ERR_NOT_FOUND, SLICE("x"), &page);
    assert_int_equal(page.status, 404);
    assert_slice(page.body, "{\"error\":\"out of room\"}\n");
}

/* --- packuments --- */

static void test_all_spellings_of_a_scope_are_one_object(void **state)
{
    struct fixture *f = *state;
    static const char *const spellings[] = {"/@s/n",   "/@s%2fn", "/@s%2Fn",    "/%40s%2fn",
                                            "/%40s/n", "/@s/n/",  "/@s%2fn?x=y"};

    for (size_t i = 0; i < sizeof spellings / sizeof spellings[0]; i++) {
        const struct plan *plan = plan_of(f, spellings[i]);
        assert_int_equal(plan->kind, PLAN_CACHED);
        assert_slice(plan->resource, "@s%2fn");
        assert_slice(plan->page_name, "@s/n");
        assert_slice(plan->source->resource, "@s%2fn");
        assert_slice(plan->source->upstream_path, "/@s%2fn");
        assert_slice(plan->source->page_name, "@s/n");
    }
}

static void test_a_packument_is_made_from_its_source(void **state)
{
    struct fixture *f = *state;
    const struct plan *plan = plan_of(f, "/lodash");
    const struct plan *source = plan->source;

    assert_ptr_equal(plan->rewrite, &npm_packument_reader);
    assert_slice(plan->link_base, BASE);
    assert_slice(plan->page_name, "lodash");
    assert_slice(plan->variant, "full made=1 base=" BASE);
    assert_false(plan->gzips);
    assert_slice(plan->fields,
                 "Cache-Control: public, max-age=60\r\nVary: Accept, Accept-Encoding\r\n");
    assert_null(plan->pages[0]);

    assert_int_equal(source->kind, PLAN_CACHED);
    assert_slice(source->variant, "full");
    assert_slice(source->accept, "application/json");
    assert_slice(source->upstream_path, "/lodash");
    assert_true(source->takes_gzip && source->bare_content_type && source->accepts_any);
    assert_int_equal(source->max_size, DOCUMENT_MAX);
    assert_int_equal(source->refresh, REFRESH_CONDITIONAL);
    assert_int_equal(source->head, HEAD_FILLS);
    assert_ptr_equal(source->check, &npm_packument_reader);
    assert_null(source->source);
    assert_true(plan_type_listed(source->types, source->type_count, SLICE("application/json")));
    assert_true(plan_type_listed(source->types, source->type_count, SLICE(ABBREVIATED_TYPE)));
    assert_false(plan_type_listed(source->types, source->type_count, SLICE("text/html")));
}

static void test_the_form_is_negotiated(void **state)
{
    static const struct {
        const char *accept;
        bool abbreviated;
    } cases[] = {
        {"application/vnd.npm.install-v1+json; q=1.0, application/json; q=0.8, */*", true},
        {"application/vnd.npm.install-v1+json", true},
        {"APPLICATION/VND.NPM.INSTALL-V1+JSON", true},
        {"application/json;q=0.5,application/vnd.npm.install-v1+json;q=0.6", true},
        {"application/vnd.npm.install-v1+json;q=0.8, application/json", false},
        {"application/vnd.npm.install-v1+json;q=0, */*", false},
        {"application/json; q=1.0, */*", false},
        {"application/json", false},
        {"*/*", false},
        {"text/html", false},
        {"", false},
    };

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct fixture *f = *state;
        f->request.fields.n = 0;
        add_field(f, "Accept", cases[i].accept);
        const struct plan *source = plan_of(f, "/a")->source;
        if (slice_eq(source->variant, SLICE("abbreviated")) != cases[i].abbreviated)
            fail_msg("%s: %.*s", cases[i].accept, SLICE_ARG(source->variant));
        assert_int_equal(slice_starts(f->plan.variant, SLICE("abbreviated ")),
                         cases[i].abbreviated);
    }
}

static void test_the_abbreviated_form_is_asked_as_npm_asks(void **state)
{
    struct fixture *f = *state;

    add_field(f, "Accept", ABBREVIATED_TYPE);
    assert_slice(plan_of(f, "/a")->source->accept,
                 "application/vnd.npm.install-v1+json; q=1.0, application/json; q=0.8, */*");
}

static void test_base_and_coding_are_part_of_the_variant(void **state)
{
    struct fixture *f = *state;

    add_field(f, "Accept-Encoding", "gzip");
    f->in.base = SLICE("https://other.test");
    const struct plan *plan = plan_of(f, "/a");
    assert_true(plan->gzips);
    assert_slice(plan->variant, "full made=1 gzip base=https://other.test");
    assert_slice(plan->source->variant, "full");
}

static void test_a_version(void **state)
{
    struct fixture *f = *state;

    add_field(f, "Accept", ABBREVIATED_TYPE); /* there is one form of it only */
    const struct plan *plan = plan_of(f, "/@s/n/1.0.0%2Bb");
    assert_slice(plan->resource, "@s%2fn/1.0.0+b");
    assert_slice(plan->source->upstream_path, "/@s%2fn/1.0.0+b");
    assert_slice(plan->source->accept, "application/json");
    assert_ptr_equal(plan->rewrite, &npm_version_reader);
    assert_ptr_equal(plan->source->check, &npm_version_reader);
    assert_slice(plan->page_name, "@s/n");
    assert_line(plan->fields, "Vary: Accept-Encoding\r\n");
}

static void test_clients_keep_pages_for_five_minutes_at_most(void **state)
{
    struct fixture *f = *state;

    f->config.ttl_ms = (int64_t)24 * 3600 * 1000;
    assert_line(plan_of(f, "/a")->fields, "Cache-Control: public, max-age=300\r\n");
}

/* --- tarballs --- */

static void test_a_tarball_is_proven_by_the_packument(void **state)
{
    struct fixture *f = *state;
    static const char *const targets[] = {"/@s/n/-/n-1.0.0.tgz", "/@s%2fn/-/n-1.0.0.tgz?cache=0"};

    f->in.base = slice_of(NULL, 0);
    for (size_t i = 0; i < 2; i++) {
        const struct plan *plan = plan_of(f, targets[i]);
        assert_int_equal(plan->kind, PLAN_CACHED);
        assert_true(plan->immutable);
        assert_slice(plan->resource, "@s%2fn/-/n-1.0.0.tgz");
        assert_slice(plan->wanted, "n-1.0.0.tgz");
        assert_slice(plan->page_name, "@s/n");
        assert_ptr_equal(plan->find, &npm_packument_reader);
        assert_ptr_equal(plan->config, &f->config);
        assert_false(plan->always_proven);
        assert_int_equal(plan->head, HEAD_ASKS);
        assert_int_equal(plan->digest.algo, DIGEST_NONE);
        assert_null(plan->source);
        assert_false(plan->takes_gzip);
        assert_slice(plan->fields, "Cache-Control: public, max-age=31536000, immutable\r\n");
        assert_slice(plan->pages[0]->variant, "abbreviated");
        assert_slice(plan->pages[1]->variant, "full");
        assert_slice(plan->pages[0]->upstream_path, "/@s%2fn");
        assert_slice(plan->pages[1]->resource, "@s%2fn");
        assert_ptr_equal(plan->pages[0]->check, &npm_packument_reader);
    }
}

/* What a page's own request is made from must be what a file is proven by: one object. */
static void test_pages_and_sources_have_the_same_key(void **state)
{
    struct fixture *f = *state;
    const struct plan page = *plan_of(f, "/a/-/a-1.tgz")->pages[1];
    const struct plan *source = plan_of(f, "/a")->source;

    assert_true(slice_eq(page.resource, source->resource));
    assert_true(slice_eq(page.variant, source->variant));
    assert_true(slice_eq(page.accept, source->accept));
}

/* --- the other endpoints --- */

static void test_ping_is_answered_here(void **state)
{
    struct fixture *f = *state;
    const struct plan *plan = plan_of(f, "/-/ping?write=true");

    assert_int_equal(plan->kind, PLAN_LOCAL);
    assert_int_equal(plan->page.status, 200);
    assert_slice(plan->page.body, "{}");
    assert_slice(plan->page.content_type, "application/json");
}

static void test_small_documents(void **state)
{
    struct fixture *f = *state;
    static const struct {
        const char *target, *upstream;
    } cases[] = {
        {"/-/v1/search?text=a+b&size=20&from=0", "/-/v1/search?from=0&size=20&text=a%20b"},
        {"/-/v1/search", "/-/v1/search"},
        {"/-/npm/v1/keys?x=y", "/-/npm/v1/keys"},
        {"/-/npm/v1/attestations/@s/n@1.0.0", "/-/npm/v1/attestations/@s%2fn@1.0.0"},
        {"/-/npm/v1/attestations/a@1.0.0", "/-/npm/v1/attestations/a@1.0.0"},
        {"/-/package/@s%2fn/dist-tags", "/-/package/@s%2fn/dist-tags"},
    };

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const struct plan *plan = plan_of(f, cases[i].target);
        assert_int_equal(plan->kind, PLAN_CACHED);
        assert_slice(plan->upstream_path, cases[i].upstream);
        assert_slice(plan->resource, cases[i].upstream + 1);
        assert_null(plan->source);
        assert_ptr_equal(plan->check, &npm_object_reader);
        assert_int_equal(plan->refresh, REFRESH_CONDITIONAL);
        assert_int_equal(plan->type_count, 1);
        assert_slice(plan->types[0], "application/json");
        assert_slice(plan->fields, "Cache-Control: public, max-age=60\r\n");
    }
}

static void test_audits_are_relayed_without_an_account(void **state)
{
    struct fixture *f = *state;
    static const char *const targets[] = {"/-/npm/v1/security/advisories/bulk",
                                          "/-/npm/v1/security/audits/quick",
                                          "/-/npm/v1/security/audits"};

    set_method(f, HTTP_POST, "POST");
    add_field(f, "Authorization", TOKEN);
    add_field(f, "Content-Type", "application/json");
    add_field(f, "Content-Encoding", "gzip");
    add_field(f, "Accept", "*/*");
    add_field(f, "npm-session", "abc");
    add_field(f, "Cookie", "c=d");
    for (size_t i = 0; i < 3; i++) {
        const struct plan *plan = plan_of(f, targets[i]);
        assert_int_equal(plan->kind, PLAN_RELAYED);
        assert_int_equal(plan->method, HTTP_POST);
        assert_true(plan->takes_body && plan->passes_status);
        assert_int_equal(plan->line_count, 2);
        assert_slice(plan->lines[0], "Content-Type: application/json");
        assert_slice(plan->lines[1], "Content-Encoding: gzip");
        assert_slice(plan->accept, "*/*");
        assert_slice(plan->upstream_path, targets[i]);
        assert_int_equal(plan->credential.n, 0);
        assert_null(plan->outdates[0]);
        assert_slice(plan->fields, "Cache-Control: private, no-store\r\n");
    }
}

/* --- a client's own credentials --- */

static void sign_in(struct fixture *f)
{
    f->config.passthrough = true;
    add_field(f, "Authorization", TOKEN);
}

static void test_credentials_are_on_every_plan(void **state)
{
    struct fixture *f = *state;

    sign_in(f);
    const struct plan *plan = plan_of(f, "/@s/n");
    assert_slice(plan->credential, TOKEN);
    assert_slice(plan->source->credential, TOKEN);
    assert_line(plan->fields, "Cache-Control: private, no-cache\r\n");
    assert_line(plan->fields, "Vary: Accept, Accept-Encoding, Authorization\r\n");
    plan = plan_of(f, "/@s/n/-/n-1.tgz");
    assert_slice(plan->credential, TOKEN);
    assert_slice(plan->pages[0]->credential, TOKEN);
    assert_slice(plan->pages[1]->credential, TOKEN);
    assert_true(plan->always_proven);
    assert_line(plan->fields, "Cache-Control: private, max-age=31536000, immutable\r\n");
    assert_line(plan->fields, "Vary: Authorization\r\n");
    plan = plan_of(f, "/-/v1/search?text=a");
    assert_slice(plan->credential, TOKEN);
    assert_line(plan->fields, "Cache-Control: private, no-cache\r\nVary: Authorization\r\n");
}

static void test_who_shows_no_credentials_is_checked_too(void **state)
{
    struct fixture *f = *state;

    f->config.passthrough = true;
    const struct plan *plan = plan_of(f, "/@s/n/-/n-1.tgz");
    assert_true(plan->always_proven);
    assert_int_equal(plan->credential.n, 0);
    assert_line(plan->fields, "Cache-Control: public, max-age=31536000, immutable\r\n");
    assert_line(plan->fields, "Vary: Authorization\r\n");
    assert_line(plan_of(f, "/a")->fields, "Cache-Control: public, max-age=60\r\n");
}

static void test_other_routes_get_no_credentials(void **state)
{
    struct fixture *f = *state;

    add_field(f, "Authorization", TOKEN);
    const struct plan *plan = plan_of(f, "/a");
    assert_int_equal(plan->credential.n, 0);
    assert_int_equal(plan->source->credential.n, 0);
    assert_false(contains(plan->fields, "Authorization"));
}

static void test_writes_are_relayed_and_outdate_the_package(void **state)
{
    struct fixture *f = *state;
    static const struct {
        enum http_method method;
        const char *target;
    } cases[] = {
        {HTTP_PUT, "/@s%2fn"},
        {HTTP_PUT, "/@s%2fn/-rev/1-2"},
        {HTTP_DELETE, "/@s%2fn/-/n-1.tgz/-rev/1-2"},
        {HTTP_PUT, "/-/package/@s%2fn/dist-tags/next"},
        {HTTP_DELETE, "/-/package/@s%2fn/dist-tags/next"},
    };

    sign_in(f);
    add_field(f, "npm-otp", "123456");
    add_field(f, "npm-auth-type", "web");
    add_field(f, "npm-command", "publish");
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        set_method(f, cases[i].method, "X");
        const struct plan *plan = plan_of(f, cases[i].target);
        assert_int_equal(plan->kind, PLAN_RELAYED);
        assert_int_equal(plan->method, cases[i].method);
        assert_true(plan->takes_body && plan->passes_status);
        assert_slice(plan->credential, TOKEN);
        assert_slice(plan->upstream_path, cases[i].target);
        assert_int_equal(plan->line_count, 3);
        assert_slice(plan->lines[0], "npm-otp: 123456");
        assert_slice(plan->outdates[0]->variant, "abbreviated");
        assert_slice(plan->outdates[1]->variant, "full");
        assert_slice(plan->outdates[0]->resource, "@s%2fn");
        assert_slice(plan->outdates[0]->credential, TOKEN);
    }
}

static void test_accounts_are_relayed(void **state)
{
    struct fixture *f = *state;
    static const struct {
        enum http_method method;
        const char *target;
    } cases[] = {
        {HTTP_GET, "/-/whoami"},
        {HTTP_GET, "/-/npm/v1/tokens?page=2"},
        {HTTP_DELETE, "/-/npm/v1/tokens/token/x"},
        {HTTP_POST, "/-/npm/v1/user"},
        {HTTP_PUT, "/-/user/org.couchdb.user:me"},
        {HTTP_POST, "/-/v1/login"},
        {HTTP_GET, "/-/org/o/user"},
        {HTTP_GET, "/-/package/a/access"},
        {HTTP_GET, "/-/package/a/dist-tags"},
        {HTTP_GET, "/-/elsewhere"},
        {HTTP_GET, "/a?write=true"},
        {HTTP_GET, "/a/-rev/1"},
    };

    sign_in(f);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        set_method(f, cases[i].method, "X");
        const struct plan *plan = plan_of(f, cases[i].target);
        assert_int_equal(plan->kind, PLAN_RELAYED);
        assert_slice(plan->upstream_path, cases[i].target);
        assert_slice(plan->resource, cases[i].target + 1);
        assert_slice(plan->credential, TOKEN);
        assert_true(plan->passes_status);
        assert_int_equal(plan->takes_body, cases[i].method != HTTP_GET);
        assert_null(plan->source);
        assert_null(plan->outdates[0]);
    }
}

static void test_who_logs_in_has_no_credentials_yet(void **state)
{
    struct fixture *f = *state;

    f->config.passthrough = true;
    set_method(f, HTTP_PUT, "PUT");
    const struct plan *plan = plan_of(f, "/-/user/org.couchdb.user:me");
    assert_int_equal(plan->kind, PLAN_RELAYED);
    assert_int_equal(plan->credential.n, 0);
}

/* --- a route that stores nothing --- */

static void test_a_route_that_relays_only(void **state)
{
    struct fixture *f = *state;

    f->config.cache = false;
    const struct plan *plan = plan_of(f, "/a");
    assert_int_equal(plan->kind, PLAN_RELAYED);
    assert_int_equal(plan->source->kind, PLAN_RELAYED);
    assert_ptr_equal(plan->rewrite, &npm_packument_reader);
    plan = plan_of(f, "/a/-/a-1.tgz");
    assert_int_equal(plan->kind, PLAN_RELAYED);
    assert_int_equal(plan->pages[0]->kind, PLAN_RELAYED);
    assert_int_equal(plan_of(f, "/-/npm/v1/keys")->kind, PLAN_RELAYED);
    assert_false(plan_of(f, "/-/npm/v1/keys")->passes_status);
    assert_int_equal(plan_of(f, "/-/ping")->kind, PLAN_LOCAL);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_refusals),
        TEST(test_other_methods_are_refused_with_passthrough_too),
        TEST(test_without_a_host_no_links_can_be_written),
        TEST(test_a_full_arena),
        TEST(test_errors),
        TEST(test_an_error_without_room),
        TEST(test_all_spellings_of_a_scope_are_one_object),
        TEST(test_a_packument_is_made_from_its_source),
        TEST(test_the_form_is_negotiated),
        TEST(test_the_abbreviated_form_is_asked_as_npm_asks),
        TEST(test_base_and_coding_are_part_of_the_variant),
        TEST(test_a_version),
        TEST(test_clients_keep_pages_for_five_minutes_at_most),
        TEST(test_a_tarball_is_proven_by_the_packument),
        TEST(test_pages_and_sources_have_the_same_key),
        TEST(test_ping_is_answered_here),
        TEST(test_small_documents),
        TEST(test_audits_are_relayed_without_an_account),
        TEST(test_credentials_are_on_every_plan),
        TEST(test_who_shows_no_credentials_is_checked_too),
        TEST(test_other_routes_get_no_credentials),
        TEST(test_writes_are_relayed_and_outdate_the_package),
        TEST(test_accounts_are_relayed),
        TEST(test_who_logs_in_has_no_credentials_yet),
        TEST(test_a_route_that_relays_only),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
