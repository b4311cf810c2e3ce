#include "pypi_path.h"

#include "http/request.h"
#include "http/url.h"

enum { NAME_MAX_LENGTH = 200, VERSION_MAX_LENGTH = 200 };

static bool is_alphanumeric(char c)
{
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

static bool is_one_of(char c, const char *set)
{
    return c && strchr(set, c) != NULL;
}

/* --- names --- */

/* PEP 508: letters and digits, with '-', '_' and '.' between them. */
static bool name_is_valid(struct slice name)
{
    if (name.n == 0 || name.n > NAME_MAX_LENGTH || !is_alphanumeric(name.p[0]) ||
        !is_alphanumeric(name.p[name.n - 1]))
        return false;
    for (size_t i = 0; i < name.n; i++)
        if (!is_alphanumeric(name.p[i]) && !is_one_of(name.p[i], "-_."))
            return false;
    return true;
}

struct slice pypi_normal_name(struct arena *a, struct slice raw)
{
    struct slice name = http_percent_decode(a, raw);
    size_t n = 0;

    if (!name.p || !name_is_valid(name))
        return slice_of(NULL, 0);
    char *out = arena_alloc(a, name.n);
    for (size_t i = 0; out && i < name.n; i++) {
        char c = name.p[i];
        if (is_alphanumeric(c))
            out[n++] = (char)(c >= 'A' && c <= 'Z' ? c + ('a' - 'A') : c);
        else if (out[n - 1] != '-')
            out[n++] = '-';
    }
    return slice_of(out, out ? n : 0);
}

/* PEP 440, and what older releases were called. */
struct slice pypi_version(struct arena *a, struct slice raw)
{
    struct slice version = http_percent_decode(a, raw);

    if (version.n == 0 || version.n > VERSION_MAX_LENGTH || !is_alphanumeric(version.p[0]))
        return slice_of(NULL, 0);
    for (size_t i = 0; i < version.n; i++)
        if (!is_alphanumeric(version.p[i]) && !is_one_of(version.p[i], "-_.!+~"))
            return slice_of(NULL, 0);
    return version;
}

/* --- the path --- */

/* Takes the bytes up to the next slash, and the slash, off *path; *slash: was there one? */
static struct slice take_segment(struct slice *path, bool *slash)
{
    size_t end = slice_find(*path, '/');
    struct slice segment = slice_to(*path, end);

    *slash = end < path->n;
    *path = slice_from(*path, end + 1);
    return segment;
}

static unsigned count_slashes(struct slice s)
{
    unsigned n = 0;

    for (size_t i = 0; i < s.n; i++)
        n += s.p[i] == '/';
    return n;
}

/* Behind "simple/NAME/". */
static void parse_file(struct slice rest, struct pypi_target *t)
{
    bool slash;
    struct slice files = take_segment(&rest, &slash);

    if (!slash || !slice_eq(files, SLICE("files")))
        return;
    size_t end = slice_find(rest, '/');
    t->host = slice_to(rest, end);
    t->path = slice_from(rest, end);
    if (t->host.n && t->path.n > 1)
        t->endpoint = PYPI_ENDPOINT_FILE;
}

static void parse_simple(struct slice rest, struct pypi_target *t)
{
    bool slash;

    t->name = take_segment(&rest, &slash);
    t->slash_count = slash + count_slashes(rest);
    t->is_spelt_wrong = !slash;
    if (rest.n == 0)
        t->endpoint = t->name.n ? PYPI_ENDPOINT_PROJECT : PYPI_ENDPOINT_UNKNOWN;
    else
        parse_file(rest, t);
}

static void parse_json(struct slice rest, struct pypi_target *t)
{
    bool slash, ended;

    t->name = take_segment(&rest, &slash);
    t->slash_count = slash + count_slashes(rest);
    struct slice last = take_segment(&rest, &ended);
    t->endpoint = PYPI_ENDPOINT_JSON;
    if (rest.n) {
        t->endpoint = PYPI_ENDPOINT_RELEASE;
        t->version = last;
        last = take_segment(&rest, &ended);
    }
    t->is_spelt_wrong = ended;
    if (!slash || !slice_eq(last, SLICE("json")) || rest.n)
        t->endpoint = PYPI_ENDPOINT_UNKNOWN;
}

struct pypi_target pypi_parse_path(struct slice path)
{
    struct pypi_target t = {.endpoint = PYPI_ENDPOINT_UNKNOWN};
    struct slice rest = slice_from(path, 1);
    bool slash;
    struct slice first = take_segment(&rest, &slash);

    if (slice_eq(first, SLICE("simple")) && rest.n == 0) {
        t.endpoint = PYPI_ENDPOINT_ROOT;
        t.is_spelt_wrong = !slash;
    } else if (slice_eq(first, SLICE("simple"))) {
        parse_simple(rest, &t);
    } else if (slice_eq(first, SLICE("pypi"))) {
        parse_json(rest, &t);
    }
    return t;
}

/* --- a file's place --- */

/* RFC 3986, pchar. */
static bool stands_for_itself(char c)
{
    return is_alphanumeric(c) || is_one_of(c, "-._~!$&'()*+,;=:@");
}

static size_t write_escape(char *out, unsigned char c)
{
    static const char digits[] = "0123456789ABCDEF";

    out[0] = '%';
    out[1] = digits[c >> 4];
    out[2] = digits[c & 15];
    return 3;
}

struct slice pypi_escape_reference(struct arena *a, struct slice text)
{
    char *out = text.n <= HTTP_URL_MAX ? arena_alloc(a, 3 * text.n + 1) : NULL;
    size_t n = 0;

    for (size_t i = 0; out && i < text.n; i++) {
        if (text.p[i] <= ' ' || text.p[i] > '~' || is_one_of(text.p[i], "\"<>^`{|}"))
            n += write_escape(out + n, (unsigned char)text.p[i]);
        else
            out[n++] = text.p[i];
    }
    return slice_of(out, n);
}

/* Segment by segment, so that an escaped slash is not taken for one. */
struct slice pypi_normal_path(struct arena *a, struct slice path)
{
    char *out = path.n <= HTTP_URL_MAX ? arena_alloc(a, 3 * path.n + 1) : NULL;
    size_t n = 0;
    bool slash = out != NULL;

    while (slash) {
        struct slice segment = http_percent_decode(a, take_segment(&path, &slash));
        if (!segment.p)
            return segment;
        for (size_t i = 0; i < segment.n; i++) {
            if (stands_for_itself(segment.p[i]))
                out[n++] = segment.p[i];
            else
                n += write_escape(out + n, (unsigned char)segment.p[i]);
        }
        if (slash)
            out[n++] = '/';
    }
    return slice_of(out, n);
}

/* Lower case, a port only where one is written; brackets as the authority has them. */
static struct slice normal_host(struct arena *a, struct slice raw)
{
    struct slice text = http_percent_decode(a, raw);
    struct slice host;
    unsigned port;

    if (!text.p || !http_authority_parse(text, &host, &port))
        return slice_of(NULL, 0);
    char *out = arena_alloc(a, text.n);
    for (size_t i = 0; out && i < text.n; i++)
        out[i] = (char)(text.p[i] >= 'A' && text.p[i] <= 'Z' ? text.p[i] + ('a' - 'A') : text.p[i]);
    return slice_of(out, out ? text.n : 0);
}

struct slice pypi_place(struct arena *a, struct slice host, struct slice path, struct slice query)
{
    const struct slice none = {NULL, 0};

    if (!http_path_is_clean(path))
        return none;
    host = normal_host(a, host);
    path = pypi_normal_path(a, path);
    if (!host.p || !path.p)
        return none;
    return arena_printf(a, "%.*s%.*s%s%.*s", SLICE_ARG(host), SLICE_ARG(path), query.p ? "?" : "",
                        SLICE_ARG(query));
}

struct slice pypi_suffix(enum pypi_beside beside)
{
    static const struct slice suffixes[] = {
        [PYPI_FILE] = SLICE(""),
        [PYPI_METADATA] = SLICE(".metadata"),
        [PYPI_SIGNATURE] = SLICE(".asc"),
        [PYPI_PROVENANCE] = SLICE(".provenance"),
    };
    return suffixes[beside];
}

enum pypi_beside pypi_take_suffix(struct slice *text)
{
    for (enum pypi_beside b = PYPI_METADATA; b <= PYPI_PROVENANCE; b++) {
        struct slice suffix = pypi_suffix(b);
        if (slice_ends(*text, suffix)) {
            *text = slice_to(*text, text->n - suffix.n);
            return b;
        }
    }
    return PYPI_FILE;
}

bool pypi_is_distribution(struct slice path)
{
    static const struct slice endings[] = {
        SLICE(".whl"), SLICE(".tar.gz"), SLICE(".zip"),      SLICE(".tar.bz2"),
        SLICE(".tgz"), SLICE(".tar.xz"), SLICE(".tar.Z"),    SLICE(".tbz"),
        SLICE(".tar"), SLICE(".egg"),    SLICE(".tar.lzma"), SLICE(".exe"),
        SLICE(".msi"), SLICE(".rpm"),    SLICE(".deb"),      SLICE(".dmg"),
    };

    for (size_t i = 0; i < sizeof endings / sizeof endings[0]; i++)
        if (slice_ends(path, endings[i]))
            return true;
    return false;
}
