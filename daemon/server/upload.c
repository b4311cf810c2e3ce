/*
 * The body of a request on its way to the engine: from the socket into a pipe, no faster than the
 * other end takes it, beside the answering half.
 */
#include "conn.h"

/* From within the reader's calls: it has made room, or has left. */
static void on_room(void *arg)
{
    struct conn *c = arg;
    if (c->in == IN_UPLOAD && (c->out == OUT_WAIT || c->out == OUT_SEND))
        conn_set_out(c, c->out);
}

bool upload_begin(struct conn *c)
{
    struct exchange *x = c->exchange;
    x->upload = pipe_new();
    if (!x->upload)
        return false;
    pipe_on_room(x->upload, on_room, c);
    x->lookup.body = x->upload;
    x->lookup.has_body_length = x->request.framing == HTTP_LENGTH;
    x->lookup.body_length = x->request.content_length;
    c->in = IN_UPLOAD;
    c->uploaded = 0;
    deadline_clear(&c->deadline); /* it was for the head */
    return true;
}

void upload_end(struct exchange *x)
{
    if (!x->upload)
        return;
    pipe_reader_leave(&x->lookup.body); /* if no fill has become the reading end */
    pipe_writer_leave(&x->upload);
}

bool upload_wants(const struct conn *c)
{
    return c->in == IN_UPLOAD && pipe_room(c->exchange->upload) > 0;
}

/* RFC 9110 section 10.1.1. A client that hears nothing sends its body after a while. */
void upload_invite(struct conn *c)
{
    static const char text[] = "HTTP/1.1 100 Continue\r\n\r\n";
    struct iovec iov = {.iov_base = (void *)(uintptr_t)text, .iov_len = sizeof text - 1};
    size_t moved;
    enum io_result io = stream_writev(&c->stream, &iov, 1, false, &moved);
    if (io == IO_ERROR || (moved > 0 && moved < iov.iov_len))
        conn_break(c);
}

static void complete(struct conn *c)
{
    c->in = IN_HEAD;
    pipe_end(c->exchange->upload, true);
}

static size_t take_sized(struct conn *c, struct slice data)
{
    data = slice_to(data, c->body_left < data.n ? (size_t)c->body_left : data.n);
    pipe_write(c->exchange->upload, data);
    c->body_left -= data.n;
    if (c->body_left == 0)
        complete(c);
    return data.n;
}

/* What is decoded is never longer than what was read. */
static size_t take_chunked(struct conn *c, struct slice data, bool *malformed)
{
    struct slice in = data, bytes;
    enum chunked_status status;
    while ((status = chunked_read(&c->chunked, &in, &bytes)) == CHUNKED_DATA)
        pipe_write(c->exchange->upload, bytes);
    *malformed = status == CHUNKED_ERROR;
    if (status == CHUNKED_DONE)
        complete(c);
    return data.n - in.n;
}

size_t upload_take(struct conn *c, struct slice data, bool *malformed)
{
    data = slice_to(data, pipe_room(c->exchange->upload));
    *malformed = false;
    size_t used = c->exchange->request.framing == HTTP_CHUNKED ? take_chunked(c, data, malformed)
                                                               : take_sized(c, data);
    c->uploaded += used;
    if (!upload_wants(c))
        conn_set_out(c, c->out); /* it is full, or the body is complete */
    return used;
}

void upload_set_deadline(struct conn *c)
{
    c->upload_mark = c->uploaded;
    conn_set_deadline(c, &c->worker->request);
}

bool upload_is_steady(const struct conn *c)
{
    uint64_t least = (uint64_t)(c->worker->request.ms * SEND_RATE_MIN / 1000);
    return c->uploaded - c->upload_mark >= least;
}
