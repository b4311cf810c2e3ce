#include "yaml_tree.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <yaml.h>

/* Longest part of an unknown key that is shown. */
enum { SHOWN_KEY_MAX = 40, SHOWN_PATH_MAX = 4096 };

struct builder {
    yaml_parser_t parser;
    struct slice text;
    struct arena *arena;
    struct faults *faults;
    struct yaml_node *root;
    struct yaml_node *open; /* innermost map or list that is not at its end */
    const char *key;        /* read in `open`, its value comes next */
    unsigned key_line;
    unsigned depth;
    unsigned nodes;
};

/* --- looking --- */

const struct yaml_node *yaml_tree_get(const struct yaml_node *node, const char *key)
{
    if (!node || node->kind != NODE_MAP)
        return NULL;
    for (const struct yaml_node *child = node->first; child; child = child->next)
        if (strcmp(child->key, key) == 0)
            return child;
    return NULL;
}

const struct yaml_node *yaml_tree_at(const struct yaml_node *node, size_t index)
{
    if (!node || node->kind != NODE_LIST)
        return NULL;
    const struct yaml_node *child = node->first;
    while (child && child->index != index)
        child = child->next;
    return child;
}

/* --- faults --- */

static void add_key(struct buf *path, const char *key)
{
    struct slice s = slice_str(key);

    if (path->n)
        buf_addc(path, '.');
    buf_add_json(path, slice_to(s, SHOWN_KEY_MAX));
    if (s.n > SHOWN_KEY_MAX)
        buf_add(path, SLICE("..."));
}

/* Recurses at most YAML_DEPTH_MAX deep. */
static void add_path(struct buf *path, const struct yaml_node *node)
{
    if (!node->parent)
        return;
    add_path(path, node->parent);
    if (node->key)
        add_key(path, node->key);
    else
        buf_addf(path, "[%zu]", node->index);
}

void yaml_tree_fault(struct faults *faults, const struct yaml_node *node, const char *key,
                     const char *fmt, ...)
{
    char text[FAULT_TEXT_MAX];
    struct buf path;
    va_list args;

    va_start(args, fmt);
    vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    buf_init(&path, SHOWN_PATH_MAX);
    add_path(&path, node);
    if (key)
        add_key(&path, key);
    if (path.n)
        buf_addc(&path, ':');
    faults_add(faults, node->line, "%.*s%s%s", SLICE_ARG(buf_slice(&path)), path.n ? " " : "",
               text);
    buf_free(&path);
}

static unsigned mark_line(yaml_mark_t mark)
{
    return (unsigned)mark.line + 1;
}

/* The reader's faults (bytes that are not text) carry an offset, the others a mark. */
static unsigned problem_line(const struct builder *b)
{
    unsigned line = 1;

    if (b->parser.error != YAML_READER_ERROR)
        return mark_line(b->parser.problem_mark);
    for (size_t i = 0; i < b->text.n && i < b->parser.problem_offset; i++)
        line += b->text.p[i] == '\n';
    return line;
}

static void report_problem(const struct builder *b)
{
    if (b->parser.error == YAML_MEMORY_ERROR)
        abort();
    faults_add(b->faults, problem_line(b), "not YAML: %s%s%s",
               b->parser.problem ? b->parser.problem : "cannot be parsed",
               b->parser.context ? " " : "", b->parser.context ? b->parser.context : "");
}

/* --- building: each step returns false after a fault that ends the parse --- */

/* The tree is read at start, in bounds that the arena is made for: no memory is the end. */
static void *need(void *p)
{
    if (!p)
        abort();
    return p;
}

static bool is_null(struct slice s)
{
    static const char *const words[] = {"", "~", "null", "Null", "NULL"};

    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++)
        if (slice_eq(s, slice_str(words[i])))
            return true;
    return false;
}

static void append_child(struct yaml_node *parent, struct yaml_node *node)
{
    if (parent->last)
        parent->last->next = node;
    else
        parent->first = node;
    parent->last = node;
    parent->count++;
}

/* Puts a new node where the text is now; a key's second value is built but not linked. */
static struct yaml_node *add_node(struct builder *b, enum yaml_node_kind kind, unsigned line)
{
    struct yaml_node *node = need(arena_zalloc(b->arena, sizeof *node));
    const struct yaml_node *twin = b->key ? yaml_tree_get(b->open, b->key) : NULL;

    node->kind = kind;
    node->line = b->key ? b->key_line : line;
    node->parent = b->open;
    node->key = b->key;
    b->key = NULL;
    if (!b->open) {
        b->root = node;
    } else {
        node->index = b->open->count;
        if (twin)
            yaml_tree_fault(b->faults, node, NULL, "given twice, first at line %u", twin->line);
        else
            append_child(b->open, node);
    }
    return node;
}

static bool count_node(struct builder *b, unsigned line)
{
    if (++b->nodes <= YAML_NODES_MAX)
        return true;
    faults_add(b->faults, line, "more than %d keys and values", YAML_NODES_MAX);
    return false;
}

static bool expects_key(const struct builder *b)
{
    return b->open && b->open->kind == NODE_MAP && !b->key;
}

/* Reports what is given with a node and not supported; true when there was something. */
static bool refuse_extras(struct builder *b, unsigned line, const yaml_char_t *anchor,
                          const yaml_char_t *tag)
{
    if (anchor)
        faults_add(b->faults, line, "anchors (&) are not supported");
    if (tag)
        faults_add(b->faults, line, "tags (!) are not supported");
    return anchor || tag;
}

static bool on_key(struct builder *b, struct slice text, unsigned line)
{
    b->key = need(arena_strdup(b->arena, text));
    b->key_line = line;
    return true;
}

static bool on_scalar(struct builder *b, const yaml_event_t *event)
{
    unsigned line = mark_line(event->start_mark);
    const char *value = (const char *)event->data.scalar.value;
    struct slice text = slice_of(value, event->data.scalar.length);
    bool plain = event->data.scalar.style == YAML_PLAIN_SCALAR_STYLE;
    bool bad = refuse_extras(b, line, event->data.scalar.anchor, event->data.scalar.tag);

    if (slice_find(text, '\0') != text.n) {
        faults_add(b->faults, line, "a NUL character is not allowed");
        return false;
    }
    if (expects_key(b))
        return on_key(b, text, line);
    struct yaml_node *node = add_node(b, NODE_TEXT, line);
    node->text = slice_of(need(arena_strdup(b->arena, text)), text.n);
    node->quoted = !plain;
    if (plain && is_null(text))
        node->kind = NODE_NULL;
    if (bad)
        node->kind = NODE_BAD;
    return true;
}

static bool on_begin(struct builder *b, enum yaml_node_kind kind, unsigned line,
                     const yaml_char_t *anchor, const yaml_char_t *tag)
{
    refuse_extras(b, line, anchor, tag);
    if (expects_key(b)) {
        faults_add(b->faults, line, "a key must be plain text");
        return false;
    }
    if (b->depth == YAML_DEPTH_MAX) {
        faults_add(b->faults, line, "nested more than %d deep", YAML_DEPTH_MAX);
        return false;
    }
    b->open = add_node(b, kind, line);
    b->depth++;
    return true;
}

static void on_end(struct builder *b)
{
    b->open = b->open->parent;
    b->depth--;
}

static bool on_alias(struct builder *b, unsigned line)
{
    faults_add(b->faults, line, "aliases (*) are not supported");
    if (expects_key(b))
        return false;
    add_node(b, NODE_BAD, line);
    return true;
}

static bool on_document(struct builder *b, const yaml_event_t *event)
{
    unsigned line = mark_line(event->start_mark);

    if (event->data.document_start.version_directive ||
        event->data.document_start.tag_directives.start !=
            event->data.document_start.tag_directives.end)
        faults_add(b->faults, line, "directives (%%) are not supported");
    if (b->root) {
        faults_add(b->faults, line, "only one document is allowed");
        return false;
    }
    return true;
}

static bool on_event(struct builder *b, const yaml_event_t *event)
{
    unsigned line = mark_line(event->start_mark);

    switch (event->type) {
    case YAML_DOCUMENT_START_EVENT:
        return on_document(b, event);
    case YAML_SCALAR_EVENT:
        return count_node(b, line) && on_scalar(b, event);
    case YAML_ALIAS_EVENT:
        return count_node(b, line) && on_alias(b, line);
    case YAML_MAPPING_START_EVENT:
        return count_node(b, line) && on_begin(b, NODE_MAP, line, event->data.mapping_start.anchor,
                                               event->data.mapping_start.tag);
    case YAML_SEQUENCE_START_EVENT:
        return count_node(b, line) &&
               on_begin(b, NODE_LIST, line, event->data.sequence_start.anchor,
                        event->data.sequence_start.tag);
    case YAML_MAPPING_END_EVENT:
    case YAML_SEQUENCE_END_EVENT:
        on_end(b);
        return true;
    default:
        return true;
    }
}

static bool build(struct builder *b)
{
    for (;;) {
        yaml_event_t event;
        if (!yaml_parser_parse(&b->parser, &event)) {
            report_problem(b);
            return false;
        }
        bool last = event.type == YAML_STREAM_END_EVENT;
        bool go_on = on_event(b, &event);
        yaml_event_delete(&event);
        if (last || !go_on)
            return go_on;
    }
}

const struct yaml_node *yaml_tree_build(struct slice text, struct arena *arena,
                                        struct faults *faults)
{
    struct builder b = {.text = text, .arena = arena, .faults = faults};

    if (!yaml_parser_initialize(&b.parser))
        abort();
    yaml_parser_set_input_string(&b.parser, (const unsigned char *)(text.n ? text.p : ""), text.n);
    bool whole = build(&b);
    yaml_parser_delete(&b.parser);
    if (whole && !b.root)
        faults_add(faults, 1, "the file is empty");
    return whole ? b.root : NULL;
}
