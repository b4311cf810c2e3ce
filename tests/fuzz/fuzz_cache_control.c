/*
 * The rules of a shared cache: the first line is a status, the others are field lines of an answer;
 * an empty line, then the fields of a request.
 */
#include "base/buf.h"
#include "fuzz_check.h"
#include "http/cache_control.h"
#include "http/vary.h"

enum { FIELDS_MAX = 64, NOW = 784111777 };

static void read_fields(struct slice *in, struct arena *a, struct http_fields *out)
{
    struct slice line;
    while (in->n && (line = take_line(in)).n) {
        size_t colon = slice_find(line, ':');
        struct slice name = slice_to(line, colon);
        struct slice value = slice_trim(slice_from(line, colon + 1));
        if (http_is_token(name) && http_is_field_value(value))
            http_fields_add(out, a, FIELDS_MAX, name, value);
    }
}

static void check_delta(const struct http_delta *d)
{
    CHECK(d->seconds >= 0 && d->seconds <= HTTP_SECONDS_MAX);
    CHECK(d->given || d->seconds == 0);
}

static void check_answer(int status, const struct http_fields *fields)
{
    struct http_received r = {.status = status, .fields = fields, .now_s = NOW, .delay_s = 1};
    struct http_directives d;
    http_directives_read(fields, &d);
    check_delta(&d.max_age);
    check_delta(&d.s_maxage);
    int64_t lifetime = http_lifetime(&r, &d, 60);
    int64_t age = http_initial_age(&r);
    CHECK(lifetime >= 0 && lifetime <= HTTP_SECONDS_MAX);
    CHECK(age >= 0 && age <= HTTP_SECONDS_MAX);
    CHECK(!d.no_cache || lifetime == 0);
    bool open = http_may_store(&r, &d, false), authorized = http_may_store(&r, &d, true);
    CHECK(open || !authorized); /* credentials never allow more */
    CHECK(!open || !d.is_private);
    CHECK(!open || !d.no_store || d.must_understand);
    CHECK(http_says_how_to_cache(fields) || lifetime == 0);
}

static void check_request(const struct http_fields *fields)
{
    struct http_demands d;
    http_demands_read(fields, &d);
    check_delta(&d.max_age);
    check_delta(&d.min_fresh);
    check_delta(&d.max_stale);
}

/* Names parse to themselves; a field that is not among them changes nothing. */
static void check_vary(struct arena *a, const struct http_fields *answer,
                       struct http_fields *request)
{
    struct slice names = http_vary_names(a, answer);
    CHECK(names.p);
    if (http_vary_is_any(names))
        return;
    CHECK(slice_eq(http_vary_join(a, names, names), names));
    CHECK(slice_eq(http_vary_join(a, names, SLICE("")), names));
    struct slice text = http_vary_text(a, names, request);
    CHECK(text.p);
    size_t n = 0;
    struct slice rest = names, name;
    while (http_list_next(&rest, &name))
        n++;
    for (size_t i = 0; i < text.n; i++)
        n -= text.p[i] == '\n';
    CHECK(n == 0); /* a line for each name, whatever stands in the values */
    http_fields_add(request, a, FIELDS_MAX + 1, SLICE("not named by any corpus"), SLICE("x"));
    CHECK(slice_eq(http_vary_text(a, names, request), text));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice in = fuzz_input(data, size);
    struct http_fields answer = {0}, request = {0};
    struct arena a;
    uint64_t status;
    if (!slice_u64(take_line(&in), &status) || status < 100 || status > 999)
        return 0;
    arena_init(&a, NULL, 0, 4 * 1024 * 1024);
    read_fields(&in, &a, &answer);
    read_fields(&in, &a, &request);
    check_answer((int)status, &answer);
    check_request(&request);
    if (size < 64 * 1024)
        check_vary(&a, &answer, &request);
    arena_reset(&a);
    return 0;
}
