#include "http/chunked.h"

#include "chars.h"

enum {
    LINE_MAX_BYTES = 8 * 1024,
    SIZE_MAX_DIGITS = 16,
    /* Over the whole body: tiny chunks with long extensions would be work without data. */
    EXTENSIONS_MAX_BYTES = 16 * 1024,
    TRAILERS_MAX = 100,
};

enum chunked_state {
    SIZE_FIRST, /* the first digit of a size */
    SIZE,
    EXTENSION,
    SIZE_LF,
    DATA,
    DATA_CR,
    DATA_LF,
    TRAILER_FIRST, /* the first byte of a trailer line, or CR of the last, empty line */
    TRAILER_NAME,
    TRAILER_VALUE,
    TRAILER_LF,
    END_LF,
    DONE,
    FAILED,
};

static int expect(char byte, char wanted, int next)
{
    return byte == wanted ? next : FAILED;
}

static int size_digit(struct chunked *c, char byte)
{
    int value = http_hex_value(byte);
    if (value < 0 || ++c->digits > SIZE_MAX_DIGITS)
        return FAILED;
    c->left = c->left << 4 | (unsigned)value;
    return SIZE;
}

/* RFC 9112 lets blanks stand before ';'; nobody sends them, and other readers cut there. */
static int size_byte(struct chunked *c, char byte)
{
    if (byte == '\r')
        return SIZE_LF;
    if (byte == ';')
        return EXTENSION;
    return size_digit(c, byte);
}

static int extension_byte(struct chunked *c, char byte)
{
    if (byte == '\r')
        return SIZE_LF;
    if (!http_char_is(byte, HTTP_CHAR_VALUE) || ++c->extensions > EXTENSIONS_MAX_BYTES)
        return FAILED;
    return EXTENSION;
}

static int size_end(struct chunked *c, char byte)
{
    if (byte != '\n')
        return FAILED;
    c->digits = 0;
    c->line = 0;
    return c->left > 0 ? DATA : TRAILER_FIRST;
}

static int trailer_first_byte(struct chunked *c, char byte)
{
    if (byte == '\r')
        return END_LF;
    if (!http_char_is(byte, HTTP_CHAR_TOKEN) || ++c->trailers > TRAILERS_MAX)
        return FAILED;
    return TRAILER_NAME;
}

static int trailer_name_byte(char byte)
{
    if (byte == ':')
        return TRAILER_VALUE;
    return http_char_is(byte, HTTP_CHAR_TOKEN) ? TRAILER_NAME : FAILED;
}

static int trailer_value_byte(char byte)
{
    if (byte == '\r')
        return TRAILER_LF;
    return http_char_is(byte, HTTP_CHAR_VALUE) ? TRAILER_VALUE : FAILED;
}

static int trailer_end(struct chunked *c, char byte)
{
    c->line = 0;
    return expect(byte, '\n', TRAILER_FIRST);
}

/* The state that one byte of framing leads to. */
static int step(struct chunked *c, char byte)
{
    if (++c->line > LINE_MAX_BYTES)
        return FAILED;
    switch ((enum chunked_state)c->state) {
    case SIZE_FIRST:
        return size_digit(c, byte);
    case SIZE:
        return size_byte(c, byte);
    case EXTENSION:
        return extension_byte(c, byte);
    case SIZE_LF:
        return size_end(c, byte);
    case DATA_CR:
        return expect(byte, '\r', DATA_LF);
    case DATA_LF:
        c->line = 0;
        return expect(byte, '\n', SIZE_FIRST);
    case TRAILER_FIRST:
        return trailer_first_byte(c, byte);
    case TRAILER_NAME:
        return trailer_name_byte(byte);
    case TRAILER_VALUE:
        return trailer_value_byte(byte);
    case TRAILER_LF:
        return trailer_end(c, byte);
    case END_LF:
        return expect(byte, '\n', DONE);
    case DATA:
    case DONE:
    case FAILED:
        break;
    }
    return FAILED;
}

static struct slice take_data(struct chunked *c, struct slice *in)
{
    struct slice data = slice_to(*in, c->left < in->n ? (size_t)c->left : in->n);
    *in = slice_from(*in, data.n);
    c->left -= data.n;
    if (c->left == 0)
        c->state = DATA_CR;
    return data;
}

enum chunked_status chunked_read(struct chunked *c, struct slice *in, struct slice *data)
{
    while (in->n > 0 && c->state < DONE) {
        if (c->state == DATA) {
            *data = take_data(c, in);
            return CHUNKED_DATA;
        }
        c->state = step(c, in->p[0]);
        *in = slice_from(*in, 1);
    }
    if (c->state == DONE)
        return CHUNKED_DONE;
    return c->state == FAILED ? CHUNKED_ERROR : CHUNKED_MORE;
}
