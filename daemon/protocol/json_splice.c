#include "json_splice.h"

#include <stdlib.h>

enum { PIECE_MAX = 64 * 1024 };

struct json_splice {
    struct json_stream *stream;
    json_splice_f *on_event;
    void *arg;
    struct buf *out; /* during a call */
    /*
     * What the stream has seen and `out` has not. The name of a member is told with its value, so
     * from a name's quote on everything waits for the value's end.
     */
    struct buf held;
    size_t passed;      /* bytes of `held` that `out` has, or that were replaced */
    size_t settled;     /* bytes of `held` before the end of the last event */
    uint64_t held_from; /* offset in the text of the first byte of `held` */
    enum err error;
};

/* Everything of `held` before `end` that is not yet there goes out. */
static void pass_until(struct json_splice *s, size_t end)
{
    if (end <= s->passed)
        return;
    buf_add(s->out, slice_of(s->held.p + s->passed, end - s->passed));
    s->passed = end;
}

/* Between the name's end and the value's first quote stand a colon and blanks. */
static void replace(struct json_splice *s, const struct json_event *event, struct slice other)
{
    size_t name_end = (size_t)(event->key_end - s->held_from);
    size_t end = (size_t)(event->end - s->held_from);
    struct slice member = slice_of(s->held.p + name_end, end - name_end);

    pass_until(s, name_end + slice_find(member, '"'));
    buf_addc(s->out, '"');
    buf_add_json(s->out, other);
    buf_addc(s->out, '"');
    s->passed = end;
}

static bool on_event(void *arg, const struct json_event *event)
{
    struct json_splice *s = arg;
    struct slice other = {NULL, 0};

    s->error = s->on_event(s->arg, event, &other);
    if (s->error != ERR_OK)
        return false;
    if (!s->out)
        return true;
    if (other.p && event->kind == JSON_STRING && event->key.p)
        replace(s, event, other);
    /* "00" is two numbers to yajl before it is an error; the first may have gone out already. */
    s->settled = event->end > s->held_from ? (size_t)(event->end - s->held_from) : 0;
    return true;
}

static enum err status(const struct json_splice *s, enum err stream)
{
    if (s->error != ERR_OK)
        return s->error;
    if (s->held.failed)
        return ERR_LIMIT;
    if (s->out && s->out->failed)
        return ERR_NOMEM;
    return stream == ERR_PROTO ? ERR_CORRUPT : stream;
}

/* What stands before the next quote can be no member that is replaced. */
static void pass_what_is_settled(struct json_splice *s)
{
    struct slice rest = slice_from(buf_slice(&s->held), s->settled);

    pass_until(s, s->settled + slice_find(rest, '"'));
    buf_consume(&s->held, s->passed);
    s->held_from += s->passed;
    s->settled -= s->passed < s->settled ? s->passed : s->settled;
    s->passed = 0;
}

static enum err feed_piece(struct json_splice *s, struct slice piece)
{
    if (s->out)
        buf_add(&s->held, piece);
    if (s->held.failed)
        return ERR_LIMIT;
    enum err result = status(s, json_stream_feed(s->stream, piece));
    if (result == ERR_OK && s->out)
        pass_what_is_settled(s);
    return result == ERR_OK ? status(s, ERR_OK) : result;
}

struct json_splice *json_splice_new(unsigned max_depth, size_t max_token, json_splice_f *callback,
                                    void *arg)
{
    struct json_splice *s = calloc(1, sizeof *s);

    if (!s)
        return NULL;
    s->on_event = callback;
    s->arg = arg;
    buf_init(&s->held, 2 * max_token + PIECE_MAX);
    s->stream = json_stream_new(max_depth, max_token, on_event, s);
    if (!s->stream)
        json_splice_free(&s);
    return s;
}

enum err json_splice_feed(struct json_splice *s, struct slice bytes, struct buf *out)
{
    s->out = out;
    while (bytes.n && s->error == ERR_OK) {
        s->error = feed_piece(s, slice_to(bytes, PIECE_MAX));
        bytes = slice_from(bytes, PIECE_MAX);
    }
    return s->error;
}

enum err json_splice_finish(struct json_splice *s, struct buf *out)
{
    if (s->error != ERR_OK)
        return s->error;
    s->out = out;
    s->error = status(s, json_stream_finish(s->stream));
    if (s->error == ERR_OK && out) {
        pass_until(s, s->held.n);
        s->error = status(s, ERR_OK);
    }
    return s->error;
}

void json_splice_free(struct json_splice **s)
{
    if (!*s)
        return;
    json_stream_free(&(*s)->stream);
    buf_free(&(*s)->held);
    free(*s);
    *s = NULL;
}
