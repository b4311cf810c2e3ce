#include "fill_table.h"
#include "fill.h"
#include <stdlib.h>

enum { TABLE_BUCKETS = 1024 };

struct fill_table {
    pthread_mutex_t lock; /* innermost: nothing is called with it held but fill_ref */
    struct table_node *buckets[TABLE_BUCKETS];
};

struct fill_table *fill_table_new(void)
{
    struct fill_table *t = calloc(1, sizeof *t);
    if (!t)
        abort();
    pthread_mutex_init(&t->lock, NULL);
    return t;
}

void fill_table_free(struct fill_table **t)
{
    if (!*t)
        return;
    pthread_mutex_destroy(&(*t)->lock);
    free(*t);
    *t = NULL;
}

/* Where the node of that key hangs, or where it would. Keys are hashes: any bytes will do. */
static struct table_node **place(struct fill_table *t, const struct store_key *key)
{
    uint32_t h;
    memcpy(&h, key->bytes, sizeof h);
    struct table_node **at = &t->buckets[h % TABLE_BUCKETS];
    while (*at && memcmp((*at)->key.bytes, key->bytes, STORE_KEY_BYTES) != 0)
        at = &(*at)->next;
    return at;
}

struct fill *fill_table_get(struct fill_table *t, const struct store_key *key)
{
    pthread_mutex_lock(&t->lock);
    struct table_node *node = *place(t, key);
    struct fill *f = node ? fill_ref(node->fill) : NULL;
    pthread_mutex_unlock(&t->lock);
    return f;
}

struct fill *fill_table_add(struct fill_table *t, struct table_node *node)
{
    pthread_mutex_lock(&t->lock);
    struct table_node **at = place(t, &node->key);
    struct fill *f = *at ? fill_ref((*at)->fill) : NULL;
    if (!f) {
        node->next = NULL;
        node->linked = true;
        *at = node;
    }
    pthread_mutex_unlock(&t->lock);
    return f;
}

void fill_table_remove(struct fill_table *t, struct table_node *node)
{
    pthread_mutex_lock(&t->lock);
    if (node->linked) {
        struct table_node **at = place(t, &node->key);
        *at = node->next;
        node->linked = false;
    }
    pthread_mutex_unlock(&t->lock);
}
