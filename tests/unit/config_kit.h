/* What the tests of the configuration are written with. */
#ifndef YT_TESTS_CONFIG_KIT_H
#define YT_TESTS_CONFIG_KIT_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#include "base/config.h"

#define SHIPPED "conf/yantian.yaml"

/* The least that is a configuration; cases add to it. */
#define LISTEN_PART "listen:\n  - address: 127.0.0.1:5000\n"
#define ROUTE_PART                                                                                 \
    "routes:\n  - name: hub\n    protocol: oci\n    upstreams:\n      - url: http://hub.test\n"
#define MINIMAL LISTEN_PART ROUTE_PART

static const struct config_protocol oci = {.name = {"oci", 3}, .root = {"/v2", 3}};
static const struct config_protocol toy = {.name = {"toy", 3}, .root = {"/toy", 4}};
static const struct config_protocol pypi = {
    .name = {"pypi", 4}, .takes_passthrough = true, .takes_file_hosts = true};
static const struct config_protocol npm = {
    .name = {"npm", 3}, .takes_passthrough = true, .takes_file_hosts = true};
static const struct config_protocol generic = {
    .name = {"generic", 7}, .takes_passthrough = true, .takes_immutable = true};
static const struct config_protocol *const protocols[] = {&oci, &toy, &pypi, &npm, &generic, NULL};

static inline struct config *parse(const char *text)
{
    struct config *config = NULL;
    struct buf errors;

    buf_init(&errors, 1 << 16);
    enum err err = config_parse("F", slice_str(text), protocols, &config, &errors);
    buf_addc(&errors, '\0');
    if (err != ERR_OK)
        print_error("%s", errors.p);
    assert_int_equal(err, ERR_OK);
    assert_int_equal(errors.n, 1);
    buf_free(&errors);
    assert_non_null(config);
    return config;
}

static inline void assert_errors(const char *text, const char *expected)
{
    struct config *config = NULL;
    struct buf errors;

    buf_init(&errors, 1 << 16);
    enum err err = config_parse("F", slice_str(text), protocols, &config, &errors);
    buf_addc(&errors, '\0');
    char shown[1 << 14];
    snprintf(shown, sizeof shown, "%s", errors.p);
    buf_free(&errors);
    config_free(&config);
    assert_string_equal(shown, expected);
    assert_int_equal(err, expected[0] ? ERR_CONFIG : ERR_OK);
}

/* A line under the route, and what is said about it ("" when nothing is). */
static inline void assert_route_line(const char *line, const char *expected)
{
    char text[1024];

    snprintf(text, sizeof text, "%s    %s\n", MINIMAL, line);
    assert_errors(text, expected);
}

#endif
