/*
 * What a token service and a challenge can say: an answer gives a token that is fit for a field, or
 * an error; a realm, service and scope give a URL that asks the realm's own host.
 */
#include "daemon/upstream/bearer.h"
#include "fuzz_check.h"

static void check_answer(struct slice body)
{
    struct arena a;
    struct slice token;
    int64_t lifetime;
    arena_init(&a, NULL, 0, 1 << 20);
    enum err rc = bearer_parse(body, &a, &token, &lifetime, NULL);
    CHECK(rc == ERR_OK || rc == ERR_PROTO);
    if (rc == ERR_OK) {
        CHECK(token.n > 0 && token.n <= TOKEN_LENGTH_MAX && http_is_field_value(token));
        CHECK(slice_find(token, ' ') == token.n && slice_find(token, '\t') == token.n);
        CHECK(lifetime >= TOKEN_LIFETIME_MIN_S && lifetime <= TOKEN_LIFETIME_MAX_S);
    }
    arena_reset(&a);
}

static void check_url(struct slice realm, struct slice service, struct slice scope)
{
    struct arena a;
    struct http_url asked, named;
    arena_init(&a, NULL, 0, 1 << 20);
    if (http_url_parse(realm, &named)) {
        struct slice url = bearer_url(&a, realm, service, scope);
        if (url.p && url.n <= HTTP_URL_MAX) {
            CHECK(http_url_parse(url, &asked));
            CHECK(http_url_same_origin(&asked, &named) && slice_eq(asked.path, named.path));
        }
    }
    arena_reset(&a);
}

/* In order already, and asked for in the same words. */
static void check_sorted(struct slice scope)
{
    struct arena a;
    arena_init(&a, NULL, 0, 1 << 20);
    struct slice once = bearer_scope_sorted(&a, scope);
    CHECK(once.p && once.n <= scope.n);
    struct slice twice = bearer_scope_sorted(&a, once);
    CHECK(slice_eq(once, twice));
    arena_reset(&a);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice in = fuzz_input(data, size);
    check_answer(in);
    struct slice realm = take_line(&in);
    struct slice service = take_line(&in);
    check_url(realm, service, in);
    check_sorted(in);
    return 0;
}
