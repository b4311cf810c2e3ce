/*
 * The text of a registry request: names and tags, the path, the query, and the namespace in either.
 * Pure: no I/O, no state; any thread that owns the arena.
 *
 * Ownership: a slice that is returned or filled in borrows from the text it was cut from, or lives
 * in the arena that was passed.
 */
#ifndef YT_PROTOCOL_OCI_PATH_H
#define YT_PROTOCOL_OCI_PATH_H

#include "protocol/protocol.h"

#define OCI_ROOT "/v2"

/* Joins slices into the arena; p == NULL when it is full. */
#define OCI_JOIN(a, ...)                                                                           \
    oci_join((a), (const struct slice[]){__VA_ARGS__},                                             \
             sizeof((const struct slice[]){__VA_ARGS__}) / sizeof(struct slice))
struct slice oci_join(struct arena *a, const struct slice *parts, size_t count);

/* --- grammar (the specification's section "Pulling manifests") --- */

bool oci_name_is_valid(struct slice name);
bool oci_tag_is_valid(struct slice tag);

/* --- the path --- */

enum oci_endpoint {
    OCI_ENDPOINT_UNKNOWN,
    OCI_ENDPOINT_BASE,
    OCI_ENDPOINT_CATALOG,
    OCI_ENDPOINT_UPLOAD,
    OCI_ENDPOINT_MANIFEST,
    OCI_ENDPOINT_BLOB,
    OCI_ENDPOINT_TAGS,
    OCI_ENDPOINT_REFERRERS,
};

/* What a path asks for. Nothing is checked yet: the name may be no name, the reference anything. */
struct oci_target {
    enum oci_endpoint endpoint;
    struct slice name;
    struct slice reference; /* tag or digest */
};

/* A whole raw path, "/v2/..."; the namespace must have been taken off. */
struct oci_target oci_parse_path(struct slice path);
/* The same without "/v2/": a plan's resource. */
struct oci_target oci_parse_resource(struct slice resource);
/* Cuts the last component, with the slash before it, off the path. */
struct slice oci_take_last(struct slice *path);

/* --- the query --- */

/* Raw; the value is empty without '='. */
struct oci_param {
    struct slice text; /* "name=value" */
    struct slice name;
    struct slice value;
};

/* Takes the next "name=value" off; false when the query is used up. */
bool oci_param_next(struct slice *query, struct oci_param *p);
/* Is it the one that selects the route here? */
bool oci_param_is_ns(const struct oci_param *p);
/* The query as it came, less every ns; p == NULL when the arena is full. */
struct slice oci_query_without_ns(struct arena *a, struct slice query);
/* May it stand in a request line and between the brackets of a Link? Not when it is empty. */
bool oci_query_is_clean(struct slice query);
/* RFC 3986 section 2.1, every octet but the unreserved ones; p == NULL when the arena is full. */
struct slice oci_percent_encode(struct arena *a, struct slice s);

/* --- the namespace: see find_namespace in protocol/protocol.h --- */

enum namespace_result oci_find_namespace(const struct http_request *request, struct arena *a,
                                         bool (*known)(void *arg, struct slice name), void *arg,
                                         struct slice *name, struct slice *rest);

#endif
