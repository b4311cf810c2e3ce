/*
 * Header fields of one message, in the order received (RFC 9110 section 5). A flat array in an
 * arena: requests have a dozen, and a walk over them is faster than a map.
 */
#ifndef YT_HTTP_FIELDS_H
#define YT_HTTP_FIELDS_H

#include "base/arena.h"

/* Names that the code asks for; each has an id so that a lookup compares integers. */
#define HTTP_FIELD_ROWS(X)                                                                         \
    X(ACCEPT, "accept")                                                                            \
    X(ACCEPT_ENCODING, "accept-encoding")                                                          \
    X(ACCEPT_RANGES, "accept-ranges")                                                              \
    X(AGE, "age")                                                                                  \
    X(AUTHORIZATION, "authorization")                                                              \
    X(CACHE_CONTROL, "cache-control")                                                              \
    X(CONNECTION, "connection")                                                                    \
    X(CONTENT_DISPOSITION, "content-disposition")                                                  \
    X(CONTENT_ENCODING, "content-encoding")                                                        \
    X(CONTENT_LANGUAGE, "content-language")                                                        \
    X(CONTENT_LOCATION, "content-location")                                                        \
    X(CONTENT_LENGTH, "content-length")                                                            \
    X(CONTENT_RANGE, "content-range")                                                              \
    X(CONTENT_TYPE, "content-type")                                                                \
    X(COOKIE, "cookie")                                                                            \
    X(DATE, "date")                                                                                \
    X(DOCKER_CONTENT_DIGEST, "docker-content-digest")                                              \
    X(ETAG, "etag")                                                                                \
    X(EXPECT, "expect")                                                                            \
    X(EXPIRES, "expires")                                                                          \
    X(HOST, "host")                                                                                \
    X(IF_MODIFIED_SINCE, "if-modified-since")                                                      \
    X(IF_NONE_MATCH, "if-none-match")                                                              \
    X(IF_RANGE, "if-range")                                                                        \
    X(KEEP_ALIVE, "keep-alive")                                                                    \
    X(LAST_MODIFIED, "last-modified")                                                              \
    X(LINK, "link")                                                                                \
    X(LOCATION, "location")                                                                        \
    X(NPM_NOTICE, "npm-notice")                                                                    \
    X(NPM_OTP, "npm-otp")                                                                          \
    X(OCI_FILTERS_APPLIED, "oci-filters-applied")                                                  \
    X(PRAGMA, "pragma")                                                                            \
    X(PROXY_CONNECTION, "proxy-connection")                                                        \
    X(RANGE, "range")                                                                              \
    X(RETRY_AFTER, "retry-after")                                                                  \
    X(SET_COOKIE, "set-cookie")                                                                    \
    X(TE, "te")                                                                                    \
    X(TRAILER, "trailer")                                                                          \
    X(TRANSFER_ENCODING, "transfer-encoding")                                                      \
    X(UPGRADE, "upgrade")                                                                          \
    X(USER_AGENT, "user-agent")                                                                    \
    X(VARY, "vary")                                                                                \
    X(VIA, "via")                                                                                  \
    X(WARNING, "warning")                                                                          \
    X(WWW_AUTHENTICATE, "www-authenticate")                                                        \
    X(X_PYPI_LAST_SERIAL, "x-pypi-last-serial")

enum http_field_id {
    HF_OTHER = 0,
#define X(id, name) HF_##id,
    HTTP_FIELD_ROWS(X)
#undef X
        HF_COUNT
};

struct http_field {
    struct slice name;  /* as received; compare without case */
    struct slice value; /* trimmed */
    enum http_field_id id;
};

struct http_fields {
    struct http_field *v;
    size_t n;
    size_t cap;
};

/* The id of a name in any case; HF_OTHER when it is none of the rows. */
enum http_field_id http_field_id(struct slice name);
/* The row's name, lower case. */
struct slice http_field_name(enum http_field_id id);

/* Appends; name and value are borrowed. false when `max` fields are held or the arena is full. */
bool http_fields_add(struct http_fields *f, struct arena *a, size_t max, struct slice name,
                     struct slice value);

/* The first field with that id, or NULL. */
const struct http_field *http_fields_get(const struct http_fields *f, enum http_field_id id);
/* Its value, or an empty slice with p == NULL. */
struct slice http_fields_value(const struct http_fields *f, enum http_field_id id);
/* The first field with that name (any case), known id or not, or NULL. */
const struct http_field *http_fields_find(const struct http_fields *f, struct slice name);
/* How many fields have that id. */
size_t http_fields_count(const struct http_fields *f, enum http_field_id id);

/* RFC 9110 section 5.6.2; false for an empty slice. */
bool http_is_token(struct slice s);
/* Field value: visible ASCII, obs-text, blank and tab only (RFC 9110 section 5.5). */
bool http_is_field_value(struct slice s);

/*
 * Takes the next element off a comma-separated list (RFC 9110 section 5.6.1); quoted strings keep
 * their commas. Empty elements are skipped. false when the list is used up.
 */
bool http_list_next(struct slice *list, struct slice *element);
/* The same with semicolons, for what stands behind a media type or a directive. */
bool http_params_next(struct slice *params, struct slice *param);

/*
 * The value of a field's list over all of its lines: calls `each` for every element, in order;
 * stops when it returns false.
 */
void http_fields_each_element(const struct http_fields *f, enum http_field_id id,
                              bool (*each)(void *arg, struct slice element), void *arg);

/*
 * May a proxy pass this field on? false for the hop-by-hop ones (RFC 9110 section 7.6.1), for all
 * names that begin with "proxy-", and for names that a Connection field of `f` lists.
 */
bool http_field_is_end_to_end(const struct http_fields *f, const struct http_field *field);

#endif
