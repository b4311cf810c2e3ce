/* What the fuzz targets of index pages share: reading a page, and what must hold for its links. */
#ifndef YT_TESTS_PYPI_CHECK_H
#define YT_TESTS_PYPI_CHECK_H

#include "daemon/protocol/pypi_page.h"
#include "daemon/protocol/pypi_path.h"
#include "fuzz_check.h"

enum { PAGE_OUT_CAP = 64 * 1024 * 1024, PAGE_ARENA_CAP = 1024 * 1024 };

struct fuzz_page {
    const struct plan_reader *reader;
    struct slice type;
    struct slice url; /* http or https */
    struct slice body;
};

/* Fed in steps; with a fact it looks for `wanted`, else it writes to `out`. */
static inline enum err read_page(const struct fuzz_page *page, size_t step, struct slice wanted,
                                 struct arena *arena, struct plan_fact *fact, struct buf *out)
{
    const struct plan plan = {.link_base = SLICE("files/"), .wanted = wanted};
    const struct plan_reading reading = {
        .plan = &plan, .url = page->url, .content_type = page->type, .arena = arena, .fact = fact};
    struct slice body = page->body;
    void *state = page->reader->begin(&reading);
    enum err result = ERR_OK;

    CHECK(state);
    while (body.n && result == ERR_OK) {
        result = page->reader->feed(state, slice_to(body, step), out);
        body = slice_from(body, step);
    }
    if (result == ERR_OK)
        result = page->reader->finish(state, out);
    page->reader->end(state);
    return result;
}

/* Whatever the pieces, the result is the same; it goes to `out`. */
static inline enum err rewrite_page(const struct fuzz_page *page, size_t step, struct buf *out)
{
    struct buf pieces;

    buf_init(&pieces, PAGE_OUT_CAP);
    enum err whole = read_page(page, page->body.n + 1, SLICE(""), NULL, NULL, out);
    enum err parts = read_page(page, step, SLICE(""), NULL, NULL, &pieces);
    CHECK(whole == parts);
    CHECK(whole != ERR_OK || slice_eq(buf_slice(out), buf_slice(&pieces)));
    buf_free(&pieces);
    return whole;
}

/* A link that was written leads to something that the same page names. */
static inline void check_leads_back(const struct fuzz_page *page, struct slice link)
{
    struct slice files = SLICE("files/");
    struct plan_fact fact;
    struct arena a;

    if (slice_eq(link, SLICE("about:invalid")))
        return;
    CHECK(slice_starts(link, files));
    link = slice_from(slice_to(link, slice_find(link, '#')), files.n);
    size_t mark = slice_find(link, '?');
    struct slice path = slice_to(link, mark);
    struct slice query = mark < link.n ? slice_from(link, mark + 1) : slice_of(NULL, 0);
    size_t slash = slice_find(path, '/');
    arena_init(&a, NULL, 0, PAGE_ARENA_CAP);
    struct slice place = pypi_place(&a, slice_to(path, slash), slice_from(path, slash), query);
    CHECK(place.p);
    CHECK(read_page(page, page->body.n + 1, place, &a, &fact, NULL) == ERR_OK);
    CHECK(fact.found && fact.url.p);
    arena_reset(&a);
}

#endif
