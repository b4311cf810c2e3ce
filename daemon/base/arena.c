#include "base/arena.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

enum { ARENA_BLOCK_MIN = 4096 };

struct arena_block {
    struct arena_block *next;
    _Alignas(ARENA_ALIGN) char bytes[];
};

/* Where the next allocation may begin; past `end` when the tail is too short to be aligned. */
static void set_current(struct arena *a, char *p, size_t size)
{
    size_t skip = (size_t)(-(uintptr_t)p & (ARENA_ALIGN - 1));

    a->end = p + size;
    a->next = skip < size ? p + skip : a->end;
}

void arena_init(struct arena *a, char *first, size_t first_size, size_t cap)
{
    *a = (struct arena){.first = first, .first_size = first_size, .cap = cap};
    if (first)
        set_current(a, first, first_size);
}

void arena_reset(struct arena *a)
{
    while (a->blocks) {
        struct arena_block *block = a->blocks;
        a->blocks = block->next;
        free(block);
    }
    arena_init(a, a->first, a->first_size, a->cap);
}

/* Blocks double, so that their number stays small; the last one may be what is left of the cap. */
static size_t block_size(const struct arena *a, size_t need)
{
    size_t left = a->cap - a->used;
    size_t size = a->used > ARENA_BLOCK_MIN ? a->used : ARENA_BLOCK_MIN;

    if (size > left)
        size = left;
    return size > need ? size : need;
}

/* The roomier tail stays current. */
void *arena_alloc_in_new_block(struct arena *a, size_t n)
{
    size_t tail = (size_t)(a->end - a->next);

    if (n > SIZE_MAX / 2)
        return NULL;
    n = arena_units(n);
    if (n > a->cap - a->used)
        return NULL;
    size_t size = block_size(a, n);
    struct arena_block *block = malloc(sizeof *block + size);
    if (!block)
        return NULL;
    block->next = a->blocks;
    a->blocks = block;
    a->used += size;
    if (size - n > tail)
        set_current(a, block->bytes + n, size - n);
    return block->bytes;
}

void *arena_zalloc(struct arena *a, size_t n)
{
    void *p = arena_alloc(a, n);
    return p ? memset(p, 0, n) : NULL;
}

struct slice arena_copy(struct arena *a, struct slice s)
{
    char *p = arena_strdup(a, s);
    return slice_of(p, p ? s.n : 0);
}

char *arena_strdup(struct arena *a, struct slice s)
{
    if (s.n > SIZE_MAX / 2)
        return NULL;
    char *p = arena_alloc(a, s.n + 1);
    if (!p)
        return NULL;
    if (s.n)
        memcpy(p, s.p, s.n);
    p[s.n] = '\0';
    return p;
}

struct slice arena_printf(struct arena *a, const char *fmt, ...)
{
    size_t room = (size_t)(a->end - a->next);
    va_list args;

    /* Where it will most likely stand; if it fits, it need not be written again. */
    va_start(args, fmt);
    int n = vsnprintf(room ? a->next : NULL, room, fmt, args);
    va_end(args);
    bool fits = n >= 0 && (size_t)n < room;
    char *p = n < 0 ? NULL : arena_alloc(a, (size_t)n + 1);
    if (!p)
        return slice_of(NULL, 0);
    if (fits)
        return slice_of(p, (size_t)n);
    va_start(args, fmt);
    vsnprintf(p, (size_t)n + 1, fmt, args);
    va_end(args);
    return slice_of(p, (size_t)n);
}
