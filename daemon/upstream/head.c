#include "head.h"
#include "http/request.h"
#include <stdlib.h>

/* The lines, and room for the rows of the fields, which double. */
enum { HEAD_ARENA_MAX = HTTP_HEAD_MAX + 4 * HTTP_FIELDS_MAX * (int)sizeof(struct http_field) };

struct answer_head *answer_head_new(void)
{
    struct answer_head *h = calloc(1, sizeof *h);
    if (!h)
        abort();
    arena_init(&h->arena, NULL, 0, HEAD_ARENA_MAX);
    return h;
}

void answer_head_free(struct answer_head **hp)
{
    struct answer_head *h = *hp;
    if (!h)
        return;
    arena_reset(&h->arena);
    free(h);
    *hp = NULL;
}

static struct slice without_line_end(struct slice line)
{
    if (line.n && line.p[line.n - 1] == '\n')
        line.n--;
    if (line.n && line.p[line.n - 1] == '\r')
        line.n--;
    return line;
}

/* "HTTP/1.1 200 OK" */
static enum err take_status(struct answer_head *h, struct slice line, struct errinfo *info)
{
    uint64_t status = 0;
    struct slice version = slice_to(line, slice_find(line, ' '));
    struct slice rest = slice_from(line, version.n + 1);
    struct slice digits = slice_to(rest, slice_find(rest, ' '));
    if (!slice_starts(version, SLICE("HTTP/1.")) || digits.n != 3 || !slice_u64(digits, &status) ||
        status < 100)
        return err_set(info, ERR_PROTO, "the answer has no valid status line");
    if (status == 101)
        return err_set(info, ERR_PROTO, "the upstream switched protocols unasked");
    h->status = (int)status;
    return ERR_OK;
}

static enum err take_field(struct answer_head *h, struct slice line, struct errinfo *info)
{
    size_t colon = slice_find(line, ':');
    struct slice name = slice_to(line, colon);
    struct slice value = slice_trim(slice_from(line, colon + 1));
    if (colon == line.n || !http_is_token(name) || !http_is_field_value(value))
        return err_set(info, ERR_PROTO, "the answer has a malformed field");
    name = arena_copy(&h->arena, name);
    value = arena_copy(&h->arena, value);
    if (!name.p || !value.p ||
        !http_fields_add(&h->fields, &h->arena, HTTP_FIELDS_MAX, name, value))
        return err_set(info, ERR_LIMIT, "the answer has too many fields");
    return ERR_OK;
}

struct framing {
    bool has_length;
    uint64_t length;
    bool chunked;
    bool broken;
};

static bool take_length(void *arg, struct slice element)
{
    struct framing *f = arg;
    uint64_t n;
    if (!slice_u64(element, &n) || (f->has_length && n != f->length))
        f->broken = true;
    f->has_length = true;
    f->length = n;
    return !f->broken;
}

static bool take_coding(void *arg, struct slice element)
{
    struct framing *f = arg;
    f->broken = f->chunked || !slice_ieq(element, SLICE("chunked"));
    f->chunked = true;
    return !f->broken;
}

/* How the body ends (RFC 9112 section 6.3). */
static enum err take_framing(struct answer_head *h, bool no_body, struct errinfo *info)
{
    struct framing f = {.has_length = false};
    http_fields_each_element(&h->fields, HF_CONTENT_LENGTH, take_length, &f);
    if (f.broken)
        return err_set(info, ERR_PROTO, "the answer's Content-Length is invalid or ambiguous");
    http_fields_each_element(&h->fields, HF_TRANSFER_ENCODING, take_coding, &f);
    if (f.broken || (http_fields_get(&h->fields, HF_TRANSFER_ENCODING) && !f.chunked))
        return err_set(info, ERR_PROTO, "the answer has an unknown transfer coding");
    h->has_length = f.has_length && !f.chunked;
    h->length = h->has_length ? f.length : 0;
    h->framed = no_body || h->status == 204 || h->status == 304 || f.chunked || f.has_length;
    h->complete = true;
    return ERR_OK;
}

/* The empty line: the end of an interim head or of the final one. */
static enum err take_end(struct answer_head *h, bool no_body, struct errinfo *info)
{
    if (h->status >= 200)
        return take_framing(h, no_body, info);
    h->status = 0;
    h->fields = (struct http_fields){.n = 0};
    arena_reset(&h->arena);
    return ERR_OK;
}

enum err answer_head_line(struct answer_head *h, struct slice line, bool no_body,
                          struct errinfo *info)
{
    if (h->complete)
        return ERR_OK;
    h->bytes += line.n;
    if (h->bytes > HTTP_HEAD_MAX)
        return err_set(info, ERR_LIMIT, "the answer's head is too long");
    line = without_line_end(line);
    if (h->status == 0)
        return take_status(h, line, info);
    if (line.n == 0)
        return take_end(h, no_body, info);
    return take_field(h, line, info);
}
