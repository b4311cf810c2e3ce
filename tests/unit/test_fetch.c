#include "daemon/upstream/fetch.c"

#include "upstream_kit.h"

static bool answer_hello(struct visit *v)
{
    return answer_text(v, "200 OK", "ETag: \"x\"\r\n", "hello");
}

static void test_a_get(void **state)
{
    (void)state;
    struct server *s = server_start(answer_hello, NULL);
    struct upstream_set *set = set_of(&s->port, 1, false);
    struct fetched r = {.status = 0};
    get(set, "/v2/a?x=1", &r);
    assert_int_equal(r.result, ERR_OK);
    assert_int_equal(r.status, 200);
    assert_true(r.has_length && r.framed && !r.refused);
    assert_int_equal(r.length, 5);
    assert_string_equal(r.etag, "\"x\"");
    check_body(&r, "hello");
    fetched_free(&r);
    assert_non_null(strstr(s->heads[0], "GET /v2/a?x=1 HTTP/1.1\r\n"));
    upstream_set_free(&set);
    server_stop(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_get),
    };
    return cmocka_run_group_tests(tests, kit_setup, NULL);
}
