/*
 * The configuration: one strict YAML file, read once into an immutable tree. One table of rows in
 * daemon/base/config_keys.h is the only list of keys.
 */
#ifndef YT_BASE_CONFIG_H
#define YT_BASE_CONFIG_H

#include "base/buf.h"
#include "base/err.h"
#include "base/log.h"

#define CONFIG_DEFAULT_FILE "/etc/yantian/yantian.yaml"

struct config_strings {
    char **v;
    size_t n;
};

struct config_listen {
    char *address; /* host:port or [v6]:port, checked */
    char *route;   /* name of a route, or NULL */
    unsigned line; /* where the item begins, for later errors */
};

struct config_upstream {
    char *url; /* http or https, no userinfo, no query, no trailing slash */
    char *username;
    char *password; /* read from password_file, one trailing line end dropped; NULL without */
    struct config_strings token_realms;
    unsigned line;
};

struct config_route {
    char *name;
    char *protocol;
    struct config_strings namespaces;
    struct config_strings hosts;
    bool is_default;
    char *prefix;     /* "/pypi": begins with '/', no '/' at the end; NULL without */
    bool passthrough; /* the client's own credentials go upstream */
    bool cache;
    struct config_strings file_hosts; /* further hosts that index pages may link to */
    struct config_strings immutable;  /* patterns of paths whose bytes never change */
    struct config_upstream *upstreams;
    size_t upstream_count;
    int64_t ttl_ms;
    int64_t negative_ttl_ms;
    int64_t stale_for_ms;
    int64_t stale_while_refreshing_ms;
    int64_t patience_ms;
    unsigned line;
};

struct config {
    struct config_listen *listen;
    size_t listen_count;
    char *admin_address;
    int64_t workers;  /* 0: one per CPU */
    char *public_url; /* http or https, no trailing slash; NULL: from the request */
    char *storage_path;
    int64_t storage_max_size; /* bytes */
    enum log_level log_level;
    enum log_format log_format;
    bool log_access;
    char *egress_proxy;   /* NULL: from the environment */
    char *egress_ca_file; /* NULL: the system's */
    int64_t connect_timeout_ms;
    int64_t response_timeout_ms;
    int64_t stall_timeout_ms;
    int64_t idle_timeout_ms;
    int64_t request_timeout_ms;
    int64_t send_timeout_ms;
    int64_t wait_timeout_ms;
    int64_t stop_timeout_ms;
    int64_t max_connections;
    struct config_route *routes;
    size_t route_count;
};

/* What a route may speak, and which keys mean something to it then. */
struct config_protocol {
    struct slice name;
    /*
     * Requests under this path find their route by `namespaces` and `default`, and no prefix may be
     * there. Empty: those two keys mean nothing, and `prefix` selects a route.
     */
    struct slice root;
    bool takes_passthrough;
    bool takes_file_hosts;
    bool takes_immutable;
};

/*
 * Reads and checks the whole file. `protocols` is ended by NULL (this floor does not know them). On
 * failure returns ERR_CONFIG, leaves *out NULL and puts one line per fault ("FILE:LINE: key.path:
 * what is wrong") into `errors`, 20 lines at most.
 */
YT_MUST_CHECK enum err config_load(const char *file, const struct config_protocol *const *protocols,
                                   struct config **out, struct buf *errors);
/* The same from memory; `name` stands where FILE does. Files that it names are read. */
YT_MUST_CHECK enum err config_parse(const char *name, struct slice text,
                                    const struct config_protocol *const *protocols,
                                    struct config **out, struct buf *errors);
/* Also wipes the passwords. */
void config_free(struct config **config);

/* The table of keys as Markdown: key, type, default, meaning. */
void config_reference(struct buf *out);

#endif
