/* A plan outlives its request in fills and readings: they keep copies. */
#include "worker.h"

static bool copy_texts(struct arena *a, struct plan *p)
{
    struct slice *texts[] = {
        &p->resource,
        &p->variant,
        &p->upstream_path,
        &p->accept,
        &p->scope,
        &p->url,
        &p->method_text,
        &p->credential,
        &p->link_base,
        &p->page_name,
        &p->wanted,
        &p->rising_field,
        &p->digest_field,
        &p->alias_prefix,
        &p->content_type,
        &p->fields,
        &p->link_path,
        &p->link_query,
        &p->alternate_variant,
        &p->alternate_accept,
    };
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        *texts[i] = arena_copy(a, *texts[i]);
        if (!texts[i]->p)
            return false;
    }
    return true;
}

static bool copy_list(struct arena *a, const struct slice **list, size_t n)
{
    if (n == 0) {
        *list = NULL;
        return true;
    }
    struct slice *copy = arena_alloc(a, n * sizeof *copy);
    for (size_t i = 0; copy && i < n; i++) {
        copy[i] = arena_copy(a, (*list)[i]);
        if (!copy[i].p)
            return false;
    }
    *list = copy;
    return copy != NULL;
}

static bool copy_fields(struct arena *a, const struct http_fields **fields)
{
    if (!*fields)
        return true;
    struct http_fields *copy = arena_zalloc(a, sizeof *copy);
    if (!copy)
        return false;
    for (size_t i = 0; i < (*fields)->n; i++) {
        const struct http_field *f = &(*fields)->v[i];
        struct slice name = arena_copy(a, f->name), value = arena_copy(a, f->value);
        if (!name.p || !value.p || !http_fields_add(copy, a, HTTP_FIELDS_MAX, name, value))
            return false;
    }
    *fields = copy;
    return true;
}

static bool copy_plan(struct arena *a, const struct plan **plan)
{
    if (!*plan)
        return true;
    struct plan *copy = arena_alloc(a, sizeof *copy);
    if (!copy || !plan_copy(a, *plan, copy))
        return false;
    *plan = copy;
    return true;
}

bool plan_copy(struct arena *a, const struct plan *plan, struct plan *out)
{
    *out = *plan;
    out->pages[0] = out->pages[1] = NULL;
    return copy_texts(a, out) && copy_list(a, &out->accepted, out->accepted_count) &&
           copy_list(a, &out->lines, out->line_count) && copy_fields(a, &out->request_fields) &&
           copy_plan(a, &out->source) && copy_plan(a, &out->outdates[0]) &&
           copy_plan(a, &out->outdates[1]);
}
