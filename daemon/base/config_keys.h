/*
 * The one list of configuration keys. A row makes the key known, gives its type, bounds, default
 * and help text; parser, defaults, checks and reference follow. Included by config.c alone.
 */
#ifndef YT_BASE_CONFIG_KEYS_H
#define YT_BASE_CONFIG_KEYS_H

#include "base/config.h"
#include "config_value.h"

#define REQUIRED .fallback = NULL
#define DEFAULT(text) .fallback = (text)
#define BETWEEN(low, high) .min = (low), .max = (high)
#define ONE_OF(names) .choices = (names)

/* A value: member of the struct that its section is read into. */
#define KEY(section_, name_, kind_, struct_, member_, help_, ...)                                  \
    {                                                                                              \
        .section = (section_), .name = (name_), .kind = CONFIG_##kind_,                            \
        .offset = offsetof(struct struct_, member_), .help = (help_), __VA_ARGS__                  \
    }

/* A map of keys, which are read into the same struct as the map's own section. */
#define MAP(name_, help_)                                                                          \
    {                                                                                              \
        .section = "", .name = (name_), .kind = CONFIG_MAP, .items = (name_), .fallback = "",      \
        .help = (help_)                                                                            \
    }

/* A list of maps, each read into an item of an array. */
#define LIST(section_, name_, items_, struct_, member_, count_, item_struct_, help_)               \
    {                                                                                              \
        .section = (section_), .name = (name_), .kind = CONFIG_LIST, .items = (items_),            \
        .offset = offsetof(struct struct_, member_),                                               \
        .count_offset = offsetof(struct struct_, count_),                                          \
        .item_size = sizeof(struct item_struct_),                                                  \
        .line_offset = offsetof(struct item_struct_, line), .help = (help_)                        \
    }

#define MS(n) INT64_C(n)
#define SECONDS(n) (1000 * INT64_C(n))
#define MINUTES(n) (60 * SECONDS(n))
#define HOURS(n) (60 * MINUTES(n))
#define DAYS(n) (24 * HOURS(n))
#define MIB(n) (1048576 * INT64_C(n))
#define TIB(n) (1048576 * MIB(n))

#define TOP ""
#define LISTEN "listen[]"
#define ROUTE "routes[]"
#define UPSTREAM "routes[].upstreams[]"

/* clang-format off */
static const struct config_key config_keys[] = {
LIST(TOP, "listen", LISTEN, config, listen, listen_count, config_listen,
    "Where clients connect."),
KEY(LISTEN, "address", ADDRESS, config_listen, address,
    "`host:port` or `[v6]:port`.",
    REQUIRED),
KEY(LISTEN, "route", STRING, config_listen, route,
    "Name of the route that everything on this listener belongs to; empty: the request decides.",
    DEFAULT("")),

MAP("admin", "Health and metrics, for operators only."),
KEY("admin", "address", ADDRESS, config, admin_address,
    "Where `/healthz`, `/readyz` and `/metrics` are served.",
    DEFAULT("127.0.0.1:5001")),

KEY(TOP, "workers", INT, config, workers,
    "Threads that serve clients; 0: one per CPU.",
    DEFAULT("0"), BETWEEN(0, 256)),

KEY(TOP, "public_url", URL, config, public_url,
    "What links to routes with a `prefix` start with; empty: `http://` and the request's Host.",
    DEFAULT("")),

MAP("storage", "What is kept on disk."),
KEY("storage", "path", STRING, config, storage_path,
    "Folder of the store; made if it is missing.",
    DEFAULT("/var/lib/yantian")),
KEY("storage", "max_size", SIZE, config, storage_max_size,
    "How much disk the store may use; the least recently used goes first.",
    DEFAULT("100GiB"), BETWEEN(MIB(1), TIB(1024))),

MAP("log", "Log lines on standard error."),
KEY("log", "level", ENUM, config, log_level,
    "What is logged at least.",
    DEFAULT("info"), ONE_OF("error|warn|info|debug")),
KEY("log", "format", ENUM, config, log_format,
    "`key=value` text, or one JSON object per line.",
    DEFAULT("text"), ONE_OF("text|json")),
KEY("log", "access", BOOL, config, log_access,
    "One line per request.",
    DEFAULT("true")),

MAP("egress", "How upstreams are reached."),
KEY("egress", "proxy", PROXY, config, egress_proxy,
    "URL of the proxy for all upstreams; empty: from the environment, if there.",
    DEFAULT("")),
KEY("egress", "ca_file", FILE, config, egress_ca_file,
    "PEM file of the authorities to trust; empty: the system's.",
    DEFAULT("")),
KEY("egress", "connect_timeout", DURATION, config, connect_timeout_ms,
    "Longest wait for a connection to an upstream, TLS included.",
    DEFAULT("5s"), BETWEEN(MS(10), MINUTES(5))),
KEY("egress", "response_timeout", DURATION, config, response_timeout_ms,
    "Longest wait for the head of an upstream's answer.",
    DEFAULT("20s"), BETWEEN(MS(10), HOURS(1))),
KEY("egress", "stall_timeout", DURATION, config, stall_timeout_ms,
    "An upstream that sends nothing of a body for so long has failed.",
    DEFAULT("30s"), BETWEEN(MS(10), HOURS(1))),

MAP("client", "Bounds on what clients may take."),
KEY("client", "idle_timeout", DURATION, config, idle_timeout_ms,
    "A connection without a request is closed after so long.",
    DEFAULT("75s"), BETWEEN(MS(10), DAYS(1))),
KEY("client", "request_timeout", DURATION, config, request_timeout_ms,
    "A request must be in, head and body, after so long.",
    DEFAULT("30s"), BETWEEN(MS(10), HOURS(1))),
KEY("client", "send_timeout", DURATION, config, send_timeout_ms,
    "A client must take 1 KiB per second of its answer; judged each time so long has passed.",
    DEFAULT("60s"), BETWEEN(MS(10), HOURS(1))),
KEY("client", "wait_timeout", DURATION, config, wait_timeout_ms,
    "Longest wait for the head of an answer of which no copy is held; then 503.",
    DEFAULT("25s"), BETWEEN(MS(10), HOURS(1))),
KEY("client", "stop_timeout", DURATION, config, stop_timeout_ms,
    "How long a stop waits for answers that are under way.",
    DEFAULT("30s"), BETWEEN(0, DAYS(1))),
KEY("client", "max_connections", INT, config, max_connections,
    "Client connections at one time; more are refused.",
    DEFAULT("20000"), BETWEEN(1, 1000000)),

LIST(TOP, "routes", ROUTE, config, routes, route_count, config_route,
    "What is cached, and from where."),
KEY(ROUTE, "name", NAME, config_route, name,
    "Letters, digits, `.`, `_` and `-`; names the route in logs and in listeners.",
    REQUIRED),
KEY(ROUTE, "protocol", PROTOCOL, config_route, protocol,
    "What the clients speak.",
    REQUIRED),
KEY(ROUTE, "namespaces", HOSTS, config_route, namespaces,
    "Registries that this route answers for, as `?ns=` or as the first part of the path name them.",
    DEFAULT("[]")),
KEY(ROUTE, "hosts", HOSTS, config_route, hosts,
    "Values of the Host header that select this route.",
    DEFAULT("[]")),
KEY(ROUTE, "default", BOOL, config_route, is_default,
    "Takes the requests of its protocol that name no route otherwise.",
    DEFAULT("false")),
KEY(ROUTE, "prefix", PREFIX, config_route, prefix,
    "Path that selects this route, and is taken off before the upstream is asked.",
    DEFAULT("")),
KEY(ROUTE, "auth", EITHER, config_route, passthrough,
    "`passthrough`: the clients' own credentials go to the upstream; what they bring is theirs alone.",
    DEFAULT("none"), ONE_OF("none|passthrough")),
KEY(ROUTE, "cache", BOOL, config_route, cache,
    "`false`: relay only, store nothing.",
    DEFAULT("true")),
KEY(ROUTE, "file_hosts", HOSTS, config_route, file_hosts,
    "Hosts that index pages may link to, besides the upstreams' own; without a port: any port.",
    DEFAULT("[]")),
KEY(ROUTE, "immutable", PATTERNS, config_route, immutable,
    "Paths whose bytes never change: in a segment `*` is any text, `?` one byte; `**` is any segments.",
    DEFAULT("[]")),
LIST(ROUTE, "upstreams", UPSTREAM, config_route, upstreams, upstream_count, config_upstream,
    "Where the route's content comes from, tried in this order."),
KEY(UPSTREAM, "url", URL, config_upstream, url,
    "`http://` or `https://`, host, port, path; no user name, query or fragment.",
    REQUIRED),
KEY(UPSTREAM, "username", STRING, config_upstream, username,
    "The cache's own account at the upstream; empty: anonymous.",
    DEFAULT("")),
KEY(UPSTREAM, "password_file", PASSWORD_FILE, config_upstream, password,
    "File with the account's password or token.",
    DEFAULT("")),
KEY(UPSTREAM, "token_realms", HOSTS, config_upstream, token_realms,
    "Hosts that may issue tokens, besides the upstream's own and its siblings in the same domain.",
    DEFAULT("[]")),
KEY(ROUTE, "ttl", DURATION, config_route, ttl_ms,
    "How long a tag or an index page is fresh.",
    DEFAULT("5m"), BETWEEN(0, DAYS(3650))),
KEY(ROUTE, "negative_ttl", DURATION, config_route, negative_ttl_ms,
    "How long an upstream's 404 is remembered.",
    DEFAULT("10s"), BETWEEN(0, DAYS(1))),
KEY(ROUTE, "stale_for", DURATION, config_route, stale_for_ms,
    "How long after its freshness a copy may be served when the upstreams fail.",
    DEFAULT("30d"), BETWEEN(0, DAYS(3650))),
KEY(ROUTE, "stale_while_refreshing", DURATION, config_route, stale_while_refreshing_ms,
    "How long after its freshness a copy is served at once while it is refreshed.",
    DEFAULT("1m"), BETWEEN(0, DAYS(3650))),
KEY(ROUTE, "patience", DURATION, config_route, patience_ms,
    "How long a client waits for a refresh when a copy is held.",
    DEFAULT("2s"), BETWEEN(0, HOURS(1))),
};
/* clang-format on */

#endif
