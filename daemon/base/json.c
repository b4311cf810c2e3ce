/* The one user of yajl. */
#include "base/json.h"

#include <setjmp.h>
#include <stdlib.h>
#include <yajl/yajl_parse.h>

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

struct walk {
    struct slice text;
    json_event_f *on_event;
    void *arg;
    unsigned max_depth;
    unsigned depth; /* open objects and arrays */
    struct slice key;
    char *key_copy; /* of a key that had to be unescaped, in the heap; else NULL */
    struct heap *heap;
    bool stopped;
    bool too_deep;
    bool not_utf8;
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

/* Hands one value on; the result is what yajl wants: 0 stops the parse. */
static int emit(struct walk *w, enum json_kind kind, struct slice text)
{
    struct json_event event = {.kind = kind, .depth = w->depth, .key = w->key, .text = text};

    if (!w->on_event(w->arg, &event))
        w->stopped = true;
    w->key = slice_of(NULL, 0);
    return !w->stopped;
}

static int begin(struct walk *w, enum json_kind kind)
{
    if (w->depth >= w->max_depth) {
        w->too_deep = true;
        return 0;
    }
    int go_on = emit(w, kind, slice_of(NULL, 0));
    w->depth++;
    return go_on;
}

static struct slice bytes_of(const unsigned char *p, size_t n)
{
    return slice_of((const char *)p, n);
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

/* yajl's own check lets overlong forms and surrogates pass. */
static bool check_utf8(struct walk *w, struct slice s)
{
    if (!utf8_valid(s))
        w->not_utf8 = true;
    return !w->not_utf8;
}

static int on_string(void *ctx, const unsigned char *p, size_t n)
{
    return check_utf8(ctx, bytes_of(p, n)) && emit(ctx, JSON_STRING, bytes_of(p, n));
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
    struct walk *w = ctx;

    w->depth--;
    return emit(w, JSON_END, slice_of(NULL, 0));
}

static bool is_within(struct slice text, const char *p)
{
    return (uintptr_t)p - (uintptr_t)text.p < text.n;
}

/* A key with escapes stands in yajl's scratch buffer, which its value may overwrite. */
static int on_map_key(void *ctx, const unsigned char *p, size_t n)
{
    struct walk *w = ctx;

    if (!check_utf8(w, bytes_of(p, n)))
        return 0;
    w->key = bytes_of(p, n);
    if (n && !is_within(w->text, w->key.p)) {
        w->key_copy = heap_realloc(w->heap, w->key_copy, n);
        memcpy(w->key_copy, p, n);
        w->key.p = w->key_copy;
    }
    return 1;
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

/* --- the walk --- */

static yajl_status parse(struct walk *w)
{
    yajl_alloc_funcs functions = {heap_alloc, heap_realloc, heap_free, w->heap};
    yajl_handle handle = yajl_alloc(&callbacks, &functions, w);
    yajl_config(handle, yajl_dont_validate_strings, 1); /* check_utf8 does it */
    const char *p = w->text.n ? w->text.p : "";
    yajl_status status = yajl_parse(handle, (const unsigned char *)p, w->text.n);

    if (status == yajl_status_ok)
        status = yajl_complete_parse(handle);
    yajl_free(handle);
    return status;
}

/* Where longjmp ends. No local of this function changes after setjmp; false: memory is out. */
static bool parse_guarded(struct walk *w, yajl_status *status)
{
    if (setjmp(w->heap->out_of_memory))
        return false;
    *status = parse(w);
    return true;
}

enum err json_walk(struct slice text, unsigned max_depth, json_event_f *on_event, void *arg)
{
    struct heap heap = {.ring = {.prev = &heap.ring, .next = &heap.ring}};
    struct walk w = {
        .text = text,
        .on_event = on_event,
        .arg = arg,
        .max_depth = max_depth < JSON_DEPTH_MAX ? max_depth : JSON_DEPTH_MAX,
        .heap = &heap,
    };
    yajl_status status = yajl_status_error;
    bool had_memory = parse_guarded(&w, &status);

    heap_release(&heap);
    if (!had_memory)
        return ERR_NOMEM;
    if (w.too_deep)
        return ERR_LIMIT;
    return status == yajl_status_ok || w.stopped ? ERR_OK : ERR_PROTO;
}
