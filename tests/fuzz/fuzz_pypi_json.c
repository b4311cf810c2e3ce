/*
 * JSON pages of a package index. The first byte is the length of the pieces; its upper half says
 * which page it is. What is written is JSON again with links to here only, and each leads to a file
 * that the page names.
 */
#include "base/err.h"
#include "base/json.h"
#include "pypi_check.h"

enum { LINKS_CHECKED = 4, STEP_MAX = 64, DEPTH = 64 };

struct link_check {
    const struct fuzz_page *page;
    bool in_files;
    unsigned checked;
};

static bool check_event(void *arg, const struct json_event *event)
{
    struct link_check *check = arg;

    if (event->depth == 1)
        check->in_files = slice_eq(event->key, SLICE("files"));
    if (!check->in_files || event->depth != 3 || event->kind != JSON_STRING ||
        !slice_eq(event->key, SLICE("url")))
        return true;
    struct slice link = event->text;
    while (link.n && link.p[0] && strchr(" \t\n\r\f", link.p[0]))
        link = slice_from(link, 1);
    if (link.n && link.p[0] != '#' && check->checked++ < LINKS_CHECKED)
        check_leads_back(check->page, link);
    return true;
}

static const struct plan_reader *choose(uint8_t first)
{
    if (first < 0x40)
        return &pypi_release_page;
    return first < 0x80 ? &pypi_root_page : &pypi_project_page;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fuzz_page page = {.type = SLICE(PYPI_JSON),
                             .url = SLICE("https://index.test/simple/some-name/")};
    struct link_check check = {.page = &page};
    struct buf out;

    if (size == 0)
        return 0;
    page.reader = choose(data[0]);
    page.body = slice_from(fuzz_input(data, size), 1);
    buf_init(&out, PAGE_OUT_CAP);
    if (rewrite_page(&page, 1 + data[0] % STEP_MAX, &out) == ERR_OK) {
        if (page.reader != &pypi_project_page)
            check.page = NULL;
        CHECK(json_walk(buf_slice(&out), DEPTH, check_event, &check) == ERR_OK);
    }
    buf_free(&out);
    return 0;
}
