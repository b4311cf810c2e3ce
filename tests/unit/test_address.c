#include "daemon/upstream/address.c"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

struct row {
    const char *text;
    enum address_reach reach;
};

static void test_reach(void **state)
{
    (void)state;
    static const struct row rows[] = {
        {"1.1.1.1", REACH_PUBLIC},
        {"9.255.255.255", REACH_PUBLIC},
        {"10.0.0.0", REACH_PRIVATE},
        {"10.255.255.255", REACH_PRIVATE},
        {"11.0.0.0", REACH_PUBLIC},
        {"100.63.255.255", REACH_PUBLIC},
        {"100.64.0.1", REACH_PRIVATE},
        {"100.100.100.200", REACH_PRIVATE},
        {"100.128.0.0", REACH_PUBLIC},
        {"127.0.0.1", REACH_LOOPBACK},
        {"127.255.0.9", REACH_LOOPBACK},
        {"0.0.0.0", REACH_LOOPBACK},
        {"169.254.169.254", REACH_FORBIDDEN},
        {"169.253.255.255", REACH_PUBLIC},
        {"172.15.255.255", REACH_PUBLIC},
        {"172.16.0.0", REACH_PRIVATE},
        {"172.31.255.255", REACH_PRIVATE},
        {"172.32.0.0", REACH_PUBLIC},
        {"192.168.3.4", REACH_PRIVATE},
        {"192.169.0.1", REACH_PUBLIC},
        {"224.0.0.1", REACH_FORBIDDEN},
        {"255.255.255.255", REACH_FORBIDDEN},
        {"::1", REACH_LOOPBACK},
        {"::", REACH_LOOPBACK},
        {"2606:4700::1", REACH_PUBLIC},
        {"fe80::1", REACH_FORBIDDEN},
        {"fe80::1%eth0", REACH_FORBIDDEN},
        {"febf::1", REACH_FORBIDDEN},
        {"fec0::1", REACH_PRIVATE},
        {"fc00::1", REACH_PRIVATE},
        {"fd12:3456::1", REACH_PRIVATE},
        {"fe00::1", REACH_PUBLIC},
        {"ff02::1", REACH_FORBIDDEN},
        {"::ffff:127.0.0.1", REACH_LOOPBACK},
        {"::ffff:169.254.169.254", REACH_FORBIDDEN},
        {"::ffff:8.8.8.8", REACH_PUBLIC},
        {"64:ff9b::10.0.0.1", REACH_PRIVATE},
        {"64:ff9b::8.8.8.8", REACH_PUBLIC},
        {"2002:a9fe:a9fe::1", REACH_FORBIDDEN},
        {"2002:0808:0808::1", REACH_PUBLIC},
        {"", REACH_FORBIDDEN},
        {"localhost", REACH_FORBIDDEN},
        {"0123456789:0123456789:0123456789:0123456789:0123", REACH_FORBIDDEN},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        if (address_reach(rows[i].text) != rows[i].reach)
            fail_msg("%s: got %d", rows[i].text, (int)address_reach(rows[i].text));
}

static void test_reach_of_host(void **state)
{
    (void)state;
    static const struct {
        const char *host;
        enum address_reach reach;
    } rows[] = {
        {"example.com", REACH_PUBLIC},
        {"localhost", REACH_LOOPBACK},
        {"LocalHost", REACH_LOOPBACK},
        {"localhost.example.com", REACH_PUBLIC},
        {"127.0.0.1", REACH_LOOPBACK},
        {"::1", REACH_LOOPBACK},
        {"10.1.2.3", REACH_PRIVATE},
        {"fd00::1", REACH_PRIVATE},
        {"169.254.169.254", REACH_FORBIDDEN},
        {"fe80::1", REACH_FORBIDDEN},
        {"8.8.8.8", REACH_PUBLIC},
        {"", REACH_PUBLIC},
        {"a-name-that-is-longer-than-any-address-may-be.example.com", REACH_PUBLIC},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        if (address_reach_of_host(slice_str(rows[i].host)) != rows[i].reach)
            fail_msg("%s: got %d", rows[i].host,
                     (int)address_reach_of_host(slice_str(rows[i].host)));
}

/* A redirect may lead to the upstream's own kind and to all before it. */
static void test_order(void **state)
{
    (void)state;
    assert_true(REACH_PUBLIC < REACH_PRIVATE);
    assert_true(REACH_PRIVATE < REACH_LOOPBACK);
    assert_true(REACH_LOOPBACK < REACH_FORBIDDEN);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_reach),
        cmocka_unit_test(test_reach_of_host),
        cmocka_unit_test(test_order),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
