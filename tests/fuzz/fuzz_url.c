/* URLs: the first line is a base URL, the second a reference to it, the third and fourth hosts. */
#include "fuzz_check.h"
#include "http/url.h"

static bool has_bad_byte(struct slice text)
{
    for (size_t i = 0; i < text.n; i++)
        if (text.p[i] <= ' ' || text.p[i] == 0x7f || text.p[i] == '\\')
            return true; /* bytes from 0x80 on are negative */
    return false;
}

static void check_parts(struct slice text, const struct http_url *url)
{
    CHECK(is_inside(text, url->authority) && is_inside(url->authority, url->host));
    CHECK(is_inside(text, url->path) && is_inside(text, url->query));
    CHECK(!has_bad_byte(text));
    CHECK(url->host.n > 0 && url->port >= 1 && url->port <= 65535);
    CHECK(slice_find(url->host, '@') == url->host.n && slice_find(url->host, '%') == url->host.n);
    CHECK((slice_find(url->host, ':') < url->host.n) == url->v6);
    CHECK(url->path.p[0] == '/' && slice_find(url->path, '?') == url->path.n);
    CHECK(slice_find(url->path, '#') == url->path.n);
    struct slice host;
    unsigned port;
    CHECK(http_authority_parse(url->authority, &host, &port));
    CHECK(slice_eq(host, url->host) && (port == 0 || port == url->port));
    CHECK(http_url_same_origin(url, url));
    CHECK(http_hosts_are_siblings(url->host, url->host));
}

static bool has_dot_segment(struct slice path)
{
    while (path.n > 0) {
        struct slice segment = slice_to(path, slice_find(path, '/'));
        if (slice_eq(segment, SLICE(".")) || slice_eq(segment, SLICE("..")))
            return true;
        path = slice_from(path, segment.n + 1);
    }
    return false;
}

/* What is resolved parses, is free of dot segments, and resolves to itself against anything. */
static void check_resolved(struct arena *a, const struct http_url *base, struct slice reference)
{
    struct http_url url;
    struct slice text = http_url_resolve(a, base, reference);
    if (!text.p)
        return;
    CHECK(http_url_parse(text, &url));
    check_parts(text, &url);
    CHECK(!has_dot_segment(url.path));
    CHECK(slice_find(text, '#') == text.n);
    struct slice again = http_url_resolve(a, base, text);
    CHECK(again.p && slice_eq(again, text));
    again = http_url_resolve(a, &url, text);
    CHECK(again.p && slice_eq(again, text));
    /* Only a reference that names an authority can lead elsewhere. */
    if (!slice_starts(reference, SLICE("//")) && slice_find(reference, ':') == reference.n)
        CHECK(http_url_same_origin(base, &url));
}

/* A log line shows neither the query nor anything of a text that is no URL. */
static void check_for_log(struct arena *a, struct slice text, bool parses)
{
    struct http_url url;
    struct slice shown = http_url_for_log(a, text);
    CHECK(shown.p && slice_find(shown, '?') == shown.n && slice_find(shown, '#') == shown.n);
    CHECK(http_url_parse(shown, &url) == parses);
    CHECK(parses || slice_eq(shown, http_url_for_log(a, SLICE(""))));
}

static void check_hosts(struct slice left, struct slice right)
{
    bool siblings = http_hosts_are_siblings(left, right);
    CHECK(siblings == http_hosts_are_siblings(right, left));
    CHECK(!siblings || left.n > 0);
    CHECK(!slice_ieq(left, right) || left.n == 0 || siblings);
    /* Siblings that differ agree at least in the last two labels. */
    if (siblings && !slice_ieq(left, right)) {
        size_t dot = slice_rfind(slice_to(left, slice_rfind(left, '.')), '.');
        struct slice domain = dot < slice_rfind(left, '.') ? slice_from(left, dot + 1) : left;
        CHECK(slice_find(domain, '.') < domain.n && right.n >= domain.n);
        CHECK(slice_ieq(slice_from(right, right.n - domain.n), domain));
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice in = fuzz_input(data, size);
    struct slice text = take_line(&in), reference = take_line(&in);
    struct slice left = take_line(&in), right = take_line(&in);
    struct arena a;
    struct http_url base;
    arena_init(&a, NULL, 0, 1024 * 1024);
    bool parses = http_url_parse(text, &base);
    if (parses) {
        check_parts(text, &base);
        check_resolved(&a, &base, reference);
    }
    check_for_log(&a, text, parses);
    check_hosts(left, right);
    arena_reset(&a);
    return 0;
}
