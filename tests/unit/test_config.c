#include "daemon/base/config.c"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "config_kit.h"

static void assert_url(const char *url, const char *expected)
{
    char text[1024];
    char error[256];

    snprintf(text, sizeof text,
             LISTEN_PART "routes: [{name: a, protocol: oci, upstreams: [\n{url: \"%s\"}]}]\n", url);
    snprintf(error, sizeof error, "%s%s%s", expected[0] ? "F:4: routes[0].upstreams[0].url: " : "",
             expected, expected[0] ? "\n" : "");
    assert_errors(text, error);
}

static void assert_address(const char *address, bool good)
{
    char text[1024];

    snprintf(text, sizeof text, "listen: [{address: \"%s\"}]\n" ROUTE_PART, address);
    assert_errors(text, good ? ""
                             : "F:1: listen[0].address: must be host:port or [v6]:port, with "
                               "a port from 1 to 65535\n");
}

/* A new file with the content; the caller unlinks it. */
static void make_file(char path[32], struct slice content)
{
    strcpy(path, "/tmp/yantian-test-XXXXXX");
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, content.p, content.n), content.n);
    assert_int_equal(close(fd), 0);
}

/* --- good configurations --- */

static void test_defaults(void **state)
{
    struct config *c = parse(MINIMAL);

    (void)state;
    assert_int_equal(c->listen_count, 1);
    assert_string_equal(c->listen[0].address, "127.0.0.1:5000");
    assert_null(c->listen[0].route);
    assert_int_equal(c->listen[0].line, 2);
    assert_string_equal(c->admin_address, "127.0.0.1:5001");
    assert_int_equal(c->workers, 0);
    assert_null(c->public_url);
    assert_string_equal(c->storage_path, "/var/lib/yantian");
    assert_true(c->storage_max_size == INT64_C(100) << 30);
    assert_int_equal(c->log_level, LOG_LEVEL_INFO);
    assert_int_equal(c->log_format, LOG_FORMAT_TEXT);
    assert_true(c->log_access);
    assert_null(c->egress_proxy);
    assert_null(c->egress_ca_file);
    assert_int_equal(c->connect_timeout_ms, 5000);
    assert_int_equal(c->response_timeout_ms, 20000);
    assert_int_equal(c->stall_timeout_ms, 30000);
    assert_int_equal(c->idle_timeout_ms, 75000);
    assert_int_equal(c->request_timeout_ms, 30000);
    assert_int_equal(c->send_timeout_ms, 60000);
    assert_int_equal(c->wait_timeout_ms, 25000);
    assert_int_equal(c->stop_timeout_ms, 30000);
    assert_int_equal(c->max_connections, 20000);
    config_free(&c);
    assert_null(c);
    config_free(&c);
}

static void test_route_defaults(void **state)
{
    struct config *c = parse(MINIMAL);
    const struct config_route *route = &c->routes[0];

    (void)state;
    assert_int_equal(c->route_count, 1);
    assert_string_equal(route->name, "hub");
    assert_string_equal(route->protocol, "oci");
    assert_int_equal(route->line, 4);
    assert_int_equal(route->namespaces.n, 0);
    assert_int_equal(route->hosts.n, 0);
    assert_false(route->is_default);
    assert_null(route->prefix);
    assert_false(route->passthrough);
    assert_true(route->cache);
    assert_int_equal(route->file_hosts.n, 0);
    assert_int_equal(route->immutable.n, 0);
    assert_int_equal(route->ttl_ms, 300000);
    assert_int_equal(route->negative_ttl_ms, 10000);
    assert_true(route->stale_for_ms == INT64_C(30) * 86400000);
    assert_int_equal(route->stale_while_refreshing_ms, 60000);
    assert_int_equal(route->patience_ms, 2000);
    assert_int_equal(route->upstream_count, 1);
    assert_string_equal(route->upstreams[0].url, "http://hub.test");
    assert_int_equal(route->upstreams[0].line, 7);
    assert_null(route->upstreams[0].username);
    assert_null(route->upstreams[0].password);
    assert_int_equal(route->upstreams[0].token_realms.n, 0);
    config_free(&c);
}

static void test_values_are_taken(void **state)
{
    struct config *c = parse("workers: 3\n"
                             "admin: {address: '[::1]:9'}\n"
                             "storage: {path: ./var, max_size: 3MiB}\n"
                             "log: {level: debug, format: json, access: false}\n"
                             "egress: {proxy: 'http://u:p@proxy:3128/', connect_timeout: 250ms}\n"
                             "client: {max_connections: 7, stop_timeout: 0s}\n" MINIMAL
                             "    namespaces: [docker.io, \"registry:5000\"]\n"
                             "    hosts: [hub.test]\n"
                             "    default: true\n"
                             "    cache: false\n"
                             "    ttl: 2h\n"
                             "  - name: other\n"
                             "    protocol: toy\n"
                             "    default: true\n"
                             "    upstreams:\n"
                             "      - url: https://a.test/prefix//\n"
                             "        token_realms: [auth.test]\n"
                             "      - {url: \"https://[::1]:8443/\"}\n");

    (void)state;
    assert_int_equal(c->workers, 3);
    assert_string_equal(c->admin_address, "[::1]:9");
    assert_string_equal(c->storage_path, "./var");
    assert_int_equal(c->storage_max_size, 3 << 20);
    assert_int_equal(c->log_level, LOG_LEVEL_DEBUG);
    assert_int_equal(c->log_format, LOG_FORMAT_JSON);
    assert_false(c->log_access);
    assert_string_equal(c->egress_proxy, "http://u:p@proxy:3128/");
    assert_int_equal(c->connect_timeout_ms, 250);
    assert_int_equal(c->max_connections, 7);
    assert_int_equal(c->stop_timeout_ms, 0);
    assert_int_equal(c->routes[0].namespaces.n, 2);
    assert_string_equal(c->routes[0].namespaces.v[1], "registry:5000");
    assert_string_equal(c->routes[0].hosts.v[0], "hub.test");
    assert_true(c->routes[0].is_default);
    assert_false(c->routes[0].cache);
    assert_int_equal(c->routes[0].ttl_ms, 7200000);
    assert_int_equal(c->route_count, 2);
    assert_int_equal(c->routes[1].upstream_count, 2);
    assert_string_equal(c->routes[1].upstreams[0].url, "https://a.test/prefix");
    assert_string_equal(c->routes[1].upstreams[0].token_realms.v[0], "auth.test");
    assert_string_equal(c->routes[1].upstreams[1].url, "https://[::1]:8443");
    config_free(&c);
}

static void test_keys_of_package_routes_are_taken(void **state)
{
    struct config *c = parse("public_url: https://cache.test/mirrors/\n" LISTEN_PART "routes:\n"
                             "  - name: python\n"
                             "    protocol: pypi\n"
                             "    prefix: /pypi/a.b_c~d-e/\n"
                             "    auth: passthrough\n"
                             "    file_hosts: [files.test, 'files.test:8443', '[::1]']\n"
                             "    upstreams: [{url: http://a.test}]\n"
                             "  - name: debian\n"
                             "    protocol: generic\n"
                             "    prefix: /debian\n"
                             "    auth: none\n"
                             "    immutable: [/pool/**, \"*.deb\", '/a%2fb?c']\n"
                             "    upstreams: [{url: http://a.test}]\n");

    (void)state;
    assert_string_equal(c->public_url, "https://cache.test/mirrors");
    assert_string_equal(c->routes[0].prefix, "/pypi/a.b_c~d-e");
    assert_true(c->routes[0].passthrough);
    assert_int_equal(c->routes[0].file_hosts.n, 3);
    assert_string_equal(c->routes[0].file_hosts.v[1], "files.test:8443");
    assert_false(c->routes[1].passthrough);
    assert_int_equal(c->routes[1].immutable.n, 3);
    assert_string_equal(c->routes[1].immutable.v[2], "/a%2fb?c");
    config_free(&c);
}

/* --- the shipped file and the table --- */

static void assert_well_formed_row(const struct config_key *key)
{
    const struct config_key *first = find_key(key->section, key->name);

    assert_ptr_equal(key, first);
    assert_true(strlen(key->help) > 0);
    if (key->kind == CONFIG_INT || key->kind == CONFIG_DURATION || key->kind == CONFIG_SIZE)
        assert_true(key->min < key->max);
    else
        assert_true(key->min == 0 && key->max == 0);
    assert_int_equal(key->kind == CONFIG_ENUM || key->kind == CONFIG_EITHER, key->choices != NULL);
    assert_int_equal(key->kind == CONFIG_MAP || key->kind == CONFIG_LIST, key->items != NULL);
}

static void test_table_rows_are_well_formed(void **state)
{
    (void)state;
    for (size_t i = 0; i < KEY_COUNT; i++)
        assert_well_formed_row(&config_keys[i]);
}

/* The first node at a row of the table, in this node or below; `section` is that of the node. */
static const struct yaml_node *find_mention(const struct yaml_node *node, const char *section,
                                            const struct config_key *wanted)
{
    const struct yaml_node *found = NULL;

    for (const struct yaml_node *child = node->first; child && !found; child = child->next) {
        if (node->kind == NODE_LIST) {
            found = find_mention(child, section, wanted);
        } else if (node->kind == NODE_MAP) {
            const struct config_key *key = find_key(section, child->key);
            if (key == wanted)
                return child;
            if (key->items)
                found = find_mention(child, key->items, wanted);
        }
    }
    return found;
}

static struct slice line_of(struct slice text, unsigned line)
{
    for (; line > 1; line--)
        text = slice_from(text, slice_find(text, '\n') + 1);
    return slice_to(text, slice_find(text, '\n'));
}

static void test_shipped_file_names_and_explains_every_key(void **state)
{
    struct arena arena;
    struct faults faults = {.n = 0};
    struct buf text;

    (void)state;
    buf_init(&text, 1 << 20);
    arena_init(&arena, NULL, 0, 32 << 20);
    assert_int_equal(read_file(SHIPPED, &text, NULL), ERR_OK);
    const struct yaml_node *root = yaml_tree_build(buf_slice(&text), &arena, &faults);
    assert_int_equal(faults.n, 0);
    for (size_t i = 0; i < KEY_COUNT; i++) {
        const struct config_key *key = &config_keys[i];
        const struct yaml_node *node = find_mention(root, TOP, key);
        if (!node)
            fail_msg("%s does not name %s.%s", SHIPPED, key->section, key->name);
        struct slice line = line_of(buf_slice(&text), node->line);
        if (slice_find(line, '#') == line.n)
            fail_msg("%s:%u: %s.%s has no comment", SHIPPED, node->line, key->section, key->name);
    }
    arena_reset(&arena);
    buf_free(&text);
}

/* What the shipped file shows for a key is also what holds when the key is left out. */
static void assert_same_settings(const struct config *a, const struct config *b)
{
    assert_string_equal(a->admin_address, b->admin_address);
    assert_string_equal(a->storage_path, b->storage_path);
    assert_true(a->storage_max_size == b->storage_max_size);
    assert_int_equal(a->workers, b->workers);
    assert_int_equal(a->log_level, b->log_level);
    assert_int_equal(a->log_format, b->log_format);
    assert_int_equal(a->log_access, b->log_access);
    assert_true(!a->egress_proxy && !a->egress_ca_file && !a->public_url);
    assert_int_equal(a->connect_timeout_ms, b->connect_timeout_ms);
    assert_int_equal(a->response_timeout_ms, b->response_timeout_ms);
    assert_int_equal(a->stall_timeout_ms, b->stall_timeout_ms);
    assert_int_equal(a->idle_timeout_ms, b->idle_timeout_ms);
    assert_int_equal(a->request_timeout_ms, b->request_timeout_ms);
    assert_int_equal(a->send_timeout_ms, b->send_timeout_ms);
    assert_int_equal(a->wait_timeout_ms, b->wait_timeout_ms);
    assert_int_equal(a->stop_timeout_ms, b->stop_timeout_ms);
    assert_int_equal(a->max_connections, b->max_connections);
    assert_int_equal(a->routes[0].ttl_ms, b->routes[0].ttl_ms);
    assert_int_equal(a->routes[0].negative_ttl_ms, b->routes[0].negative_ttl_ms);
    assert_true(a->routes[0].stale_for_ms == b->routes[0].stale_for_ms);
    assert_int_equal(a->routes[0].stale_while_refreshing_ms,
                     b->routes[0].stale_while_refreshing_ms);
    assert_int_equal(a->routes[0].patience_ms, b->routes[0].patience_ms);
}

static void test_shipped_file_loads_and_shows_the_defaults(void **state)
{
    struct config *minimal = parse(MINIMAL);
    struct config *shipped = NULL;
    struct buf errors;

    (void)state;
    buf_init(&errors, 1 << 16);
    assert_int_equal(config_load(SHIPPED, protocols, &shipped, &errors), ERR_OK);
    assert_int_equal(errors.n, 0);
    assert_same_settings(shipped, minimal);
    assert_string_equal(shipped->routes[0].upstreams[0].url, "https://registry-1.docker.io");
    assert_true(shipped->routes[0].is_default);
    assert_string_equal(shipped->routes[1].hosts.v[0], "registry.cn-shenzhen.aliyuncs.com");
    assert_string_equal(shipped->routes[shipped->route_count - 2].prefix, "/pypi");
    assert_string_equal(shipped->routes[shipped->route_count - 1].prefix, "/npm");
    config_free(&shipped);
    config_free(&minimal);
    buf_free(&errors);
}

static void assert_reference_has(const struct buf *reference, const char *row)
{
    if (!memmem(reference->p, reference->n, row, strlen(row)))
        fail_msg("the reference has no row %s", row);
}

static void test_reference_has_a_row_for_each_key(void **state)
{
    struct buf out;
    size_t lines = 0;

    (void)state;
    buf_init(&out, 1 << 16);
    config_reference(&out);
    assert_false(out.failed);
    for (size_t i = 0; i < out.n; i++)
        lines += out.p[i] == '\n';
    assert_int_equal(lines, KEY_COUNT + 2);
    assert_reference_has(&out, "\n| `egress.connect_timeout` | duration, 10ms to 5m | `5s` | ");
    assert_reference_has(&out, "\n| `storage.max_size` | size, 1MiB to 1024TiB | `100GiB` | ");
    assert_reference_has(&out, "\n| `workers` | number, 0 to 256 | `0` | ");
    assert_reference_has(&out, "\n| `log.format` | one of: text, json | `text` | ");
    assert_reference_has(&out, "\n| `routes[].upstreams[].url` | URL | required | ");
    assert_reference_has(&out, "\n| `routes[].hosts` | list of hosts | `[]` | ");
    assert_reference_has(&out, "\n| `routes[].prefix` | path | `\"\"` | ");
    assert_reference_has(&out, "\n| `routes[].auth` | one of: none, passthrough | `none` | ");
    assert_reference_has(&out, "\n| `routes[].immutable` | list of patterns | `[]` | ");
    assert_reference_has(&out, "\n| `egress.proxy` | URL | `\"\"` | ");
    assert_reference_has(&out, "\n| `storage` | map |  | ");
    buf_free(&out);
}

/* --- faults of the shape --- */

static void test_missing_parts(void **state)
{
    (void)state;
    assert_errors("log: {}\n", "F:1: listen: is missing\nF:1: routes: is missing\n");
    assert_errors("listen: []\nroutes: []\n", "F:1: listen: needs at least one entry\n"
                                              "F:2: routes: needs at least one entry\n");
    assert_errors("listen:\n  - {}\nroutes:\n  - upstreams: []\n  - upstreams:\n      - {}\n",
                  "F:2: listen[0].address: is missing\n"
                  "F:4: routes[0].name: is missing\n"
                  "F:4: routes[0].protocol: is missing\n"
                  "F:4: routes[0].upstreams: needs at least one entry\n"
                  "F:5: routes[1].name: is missing\n"
                  "F:5: routes[1].protocol: is missing\n"
                  "F:6: routes[1].upstreams[0].url: is missing\n");
    assert_errors(LISTEN_PART "routes:\n  - name: a\n    protocol: oci\n",
                  "F:4: routes[0].upstreams: is missing\n");
}

static void test_wrong_shapes(void **state)
{
    (void)state;
    assert_errors("[]\n", "F:1: must be a map of keys\n");
    assert_errors("text\n", "F:1: must be a map of keys\n");
    assert_errors("listen: {}\nroutes: x\n", "F:1: listen: must be a list of maps\n"
                                             "F:2: routes: must be a list of maps\n");
    assert_errors("admin: []\nlog:\nstorage: x\n" MINIMAL, "F:1: admin: must be a map of keys\n"
                                                           "F:2: log: must be a map of keys\n"
                                                           "F:3: storage: must be a map of keys\n");
    assert_errors("listen: [5000]\n" ROUTE_PART, "F:1: listen[0]: must be a map of keys\n");
    assert_errors("workers: [1]\nlog: {level: {}}\n" MINIMAL,
                  "F:1: workers: must be one value, not a list\n"
                  "F:2: log.level: must be one value, not a map\n");
    assert_route_line("hosts: a.test", "F:8: routes[0].hosts: must be a list of host names\n");
}

static void test_unknown_keys(void **state)
{
    (void)state;
    assert_errors("log: {levle: info}\nLog: {}\n<<: {}\n" MINIMAL,
                  "F:1: log.levle: unknown key; known here: level, format, access\n"
                  "F:2: Log: unknown key; known here: listen, admin, workers, public_url, storage, "
                  "log, egress, client, routes\n"
                  "F:3: <<: unknown key; known here: listen, admin, workers, public_url, storage, "
                  "log, egress, client, routes\n");
    assert_errors("listen:\n  - address: 127.0.0.1:1\n    port: 2\n" ROUTE_PART,
                  "F:3: listen[0].port: unknown key; known here: address, route\n");
}

static void test_nothing_is_ignored(void **state)
{
    (void)state;
    assert_errors(MINIMAL "---\nworkers: 1\n", "F:8: only one document is allowed\n");
    assert_errors("workers: !!int 1\n" MINIMAL, "F:1: tags (!) are not supported\n");
    assert_errors("workers: &w 1\n" MINIMAL, "F:1: anchors (&) are not supported\n");
    assert_errors("workers: 1\nworkers: 1\n" MINIMAL,
                  "F:2: workers: given twice, first at line 1\n");
    assert_errors("workers:\nstorage: {path: ~, max_size: null}\n" MINIMAL,
                  "F:1: workers: has no value\n"
                  "F:2: storage.path: has no value\n"
                  "F:2: storage.max_size: has no value\n");
    assert_errors("storage: {path: ''}\n" MINIMAL, "F:1: storage.path: must not be empty\n");
    assert_route_line("hosts: [a.test, ]", "");
    assert_route_line("hosts: [a.test, ~, '']", "F:8: routes[0].hosts[1]: has no value\n"
                                                "F:8: routes[0].hosts[2]: must not be empty\n");
}

static void test_all_faults_at_once_in_line_order_up_to_20(void **state)
{
    char text[4096] = MINIMAL;
    char expected[4096] = "";

    (void)state;
    for (int i = 8; i < 8 + FAULTS_MAX + 5; i++) {
        sprintf(text + strlen(text), "k%d: 1\n", i);
        if (i < 8 + FAULTS_MAX)
            sprintf(
                expected + strlen(expected),
                "F:%d: k%d: unknown key; known here: listen, admin, workers, public_url, storage, "
                "log, egress, client, routes\n",
                i, i);
    }
    assert_errors(text, expected);
}

/* --- faults of single values --- */

static void test_numbers(void **state)
{
    static const char *const bad[] = {
        "-1", "1.5", "0x10", "1e3", "''", "two", "\"2\"", "1 2", "99999999999999999999", "1s"};
    char text[1024];

    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        snprintf(text, sizeof text, "workers: %s\n" MINIMAL, bad[i]);
        assert_errors(text, strcmp(bad[i], "''") == 0 ? "F:1: workers: must not be empty\n"
                                                      : "F:1: workers: must be a whole number\n");
    }
    assert_errors("workers: 257\n" MINIMAL, "F:1: workers: must be between 0 and 256\n");
    assert_errors("client: {max_connections: 0}\n" MINIMAL,
                  "F:1: client.max_connections: must be between 1 and 1000000\n");
}

static void test_durations(void **state)
{
    static const char *const bad[] = {"5",
                                      "5 s",
                                      "5S",
                                      "5sec",
                                      "s",
                                      "-5s",
                                      "1h30m",
                                      "1.5h",
                                      "5w",
                                      "106751991168d",
                                      "18446744073709551615ms"};
    char line[64];

    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        snprintf(line, sizeof line, "ttl: %s", bad[i]);
        assert_route_line(line, "F:8: routes[0].ttl: must be a duration such as 250ms, 90s, 5m, "
                                "2h or 30d\n");
    }
    assert_route_line("ttl: 0s", "");
    assert_route_line("ttl: \"90s\"", "");
    assert_route_line("ttl: 3651d", "F:8: routes[0].ttl: must be between 0ms and 3650d\n");
    assert_route_line("patience: 61m", "F:8: routes[0].patience: must be between 0ms and 1h\n");
    assert_errors("egress: {connect_timeout: 9ms}\n" MINIMAL,
                  "F:1: egress.connect_timeout: must be between 10ms and 5m\n");
}

static void test_sizes(void **state)
{
    static const char *const bad[] = {"10MB", "10 MiB", "10mib",      "1.5GiB",
                                      "MiB",  "-1MiB",  "8388608TiB", "10M"};
    char text[1024];

    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        snprintf(text, sizeof text, "storage: {max_size: %s}\n" MINIMAL, bad[i]);
        assert_errors(text, "F:1: storage.max_size: must be a size such as 4096, 64KiB, 10MiB, "
                            "100GiB or 1TiB\n");
    }
    assert_errors("storage: {max_size: 1048576}\n" MINIMAL, "");
    assert_errors("storage: {max_size: 2TiB}\n" MINIMAL, "");
    assert_errors("storage: {max_size: 4096}\n" MINIMAL,
                  "F:1: storage.max_size: must be between 1MiB and 1024TiB\n");
}

static void test_booleans_and_choices(void **state)
{
    static const char *const bad[] = {"yes", "no", "on", "True", "TRUE", "1", "'true'"};
    char line[64];

    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        snprintf(line, sizeof line, "cache: %s", bad[i]);
        assert_route_line(line, "F:8: routes[0].cache: must be true or false\n");
    }
    assert_errors("log: {level: Info, format: text|json}\n" MINIMAL,
                  "F:1: log.level: must be one of: error, warn, info, debug\n"
                  "F:1: log.format: must be one of: text, json\n");
    assert_errors(LISTEN_PART
                  "routes:\n  - {name: a, protocol: ftp, upstreams: [{url: http://a}]}\n",
                  "F:4: routes[0].protocol: must be one of: oci, toy, pypi, npm, generic\n");
}

static void test_names(void **state)
{
    (void)state;
    assert_errors(LISTEN_PART
                  "routes:\n  - {name: a b, protocol: oci, upstreams: [{url: http://a}]}\n"
                  "  - {name: \"a\\nb\", protocol: oci, upstreams: [{url: http://a}]}\n"
                  "  - {name: A-z_0.9, protocol: oci, upstreams: [{url: http://a}]}\n",
                  "F:4: routes[0].name: must be letters, digits, '.', '_' and '-', at most 64\n"
                  "F:5: routes[1].name: must hold no line end and no other control character\n");
}

static void test_addresses(void **state)
{
    static const char *const good[] = {"0.0.0.0:1", "localhost:65535", "[::]:5000", "[::1]:80",
                                       "cache_1.rack-2.test:5000"};
    static const char *const bad[] = {"5000",
                                      ":5000",
                                      "localhost",
                                      "localhost:",
                                      "localhost:0",
                                      "localhost:65536",
                                      "localhost:x",
                                      "1.2.3:80",
                                      "256.1.1.1:80",
                                      "::1:80",
                                      "[::1]",
                                      "[::1:80",
                                      "[fe80::1%lo]:80",
                                      "[]:80",
                                      "a b:80",
                                      "a..b:80",
                                      "-a:80",
                                      "a:080000",
                                      "[::1]x:80",
                                      "*:80"};

    (void)state;
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++)
        assert_address(good[i], true);
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_address(bad[i], false);
}

static void test_urls(void **state)
{
    static const char *const good[] = {"http://a", "https://a.test:5000", "https://a.test/x/y@z",
                                       "http://[::1]:80/", "http://127.0.0.1:1"};
    static const char *const bad[] = {
        "a.test",     "ftp://a.test", "http:/a",      "http://",     "https:///x", "HTTP://a.test",
        "http://a:0", "http://a b",   "http://a/b c", "http://a/盐", "//a.test",   "http://a:b/c"};

    (void)state;
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++)
        assert_url(good[i], "");
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_url(bad[i], "must be http://host[:port][/path] or https://host[:port][/path]");
    assert_url("http://a/?x=1", "must have no query and no fragment");
    assert_url("http://a#x", "must have no query and no fragment");
    assert_url("https://u:secret@a.test", "must hold no credentials: use username and "
                                          "password_file");
    assert_url("https://u@a.test/x", "must hold no credentials: use username and password_file");
}

static void test_proxy(void **state)
{
    static const char *const bad[] = {"proxy:3128", "ftp://proxy",      "http://proxy/x",
                                      "http://",    "http://u:secret@", "http://pro xy"};
    char text[1024];

    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        snprintf(text, sizeof text, "egress: {proxy: '%s'}\n" MINIMAL, bad[i]);
        assert_errors(text, "F:1: egress.proxy: must be scheme://host:port with the scheme http, "
                            "https, socks5 or socks5h\n");
    }
    assert_errors("egress: {proxy: 'socks5h://u:p@[::1]:1080'}\n" MINIMAL, "");
}

static void test_hosts(void **state)
{
    (void)state;
    assert_route_line("hosts: [a.test, 'b.test:5000', 10.0.0.1, '[::1]:80']", "");
    assert_route_line("hosts: [\"http://a\", a/b, 'a:b', [x]]",
                      "F:8: routes[0].hosts[0]: must be a host name, with :port if need be\n"
                      "F:8: routes[0].hosts[1]: must be a host name, with :port if need be\n"
                      "F:8: routes[0].hosts[2]: must be a host name, with :port if need be\n"
                      "F:8: routes[0].hosts[3]: must be one value, not a list\n");
}

/* A route of protocol pypi that its prefix selects, and what is said about that. */
static void assert_prefix(const char *prefix, const char *expected)
{
    char text[1024];
    char error[256];

    snprintf(text, sizeof text,
             LISTEN_PART "routes: [{name: a, protocol: pypi, upstreams: [{url: http://a}],\n"
                         "prefix: \"%s\"}]\n",
             prefix);
    snprintf(error, sizeof error, "%s%s%s", expected[0] ? "F:4: routes[0].prefix: " : "", expected,
             expected[0] ? "\n" : "");
    assert_errors(text, error);
}

static void test_prefixes(void **state)
{
    static const char *const good[] = {"/pypi", "/pypi/", "/a/b/c", "/v2x", "/V2", "/...", "/~a"};
    static const char *const bad[] = {"pypi", "/",     "//",    "/a//b", "/a//", "/.",  "/a/..",
                                      "/a b", "/a%2f", "/a?b",  "/a#b",  "/盐",  "/a:", "/*",
                                      "./a",  "/a/./", "/../a", "a/b",   "/\\\\"};

    (void)state;
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++)
        assert_prefix(good[i], "");
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_prefix(bad[i], "must be a path such as /pypi: letters, digits, '.', '_', '~' and "
                              "'-' between slashes");
}

static void test_patterns(void **state)
{
    static const char route[] =
        LISTEN_PART "routes: [{name: a, protocol: generic, prefix: /a,\nimmutable: %s,\n"
                    "upstreams: [{url: http://a}]}]\n";
    char text[1024];

    (void)state;
    snprintf(text, sizeof text, route, "[a b, '', 盐, /pool/**]");
    assert_errors(text, "F:4: routes[0].immutable[0]: must be a pattern of visible ASCII "
                        "characters\n"
                        "F:4: routes[0].immutable[1]: must not be empty\n"
                        "F:4: routes[0].immutable[2]: must be a pattern of visible ASCII "
                        "characters\n");
    snprintf(text, sizeof text, route, "/pool/**");
    assert_errors(text, "F:4: routes[0].immutable: must be a list of patterns\n");
}

static void test_public_url(void **state)
{
    (void)state;
    assert_errors("public_url: cache.test\n" MINIMAL,
                  "F:1: public_url: must be http://host[:port][/path] or "
                  "https://host[:port][/path]\n");
    assert_errors("public_url: 'http://a/\"b'\n" MINIMAL,
                  "F:1: public_url: must be http://host[:port][/path] or "
                  "https://host[:port][/path]\n");
    assert_errors("public_url: ''\n" MINIMAL, "");
}

/* --- files --- */

static void test_ca_file_must_be_readable(void **state)
{
    char path[32];
    char text[1024];

    (void)state;
    assert_errors("egress: {ca_file: /nonexistent/ca.pem}\n" MINIMAL,
                  "F:1: egress.ca_file: cannot be read: No such file or directory\n");
    assert_errors("egress: {ca_file: /tmp}\n" MINIMAL,
                  "F:1: egress.ca_file: cannot be read: not a regular file\n");
    make_file(path, SLICE("x"));
    snprintf(text, sizeof text, "egress: {ca_file: %s}\n" MINIMAL, path);
    assert_errors(text, "");
    unlink(path);
}

/* The password that a file with this content gives, or the fault. */
static void assert_password(struct slice content, const char *password, const char *fault)
{
    char path[32];
    char text[1024];
    char expected[256] = "";

    make_file(path, content);
    snprintf(text, sizeof text, MINIMAL "        username: u\n        password_file: %s\n", path);
    if (password) {
        struct config *c = parse(text);
        assert_string_equal(c->routes[0].upstreams[0].username, "u");
        assert_string_equal(c->routes[0].upstreams[0].password, password);
        config_free(&c);
    } else {
        snprintf(expected, sizeof expected, "F:9: routes[0].upstreams[0].password_file: %s\n",
                 fault);
        assert_errors(text, expected);
    }
    unlink(path);
}

static void test_password_file(void **state)
{
    char long_text[16384 + 2];

    (void)state;
    assert_password(SLICE("s3cret"), "s3cret", NULL);
    assert_password(SLICE("s3cret\n"), "s3cret", NULL);
    assert_password(SLICE("s3cret\r\n"), "s3cret", NULL);
    assert_password(SLICE(" two\nlines \n\n"), " two\nlines \n", NULL);
    assert_password(SLICE(""), NULL, "the file is empty");
    assert_password(SLICE("\n"), NULL, "the file is empty");
    assert_password(SLICE("a\0b"), NULL, "the file holds a NUL character");
    memset(long_text, 'x', sizeof long_text - 1);
    long_text[sizeof long_text - 1] = '\0';
    assert_password(slice_str(long_text), NULL, "larger than 16384 bytes");
    assert_password(slice_str(long_text + 1), long_text + 1, NULL);
}

static void test_fifo_does_not_block(void **state)
{
    char path[32];
    char text[1024];

    (void)state;
    make_file(path, SLICE(""));
    unlink(path);
    assert_int_equal(mkfifo(path, 0600), 0);
    snprintf(text, sizeof text, "egress: {ca_file: %s}\n" MINIMAL, path);
    assert_errors(text, "F:1: egress.ca_file: cannot be read: not a regular file\n");
    unlink(path);
}

static void test_no_secret_is_shown(void **state)
{
    (void)state;
    /* The secret itself in place of the file that holds it. */
    assert_errors(MINIMAL "        username: u\n        password_file: hunter2\n",
                  "F:9: routes[0].upstreams[0].password_file: cannot be read: No such file or "
                  "directory\n");
}

static void test_unreadable_configuration_is_one_line(void **state)
{
    struct config *config;
    struct buf errors;

    (void)state;
    buf_init(&errors, 1000);
    assert_int_equal(config_load("/nonexistent/y.yaml", protocols, &config, &errors), ERR_CONFIG);
    assert_null(config);
    buf_addc(&errors, '\0');
    assert_string_equal(errors.p, "/nonexistent/y.yaml: cannot be read: No such file or "
                                  "directory\n");
    buf_clear(&errors);
    assert_int_equal(config_load("/tmp", protocols, &config, &errors), ERR_CONFIG);
    buf_addc(&errors, '\0');
    assert_string_equal(errors.p, "/tmp: cannot be read: not a regular file\n");
    buf_free(&errors);
}

static void test_configuration_of_more_than_1_mib_is_refused(void **state)
{
    char path[] = "/tmp/yantian-test-XXXXXX";
    struct config *config;
    struct buf errors;

    (void)state;
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    assert_int_equal(ftruncate(fd, (1 << 20) + 1), 0);
    buf_init(&errors, 1000);
    assert_int_equal(config_load(path, protocols, &config, &errors), ERR_CONFIG);
    assert_true(slice_ends(buf_slice(&errors), SLICE(": larger than 1048576 bytes\n")));
    buf_free(&errors);
    close(fd);
    unlink(path);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_defaults),
        cmocka_unit_test(test_route_defaults),
        cmocka_unit_test(test_values_are_taken),
        cmocka_unit_test(test_keys_of_package_routes_are_taken),
        cmocka_unit_test(test_table_rows_are_well_formed),
        cmocka_unit_test(test_shipped_file_names_and_explains_every_key),
        cmocka_unit_test(test_shipped_file_loads_and_shows_the_defaults),
        cmocka_unit_test(test_reference_has_a_row_for_each_key),
        cmocka_unit_test(test_missing_parts),
        cmocka_unit_test(test_wrong_shapes),
        cmocka_unit_test(test_unknown_keys),
        cmocka_unit_test(test_nothing_is_ignored),
        cmocka_unit_test(test_all_faults_at_once_in_line_order_up_to_20),
        cmocka_unit_test(test_numbers),
        cmocka_unit_test(test_durations),
        cmocka_unit_test(test_sizes),
        cmocka_unit_test(test_booleans_and_choices),
        cmocka_unit_test(test_names),
        cmocka_unit_test(test_addresses),
        cmocka_unit_test(test_urls),
        cmocka_unit_test(test_proxy),
        cmocka_unit_test(test_hosts),
        cmocka_unit_test(test_prefixes),
        cmocka_unit_test(test_patterns),
        cmocka_unit_test(test_public_url),
        cmocka_unit_test(test_ca_file_must_be_readable),
        cmocka_unit_test(test_password_file),
        cmocka_unit_test(test_fifo_does_not_block),
        cmocka_unit_test(test_no_secret_is_shown),
        cmocka_unit_test(test_unreadable_configuration_is_one_line),
        cmocka_unit_test(test_configuration_of_more_than_1_mib_is_refused),
    };
    return cmocka_run_group_tests_name("config", tests, NULL, NULL);
}
