#include "config_value.h"

#include <stdlib.h>

#include "config_grammar.h"
#include "read_file.h"

enum {
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

    while (digits < s.n && grammar_is_digit(s.p[digits]))
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
        good =
            good && (grammar_is_alnum(s.p[i]) || s.p[i] == '.' || s.p[i] == '_' || s.p[i] == '-');
    if (good)
        read_string(r, key, node, at);
    else
        FAULT(r, node, "must be letters, digits, '.', '_' and '-', at most %d", NAME_MAX_BYTES);
}

static void read_protocol(const struct config_reader *r, const struct config_key *key,
                          const struct yaml_node *node, void *at)
{
    struct buf names;

    for (const struct config_protocol *const *p = r->protocols; *p; p++)
        if (slice_eq(node->text, (*p)->name)) {
            read_string(r, key, node, at);
            return;
        }
    buf_init(&names, FAULT_TEXT_MAX);
    for (const struct config_protocol *const *p = r->protocols; *p; p++)
        buf_addf(&names, "%s%.*s", p == r->protocols ? "" : ", ", SLICE_ARG((*p)->name));
    FAULT(r, node, "must be one of: %.*s", SLICE_ARG(buf_slice(&names)));
    buf_free(&names);
}

static void read_address(const struct config_reader *r, const struct config_key *key,
                         const struct yaml_node *node, void *at)
{
    if (grammar_is_host_and_port(node->text))
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
    bool known_scheme = grammar_take_scheme(&rest, schemes);
    struct slice authority = slice_to(rest, slice_find(rest, '/'));
    if (slice_find(rest, '?') < rest.n || slice_find(rest, '#') < rest.n) {
        FAULT(r, node, "must have no query and no fragment");
    } else if (slice_find(authority, '@') < authority.n) {
        FAULT(r, node, "must hold no credentials: use username and password_file");
    } else if (!known_scheme || !grammar_is_authority(authority) || !grammar_is_uri_text(rest)) {
        FAULT(r, node, "must be http://host[:port][/path] or https://host[:port][/path]");
    } else {
        while (url.p[url.n - 1] == '/')
            url.n--;
        *(char **)at = keep(r, url);
    }
}

static void read_prefix(const struct config_reader *r, const struct config_key *key,
                        const struct yaml_node *node, void *at)
{
    (void)key;
    struct slice path = node->text;
    if (slice_ends(path, SLICE("/")))
        path.n--;
    if (grammar_is_path(path))
        *(char **)at = keep(r, path);
    else
        FAULT(
            r, node,
            "must be a path such as /pypi: letters, digits, '.', '_', '~' and '-' between slashes");
}

/* A proxy's URL may hold credentials; libcurl takes them from there. */
static void read_proxy(const struct config_reader *r, const struct config_key *key,
                       const struct yaml_node *node, void *at)
{
    static const char *const schemes[] = {"http://", "https://", "socks5://", "socks5h://", NULL};
    struct slice rest = node->text;
    bool known_scheme = grammar_take_scheme(&rest, schemes);
    size_t slash = slice_find(rest, '/');
    struct slice authority = slice_to(rest, slash);
    size_t userinfo_end = slice_rfind(authority, '@');

    if (userinfo_end < authority.n)
        authority = slice_from(authority, userinfo_end + 1);
    if (known_scheme && grammar_is_authority(authority) && grammar_is_visible(rest) &&
        slash + 1 >= rest.n)
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

/* The index of the text among the choices; false, and a fault, when it is none of them. */
static bool find_choice(const struct config_reader *r, const struct config_key *key,
                        const struct yaml_node *node, unsigned *found)
{
    struct slice rest = slice_str(key->choices);
    struct buf names;

    for (unsigned index = 0; rest.n; index++) {
        struct slice choice = slice_to(rest, slice_find(rest, '|'));
        if (slice_eq(choice, node->text)) {
            *found = index;
            return true;
        }
        rest = slice_from(rest, choice.n + 1);
    }
    buf_init(&names, FAULT_TEXT_MAX);
    add_choices(key, &names);
    FAULT(r, node, "must be one of: %.*s", SLICE_ARG(buf_slice(&names)));
    buf_free(&names);
    return false;
}

static void read_enum(const struct config_reader *r, const struct config_key *key,
                      const struct yaml_node *node, void *at)
{
    unsigned index;
    if (find_choice(r, key, node, &index))
        memcpy(at, &index, sizeof index);
}

static void read_either(const struct config_reader *r, const struct config_key *key,
                        const struct yaml_node *node, void *at)
{
    unsigned index;
    if (find_choice(r, key, node, &index))
        *(bool *)at = index == 1;
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
    else if (grammar_has_control(node->text))
        FAULT(r, node, "must hold no line end and no other control character");
    else if (node->text.n == 0 && !(key->fallback && key->fallback[0] == '\0'))
        FAULT(r, node, "must not be empty");
    else
        return true;
    return false;
}

/* --- lists of texts --- */

struct texts_row {
    const char *what;
    bool (*is_good)(struct slice text);
    const char *form; /* of one text */
};

static void read_texts(const struct config_reader *r, const struct config_key *key,
                       const struct yaml_node *node, struct config_strings *strings,
                       const struct texts_row *row)
{
    if (node->kind == NODE_BAD)
        return;
    if (node->kind != NODE_LIST) {
        FAULT(r, node, "must be a list of %s", row->what);
        return;
    }
    strings->v = config_zalloc(r, node->count * sizeof strings->v[0]);
    for (const struct yaml_node *item = node->first; item; item = item->next) {
        if (!check_scalar(r, key, item))
            continue;
        if (row->is_good(item->text))
            strings->v[strings->n++] = keep(r, item->text);
        else
            FAULT(r, item, "must be %s", row->form);
    }
}

static void read_hosts(const struct config_reader *r, const struct config_key *key,
                       const struct yaml_node *node, void *at)
{
    static const struct texts_row row = {"host names", grammar_is_authority,
                                         "a host name, with :port if need be"};
    read_texts(r, key, node, at, &row);
}

static void read_patterns(const struct config_reader *r, const struct config_key *key,
                          const struct yaml_node *node, void *at)
{
    static const struct texts_row row = {"patterns", grammar_is_visible,
                                         "a pattern of visible ASCII characters"};
    read_texts(r, key, node, at, &row);
}

bool config_is_texts(enum config_kind kind)
{
    return kind == CONFIG_HOSTS || kind == CONFIG_PATTERNS;
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
    [CONFIG_PREFIX] = {"path", read_prefix},
    [CONFIG_HOSTS] = {"list of hosts", read_hosts},
    [CONFIG_PATTERNS] = {"list of patterns", read_patterns},
    [CONFIG_BOOL] = {"true or false", read_bool},
    [CONFIG_INT] = {"number", read_number},
    [CONFIG_DURATION] = {"duration", read_number},
    [CONFIG_SIZE] = {"size", read_number},
    [CONFIG_ENUM] = {"one of", read_enum},
    [CONFIG_EITHER] = {"one of", read_either},
    [CONFIG_MAP] = {"map", NULL},
    [CONFIG_LIST] = {"list of maps", NULL},
};

void config_read_value(const struct config_reader *r, const struct config_key *key,
                       const struct yaml_node *node, void *at)
{
    bool is_value = config_is_texts(key->kind);

    /* An empty text that is allowed stands for "not given". */
    if (!is_value)
        is_value = check_scalar(r, key, node) && node->text.n > 0;
    if (is_value)
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
