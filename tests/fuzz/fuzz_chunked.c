/*
 * The chunked reader. However the bytes are cut, the same body comes out and the same number of
 * bytes is taken; and any bytes that are chunked come back as they were.
 */
#include "base/buf.h"
#include "fuzz_check.h"
#include "http/chunked.h"

struct outcome {
    enum chunked_status status;
    size_t consumed;
    struct buf body;
};

/* Reads `in` in pieces of `step` bytes. */
static void read_in_steps(struct slice in, size_t step, struct outcome *o)
{
    struct chunked c = {0};
    *o = (struct outcome){.status = CHUNKED_MORE};
    buf_init(&o->body, in.n + 1);
    while (o->status == CHUNKED_MORE && o->consumed < in.n) {
        struct slice piece = slice_to(slice_from(in, o->consumed), step), left = piece, data;
        while ((o->status = chunked_read(&c, &left, &data)) == CHUNKED_DATA) {
            CHECK(data.n > 0 && is_inside(piece, data));
            CHECK(data.p + data.n == left.p);
            buf_add(&o->body, data);
        }
        CHECK(is_inside(piece, left) && left.p + left.n == piece.p + piece.n);
        CHECK(o->status != CHUNKED_MORE || left.n == 0);
        o->consumed += piece.n - left.n;
    }
    CHECK(!o->body.failed);
}

static void check_same(const struct outcome *a, const struct outcome *b)
{
    CHECK(a->status == b->status && a->consumed == b->consumed);
    CHECK(slice_eq(buf_slice(&a->body), buf_slice(&b->body)));
}

/* `body` in chunks whose sizes the bytes themselves choose. */
static void encode(struct slice body, struct buf *out)
{
    while (body.n > 0) {
        size_t n = 1 + (unsigned char)body.p[0] % 40;
        struct slice chunk = slice_to(body, n);
        buf_addf(out, n % 2 ? "%zx\r\n" : "%zX;x=y\r\n", chunk.n);
        buf_add(out, chunk);
        buf_add(out, SLICE("\r\n"));
        body = slice_from(body, chunk.n);
    }
    buf_add(out, SLICE("0\r\nX: y\r\n\r\n"));
    CHECK(!out->failed);
}

/* Bytes behind the end are left alone. The size keeps the extensions below their bound. */
static void check_round_trip(struct slice body)
{
    const struct slice rest = SLICE("GET / HTTP/1.1\r\n");
    struct outcome o;
    struct buf out;
    body = slice_to(body, 4096);
    buf_init(&out, 20 * body.n + 64);
    encode(body, &out);
    size_t length = out.n;
    buf_add(&out, rest);
    read_in_steps(buf_slice(&out), 7, &o);
    CHECK(o.status == CHUNKED_DONE);
    CHECK(slice_eq(buf_slice(&o.body), body));
    CHECK(o.consumed == length);
    buf_free(&o.body);
    buf_free(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const size_t steps[] = {1, 2, 3, 17};
    struct slice in = fuzz_input(data, size);
    struct outcome whole, cut;
    read_in_steps(in, in.n + 1, &whole);
    CHECK(whole.body.n <= whole.consumed);
    for (size_t i = 0; i < sizeof steps / sizeof steps[0]; i++) {
        read_in_steps(in, steps[i], &cut);
        check_same(&whole, &cut);
        buf_free(&cut.body);
    }
    if (whole.status == CHUNKED_DONE)
        CHECK(slice_ends(slice_to(in, whole.consumed), SLICE("\r\n\r\n")));
    buf_free(&whole.body);
    check_round_trip(in);
    return 0;
}
