#include "daemon/http/request.c"

#include <stdio.h>
#include <stdlib.h>

#include "http/chunked.h"
#include "http_test.h"

/* What a server that reads `bytes` from one connection makes of them. */
struct reading {
    size_t requests; /* read to their end without complaint */
    int status;      /* of the message that ended it; 0: all bytes were read */
    const char *why;
};

/* Takes a body off *in; false when its framing is broken or it is not all there. */
static bool skip_body(struct slice *in, const struct http_request *req)
{
    if (req->framing == HTTP_LENGTH) {
        bool whole = req->content_length <= in->n;
        *in = slice_from(*in, (size_t)req->content_length);
        return whole;
    }
    if (req->framing == HTTP_NO_BODY)
        return true;
    struct chunked c = {0};
    struct slice data;
    enum chunked_status status;
    while ((status = chunked_read(&c, in, &data)) == CHUNKED_DATA)
        continue;
    return status == CHUNKED_DONE;
}

static struct reading read_connection_bytes(struct slice in)
{
    struct reading r = {0};
    while (in.n > 0 && r.status == 0) {
        struct arena a;
        struct http_request req;
        size_t scanned = 0, length = http_head_length(in, &scanned);
        if (length == 0)
            return (struct reading){r.requests, 400, "the head is not complete"};
        test_arena(&a);
        r.status = http_request_parse(slice_to(in, length), &a, &req, &r.why);
        in = slice_from(in, length);
        if (r.status == 0 && !skip_body(&in, &req)) {
            r.status = 400;
            r.why = "the body's framing";
        }
        r.requests += r.status == 0;
        arena_reset(&a);
    }
    return r;
}

struct bytes_row {
    const char *name;
    struct slice bytes;
    int status;
    size_t requests;
};

static void check_bytes(const struct bytes_row *rows, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        struct reading r = read_connection_bytes(rows[i].bytes);
        if (r.status != rows[i].status || r.requests != rows[i].requests)
            fail_msg("%s: status %d (%s) after %zu requests", rows[i].name, r.status,
                     r.why ? r.why : "-", r.requests);
        assert_true((r.why != NULL) == (r.status != 0));
    }
}

#define CHECK_BYTES(rows) check_bytes(rows, sizeof(rows) / sizeof((rows)[0]))
#define ROW(name, bytes, status, requests)                                                         \
    {                                                                                              \
        name, SLICE(bytes), status, requests                                                       \
    }
#define HOST_X "Host: x\r\n"
#define SMUGGLED "GET /smuggled HTTP/1.1\r\nHost: x\r\n\r\n"

/* The table that the project began with: what lenient parsers were seen to accept. */
static const struct bytes_row hostile_rows[] = {
    ROW("length and chunked together",
        "POST /a HTTP/1.1\r\n" HOST_X "Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n"
        "0\r\n\r\n" SMUGGLED,
        400, 0),
    ROW("two different lengths",
        "POST /a HTTP/1.1\r\n" HOST_X "Content-Length: 0\r\nContent-Length: 5\r\n\r\nAAAAA", 400,
        0),
    ROW("unknown transfer coding",
        "POST /a HTTP/1.1\r\n" HOST_X "Transfer-Encoding: foo\r\n\r\n" SMUGGLED, 400, 0),
    ROW("space before the colon",
        "POST /a HTTP/1.1\r\n" HOST_X "Content-Length : 38\r\n\r\n" SMUGGLED "       \r\n", 400, 0),
    ROW("signed length", "POST /a HTTP/1.1\r\n" HOST_X "Content-Length: +5\r\n\r\nAAAAA", 400, 0),
    ROW("hexadecimal prefix in a chunk size",
        "POST /a HTTP/1.1\r\n" HOST_X "Transfer-Encoding: chunked\r\n\r\n0x5\r\nAAAAA\r\n0\r\n\r\n",
        400, 0),
    ROW("no line end after chunk data",
        "POST /a HTTP/1.1\r\n" HOST_X "Transfer-Encoding: chunked\r\n\r\n5\r\nAAAAA0\r\n\r\n", 400,
        0),
    ROW("bare line feeds", "GET /a HTTP/1.1\nHost: x\n\n", 400, 0),
    ROW("two Host fields", "GET /a HTTP/1.1\r\n" HOST_X "Host: y\r\n\r\n", 400, 0),
    ROW("no Host in HTTP/1.1", "GET /a HTTP/1.1\r\n\r\n", 400, 0),
    ROW("unknown minor version", "GET /a HTTP/1.9\r\n" HOST_X "\r\n", 505, 0),
    ROW("NUL in a value", "GET /a HTTP/1.1\r\n" HOST_X "X: a\0b\r\n\r\n", 400, 0),
    ROW("folded field line", "GET /a HTTP/1.1\r\n" HOST_X "X: a\r\n b\r\n\r\n", 400, 0),
    ROW("empty field name", "GET /a HTTP/1.1\r\n" HOST_X ": a\r\n\r\n", 400, 0),
    ROW("space in the target", "GET /a b HTTP/1.1\r\n" HOST_X "\r\n", 400, 0),
    ROW("chunk extension on a small body",
        "POST /v2/ HTTP/1.1\r\n" HOST_X
        "Transfer-Encoding: chunked\r\n\r\n5;a=b\r\nAAAAA\r\n0\r\n\r\n",
        0, 1),
    ROW("two requests in one segment",
        "GET /v2/ HTTP/1.1\r\n" HOST_X "\r\nGET /v2/ HTTP/1.1\r\n" HOST_X "\r\n", 0, 2),
    ROW("HTTP/1.0 without Host", "GET /v2/ HTTP/1.0\r\n\r\n", 0, 1),
};

static void test_hostile_table(void **state)
{
    (void)state;
    CHECK_BYTES(hostile_rows);
}

static const struct bytes_row line_rows[] = {
    ROW("plain", "GET / HTTP/1.1\r\n" HOST_X "\r\n", 0, 1),
    ROW("no method", " / HTTP/1.1\r\n" HOST_X "\r\n", 400, 0),
    ROW("no method and no blank", "/ HTTP/1.1\r\n" HOST_X "\r\n", 400, 0),
    ROW("method is no token", "GE(T / HTTP/1.1\r\n" HOST_X "\r\n", 400, 0),
    ROW("blank before the method", " GET / HTTP/1.1\r\n" HOST_X "\r\n", 400, 0),
    ROW("two blanks behind the method", "GET  / HTTP/1.1\r\n" HOST_X "\r\n", 400, 0),
    ROW("tab behind the method", "GET\t/ HTTP/1.1\r\n" HOST_X "\r\n", 400, 0),
    ROW("two blanks behind the target", "GET /  HTTP/1.1\r\n" HOST_X "\r\n", 400, 0),
    ROW("tab behind the target", "GET /\tHTTP/1.1\r\n" HOST_X "\r\n", 400, 0),
    ROW("blank behind the version", "GET / HTTP/1.1 \r\n" HOST_X "\r\n", 400, 0),
    ROW("no version", "GET /\r\n\r\n", 400, 0),
    ROW("no version but a blank", "GET / \r\n\r\n", 400, 0),
    ROW("no target", "GET HTTP/1.1\r\n" HOST_X "\r\n", 400, 0),
    ROW("small letters", "GET / http/1.1\r\n" HOST_X "\r\n", 400, 0),
    ROW("other protocol", "GET / HTTQ/1.1\r\n" HOST_X "\r\n", 400, 0),
    ROW("version without minor", "GET / HTTP/1\r\n" HOST_X "\r\n", 400, 0),
    ROW("two digits", "GET / HTTP/1.10\r\n" HOST_X "\r\n", 400, 0),
    ROW("leading zero", "GET / HTTP/01.1\r\n" HOST_X "\r\n", 400, 0),
    ROW("comma", "GET / HTTP/1,1\r\n" HOST_X "\r\n", 400, 0),
    ROW("version cut off at the end of the head", "GET / HTTP/\r\n\r\n", 400, 0),
    ROW("HTTP/1.2", "GET / HTTP/1.2\r\n" HOST_X "\r\n", 505, 0),
    ROW("HTTP/2.0", "GET / HTTP/2.0\r\n" HOST_X "\r\n", 505, 0),
    ROW("HTTP/0.9", "GET / HTTP/0.9\r\n" HOST_X "\r\n", 505, 0),
    ROW("HTTP/2 preface", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505, 0),
    ROW("TLS hello", "\x16\x03\x01\x02\x00\x01\n\n", 400, 0),
    ROW("CR in the line", "GET /\r HTTP/1.1\r\n" HOST_X "\r\n", 400, 0),
    ROW("NUL in the method", "G\0T / HTTP/1.1\r\n" HOST_X "\r\n", 400, 0),
    ROW("LF ends the line", "GET / HTTP/1.1\n" HOST_X "\r\n", 400, 0),
    ROW("CR CR LF ends the line", "GET / HTTP/1.1\r\r\n" HOST_X "\r\n", 400, 0),
    ROW("empty line first", "\r\nGET / HTTP/1.1\r\n" HOST_X "\r\n", 0, 1),
    ROW("three empty lines first", "\r\n\r\n\r\nGET / HTTP/1.1\r\n" HOST_X "\r\n", 0, 1),
    ROW("empty line between", "GET / HTTP/1.0\r\n\r\n\r\nGET / HTTP/1.0\r\n\r\n", 0, 2),
    ROW("LF first", "\nGET / HTTP/1.1\r\n" HOST_X "\r\n", 400, 0),
    ROW("CRLF LF first", "\r\n\nGET / HTTP/1.1\r\n" HOST_X "\r\n", 400, 0),
    ROW("CR first", "\rGET / HTTP/1.1\r\n" HOST_X "\r\n", 400, 0),
    ROW("blank line first", " \r\n\r\nGET / HTTP/1.1\r\n" HOST_X "\r\n", 400, 0),
};

static void test_request_lines(void **state)
{
    (void)state;
    CHECK_BYTES(line_rows);
}

#define TARGET(name, target, status, requests)                                                     \
    ROW(name, "GET " target " HTTP/1.1\r\n" HOST_X "\r\n", status, requests)

static const struct bytes_row target_rows[] = {
    TARGET("all visible bytes but '#'", "/!\"$%&'()*+,-./:;<=>?@[\\]^_`{|}~", 0, 1),
    TARGET("escapes are not judged here", "/%zz%00", 0, 1),
    TARGET("fragment", "/a#b", 400, 0),
    TARGET("fragment in the query", "/a?b#c", 400, 0),
    TARGET("control", "/a\x01", 400, 0),
    TARGET("DEL", "/a\x7f", 400, 0),
    TARGET("NUL", "/a\0b", 400, 0),
    TARGET("UTF-8", "/\xc3\xa4", 400, 0),
    TARGET("obs-text in the query", "/?\xff", 400, 0),
    TARGET("no slash", "a", 400, 0),
    TARGET("query only", "?a", 400, 0),
    TARGET("asterisk with GET", "*", 400, 0),
    TARGET("authority", "x:443", 400, 0),
    TARGET("absolute", "http://x/a", 0, 1),
    TARGET("absolute without a path", "http://x", 0, 1),
    TARGET("absolute with userinfo", "http://u:p@x/a", 400, 0),
    TARGET("absolute without a host", "http:///a", 400, 0),
    TARGET("absolute with a bad port", "http://x:99999/a", 400, 0),
    TARGET("absolute with an escaped host", "http://%78/a", 400, 0),
    TARGET("absolute of another scheme", "ftp://x/a", 400, 0),
    ROW("asterisk with OPTIONS", "OPTIONS * HTTP/1.1\r\n" HOST_X "\r\n", 0, 1),
    ROW("more than an asterisk", "OPTIONS *a HTTP/1.1\r\n" HOST_X "\r\n", 400, 0),
    ROW("CONNECT", "CONNECT x:443 HTTP/1.1\r\nHost: x:443\r\n\r\n", 400, 0),
    ROW("absolute and no Host", "GET http://x/ HTTP/1.1\r\n\r\n", 400, 0),
    ROW("absolute and a bad Host", "GET http://x/ HTTP/1.1\r\nHost: a/b\r\n\r\n", 400, 0),
    ROW("absolute and two Hosts", "GET http://x/ HTTP/1.1\r\n" HOST_X HOST_X "\r\n", 400, 0),
};

static void test_targets(void **state)
{
    (void)state;
    CHECK_BYTES(target_rows);
}

#define FIELD(name, lines, status, requests)                                                       \
    ROW(name, "GET / HTTP/1.1\r\n" HOST_X lines "\r\n\r\n", status, requests)

static const struct bytes_row field_rows[] = {
    FIELD("empty value", "X:", 0, 1),
    FIELD("blank value", "X: \t ", 0, 1),
    FIELD("all bytes of a value", "X: \t !\"#$%&'()*+,-./0:;<=>?@A[\\]^_`a{|}~\x80\xff", 0, 1),
    FIELD("all bytes of a name", "!#$%&'*+-.^_`|~0aZ: x", 0, 1),
    FIELD("colon in the value", "X: a:b", 0, 1),
    FIELD("no colon", "X", 400, 0),
    FIELD("colon only", ":", 400, 0),
    FIELD("blank in the name", "X Y: a", 400, 0),
    FIELD("blank before the name", " X: a", 400, 0),
    FIELD("tab before the name", "\tX: a", 400, 0),
    FIELD("tab before the colon", "X\t: a", 400, 0),
    FIELD("folded with a tab", "X: a\r\n\tb", 400, 0),
    FIELD("folded with nothing", "X: a\r\n ", 400, 0),
    FIELD("name in quotes", "\"X\": a", 400, 0),
    FIELD("name with obs-text", "X\xe4: a", 400, 0),
    FIELD("name with NUL", "X\0: a", 400, 0),
    FIELD("CR in a value", "X: a\rb", 400, 0),
    FIELD("CR at the end of a value", "X: a\r", 400, 0),
    FIELD("LF in a value", "X: a\nY: b", 400, 0),
    FIELD("control in a value", "X: a\x01", 400, 0),
    FIELD("vertical tab in a value", "X: \x0b", 400, 0),
    FIELD("DEL in a value", "X: \x7f", 400, 0),
    FIELD("CR for a name", "\rX: a", 400, 0),
    ROW("first field line folded", "GET / HTTP/1.1\r\n X: a\r\n" HOST_X "\r\n", 400, 0),
    ROW("LF LF ends the head", "GET / HTTP/1.1\r\n" HOST_X "\n" SMUGGLED, 400, 0),
    ROW("LF CRLF ends the head", "GET / HTTP/1.1\r\nHost: x\n\r\n" SMUGGLED, 400, 0),
};

static void test_field_lines(void **state)
{
    (void)state;
    CHECK_BYTES(field_rows);
}

#define HOST(value, status, requests)                                                              \
    ROW("Host: " value, "GET / HTTP/1.1\r\nHost:" value "\r\n\r\n", status, requests)

static const struct bytes_row host_rows[] = {
    HOST("x", 0, 1),
    HOST(" \tx\t ", 0, 1),
    HOST(" registry.example.org:5000", 0, 1),
    HOST(" a_b-c.d", 0, 1),
    HOST(" 127.0.0.1:80", 0, 1),
    HOST(" [::1]", 0, 1),
    HOST(" [2001:db8::1]:5000", 0, 1),
    HOST("", 400, 0),
    HOST(" ", 400, 0),
    HOST(" x y", 400, 0),
    HOST(" x,y", 400, 0),
    HOST(" x/y", 400, 0),
    HOST(" x@y", 400, 0),
    HOST(" x?y", 400, 0),
    HOST(" http://x", 400, 0),
    HOST(" x:", 400, 0),
    HOST(" :80", 400, 0),
    HOST(" x:0", 400, 0),
    HOST(" x:65536", 400, 0),
    HOST(" x:80:80", 400, 0),
    HOST(" x:8a", 400, 0),
    HOST(" ::1", 400, 0),
    HOST(" [::1", 400, 0),
    HOST(" [::1]5000", 400, 0),
    HOST(" [::1%25lo]", 400, 0),
    HOST(" 127.1", 400, 0),
    HOST(" x..y", 400, 0),
    HOST(" %78", 400, 0),
    HOST(" \xc3\xa4", 400, 0),
    ROW("empty Host in 1.0", "GET / HTTP/1.0\r\nHost:\r\n\r\n", 0, 1),
    ROW("bad Host in 1.0", "GET / HTTP/1.0\r\nHost: a b\r\n\r\n", 400, 0),
    ROW("two Hosts in 1.0", "GET / HTTP/1.0\r\n" HOST_X HOST_X "\r\n", 400, 0),
    ROW("two equal Hosts", "GET / HTTP/1.1\r\n" HOST_X "hOST: x\r\n\r\n", 400, 0),
    ROW("an empty Host and a good one", "GET / HTTP/1.1\r\nHost:\r\n" HOST_X "\r\n", 400, 0),
};

static void test_hosts(void **state)
{
    (void)state;
    CHECK_BYTES(host_rows);
}

#define FRAMED(name, lines, body, status, requests)                                                \
    ROW(name, "POST / HTTP/1.1\r\n" HOST_X lines "\r\n\r\n" body, status, requests)

static const struct bytes_row framing_rows[] = {
    FRAMED("length", "Content-Length: 5", "AAAAA" SMUGGLED, 0, 2),
    FRAMED("length hides a request", "Content-Length: 35", SMUGGLED, 0, 1),
    FRAMED("length 0", "Content-Length: 0", SMUGGLED, 0, 2),
    FRAMED("length with zeros before it", "content-length: 0005", "AAAAA", 0, 1),
    FRAMED("chunked", "Transfer-Encoding: chunked", "5\r\nAAAAA\r\n0\r\n\r\n" SMUGGLED, 0, 2),
    FRAMED("chunked in capitals", "TRANSFER-ENCODING:\tCHUNKED ", "0\r\n\r\n", 0, 1),
    FRAMED("chunked with trailers", "Transfer-Encoding: chunked",
           "0\r\nContent-Length: 9\r\n\r\n" SMUGGLED, 0, 2),
    FRAMED("empty length", "Content-Length:", "", 400, 0),
    FRAMED("negative length", "Content-Length: -5", "AAAAA", 400, 0),
    FRAMED("hexadecimal length", "Content-Length: 0x5", "AAAAA", 400, 0),
    FRAMED("length with a fraction", "Content-Length: 5.0", "AAAAA", 400, 0),
    FRAMED("length with a blank inside", "Content-Length: 5 0", "AAAAA", 400, 0),
    FRAMED("length with a comma behind", "Content-Length: 5,", "AAAAA", 400, 0),
    FRAMED("list of equal lengths", "Content-Length: 5, 5", "AAAAA", 400, 0),
    FRAMED("list of lengths", "Content-Length: 5, 6", "AAAAA", 400, 0),
    FRAMED("two equal lengths", "Content-Length: 5\r\nContent-Length: 5", "AAAAA", 400, 0),
    FRAMED("length beyond 64 bits", "Content-Length: 18446744073709551616", "", 400, 0),
    FRAMED("length that would wrap to 5", "Content-Length: 18446744073709551621", "AAAAA", 400, 0),
    FRAMED("chunked and length", "Transfer-Encoding: chunked\r\nContent-Length: 0", "0\r\n\r\n",
           400, 0),
    FRAMED("unknown coding and length", "Transfer-Encoding: x\r\nContent-Length: 0", "", 400, 0),
    FRAMED("gzip, then chunked", "Transfer-Encoding: gzip, chunked", "0\r\n\r\n", 501, 0),
    FRAMED("gzip and chunked in lines", "Transfer-Encoding: gzip\r\nTransfer-Encoding: chunked",
           "0\r\n\r\n", 501, 0),
    FRAMED("chunked, then gzip", "Transfer-Encoding: chunked, gzip", "0\r\n\r\n", 400, 0),
    FRAMED("chunked and identity in lines",
           "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity", "0\r\n\r\n", 400, 0),
    FRAMED("chunked twice", "Transfer-Encoding: chunked, chunked", "0\r\n\r\n", 400, 0),
    FRAMED("chunked twice in lines", "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked",
           "0\r\n\r\n", 400, 0),
    FRAMED("identity", "Transfer-Encoding: identity", "", 400, 0),
    FRAMED("empty coding", "Transfer-Encoding:", "", 400, 0),
    FRAMED("commas only", "Transfer-Encoding: ,,", "", 400, 0),
    FRAMED("comma before chunked", "Transfer-Encoding: ,chunked", "0\r\n\r\n", 400, 0),
    FRAMED("comma behind chunked", "Transfer-Encoding: chunked,", "0\r\n\r\n", 400, 0),
    FRAMED("empty line and chunked", "Transfer-Encoding:\r\nTransfer-Encoding: chunked",
           "0\r\n\r\n", 400, 0),
    FRAMED("chunked with a parameter", "Transfer-Encoding: chunked;q=1", "0\r\n\r\n", 400, 0),
    FRAMED("chunked in quotes", "Transfer-Encoding: \"chunked\"", "0\r\n\r\n", 400, 0),
    FRAMED("something like chunked", "Transfer-Encoding: xchunked", "0\r\n\r\n", 400, 0),
    FRAMED("vertical tab before chunked",
           "Transfer-Encoding: \x0b"
           "chunked",
           "0\r\n\r\n", 400, 0),
    FRAMED("colon missing, blank instead", "Transfer-Encoding chunked", "0\r\n\r\n", 400, 0),
    ROW("chunked in 1.0", "POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" SMUGGLED,
        400, 0),
    ROW("length in 1.0", "POST / HTTP/1.0\r\nContent-Length: 5\r\n\r\nAAAAA", 0, 1),
    ROW("GET with a body", "GET / HTTP/1.1\r\n" HOST_X "Content-Length: 35\r\n\r\n" SMUGGLED, 0, 1),
    ROW("HEAD with a body", "HEAD / HTTP/1.1\r\n" HOST_X "Content-Length: 35\r\n\r\n" SMUGGLED, 0,
        1),
};

static void test_framing(void **state)
{
    (void)state;
    CHECK_BYTES(framing_rows);
}

static const struct bytes_row expect_rows[] = {
    FIELD("100-continue", "Expect: 100-continue", 0, 1),
    FIELD("capitals", "Expect: 100-Continue", 0, 1),
    FIELD("twice", "Expect: 100-continue, 100-continue", 0, 1),
    FIELD("nothing", "Expect:", 0, 1),
    FIELD("something else", "Expect: 200-ok", 417, 0),
    FIELD("something else too", "Expect: 100-continue, x=y", 417, 0),
    FIELD("something else in another line", "Expect: 100-continue\r\nExpect: x", 417, 0),
    FIELD("almost", "Expect: 100-continu", 417, 0),
};

static void test_expectations(void **state)
{
    (void)state;
    CHECK_BYTES(expect_rows);
}

/* Parses a head that must be good; the caller resets the arena. */
static struct http_request parse_good(struct arena *a, const char *head)
{
    struct http_request req;
    const char *why = "stale";
    test_arena(a);
    if (http_request_parse(slice_str(head), a, &req, &why) != 0)
        fail_msg("%s: %s", head, why);
    assert_null(why);
    return req;
}

static void test_parts_of_a_request(void **state)
{
    (void)state;
    struct arena a;
    const char *head = "\r\nPOST /v2/a%2fb/?n=1&last=?x HTTP/1.1\r\n"
                       "host: Registry.example:5000\r\n"
                       "ACCEPT:  a, b \t\r\n"
                       "X-Empty:\r\n"
                       "content-LENGTH:7\r\n"
                       "\r\n";
    struct http_request req = parse_good(&a, head);
    assert_int_equal(req.method, HTTP_POST);
    check_text("method", req.method_text, "POST");
    check_text("target", req.target, "/v2/a%2fb/?n=1&last=?x");
    check_text("path", req.path, "/v2/a%2fb/");
    check_text("query", req.query, "n=1&last=?x");
    check_text("host", req.host, "Registry.example:5000");
    assert_int_equal(req.minor, 1);
    assert_int_equal(req.framing, HTTP_LENGTH);
    assert_true(req.content_length == 7);
    assert_true(req.keep_alive);
    assert_false(req.expect_continue);
    assert_int_equal(req.fields.n, 4);
    check_text("first name", req.fields.v[0].name, "host");
    assert_int_equal(req.fields.v[0].id, HF_HOST);
    check_text("trimmed", req.fields.v[1].value, "a, b");
    check_text("empty", req.fields.v[2].value, "");
    assert_int_equal(req.fields.v[2].id, HF_OTHER);
    check_text("known id", http_fields_value(&req.fields, HF_CONTENT_LENGTH), "7");
    assert_ptr_equal(req.path.p, head + 7);
    arena_reset(&a);
}

static void test_methods(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        enum http_method method;
    } rows[] = {
        {"GET", HTTP_GET},           {"HEAD", HTTP_HEAD},          {"POST", HTTP_POST},
        {"PUT", HTTP_PUT},           {"PATCH", HTTP_PATCH},        {"DELETE", HTTP_DELETE},
        {"OPTIONS", HTTP_OPTIONS},   {"TRACE", HTTP_METHOD_OTHER}, {"get", HTTP_METHOD_OTHER},
        {"GETS", HTTP_METHOD_OTHER}, {"X", HTTP_METHOD_OTHER},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        char head[64];
        struct arena a;
        snprintf(head, sizeof head, "%s / HTTP/1.0\r\n\r\n", rows[i].name);
        struct http_request req = parse_good(&a, head);
        assert_int_equal(req.method, rows[i].method);
        check_text("text", req.method_text, rows[i].name);
        arena_reset(&a);
    }
}

static void test_target_forms(void **state)
{
    (void)state;
    static const struct {
        const char *line, *path, *query, *host;
    } rows[] = {
        {"GET / HTTP/1.1", "/", NULL, "x"},
        {"GET /? HTTP/1.1", "/", "", "x"},
        {"GET //a/b HTTP/1.1", "//a/b", NULL, "x"},
        {"OPTIONS * HTTP/1.1", "*", NULL, "x"},
        {"GET http://Other:81/a/b?c=d HTTP/1.1", "/a/b", "c=d", "Other:81"},
        {"GET HTTPS://other HTTP/1.1", "/", NULL, "other"},
        {"GET http://other?c HTTP/1.1", "/", "c", "other"},
        {"GET http://[::1]:5000/ HTTP/1.1", "/", NULL, "[::1]:5000"},
        {"GET http://x/a HTTP/1.0", "/a", NULL, "x"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        char head[128];
        struct arena a;
        snprintf(head, sizeof head, "%s\r\nHost: x\r\n\r\n", rows[i].line);
        struct http_request req = parse_good(&a, head);
        check_text(rows[i].line, req.path, rows[i].path);
        check_text(rows[i].line, req.query, rows[i].query);
        check_text(rows[i].line, req.host, rows[i].host);
        arena_reset(&a);
    }
    struct arena a;
    struct http_request req = parse_good(&a, "GET / HTTP/1.0\r\n\r\n");
    assert_int_equal(req.host.n, 0);
    assert_int_equal(req.minor, 0);
    assert_int_equal(req.fields.n, 0);
    arena_reset(&a);
}

static void test_keep_alive(void **state)
{
    (void)state;
    static const struct {
        int minor;
        const char *lines;
        bool keep_alive;
    } rows[] = {
        {1, "", true},
        {1, "Connection: close\r\n", false},
        {1, "Connection: CLOSE\r\n", false},
        {1, "Connection: keep-alive, x, close\r\n", false},
        {1, "Connection: x\r\nConnection: close\r\n", false},
        {1, "Connection: close\r\nConnection: keep-alive\r\n", false},
        {1, "Connection: closed, not-close\r\n", true},
        {1, "Connection: \"close\"\r\n", true},
        {1, "Connection: upgrade\r\n", true},
        {1, "Proxy-Connection: close\r\n", true},
        {0, "", false},
        {0, "Connection: keep-alive\r\n", true},
        {0, "Connection: x,Keep-Alive\r\n", true},
        {0, "Connection: keep-alive, close\r\n", false},
        {0, "Keep-Alive: 300\r\n", false},
        {0, "Proxy-Connection: keep-alive\r\n", false},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        char head[128];
        struct arena a;
        snprintf(head, sizeof head, "GET / HTTP/1.%d\r\nHost: x\r\n%s\r\n", rows[i].minor,
                 rows[i].lines);
        struct http_request req = parse_good(&a, head);
        if (req.keep_alive != rows[i].keep_alive)
            fail_msg("1.%d, %s is judged wrong", rows[i].minor, rows[i].lines);
        arena_reset(&a);
    }
}

static void test_expect_continue(void **state)
{
    (void)state;
    struct arena a;
    assert_true(parse_good(&a, "PUT / HTTP/1.1\r\nHost: x\r\nExpect: 100-Continue\r\n\r\n")
                    .expect_continue);
    arena_reset(&a);
    assert_false(parse_good(&a, "PUT / HTTP/1.0\r\nExpect: 100-continue\r\n\r\n").expect_continue);
    arena_reset(&a);
}

static void test_framing_values(void **state)
{
    (void)state;
    struct arena a;
    struct http_request req =
        parse_good(&a, "PUT / HTTP/1.0\r\nContent-Length: 18446744073709551615\r\n\r\n");
    assert_int_equal(req.framing, HTTP_LENGTH);
    assert_true(req.content_length == UINT64_MAX);
    arena_reset(&a);
    req = parse_good(&a, "PUT / HTTP/1.0\r\nContent-Length: 0\r\n\r\n");
    assert_int_equal(req.framing, HTTP_NO_BODY);
    arena_reset(&a);
    req = parse_good(&a, "PUT / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n");
    assert_int_equal(req.framing, HTTP_CHUNKED);
    assert_true(req.content_length == 0);
    arena_reset(&a);
}

/* A request line, and `fields` lines of `length` bytes each, Host being the first. */
static struct slice big_head(struct arena *a, size_t target, size_t fields, size_t length)
{
    char *out = arena_alloc(a, target + fields * length + 64);
    assert_non_null(out);
    size_t n = (size_t)sprintf(out, "GET /");
    memset(out + n, 't', target - 1);
    n += target - 1;
    n += (size_t)sprintf(out + n, " HTTP/1.1\r\nHost: x\r\n");
    for (size_t i = 1; i < fields; i++) {
        memset(out + n, 'f', length);
        out[n + 1] = ':';
        memcpy(out + n + length - 2, "\r\n", 2);
        n += length;
    }
    memcpy(out + n, "\r\n", 2);
    return slice_of(out, n + 2);
}

static int status_of(struct slice head)
{
    struct arena a;
    struct http_request req;
    const char *why;
    test_arena(&a);
    int status = http_request_parse(head, &a, &req, &why);
    arena_reset(&a);
    return status;
}

static void test_limits(void **state)
{
    (void)state;
    struct arena a;
    test_arena(&a);
    assert_int_equal(status_of(big_head(&a, 1, HTTP_FIELDS_MAX, 10)), 0);
    assert_int_equal(status_of(big_head(&a, 1, HTTP_FIELDS_MAX + 1, 10)), 431);
    assert_int_equal(status_of(big_head(&a, HTTP_TARGET_MAX, 1, 0)), 0);
    assert_int_equal(status_of(big_head(&a, HTTP_TARGET_MAX + 1, 1, 0)), 414);
    assert_int_equal(status_of(big_head(&a, 2 * HTTP_HEAD_MAX, 1, 0)), 414);
    size_t rest = big_head(&a, 1, 2, 0).n;
    struct slice longest = big_head(&a, 1, 2, HTTP_HEAD_MAX - rest);
    assert_int_equal(longest.n, HTTP_HEAD_MAX);
    assert_int_equal(status_of(longest), 0);
    assert_int_equal(status_of(big_head(&a, 1, 2, HTTP_HEAD_MAX - rest + 1)), 431);
    arena_reset(&a);
}

/* Every byte at every place of a value, whatever its neighbours in a machine word are. */
static void test_every_byte_of_a_value_is_judged(void **state)
{
    (void)state;
    enum { LENGTH = 19 };
    for (int c = 0; c < 256; c++) {
        for (size_t at = 0; at < LENGTH; at++) {
            char head[80], filler[LENGTH];
            memset(filler, at % 2 ? '\xff' : '~', sizeof filler);
            filler[at] = (char)c;
            int n = snprintf(head, sizeof head, "GET / HTTP/1.0\r\nA: x");
            memcpy(head + n, filler, LENGTH);
            memcpy(head + n + LENGTH, "x\r\n\r\n", 5);
            struct arena a;
            struct http_request req;
            const char *why;
            test_arena(&a);
            int status = http_request_parse(slice_of(head, (size_t)n + LENGTH + 5), &a, &req, &why);
            bool good = c == '\t' || (c >= ' ' && c != 0x7f);
            if (status != (good ? 0 : 400))
                fail_msg("byte 0x%02x at %zu: %d", (unsigned)c, at, status);
            if (good)
                assert_int_equal(req.fields.v[0].value.n, LENGTH + 2);
            arena_reset(&a);
        }
    }
}

/* The same for a target and its sixteen neighbours. A blank ends it, then comes no version. */
static void test_every_byte_of_a_target_is_judged(void **state)
{
    (void)state;
    enum { LENGTH = 40 };
    for (int c = 0; c < 256; c++) {
        for (size_t at = 1; at < LENGTH; at++) {
            char head[80];
            int n = snprintf(head, sizeof head, "GET /%0*d HTTP/1.0\r\n\r\n", LENGTH - 1, 0);
            head[4 + at] = (char)c;
            int good = c > ' ' && c < 0x7f && c != '#' ? 0 : 400;
            if (status_of(slice_of(head, (size_t)n)) != good)
                fail_msg("byte 0x%02x at %zu is not judged %d", (unsigned)c, at, good);
        }
    }
}

static void test_fields_need_room(void **state)
{
    (void)state;
    struct arena a;
    struct http_request req;
    const char *why = NULL;
    full_arena(&a);
    struct slice head = SLICE("GET / HTTP/1.1\r\nHost: x\r\n\r\n");
    assert_int_equal(http_request_parse(head, &a, &req, &why), 431);
    assert_non_null(why);
}

/* A parser that is given something else than one whole head says so and reads no further. */
static void test_cut_heads(void **state)
{
    (void)state;
    const struct slice whole = SLICE("\r\nGET / HTTP/1.1\r\nHost: x\r\nA: b\r\n\r\n");
    for (size_t n = 0; n < whole.n; n++) {
        /* A block of its own size, so that a byte read behind its end is seen. */
        char *copy = malloc(n ? n : 1);
        assert_non_null(copy);
        memcpy(copy, whole.p, n);
        assert_int_equal(status_of(slice_of(copy, n)), 400);
        free(copy);
    }
    assert_int_equal(status_of(whole), 0);
    assert_int_equal(status_of(SLICE("GET / HTTP/1.0\r\n\r\nx")), 400);
    assert_int_equal(status_of(SLICE("GET / HTTP/1.0\r\n\r\n\r\n")), 400);
    assert_int_equal(status_of(SLICE("\r\n\r\n")), 400);
}

static void check_head_length(const char *text, size_t want)
{
    struct slice whole = slice_str(text);
    size_t scanned = 0;
    if (http_head_length(whole, &scanned) != want)
        fail_msg("%s: not %zu", text, want);
    /* In two pieces, cut anywhere, and byte by byte. */
    for (size_t cut = 0; cut <= whole.n; cut++) {
        scanned = 0;
        size_t got = http_head_length(slice_to(whole, cut), &scanned);
        assert_true(scanned <= cut);
        if (got == 0)
            got = http_head_length(whole, &scanned);
        if (got != want)
            fail_msg("%s, cut at %zu: %zu", text, cut, got);
    }
    size_t got = 0, n = 0;
    for (scanned = 0; n < whole.n && got == 0;)
        got = http_head_length(slice_to(whole, ++n), &scanned);
    assert_int_equal(got, want);
    assert_int_equal(n, want ? want : whole.n);
}

static void test_head_length(void **state)
{
    (void)state;
    check_head_length("", 0);
    check_head_length("GET / HTTP/1.1\r\nHost: x\r\n\r\n", 27);
    check_head_length("GET / HTTP/1.1\r\nHost: x\r\n\r\nGET / HTTP/1.1\r\n\r\n", 27);
    check_head_length("GET / HTTP/1.1\r\nHost: x\r\n", 0);
    check_head_length("GET / HTTP/1.1\r\nHost: x\r\n\r", 0);
    check_head_length("A\r\n\r\n", 5);
    check_head_length("\r\n\r\nA\r\n\r\n", 9);
    check_head_length("\r\n", 0);
    check_head_length("\r\n\r\n\r\n", 0);
    check_head_length("\r", 0);
    check_head_length("\r\n\r", 0);
    check_head_length("A\n\nB", 3);
    check_head_length("A\n\r\nB", 4);
    check_head_length("A\r\n\nB", 4);
    check_head_length("\n\nB", 2);
    check_head_length("\r\n\n\nB", 4);
    check_head_length("\rA\r\n\r\n", 6);
    check_head_length("A\r\r\n\r\r\n\r\n", 9);
    check_head_length("A\r\nB\r\n\rC\r\n\r\n", 12);
}

static void test_trickling_head_is_not_searched_again(void **state)
{
    (void)state;
    char text[1000];
    size_t scanned = 0;
    memset(text, 'a', sizeof text);
    assert_int_equal(http_head_length(slice_of(text, sizeof text), &scanned), 0);
    assert_int_equal(scanned, sizeof text);
    memcpy(text + 500, "\r\nA: b\r", 7);
    scanned = 0;
    assert_int_equal(http_head_length(slice_of(text, 507), &scanned), 0);
    assert_int_equal(scanned, 507);
    memcpy(text + 507, "\n\r", 2);
    assert_int_equal(http_head_length(slice_of(text, 509), &scanned), 0);
    assert_int_equal(scanned, 507);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_hostile_table),
        cmocka_unit_test(test_request_lines),
        cmocka_unit_test(test_targets),
        cmocka_unit_test(test_field_lines),
        cmocka_unit_test(test_hosts),
        cmocka_unit_test(test_framing),
        cmocka_unit_test(test_expectations),
        cmocka_unit_test(test_parts_of_a_request),
        cmocka_unit_test(test_methods),
        cmocka_unit_test(test_target_forms),
        cmocka_unit_test(test_keep_alive),
        cmocka_unit_test(test_expect_continue),
        cmocka_unit_test(test_framing_values),
        cmocka_unit_test(test_limits),
        cmocka_unit_test(test_every_byte_of_a_value_is_judged),
        cmocka_unit_test(test_every_byte_of_a_target_is_judged),
        cmocka_unit_test(test_fields_need_room),
        cmocka_unit_test(test_cut_heads),
        cmocka_unit_test(test_head_length),
        cmocka_unit_test(test_trickling_head_is_not_searched_again),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
