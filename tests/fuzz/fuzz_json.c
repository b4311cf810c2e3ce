/* json_walk: every event fits the one before it, and the bound on depth holds. */
#include "base/json.h"
#include "fuzz_check.h"

struct watch {
    unsigned max_depth;
    unsigned depth;   /* open objects and arrays */
    uint64_t objects; /* bit i: the container at depth i is an object */
    size_t text_left; /* no more bytes of text can come out than went in */
};

static void check_key(const struct watch *w, const struct json_event *event)
{
    bool in_object = w->depth && (w->objects >> (w->depth - 1) & 1);
    CHECK(in_object || event->key.n == 0);
}

static bool on_event(void *arg, const struct json_event *event)
{
    struct watch *w = arg;

    if (event->kind == JSON_END) {
        CHECK(w->depth > 0);
        w->depth--;
        CHECK(event->depth == w->depth && event->key.n == 0);
        return true;
    }
    CHECK(event->depth == w->depth);
    check_key(w, event);
    if (event->kind == JSON_OBJECT || event->kind == JSON_ARRAY) {
        CHECK(w->depth < w->max_depth);
        w->objects &= ~(UINT64_C(1) << w->depth);
        w->objects |= (uint64_t)(event->kind == JSON_OBJECT) << w->depth;
        w->depth++;
        return true;
    }
    CHECK(event->text.n <= w->text_left);
    w->text_left -= event->text.n;
    return true;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice text = fuzz_input(data, size);
    struct watch w = {.max_depth = size % 8, .text_left = size};

    enum err err = json_walk(text, w.max_depth, on_event, &w);
    CHECK(err == ERR_OK || err == ERR_PROTO || err == ERR_LIMIT);
    CHECK(err != ERR_OK || w.depth == 0);
    return 0;
}
