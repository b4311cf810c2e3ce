/*
 * HTML pages of a package index. The first byte is the length of the pieces, and says whether it is
 * the root page; what follows is the page. What is written holds no link but to here, and each
 * leads to a file that the page names.
 */
#include "base/err.h"
#include "daemon/protocol/html_splice.h"
#include "daemon/protocol/html_text.h"
#include "pypi_check.h"

enum { LINKS_CHECKED = 4, STEP_MAX = 64 };

struct link_check {
    const struct fuzz_page *page;
    bool is_root;
    unsigned checked;
};

static void check_link(struct link_check *check, struct slice link)
{
    if (link.n == 0 || link.p[0] == '#')
        return;
    if (check->is_root)
        CHECK(slice_eq(link, SLICE("about:invalid")) || slice_find(link, '/') == link.n - 1);
    else if (check->checked++ < LINKS_CHECKED)
        check_leads_back(check->page, link);
}

static enum err check_tag(void *arg, const struct html_tag *tag, struct html_edit *edit)
{
    (void)edit;
    CHECK(!slice_ieq(tag->name, SLICE("base")));
    for (size_t i = 0; slice_ieq(tag->name, SLICE("a")) && i < tag->count; i++) {
        struct buf text;
        if (!slice_ieq(tag->attributes[i].name, SLICE("href")))
            continue;
        buf_init(&text, HTML_TAG_MAX);
        html_decode(tag->attributes[i].value, &text);
        struct slice link = buf_slice(&text);
        while (link.n && strchr(" \t\n\r\f", link.p[0]))
            link = slice_from(link, 1);
        check_link(arg, link);
        buf_free(&text);
    }
    return ERR_OK;
}

/* An escaped link may be longer than a tag may be: such a page cannot be read a second time. */
static void check_output(struct link_check *check, struct slice text)
{
    struct html_splice *s = html_splice_new(check_tag, check);

    CHECK(s);
    enum err result = html_splice_feed(s, text, NULL);
    if (result == ERR_OK)
        result = html_splice_finish(s, NULL);
    CHECK(result == ERR_OK || text.n > HTML_TAG_MAX);
    html_splice_free(&s);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice input = fuzz_input(data, size);
    struct fuzz_page page = {.reader = &pypi_project_page,
                             .type = SLICE("text/html"),
                             .url = SLICE("https://index.test/simple/some-name/")};
    struct link_check check = {.page = &page};
    struct buf out;

    if (size == 0)
        return 0;
    check.is_root = data[0] & 0x80;
    if (check.is_root)
        page.reader = &pypi_root_page;
    page.body = slice_from(input, 1);
    buf_init(&out, PAGE_OUT_CAP);
    if (rewrite_page(&page, 1 + data[0] % STEP_MAX, &out) == ERR_OK)
        check_output(&check, buf_slice(&out));
    buf_free(&out);
    return 0;
}
