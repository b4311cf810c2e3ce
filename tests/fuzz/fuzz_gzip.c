/*
 * The gzip coding. By the first byte: the rest is decoded, whole and in pieces, with the same
 * result and within its bound; or the rest is coded in pieces and decoded to the same.
 */
#include "base/gzip.h"
#include "fuzz_check.h"

enum { MAX_OUT = 100000, PIECE_MAX = 64 * 1024 };

static enum err take(void *arg, struct slice bytes)
{
    struct buf *out = arg;

    CHECK(bytes.n > 0 && bytes.n <= PIECE_MAX);
    buf_add(out, bytes);
    CHECK(!out->failed);
    return ERR_OK;
}

static enum err decode(struct slice gzip, size_t piece, uint64_t max_out, struct buf *out)
{
    struct inflater *i = inflater_new(max_out);
    enum err err = ERR_OK;

    CHECK(i);
    buf_init(out, max_out);
    while (gzip.n && err == ERR_OK) {
        err = inflater_feed(i, slice_to(gzip, piece), take, out);
        gzip = slice_from(gzip, piece);
    }
    if (err == ERR_OK)
        err = inflater_finish(i);
    CHECK(inflater_finish(i) == err);
    inflater_free(&i);
    return err;
}

static void try_decoding(struct slice gzip, size_t piece)
{
    struct buf whole, parts;
    enum err err = decode(gzip, gzip.n, MAX_OUT, &whole);

    CHECK(err == ERR_OK || err == ERR_CORRUPT || err == ERR_LIMIT);
    CHECK(decode(gzip, piece, MAX_OUT, &parts) == err);
    /* What comes out before a fault depends on the pieces. */
    CHECK(err != ERR_OK || slice_eq(buf_slice(&whole), buf_slice(&parts)));
    buf_free(&whole);
    buf_free(&parts);
}

static void try_coding(struct slice text, size_t piece)
{
    struct deflater *d = deflater_new();
    struct buf gzip, back;

    CHECK(d);
    buf_init(&gzip, 2 * text.n + 100);
    for (struct slice left = text; left.n; left = slice_from(left, piece))
        CHECK(deflater_feed(d, slice_to(left, piece), &gzip) == ERR_OK);
    CHECK(deflater_finish(d, &gzip) == ERR_OK);
    deflater_free(&d);
    CHECK(decode(buf_slice(&gzip), piece, text.n, &back) == ERR_OK);
    CHECK(slice_eq(buf_slice(&back), text));
    buf_free(&gzip);
    buf_free(&back);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0)
        return 0;
    struct slice rest = fuzz_input(data + 1, size - 1);
    size_t piece = data[0] / 2 + 1;

    if (data[0] % 2)
        try_coding(rest, piece);
    else
        try_decoding(rest, piece);
    return 0;
}
