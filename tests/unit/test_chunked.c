#include "daemon/http/chunked.c"

#include "http_test.h"

struct outcome {
    enum chunked_status status;
    size_t consumed;
    size_t length; /* of the body */
    char body[256];
};

/* Reads `text` in pieces of `step` bytes until the reader has enough. */
static void read_in_steps(struct slice text, size_t step, struct outcome *o)
{
    struct chunked c = {0};
    struct slice data;
    *o = (struct outcome){.status = CHUNKED_MORE};
    while (o->status == CHUNKED_MORE && o->consumed < text.n) {
        struct slice piece = slice_to(slice_from(text, o->consumed), step), in = piece;
        while ((o->status = chunked_read(&c, &in, &data)) == CHUNKED_DATA) {
            assert_true(data.n > 0 && data.n <= sizeof o->body - o->length);
            memcpy(o->body + o->length, data.p, data.n);
            o->length += data.n;
        }
        o->consumed += piece.n - in.n;
        assert_true(o->status != CHUNKED_MORE || in.n == 0);
    }
}

static void check_good(struct slice text, struct slice body, size_t rest)
{
    for (size_t step = 1; step <= text.n; step++) {
        struct outcome o;
        read_in_steps(text, step, &o);
        if (o.status != CHUNKED_DONE || o.consumed != text.n - rest)
            fail_msg("%.*s in steps of %zu: status %d after %zu", SLICE_ARG(text), step,
                     (int)o.status, o.consumed);
        check_slice(text.p, slice_of(o.body, o.length), body);
    }
}

static void test_good_bodies(void **state)
{
    (void)state;
    check_good(SLICE("0\r\n\r\n"), SLICE(""), 0);
    check_good(SLICE("5\r\nAAAAA\r\n0\r\n\r\n"), SLICE("AAAAA"), 0);
    check_good(SLICE("3\r\nabc\r\nA\r\n0123456789\r\n0\r\n\r\n"), SLICE("abc0123456789"), 0);
    check_good(SLICE("a\r\n0123456789\r\n0000\r\n\r\n"), SLICE("0123456789"), 0);
    check_good(SLICE("0000000000000001\r\nx\r\n0\r\n\r\n"), SLICE("x"), 0);
    check_good(SLICE("2\r\n\r\n\r\n0\r\n\r\n"), SLICE("\r\n"), 0);
    check_good(SLICE("5;a=b\r\nAAAAA\r\n0;last\r\n\r\n"), SLICE("AAAAA"), 0);
    check_good(SLICE("1; a = \"x;y\"\t;b\r\nz\r\n0\r\n\r\n"), SLICE("z"), 0);
    check_good(SLICE("0\r\nX-Sum: 12\r\nEmpty:\r\n\r\n"), SLICE(""), 0);
    check_good(SLICE("1\r\nx\r\n0\r\n\r\nGET / HTTP/1.1\r\n"), SLICE("x"), 16);
}

static void test_broken_framing(void **state)
{
    (void)state;
    static const struct slice texts[] = {
        SLICE("\r\n"),
        SLICE("0x5\r\nAAAAA\r\n0\r\n\r\n"),
        SLICE("+5\r\nAAAAA\r\n0\r\n\r\n"),
        SLICE("-1\r\n"),
        SLICE(" 5\r\nAAAAA\r\n"),
        SLICE("5 \r\nAAAAA\r\n"),
        SLICE("5 ;a\r\nAAAAA\r\n"),
        SLICE("g\r\n"),
        SLICE(";a\r\n"),
        SLICE("5\nAAAAA\r\n0\r\n\r\n"),
        SLICE("5\r\r\nAAAAA\r\n"),
        SLICE("5;a\nAAAAA\r\n"),
        SLICE("5;a\rb\r\nAAAAA"),
        SLICE("5;a\0b\r\nAAAAA"),
        SLICE("5\r\nAAAAA0\r\n\r\n"),
        SLICE("5\r\nAAAAA\n0\r\n\r\n"),
        SLICE("5\r\nAAAAA\rX"),
        SLICE("5\r\nAAAAA\r\n\r\n"),
        SLICE("00000000000000001\r\nx"),
        SLICE("10000000000000000\r\nx"),
        SLICE("0\r\n\n"),
        SLICE("0\r\n\rX"),
        SLICE("0\r\nX\r\n\r\n"),
        SLICE("0\r\n: x\r\n\r\n"),
        SLICE("0\r\n X: y\r\n\r\n"),
        SLICE("0\r\nX : y\r\n\r\n"),
        SLICE("0\r\nX: y\n\r\n"),
        SLICE("0\r\nX: a\0b\r\n\r\n"),
        SLICE("0\r\nX: a\r\n b\r\n\r\n"),
    };
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        for (size_t step = 1; step <= texts[i].n; step++) {
            struct outcome o;
            read_in_steps(texts[i], step, &o);
            if (o.status != CHUNKED_ERROR)
                fail_msg("row %zu in steps of %zu: status %d", i, step, (int)o.status);
        }
    }
}

static void test_unfinished_wants_more(void **state)
{
    (void)state;
    const struct slice whole = SLICE("5;a=b\r\nAAAAA\r\n0\r\nX: y\r\n\r\n");
    for (size_t n = 0; n < whole.n; n++) {
        struct outcome o;
        read_in_steps(slice_to(whole, n), n + 1, &o);
        assert_int_equal(o.status, CHUNKED_MORE);
        assert_int_equal(o.consumed, n);
    }
}

static void test_end_states_are_final(void **state)
{
    (void)state;
    struct chunked c = {0};
    struct slice data, in = SLICE("0\r\n\r\n5\r\n");
    assert_int_equal(chunked_read(&c, &in, &data), CHUNKED_DONE);
    assert_int_equal(chunked_read(&c, &in, &data), CHUNKED_DONE);
    check_text("rest", in, "5\r\n");
    c = (struct chunked){0};
    in = SLICE("x5\r\n");
    assert_int_equal(chunked_read(&c, &in, &data), CHUNKED_ERROR);
    size_t left = in.n;
    assert_int_equal(chunked_read(&c, &in, &data), CHUNKED_ERROR);
    assert_int_equal(in.n, left);
}

static void test_data_is_handed_on_without_copy(void **state)
{
    (void)state;
    struct chunked c = {0};
    struct slice text = SLICE("ffffffffffffffff\r\nabc"), in = text, data;
    assert_int_equal(chunked_read(&c, &in, &data), CHUNKED_DATA);
    assert_ptr_equal(data.p, text.p + 18);
    assert_int_equal(data.n, 3);
    assert_true(c.left == UINT64_MAX - 3);
    assert_int_equal(chunked_read(&c, &in, &data), CHUNKED_MORE);
}

/* Feeds `text` `times` times and returns the last status. */
static enum chunked_status repeat(struct chunked *c, const char *text, size_t times)
{
    enum chunked_status status = CHUNKED_MORE;
    for (size_t i = 0; i < times && status == CHUNKED_MORE; i++) {
        struct slice in = slice_str(text), data;
        while ((status = chunked_read(c, &in, &data)) == CHUNKED_DATA)
            continue;
    }
    return status;
}

static void test_lines_are_bounded(void **state)
{
    (void)state;
    struct chunked c = {0};
    assert_int_equal(repeat(&c, "1;", 1), CHUNKED_MORE);
    assert_int_equal(repeat(&c, "a", LINE_MAX_BYTES - 4), CHUNKED_MORE);
    assert_int_equal(repeat(&c, "\r\n", 1), CHUNKED_MORE);
    c = (struct chunked){0};
    assert_int_equal(repeat(&c, "1;", 1), CHUNKED_MORE);
    assert_int_equal(repeat(&c, "a", LINE_MAX_BYTES - 3), CHUNKED_MORE);
    assert_int_equal(repeat(&c, "\r\n", 1), CHUNKED_ERROR);
    c = (struct chunked){0};
    assert_int_equal(repeat(&c, "0\r\nX:", 1), CHUNKED_MORE);
    assert_int_equal(repeat(&c, "a", LINE_MAX_BYTES), CHUNKED_ERROR);
}

static void test_extensions_are_bounded_over_the_body(void **state)
{
    (void)state;
    struct chunked c = {0};
    const char *chunk = "1;0123456789abcdef\r\nx\r\n"; /* 16 bytes of extension */
    assert_int_equal(repeat(&c, chunk, EXTENSIONS_MAX_BYTES / 16), CHUNKED_MORE);
    assert_int_equal(repeat(&c, "1\r\nx\r\n", 1), CHUNKED_MORE);
    assert_int_equal(repeat(&c, "1;0\r\nx\r\n", 1), CHUNKED_ERROR);
}

static void test_trailers_are_bounded(void **state)
{
    (void)state;
    struct chunked c = {0};
    assert_int_equal(repeat(&c, "0\r\n", 1), CHUNKED_MORE);
    assert_int_equal(repeat(&c, "X: y\r\n", TRAILERS_MAX), CHUNKED_MORE);
    struct chunked more = c;
    assert_int_equal(repeat(&c, "\r\n", 1), CHUNKED_DONE);
    assert_int_equal(repeat(&more, "X: y\r\n", 1), CHUNKED_ERROR);
}

static void test_many_chunks_are_not_bounded(void **state)
{
    (void)state;
    struct chunked c = {0};
    assert_int_equal(repeat(&c, "1\r\nx\r\n", 100000), CHUNKED_MORE);
    assert_int_equal(repeat(&c, "0\r\n\r\n", 1), CHUNKED_DONE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_good_bodies),
        cmocka_unit_test(test_broken_framing),
        cmocka_unit_test(test_unfinished_wants_more),
        cmocka_unit_test(test_end_states_are_final),
        cmocka_unit_test(test_data_is_handed_on_without_copy),
        cmocka_unit_test(test_lines_are_bounded),
        cmocka_unit_test(test_extensions_are_bounded_over_the_body),
        cmocka_unit_test(test_trailers_are_bounded),
        cmocka_unit_test(test_many_chunks_are_not_bounded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
