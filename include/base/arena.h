/*
 * A bump allocator with a hard cap, for what lives as long as one request. Nothing in an arena
 * crosses a thread. Not thread-safe.
 */
#ifndef YT_BASE_ARENA_H
#define YT_BASE_ARENA_H

#include "base/slice.h"

struct arena_block;

struct arena {
    char *next; /* free bytes of the current block */
    char *end;
    struct arena_block *blocks; /* grown blocks, newest first */
    char *first;                /* the caller's first block, kept over resets */
    size_t first_size;
    size_t used; /* bytes in grown blocks, counted against cap */
    size_t cap;
};

/* `first` stays the caller's and must outlive the arena; grown blocks add up to `cap` at most. */
void arena_init(struct arena *a, char *first, size_t first_size, size_t cap);

/* Frees the grown blocks; every pointer into the arena is dead. */
void arena_reset(struct arena *a);

/* For arena_alloc only: there is no room in the current block. */
void *arena_alloc_in_new_block(struct arena *a, size_t n);

enum { ARENA_ALIGN = 16 };

/* What an allocation of n bytes takes. */
static inline size_t arena_units(size_t n)
{
    return n ? (n + ARENA_ALIGN - 1) & ~(size_t)(ARENA_ALIGN - 1) : ARENA_ALIGN;
}

/* 16-byte aligned, not cleared; NULL when the cap is reached. */
static inline void *arena_alloc(struct arena *a, size_t n)
{
    size_t room = (size_t)(a->end - a->next);
    /* At the end of a block the unused rest of the last unit need not exist. */
    if (room == 0 || n > room)
        return arena_alloc_in_new_block(a, n);
    size_t rounded = arena_units(n);
    void *p = a->next;
    a->next += rounded < room ? rounded : room;
    return p;
}
void *arena_zalloc(struct arena *a, size_t n);

/* Copies; slice.p is NULL when the cap is reached (also for an empty source: then never). */
struct slice arena_copy(struct arena *a, struct slice s);
/* NUL-terminated copy; NULL when the cap is reached. */
char *arena_strdup(struct arena *a, struct slice s);
/* Formats into the arena; slice.p is NULL when the cap is reached. */
struct slice arena_printf(struct arena *a, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));

#endif
