/* The fills in progress by key: single flight over all workers. */
#ifndef YT_CACHE_FILL_TABLE_H
#define YT_CACHE_FILL_TABLE_H

#include "storage/store.h"

struct fill;
struct fill_table;

/* Embedded in the fill, once for each key that it answers. */
struct table_node {
    struct store_key key;
    struct fill *fill;
    struct table_node *next;
    bool linked;
};

struct fill_table *fill_table_new(void);
void fill_table_free(struct fill_table **t);
/* The fill under key with a reference added, or NULL. Any thread. */
struct fill *fill_table_get(struct fill_table *t, const struct store_key *key);
/*
 * Links the node unless its key is there already; then returns that fill with a reference added,
 * else NULL. Any thread.
 */
struct fill *fill_table_add(struct fill_table *t, struct table_node *node);
/* Unlinks if linked. */
void fill_table_remove(struct fill_table *t, struct table_node *node);

#endif
