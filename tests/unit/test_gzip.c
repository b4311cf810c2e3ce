#include "daemon/base/gzip.c"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

/* gzip -n of "hello\n", by another program. */
static const unsigned char hello[] = {0x1f, 0x8b, 0x08, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,
                                      0x03, 0xcb, 0x48, 0xcd, 0xc9, 0xc9, 0xe7, 0x02, 0x00,
                                      0x20, 0x30, 0x3a, 0x36, 0x06, 0x00, 0x00, 0x00};

static struct slice hello_gzip(void)
{
    return slice_of((const char *)hello, sizeof hello);
}

struct taken {
    struct buf out;
    size_t pieces;
    size_t longest;
    size_t refuse_at; /* the piece with this number; 0: none */
};

static enum err take(void *arg, struct slice bytes)
{
    struct taken *t = arg;

    assert_true(bytes.n > 0);
    if (++t->pieces == t->refuse_at)
        return ERR_CLOSED;
    t->longest = bytes.n > t->longest ? bytes.n : t->longest;
    buf_add(&t->out, bytes);
    return ERR_OK;
}

static void taken_clear(struct taken *t)
{
    buf_free(&t->out);
    *t = (struct taken){.refuse_at = 0};
    buf_init(&t->out, 64 << 20);
}

/* On the heap and of exact size, so that reading past the end is seen. */
static enum err feed_copy(struct inflater *i, struct slice piece, struct taken *t)
{
    char *copy = malloc(piece.n ? piece.n : 1);
    if (piece.n)
        memcpy(copy, piece.p, piece.n);
    enum err err = inflater_feed(i, slice_of(copy, piece.n), take, t);
    free(copy);
    return err;
}

/* In pieces of `piece` bytes. */
static enum err decode(struct slice gzip, size_t piece, uint64_t max_out, struct taken *t)
{
    struct inflater *i = inflater_new(max_out);
    enum err err = ERR_OK;

    assert_non_null(i);
    for (size_t at = 0; at < gzip.n && err == ERR_OK; at += piece)
        err = feed_copy(i, slice_to(slice_from(gzip, at), piece), t);
    if (err == ERR_OK)
        err = inflater_finish(i);
    else
        assert_int_equal(inflater_finish(i), err);
    inflater_free(&i);
    assert_null(i);
    return err;
}

static void encode(struct slice text, size_t piece, struct buf *out)
{
    struct deflater *d = deflater_new();

    assert_non_null(d);
    buf_init(out, 64 << 20);
    for (size_t at = 0; at < text.n; at += piece)
        assert_int_equal(deflater_feed(d, slice_to(slice_from(text, at), piece), out), ERR_OK);
    assert_int_equal(deflater_finish(d, out), ERR_OK);
    deflater_free(&d);
    assert_null(d);
}

static void assert_decodes(struct slice gzip, const char *text)
{
    struct taken t = {.refuse_at = 0};

    taken_clear(&t);
    for (size_t piece = 1; piece <= gzip.n; piece++) {
        assert_int_equal(decode(gzip, piece, 1000, &t), ERR_OK);
        assert_true(slice_eq(buf_slice(&t.out), slice_str(text)));
        taken_clear(&t);
    }
    buf_free(&t.out);
}

static void assert_refused(struct slice gzip)
{
    struct taken t = {.refuse_at = 0};

    taken_clear(&t);
    assert_int_equal(decode(gzip, gzip.n + 1, 1000, &t), ERR_CORRUPT);
    assert_int_equal(decode(gzip, 1, 1000, &t), ERR_CORRUPT);
    buf_free(&t.out);
}

static void test_what_another_program_wrote(void **state)
{
    (void)state;
    assert_decodes(hello_gzip(), "hello\n");
}

static void test_members_follow_each_other(void **state)
{
    /* One without any byte between two. */
    static const unsigned char none[] = {0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 3,
                                         3,    0,    0, 0, 0, 0, 0, 0, 0, 0};
    struct buf gzip;

    (void)state;
    buf_init(&gzip, 1000);
    buf_add(&gzip, hello_gzip());
    buf_add(&gzip, slice_of((const char *)none, sizeof none));
    buf_add(&gzip, hello_gzip());
    assert_decodes(buf_slice(&gzip), "hello\nhello\n");
    buf_free(&gzip);
    assert_decodes(slice_of((const char *)none, sizeof none), "");
}

static void test_every_truncation_and_every_wrong_byte(void **state)
{
    /* Time, flags for the coder, system, and the bits that fill the last byte of the code. */
    static const bool says_nothing[sizeof hello] = {
        [4] = true, [5] = true, [6] = true, [7] = true, [8] = true, [9] = true, [17] = true};
    char wrong[sizeof hello];

    (void)state;
    for (size_t n = 0; n < sizeof hello; n++)
        assert_refused(slice_to(hello_gzip(), n));
    for (size_t i = 0; i < sizeof hello; i++) {
        memcpy(wrong, hello, sizeof hello);
        wrong[i] ^= 0x20;
        if (says_nothing[i])
            assert_decodes(slice_of(wrong, sizeof wrong), "hello\n");
        else
            assert_refused(slice_of(wrong, sizeof wrong));
    }
}

static void test_bytes_behind_the_end(void **state)
{
    static const struct slice tails[] = {{"\0", 1},   {"\0\0\0\0\0\0\0\0", 8}, {"x", 1},
                                         {"\x1f", 1}, {"\x1f\x8b\x08", 3},     {"hello\n", 6}};
    struct buf gzip;

    (void)state;
    for (size_t i = 0; i < sizeof tails / sizeof tails[0]; i++) {
        buf_init(&gzip, 1000);
        buf_add(&gzip, hello_gzip());
        buf_add(&gzip, tails[i]);
        assert_refused(buf_slice(&gzip));
        buf_free(&gzip);
    }
}

static void test_other_codings(void **state)
{
    static const unsigned char zlib[] = {0x78, 0x9c, 0xcb, 0x48, 0xcd, 0xc9, 0xc9,
                                         0xe7, 0x02, 0x00, 0x08, 0x4b, 0x02, 0x1f};

    (void)state;
    assert_refused(slice_of((const char *)zlib, sizeof zlib));
    assert_refused(slice_of((const char *)zlib + 2, sizeof zlib - 6)); /* bare deflate */
    assert_refused(SLICE("{\"name\":\"x\"}"));
    assert_refused(SLICE("<!DOCTYPE html>"));
}

/* 10 MB of zeros out of 10 KB: in pieces, and no further than the bound. */
static void test_bomb(void **state)
{
    enum { ZEROS = 10000000, ALLOWED = 5000000 };
    char *zeros = calloc(1, ZEROS);
    struct taken t = {.refuse_at = 0};
    struct buf gzip;

    (void)state;
    taken_clear(&t);
    encode(slice_of(zeros, ZEROS), ZEROS, &gzip);
    assert_true(gzip.n < 12000);
    assert_int_equal(decode(buf_slice(&gzip), gzip.n, ZEROS, &t), ERR_OK);
    assert_int_equal(t.out.n, ZEROS);
    assert_true(t.longest <= 64 * 1024);
    taken_clear(&t);
    assert_int_equal(decode(buf_slice(&gzip), gzip.n, ZEROS - 1, &t), ERR_LIMIT);
    taken_clear(&t);
    assert_int_equal(decode(buf_slice(&gzip), gzip.n, ALLOWED, &t), ERR_LIMIT);
    assert_true(t.out.n <= ALLOWED && t.out.n > ALLOWED - 64 * 1024);
    taken_clear(&t);
    assert_int_equal(decode(hello_gzip(), sizeof hello, 0, &t), ERR_LIMIT);
    assert_int_equal(t.pieces, 0);
    buf_free(&gzip);
    buf_free(&t.out);
    free(zeros);
}

static void test_taker_may_refuse(void **state)
{
    char *zeros = calloc(1, 1000000);
    struct taken t = {.refuse_at = 0};
    struct buf gzip;

    (void)state;
    taken_clear(&t);
    t.refuse_at = 3;
    encode(slice_of(zeros, 1000000), 1000000, &gzip);
    struct inflater *i = inflater_new(UINT64_MAX);
    assert_int_equal(inflater_feed(i, buf_slice(&gzip), take, &t), ERR_CLOSED);
    assert_int_equal(t.pieces, 3);
    assert_int_equal(inflater_feed(i, buf_slice(&gzip), take, &t), ERR_CLOSED);
    assert_int_equal(inflater_finish(i), ERR_CLOSED);
    assert_int_equal(t.pieces, 3);
    inflater_free(&i);
    inflater_free(&i);
    buf_free(&gzip);
    buf_free(&t.out);
    free(zeros);
}

/* Text that neither repeats nor is noise. */
static void make_text(char *text, size_t n)
{
    uint32_t seed = 7;

    for (size_t i = 0; i < n; i++) {
        seed = seed * 1664525 + 1013904223;
        text[i] = (char)(seed >> 27 ? 'a' + (seed >> 24) % 16 : '\n');
    }
}

static void test_round_trip(void **state)
{
    static char text[300000];
    static const size_t pieces[] = {1, 7, 4096, 100000, sizeof text};
    struct taken t = {.refuse_at = 0};
    struct buf gzip;

    (void)state;
    make_text(text, sizeof text);
    taken_clear(&t);
    for (size_t i = 0; i < sizeof pieces / sizeof pieces[0]; i++) {
        encode(slice_of(text, sizeof text), pieces[i], &gzip);
        assert_true(gzip.n < sizeof text * 3 / 4);
        assert_int_equal(decode(buf_slice(&gzip), pieces[i], sizeof text, &t), ERR_OK);
        assert_true(slice_eq(buf_slice(&t.out), slice_of(text, sizeof text)));
        taken_clear(&t);
        buf_free(&gzip);
    }
    encode(SLICE(""), 1, &gzip);
    assert_decodes(buf_slice(&gzip), "");
    buf_free(&gzip);
    buf_free(&t.out);
}

static void test_coding_depends_on_the_bytes_alone(void **state)
{
    static char text[100000];
    struct buf a, b;

    (void)state;
    make_text(text, sizeof text);
    encode(slice_of(text, sizeof text), sizeof text, &a);
    encode(slice_of(text, sizeof text), 777, &b);
    assert_true(slice_eq(buf_slice(&a), buf_slice(&b)));
    /* RFC 1952 section 2.3: no flags, so no name; no time. */
    assert_memory_equal(a.p, "\x1f\x8b\x08\0\0\0\0\0", 8);
    buf_free(&a);
    buf_free(&b);
}

static void test_output_is_bounded_by_its_buffer(void **state)
{
    static char text[100000];
    struct buf whole, out;

    (void)state;
    make_text(text, sizeof text);
    encode(slice_of(text, sizeof text), sizeof text, &whole);
    for (size_t max = whole.n - 40000; max <= whole.n; max += max < whole.n - 3 ? 3999 : 1) {
        struct deflater *d = deflater_new();
        buf_init(&out, max);
        enum err err = deflater_feed(d, slice_of(text, sizeof text), &out);
        if (err == ERR_OK)
            err = deflater_finish(d, &out);
        assert_int_equal(err, max < whole.n ? ERR_LIMIT : ERR_OK);
        assert_true(slice_eq(buf_slice(&out), slice_to(buf_slice(&whole), out.n)));
        deflater_free(&d);
        deflater_free(&d);
        buf_free(&out);
    }
    buf_free(&whole);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_another_program_wrote),
        cmocka_unit_test(test_members_follow_each_other),
        cmocka_unit_test(test_every_truncation_and_every_wrong_byte),
        cmocka_unit_test(test_bytes_behind_the_end),
        cmocka_unit_test(test_other_codings),
        cmocka_unit_test(test_bomb),
        cmocka_unit_test(test_taker_may_refuse),
        cmocka_unit_test(test_round_trip),
        cmocka_unit_test(test_coding_depends_on_the_bytes_alone),
        cmocka_unit_test(test_output_is_bounded_by_its_buffer),
    };
    return cmocka_run_group_tests_name("gzip", tests, NULL, NULL);
}
