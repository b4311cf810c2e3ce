#include "recent.h"

enum {
    TIME_BITS = 40,
    GRAIN_MS = 16, /* so that a hot content's slot is read by all and seldom written */
};

static const int64_t since_2020_ms = INT64_C(1577836800000);
static const uint64_t time_mask = (UINT64_C(1) << TIME_BITS) - 1;

static _Atomic uint64_t *slot_of(struct recent *recent, const struct blob_id *id)
{
    return &recent->slots[(size_t)(id->bytes[0] << 8 | id->bytes[1]) % RECENT_SLOTS];
}

/* Never 0, so that an empty slot matches nothing. */
static uint64_t tag_of(const struct blob_id *id)
{
    uint64_t tag = (uint64_t)id->bytes[2] << 16 | (uint64_t)id->bytes[3] << 8 | id->bytes[4];

    return tag ? tag : 1;
}

void recent_note(struct recent *recent, const struct blob_id *id, int64_t wall_ms)
{
    _Atomic uint64_t *slot = slot_of(recent, id);
    uint64_t was = atomic_load_explicit(slot, memory_order_relaxed);
    uint64_t now = (uint64_t)(wall_ms - since_2020_ms) & time_mask;

    /* Unsigned: after the clock was set back a use is noted again. */
    if (was >> TIME_BITS == tag_of(id) && now - (was & time_mask) < GRAIN_MS)
        return;
    atomic_store_explicit(slot, tag_of(id) << TIME_BITS | now, memory_order_relaxed);
}

int64_t recent_use_ms(struct recent *recent, const struct blob_id *id)
{
    uint64_t slot = atomic_load_explicit(slot_of(recent, id), memory_order_relaxed);

    return slot >> TIME_BITS == tag_of(id) ? (int64_t)(slot & time_mask) + since_2020_ms : 0;
}
