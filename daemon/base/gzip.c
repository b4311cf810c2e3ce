/* The one user of zlib. */
#define ZLIB_CONST
#include "base/gzip.h"

#include <assert.h>
#include <stdlib.h>
#include <zlib.h>

enum {
    GZIP_WINDOW = 15 + 16, /* the largest; 16 means gzip, and nothing else */
    MEMORY_LEVEL = 8,      /* 256 KiB for deflate together with the window */
    PIECE = 32 * 1024,
    INPUT_MAX = 1 << 30, /* what zlib can count at a time, and less */
};

/* Takes what zlib can be given at a time off *bytes. */
static void give(z_stream *z, struct slice *bytes)
{
    struct slice piece = slice_to(*bytes, INPUT_MAX);

    z->next_in = (const unsigned char *)piece.p;
    z->avail_in = (unsigned)piece.n;
    *bytes = slice_from(*bytes, piece.n);
}

/* --- decoding --- */

struct inflater {
    z_stream z;
    uint64_t left; /* of what may come out */
    bool is_whole; /* a member has ended, and no other has begun */
    enum err fault;
    char out[PIECE];
};

struct inflater *inflater_new(uint64_t max_out)
{
    struct inflater *i = malloc(sizeof *i);

    if (!i)
        return NULL;
    i->z = (z_stream){.zalloc = Z_NULL};
    i->left = max_out;
    i->is_whole = false;
    i->fault = ERR_OK;
    if (inflateInit2(&i->z, GZIP_WINDOW) != Z_OK) {
        free(i);
        return NULL;
    }
    return i;
}

void inflater_free(struct inflater **i)
{
    if (!*i)
        return;
    inflateEnd(&(*i)->z);
    free(*i);
    *i = NULL;
}

/* Decodes until the piece is full or the input is used up; *more: there may be more. */
static enum err inflate_piece(struct inflater *i, size_t *n, bool *more)
{
    i->z.next_out = (unsigned char *)i->out;
    i->z.avail_out = PIECE;
    int rc = inflate(&i->z, Z_NO_FLUSH);
    *n = PIECE - i->z.avail_out;
    *more = i->z.avail_in > 0 || i->z.avail_out == 0;
    switch (rc) {
    case Z_OK:
        return ERR_OK;
    case Z_BUF_ERROR: /* no input, and nothing left to be written */
        *more = false;
        return ERR_OK;
    case Z_STREAM_END:
        i->is_whole = true;
        *more = i->z.avail_in > 0;
        return ERR_OK;
    default:
        return rc == Z_MEM_ERROR ? ERR_NOMEM : ERR_CORRUPT;
    }
}

/* RFC 1952 section 2.2: members follow each other. */
static void begin_next_member(struct inflater *i)
{
    int rc = inflateReset(&i->z);
    assert(rc == Z_OK);
    (void)rc;
    i->is_whole = false;
}

static enum err inflate_given(struct inflater *i, inflated_f *take, void *arg)
{
    bool more = i->z.avail_in > 0;

    while (more) {
        size_t n;
        if (i->is_whole)
            begin_next_member(i);
        enum err err = inflate_piece(i, &n, &more);
        if (n > i->left)
            return ERR_LIMIT;
        i->left -= n;
        if (n) {
            enum err taken = take(arg, slice_of(i->out, n));
            err = err == ERR_OK ? taken : err;
        }
        if (err != ERR_OK)
            return err;
    }
    return ERR_OK;
}

enum err inflater_feed(struct inflater *i, struct slice bytes, inflated_f *take, void *arg)
{
    while (bytes.n && i->fault == ERR_OK) {
        give(&i->z, &bytes);
        i->fault = inflate_given(i, take, arg);
    }
    return i->fault;
}

enum err inflater_finish(struct inflater *i)
{
    if (i->fault == ERR_OK && !i->is_whole)
        i->fault = ERR_CORRUPT;
    return i->fault;
}

/* --- coding --- */

struct deflater {
    z_stream z;
};

struct deflater *deflater_new(void)
{
    struct deflater *d = calloc(1, sizeof *d);

    if (!d)
        return NULL;
    if (deflateInit2(&d->z, Z_DEFAULT_COMPRESSION, Z_DEFLATED, GZIP_WINDOW, MEMORY_LEVEL,
                     Z_DEFAULT_STRATEGY) != Z_OK) {
        free(d);
        return NULL;
    }
    return d;
}

void deflater_free(struct deflater **d)
{
    if (!*d)
        return;
    deflateEnd(&(*d)->z);
    free(*d);
    *d = NULL;
}

/* Codes into the room that `out` has, a piece of it at most. */
static enum err deflate_piece(struct deflater *d, int flush, struct buf *out, bool *ended)
{
    size_t room = out->max - out->n;

    if (room > PIECE)
        room = PIECE;
    char *p = buf_reserve(out, room);
    if (!p)
        return ERR_NOMEM;
    if (room == 0)
        return ERR_LIMIT;
    d->z.next_out = (unsigned char *)p;
    d->z.avail_out = (unsigned)room;
    int rc = deflate(&d->z, flush);
    assert(rc == Z_OK || rc == Z_STREAM_END);
    out->n += room - d->z.avail_out;
    *ended = rc == Z_STREAM_END;
    return ERR_OK;
}

enum err deflater_feed(struct deflater *d, struct slice bytes, struct buf *out)
{
    enum err err = ERR_OK;
    bool ended = false;

    while (bytes.n && err == ERR_OK) {
        give(&d->z, &bytes);
        while (d->z.avail_in && err == ERR_OK)
            err = deflate_piece(d, Z_NO_FLUSH, out, &ended);
    }
    return err;
}

enum err deflater_finish(struct deflater *d, struct buf *out)
{
    enum err err = ERR_OK;
    bool ended = false;

    d->z.avail_in = 0;
    while (!ended && err == ERR_OK)
        err = deflate_piece(d, Z_FINISH, out, &ended);
    return err;
}
