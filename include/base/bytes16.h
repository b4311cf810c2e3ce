/* Sixteen bytes at once, by the vectors that gcc and clang have for every CPU. */
#ifndef YT_BASE_BYTES16_H
#define YT_BASE_BYTES16_H

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

/* A comparison gives 0xff for each byte of which it is true, 0 for the others. */
typedef uint8_t bytes16 __attribute__((vector_size(16)));

/* Sixteen bytes from p on must be readable; p need not be aligned. */
static inline bytes16 bytes16_at(const char *p)
{
    bytes16 v;
    memcpy(&v, p, sizeof v);
    return v;
}

static inline bool bytes16_all(bytes16 truths)
{
    uint64_t halves[2];
    memcpy(halves, &truths, sizeof halves);
    return (halves[0] & halves[1]) == UINT64_MAX;
}

static inline bool bytes16_any(bytes16 truths)
{
    uint64_t halves[2];
    memcpy(halves, &truths, sizeof halves);
    return (halves[0] | halves[1]) != 0;
}

/* Which are visible ASCII? */
static inline bytes16 bytes16_visible(bytes16 v)
{
    return (bytes16)(v - 0x21 < 0x7f - 0x21);
}

#endif
