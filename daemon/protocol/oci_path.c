#include "oci_path.h"

enum {
    OCI_NAME_MAX = 255, /* of a repository, slashes included */
    OCI_TAG_MAX = 128,
};

struct slice oci_join(struct arena *a, const struct slice *parts, size_t count)
{
    size_t n = 0;

    for (size_t i = 0; i < count; i++)
        n += parts[i].n;
    char *p = arena_alloc(a, n);
    char *end = p;
    for (size_t i = 0; p && i < count; i++) {
        if (parts[i].n)
            memcpy(end, parts[i].p, parts[i].n);
        end += parts[i].n;
    }
    return slice_of(p, p ? n : 0);
}

/* --- grammar --- */

static bool is_digit_or_lower(char c)
{
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z');
}

/* Length of the separator within a component: one dot, one or two underscores, any dashes. */
static size_t separator_length(struct slice s)
{
    size_t n = 0;

    if (s.p[0] == '.')
        return 1;
    if (s.p[0] == '_')
        return s.n > 1 && s.p[1] == '_' ? 2 : 1;
    while (n < s.n && s.p[n] == '-')
        n++;
    return n;
}

/* [a-z0-9]+((\.|_|__|-+)[a-z0-9]+)* */
static bool component_is_valid(struct slice s)
{
    for (;;) {
        size_t run = 0;
        while (run < s.n && is_digit_or_lower(s.p[run]))
            run++;
        if (run == 0)
            return false;
        s = slice_from(s, run);
        if (s.n == 0)
            return true;
        s = slice_from(s, separator_length(s));
    }
}

bool oci_name_is_valid(struct slice name)
{
    if (name.n > OCI_NAME_MAX)
        return false;
    for (;;) {
        size_t end = slice_find(name, '/');
        if (!component_is_valid(slice_to(name, end)))
            return false;
        if (end == name.n)
            return true;
        name = slice_from(name, end + 1);
    }
}

/* [a-zA-Z0-9_][a-zA-Z0-9._-]{0,127} */
bool oci_tag_is_valid(struct slice tag)
{
    if (tag.n == 0 || tag.n > OCI_TAG_MAX || tag.p[0] == '.' || tag.p[0] == '-')
        return false;
    for (size_t i = 0; i < tag.n; i++) {
        char c = tag.p[i];
        if (!is_digit_or_lower(c) && !(c >= 'A' && c <= 'Z') && c != '_' && c != '.' && c != '-')
            return false;
    }
    return true;
}

/* --- the path --- */

struct slice oci_take_last(struct slice *path)
{
    size_t slash = slice_rfind(*path, '/');
    struct slice last = slash == path->n ? *path : slice_from(*path, slash + 1);

    *path = slice_to(*path, slash == path->n ? 0 : slash);
    return last;
}

/* Of "NAME/kind/last"; in an upload's path NAME still ends in "/blobs". */
static enum oci_endpoint endpoint_of(struct slice name, struct slice kind, struct slice last)
{
    if (slice_eq(kind, SLICE("manifests")))
        return OCI_ENDPOINT_MANIFEST;
    if (slice_eq(kind, SLICE("blobs")))
        return slice_eq(last, SLICE("uploads")) ? OCI_ENDPOINT_UPLOAD : OCI_ENDPOINT_BLOB;
    if (slice_eq(kind, SLICE("referrers")))
        return OCI_ENDPOINT_REFERRERS;
    if (slice_eq(kind, SLICE("tags")) && slice_eq(last, SLICE("list")))
        return OCI_ENDPOINT_TAGS;
    if (slice_eq(kind, SLICE("uploads")) && slice_ends(name, SLICE("/blobs")))
        return OCI_ENDPOINT_UPLOAD;
    return OCI_ENDPOINT_UNKNOWN;
}

/* From the right: a name holds slashes, and components such as "blobs" or "tags". */
struct oci_target oci_parse_resource(struct slice resource)
{
    struct oci_target t = {.name = resource};
    struct slice last = oci_take_last(&t.name);
    struct slice kind = oci_take_last(&t.name);

    t.endpoint = endpoint_of(t.name, kind, last);
    t.reference = last;
    return t;
}

struct oci_target oci_parse_path(struct slice path)
{
    if (slice_eq(path, SLICE(OCI_ROOT)) || slice_eq(path, SLICE(OCI_ROOT "/")))
        return (struct oci_target){.endpoint = OCI_ENDPOINT_BASE};
    if (!slice_starts(path, SLICE(OCI_ROOT "/")))
        return (struct oci_target){.endpoint = OCI_ENDPOINT_UNKNOWN};
    struct slice resource = slice_from(path, sizeof OCI_ROOT);
    if (slice_eq(resource, SLICE("_catalog")))
        return (struct oci_target){.endpoint = OCI_ENDPOINT_CATALOG};
    return oci_parse_resource(resource);
}

/* --- the query --- */

bool oci_param_next(struct slice *query, struct oci_param *p)
{
    while (query->n) {
        p->text = slice_to(*query, slice_find(*query, '&'));
        *query = slice_from(*query, p->text.n + 1);
        size_t equals = slice_find(p->text, '=');
        p->name = slice_to(p->text, equals);
        p->value = slice_from(p->text, equals + 1);
        if (p->text.n)
            return true;
    }
    return false;
}

bool oci_param_is_ns(const struct oci_param *p)
{
    return slice_eq(p->name, SLICE("ns"));
}

struct slice oci_query_without_ns(struct arena *a, struct slice query)
{
    char *out = arena_alloc(a, query.n);
    struct oci_param p;
    size_t n = 0;

    while (out && oci_param_next(&query, &p)) {
        if (oci_param_is_ns(&p))
            continue;
        if (n)
            out[n++] = '&';
        memcpy(out + n, p.text.p, p.text.n);
        n += p.text.n;
    }
    return slice_of(out, n);
}

static bool is_unreserved(char c)
{
    return is_digit_or_lower(c) || (c >= 'A' && c <= 'Z') || c == '-' || c == '.' || c == '_' ||
           c == '~';
}

struct slice oci_percent_encode(struct arena *a, struct slice s)
{
    static const char hex[] = "0123456789ABCDEF";
    char *out = arena_alloc(a, s.n * 3);
    size_t n = 0;

    for (size_t i = 0; out && i < s.n; i++) {
        unsigned char c = (unsigned char)s.p[i];
        if (is_unreserved(s.p[i])) {
            out[n++] = s.p[i];
            continue;
        }
        out[n++] = '%';
        out[n++] = hex[c >> 4];
        out[n++] = hex[c & 15];
    }
    return slice_of(out, n);
}

bool oci_query_is_clean(struct slice query)
{
    const struct slice unsafe = SLICE("<>\"\\");

    for (size_t i = 0; i < query.n; i++)
        if (query.p[i] <= ' ' || query.p[i] > '~' || slice_find(unsafe, query.p[i]) < unsafe.n)
            return false;
    return query.n > 0;
}

/* --- the namespace --- */

static struct slice lower_case(struct arena *a, struct slice s)
{
    size_t i = 0;

    while (i < s.n && !(s.p[i] >= 'A' && s.p[i] <= 'Z'))
        i++;
    if (i == s.n)
        return s;
    char *p = arena_strdup(a, s);
    for (; p && i < s.n; i++)
        if (p[i] >= 'A' && p[i] <= 'Z')
            p[i] = (char)(p[i] + ('a' - 'A'));
    return slice_of(p, p ? s.n : 0);
}

/* Two different ns parameters contradict each other: the empty name, which nobody serves. */
static bool find_ns(struct slice query, struct slice *ns)
{
    bool found = false;
    struct oci_param p;

    while (oci_param_next(&query, &p)) {
        if (!oci_param_is_ns(&p))
            continue;
        *ns = found && !slice_eq(*ns, p.value) ? SLICE("") : p.value;
        found = true;
    }
    return found;
}

/* docker's rule for the first component of an image's name. */
static bool looks_like_registry(struct slice s)
{
    return slice_find(s, '.') < s.n || slice_find(s, ':') < s.n || slice_eq(s, SLICE("localhost"));
}

/*
 * "/v2/quay.io/a/b/tags/list". What only looks like a registry is one if a repository's name is
 * left without it: "/v2/my.app/tags/list" is of the repository my.app.
 */
static bool find_path_namespace(struct slice path, struct arena *a,
                                bool (*known)(void *arg, struct slice name), void *arg,
                                struct slice *name, struct slice *rest)
{
    if (!slice_starts(path, SLICE(OCI_ROOT "/")))
        return false;
    struct slice resource = slice_from(path, sizeof OCI_ROOT);
    size_t end = slice_find(resource, '/');
    struct slice tail = slice_from(resource, end);
    struct slice first = lower_case(a, slice_to(resource, end));
    bool is_known = first.n && known(arg, first);
    if (!is_known &&
        !(looks_like_registry(first) && oci_parse_resource(slice_from(tail, 1)).name.n))
        return false;
    *name = first;
    *rest = OCI_JOIN(a, SLICE(OCI_ROOT), tail);
    return true;
}

enum namespace_result oci_find_namespace(const struct http_request *request, struct arena *a,
                                         bool (*known)(void *arg, struct slice name), void *arg,
                                         struct slice *name, struct slice *rest)
{
    struct slice ns;

    *name = SLICE("");
    *rest = request->path;
    if (find_ns(request->query, &ns)) {
        *name = lower_case(a, http_percent_decode(a, ns));
        return NAMESPACE_QUERY;
    }
    if (find_path_namespace(request->path, a, known, arg, name, rest))
        return NAMESPACE_PATH;
    return NAMESPACE_NONE;
}
