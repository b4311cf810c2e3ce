#include "http/request.h"

#include "base/bytes16.h"
#include "chars.h"
#include "http/url.h"

/*
 * *scanned is 0, behind leading CRLFs, at an LF whose successors are not all here yet, or at the
 * end of bytes without LF. Only in the first two cases may an empty line be a leading one.
 */
size_t http_head_length(struct slice data, size_t *scanned)
{
    const char *p = data.p;
    size_t at = *scanned;
    if (at == 0 || p[at - 1] == '\n')
        while (data.n - at >= 2 && p[at] == '\r' && p[at + 1] == '\n')
            at += 2;

    for (; at < data.n; at++) {
        const char *hit = memchr(p + at, '\n', data.n - at);
        if (!hit) {
            /* A CR that may open another leading empty line is looked at again. */
            bool leading = at == 0 || p[at - 1] == '\n';
            *scanned = leading && data.n - at == 1 && p[at] == '\r' ? at : data.n;
            return 0;
        }
        at = (size_t)(hit - p);
        size_t left = data.n - at - 1;
        if (left >= 1 && p[at + 1] == '\n')
            return at + 2;
        if (left >= 2 && p[at + 1] == '\r' && p[at + 2] == '\n')
            return at + 3;
        if (left == 0 || (left == 1 && p[at + 1] == '\r'))
            break;
    }
    *scanned = at;
    return 0;
}

/*
 * A parse under way. The head's last byte is LF, which is in no character class: every scan stops
 * there at the latest, so that no scan needs to ask for the end.
 */
struct parse {
    const char *p; /* next byte */
    const char *end;
    struct arena *arena;
    struct http_request *req;
    const char *why;
};

static int refuse(struct parse *ps, int status, const char *why)
{
    ps->why = why;
    return status;
}

static struct slice take(struct parse *ps, int classes)
{
    const char *start = ps->p, *p = start;
    while (http_char_is(*p, classes))
        p++;
    ps->p = p;
    return slice_of(start, (size_t)(p - start));
}

/* The same sixteen bytes at a time; `which` are surely of the classes. */
static inline struct slice take_long(struct parse *ps, bytes16 (*which)(bytes16 v), int classes)
{
    const char *start = ps->p;
    while (ps->end - ps->p >= (ptrdiff_t)sizeof(bytes16)) {
        bytes16 good = which(bytes16_at(ps->p));
        if (!bytes16_all(good)) {
            ps->p += bytes16_leading(good);
            break;
        }
        ps->p += sizeof(bytes16);
    }
    take(ps, classes);
    return slice_of(start, (size_t)(ps->p - start));
}

static bytes16 are_value(bytes16 v)
{
    return (bytes16)(v >= 0x20) & (bytes16)(v != 0x7f);
}

static bytes16 are_target(bytes16 v)
{
    return bytes16_visible(v) & (bytes16)(v != '#');
}

static int take_line_end(struct parse *ps)
{
    if (ps->p[0] == '\n')
        return refuse(ps, 400, "a line ends in LF without CR");
    if (ps->p[0] != '\r')
        return refuse(ps, 400, "a byte that may not stand there");
    if (ps->p[1] != '\n')
        return refuse(ps, 400, "CR without LF");
    ps->p += 2;
    return 0;
}

static enum http_method method_of(struct slice m)
{
    static const struct {
        struct slice name;
        enum http_method method;
    } rows[] = {
        {SLICE("GET"), HTTP_GET},         {SLICE("HEAD"), HTTP_HEAD},
        {SLICE("POST"), HTTP_POST},       {SLICE("PUT"), HTTP_PUT},
        {SLICE("PATCH"), HTTP_PATCH},     {SLICE("DELETE"), HTTP_DELETE},
        {SLICE("OPTIONS"), HTTP_OPTIONS},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        if (slice_eq(m, rows[i].name))
            return rows[i].method;
    return HTTP_METHOD_OTHER;
}

static int parse_version(struct parse *ps)
{
    static const char prefix[] = "HTTP/";
    const size_t length = sizeof "HTTP/1.1" - 1;
    const char *v = ps->p;
    if ((size_t)(ps->end - v) < length || memcmp(v, prefix, sizeof prefix - 1) != 0 ||
        !http_char_is(v[5], HTTP_CHAR_DIGIT) || v[6] != '.' || !http_char_is(v[7], HTTP_CHAR_DIGIT))
        return refuse(ps, 400, "no HTTP version behind the target");
    if (v[5] != '1' || v[7] > '1')
        return refuse(ps, 505, "only HTTP/1.0 and HTTP/1.1 are spoken here");
    ps->req->minor = v[7] - '0';
    ps->p += length;
    return take_line_end(ps);
}

static void split_query(struct http_request *req, struct slice target)
{
    size_t mark = slice_find(target, '?');
    req->path = slice_to(target, mark);
    if (mark < target.n)
        req->query = slice_from(target, mark + 1);
}

/* RFC 9112 section 3.2; authority-form belongs to CONNECT, which is not offered. */
static int parse_target_form(struct parse *ps)
{
    struct http_request *req = ps->req;
    struct slice target = req->target;
    if (target.p[0] == '/') {
        split_query(req, target);
        return 0;
    }
    if (slice_eq(target, SLICE("*")) && req->method == HTTP_OPTIONS) {
        req->path = target;
        return 0;
    }
    struct http_url url;
    if (!http_url_parse(target, &url))
        return refuse(ps, 400, "the target is neither a path nor an absolute URL");
    req->path = url.path;
    req->query = url.query;
    req->host = url.authority;
    req->host_name = url.host;
    return 0;
}

static int parse_request_line(struct parse *ps)
{
    struct http_request *req = ps->req;
    req->method_text = take(ps, HTTP_CHAR_TOKEN);
    if (req->method_text.n == 0 || *ps->p != ' ')
        return refuse(ps, 400, "the request line does not begin with a method and a blank");
    ps->p++;
    req->target = take_long(ps, are_target, HTTP_CHAR_TARGET);
    if (req->target.n > HTTP_TARGET_MAX)
        return refuse(ps, 414, "the target is too long");
    if (req->target.n == 0 || *ps->p != ' ')
        return refuse(ps, 400, "the target is empty or holds a byte that may not stand there");
    ps->p++;
    req->method = method_of(req->method_text);
    int status = parse_version(ps);
    return status ? status : parse_target_form(ps);
}

static int parse_field(struct parse *ps)
{
    struct slice name = take(ps, HTTP_CHAR_TOKEN);
    if (name.n == 0)
        return refuse(ps, 400, "a field line is folded or has no name");
    if (*ps->p != ':')
        return refuse(ps, 400, "a field name is not followed by a colon");
    ps->p++;
    struct slice value = slice_trim(take_long(ps, are_value, HTTP_CHAR_VALUE));
    int status = take_line_end(ps);
    if (status)
        return status;
    if (!http_fields_add(&ps->req->fields, ps->arena, HTTP_FIELDS_MAX, name, value))
        return refuse(ps, 431, "too many fields");
    return 0;
}

static int parse_fields(struct parse *ps)
{
    while (ps->p < ps->end && *ps->p != '\r') {
        int status = parse_field(ps);
        if (status)
            return status;
    }
    if (ps->p == ps->end)
        return refuse(ps, 400, "the head has no end");
    int status = take_line_end(ps);
    if (status)
        return status;
    return ps->p == ps->end ? 0 : refuse(ps, 400, "bytes behind the end of the head");
}

/* What the fields say about the connection and the body, gathered in one walk. */
struct meaning {
    size_t hosts, lengths, coding_lines;
    struct slice host;
    size_t codings, chunked; /* elements of Transfer-Encoding in all, and those called chunked */
    bool chunked_last, chunked_alone;
    bool close, keep_alive;
    bool expect_continue, expect_other;
};

static void read_connection(struct meaning *m, struct slice value)
{
    struct slice option;
    while (http_list_next(&value, &option)) {
        m->close |= slice_ieq(option, SLICE("close"));
        m->keep_alive |= slice_ieq(option, SLICE("keep-alive"));
    }
}

static void read_codings(struct meaning *m, struct slice value)
{
    struct slice coding;
    m->coding_lines++;
    m->chunked_alone = slice_ieq(value, SLICE("chunked"));
    while (http_list_next(&value, &coding)) {
        m->codings++;
        m->chunked_last = slice_ieq(coding, SLICE("chunked"));
        m->chunked += m->chunked_last;
    }
}

static void read_expect(struct meaning *m, struct slice value)
{
    struct slice expectation;
    while (http_list_next(&value, &expectation)) {
        if (slice_ieq(expectation, SLICE("100-continue")))
            m->expect_continue = true;
        else
            m->expect_other = true;
    }
}

static int read_fields(struct parse *ps, struct meaning *m)
{
    struct http_request *req = ps->req;
    for (size_t i = 0; i < req->fields.n; i++) {
        const struct http_field *field = &req->fields.v[i];
        switch (field->id) {
        case HF_HOST:
            m->hosts++;
            m->host = field->value;
            break;
        case HF_CONTENT_LENGTH:
            m->lengths++;
            if (!slice_u64(field->value, &req->content_length))
                return refuse(ps, 400, "Content-Length is not a number");
            break;
        case HF_TRANSFER_ENCODING:
            read_codings(m, field->value);
            break;
        case HF_CONNECTION:
            read_connection(m, field->value);
            break;
        case HF_EXPECT:
            read_expect(m, field->value);
            break;
        default:
            break;
        }
    }
    return 0;
}

/* An absolute-form target's authority stands, whatever Host says (RFC 9112 section 3.2.2). */
static int judge_host(struct parse *ps, const struct meaning *m)
{
    struct http_request *req = ps->req;
    if (m->hosts > 1)
        return refuse(ps, 400, "several Host fields");
    if (req->minor == 1 && m->host.n == 0)
        return refuse(ps, 400, "no Host");
    struct slice name;
    unsigned port;
    if (m->host.n > 0 && !http_authority_parse(m->host, &name, &port))
        return refuse(ps, 400, "Host is not a host");
    if (req->host.n == 0 && m->host.n > 0) {
        req->host = m->host;
        req->host_name = name;
    }
    return 0;
}

/* RFC 9112 section 6.3, without its repairs. */
static int judge_framing(struct parse *ps, const struct meaning *m)
{
    struct http_request *req = ps->req;
    if (m->lengths > 1)
        return refuse(ps, 400, "several Content-Length fields");
    if (m->coding_lines == 0) {
        req->framing = req->content_length > 0 ? HTTP_LENGTH : HTTP_NO_BODY;
        return 0;
    }
    if (m->lengths > 0)
        return refuse(ps, 400, "Content-Length together with Transfer-Encoding");
    if (req->minor == 0)
        return refuse(ps, 400, "Transfer-Encoding in HTTP/1.0");
    if (m->coding_lines == 1 && m->chunked_alone) {
        req->framing = HTTP_CHUNKED;
        return 0;
    }
    if (m->chunked_last && m->chunked == 1 && m->codings > 1)
        return refuse(ps, 501, "a transfer coding other than chunked");
    return refuse(ps, 400, "Transfer-Encoding does not end in one chunked");
}

static int judge_expect(struct parse *ps, const struct meaning *m)
{
    if (m->expect_other)
        return refuse(ps, 417, "an expectation other than 100-continue");
    /* An HTTP/1.0 client does not know 100 (RFC 9110 section 10.1.1). */
    ps->req->expect_continue = m->expect_continue && ps->req->minor == 1;
    return 0;
}

static int judge_meaning(struct parse *ps)
{
    struct meaning m = {0};
    int status = read_fields(ps, &m);
    if (!status)
        status = judge_host(ps, &m);
    if (!status)
        status = judge_framing(ps, &m);
    if (!status)
        status = judge_expect(ps, &m);
    ps->req->keep_alive = !m.close && (ps->req->minor == 1 || m.keep_alive);
    return status;
}

static int parse_head(struct parse *ps, size_t length)
{
    while (ps->end - ps->p >= 2 && ps->p[0] == '\r' && ps->p[1] == '\n')
        ps->p += 2;
    if (ps->p == ps->end || ps->end[-1] != '\n')
        return refuse(ps, 400, "the head has no end");
    int status = parse_request_line(ps);
    if (status)
        return status;
    if (length > HTTP_HEAD_MAX)
        return refuse(ps, 431, "the head is too long");
    status = parse_fields(ps);
    return status ? status : judge_meaning(ps);
}

int http_request_parse(struct slice head, struct arena *a, struct http_request *req,
                       const char **why)
{
    memset(req, 0, sizeof *req);
    struct parse ps = {.p = head.p, .end = head.p + head.n, .arena = a, .req = req};
    int status = parse_head(&ps, head.n);
    *why = ps.why;
    return status;
}
