#include "base/config.h"

#include <stdlib.h>

#include "base/arena.h"
#include "config_check.h"
#include "config_keys.h"
#include "read_file.h"

enum { CONFIG_FILE_MAX = 1 << 20, CONFIG_ARENA_MAX = 32 << 20 };

/* What config_load gives out is the first member. */
struct config_owner {
    struct config config;
    struct arena arena; /* everything that the configuration points to */
};

enum { KEY_COUNT = sizeof config_keys / sizeof config_keys[0] };

/* --- reading by the table --- */

static void read_section(const struct config_reader *r, const char *section,
                         const struct yaml_node *map, char *base);

static const struct config_key *find_key(const char *section, const char *name)
{
    for (size_t i = 0; i < KEY_COUNT; i++)
        if (strcmp(config_keys[i].section, section) == 0 && strcmp(config_keys[i].name, name) == 0)
            return &config_keys[i];
    return NULL;
}

static void refuse_unknown_keys(const struct config_reader *r, const char *section,
                                const struct yaml_node *map)
{
    struct buf known;

    buf_init(&known, FAULT_TEXT_MAX);
    for (size_t i = 0; i < KEY_COUNT; i++)
        if (strcmp(config_keys[i].section, section) == 0)
            buf_addf(&known, "%s%s", known.n ? ", " : "", config_keys[i].name);
    for (const struct yaml_node *child = map->first; child; child = child->next)
        if (!find_key(section, child->key))
            yaml_tree_fault(r->faults, child, NULL, "unknown key; known here: %.*s",
                            SLICE_ARG(buf_slice(&known)));
    buf_free(&known);
}

static void read_list(const struct config_reader *r, const struct config_key *key,
                      const struct yaml_node *list, char *base)
{
    if (list->kind != NODE_LIST) {
        if (list->kind != NODE_BAD)
            yaml_tree_fault(r->faults, list, NULL, "must be a list of maps");
        return;
    }
    if (list->count == 0)
        yaml_tree_fault(r->faults, list, NULL, "needs at least one entry");
    char *items = config_zalloc(r, list->count * key->item_size);
    memcpy(base + key->offset, &items, sizeof items);
    memcpy(base + key->count_offset, &list->count, sizeof list->count);
    for (const struct yaml_node *item = list->first; item; item = item->next) {
        char *at = items + item->index * key->item_size;
        memcpy(at + key->line_offset, &item->line, sizeof item->line);
        read_section(r, key->items, item, at);
    }
}

static void read_default(const struct config_reader *r, const struct config_key *key, char *base)
{
    const struct yaml_node node = {.kind = NODE_TEXT, .text = slice_str(key->fallback)};

    if (key->kind == CONFIG_MAP)
        read_section(r, key->items, NULL, base);
    else if (!config_is_texts(key->kind)) /* whose default is the empty list */
        config_read_value(r, key, &node, base + key->offset);
}

/* `map` NULL: the whole section has been left out. */
static void read_key(const struct config_reader *r, const struct config_key *key,
                     const struct yaml_node *map, char *base)
{
    const struct yaml_node *node = yaml_tree_get(map, key->name);

    if (!node && key->fallback)
        read_default(r, key, base);
    else if (!node)
        yaml_tree_fault(r->faults, map, key->name, "is missing");
    else if (key->kind == CONFIG_MAP)
        read_section(r, key->items, node, base);
    else if (key->kind == CONFIG_LIST)
        read_list(r, key, node, base);
    else
        config_read_value(r, key, node, base + key->offset);
}

/* Recurses as deep as the table's sections are nested. */
static void read_section(const struct config_reader *r, const char *section,
                         const struct yaml_node *map, char *base)
{
    if (map && map->kind != NODE_MAP) {
        if (map->kind != NODE_BAD)
            yaml_tree_fault(r->faults, map, NULL, "must be a map of keys");
        return;
    }
    if (map)
        refuse_unknown_keys(r, section, map);
    for (size_t i = 0; i < KEY_COUNT; i++)
        if (strcmp(config_keys[i].section, section) == 0)
            read_key(r, &config_keys[i], map, base);
}

/* --- the whole --- */

static struct config_owner *new_owner(void)
{
    struct config_owner *owner = calloc(1, sizeof *owner);

    if (!owner)
        abort();
    arena_init(&owner->arena, NULL, 0, CONFIG_ARENA_MAX);
    return owner;
}

static void read_tree(struct config_owner *owner, const struct yaml_node *root,
                      const struct config_protocol *const *protocols, struct faults *faults)
{
    const struct config_reader r = {faults, &owner->arena, protocols};

    read_section(&r, TOP, root, (char *)&owner->config);
    config_check(&r, root, &owner->config);
}

enum err config_parse(const char *name, struct slice text,
                      const struct config_protocol *const *protocols, struct config **out,
                      struct buf *errors)
{
    struct faults faults = {.n = 0};
    struct config_owner *owner = new_owner();
    struct config *config = &owner->config;
    struct arena tree_arena;

    *out = NULL;
    arena_init(&tree_arena, NULL, 0, CONFIG_ARENA_MAX);
    const struct yaml_node *root = yaml_tree_build(text, &tree_arena, &faults);
    if (root)
        read_tree(owner, root, protocols, &faults);
    arena_reset(&tree_arena);
    if (faults.n) {
        faults_print(&faults, name, errors);
        config_free(&config);
        return ERR_CONFIG;
    }
    *out = config;
    return ERR_OK;
}

enum err config_load(const char *file, const struct config_protocol *const *protocols,
                     struct config **out, struct buf *errors)
{
    struct buf text;
    struct errinfo info;
    enum err err = ERR_CONFIG;

    *out = NULL;
    buf_init(&text, CONFIG_FILE_MAX);
    if (read_file(file, &text, &info) == ERR_OK)
        err = config_parse(file, buf_slice(&text), protocols, out, errors);
    else
        buf_addf(errors, "%s: %s\n", file, info.msg);
    buf_free(&text);
    return err;
}

static void wipe(char *secret)
{
    if (secret)
        explicit_bzero(secret, strlen(secret));
}

void config_free(struct config **config)
{
    /* The configuration is the first member of its owner. */
    struct config_owner *owner = (struct config_owner *)*config;

    if (!owner)
        return;
    for (size_t i = 0; i < (*config)->route_count; i++)
        for (size_t j = 0; j < (*config)->routes[i].upstream_count; j++)
            wipe((*config)->routes[i].upstreams[j].password);
    arena_reset(&owner->arena);
    free(owner);
    *config = NULL;
}

/* --- the reference --- */

static void add_default(const struct config_key *key, struct buf *out)
{
    if (key->kind == CONFIG_MAP)
        return;
    if (!key->fallback)
        buf_add(out, SLICE("required"));
    else if (key->fallback[0] == '\0')
        buf_add(out, SLICE("`\"\"`"));
    else
        buf_addf(out, "`%s`", key->fallback);
}

void config_reference(struct buf *out)
{
    buf_add(out, SLICE("| Key | Type | Default | Meaning |\n|---|---|---|---|\n"));
    for (size_t i = 0; i < KEY_COUNT; i++) {
        const struct config_key *key = &config_keys[i];
        buf_addf(out, "| `%s%s%s` | ", key->section, key->section[0] ? "." : "", key->name);
        config_describe_type(key, out);
        buf_add(out, SLICE(" | "));
        add_default(key, out);
        buf_addf(out, " | %s |\n", key->help);
    }
}
