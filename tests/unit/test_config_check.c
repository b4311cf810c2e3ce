#include "daemon/base/config_check.c"

#include "config_kit.h"

static void test_given_twice(void **state)
{
    (void)state;
    assert_errors("admin: {address: localhost:1}\n"
                  "listen:\n  - address: a:1\n  - address: LOCALHOST:1\n  - address: a:1\n"
                  "routes:\n"
                  "  - {name: x, protocol: oci, upstreams: [{url: http://a}], hosts: [h, H],\n"
                  "     namespaces: [n, m]}\n"
                  "  - {name: X, protocol: oci, upstreams: [{url: http://a}], hosts: [n],\n"
                  "     namespaces: [o, n, h]}\n",
                  "F:4: listen[1].address: \"LOCALHOST:1\" is given already at line 1\n"
                  "F:5: listen[2].address: \"a:1\" is given already at line 3\n"
                  "F:7: routes[0].hosts[1]: \"H\" is given already at line 7\n"
                  "F:9: routes[1].name: \"X\" is given already at line 7\n"
                  "F:10: routes[1].namespaces[1]: \"n\" is given already at line 8\n");
    assert_errors("listen: [{address: 127.0.0.1:5001}]\n" ROUTE_PART,
                  "F:1: listen[0].address: is what admin.address is by default\n");
}

static void test_one_default_per_protocol(void **state)
{
    (void)state;
    assert_errors(LISTEN_PART
                  "routes:\n"
                  "  - {name: a, protocol: oci, upstreams: [{url: http://a}], default: true}\n"
                  "  - {name: b, protocol: toy, upstreams: [{url: http://a}], default: true}\n"
                  "  - {name: c, protocol: oci, upstreams: [{url: http://a}], default: false}\n"
                  "  - name: d\n    protocol: oci\n    upstreams: [{url: http://a}]\n"
                  "    default: true\n",
                  "F:10: routes[3].default: the route at line 4 is the default of oci already\n");
}

static void test_listener_names_a_route(void **state)
{
    (void)state;
    assert_errors("listen: [{address: a:1, route: hub}, {address: a:2, route: Hub}]\n" ROUTE_PART,
                  "F:1: listen[1].route: no route has the name \"Hub\"\n");
}

static void test_credentials_belong_together(void **state)
{
    (void)state;
    assert_errors(MINIMAL "        username: u\n",
                  "F:7: routes[0].upstreams[0].password_file: is missing, although username is "
                  "given\n");
    assert_errors(MINIMAL "        username: u\n        password_file: ''\n",
                  "F:9: routes[0].upstreams[0].password_file: is empty, although username is "
                  "given\n");
    assert_errors(MINIMAL "        password_file: " SHIPPED "\n",
                  "F:7: routes[0].upstreams[0].username: is missing, although password_file is "
                  "given\n");
    assert_errors(MINIMAL "        username: ''\n        password_file: " SHIPPED "\n",
                  "F:8: routes[0].upstreams[0].username: is empty, although password_file is "
                  "given\n");
    assert_errors(MINIMAL "        username: a:b\n        password_file: " SHIPPED "\n",
                  "F:8: routes[0].upstreams[0].username: must hold no colon\n");
    assert_errors(MINIMAL "        username: ''\n        password_file: ''\n", "");
}

static void test_keys_that_a_protocol_does_not_have(void **state)
{
    (void)state;
    assert_route_line("prefix: /a", "F:8: routes[0].prefix: is not for routes of protocol oci\n");
    assert_route_line("auth: passthrough",
                      "F:8: routes[0].auth: is not for routes of protocol oci\n");
    assert_route_line("auth: basic", "F:8: routes[0].auth: must be one of: none, passthrough\n");
    assert_route_line("file_hosts: [a]",
                      "F:8: routes[0].file_hosts: is not for routes of protocol oci\n");
    assert_errors(LISTEN_PART
                  "routes:\n"
                  "  - {name: a, protocol: npm, upstreams: [{url: http://a}], prefix: /a,\n"
                  "     namespaces: [a],\n     default: true,\n     immutable: [a]}\n"
                  "  - {name: b, protocol: generic, upstreams: [{url: http://a}], prefix: /b,\n"
                  "     file_hosts: [a]}\n",
                  "F:5: routes[0].namespaces: is not for routes of protocol npm\n"
                  "F:6: routes[0].default: is not for routes of protocol npm\n"
                  "F:7: routes[0].immutable: is not for routes of protocol npm\n"
                  "F:9: routes[1].file_hosts: is not for routes of protocol generic\n");
    /* What is only the default may be written down everywhere. */
    assert_route_line("prefix: ''\n    auth: none\n    file_hosts: []\n    immutable: []", "");
    assert_errors(LISTEN_PART
                  "routes:\n  - {name: a, protocol: npm, upstreams: [{url: http://a}],\n"
                  "     prefix: /a, namespaces: [], default: false}\n",
                  "");
}

static void test_something_must_select_a_route(void **state)
{
    static const char nothing[] =
        ": nothing selects this route: it needs prefix, hosts, or a listener that names it\n";
    char expected[512];

    (void)state;
    snprintf(expected, sizeof expected, "F:4: routes[0]%sF:5: routes[1]%s", nothing, nothing);
    assert_errors(LISTEN_PART "routes:\n"
                              "  - {name: a, protocol: npm, upstreams: [{url: http://a}]}\n"
                              "  - {name: b, protocol: pypi, upstreams: [{url: http://a}],\n"
                              "     prefix: '', hosts: []}\n",
                  expected);
    assert_errors("listen: [{address: a:1, route: b}]\nroutes:\n"
                  "  - {name: a, protocol: npm, upstreams: [{url: http://a}], hosts: [a.test]}\n"
                  "  - {name: b, protocol: npm, upstreams: [{url: http://a}]}\n"
                  "  - {name: c, protocol: npm, upstreams: [{url: http://a}], prefix: /c}\n",
                  "");
    /* A fault in the key that selects is said once. */
    assert_errors(LISTEN_PART
                  "routes:\n  - {name: a, protocol: npm, upstreams: [{url: http://a}],\n"
                  "     hosts: [a/b]}\n",
                  "F:5: routes[0].hosts[0]: must be a host name, with :port if need be\n");
    assert_errors(LISTEN_PART "routes:\n  - {name: a, upstreams: [{url: http://a}]}\n",
                  "F:4: routes[0].protocol: is missing\n");
}

static void test_prefixes_differ_and_leave_the_roots_alone(void **state)
{
    (void)state;
    assert_errors(LISTEN_PART
                  "routes:\n"
                  "  - {name: a, protocol: npm, upstreams: [{url: http://a}], prefix: /a}\n"
                  "  - {name: b, protocol: npm, upstreams: [{url: http://a}], prefix: /A}\n"
                  "  - {name: c, protocol: npm, upstreams: [{url: http://a}], prefix: /a/b}\n"
                  "  - {name: d, protocol: pypi, upstreams: [{url: http://a}],\n"
                  "     prefix: /a/}\n"
                  "  - {name: e, protocol: npm, upstreams: [{url: http://a}], prefix: /v2}\n"
                  "  - {name: f, protocol: npm, upstreams: [{url: http://a}], prefix: /toy/npm}\n",
                  "F:8: routes[3].prefix: the route at line 4 has this prefix already\n"
                  "F:9: routes[4].prefix: all that is under /v2 belongs to protocol oci\n"
                  "F:10: routes[5].prefix: all that is under /toy belongs to protocol toy\n");
}

static void test_passthrough_is_for_one_upstream_without_account(void **state)
{
    static const char route[] = LISTEN_PART "routes:\n"
                                            "  - name: a\n"
                                            "    protocol: npm\n"
                                            "    prefix: /a\n"
                                            "    auth: passthrough\n"
                                            "    upstreams:\n"
                                            "      - url: http://a\n";
    char text[1024];

    (void)state;
    assert_errors(route, "");
    snprintf(text, sizeof text, "%s      - url: http://b\n", route);
    assert_errors(text, "F:7: routes[0].auth: passthrough is for one upstream, to which the "
                        "credentials belong\n");
    snprintf(text, sizeof text, "%s        username: u\n        password_file: " SHIPPED "\n",
             route);
    assert_errors(text, "F:10: routes[0].upstreams[0].username: may not be given where auth is "
                        "passthrough\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_given_twice),
        cmocka_unit_test(test_one_default_per_protocol),
        cmocka_unit_test(test_listener_names_a_route),
        cmocka_unit_test(test_credentials_belong_together),
        cmocka_unit_test(test_keys_that_a_protocol_does_not_have),
        cmocka_unit_test(test_something_must_select_a_route),
        cmocka_unit_test(test_prefixes_differ_and_leave_the_roots_alone),
        cmocka_unit_test(test_passthrough_is_for_one_upstream_without_account),
    };
    return cmocka_run_group_tests_name("config_check", tests, NULL, NULL);
}
