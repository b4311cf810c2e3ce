#include "internal.h"

#include "base/clock.h"

#include <assert.h>
#include <stdlib.h>

void partials_init(struct partials *partials)
{
    pthread_mutex_init(&partials->mutex, NULL);
    partials->slots = calloc(PARTIALS_MAX, sizeof *partials->slots);
    if (!partials->slots)
        abort();
    partials->count = 0;
}

void partials_destroy(struct partials *partials)
{
    free(partials->slots);
    pthread_mutex_destroy(&partials->mutex);
}

/* --- the table; the mutex is held --- */

static struct partial_slot *find(struct partials *partials, const struct store_key *key)
{
    for (size_t i = 0; i < partials->count; i++)
        if (memcmp(partials->slots[i].key.bytes, key->bytes, sizeof key->bytes) == 0)
            return &partials->slots[i];
    return NULL;
}

static struct partial_slot *oldest_idle(struct partials *partials)
{
    struct partial_slot *oldest = NULL;

    for (size_t i = 0; i < partials->count; i++) {
        struct partial_slot *slot = &partials->slots[i];
        if (!slot->open && (!oldest || slot->modified_ms < oldest->modified_ms))
            oldest = slot;
    }
    return oldest;
}

static void remove_slot(struct partials *partials, struct partial_slot *slot)
{
    *slot = partials->slots[--partials->count];
}

/* The file goes while the mutex is held: nobody can open it anew in between. */
static uint64_t drop(struct store *s, struct partial_slot *slot)
{
    uint64_t size = slot->size;

    files_remove_partial(&s->files, &slot->key);
    atomic_fetch_sub(&s->partial_bytes, size);
    remove_slot(&s->partials, slot);
    return size;
}

/* A new slot, for which an idle file must go if the table is full. NULL: all are open. */
static struct partial_slot *add_slot(struct store *s, const struct store_key *key)
{
    struct partials *partials = &s->partials;

    if (partials->count == PARTIALS_MAX) {
        struct partial_slot *oldest = oldest_idle(partials);
        if (!oldest)
            return NULL;
        drop(s, oldest);
    }
    struct partial_slot *slot = &partials->slots[partials->count++];
    *slot = (struct partial_slot){.key = *key};
    return slot;
}

/* --- from outside --- */

enum err partials_load(struct store *s, int64_t litter_ms, struct errinfo *info)
{
    struct store_key key;
    struct file_info file;
    DIR *folder = files_open_partials(&s->files);

    if (!folder)
        return err_sys(info, "cannot read partial/");
    pthread_mutex_lock(&s->partials.mutex);
    while (files_next_partial(folder, litter_ms, &key, &file)) {
        struct partial_slot *slot = add_slot(s, &key);
        slot->size = file.size;
        slot->modified_ms = file.modified_ms;
        atomic_fetch_add(&s->partial_bytes, file.size);
    }
    pthread_mutex_unlock(&s->partials.mutex);
    closedir(folder);
    return ERR_OK;
}

bool partials_left(struct store *s, const struct store_key *key)
{
    pthread_mutex_lock(&s->partials.mutex);
    const struct partial_slot *slot = find(&s->partials, key);
    bool left = slot && !slot->open && slot->size > 0;
    pthread_mutex_unlock(&s->partials.mutex);
    return left;
}

enum err partials_claim(struct store *s, const struct store_key *key, uint64_t *size)
{
    enum err err = ERR_LIMIT;

    pthread_mutex_lock(&s->partials.mutex);
    struct partial_slot *slot = find(&s->partials, key);
    if (!slot)
        slot = add_slot(s, key);
    if (slot && !slot->open) {
        slot->open = true;
        *size = slot->size;
        err = ERR_OK;
    }
    pthread_mutex_unlock(&s->partials.mutex);
    return err;
}

void partials_release(struct store *s, const struct store_key *key, uint64_t size, bool keep)
{
    pthread_mutex_lock(&s->partials.mutex);
    struct partial_slot *slot = find(&s->partials, key);
    assert(slot && slot->open);
    slot->open = false;
    slot->size = size;
    slot->modified_ms = clock_wall_ms();
    if (!keep)
        drop(s, slot);
    pthread_mutex_unlock(&s->partials.mutex);
}

bool partials_drop_oldest(struct store *s, int64_t before_ms, uint64_t *size)
{
    pthread_mutex_lock(&s->partials.mutex);
    struct partial_slot *oldest = oldest_idle(&s->partials);
    bool found = oldest && oldest->modified_ms < before_ms;
    if (found)
        *size = drop(s, oldest);
    pthread_mutex_unlock(&s->partials.mutex);
    return found;
}
