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

/* How many of the first bytes are true, if not all sixteen are? */
static inline unsigned bytes16_leading(bytes16 truths)
{
    uint64_t halves[2];
    memcpy(halves, &truths, sizeof halves);
    unsigned half = halves[0] == UINT64_MAX;
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
    int bits = __builtin_ctzll(~halves[half]);
#else
    int bits = __builtin_clzll(~halves[half]);
#endif
    return 8 * half + (unsigned)bits / 8;
}

/* Are all of n bytes, sixteen at least, what `are` says? The last sixteen overlap those before. */
static inline bool bytes16_each(const char *p, size_t n, bool (*are)(bytes16 v))
{
    const char *last = p + n - sizeof(bytes16);
    bool all = true;
    for (; all && p < last; p += sizeof(bytes16))
        all = are(bytes16_at(p));
    return all && are(bytes16_at(last));
}

/* Which are visible ASCII? */
static inline bytes16 bytes16_visible(bytes16 v)
{
    return (bytes16)(v - 0x21 < 0x7f - 0x21);
}

#endif
