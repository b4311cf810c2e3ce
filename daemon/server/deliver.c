/*
 * The one writer: whatever the source of a body, its bytes leave here. Each part is a text and then
 * a stretch of the body; a body of unknown size is cut into chunks on the way.
 */
#include "conn.h"
#include <stdio.h>

enum { CHUNK_MAX = 256 * 1024 };

static enum deliver_result blocked_or_broken(enum io_result io)
{
    return io == IO_AGAIN ? DELIVER_BLOCKED : DELIVER_BROKEN;
}

/* A small body that is in memory goes out with the head. */
static struct slice memory_behind(const struct exchange *x, const struct part *p)
{
    if (p->first == p->end || x->lookup.answer.body != BODY_MEMORY)
        return slice_of(NULL, 0);
    return slice_of(x->lookup.held_body.bytes.p + x->pos, (size_t)(p->end - x->pos));
}

/*
 * Is it sure that more bytes come right behind this text? Only then may the kernel hold it back. It
 * saves a packet of a small body's few; before a big one it costs more than it saves (measured).
 */
static bool follows_at_once(const struct exchange *x, const struct part *p)
{
    if (p->first < p->end)
        return x->lookup.answer.body == BODY_FILE && p->end - p->first <= SEND_TURN;
    return x->part_at + 1 < x->part_count && x->parts[x->part_at + 1].text.n > 0;
}

/* Text, and behind it what of the body is in memory anyway, in one call. */
static enum deliver_result send_text(struct exchange *x, struct part *p)
{
    struct slice memory = memory_behind(x, p);
    bool more = !memory.n && follows_at_once(x, p);
    struct iovec iov[2] = {
        {.iov_base = (void *)(uintptr_t)p->text.p, .iov_len = p->text.n},
        {.iov_base = (void *)(uintptr_t)memory.p, .iov_len = memory.n},
    };
    size_t moved;
    enum io_result io = stream_writev(&x->conn->stream, iov, memory.n ? 2 : 1, more, &moved);
    if (io != IO_DONE)
        return blocked_or_broken(io);
    x->sent += moved;
    size_t of_text = moved < p->text.n ? moved : p->text.n;
    p->text = slice_from(p->text, of_text);
    x->pos += moved - of_text;
    return DELIVER_DONE;
}

static enum deliver_result send_piece(struct exchange *x, const struct piece *piece, size_t n)
{
    size_t moved;
    enum io_result io;
    if (piece->kind == PIECE_FILE) {
        io = stream_sendfile(&x->conn->stream, piece->fd, piece->offset, n, &moved);
    } else {
        struct iovec iov = {.iov_base = (void *)(uintptr_t)piece->bytes, .iov_len = n};
        io = stream_writev(&x->conn->stream, &iov, 1, false, &moved);
    }
    if (io == IO_ERROR)
        lookup_body_broken(&x->lookup);
    if (io != IO_DONE)
        return blocked_or_broken(io);
    x->sent += moved;
    x->pos += moved;
    if (x->chunked)
        x->chunk_left -= moved;
    lookup_body_taken(&x->lookup, x->pos);
    return DELIVER_DONE;
}

/* The line before a chunk, with the end of the one before; n = 0 is the end of the body. */
static void begin_chunk(struct exchange *x, struct part *p, uint64_t n)
{
    const char *before = x->first_chunk_sent ? "\r\n" : "";
    int len = n ? snprintf(x->chunk_text, sizeof x->chunk_text, "%s%llx\r\n", before,
                           (unsigned long long)n)
                : snprintf(x->chunk_text, sizeof x->chunk_text, "%s0\r\n\r\n", before);
    x->first_chunk_sent = true;
    x->chunk_left = n;
    p->text = slice_of(x->chunk_text, (size_t)len);
    if (n == 0)
        p->end = x->pos; /* nothing follows the text */
}

static bool is_last_part(const struct exchange *x)
{
    for (size_t i = x->part_at + 1; i < x->part_count; i++)
        if (x->parts[i].first < x->parts[i].end)
            return false;
    return true;
}

static enum deliver_result send_body(struct exchange *x, struct part *p, size_t limit)
{
    struct piece piece;
    lookup_body(&x->lookup, x->pos, p->end, is_last_part(x), x->conn->worker->scratch, SCRATCH_SIZE,
                &piece);
    switch (piece.kind) {
    case PIECE_WAIT:
        return DELIVER_STARVED;
    case PIECE_FAILED:
        return DELIVER_BROKEN;
    case PIECE_END:
        if (!x->open_ended)
            return DELIVER_BROKEN;
        if (x->chunked)
            begin_chunk(x, p, 0);
        else
            p->end = x->pos;
        return DELIVER_DONE;
    case PIECE_MEMORY:
    case PIECE_FILE:
        break;
    }
    size_t n = piece.n < limit ? (size_t)piece.n : limit;
    if (x->chunked && x->chunk_left == 0) {
        begin_chunk(x, p, n < CHUNK_MAX ? n : CHUNK_MAX);
        return DELIVER_DONE;
    }
    if (x->chunked && n > x->chunk_left)
        n = (size_t)x->chunk_left;
    return send_piece(x, &piece, n);
}

static bool part_is_over(const struct exchange *x, const struct part *p)
{
    return p->text.n == 0 && x->pos >= p->end;
}

enum deliver_result deliver(struct exchange *x)
{
    uint64_t turn_end = x->sent + SEND_TURN;
    for (;;) {
        struct part *p = &x->parts[x->part_at];
        if (part_is_over(x, p)) {
            if (++x->part_at == x->part_count)
                return DELIVER_DONE;
            x->pos = x->parts[x->part_at].first;
            continue;
        }
        if (x->sent >= turn_end)
            return DELIVER_BLOCKED;
        enum deliver_result r =
            p->text.n ? send_text(x, p) : send_body(x, p, (size_t)(turn_end - x->sent));
        if (r != DELIVER_DONE)
            return r;
    }
}
