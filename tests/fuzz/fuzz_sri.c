/*
 * What index pages say of a file's hash. Integrity metadata: what it gives is written back and
 * found again, and neither blanks nor a repetition change it. The first line and the rest, as an
 * algorithm and its hex: case does not matter.
 */
#include <ctype.h>

#include "base/buf.h"
#include "base/digest.h"
#include "fuzz_check.h"

static void check_result(enum err err, const struct digest *d)
{
    CHECK(err == ERR_OK || err == ERR_NOTFOUND || err == ERR_PROTO);
    CHECK((err == ERR_OK) == (d->algo != DIGEST_NONE));
    CHECK((err == ERR_OK) == (digest_bytes(d->algo) > 0));
}

/* "name:hex" leads back to the digest. */
static void check_text(const struct digest *d)
{
    char out[DIGEST_TEXT_MAX];
    struct slice text = digest_text(d, out);
    size_t colon = slice_find(text, ':');
    struct digest again;

    CHECK(digest_from_hex(slice_to(text, colon), slice_from(text, colon + 1), &again) == ERR_OK);
    CHECK(digest_equal(d, &again));
    CHECK(!digest_is_stronger(d->algo, again.algo) && digest_is_stronger(d->algo, DIGEST_NONE));
}

static void try_sri(struct slice text)
{
    struct digest d, again;
    struct buf twice;
    enum err err = digest_from_sri(text, &d);

    check_result(err, &d);
    if (err == ERR_OK)
        check_text(&d);
    buf_init(&twice, 2 * text.n + 8);
    buf_add(&twice, SLICE("\t\n"));
    buf_add(&twice, text);
    buf_addc(&twice, ' ');
    buf_add(&twice, text);
    buf_addc(&twice, '\r');
    CHECK(digest_from_sri(buf_slice(&twice), &again) == err);
    CHECK(digest_equal(&d, &again));
    buf_free(&twice);
}

static void try_hex(struct slice algorithm, struct slice hex)
{
    struct digest d, again;
    struct buf upper;
    enum err err = digest_from_hex(algorithm, hex, &d);

    check_result(err, &d);
    buf_init(&upper, algorithm.n + hex.n);
    buf_add(&upper, algorithm);
    buf_add(&upper, hex);
    for (size_t i = 0; i < upper.n; i++)
        upper.p[i] = (char)toupper((unsigned char)upper.p[i]);
    CHECK(digest_from_hex(slice_to(buf_slice(&upper), algorithm.n),
                          slice_from(buf_slice(&upper), algorithm.n), &again) == err);
    CHECK(digest_equal(&d, &again));
    buf_free(&upper);
    if (err != ERR_OK)
        return;
    CHECK(hex.n == 2 * digest_bytes(d.algo));
    check_text(&d);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice text = fuzz_input(data, size);

    try_sri(text);
    struct slice algorithm = take_line(&text);
    try_hex(algorithm, text);
    return 0;
}
