/*
 * The one user of libyaml: a small tree, with line numbers, of the part of YAML that a
 * configuration needs. What it leaves out is refused, never ignored: anchors, aliases, tags,
 * directives, a second document, keys that are not plain text, keys given twice.
 */
#ifndef YT_BASE_YAML_TREE_H
#define YT_BASE_YAML_TREE_H

#include "base/arena.h"
#include "faults.h"

enum { YAML_DEPTH_MAX = 16, YAML_NODES_MAX = 10000 };

enum yaml_node_kind {
    NODE_BAD, /* a fault has been reported for it already */
    NODE_NULL,
    NODE_TEXT,
    NODE_MAP,
    NODE_LIST,
};

struct yaml_node {
    enum yaml_node_kind kind;
    bool quoted;              /* TEXT: written in quotes or as a block */
    unsigned line;            /* from 1: of the key in a map, else where the node begins */
    struct slice text;        /* TEXT: with a NUL behind it, and none within */
    struct yaml_node *parent; /* NULL at the top */
    const char *key;          /* in a map */
    size_t index;             /* in a list */
    size_t count;             /* MAP, LIST: children */
    struct yaml_node *first;
    struct yaml_node *last;
    struct yaml_node *next;
};

/*
 * The tree of a text, in the arena, or NULL when the text is not one YAML document within the
 * bounds; a fault then says why. A tree may be returned with faults too.
 */
const struct yaml_node *yaml_tree_build(struct slice text, struct arena *arena,
                                        struct faults *faults);

/* The child of a map by its key, or NULL; also NULL for a node that is NULL or no map. */
const struct yaml_node *yaml_tree_get(const struct yaml_node *node, const char *key);
/* The child of a list by its index, or NULL; also NULL for a node that is NULL or no list. */
const struct yaml_node *yaml_tree_at(const struct yaml_node *node, size_t index);

/*
 * Adds the fault "PATH: text", where PATH leads from the top to the node, and on to `key` within it
 * if `key` is not NULL ("routes[0].ttl").
 */
void yaml_tree_fault(struct faults *faults, const struct yaml_node *node, const char *key,
                     const char *fmt, ...) YT_PRINTF(4, 5);

#endif
