/* The one user of yajl. */
#include "base/json.h"

#include <setjmp.h>
#include <stdlib.h>
#include <yajl/yajl_parse.h>

#include "base/buf.h"
#include "escape.h"

enum { JSON_DEPTH_MAX = 64 };

/*
 * yajl does not check its allocations, and their size comes from outside. So it gets an allocator
 * that, when memory is out, leaves yajl by longjmp; the list of what is allocated makes it possible
 * to free what yajl left behind.
 */
struct link {
    struct link *prev;
    struct link *next;
};

struct allocation {
    struct link link;
    _Alignas(max_align_t) char bytes[];
};

struct heap {
    struct link ring; /* of all allocations */
    jmp_buf out_of_memory;
};

/*
 * yajl starts again at the beginning of a token with each piece of it, and bounds none. So it is
 * given whole tokens only: what is under way at the end of a piece is held here.
 */
enum token {
    TOKEN_NONE, /* between tokens; brackets, colons and commas are never under way */
    TOKEN_WORD, /* a number, true, false or null: the byte after it ends it */
    TOKEN_STRING,
};

struct json_stream {
    json_event_f *on_event;
    void *arg;
    unsigned max_depth;
    unsigned depth; /* open objects and arrays */
    size_t max_token;
    struct heap heap;
    yajl_handle yajl;
    struct slice given;    /* what yajl looks at */
    uint64_t given_offset; /* where in the text that begins */
    enum token token;      /* under way */
    bool escaped;          /* the string's next byte stands behind a backslash */
    struct buf held;       /* of the token under way */
    struct buf key;        /* of the value that comes next */
    uint64_t key_end;
    struct buf mended; /* a string that was not right */
    bool stopped;      /* nothing is looked at any more */
    enum err fault;    /* stays */
};

/* --- allocations --- */

static struct allocation *allocation_of(void *p)
{
    return (struct allocation *)(void *)((char *)p - offsetof(struct allocation, bytes));
}

static void link_in(struct heap *heap, struct link *link)
{
    link->prev = &heap->ring;
    link->next = heap->ring.next;
    link->next->prev = link;
    heap->ring.next = link;
}

static void link_out(struct link *link)
{
    link->prev->next = link->next;
    link->next->prev = link->prev;
}

static void heap_free(void *ctx, void *p)
{
    (void)ctx;
    if (!p)
        return;
    link_out(&allocation_of(p)->link);
    free(allocation_of(p));
}

static void *heap_realloc(void *ctx, void *p, size_t n)
{
    struct heap *heap = ctx;
    struct allocation *old = p ? allocation_of(p) : NULL;
    struct allocation *a = NULL;

    if (old)
        link_out(&old->link);
    if (n <= SIZE_MAX - sizeof *a)
        a = realloc(old, sizeof *a + n);
    if (!a) {
        if (old)
            link_in(heap, &old->link);
        longjmp(heap->out_of_memory, 1);
    }
    link_in(heap, &a->link);
    return a->bytes;
}

static void *heap_alloc(void *ctx, size_t n)
{
    return heap_realloc(ctx, NULL, n);
}

/* What is left; the heap is not used again. */
static void heap_release(struct heap *heap)
{
    struct link *link = heap->ring.next;

    while (link != &heap->ring) {
        struct link *next = link->next;
        free(link); /* the first member of its allocation */
        link = next;
    }
}

/* --- events --- */

static uint64_t offset_now(const struct json_stream *s)
{
    return s->given_offset + yajl_get_bytes_consumed(s->yajl);
}

/* The results of this and the following are what yajl wants: 0 stops the parse. */
static int fail(struct json_stream *s, enum err fault)
{
    s->fault = fault;
    return 0;
}

static int emit(struct json_stream *s, enum json_kind kind, struct slice text)
{
    struct json_event event = {
        .kind = kind,
        .key_end = s->key_end,
        .end = offset_now(s),
        .depth = s->depth,
        .key = buf_slice(&s->key),
        .text = text,
    };

    if (!s->on_event(s->arg, &event))
        s->stopped = true;
    buf_clear(&s->key);
    s->key_end = 0;
    return !s->stopped;
}

static int begin(struct json_stream *s, enum json_kind kind)
{
    if (s->depth >= s->max_depth)
        return fail(s, ERR_LIMIT);
    int go_on = emit(s, kind, slice_of(NULL, 0));
    s->depth++;
    return go_on;
}

static int on_null(void *ctx)
{
    return emit(ctx, JSON_NULL, slice_of(NULL, 0));
}

static int on_boolean(void *ctx, int value)
{
    return emit(ctx, JSON_BOOL, value ? SLICE("true") : SLICE("false"));
}

static int on_number(void *ctx, const char *p, size_t n)
{
    return emit(ctx, JSON_NUMBER, slice_of(p, n));
}

static bool is_within(struct slice text, const char *p)
{
    return (uintptr_t)p - (uintptr_t)text.p < text.n;
}

/*
 * A string as it is written is UTF-8, but one with escapes may name half of a surrogate pair (the
 * grammar allows it, and texts that were cut have it): it becomes U+FFFD, which is as long.
 */
static bool mend(const struct json_stream *s, struct slice string, struct buf *out)
{
    buf_clear(out);
    buf_add(out, string);
    if (out->failed)
        return false;
    for (size_t i = 0; !is_within(s->given, string.p) && i + 2 < out->n; i++)
        if ((unsigned char)out->p[i] == 0xed && (unsigned char)out->p[i + 1] >= 0xa0)
            memcpy(out->p + i, "\xef\xbf\xbd", 3);
    return true;
}

static int on_string(void *ctx, const unsigned char *p, size_t n)
{
    struct json_stream *s = ctx;
    struct slice string = slice_of((const char *)p, n);

    if (utf8_valid(string))
        return emit(s, JSON_STRING, string);
    return mend(s, string, &s->mended) ? emit(s, JSON_STRING, buf_slice(&s->mended))
                                       : fail(s, ERR_NOMEM);
}

/* Its value may come with a later piece. */
static int on_map_key(void *ctx, const unsigned char *p, size_t n)
{
    struct json_stream *s = ctx;

    s->key_end = offset_now(s);
    return mend(s, slice_of((const char *)p, n), &s->key) ? 1 : fail(s, ERR_NOMEM);
}

static int on_start_map(void *ctx)
{
    return begin(ctx, JSON_OBJECT);
}

static int on_start_array(void *ctx)
{
    return begin(ctx, JSON_ARRAY);
}

static int on_end(void *ctx)
{
    struct json_stream *s = ctx;

    s->depth--;
    return emit(s, JSON_END, slice_of(NULL, 0));
}

static const yajl_callbacks callbacks = {
    .yajl_null = on_null,
    .yajl_boolean = on_boolean,
    .yajl_number = on_number,
    .yajl_string = on_string,
    .yajl_start_map = on_start_map,
    .yajl_map_key = on_map_key,
    .yajl_end_map = on_end,
    .yajl_start_array = on_start_array,
    .yajl_end_array = on_end,
};

/* --- yajl --- */

static yajl_status begin_yajl(struct json_stream *s)
{
    yajl_alloc_funcs functions = {heap_alloc, heap_realloc, heap_free, &s->heap};

    s->yajl = yajl_alloc(&callbacks, &functions, s);
    yajl_config(s->yajl, yajl_dont_validate_strings, 1); /* its check lets overlong forms pass */
    return yajl_status_ok;
}

static yajl_status feed_yajl(struct json_stream *s)
{
    return yajl_parse(s->yajl, (const unsigned char *)s->given.p, s->given.n);
}

static yajl_status end_yajl(struct json_stream *s)
{
    return yajl_complete_parse(s->yajl);
}

/* Where longjmp ends. No local of this function changes after setjmp. */
static enum err guard(struct json_stream *s, yajl_status (*step)(struct json_stream *))
{
    if (setjmp(s->heap.out_of_memory))
        return ERR_NOMEM;
    if (step(s) == yajl_status_ok || s->stopped)
        return ERR_OK;
    return s->fault ? s->fault : ERR_PROTO;
}

/* `tokens` ends with a token that is whole. */
static enum err parse(struct json_stream *s, struct slice tokens)
{
    if (tokens.n == 0)
        return ERR_OK;
    s->given = tokens;
    enum err err = guard(s, feed_yajl);
    s->given_offset += tokens.n;
    return err;
}

/* --- tokens --- */

static bool is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

/* What yajl takes for blanks, and RFC 8259 does not. */
static bool is_no_blank(char c)
{
    return c == '\v' || c == '\f';
}

static bool is_mark(char c)
{
    return c == '{' || c == '}' || c == '[' || c == ']' || c == ',' || c == ':';
}

static bool ends_word(char c)
{
    return is_mark(c) || is_blank(c) || is_no_blank(c) || c == '"';
}

/* How many of the bytes belong to the token under way; it is none any more when its end is there.
 */
static size_t rest_of_word(struct json_stream *s, struct slice bytes)
{
    size_t n = 0;

    while (n < bytes.n && !ends_word(bytes.p[n]))
        n++;
    if (n < bytes.n)
        s->token = TOKEN_NONE;
    return n;
}

static size_t rest_of_string(struct json_stream *s, struct slice bytes)
{
    for (size_t n = 0; n < bytes.n; n++) {
        char c = bytes.p[n];
        if (s->escaped) {
            s->escaped = false;
        } else if (c == '\\') {
            s->escaped = true;
        } else if (c == '"') {
            s->token = TOKEN_NONE;
            return n + 1;
        }
    }
    return bytes.n;
}

static size_t rest_of_token(struct json_stream *s, struct slice bytes)
{
    return s->token == TOKEN_STRING ? rest_of_string(s, bytes) : rest_of_word(s, bytes);
}

/* The token, or what is there of it, at the start of the bytes. */
static size_t next_token(struct json_stream *s, struct slice bytes)
{
    if (is_mark(bytes.p[0]) || is_blank(bytes.p[0]))
        return 1;
    if (bytes.p[0] == '"') {
        s->token = TOKEN_STRING;
        return 1 + rest_of_string(s, slice_from(bytes, 1));
    }
    s->token = TOKEN_WORD;
    return rest_of_word(s, bytes);
}

/* Is this token, as far as it is there, one that yajl may be given? */
static enum err check_token(const struct json_stream *s, struct slice token)
{
    if (token.n > s->max_token)
        return ERR_LIMIT;
    if (token.n == 0) /* a word that ends where it begins */
        return ERR_PROTO;
    return s->token != TOKEN_NONE || utf8_valid(token) ? ERR_OK : ERR_PROTO;
}

/* Goes on with the token under way and takes what belongs to it off *bytes. */
static enum err continue_token(struct json_stream *s, struct slice *bytes)
{
    size_t n = rest_of_token(s, *bytes);

    if (n > s->max_token - s->held.n)
        return ERR_LIMIT;
    buf_add(&s->held, slice_to(*bytes, n));
    *bytes = slice_from(*bytes, n);
    if (s->held.failed)
        return ERR_NOMEM;
    if (s->token != TOKEN_NONE)
        return ERR_OK;
    enum err err = check_token(s, buf_slice(&s->held));
    if (err == ERR_OK)
        err = parse(s, buf_slice(&s->held));
    buf_clear(&s->held);
    return err;
}

static enum err take(struct json_stream *s, struct slice bytes)
{
    enum err token_err = ERR_OK;
    size_t whole = 0; /* bytes of whole tokens */

    while (whole < bytes.n && token_err == ERR_OK) {
        size_t n = next_token(s, slice_from(bytes, whole));
        token_err = check_token(s, slice_of(bytes.p + whole, n));
        if (s->token != TOKEN_NONE)
            break;
        if (token_err == ERR_OK)
            whole += n;
    }
    enum err err = parse(s, slice_to(bytes, whole));
    if (err != ERR_OK || s->stopped)
        return err;
    if (token_err != ERR_OK)
        return token_err;
    buf_add(&s->held, slice_from(bytes, whole));
    return s->held.failed ? ERR_NOMEM : ERR_OK;
}

/* --- the stream --- */

static enum err init(struct json_stream *s, unsigned max_depth, size_t max_token,
                     json_event_f *on_event, void *arg)
{
    *s = (struct json_stream){
        .on_event = on_event,
        .arg = arg,
        .max_depth = max_depth < JSON_DEPTH_MAX ? max_depth : JSON_DEPTH_MAX,
        .max_token = max_token,
        .heap = {.ring = {.prev = &s->heap.ring, .next = &s->heap.ring}},
    };
    buf_init(&s->held, SIZE_MAX);
    buf_init(&s->key, SIZE_MAX);
    buf_init(&s->mended, SIZE_MAX);
    return guard(s, begin_yajl);
}

static void clear(struct json_stream *s)
{
    heap_release(&s->heap);
    buf_free(&s->held);
    buf_free(&s->key);
    buf_free(&s->mended);
}

struct json_stream *json_stream_new(unsigned max_depth, size_t max_token, json_event_f *on_event,
                                    void *arg)
{
    struct json_stream *s = malloc(sizeof *s);

    if (s && init(s, max_depth, max_token, on_event, arg) != ERR_OK)
        json_stream_free(&s);
    return s;
}

void json_stream_free(struct json_stream **s)
{
    if (!*s)
        return;
    clear(*s);
    free(*s);
    *s = NULL;
}

enum err json_stream_feed(struct json_stream *s, struct slice bytes)
{
    if (s->stopped || s->fault != ERR_OK)
        return s->fault;
    if (s->token != TOKEN_NONE)
        s->fault = continue_token(s, &bytes);
    if (!s->stopped && s->fault == ERR_OK && s->token == TOKEN_NONE)
        s->fault = take(s, bytes);
    return s->fault;
}

enum err json_stream_finish(struct json_stream *s)
{
    if (s->stopped || s->fault != ERR_OK)
        return s->fault;
    if (s->token == TOKEN_STRING)
        s->fault = ERR_PROTO;
    else
        s->fault = parse(s, buf_slice(&s->held)); /* a word that nothing follows */
    if (s->fault == ERR_OK && !s->stopped)
        s->fault = guard(s, end_yajl);
    s->stopped = true;
    return s->fault;
}

enum err json_walk(struct slice text, unsigned max_depth, json_event_f *on_event, void *arg)
{
    struct json_stream s;
    enum err err = init(&s, max_depth, SIZE_MAX, on_event, arg);

    if (err == ERR_OK)
        err = json_stream_feed(&s, text);
    if (err == ERR_OK)
        err = json_stream_finish(&s);
    clear(&s);
    return err;
}
