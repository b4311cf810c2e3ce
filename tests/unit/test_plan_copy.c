#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "daemon/cache/plan_copy.c"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { ROOM = 64 * 1024 };

/* --- a plan whose every text and list lives in memory that goes before its copy --- */

struct request {
    char texts[4096]; /* of all slices, one behind the other */
    size_t used;
    struct plan plan, source, outdated[2], page;
    struct slice accepted[2], lines[2];
    struct http_fields fields;
    struct arena arena; /* of `fields` */
};

/* Slices of a plan that a copy must have as its own. */
static const size_t text_offsets[] = {
    offsetof(struct plan, resource),
    offsetof(struct plan, variant),
    offsetof(struct plan, upstream_path),
    offsetof(struct plan, accept),
    offsetof(struct plan, scope),
    offsetof(struct plan, url),
    offsetof(struct plan, method_text),
    offsetof(struct plan, credential),
    offsetof(struct plan, link_base),
    offsetof(struct plan, page_name),
    offsetof(struct plan, wanted),
    offsetof(struct plan, rising_field),
    offsetof(struct plan, digest_field),
    offsetof(struct plan, alias_prefix),
    offsetof(struct plan, content_type),
    offsetof(struct plan, fields),
    offsetof(struct plan, link_path),
    offsetof(struct plan, link_query),
    offsetof(struct plan, alternate_variant),
    offsetof(struct plan, alternate_accept),
};

enum { TEXTS = sizeof text_offsets / sizeof text_offsets[0] };

static struct slice *text_of(struct plan *plan, size_t i)
{
    return (struct slice *)(void *)((char *)plan + text_offsets[i]);
}

/* The text by which `tag` and `i` are known. */
static struct slice new_text(struct request *r, char tag, size_t i)
{
    char *p = r->texts + r->used;
    int n = snprintf(p, sizeof r->texts - r->used, "%c%zu", tag, i);
    r->used += (size_t)n;
    return slice_of(p, (size_t)n);
}

static void fill_texts(struct request *r, struct plan *plan, char tag)
{
    for (size_t i = 0; i < TEXTS; i++)
        *text_of(plan, i) = new_text(r, tag, i);
}

static void fill_lists(struct request *r)
{
    struct plan *p = &r->plan;
    for (size_t i = 0; i < 2; i++) {
        r->accepted[i] = new_text(r, 'a', i);
        r->lines[i] = new_text(r, 'l', i);
    }
    p->accepted = r->accepted;
    p->lines = r->lines;
    p->accepted_count = p->line_count = 2;
    assert_true(http_fields_add(&r->fields, &r->arena, HTTP_FIELDS_MAX, SLICE("Accept-Language"),
                                new_text(r, 'f', 0)));
    p->request_fields = &r->fields;
}

static struct request *new_request(void)
{
    struct request *r = calloc(1, sizeof *r);
    arena_init(&r->arena, NULL, 0, ROOM);
    fill_texts(r, &r->plan, 'p');
    fill_texts(r, &r->source, 's');
    fill_texts(r, &r->outdated[0], 'o');
    fill_texts(r, &r->outdated[1], 'q');
    fill_lists(r);
    r->plan.kind = PLAN_RELAYED;
    r->plan.source = &r->source;
    r->plan.outdates[0] = &r->outdated[0];
    r->plan.outdates[1] = &r->outdated[1];
    r->plan.pages[0] = r->plan.pages[1] = &r->page;
    r->plan.digest.algo = DIGEST_SHA256;
    r->plan.max_size = 17;
    r->plan.gzips = true;
    return r;
}

/* As the end of a request does; what was its memory is no longer to be read. */
static void free_request(struct request *r)
{
    arena_reset(&r->arena);
    memset(r, 'x', sizeof *r);
    free(r);
}

static void check_text(struct slice have, char tag, size_t i)
{
    char want[16];
    snprintf(want, sizeof want, "%c%zu", tag, i);
    assert_true(slice_eq(have, slice_str(want)));
}

static void check_texts(const struct plan *plan, char tag)
{
    struct plan p = *plan;
    for (size_t i = 0; i < TEXTS; i++)
        check_text(*text_of(&p, i), tag, i);
}

/* Does any word of the plan point into the request? */
static bool leads_into(const struct plan *plan, uintptr_t first, uintptr_t end)
{
    uintptr_t words[sizeof *plan / sizeof(uintptr_t)];
    memcpy(words, plan, sizeof words);
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++)
        if (words[i] >= first && words[i] < end)
            return true;
    return false;
}

static void test_a_copy_has_everything_and_outlives_its_request(void **state)
{
    (void)state;
    struct arena a;
    struct plan copy;
    struct request *r = new_request();
    uintptr_t first = (uintptr_t)r, end = first + sizeof *r;
    arena_init(&a, NULL, 0, ROOM);
    assert_true(leads_into(&r->plan, first, end));
    assert_true(plan_copy(&a, &r->plan, &copy));
    assert_false(leads_into(&copy, first, end));
    assert_false(leads_into(copy.source, first, end));
    free_request(r);
    check_texts(&copy, 'p');
    check_texts(copy.source, 's');
    check_texts(copy.outdates[0], 'o');
    check_texts(copy.outdates[1], 'q');
    for (size_t i = 0; i < 2; i++) {
        check_text(copy.accepted[i], 'a', i);
        check_text(copy.lines[i], 'l', i);
    }
    const struct http_field *field =
        http_fields_find(copy.request_fields, SLICE("accept-language"));
    assert_non_null(field);
    check_text(field->value, 'f', 0);
    assert_int_equal(copy.request_fields->n, 1);
    assert_true(copy.kind == PLAN_RELAYED && copy.gzips && copy.max_size == 17);
    assert_int_equal(copy.digest.algo, DIGEST_SHA256);
    arena_reset(&a);
}

/* What proves an object is read before there is a copy. */
static void test_pages_are_left_out(void **state)
{
    (void)state;
    struct arena a;
    struct plan copy;
    struct request *r = new_request();
    arena_init(&a, NULL, 0, ROOM);
    assert_true(plan_copy(&a, &r->plan, &copy));
    assert_null(copy.pages[0]);
    assert_null(copy.pages[1]);
    free_request(r);
    arena_reset(&a);
}

static void test_an_empty_plan_has_nothing_to_copy(void **state)
{
    (void)state;
    static const struct plan empty;
    struct arena a;
    struct plan copy;
    arena_init(&a, NULL, 0, ROOM);
    assert_true(plan_copy(&a, &empty, &copy));
    for (size_t i = 0; i < TEXTS; i++)
        assert_int_equal(text_of(&copy, i)->n, 0);
    assert_null(copy.accepted);
    assert_null(copy.lines);
    assert_null(copy.request_fields);
    assert_null(copy.source);
    assert_null(copy.outdates[0]);
    arena_reset(&a);
}

/* Wherever the room ends. */
static void test_an_arena_that_is_full_is_told(void **state)
{
    (void)state;
    char *room = malloc(ROOM);
    struct request *r = new_request();
    unsigned refused = 0;
    for (size_t size = 0; size < ROOM; size += 16) {
        struct arena a;
        struct plan copy;
        arena_init(&a, room, size, 0);
        bool fits = plan_copy(&a, &r->plan, &copy);
        arena_reset(&a);
        if (fits)
            break;
        refused++;
    }
    assert_in_range(refused, 100, ROOM / 16 - 1);
    free_request(r);
    free(room);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_copy_has_everything_and_outlives_its_request),
        cmocka_unit_test(test_pages_are_left_out),
        cmocka_unit_test(test_an_empty_plan_has_nothing_to_copy),
        cmocka_unit_test(test_an_arena_that_is_full_is_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
