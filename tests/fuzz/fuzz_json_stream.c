/*
 * A text in pieces gives what it gives as a whole: the same events at the same offsets, and the
 * same end. The first bytes say how long a token may be, how long the pieces are, and when to stop.
 */
#include "base/buf.h"
#include "base/json.h"
#include "fuzz_check.h"

enum { HEAD_BYTES = 4, MAX_DEPTH = 6 };

struct record {
    struct buf events;
    uint64_t end; /* of the last event */
    unsigned stop_after;
};

static bool note_event(void *arg, const struct json_event *event)
{
    struct record *r = arg;

    CHECK(event->key_end <= event->end && r->end <= event->end);
    CHECK(event->depth < MAX_DEPTH || (event->kind != JSON_OBJECT && event->kind != JSON_ARRAY));
    r->end = event->end;
    buf_addf(&r->events, "%d %u %lu %lu ", (int)event->kind, event->depth,
             (unsigned long)event->key_end, (unsigned long)event->end);
    buf_add(&r->events, event->key);
    buf_addc(&r->events, '=');
    buf_add(&r->events, event->text);
    buf_addc(&r->events, '\n');
    return --r->stop_after > 0;
}

static void record_init(struct record *r, unsigned stop_after)
{
    *r = (struct record){.stop_after = stop_after};
    buf_init(&r->events, 64 << 20);
}

/* Each piece alone on the heap, and gone when it was fed. */
static enum err feed_copy(struct json_stream *s, struct slice piece)
{
    char *copy = malloc(piece.n ? piece.n : 1);
    if (!copy)
        abort();
    memcpy(copy, piece.p, piece.n);
    enum err err = json_stream_feed(s, slice_of(copy, piece.n));
    free(copy);
    return err;
}

/* In pieces of `small` and `large` bytes by turns. */
static enum err stream(struct slice text, size_t max_token, size_t small, size_t large,
                       struct record *r)
{
    struct json_stream *s = json_stream_new(MAX_DEPTH, max_token, note_event, r);
    enum err err = ERR_OK;
    bool turn = false;

    CHECK(s);
    while (text.n && err == ERR_OK) {
        struct slice piece = slice_to(text, turn ? large : small);
        err = feed_copy(s, piece);
        text = slice_from(text, piece.n);
        turn = !turn;
    }
    if (err == ERR_OK)
        err = json_stream_finish(s);
    CHECK(json_stream_finish(s) == err);
    json_stream_free(&s);
    return err;
}

static void check_same(enum err a_err, const struct record *a, enum err b_err,
                       const struct record *b)
{
    CHECK(a_err == b_err);
    CHECK(slice_eq(buf_slice(&a->events), buf_slice(&b->events)));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct record whole, parts, walked;

    if (size < HEAD_BYTES)
        return 0;
    struct slice text = fuzz_input(data + HEAD_BYTES, size - HEAD_BYTES);
    size_t max_token = data[0];
    unsigned stop_after = data[3] ? data[3] : 100000;
    record_init(&whole, stop_after);
    record_init(&parts, stop_after);
    record_init(&walked, stop_after);

    enum err err = stream(text, max_token, size, size, &whole);
    CHECK(err == ERR_OK || err == ERR_PROTO || err == ERR_LIMIT);
    CHECK(whole.end <= text.n);
    check_same(err, &whole, stream(text, max_token, data[1] % 16 + 1, data[2] + 1, &parts), &parts);
    if (err != ERR_LIMIT) /* the walk does not bound tokens */
        check_same(err, &whole, json_walk(text, MAX_DEPTH, note_event, &walked), &walked);

    buf_free(&whole.events);
    buf_free(&parts.events);
    buf_free(&walked.events);
    return 0;
}
