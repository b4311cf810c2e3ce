/* WWW-Authenticate: each line of the input is one field value. */
#include "base/buf.h"
#include "fuzz_check.h"
#include "http/challenge.h"

enum { LINES_MAX = 50 };

static void add_line(struct http_fields *f, struct arena *a, struct slice value)
{
    CHECK(http_fields_add(f, a, LINES_MAX, SLICE("WWW-Authenticate"), value));
}

static void check_value(struct slice value)
{
    CHECK(http_is_field_value(value));
    CHECK(value.p || value.n == 0);
}

static void check_found(const struct challenge *c)
{
    check_value(c->realm);
    check_value(c->service);
    check_value(c->scope);
    check_value(c->error);
    CHECK(c->scheme != CHALLENGE_BEARER || c->realm.n > 0);
    CHECK(c->scheme != CHALLENGE_NONE ||
          (!c->realm.p && !c->service.p && !c->scope.p && !c->error.p));
}

static void print_param(struct buf *out, const char *name, struct slice value)
{
    if (!value.p)
        return;
    buf_addf(out, ", %s=\"", name);
    for (size_t i = 0; i < value.n; i++) {
        if (value.p[i] == '"' || value.p[i] == '\\')
            buf_addc(out, '\\');
        buf_addc(out, value.p[i]);
    }
    buf_addc(out, '"');
}

/* The unknown parameter comes first, so that each known one can begin with a comma. */
static void print_challenge(const struct challenge *c, struct buf *out)
{
    buf_add(out, c->scheme == CHALLENGE_BEARER ? SLICE("bearer x=y") : SLICE("BASIC x=y"));
    print_param(out, "Realm", c->realm);
    print_param(out, "SERVICE", c->service);
    print_param(out, "scope", c->scope);
    print_param(out, "error", c->error);
    CHECK(!out->failed);
}

static void check_same(const struct challenge *a, const struct challenge *b)
{
    CHECK(a->scheme == b->scheme);
    CHECK(slice_eq(a->realm, b->realm) && slice_eq(a->service, b->service));
    CHECK(slice_eq(a->scope, b->scope) && slice_eq(a->error, b->error));
}

/* Printed, it is found again, also behind a Basic challenge and a scheme with a token68. */
static void check_printed(const struct challenge *c, struct arena *a, size_t size)
{
    static const char *const prefixes[] = {"", "Negotiate YII=, ", "Digest a=\"b, c\",d=e , "};
    for (size_t i = 0; i < sizeof prefixes / sizeof prefixes[0]; i++) {
        struct http_fields fields = {0};
        struct challenge again;
        struct buf out;
        buf_init(&out, 2 * size + 256);
        buf_add(&out, slice_str(prefixes[i]));
        print_challenge(c, &out);
        add_line(&fields, a, buf_slice(&out));
        challenge_find(&fields, a, &again);
        check_same(c, &again);
        buf_free(&out);
    }
}

/* A second line changes nothing, but that Bearer goes before Basic. */
static void check_more_lines(const struct challenge *c, struct http_fields *fields, struct arena *a)
{
    struct challenge again;
    add_line(fields, a, SLICE("Basic realm=\"later\""));
    challenge_find(fields, a, &again);
    if (c->scheme != CHALLENGE_NONE)
        check_same(c, &again);
    else
        CHECK(again.scheme == CHALLENGE_BASIC && slice_eq(again.realm, SLICE("later")));
    add_line(fields, a, SLICE("Bearer realm=\"later\""));
    challenge_find(fields, a, &again);
    CHECK(again.scheme == CHALLENGE_BEARER);
    if (c->scheme == CHALLENGE_BEARER)
        check_same(c, &again);
    else
        CHECK(slice_eq(again.realm, SLICE("later")));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice in = fuzz_input(data, size);
    struct http_fields fields = {0};
    struct challenge found;
    struct arena a;
    arena_init(&a, NULL, 0, 64 * 1024 * 1024);
    while (in.n > 0 && fields.n < LINES_MAX - 2)
        add_line(&fields, &a, take_line(&in));
    challenge_find(&fields, &a, &found);
    check_found(&found);
    if (found.scheme != CHALLENGE_NONE)
        check_printed(&found, &a, size);
    check_more_lines(&found, &fields, &a);
    arena_reset(&a);
    return 0;
}
