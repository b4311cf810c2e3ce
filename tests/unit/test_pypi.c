#include "daemon/protocol/pypi.c"

#include "http_test.h"

enum { ARENA_CAP = 1024 * 1024 };

#define FILE_PATH "/simple/foo/files/files.test/p/foo-1.whl"

struct fixture {
    struct arena arena;
    struct http_request request;
    struct config_upstream upstream;
    char *file_hosts[2];
    struct config_route config;
    struct plan_input in;
    struct plan plan;
};

static int setup(void **state)
{
    static char url[] = "https://index.test", listed[] = "files.test", exact[] = "odd.test:8080";
    struct fixture *f = test_calloc(1, sizeof *f);

    arena_init(&f->arena, NULL, 0, ARENA_CAP);
    f->upstream.url = url;
    f->file_hosts[0] = listed;
    f->file_hosts[1] = exact;
    f->config = (struct config_route){.cache = true,
                                      .upstreams = &f->upstream,
                                      .upstream_count = 1,
                                      .file_hosts = {.v = f->file_hosts, .n = 2},
                                      .ttl_ms = 90 * 1000};
    f->in = (struct plan_input){
        .request = &f->request, .upstream_host = SLICE("index.test"), .config = &f->config};
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

static const struct plan *plan_of(struct fixture *f, const char *path, const char *query)
{
    f->request.path = slice_str(path);
    f->request.query = slice_str(query);
    f->in.path = f->request.path;
    assert_true(plan_request(&f->in, &f->arena, &f->plan));
    return &f->plan;
}

static void set_field(struct fixture *f, const char *name, const char *value)
{
    f->request.fields.n = 0;
    assert_true(
        http_fields_add(&f->request.fields, &f->arena, 100, slice_str(name), slice_str(value)));
}

static void assert_refused(const char *path, const struct plan *plan, enum plan_error error)
{
    if (plan->kind != PLAN_REFUSED || plan->refusal != error)
        fail_msg("%s: kind %d, refusal %d", path, (int)plan->kind, (int)plan->refusal);
}

static bool holds(struct slice lines, const char *text)
{
    return memmem(lines.p, lines.n, text, strlen(text)) != NULL;
}

/* --- refusals --- */

static const struct {
    const char *path;
    enum plan_error error;
} refusals[] = {
    {"/", PLAN_ERR_UNSUPPORTED},
    {"", PLAN_ERR_UNSUPPORTED},
    {"/foo/", PLAN_ERR_UNSUPPORTED},
    {"/simple/foo/foo-1.whl", PLAN_ERR_UNSUPPORTED},
    {"/simple/foo/files/files.test/", PLAN_ERR_UNSUPPORTED},
    {"/simple/../", PLAN_ERR_BAD_NAME},
    {"/simple/%2e%2e/", PLAN_ERR_BAD_NAME},
    {"/simple/a%2fb/", PLAN_ERR_BAD_NAME},
    {"/simple/a%00/", PLAN_ERR_BAD_NAME},
    {"/pypi/_/json", PLAN_ERR_BAD_NAME},
    {"/pypi/foo/%2e%2e/json", PLAN_ERR_NOT_FOUND},
    {"/pypi/foo/1%2f2/json", PLAN_ERR_NOT_FOUND},
    {"/simple/-/files/files.test/x", PLAN_ERR_BAD_NAME},
    {"/simple/foo/files/169.254.169.254/latest/x", PLAN_ERR_FOREIGN},
    {"/simple/foo/files/127.0.0.1:5001/x", PLAN_ERR_FOREIGN},
    {"/simple/foo/files/127.0.0.1%3A5001/x", PLAN_ERR_FOREIGN},
    {"/simple/foo/files/%5B::1%5D/x", PLAN_ERR_FOREIGN},
    {"/simple/foo/files/evil.test/x.whl", PLAN_ERR_FOREIGN},
    {"/simple/foo/files/index.test:8443/x.whl", PLAN_ERR_FOREIGN},
    {"/simple/foo/files/odd.test/x.whl", PLAN_ERR_FOREIGN},
    {"/simple/foo/files/a.index.test/x.whl", PLAN_ERR_FOREIGN},
    {"/simple/foo/files/index.test./x.whl", PLAN_ERR_FOREIGN},
    {"/simple/foo/files/files.test/../x", PLAN_ERR_BAD_REQUEST},
    {"/simple/foo/files/files.test/%2e%2e/x", PLAN_ERR_BAD_REQUEST},
    {"/simple/foo/files/files.test/..%2fx", PLAN_ERR_BAD_REQUEST},
    {"/simple/foo/files/files.test/%5cx", PLAN_ERR_BAD_REQUEST},
    {"/simple/foo/files/u@files.test/x", PLAN_ERR_BAD_REQUEST},
    {"/simple/foo/files/file:/x", PLAN_ERR_BAD_REQUEST},
    {"/simple/foo/files/127.1/x", PLAN_ERR_BAD_REQUEST},
    {"/simple/foo/files/0x7f000001/x", PLAN_ERR_BAD_REQUEST},
};

static void test_what_is_refused(void **state)
{
    struct fixture *f = *state;

    for (size_t i = 0; i < sizeof refusals / sizeof refusals[0]; i++)
        assert_refused(refusals[i].path, plan_of(f, refusals[i].path, NULL), refusals[i].error);
    plan_of(f, "/simple/foo/files/evil.test:1/x.whl", NULL);
    check_slice("the host is named", f->plan.refusal_detail, SLICE("evil.test:1"));
}

static void test_other_methods_are_refused(void **state)
{
    static const enum http_method methods[] = {HTTP_POST,   HTTP_PUT,     HTTP_PATCH,
                                               HTTP_DELETE, HTTP_OPTIONS, HTTP_METHOD_OTHER};
    struct fixture *f = *state;

    for (size_t i = 0; i < sizeof methods / sizeof methods[0]; i++) {
        f->request.method = methods[i];
        assert_refused("method", plan_of(f, "/simple/", NULL), PLAN_ERR_METHOD);
        assert_refused("method", plan_of(f, "/", NULL), PLAN_ERR_METHOD);
    }
    f->request.method = HTTP_HEAD;
    assert_int_equal(plan_of(f, "/simple/foo/", NULL)->kind, PLAN_CACHED);
    f->in.config = NULL;
    assert_refused("no route", plan_of(f, "/simple/", NULL), PLAN_ERR_NO_ROUTE);
}

static const struct {
    enum plan_error error;
    int status;
} statuses[] = {
    {PLAN_ERR_BAD_REQUEST, 400}, {PLAN_ERR_BAD_NAME, 404},  {PLAN_ERR_BAD_DIGEST, 400},
    {PLAN_ERR_NO_ROUTE, 404},    {PLAN_ERR_NOT_FOUND, 404}, {PLAN_ERR_DENIED, 403},
    {PLAN_ERR_UNSUPPORTED, 404}, {PLAN_ERR_METHOD, 405},    {PLAN_ERR_CREDENTIALS, 401},
    {PLAN_ERR_FORBIDDEN, 403},   {PLAN_ERR_FOREIGN, 403},   {PLAN_ERR_ONLY_CACHED, 504},
    {PLAN_ERR_UPSTREAM, 503},    {PLAN_ERR_BUSY, 503},
};

static void test_errors_are_plain_text(void **state)
{
    struct fixture *f = *state;
    struct plan_page page;
    struct arena full;

    assert_int_equal(sizeof statuses / sizeof statuses[0], PLAN_ERR_COUNT);
    full_arena(&full);
    for (size_t i = 0; i < PLAN_ERR_COUNT; i++) {
        render_error(&f->arena, statuses[i].error, SLICE("the detail"), &page);
        assert_int_equal(page.status, statuses[i].status);
        check_slice("type", page.content_type, SLICE("text/plain; charset=utf-8"));
        assert_true(slice_ends(page.body, SLICE(": the detail\n")));
        render_error(&full, statuses[i].error, SLICE(""), &page);
        assert_true(page.body.n > 0);
    }
    render_error(&f->arena, PLAN_ERR_CREDENTIALS, SLICE(""), &page);
    assert_true(slice_starts(page.fields, SLICE("WWW-Authenticate: Basic realm=\"")));
    render_error(&f->arena, PLAN_ERR_METHOD, SLICE(""), &page);
    check_slice("allow", page.fields, SLICE("Allow: GET, HEAD\r\n"));
    render_error(&f->arena, PLAN_ERR_FOREIGN, SLICE("h"), &page);
    assert_true(holds(page.body, "file_hosts"));
}

/* --- redirects --- */

static const struct {
    const char *path;
    const char *query;
    const char *want; /* the Location */
} redirects[] = {
    {"/simple", NULL, "simple/"},
    {"/simple", "a=1", "simple/?a=1"},
    {"/simple/foo", NULL, "foo/"},
    {"/simple/Foo_Bar", NULL, "foo-bar/"},
    {"/simple/Foo.Bar/", "x", "../foo-bar/?x"},
    {"/simple/foo%2Dbar/", NULL, "../foo-bar/"},
    {"/simple/f--o/", NULL, "../f-o/"},
    {"/pypi/Foo/json", NULL, "../foo/json"},
    {"/pypi/foo/json/", NULL, "../../foo/json"},
    {"/pypi/Foo/1.0/json", NULL, "../../foo/1.0/json"},
    {"/pypi/foo/1.0/json/", "", "../../../foo/1.0/json?"},
};

static void test_one_spelling_is_redirected_to(void **state)
{
    struct fixture *f = *state;

    for (size_t i = 0; i < sizeof redirects / sizeof redirects[0]; i++) {
        const struct plan *p = plan_of(f, redirects[i].path, redirects[i].query);
        assert_int_equal(p->kind, PLAN_LOCAL);
        assert_int_equal(p->page.status, 301);
        struct slice want = arena_printf(&f->arena, "Location: %s\r\n", redirects[i].want);
        check_slice(redirects[i].path, p->page.fields, want);
    }
}

/* --- pages --- */

static void assert_page(const struct plan *p, const char *resource, const char *upstream_path,
                        const struct plan_reader *reader)
{
    assert_int_equal(p->kind, PLAN_CACHED);
    assert_non_null(p->source);
    check_slice("resource", p->resource, slice_str(resource));
    check_slice("source", p->source->resource, slice_str(resource));
    check_slice("upstream", p->source->upstream_path, slice_str(upstream_path));
    assert_ptr_equal(p->rewrite, reader);
    assert_ptr_equal(p->source->check, reader);
    assert_false(slice_eq(p->variant, p->source->variant));
    assert_int_equal(p->source->refresh, REFRESH_CONDITIONAL);
    assert_int_equal(p->head, HEAD_FILLS);
    assert_true(p->source->takes_gzip && p->source->bare_content_type && p->source->max_size);
    check_slice("serial", p->source->rising_field, SLICE("X-PyPI-Last-Serial"));
    assert_int_equal(p->kept_fields[0], HF_X_PYPI_LAST_SERIAL);
    assert_int_equal(p->source->kept_fields[0], HF_X_PYPI_LAST_SERIAL);
    assert_false(p->immutable || p->source->immutable);
    assert_null(p->find);
    assert_ptr_equal(p->render_error, render_error);
    assert_ptr_equal(p->source->render_error, render_error);
}

static void test_pages(void **state)
{
    struct fixture *f = *state;

    assert_page(plan_of(f, "/simple/", NULL), "simple/", "/simple/", &pypi_root_page);
    assert_page(plan_of(f, "/simple/foo/", "x"), "simple/foo/", "/simple/foo/", &pypi_project_page);
    check_slice("base", f->plan.link_base, SLICE("files/"));
    check_slice("name", f->plan.page_name, SLICE("foo"));
    check_slice("fields", f->plan.fields,
                SLICE("Cache-Control: public, max-age=90\r\nVary: Accept, Accept-Encoding\r\n"));
    assert_int_equal(f->plan.source->type_count, 3);
    assert_page(plan_of(f, "/pypi/foo/json", NULL), "pypi/foo/json", "/pypi/foo/json",
                &pypi_release_page);
    check_slice("base", f->plan.link_base, SLICE("../../simple/foo/files/"));
    check_slice("type", f->plan.source->types[0], SLICE("application/json"));
    assert_int_equal(f->plan.source->type_count, 1);
    assert_page(plan_of(f, "/pypi/foo/1.0%2Bcpu/json", NULL), "pypi/foo/1.0+cpu/json",
                "/pypi/foo/1.0+cpu/json", &pypi_release_page);
    check_slice("base", f->plan.link_base, SLICE("../../../simple/foo/files/"));
    f->config.ttl_ms = 3600 * 1000;
    assert_true(holds(plan_of(f, "/simple/", NULL)->fields, "max-age=300\r\n"));
}

static void test_an_upstream_that_is_a_simple_index(void **state)
{
    static char url[] = "http://devpi.test/root/dev/+simple";
    struct fixture *f = *state;

    f->upstream.url = url;
    assert_page(plan_of(f, "/simple/", NULL), "simple/", "/", &pypi_root_page);
    assert_page(plan_of(f, "/simple/foo/", NULL), "simple/foo/", "/foo/", &pypi_project_page);
    assert_refused("json", plan_of(f, "/pypi/foo/json", NULL), PLAN_ERR_UNSUPPORTED);
}

static const struct {
    const char *accept; /* NULL: none */
    const char *variant;
    bool only_json;
} negotiations[] = {
    {NULL, "html", false},
    {"", "html", false},
    {"*/*", "html", false},
    {"image/png", "html", false},
    {"text/html", "html", false},
    {"text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8", "html", false},
    {PYPI_JSON ", " PYPI_HTML "; q=0.1, text/html; q=0.01", "json", false},
    {PYPI_JSON ", " PYPI_HTML ";q=0.2, text/html;q=0.01", "json", false},
    {PYPI_JSON ", */*;q=0.5", "json", false},
    {PYPI_JSON, "json", true},
    {PYPI_LATEST_JSON, "json", true},
    {PYPI_JSON ";q=0.1", "json", true},
    {PYPI_JSON ";q=0", "html", false},
    {PYPI_JSON ";q=0.5, text/html", "html", false},
    {PYPI_JSON ", text/html", "html", false},
    {PYPI_HTML, "html", false},
    {PYPI_LATEST_JSON ", " PYPI_LATEST_HTML ";q=0.2", "json", false},
};

static void test_negotiation(void **state)
{
    struct fixture *f = *state;

    for (size_t i = 0; i < sizeof negotiations / sizeof negotiations[0]; i++) {
        f->request.fields.n = 0;
        if (negotiations[i].accept)
            set_field(f, "Accept", negotiations[i].accept);
        const struct plan *s = plan_of(f, "/simple/foo/", NULL)->source;
        const char *row = negotiations[i].accept ? negotiations[i].accept : "(none)";
        check_slice(row, s->variant, slice_str(negotiations[i].variant));
        assert_int_equal(s->accepts_any, !negotiations[i].only_json);
        bool asks_json = slice_starts(s->accept, SLICE(PYPI_JSON ", "));
        assert_int_equal(asks_json, slice_eq(s->variant, SLICE("json")));
        if (!negotiations[i].only_json)
            continue;
        assert_true(plan_accepts(s, SLICE(PYPI_JSON)));
        assert_false(plan_accepts(s, SLICE("text/html")) || plan_accepts(s, SLICE(PYPI_HTML)));
        check_slice(row, s->alternate_accept, SLICE(PYPI_JSON));
        assert_false(slice_eq(s->alternate_variant, s->variant));
    }
}

static void test_gzip_is_a_variant_of_its_own(void **state)
{
    struct fixture *f = *state;
    struct slice plain = plan_of(f, "/simple/foo/", NULL)->variant;

    assert_false(f->plan.gzips);
    set_field(f, "Accept-Encoding", "gzip, deflate");
    assert_false(slice_eq(plan_of(f, "/simple/foo/", NULL)->variant, plain));
    assert_true(f->plan.gzips);
}

/* --- files --- */

static void test_a_file(void **state)
{
    struct fixture *f = *state;
    const struct plan *p = plan_of(f, FILE_PATH, NULL);

    assert_int_equal(p->kind, PLAN_CACHED);
    check_slice("resource", p->resource, SLICE("files/files.test/p/foo-1.whl"));
    check_slice("wanted", p->wanted, SLICE("files.test/p/foo-1.whl"));
    check_slice("path", p->upstream_path, SLICE("/p/foo-1.whl"));
    check_slice("fields", p->fields,
                SLICE("Cache-Control: public, max-age=31536000, immutable\r\n"));
    assert_true(p->immutable && !p->takes_gzip && !p->always_proven && !p->source);
    assert_int_equal(p->head, HEAD_ASKS);
    assert_ptr_equal(p->find, &pypi_project_page);
    assert_ptr_equal(p->config, &f->config);
    check_slice("json first", p->pages[0]->variant, SLICE("json"));
    check_slice("then html", p->pages[1]->variant, SLICE("html"));
    for (size_t i = 0; i < 2; i++) {
        check_slice("page", p->pages[i]->resource, SLICE("simple/foo/"));
        assert_true(p->pages[i]->accepts_any);
    }
}

/* What clients make of a path leads to one object. */
static void test_spellings_of_a_file_are_one(void **state)
{
    static const char *const spellings[] = {
        "/simple/foo/files/odd.test:8080/a+b/c~.whl",
        "/simple/Foo/files/ODD.test%3A8080/a%2Bb/c%7E.whl",
        "/simple/f%6Fo/files/odd%2etest:8080/%61%2bb/%63~.whl",
    };
    struct fixture *f = *state;

    for (size_t i = 0; i < sizeof spellings / sizeof spellings[0]; i++) {
        check_slice(spellings[i], plan_of(f, spellings[i], "q=%2B")->resource,
                    SLICE("files/odd.test:8080/a+b/c~.whl?q=%2B"));
        check_slice(spellings[i], f->plan.pages[0]->resource, SLICE("simple/foo/"));
    }
}

static const struct {
    const char *path;
    const char *query;
    bool immutable;
    enum plan_head head;
} file_kinds[] = {
    {FILE_PATH, NULL, true, HEAD_ASKS},
    {FILE_PATH ".metadata", NULL, true, HEAD_FILLS},
    {FILE_PATH ".asc", NULL, false, HEAD_FILLS},
    {FILE_PATH ".provenance", NULL, false, HEAD_FILLS},
    {FILE_PATH, "a=1.metadata", true, HEAD_ASKS},
    {FILE_PATH, "a=1.asc", false, HEAD_ASKS},
    {"/simple/foo/files/index.test/integrity/foo/1/foo-1.whl/provenance", NULL, false, HEAD_FILLS},
    {"/simple/foo/files/index.test/p/foo-1.tar.gz", "sig=x", true, HEAD_ASKS},
};

static void test_only_distributions_and_their_metadata_never_change(void **state)
{
    struct fixture *f = *state;

    for (size_t i = 0; i < sizeof file_kinds / sizeof file_kinds[0]; i++) {
        const struct plan *p = plan_of(f, file_kinds[i].path, file_kinds[i].query);
        if (p->immutable != file_kinds[i].immutable || p->head != file_kinds[i].head)
            fail_msg("%s?%s", file_kinds[i].path, file_kinds[i].query);
        assert_int_equal(holds(p->fields, "immutable"), p->immutable);
        assert_int_equal(p->refresh, REFRESH_CONDITIONAL);
        assert_int_equal(p->max_size == 0, p->head == HEAD_ASKS);
    }
}

/* --- credentials, relays --- */

static void test_passthrough(void **state)
{
    struct fixture *f = *state;

    set_field(f, "Authorization", "Basic c2VjcmV0");
    assert_int_equal(plan_of(f, "/simple/foo/", NULL)->credential.n, 0);
    f->config.passthrough = true;
    plan_of(f, "/simple/foo/", NULL);
    check_slice("page", f->plan.credential, SLICE("Basic c2VjcmV0"));
    check_slice("source", f->plan.source->credential, SLICE("Basic c2VjcmV0"));
    assert_true(f->plan.always_proven && f->plan.source->always_proven);
    check_slice("fields", f->plan.fields,
                SLICE("Cache-Control: private, no-cache\r\n"
                      "Vary: Authorization, Accept, Accept-Encoding\r\n"));
    plan_of(f, FILE_PATH, NULL);
    check_slice("file", f->plan.credential, SLICE("Basic c2VjcmV0"));
    check_slice("proof", f->plan.pages[0]->credential, SLICE("Basic c2VjcmV0"));
    check_slice("proof", f->plan.pages[1]->credential, SLICE("Basic c2VjcmV0"));
    check_slice("fields", f->plan.fields,
                SLICE("Cache-Control: private, no-cache\r\nVary: Authorization\r\n"));
    f->request.fields.n = 0;
    assert_true(plan_of(f, FILE_PATH, NULL)->always_proven);
    assert_int_equal(f->plan.credential.n, 0);
    assert_true(holds(plan_of(f, "/simple/", NULL)->fields, "Vary: Authorization, Accept, "));
    assert_true(holds(plan_of(f, FILE_PATH ".asc", NULL)->fields, "Vary: Authorization\r\n"));
}

static void test_a_route_without_cache_relays(void **state)
{
    struct fixture *f = *state;

    f->config.cache = false;
    assert_int_equal(plan_of(f, "/simple/foo/", NULL)->kind, PLAN_RELAYED);
    assert_int_equal(f->plan.source->kind, PLAN_RELAYED);
    assert_int_equal(plan_of(f, FILE_PATH, NULL)->kind, PLAN_RELAYED);
    assert_int_equal(f->plan.pages[0]->kind, PLAN_RELAYED);
}

/* With any amount of room: a whole plan, a refusal, or none. */
static void test_a_full_arena_gives_no_half_plan(void **state)
{
    static const char *const paths[] = {"/simple/", "/simple/foo/", "/pypi/foo/1/json", FILE_PATH,
                                        "/simple/Foo"};
    struct fixture *f = *state;

    for (size_t i = 0; i < sizeof paths / sizeof paths[0]; i++) {
        f->in.path = f->request.path = slice_str(paths[i]);
        for (size_t cap = 0; cap < 8192; cap += 64) {
            struct arena a;
            struct plan p;
            arena_init(&a, NULL, 0, cap);
            if (plan_request(&f->in, &a, &p) && p.kind == PLAN_CACHED) {
                assert_true(p.resource.p && p.upstream_path.p && p.fields.p);
                const struct plan *source = p.source ? p.source : p.pages[0];
                assert_true(source && source->resource.p && source->upstream_path.p);
                assert_true(p.source || (p.wanted.p && p.pages[1]));
            }
            arena_reset(&a);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_what_is_refused, setup, teardown),
        cmocka_unit_test_setup_teardown(test_other_methods_are_refused, setup, teardown),
        cmocka_unit_test_setup_teardown(test_errors_are_plain_text, setup, teardown),
        cmocka_unit_test_setup_teardown(test_one_spelling_is_redirected_to, setup, teardown),
        cmocka_unit_test_setup_teardown(test_pages, setup, teardown),
        cmocka_unit_test_setup_teardown(test_an_upstream_that_is_a_simple_index, setup, teardown),
        cmocka_unit_test_setup_teardown(test_negotiation, setup, teardown),
        cmocka_unit_test_setup_teardown(test_gzip_is_a_variant_of_its_own, setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_file, setup, teardown),
        cmocka_unit_test_setup_teardown(test_spellings_of_a_file_are_one, setup, teardown),
        cmocka_unit_test_setup_teardown(test_only_distributions_and_their_metadata_never_change,
                                        setup, teardown),
        cmocka_unit_test_setup_teardown(test_passthrough, setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_route_without_cache_relays, setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_full_arena_gives_no_half_plan, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
