#include "config_grammar.h"

#include <arpa/inet.h>

enum {
    HOST_MAX = 253, /* RFC 1035 section 2.3.4, in text */
    LABEL_MAX = 63,
};

bool grammar_is_digit(char c)
{
    return c >= '0' && c <= '9';
}

bool grammar_is_alnum(char c)
{
    return grammar_is_digit(c) || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

bool grammar_has_control(struct slice s)
{
    for (size_t i = 0; i < s.n; i++)
        if ((unsigned char)s.p[i] < 0x20 || s.p[i] == 0x7f)
            return true;
    return false;
}

bool grammar_is_visible(struct slice s)
{
    for (size_t i = 0; i < s.n; i++)
        if (s.p[i] <= ' ' || s.p[i] > '~')
            return false;
    return true;
}

bool grammar_is_uri_text(struct slice s)
{
    for (size_t i = 0; i < s.n; i++)
        if (s.p[i] && strchr("\"<>\\^`{|}", s.p[i]))
            return false;
    return grammar_is_visible(s);
}

/* Letters, digits, '-' and (seen in container networks) '_'; no '-' at either end. */
static bool is_label(struct slice s)
{
    for (size_t i = 0; i < s.n; i++)
        if (!grammar_is_alnum(s.p[i]) && s.p[i] != '-' && s.p[i] != '_')
            return false;
    return s.n > 0 && s.n <= LABEL_MAX && s.p[0] != '-' && s.p[s.n - 1] != '-';
}

static bool is_ip(int family, struct slice s)
{
    char text[INET6_ADDRSTRLEN + 1];
    unsigned char address[sizeof(struct in6_addr)];

    if (s.n >= sizeof text)
        return false;
    memcpy(text, s.p, s.n);
    text[s.n] = '\0';
    return inet_pton(family, text, address) == 1;
}

/* A name, an IPv4 address, or an IPv6 address in brackets. */
static bool is_host(struct slice s)
{
    bool numeric = true;

    if (s.n == 0 || s.n > HOST_MAX)
        return false;
    if (s.p[0] == '[')
        return s.n > 2 && s.p[s.n - 1] == ']' && is_ip(AF_INET6, slice_of(s.p + 1, s.n - 2));
    for (size_t i = 0; i < s.n; i++)
        numeric = numeric && (grammar_is_digit(s.p[i]) || s.p[i] == '.');
    if (numeric)
        return is_ip(AF_INET, s);
    for (;;) {
        size_t dot = slice_find(s, '.');
        if (!is_label(slice_to(s, dot)))
            return false;
        if (dot == s.n)
            return true;
        s = slice_from(s, dot + 1);
    }
}

static bool is_port(struct slice s)
{
    uint64_t port;
    return s.n <= 5 && slice_u64(s, &port) && port >= 1 && port <= 65535;
}

bool grammar_is_host_and_port(struct slice s)
{
    size_t colon = slice_rfind(s, ':');
    return colon < s.n && is_port(slice_from(s, colon + 1)) && is_host(slice_to(s, colon));
}

bool grammar_is_authority(struct slice s)
{
    return is_host(s) || grammar_is_host_and_port(s);
}

bool grammar_take_scheme(struct slice *s, const char *const *schemes)
{
    for (; *schemes; schemes++) {
        struct slice scheme = slice_str(*schemes);
        if (slice_starts(*s, scheme)) {
            *s = slice_from(*s, scheme.n);
            return true;
        }
    }
    return false;
}

/* What nobody writes as an escape; neither "." nor "..". */
static bool is_segment(struct slice s)
{
    for (size_t i = 0; i < s.n; i++)
        if (!grammar_is_alnum(s.p[i]) && !strchr("._~-", s.p[i]))
            return false;
    return s.n > 0 && !slice_eq(s, SLICE(".")) && !slice_eq(s, SLICE(".."));
}

bool grammar_is_path(struct slice s)
{
    while (s.n && s.p[0] == '/') {
        s = slice_from(s, 1);
        size_t slash = slice_find(s, '/');
        if (!is_segment(slice_to(s, slash)))
            return false;
        if (slash == s.n)
            return true;
        s = slice_from(s, slash);
    }
    return false;
}
