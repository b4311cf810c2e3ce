#include "config_value.h"

#include <arpa/inet.h>
#include <stdlib.h>

#include "base/config.h"
#include "read_file.h"

enum {
    HOST_MAX = 253, /* RFC 1035 section 2.3.4, in text */
    LABEL_MAX = 63,
    NAME_MAX_BYTES = 64,
    PASSWORD_MAX = 16384, /* some registries take a whole key file as the password */
    CA_FILE_MAX = 16 << 20,
};

void *config_zalloc(const struct config_reader *r, size_t n)
{
    void *p = arena_zalloc(r->arena, n);

    if (!p)
        abort();
    return p;
}

static char *keep(const struct config_reader *r, struct slice s)
{
    char *p = config_zalloc(r, s.n + 1);

    if (s.n)
        memcpy(p, s.p, s.n);
    return p;
}

/* --- characters --- */

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool is_alnum(char c)
{
    return is_digit(c) || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

static bool has_control(struct slice s)
{
    for (size_t i = 0; i < s.n; i++)
        if ((unsigned char)s.p[i] < 0x20 || s.p[i] == 0x7f)
            return true;
    return false;
}

static bool is_visible(struct slice s)
{
    for (size_t i = 0; i < s.n; i++)
        if (s.p[i] <= ' ' || s.p[i] > '~')
            return false;
    return true;
}

/* --- numbers with units --- */

struct unit {
    const char *name;
    int64_t factor;
};

/* Largest first: a number is shown in the first unit that divides it. */
static const struct unit time_units[] = {
    {"d", 86400000}, {"h", 3600000}, {"m", 60000}, {"s", 1000}, {"ms", 1}, {NULL, 0},
};
static const struct unit size_units[] = {
    {"TiB", INT64_C(1) << 40}, {"GiB", 1 << 30}, {"MiB", 1 << 20},
    {"KiB", 1 << 10},          {"", 1},          {NULL, 0},
};
static const struct unit no_units[] = {{"", 1}, {NULL, 0}};

static const struct unit *units_of(enum config_kind kind)
{
    return kind == CONFIG_DURATION ? time_units : kind == CONFIG_SIZE ? size_units : no_units;
}

/* Digits and one of the units, nothing between; false on anything else or past INT64_MAX. */
static bool parse_number(struct slice s, const struct unit *units, int64_t *value)
{
    size_t digits = 0;
    uint64_t number;

    while (digits < s.n && is_digit(s.p[digits]))
        digits++;
    if (!slice_u64(slice_to(s, digits), &number))
        return false;
    for (; units->name; units++)
        if (slice_eq(slice_from(s, digits), slice_str(units->name)))
            return !__builtin_mul_overflow(number, units->factor, value);
    return false;
}

static void add_number(struct buf *out, const struct unit *units, int64_t value)
{
    while (units[1].name && (value == 0 || value % units->factor))
        units++;
    buf_addf(out, "%lld%s", (long long)(value / units->factor), units->name);
}

/* --- hosts and URLs --- */

/* Letters, digits, '-' and (seen in container networks) '_'; no '-' at either end. */
static bool is_label(struct slice s)
{
    for (size_t i = 0; i < s.n; i++)
        if (!is_alnum(s.p[i]) && s.p[i] != '-' && s.p[i] != '_')
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
        numeric = numeric && (is_digit(s.p[i]) || s.p[i] == '.');
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

static bool is_host_and_port(struct slice s)
{
    size_t colon = slice_rfind(s, ':');
    return colon < s.n && is_port(slice_from(s, colon + 1)) && is_host(slice_to(s, colon));
}

static bool is_authority(struct slice s)
{
    return is_host(s) || is_host_and_port(s);
}

/* Takes "scheme://" off the front if it is one of those in the list. */
static bool take_scheme(struct slice *s, const char *const *schemes)
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

/* --- one reader per kind --- */

#define FAULT(r, node, ...) yaml_tree_fault((r)->faults, (node), NULL, __VA_ARGS__)

typedef void read_value_f(const struct config_reader *r, const struct config_key *key,
                          const struct yaml_node *node, void *at);

static void read_string(const struct config_reader *r, const struct config_key *key,
                        const struct yaml_node *node, void *at)
{
    (void)key;
    *(char **)at = keep(r, node->text);
}

static void read_name(const struct config_reader *r, const struct config_key *key,
                      const struct yaml_node *node, void *at)
{
    struct slice s = node->text;
    bool good = s.n <= NAME_MAX_BYTES;

    for (size_t i = 0; i < s.n; i++)
        good = good && (is_alnum(s.p[i]) || s.p[i] == '.' || s.p[i] == '_' || s.p[i] == '-');
    if (good)
        read_string(r, key, node, at);
    else
        FAULT(r, node, "must be letters, digits, '.', '_' and '-', at most %d", NAME_MAX_BYTES);
}

static void read_protocol(const struct config_reader *r, const struct config_key *key,
                          const struct yaml_node *node, void *at)
{
    struct buf names;

    for (const char *const *p = r->protocols; *p; p++)
        if (slice_eq(node->text, slice_str(*p))) {
            read_string(r, key, node, at);
            return;
        }
    buf_init(&names, FAULT_TEXT_MAX);
    for (const char *const *p = r->protocols; *p; p++)
        buf_addf(&names, "%s%s", p == r->protocols ? "" : ", ", *p);
    FAULT(r, node, "must be one of: %.*s", SLICE_ARG(buf_slice(&names)));
    buf_free(&names);
}

static void read_address(const struct config_reader *r, const struct config_key *key,
                         const struct yaml_node *node, void *at)
{
    if (is_host_and_port(node->text))
        read_string(r, key, node, at);
    else
        FAULT(r, node, "must be host:port or [v6]:port, with a port from 1 to 65535");
}

static void read_url(const struct config_reader *r, const struct config_key *key,
                     const struct yaml_node *node, void *at)
{
    static const char *const schemes[] = {"http://", "https://", NULL};
    struct slice rest = node->text;
    struct slice url = node->text;

    (void)key;
    bool known_scheme = take_scheme(&rest, schemes);
    struct slice authority = slice_to(rest, slice_find(rest, '/'));
    if (slice_find(rest, '?') < rest.n || slice_find(rest, '#') < rest.n) {
        FAULT(r, node, "must have no query and no fragment");
    } else if (slice_find(authority, '@') < authority.n) {
        FAULT(r, node, "must hold no credentials: use username and password_file");
    } else if (!known_scheme || !is_authority(authority) || !is_visible(rest)) {
        FAULT(r, node, "must be http://host[:port][/path] or https://host[:port][/path]");
    } else {
        while (url.p[url.n - 1] == '/')
            url.n--;
        *(char **)at = keep(r, url);
    }
}

/* A proxy's URL may hold credentials; libcurl takes them from there. */
static void read_proxy(const struct config_reader *r, const struct config_key *key,
                       const struct yaml_node *node, void *at)
{
    static const char *const schemes[] = {"http://", "https://", "socks5://", "socks5h://", NULL};
    struct slice rest = node->text;
    bool known_scheme = take_scheme(&rest, schemes);
    size_t slash = slice_find(rest, '/');
    struct slice authority = slice_to(rest, slash);
    size_t userinfo_end = slice_rfind(authority, '@');

    if (userinfo_end < authority.n)
        authority = slice_from(authority, userinfo_end + 1);
    if (known_scheme && is_authority(authority) && is_visible(rest) && slash + 1 >= rest.n)
        read_string(r, key, node, at);
    else
        FAULT(r, node, "must be scheme://host:port with the scheme http, https, socks5 or socks5h");
}

static void read_readable_file(const struct config_reader *r, const struct config_key *key,
                               const struct yaml_node *node, void *at)
{
    struct buf content;
    struct errinfo info;

    buf_init(&content, CA_FILE_MAX);
    if (read_file(node->text.p, &content, &info) == ERR_OK)
        read_string(r, key, node, at);
    else
        FAULT(r, node, "%s", info.msg);
    buf_free(&content);
}

/* Without one line end at its end, which editors add. */
static struct slice without_line_end(struct slice s)
{
    if (slice_ends(s, SLICE("\r\n")))
        return slice_to(s, s.n - 2);
    return slice_ends(s, SLICE("\n")) ? slice_to(s, s.n - 1) : s;
}

static void read_password(const struct config_reader *r, const struct config_key *key,
                          const struct yaml_node *node, void *at)
{
    struct buf content;
    struct errinfo info;

    (void)key;
    buf_init(&content, PASSWORD_MAX);
    /* Room for all of it at once: a buffer that moves leaves copies of the secret behind. */
    buf_reserve(&content, PASSWORD_MAX);
    if (read_file(node->text.p, &content, &info) != ERR_OK) {
        FAULT(r, node, "%s", info.msg);
    } else {
        struct slice password = without_line_end(buf_slice(&content));
        if (password.n == 0)
            FAULT(r, node, "the file is empty");
        else if (slice_find(password, '\0') < password.n)
            FAULT(r, node, "the file holds a NUL character");
        else
            *(char **)at = keep(r, password);
    }
    if (content.p)
        explicit_bzero(content.p, content.n);
    buf_free(&content);
}

static void read_bool(const struct config_reader *r, const struct config_key *key,
                      const struct yaml_node *node, void *at)
{
    bool is_true = slice_eq(node->text, SLICE("true"));

    (void)key;
    if (!node->quoted && (is_true || slice_eq(node->text, SLICE("false"))))
        *(bool *)at = is_true;
    else
        FAULT(r, node, "must be true or false");
}

static const char *number_form(enum config_kind kind)
{
    if (kind == CONFIG_DURATION)
        return "a duration such as 250ms, 90s, 5m, 2h or 30d";
    if (kind == CONFIG_SIZE)
        return "a size such as 4096, 64KiB, 10MiB, 100GiB or 1TiB";
    return "a whole number";
}

static void add_range(const struct config_key *key, const char *between, struct buf *out)
{
    add_number(out, units_of(key->kind), key->min);
    buf_add(out, slice_str(between));
    add_number(out, units_of(key->kind), key->max);
}

static void read_number(const struct config_reader *r, const struct config_key *key,
                        const struct yaml_node *node, void *at)
{
    int64_t value;
    struct buf range;

    if ((node->quoted && key->kind == CONFIG_INT) ||
        !parse_number(node->text, units_of(key->kind), &value)) {
        FAULT(r, node, "must be %s", number_form(key->kind));
        return;
    }
    if (value >= key->min && value <= key->max) {
        *(int64_t *)at = value;
        return;
    }
    buf_init(&range, FAULT_TEXT_MAX);
    add_range(key, " and ", &range);
    FAULT(r, node, "must be between %.*s", SLICE_ARG(buf_slice(&range)));
    buf_free(&range);
}

/* The choices with ", " between. */
static void add_choices(const struct config_key *key, struct buf *out)
{
    for (const char *p = key->choices; *p; p++) {
        if (*p == '|')
            buf_add(out, SLICE(", "));
        else
            buf_addc(out, *p);
    }
}

static void read_enum(const struct config_reader *r, const struct config_key *key,
                      const struct yaml_node *node, void *at)
{
    struct slice rest = slice_str(key->choices);
    struct buf names;

    for (unsigned index = 0; rest.n; index++) {
        struct slice choice = slice_to(rest, slice_find(rest, '|'));
        if (slice_eq(choice, node->text)) {
            memcpy(at, &index, sizeof index);
            return;
        }
        rest = slice_from(rest, choice.n + 1);
    }
    buf_init(&names, FAULT_TEXT_MAX);
    add_choices(key, &names);
    FAULT(r, node, "must be one of: %.*s", SLICE_ARG(buf_slice(&names)));
    buf_free(&names);
}

/* Enumerations are read and written as what gcc and clang make of them. */
_Static_assert(sizeof(enum config_kind) == sizeof(unsigned), "an enum is as wide as unsigned");

/* Any scalar that has a value; reports all else. */
static bool check_scalar(const struct config_reader *r, const struct config_key *key,
                         const struct yaml_node *node)
{
    if (node->kind == NODE_BAD)
        return false;
    if (node->kind == NODE_NULL)
        FAULT(r, node, "has no value");
    else if (node->kind != NODE_TEXT)
        FAULT(r, node, "must be one value, not a %s", node->kind == NODE_MAP ? "map" : "list");
    else if (has_control(node->text))
        FAULT(r, node, "must hold no line end and no other control character");
    else if (node->text.n == 0 && !(key->fallback && key->fallback[0] == '\0'))
        FAULT(r, node, "must not be empty");
    else
        return true;
    return false;
}

static void read_hosts(const struct config_reader *r, const struct config_key *key,
                       const struct yaml_node *node, void *at)
{
    struct config_strings *strings = at;

    if (node->kind == NODE_BAD)
        return;
    if (node->kind != NODE_LIST) {
        FAULT(r, node, "must be a list of host names");
        return;
    }
    strings->v = config_zalloc(r, node->count * sizeof strings->v[0]);
    for (const struct yaml_node *item = node->first; item; item = item->next) {
        if (!check_scalar(r, key, item))
            continue;
        if (is_authority(item->text))
            strings->v[strings->n++] = keep(r, item->text);
        else
            FAULT(r, item, "must be a host name, with :port if need be");
    }
}

struct kind_row {
    const char *type; /* in the reference */
    read_value_f *read;
};

static const struct kind_row kinds[] = {
    [CONFIG_STRING] = {"string", read_string},
    [CONFIG_NAME] = {"name", read_name},
    [CONFIG_PROTOCOL] = {"protocol", read_protocol},
    [CONFIG_ADDRESS] = {"address", read_address},
    [CONFIG_URL] = {"URL", read_url},
    [CONFIG_PROXY] = {"URL", read_proxy},
    [CONFIG_FILE] = {"file", read_readable_file},
    [CONFIG_PASSWORD_FILE] = {"file", read_password},
    [CONFIG_HOSTS] = {"list of hosts", read_hosts},
    [CONFIG_BOOL] = {"true or false", read_bool},
    [CONFIG_INT] = {"number", read_number},
    [CONFIG_DURATION] = {"duration", read_number},
    [CONFIG_SIZE] = {"size", read_number},
    [CONFIG_ENUM] = {"one of", read_enum},
    [CONFIG_MAP] = {"map", NULL},
    [CONFIG_LIST] = {"list of maps", NULL},
};

void config_read_value(const struct config_reader *r, const struct config_key *key,
                       const struct yaml_node *node, void *at)
{
    if (key->kind == CONFIG_HOSTS)
        read_hosts(r, key, node, at);
    /* An empty text that is allowed stands for "not given". */
    else if (check_scalar(r, key, node) && node->text.n > 0)
        kinds[key->kind].read(r, key, node, at);
}

void config_describe_type(const struct config_key *key, struct buf *out)
{
    buf_add(out, slice_str(kinds[key->kind].type));
    if (key->choices) {
        buf_add(out, SLICE(": "));
        add_choices(key, out);
    } else if (key->max) {
        buf_add(out, SLICE(", "));
        add_range(key, " to ", out);
    }
}
