/*
 * The head of an upstream's answer, line by line. The first byte says whether the request was HEAD.
 * What was taken keeps its bounds, and taken apart at other places it is the same.
 */
#include "daemon/upstream/head.h"
#include "fuzz_check.h"
#include "http/request.h"

static void check_fields(const struct answer_head *h)
{
    CHECK(h->fields.n <= HTTP_FIELDS_MAX);
    for (size_t i = 0; i < h->fields.n; i++) {
        const struct http_field *f = &h->fields.v[i];
        CHECK(http_is_token(f->name));
        CHECK(http_is_field_value(f->value));
        CHECK(slice_eq(f->value, slice_trim(f->value)));
    }
}

static void check_complete(const struct answer_head *h, bool no_body)
{
    CHECK(h->status >= 200 && h->status <= 999);
    CHECK(h->bytes <= HTTP_HEAD_MAX);
    CHECK(h->framed || !(no_body || h->has_length || h->status == 204 || h->status == 304));
    CHECK(h->has_length || h->length == 0);
    if (http_fields_count(&h->fields, HF_TRANSFER_ENCODING))
        CHECK(!h->has_length);
}

/* An interim head before it and trailers behind it change nothing. */
static void check_around(struct slice in, const struct answer_head *want, bool no_body)
{
    struct answer_head *h = answer_head_new();
    CHECK(answer_head_line(h, SLICE("HTTP/1.1 103 Early Hints\r\n"), no_body, NULL) == ERR_OK);
    CHECK(answer_head_line(h, SLICE("Content-Length: 77\r\n"), no_body, NULL) == ERR_OK);
    CHECK(answer_head_line(h, SLICE("\r\n"), no_body, NULL) == ERR_OK);
    while (in.n && !h->complete)
        if (answer_head_line(h, take_line(&in), no_body, NULL) != ERR_OK)
            break; /* only the bound on bytes can be reached by this */
    CHECK(h->complete || h->bytes > HTTP_HEAD_MAX);
    CHECK(answer_head_line(h, SLICE("no field\x01"), no_body, NULL) == ERR_OK || !h->complete);
    if (h->complete) {
        CHECK(h->status == want->status && h->fields.n == want->fields.n);
        CHECK(h->has_length == want->has_length && h->length == want->length);
        CHECK(h->framed == want->framed);
    }
    answer_head_free(&h);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice in = fuzz_input(data, size);
    bool no_body = in.n && in.p[0] == 'H';
    in = slice_from(in, 1);
    struct slice rest = in;
    struct answer_head *h = answer_head_new();
    enum err rc = ERR_OK;
    while (rest.n && !rc && !h->complete)
        rc = answer_head_line(h, take_line(&rest), no_body, NULL);
    CHECK(rc == ERR_OK || rc == ERR_PROTO || rc == ERR_LIMIT);
    check_fields(h);
    if (rc == ERR_OK && h->complete) {
        check_complete(h, no_body);
        check_around(in, h, no_body);
    }
    answer_head_free(&h);
    return 0;
}
