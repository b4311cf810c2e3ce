#include "daemon/upstream/head.c"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>

/* Feeds the lines of `text`; the first error ends it. */
static enum err feed(struct answer_head *h, const char *text, bool no_body)
{
    struct slice rest = slice_str(text);
    enum err rc = ERR_OK;
    while (rest.n && !rc) {
        size_t n = slice_find(rest, '\n') + 1;
        rc = answer_head_line(h, slice_to(rest, n), no_body, NULL);
        rest = slice_from(rest, n);
    }
    return rc;
}

static void test_a_head(void **state)
{
    (void)state;
    struct answer_head *h = answer_head_new();
    assert_int_equal(
        feed(h, "HTTP/1.1 200 OK\r\nETag:  \"a\" \r\nX-Odd:\r\nContent-Length: 7\r\n", false),
        ERR_OK);
    assert_false(h->complete);
    assert_int_equal(feed(h, "\r\n", false), ERR_OK);
    assert_true(h->complete && h->has_length && h->framed);
    assert_int_equal(h->status, 200);
    assert_int_equal(h->length, 7);
    assert_int_equal(h->fields.n, 3);
    assert_true(slice_eq(http_fields_value(&h->fields, HF_ETAG), SLICE("\"a\"")));
    /* Trailers are no part of it. */
    assert_int_equal(feed(h, "X-Trailer: 1\r\nbroken\r\n\r\n", false), ERR_OK);
    assert_int_equal(h->fields.n, 3);
    answer_head_free(&h);
    assert_null(h);
}

static void test_interim_heads_are_dropped(void **state)
{
    (void)state;
    struct answer_head *h = answer_head_new();
    assert_int_equal(feed(h,
                          "HTTP/1.1 100 Continue\r\n\r\n"
                          "HTTP/1.1 103 Early Hints\r\nLink: </x>\r\nContent-Length: 3\r\n\r\n"
                          "HTTP/1.1 204 No Content\r\nVia: 1.1 x\r\n\r\n",
                          false),
                     ERR_OK);
    assert_true(h->complete && h->framed && !h->has_length);
    assert_int_equal(h->status, 204);
    assert_int_equal(h->fields.n, 1);
    answer_head_free(&h);
}

static void test_endless_interim_heads_end(void **state)
{
    (void)state;
    struct answer_head *h = answer_head_new();
    enum err rc = ERR_OK;
    int heads = 0;
    while (!rc && heads < 100000) {
        rc = feed(h, "HTTP/1.1 102 Processing\r\nX: y\r\n\r\n", false);
        heads++;
    }
    assert_int_equal(rc, ERR_LIMIT);
    assert_in_range(heads, 1000, 2500);
    answer_head_free(&h);
}

struct framing_row {
    const char *head;
    bool no_body, framed, has_length;
    uint64_t length;
};

static void test_framing(void **state)
{
    (void)state;
    static const struct framing_row rows[] = {
        {"HTTP/1.1 200 OK\r\n\r\n", false, false, false, 0},
        {"HTTP/1.0 200 OK\r\nConnection: close\r\n\r\n", false, false, false, 0},
        {"HTTP/1.1 200 OK\r\n\r\n", true, true, false, 0},
        {"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n", true, true, true, 9},
        {"HTTP/1.1 304 Not Modified\r\n\r\n", false, true, false, 0},
        {"HTTP/1.1 200\r\nContent-Length: 0\r\n\r\n", false, true, true, 0},
        {"HTTP/1.1 200 \r\nContent-Length: 18446744073709551615\r\n\r\n", false, true, true,
         UINT64_MAX},
        {"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 5\r\n\r\n", false, true, true, 5},
        {"HTTP/1.1 200 OK\r\nContent-Length: 5, 5\r\n\r\n", false, true, true, 5},
        {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", false, true, false, 0},
        {"HTTP/1.1 200 OK\nTransfer-Encoding: Chunked\n\n", false, true, false, 0},
        {"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n", false, true,
         false, 0},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct answer_head *h = answer_head_new();
        if (feed(h, rows[i].head, rows[i].no_body) != ERR_OK || h->framed != rows[i].framed ||
            h->has_length != rows[i].has_length || h->length != rows[i].length || !h->complete)
            fail_msg("row %zu", i);
        answer_head_free(&h);
    }
}

static void test_hostile_heads(void **state)
{
    (void)state;
    static const char *const heads[] = {
        "\r\n",
        "hello\r\n",
        "HTTP/1.1 20 OK\r\n",
        "HTTP/1.1 2000 OK\r\n",
        "HTTP/1.1 -20 OK\r\n",
        "HTTP/1.1 099 OK\r\n",
        "HTTP/1.1  200 OK\r\n",
        "HTTP/2 200\r\n",
        "HTTP/1.1 101 Switching Protocols\r\n",
        "HTTP/1.1 200 OK\r\nno colon\r\n",
        "HTTP/1.1 200 OK\r\n: nameless\r\n",
        "HTTP/1.1 200 OK\r\nBlank : x\r\n",
        "HTTP/1.1 200 OK\r\nA: b\r\n folded\r\n",
        "HTTP/1.1 200 OK\r\nA: b\rc\r\n",
        "HTTP/1.1 200 OK\r\nA: b\x01\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 5, 6\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: +5\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 0x5\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 18446744073709551616\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding:\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked, chunked\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: x\r\n\r\n",
    };
    for (size_t i = 0; i < sizeof heads / sizeof heads[0]; i++) {
        struct answer_head *h = answer_head_new();
        if (feed(h, heads[i], false) != ERR_PROTO)
            fail_msg("accepted: %s", heads[i]);
        answer_head_free(&h);
    }
    struct answer_head *h = answer_head_new();
    assert_int_equal(feed(h, "HTTP/1.1 200 OK\r\n", false), ERR_OK);
    assert_int_equal(answer_head_line(h, slice_of("A: b\0c\r\n", 8), false, NULL), ERR_PROTO);
    answer_head_free(&h);
}

static void test_field_count_is_bounded(void **state)
{
    (void)state;
    struct answer_head *h = answer_head_new();
    assert_int_equal(feed(h, "HTTP/1.1 200 OK\r\n", false), ERR_OK);
    for (int i = 0; i < HTTP_FIELDS_MAX; i++)
        assert_int_equal(feed(h, "A: b\r\n", false), ERR_OK);
    assert_int_equal(feed(h, "A: b\r\n", false), ERR_LIMIT);
    answer_head_free(&h);
}

/* A head of the longest length with as many fields as are allowed fits into the arena. */
static void test_longest_head_fits(void **state)
{
    (void)state;
    struct answer_head *h = answer_head_new();
    char line[400];
    size_t bytes = 17 + 2;
    assert_int_equal(feed(h, "HTTP/1.1 200 OK\r\n", false), ERR_OK);
    snprintf(line, sizeof line, "A: %0320d\r\n", 7);
    for (int i = 0; i < HTTP_FIELDS_MAX; i++, bytes += strlen(line))
        assert_int_equal(feed(h, line, false), ERR_OK);
    assert_true(bytes < HTTP_HEAD_MAX && bytes > HTTP_HEAD_MAX - 4000);
    assert_int_equal(feed(h, "\r\n", false), ERR_OK);
    assert_int_equal(h->fields.n, HTTP_FIELDS_MAX);
    answer_head_free(&h);
}

static void test_head_length_is_bounded(void **state)
{
    (void)state;
    struct answer_head *h = answer_head_new();
    static char line[HTTP_HEAD_MAX];
    memset(line, 'x', sizeof line);
    memcpy(line, "A: ", 3);
    assert_int_equal(feed(h, "HTTP/1.1 200 OK\r\n", false), ERR_OK);
    assert_int_equal(answer_head_line(h, slice_of(line, sizeof line), false, NULL), ERR_LIMIT);
    answer_head_free(&h);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_head),
        cmocka_unit_test(test_interim_heads_are_dropped),
        cmocka_unit_test(test_endless_interim_heads_end),
        cmocka_unit_test(test_framing),
        cmocka_unit_test(test_hostile_heads),
        cmocka_unit_test(test_field_count_is_bounded),
        cmocka_unit_test(test_longest_head_fits),
        cmocka_unit_test(test_head_length_is_bounded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
