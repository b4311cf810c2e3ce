#include "negative.h"
#include <pthread.h>
#include <stdlib.h>

enum { NEGATIVE_SLOTS = 4096 };

struct negatives {
    pthread_mutex_t lock;
    struct {
        struct store_key key;
        int64_t until_ms;
    } slots[NEGATIVE_SLOTS]; /* one place for each key: a newer one replaces an older */
};

struct negatives *negatives_new(void)
{
    struct negatives *n = calloc(1, sizeof *n);
    if (!n)
        abort();
    pthread_mutex_init(&n->lock, NULL);
    return n;
}

void negatives_free(struct negatives **n)
{
    if (!*n)
        return;
    pthread_mutex_destroy(&(*n)->lock);
    free(*n);
    *n = NULL;
}

static size_t slot_of(const struct store_key *key)
{
    uint32_t h;
    memcpy(&h, key->bytes, sizeof h);
    return h % NEGATIVE_SLOTS;
}

void negatives_add(struct negatives *n, const struct store_key *key, int64_t until_ms)
{
    size_t i = slot_of(key);
    pthread_mutex_lock(&n->lock);
    n->slots[i].key = *key;
    n->slots[i].until_ms = until_ms;
    pthread_mutex_unlock(&n->lock);
}

void negatives_remove(struct negatives *n, const struct store_key *key)
{
    size_t i = slot_of(key);
    pthread_mutex_lock(&n->lock);
    if (memcmp(&n->slots[i].key, key, sizeof *key) == 0)
        n->slots[i].until_ms = 0;
    pthread_mutex_unlock(&n->lock);
}

int64_t negatives_left(struct negatives *n, const struct store_key *key, int64_t now_ms)
{
    size_t i = slot_of(key);
    int64_t left = 0;
    pthread_mutex_lock(&n->lock);
    if (memcmp(&n->slots[i].key, key, sizeof *key) == 0 && n->slots[i].until_ms > now_ms)
        left = n->slots[i].until_ms - now_ms;
    pthread_mutex_unlock(&n->lock);
    return left;
}
