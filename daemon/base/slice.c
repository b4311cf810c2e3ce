#include "base/slice.h"

bool slice_u64(struct slice s, uint64_t *value)
{
    uint64_t v = 0;

    if (s.n == 0)
        return false;
    for (size_t i = 0; i < s.n; i++) {
        unsigned digit = (unsigned)(unsigned char)s.p[i] - '0';
        if (digit > 9 || __builtin_mul_overflow(v, 10, &v) || __builtin_add_overflow(v, digit, &v))
            return false;
    }
    *value = v;
    return true;
}

struct slice slice_decimal(uint64_t value, char room[DECIMAL_MAX])
{
    size_t at = DECIMAL_MAX;

    for (; value >= 10; value /= 100) { /* two digits for each division */
        unsigned pair = (unsigned)(value % 100);
        room[--at] = (char)('0' + pair % 10);
        room[--at] = (char)('0' + pair / 10);
    }
    if (value || at == DECIMAL_MAX)
        room[--at] = (char)('0' + value);
    return slice_of(room + at, DECIMAL_MAX - at);
}
