#include "npm_path.h"

#include "http/request.h"
#include "oci_path.h"

enum {
    NAME_MAX_BYTES = 214,
    VERSION_MAX = 256, /* semver's own bound */
    FILE_MAX = NAME_MAX_BYTES + 1 + VERSION_MAX + 4,
    QUERY_PARAMS_MAX = 16,
};

/* --- grammar --- */

/* What encodeURIComponent leaves alone. */
static bool is_name_char(char c)
{
    const struct slice marks = SLICE("-_.!~*'()");

    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
           slice_find(marks, c) < marks.n;
}

static bool has_no_other(struct slice s, char also)
{
    for (size_t i = 0; i < s.n; i++)
        if (!is_name_char(s.p[i]) && s.p[i] != also)
            return false;
    return true;
}

/* No dot at the beginning, so that it is no dot segment either. */
static bool is_component(struct slice s)
{
    return s.n > 0 && s.p[0] != '.' && has_no_other(s, '-');
}

bool npm_name_is_valid(struct slice name)
{
    if (name.n == 0 || name.n > NAME_MAX_BYTES)
        return false;
    if (name.p[0] == '@') {
        size_t slash = slice_find(name, '/');
        return is_component(slice_from(slice_to(name, slash), 1)) &&
               is_component(slice_from(name, slash + 1));
    }
    return is_component(name) && name.p[0] != '_' && !slice_eq(name, SLICE("node_modules")) &&
           !slice_eq(name, SLICE("favicon.ico"));
}

bool npm_version_is_valid(struct slice version)
{
    return version.n > 0 && version.n <= VERSION_MAX && version.p[0] != '.' &&
           has_no_other(version, '+');
}

bool npm_file_is_valid(struct slice file)
{
    const struct slice suffix = SLICE(".tgz");

    return file.n > suffix.n && file.n <= FILE_MAX && file.p[0] != '.' &&
           slice_ends(file, suffix) && has_no_other(file, '+');
}

static struct slice without_scope(struct slice name)
{
    return slice_from(name, slice_rfind(name, '/') < name.n ? slice_rfind(name, '/') + 1 : 0);
}

void npm_add_file(struct buf *out, struct slice name, struct slice version)
{
    buf_add(out, without_scope(name));
    buf_addc(out, '-');
    buf_add(out, slice_to(version, slice_find(version, '+')));
    buf_add(out, SLICE(".tgz"));
}

void npm_add_escaped(struct buf *out, struct slice name)
{
    size_t slash = slice_find(name, '/');

    buf_add(out, slice_to(name, slash));
    if (slash == name.n)
        return;
    buf_add(out, SLICE("%2f"));
    buf_add(out, slice_from(name, slash + 1));
}

/* --- the path --- */

/* Takes the part before the next slash, and the slash, off *rest. */
static struct slice take_component(struct slice *rest)
{
    struct slice component = slice_to(*rest, slice_find(*rest, '/'));

    *rest = slice_from(*rest, component.n + 1);
    return component;
}

/* "name" or "@scope/name", and the slash after it. */
static struct slice take_name(struct slice *rest)
{
    struct slice whole = *rest;
    struct slice name = take_component(rest);

    if (name.n == 0 || name.p[0] != '@' || rest->n == 0)
        return name;
    struct slice second = take_component(rest);
    return slice_to(whole, name.n + 1 + second.n);
}

struct api_row {
    struct slice path;
    enum npm_endpoint endpoint;
    bool is_prefix; /* what follows belongs to it too */
};

/* Below "/-/". */
static const struct api_row api_rows[] = {
    {SLICE("ping"), NPM_PING, false},
    {SLICE("v1/search"), NPM_SEARCH, false},
    {SLICE("npm/v1/keys"), NPM_KEYS, false},
    {SLICE("npm/v1/security/advisories/bulk"), NPM_AUDIT, false},
    {SLICE("npm/v1/security/audits"), NPM_AUDIT, false},
    {SLICE("npm/v1/security/audits/quick"), NPM_AUDIT, false},
    {SLICE("npm/v1/attestations/"), NPM_ATTESTATIONS, true},
    {SLICE("package/"), NPM_ACCOUNT, true},
    {SLICE("whoami"), NPM_ACCOUNT, false},
    {SLICE("v1/login"), NPM_ACCOUNT, true},
    {SLICE("v1/done"), NPM_ACCOUNT, true},
    {SLICE("user/"), NPM_ACCOUNT, true},
    {SLICE("org/"), NPM_ACCOUNT, true},
    {SLICE("team/"), NPM_ACCOUNT, true},
    {SLICE("npm/v1/user"), NPM_ACCOUNT, true},
    {SLICE("npm/v1/tokens"), NPM_ACCOUNT, true},
    {SLICE("npm/v1/hooks"), NPM_ACCOUNT, true},
};

static const struct api_row *find_api_row(struct slice path)
{
    for (size_t i = 0; i < sizeof api_rows / sizeof api_rows[0]; i++) {
        const struct api_row *row = &api_rows[i];
        if (row->is_prefix ? slice_starts(path, row->path) : slice_eq(path, row->path))
            return row;
    }
    return NULL;
}

/* "NAME@VERSION": the name may begin with an @ itself. */
static void parse_attested(struct npm_target *t, struct slice rest)
{
    size_t at = slice_rfind(rest, '@');

    t->name = slice_to(rest, at);
    t->item = slice_from(rest, at + 1);
}

/* "NAME/dist-tags" and "NAME/dist-tags/TAG"; the rest of "package/" is about access. */
static void parse_package(struct npm_target *t, struct slice rest)
{
    struct slice name = take_name(&rest);

    if (!slice_eq(take_component(&rest), SLICE("dist-tags")))
        return;
    t->endpoint = NPM_DIST_TAGS;
    t->name = name;
    t->item = rest;
}

static struct npm_target parse_api(struct slice rest)
{
    const struct api_row *row = find_api_row(rest);
    struct npm_target t = {.endpoint = row ? row->endpoint : NPM_UNKNOWN};

    if (t.endpoint == NPM_ATTESTATIONS)
        parse_attested(&t, slice_from(rest, row->path.n));
    else if (row && slice_eq(row->path, SLICE("package/")))
        parse_package(&t, slice_from(rest, row->path.n));
    return t;
}

static struct npm_target parse_package_path(struct slice rest)
{
    const struct slice files = SLICE("-/");
    struct npm_target t = {.endpoint = NPM_PACKAGE, .name = take_name(&rest)};

    if (rest.n == 0)
        t.endpoint = NPM_PACKUMENT;
    else if (slice_find(rest, '/') == rest.n)
        t.endpoint = NPM_VERSION;
    else if (slice_starts(rest, files) && slice_find(slice_from(rest, 2), '/') == rest.n - 2)
        t.endpoint = NPM_TARBALL;
    t.item = t.endpoint == NPM_TARBALL ? slice_from(rest, files.n) : rest;
    return t;
}

/* Escapes are resolved first: clients differ in how they write the slash within a name. */
struct npm_target npm_parse_path(struct arena *a, struct slice path)
{
    struct slice text = slice_find(path, '%') < path.n ? http_percent_decode(a, path) : path;
    struct slice rest = slice_from(text, 1);

    if (slice_ends(rest, SLICE("/")))
        rest.n--;
    if (rest.n == 0)
        return (struct npm_target){.endpoint = NPM_UNKNOWN};
    /* There is a package with the name "-"; only its tarballs can be told from the API. */
    if (slice_starts(rest, SLICE("-/")) && !slice_starts(rest, SLICE("-/-/")))
        return parse_api(slice_from(rest, 2));
    return parse_package_path(rest);
}

/* --- the query --- */

struct param {
    struct slice name, value; /* in their one spelling */
};

/* As forms write it (URL standard, application/x-www-form-urlencoded): a plus is a blank. */
static struct slice normal_text(struct arena *a, struct slice raw)
{
    char *copy = arena_strdup(a, raw);

    for (size_t i = 0; copy && i < raw.n; i++)
        if (copy[i] == '+')
            copy[i] = ' ';
    struct slice text = copy ? http_percent_decode(a, slice_of(copy, raw.n)) : slice_of(NULL, 0);
    return text.p ? oci_percent_encode(a, text) : text;
}

static bool comes_before(struct slice a, struct slice b)
{
    size_t n = a.n < b.n ? a.n : b.n;
    int order = n ? memcmp(a.p, b.p, n) : 0;

    return order < 0 || (order == 0 && a.n < b.n);
}

/* Those of one name keep their order. */
static void insert(struct param *params, size_t count, struct param p)
{
    while (count > 0 && comes_before(p.name, params[count - 1].name)) {
        params[count] = params[count - 1];
        count--;
    }
    params[count] = p;
}

struct slice npm_normal_query(struct arena *a, struct slice query)
{
    struct param params[QUERY_PARAMS_MAX];
    struct slice out = SLICE("");
    struct oci_param raw;
    size_t count = 0;

    while (oci_param_next(&query, &raw)) {
        struct param p = {normal_text(a, raw.name), normal_text(a, raw.value)};
        if (!p.name.p || !p.value.p || count == QUERY_PARAMS_MAX)
            return slice_of(NULL, 0);
        if (p.name.n)
            insert(params, count++, p);
    }
    for (size_t i = 0; i < count && out.p; i++)
        out = OCI_JOIN(a, out, i ? SLICE("&") : SLICE(""), params[i].name, SLICE("="),
                       params[i].value);
    return out;
}
