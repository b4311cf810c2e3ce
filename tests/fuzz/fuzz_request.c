/*
 * The request parser. Whatever it takes has one reading: printed anew from its parts it parses to
 * the same parts, and it holds nothing that another reader could take for a line's or a head's end.
 */
#include "base/buf.h"
#include "fuzz_check.h"
#include "http/request.h"
#include "http/url.h"

/* Byte by byte gives what all at once gives, and gives it as soon as the last byte is there. */
static void check_trickle(struct slice in, size_t length)
{
    size_t scanned = 0, n = 0, got = 0;
    while (n < in.n && got == 0) {
        n++;
        got = http_head_length(slice_to(in, n), &scanned);
        CHECK(scanned <= n);
    }
    CHECK(got == length);
    CHECK(length == 0 || n == length);
}

/* In a head that was taken every line ends in CRLF, and no CR or NUL stands elsewhere. */
static void check_line_ends(struct slice head)
{
    for (size_t i = 0; i < head.n; i++) {
        CHECK(head.p[i] != '\0');
        CHECK(head.p[i] != '\n' || (i > 0 && head.p[i - 1] == '\r'));
        CHECK(head.p[i] != '\r' || (i + 1 < head.n && head.p[i + 1] == '\n'));
    }
    CHECK(slice_ends(head, SLICE("\r\n\r\n")));
}

static void check_fields(struct slice head, const struct http_fields *fields)
{
    CHECK(fields->n <= HTTP_FIELDS_MAX);
    for (size_t i = 0; i < fields->n; i++) {
        const struct http_field *field = &fields->v[i];
        CHECK(is_inside(head, field->name) && is_inside(head, field->value));
        CHECK(http_is_token(field->name));
        CHECK(http_is_field_value(field->value));
        CHECK(slice_trim(field->value).n == field->value.n);
        CHECK(field->id == http_field_id(field->name));
        CHECK(field->id == HF_OTHER || slice_ieq(field->name, http_field_name(field->id)));
    }
}

static void check_framing(const struct http_request *req)
{
    const struct http_fields *f = &req->fields;
    size_t lengths = http_fields_count(f, HF_CONTENT_LENGTH);
    size_t codings = http_fields_count(f, HF_TRANSFER_ENCODING);
    CHECK(lengths <= 1 && codings <= 1 && lengths + codings <= 1);
    CHECK((req->framing == HTTP_CHUNKED) == (codings == 1));
    CHECK(req->framing != HTTP_CHUNKED || req->minor == 1);
    CHECK((req->framing == HTTP_LENGTH) == (req->content_length > 0));
    CHECK(http_fields_count(f, HF_HOST) <= 1);
    CHECK(req->minor == 0 || http_fields_count(f, HF_HOST) == 1);
}

static void check_target(struct slice head, const struct http_request *req)
{
    CHECK(is_inside(head, req->method_text) && is_inside(head, req->target));
    CHECK(is_inside(req->target, req->path) && is_inside(req->target, req->query));
    CHECK(is_inside(head, req->host));
    CHECK(http_is_token(req->method_text));
    CHECK(req->target.n <= HTTP_TARGET_MAX);
    CHECK(req->path.p[0] == '/' || slice_eq(req->path, SLICE("*")));
    CHECK(slice_find(req->path, '?') == req->path.n);
    struct slice host;
    unsigned port;
    CHECK(req->host.n > 0 ? http_authority_parse(req->host, &host, &port) : req->minor == 0);
}

/* A clean path stays clean when it is decoded: no dot segment, no control, no backslash. */
static void check_clean_path(struct arena *a, struct slice path)
{
    if (!http_path_is_clean(path))
        return;
    struct slice left = http_percent_decode(a, path);
    CHECK(left.p);
    for (size_t i = 0; i < left.n; i++)
        CHECK((unsigned char)left.p[i] >= 0x20 && left.p[i] != 0x7f && left.p[i] != '\\');
    while (left.n > 0) {
        struct slice segment = slice_to(left, slice_find(left, '/'));
        CHECK(!slice_eq(segment, SLICE(".")) && !slice_eq(segment, SLICE("..")));
        left = slice_from(left, segment.n + 1);
    }
}

static void print_request(const struct http_request *req, struct buf *out)
{
    buf_add(out, req->method_text);
    buf_addc(out, ' ');
    buf_add(out, req->target);
    buf_addf(out, " HTTP/1.%d\r\n", req->minor);
    for (size_t i = 0; i < req->fields.n; i++) {
        buf_add(out, req->fields.v[i].name);
        buf_add(out, SLICE(": "));
        buf_add(out, req->fields.v[i].value);
        buf_add(out, SLICE("\r\n"));
    }
    buf_add(out, SLICE("\r\n"));
    CHECK(!out->failed);
}

static void check_same(const struct http_request *a, const struct http_request *b)
{
    CHECK(a->method == b->method && slice_eq(a->method_text, b->method_text));
    CHECK(slice_eq(a->target, b->target) && slice_eq(a->path, b->path));
    CHECK(slice_eq(a->query, b->query) && slice_eq(a->host, b->host));
    CHECK(a->minor == b->minor && a->framing == b->framing);
    CHECK(a->content_length == b->content_length);
    CHECK(a->keep_alive == b->keep_alive && a->expect_continue == b->expect_continue);
    CHECK(a->fields.n == b->fields.n);
    for (size_t i = 0; i < a->fields.n; i++) {
        CHECK(slice_eq(a->fields.v[i].name, b->fields.v[i].name));
        CHECK(slice_eq(a->fields.v[i].value, b->fields.v[i].value));
    }
}

/* A blank is added behind each colon, so a head at the limit may come out too long. */
static void check_printed(struct arena *a, const struct http_request *req)
{
    struct http_request again;
    const char *why;
    struct buf out;
    size_t scanned = 0;
    buf_init(&out, 2 * HTTP_HEAD_MAX);
    print_request(req, &out);
    CHECK(http_head_length(buf_slice(&out), &scanned) == out.n);
    int status = http_request_parse(buf_slice(&out), a, &again, &why);
    CHECK(status == 0 || (status == 431 && out.n > HTTP_HEAD_MAX));
    if (status == 0)
        check_same(req, &again);
    buf_free(&out);
}

static void check_request(struct arena *a, struct slice head, const struct http_request *req)
{
    CHECK(head.n <= HTTP_HEAD_MAX);
    check_line_ends(head);
    check_target(head, req);
    check_fields(head, &req->fields);
    check_framing(req);
    check_clean_path(a, req->path);
    CHECK(is_inside(req->target, http_query_get(req->query, SLICE("ns"))));
    check_printed(a, req);
}

static bool is_known_status(int status)
{
    static const int statuses[] = {400, 414, 417, 431, 501, 505};
    for (size_t i = 0; i < sizeof statuses / sizeof statuses[0]; i++)
        if (status == statuses[i])
            return true;
    return false;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice in = fuzz_input(data, size);
    size_t scanned = 0, length = http_head_length(in, &scanned);
    CHECK(length <= in.n);
    check_trickle(in, length);

    struct arena a;
    struct http_request req;
    const char *why = NULL;
    struct slice head = slice_to(in, length ? length : in.n);
    arena_init(&a, NULL, 0, 1024 * 1024);
    int status = http_request_parse(head, &a, &req, &why);
    CHECK((status == 0) == (why == NULL));
    CHECK(status == 0 || is_known_status(status));
    CHECK(status != 0 || length > 0);
    if (status == 0)
        check_request(&a, head, &req);
    arena_reset(&a);
    return 0;
}
