/*
 * The readers of npm's documents. The first byte is where the document is cut in two; lines: name
 * of the package, wanted file; what follows is the document. The pieces make no difference, what is
 * written is JSON and is written the same way again, and what is found may be fetched.
 */
#include "base/json.h"
#include "daemon/protocol/file_host.h"
#include "daemon/protocol/npm_packument.h"
#include "daemon/protocol/npm_path.h"
#include "fuzz_check.h"

enum { ARENA_CAP = 256 * 1024, OUT_MAX = 64 * 1024 * 1024, JSON_DEPTH_MAX = 64 };

static char upstream_url[] = "https://registry.test";
static struct config_upstream upstream = {.url = upstream_url};
static const struct config_route route = {.upstreams = &upstream, .upstream_count = 1};

static bool no_event(void *arg, const struct json_event *event)
{
    (void)arg;
    (void)event;
    return true;
}

static enum err read_document(const struct plan_reader *reader, const struct plan_reading *reading,
                              struct slice text, size_t cut, struct buf *out)
{
    void *document = reader->begin(reading);

    CHECK(document);
    enum err result = reader->feed(document, slice_to(text, cut), out);
    if (result == ERR_OK)
        result = reader->feed(document, slice_from(text, cut), out);
    if (result == ERR_OK)
        result = reader->finish(document, out);
    reader->end(document);
    return result;
}

static void check_rewriting(const struct plan_reader *reader, const struct plan *plan,
                            struct slice text, size_t cut)
{
    struct plan_reading reading = {.plan = plan, .url = SLICE("https://registry.test/a")};
    struct buf whole, pieces, again;

    buf_init(&whole, OUT_MAX);
    buf_init(&pieces, OUT_MAX);
    buf_init(&again, OUT_MAX);
    enum err result = read_document(reader, &reading, text, text.n, &whole);
    CHECK(read_document(reader, &reading, text, cut, &pieces) == result);
    if (result == ERR_OK) {
        CHECK(slice_eq(buf_slice(&whole), buf_slice(&pieces)));
        CHECK(json_walk(buf_slice(&whole), JSON_DEPTH_MAX, no_event, NULL) == ERR_OK);
        CHECK(read_document(reader, &reading, buf_slice(&whole), cut, &again) == ERR_OK);
        CHECK(slice_eq(buf_slice(&whole), buf_slice(&again)));
    }
    buf_free(&whole);
    buf_free(&pieces);
    buf_free(&again);
}

static void check_fact(const struct plan_fact *fact)
{
    struct http_url url;

    CHECK(fact->found || (!fact->url.p && !fact->foreign));
    if (!fact->found || fact->foreign)
        return;
    CHECK(http_url_parse(fact->url, &url));
    CHECK(file_host_is_allowed(&route, &url));
    CHECK(http_path_is_clean(url.path));
}

static void check_finding(const struct plan_reader *reader, const struct plan *plan,
                          struct slice text, size_t cut)
{
    struct plan_fact first = {.found = false}, second = {.found = false};
    struct arena a;
    struct plan_reading reading = {
        .plan = plan, .url = SLICE("https://registry.test/a"), .arena = &a, .fact = &first};

    arena_init(&a, NULL, 0, ARENA_CAP);
    enum err result = read_document(reader, &reading, text, text.n, NULL);
    reading.fact = &second;
    CHECK(read_document(reader, &reading, text, cut, NULL) == result);
    if (result == ERR_OK) {
        check_fact(&first);
        CHECK(first.found == second.found && first.foreign == second.foreign);
        CHECK(slice_eq(first.url, second.url));
        CHECK(digest_equal(&first.digest, &second.digest));
    }
    arena_reset(&a);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice text = fuzz_input(data, size);
    size_t cut = size ? data[0] : 0;
    struct plan plan = {.link_base = SLICE("http://cache.test/npm"), .config = &route};

    text = slice_from(text, 1);
    plan.page_name = take_line(&text);
    if (!npm_name_is_valid(plan.page_name))
        plan.page_name = SLICE("a");
    plan.wanted = take_line(&text);
    check_rewriting(&npm_packument_reader, &plan, text, cut);
    check_rewriting(&npm_version_reader, &plan, text, cut);
    check_rewriting(&npm_object_reader, &plan, text, cut);
    check_finding(&npm_packument_reader, &plan, text, cut);
    check_finding(&npm_version_reader, &plan, text, cut);
    return 0;
}
