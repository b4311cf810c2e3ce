/* What the tests of index pages share: a page is read in steps of every length, with one result. */
#ifndef YT_TESTS_PYPI_KIT_H
#define YT_TESTS_PYPI_KIT_H

#include "base/err.h"
#include "daemon/protocol/pypi_page.h"
#include "http_test.h"

#define KIT_PAGE "https://index.test/simple/some-name/"
#define KIT_HEX64 "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
#define KIT_OTHER64 "fedcba9876543210fedcba9876543210fedcba9876543210fedcba9876543210"

enum { KIT_OUT_CAP = 16 * 1024 * 1024 };

struct kit_page {
    const struct plan_reader *reader;
    const char *type;
    const char *url;       /* NULL: KIT_PAGE */
    const char *link_base; /* NULL: "files/" */
    const char *wanted;    /* NULL: the page is written anew */
    const struct config_route *config;
};

static inline enum err kit_feed(const struct plan_reader *reader, void *state, struct slice body,
                                size_t step, struct buf *out)
{
    enum err result = ERR_OK;

    while (body.n && result == ERR_OK) {
        result = reader->feed(state, slice_to(body, step), out);
        body = slice_from(body, step);
    }
    enum err end = reader->finish(state, out);
    if (result != ERR_OK)
        assert_int_equal(end, result);
    return end;
}

static inline enum err kit_read(const struct kit_page *page, struct slice body, size_t step,
                                struct arena *arena, struct plan_fact *fact, struct buf *out)
{
    const struct plan plan = {
        .link_base = page->link_base ? slice_str(page->link_base) : SLICE("files/"),
        .wanted = slice_str(page->wanted),
        .config = page->config,
    };
    const struct plan_reading reading = {
        .plan = &plan,
        .url = slice_str(page->url ? page->url : KIT_PAGE),
        .content_type = slice_str(page->type),
        .arena = arena,
        .fact = page->wanted ? fact : NULL,
    };
    void *state = page->reader->begin(&reading);

    assert_non_null(state);
    enum err result = kit_feed(page->reader, state, body, step, page->wanted ? NULL : out);
    page->reader->end(state);
    return result;
}

/* `want` NULL: refused as corrupt. */
static inline void kit_check_rewrite(const struct kit_page *page, const char *body,
                                     const char *want)
{
    for (size_t step = 1; step <= strlen(body) + 1; step++) {
        struct buf out;
        buf_init(&out, KIT_OUT_CAP);
        enum err result = kit_read(page, slice_str(body), step, NULL, NULL, &out);
        if (result != (want ? ERR_OK : ERR_CORRUPT))
            fail_msg("%s: %s", body, err_name(result));
        if (want)
            check_slice(body, buf_slice(&out), slice_str(want));
        buf_free(&out);
    }
}

/* What a page that can be read says about `wanted`; the arena keeps the texts. */
static inline struct plan_fact kit_find(const struct kit_page *page, const char *wanted,
                                        const char *body, struct arena *arena)
{
    struct kit_page asked = *page;
    struct plan_fact fact;

    asked.wanted = wanted;
    for (size_t step = 1; step <= strlen(body) + 1; step++)
        assert_int_equal(kit_read(&asked, slice_str(body), step, arena, &fact, NULL), ERR_OK);
    return fact;
}

static inline void kit_check_digest(const struct plan_fact *fact, const char *algorithm,
                                    const char *hex)
{
    struct digest want;

    assert_int_equal(digest_from_hex(slice_str(algorithm), slice_str(hex), &want), ERR_OK);
    assert_true(digest_equal(&fact->digest, &want));
}

#endif
