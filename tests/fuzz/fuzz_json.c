/* json_walk: every event fits the one before it, and the bound on depth holds. */
#include <assert.h>
#include <string.h>

#include "base/json.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

struct watch {
    unsigned max_depth;
    unsigned depth;   /* open objects and arrays */
    uint64_t objects; /* bit i: the container at depth i is an object */
    size_t text_left; /* no more bytes of text can come out than went in */
};

static void check_key(const struct watch *w, const struct json_event *event)
{
    bool in_object = w->depth && (w->objects >> (w->depth - 1) & 1);
    assert(in_object || event->key.n == 0);
}

static bool on_event(void *arg, const struct json_event *event)
{
    struct watch *w = arg;

    if (event->kind == JSON_END) {
        assert(w->depth > 0);
        w->depth--;
        assert(event->depth == w->depth && event->key.n == 0);
        return true;
    }
    assert(event->depth == w->depth);
    check_key(w, event);
    if (event->kind == JSON_OBJECT || event->kind == JSON_ARRAY) {
        assert(w->depth < w->max_depth);
        w->objects &= ~(UINT64_C(1) << w->depth);
        w->objects |= (uint64_t)(event->kind == JSON_OBJECT) << w->depth;
        w->depth++;
        return true;
    }
    assert(event->text.n <= w->text_left);
    w->text_left -= event->text.n;
    return true;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    struct slice text = slice_of((const char *)data, n);
    struct watch w = {.max_depth = n % 8, .text_left = n};

    enum err err = json_walk(text, w.max_depth, on_event, &w);
    assert(err == ERR_OK || err == ERR_PROTO || err == ERR_LIMIT);
    assert(err != ERR_OK || w.depth == 0);
    return 0;
}
