#include "http/url.h"

#include <arpa/inet.h>
#include <stdio.h>

#include "chars.h"

enum { HOST_LONGEST = 253, LABEL_LONGEST = 63 };

static unsigned default_port(bool https)
{
    return https ? 443 : 80;
}

/* As inet_pton takes it: no zone. */
static bool is_v6(struct slice s)
{
    char text[INET6_ADDRSTRLEN];
    struct in6_addr address;
    if (s.n >= sizeof text || memchr(s.p, 0, s.n))
        return false;
    memcpy(text, s.p, s.n);
    text[s.n] = 0;
    return inet_pton(AF_INET6, text, &address) == 1;
}

/* Takes a number up to 255 without leading zeros off the text. */
static bool take_byte(struct slice *s)
{
    unsigned value = 0;
    size_t n = 0;
    while (n < 3 && n < s->n && http_char_is(s->p[n], HTTP_CHAR_DIGIT))
        value = 10 * value + (unsigned)(s->p[n++] - '0');
    bool good = n > 0 && value <= 255 && (n == 1 || s->p[0] != '0');
    *s = slice_from(*s, n);
    return good;
}

/* Four decimal numbers: what inet_pton takes. */
static bool is_v4(struct slice s)
{
    for (int i = 0; i < 4; i++) {
        if (i > 0) {
            if (s.n == 0 || s.p[0] != '.')
                return false;
            s = slice_from(s, 1);
        }
        if (!take_byte(&s))
            return false;
    }
    return s.n == 0;
}

/* Digits, or a hexadecimal number with 0x: a resolver takes a host that ends so for an address. */
static bool is_number(struct slice label)
{
    if (label.n > 1 && label.p[0] == '0' && (label.p[1] | 0x20) == 'x') {
        for (size_t i = 2; i < label.n; i++)
            if (http_hex_value(label.p[i]) < 0)
                return false;
        return true;
    }
    return label.n > 0 && http_chars_all(label, HTTP_CHAR_DIGIT);
}

/* Offset at which the last label begins. */
static size_t last_label(struct slice host)
{
    size_t dot = slice_rfind(host, '.');
    return dot < host.n ? dot + 1 : 0;
}

/*
 * A name, or an IPv4 address in the dotted form: other spellings (127.1, 0x7f000001) are addresses
 * to a resolver but not to whoever compares hosts. No empty label, none too long, one dot at the
 * very end allowed.
 */
static bool is_name_or_v4(struct slice host)
{
    size_t label = 0; /* where the present one begins */
    if (host.n == 0 || host.n > HOST_LONGEST)
        return false;
    for (size_t i = 0; i < host.n; i++) {
        if (host.p[i] != '.') {
            if (!http_char_is(host.p[i], HTTP_CHAR_HOST) || i - label == LABEL_LONGEST)
                return false;
        } else {
            if (i == label)
                return false;
            label = i + 1;
        }
    }
    struct slice name = label == host.n ? slice_to(host, host.n - 1) : host;
    return !is_number(slice_from(name, last_label(name))) || is_v4(host);
}

/* 1 to 65535, without leading zeros. */
static bool port_parse(struct slice s, unsigned *port)
{
    uint64_t value;
    if (s.n == 0 || s.p[0] == '0' || !slice_u64(s, &value) || value > 65535)
        return false;
    *port = (unsigned)value;
    return true;
}

bool http_authority_parse(struct slice text, struct slice *host, unsigned *port)
{
    struct slice name, rest;
    if (text.n > 0 && text.p[0] == '[') {
        size_t close = slice_find(text, ']');
        if (close == text.n)
            return false;
        name = slice_of(text.p + 1, close - 1);
        rest = slice_from(text, close + 1);
        if (!is_v6(name))
            return false;
    } else {
        size_t colon = slice_find(text, ':');
        name = slice_to(text, colon);
        rest = slice_from(text, colon);
        if (!is_name_or_v4(name))
            return false;
    }
    unsigned number = 0;
    if (rest.n > 0 && (rest.p[0] != ':' || !port_parse(slice_from(rest, 1), &number)))
        return false;
    *host = name;
    *port = number;
    return true;
}

/* Visible ASCII without backslash, which some readers take for a slash. */
static bool bytes_are_good(struct slice text)
{
    for (size_t i = 0; i < text.n; i++)
        if (text.p[i] == '\\' || (text.p[i] != '#' && !http_char_is(text.p[i], HTTP_CHAR_TARGET)))
            return false;
    return true;
}

static bool scheme_parse(struct slice *text, bool *https)
{
    const struct slice plain = SLICE("http://"), secure = SLICE("https://");
    *https = slice_ieq(slice_to(*text, secure.n), secure);
    if (!*https && !slice_ieq(slice_to(*text, plain.n), plain))
        return false;
    *text = slice_from(*text, *https ? secure.n : plain.n);
    return true;
}

static size_t authority_length(struct slice text)
{
    size_t slash = slice_find(text, '/');
    return slice_find(slice_to(text, slash), '?');
}

static void path_and_query(struct slice text, struct http_url *url)
{
    size_t mark = slice_find(text, '?');
    url->path = slice_to(text, mark);
    url->query = mark < text.n ? slice_from(text, mark + 1) : slice_of(NULL, 0);
}

bool http_url_parse(struct slice text, struct http_url *url)
{
    memset(url, 0, sizeof *url);
    if (text.n > HTTP_URL_MAX || !bytes_are_good(text))
        return false;
    struct slice rest = slice_to(text, slice_find(text, '#'));
    if (!scheme_parse(&rest, &url->https))
        return false;
    /* The slash before the authority serves as the path of a URL that has none. */
    struct slice root = slice_of(rest.p - 1, 1);
    url->authority = slice_to(rest, authority_length(rest));
    if (!http_authority_parse(url->authority, &url->host, &url->port))
        return false;
    url->v6 = url->authority.p[0] == '[';
    if (url->port == 0)
        url->port = default_port(url->https);
    path_and_query(slice_from(rest, url->authority.n), url);
    if (url->path.n == 0)
        url->path = root;
    return true;
}

/* RFC 3986 section 5.2.4 for a path that begins with '/'. p == NULL when the arena is full. */
static struct slice remove_dot_segments(struct arena *a, struct slice path)
{
    char *out = arena_alloc(a, path.n);
    if (!out)
        return slice_of(NULL, 0);
    size_t n = 0;
    for (size_t at = 0; at < path.n;) {
        struct slice segment = slice_from(path, at + 1);
        segment = slice_to(segment, slice_find(segment, '/'));
        at += 1 + segment.n;
        bool up = slice_eq(segment, SLICE(".."));
        if (!up && !slice_eq(segment, SLICE("."))) {
            memcpy(out + n, segment.p - 1, segment.n + 1);
            n += segment.n + 1;
            continue;
        }
        if (up && n > 0)
            n = slice_rfind(slice_of(out, n), '/');
        if (at == path.n)
            out[n++] = '/';
    }
    return slice_of(out, n);
}

/* The text of a URL up to its path; the port only where it is not the scheme's own. */
static struct slice print_url(struct arena *a, const struct http_url *url, struct slice path)
{
    char port[sizeof ":65535"] = "";
    if (url->port != default_port(url->https))
        snprintf(port, sizeof port, ":%u", url->port);
    return arena_printf(a, "%s://%s%.*s%s%s%.*s", url->https ? "https" : "http", url->v6 ? "[" : "",
                        SLICE_ARG(url->host), url->v6 ? "]" : "", port, SLICE_ARG(path));
}

static struct slice join(struct arena *a, struct slice left, const char *between,
                         struct slice right)
{
    return arena_printf(a, "%.*s%s%.*s", SLICE_ARG(left), between, SLICE_ARG(right));
}

/* Does the reference begin with a scheme (RFC 3986 section 3.1)? */
static bool has_scheme(struct slice reference)
{
    size_t n = 0;
    while (n < reference.n && http_char_is(reference.p[n], HTTP_CHAR_SCHEME))
        n++;
    return n > 0 && n < reference.n && reference.p[n] == ':';
}

/* RFC 3986 section 5.2.2 for a reference that has neither scheme nor authority. */
static bool apply_relative(struct arena *a, struct http_url *url, struct slice reference)
{
    struct http_url part;
    path_and_query(reference, &part);
    if (part.path.n > 0 || part.query.p)
        url->query = part.query;
    if (part.path.n == 0)
        return true;
    if (part.path.p[0] != '/')
        part.path = join(a, slice_to(url->path, slice_rfind(url->path, '/')), "/", part.path);
    url->path = part.path;
    return url->path.p != NULL;
}

/* The URL that the reference means, dot segments still in its path. */
static bool apply_reference(struct arena *a, struct http_url *url, struct slice reference)
{
    if (has_scheme(reference))
        return http_url_parse(reference, url);
    if (slice_starts(reference, SLICE("//"))) {
        struct slice scheme = url->https ? SLICE("https") : SLICE("http");
        struct slice text = join(a, scheme, ":", reference);
        return text.p && http_url_parse(text, url);
    }
    return apply_relative(a, url, reference);
}

struct slice http_url_resolve(struct arena *a, const struct http_url *base, struct slice reference)
{
    const struct slice none = {NULL, 0};
    struct http_url url = *base, check;
    if (!reference.p || reference.n > HTTP_URL_MAX || !bytes_are_good(reference))
        return none;
    reference = slice_to(reference, slice_find(reference, '#'));
    if (!apply_reference(a, &url, reference))
        return none;
    struct slice path = remove_dot_segments(a, url.path);
    if (!path.p)
        return none;
    struct slice text = print_url(a, &url, path);
    if (text.p && url.query.p)
        text = join(a, text, "?", url.query);
    return text.p && http_url_parse(text, &check) ? text : none;
}

bool http_url_same_origin(const struct http_url *a, const struct http_url *b)
{
    return a->https == b->https && a->port == b->port && slice_ieq(a->host, b->host);
}

struct slice http_url_for_log(struct arena *a, struct slice text)
{
    struct http_url url;
    /* What cannot be parsed cannot be cut safely either. */
    if (!http_url_parse(text, &url))
        return SLICE("(not a usable URL)");
    return print_url(a, &url, url.path);
}

/* Domains under which every customer has a name: neighbours there do not trust each other. */
static const struct slice shared_suffixes[] = {
    SLICE("amazonaws.com"),  SLICE("amazonaws.com.cn"), SLICE("azurecr.cn"),
    SLICE("azurecr.io"),     SLICE("azurecr.us"),       SLICE("azurewebsites.net"),
    SLICE("cloudfront.net"), SLICE("core.windows.net"), SLICE("github.io"),
    SLICE("gitlab.io"),      SLICE("herokuapp.com"),    SLICE("myhuaweicloud.com"),
    SLICE("myqcloud.com"),   SLICE("pages.dev"),        SLICE("pkg.dev"),
    SLICE("r2.dev"),         SLICE("run.app"),          SLICE("workers.dev"),
};

static bool is_under(struct slice host, struct slice domain)
{
    if (host.n <= domain.n)
        return slice_ieq(host, domain);
    size_t cut = host.n - domain.n;
    return host.p[cut - 1] == '.' && slice_ieq(slice_from(host, cut), domain);
}

static bool is_under_shared_suffix(struct slice host)
{
    for (size_t i = 0; i < sizeof shared_suffixes / sizeof shared_suffixes[0]; i++)
        if (is_under(host, shared_suffixes[i]))
            return true;
    return false;
}

/* Is this the second-last label of a country's public suffix, as in co.uk? */
static bool is_second_level(struct slice label)
{
    static const struct slice rows[] = {
        SLICE("com"), SLICE("net"), SLICE("org"), SLICE("gov"), SLICE("edu"),
        SLICE("ac"),  SLICE("co"),  SLICE("or"),  SLICE("ne"),  SLICE("go"),
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        if (slice_ieq(label, rows[i]))
            return true;
    return false;
}

/* Takes the last label off *host; empty when there is none left. */
static struct slice pop_label(struct slice *host)
{
    size_t begin = last_label(*host);
    struct slice label = slice_from(*host, begin);
    *host = slice_to(*host, begin > 0 ? begin - 1 : 0);
    return label;
}

/* The last two labels, or three under a country's second level; empty for anything shorter. */
static struct slice registrable_domain(struct slice host)
{
    struct slice left = host;
    struct slice top = pop_label(&left), second = pop_label(&left), name = second;
    if (top.n == 2 && is_second_level(second))
        name = pop_label(&left);
    if (top.n == 0 || second.n == 0 || name.n == 0)
        return slice_of(NULL, 0);
    return slice_of(name.p, (size_t)(host.p + host.n - name.p));
}

static bool is_address(struct slice host)
{
    return slice_find(host, ':') < host.n || is_number(slice_from(host, last_label(host)));
}

bool http_hosts_are_siblings(struct slice host, struct slice realm_host)
{
    if (host.n == 0 || realm_host.n == 0)
        return false;
    if (slice_ieq(host, realm_host))
        return true;
    if (is_address(host) || is_address(realm_host) || is_under_shared_suffix(host) ||
        is_under_shared_suffix(realm_host))
        return false;
    struct slice domain = registrable_domain(host);
    return domain.n > 0 && slice_ieq(domain, registrable_domain(realm_host));
}
