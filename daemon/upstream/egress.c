#include "egress.h"
#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>

/* The first of the variables that is set and not empty. */
static const char *from_environment(const char *const *names)
{
    for (; *names; names++) {
        const char *value = getenv(*names);
        if (value && *value)
            return value;
    }
    return NULL;
}

static char *copy(const char *s)
{
    char *p = s ? strdup(s) : NULL;
    if (s && !p)
        abort();
    return p;
}

void egress_init(struct egress *e, const char *proxy)
{
    static const char *const http[] = {"http_proxy", "all_proxy", "ALL_PROXY", NULL};
    static const char *const https[] = {"https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY",
                                        NULL};
    static const char *const none[] = {"no_proxy", "NO_PROXY", NULL};
    const char *no_proxy = from_environment(none);
    e->http = copy(proxy ? proxy : from_environment(http));
    e->https = copy(proxy ? proxy : from_environment(https));
    e->no_proxy = copy(no_proxy ? no_proxy : "");
}

void egress_close(struct egress *e)
{
    free(e->http);
    free(e->https);
    free(e->no_proxy);
    *e = (struct egress){NULL, NULL, NULL};
}

/* An address in binary; 0 when it is none, else the number of its bits. */
static unsigned parse_address(struct slice s, unsigned char out[16])
{
    char text[INET6_ADDRSTRLEN];
    if (s.n >= sizeof text)
        return 0;
    memcpy(text, s.p, s.n);
    text[s.n] = '\0';
    if (inet_pton(AF_INET, text, out) == 1)
        return 32;
    return inet_pton(AF_INET6, text, out) == 1 ? 128 : 0;
}

static bool same_prefix(const unsigned char *a, const unsigned char *b, unsigned bits)
{
    unsigned whole = bits / 8, rest = bits % 8;
    if (memcmp(a, b, whole) != 0)
        return false;
    return rest == 0 || (a[whole] ^ b[whole]) >> (8 - rest) == 0;
}

/* "10.0.0.0/8", "::1", "10.1.2.3" against an address. */
static bool block_matches(struct slice pattern, const unsigned char address[16], unsigned bits)
{
    unsigned char prefix[16];
    size_t slash = slice_find(pattern, '/');
    uint64_t length = bits;
    if (parse_address(slice_to(pattern, slash), prefix) != bits)
        return false;
    if (slash < pattern.n && (!slice_u64(slice_from(pattern, slash + 1), &length) || length > bits))
        return false;
    return same_prefix(prefix, address, (unsigned)length);
}

/* "example.net" and ".example.net" match the name and what is under it. */
static bool name_matches(struct slice pattern, struct slice host)
{
    if (pattern.n && pattern.p[0] == '.')
        pattern = slice_from(pattern, 1);
    if (!pattern.n || host.n < pattern.n)
        return false;
    size_t before = host.n - pattern.n;
    if (!slice_ieq(slice_from(host, before), pattern))
        return false;
    return before == 0 || host.p[before - 1] == '.';
}

static bool is_exempt(struct slice list, struct slice host)
{
    unsigned char address[16];
    unsigned bits = parse_address(host, address);
    while (list.n) {
        size_t n = strcspn(list.p, ", \t");
        struct slice item = slice_to(list, n);
        list = slice_from(list, n + 1);
        if (slice_eq(item, SLICE("*")))
            return true;
        if (bits ? block_matches(item, address, bits) : name_matches(item, host))
            return true;
    }
    return false;
}

const char *egress_proxy(const struct egress *e, const struct http_url *url)
{
    const char *proxy = url->https ? e->https : e->http;
    return proxy && !is_exempt(slice_str(e->no_proxy), url->host) ? proxy : NULL;
}
