#include "daemon/http/cache_control.c"

#include <stdio.h>

#include "http_test.h"

enum { NOW = 784111777 }; /* Sun, 06 Nov 1994 08:49:37 GMT */
#define AT_NOW "Sun, 06 Nov 1994 08:49:37 GMT"
#define HOUR_LATER "Sun, 06 Nov 1994 09:49:37 GMT"
#define HOUR_EARLIER "Sun, 06 Nov 1994 07:49:37 GMT"
#define TEN_HOURS_EARLIER "Sat, 05 Nov 1994 22:49:37 GMT"

/* "Name: value|Name: value" as fields of a message; lives until the next call. */
static const struct http_fields *fields_of(const char *text)
{
    static struct http_field rows[16];
    static struct http_fields fields;
    struct slice rest = slice_str(text);
    fields = (struct http_fields){.v = rows, .cap = 16};
    while (rest.n) {
        size_t end = slice_find(rest, '|');
        struct slice line = slice_to(rest, end);
        size_t colon = slice_find(line, ':');
        assert_true(http_fields_add(&fields, NULL, 16, slice_to(line, colon),
                                    slice_trim(slice_from(line, colon + 1))));
        rest = slice_from(rest, end + 1);
    }
    return &fields;
}

static struct http_received received(int status, const char *fields)
{
    return (struct http_received){.status = status, .fields = fields_of(fields), .now_s = NOW};
}

static int64_t lifetime(int status, const char *fields)
{
    struct http_received r = received(status, fields);
    struct http_directives d;
    http_directives_read(r.fields, &d);
    return http_lifetime(&r, &d, 1800);
}

static bool may_store(int status, bool authorized, const char *fields)
{
    struct http_received r = received(status, fields);
    struct http_directives d;
    http_directives_read(r.fields, &d);
    return http_may_store(&r, &d, authorized);
}

static bool forbids_stale(const char *fields)
{
    struct http_directives d;
    http_directives_read(fields_of(fields), &d);
    return http_forbids_stale(&d);
}

static int64_t age(const char *fields, int64_t delay_s)
{
    struct http_received r = received(200, fields);
    r.delay_s = delay_s;
    return http_initial_age(&r);
}

static void test_forms_of_max_age(void **state)
{
    (void)state;
    static const struct {
        const char *value;
        int64_t seconds;
    } rows[] = {
        {"max-age=60", 60},
        {"MAX-AGE=60", 60},
        {"max-age=\"60\"", 60},
        {"max-age=0060", 60},
        {"public, max-age=60, x=1", 60},
        {"max-age=60, max-age=60", 60},
        {"max-age=60, max-age=61", 0},
        {"max-age=0", 0},
        {"max-age=", 0},
        {"max-age", 0},
        {"max-age=-60", 0},
        {"max-age=+60", 0},
        {"max-age=60.0", 0},
        {"max-age=60s", 0},
        {"max-age='60'", 0},
        {"max-age=\"60", 0},
        {"max-age =60", 0},
        {"max-age= 60", 0},
        {"max-age=99999999999999999999999", HTTP_SECONDS_MAX},
        {"max-age=2147483648", HTTP_SECONDS_MAX},
        {"x=\"max-age=3600\", max-age=60", 60},
        {"max-age=60, x=\"max-age=3600\"", 60},
        {"x=\"a\\\", max-age=3600\", max-age=60", 60},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        char line[128];
        snprintf(line, sizeof line, "Cache-Control: %s", rows[i].value);
        if (lifetime(200, line) != rows[i].seconds)
            fail_msg("%s: %lld", rows[i].value, (long long)lifetime(200, line));
    }
}

static void test_what_lifetime_goes_before_what(void **state)
{
    (void)state;
    assert_int_equal(lifetime(200, "Cache-Control: max-age=60, s-maxage=10"), 10);
    assert_int_equal(lifetime(200, "Cache-Control: s-maxage=10|Cache-Control: max-age=60"), 10);
    assert_int_equal(lifetime(200, "Cache-Control: s-maxage=x, max-age=60"), 0);
    assert_int_equal(
        lifetime(200, "Cache-Control: max-age=60|Date: " AT_NOW "|Expires: " HOUR_LATER), 60);
    assert_int_equal(lifetime(200, "Cache-Control: max-age=60, no-cache"), 0);
    assert_int_equal(lifetime(200, "Cache-Control: no-cache=\"x\", max-age=60"), 0);
    assert_int_equal(lifetime(200, "Expires: " HOUR_LATER "|Last-Modified: " HOUR_EARLIER), 3600);
}

static void test_expires(void **state)
{
    (void)state;
    assert_int_equal(lifetime(200, "Date: " AT_NOW "|Expires: " HOUR_LATER), 3600);
    /* The origin's clock counts, not ours. */
    assert_int_equal(lifetime(200, "Date: " HOUR_EARLIER "|Expires: " AT_NOW), 3600);
    assert_int_equal(lifetime(200, "Date: " AT_NOW "|Expires: " HOUR_EARLIER), 0);
    assert_int_equal(lifetime(200, "Expires: " HOUR_LATER), 3600);
    assert_int_equal(lifetime(200, "Date: yesterday|Expires: " HOUR_LATER), 3600);
    assert_int_equal(lifetime(200, "Expires: 0|Last-Modified: " HOUR_EARLIER), 0);
    assert_int_equal(lifetime(200, "Expires: " HOUR_LATER "|Expires: " HOUR_LATER), 3600);
    assert_int_equal(lifetime(200, "Expires: " HOUR_LATER "|Expires: 0"), 0);
}

static void test_guesses(void **state)
{
    (void)state;
    static const char changed[] = "Date: " AT_NOW "|Last-Modified: " HOUR_EARLIER;
    assert_int_equal(lifetime(200, changed), 360);
    assert_int_equal(lifetime(200, "Last-Modified: " HOUR_EARLIER), 360);
    assert_int_equal(lifetime(200, "Date: " AT_NOW "|Last-Modified: " TEN_HOURS_EARLIER), 1800);
    assert_int_equal(lifetime(200, "Date: " AT_NOW "|Last-Modified: " HOUR_LATER), 0);
    assert_int_equal(lifetime(200, "Date: " AT_NOW "|Last-Modified: then"), 0);
    assert_int_equal(lifetime(200, "Date: " AT_NOW "|ETag: \"a\""), 0);
    assert_int_equal(lifetime(404, changed), 360);
    assert_int_equal(lifetime(403, changed), 0);
    assert_int_equal(lifetime(201, changed), 0);
    assert_int_equal(
        lifetime(201, "Cache-Control: public|Date: " AT_NOW "|Last-Modified: " HOUR_EARLIER), 360);
}

static void test_what_may_be_stored(void **state)
{
    (void)state;
    assert_true(may_store(200, false, ""));
    assert_true(may_store(404, false, ""));
    assert_false(may_store(403, false, ""));
    assert_true(may_store(403, false, "Cache-Control: max-age=0"));
    assert_true(may_store(599, false, "Expires: 0"));
    assert_false(may_store(206, false, "Cache-Control: max-age=60"));
    assert_false(may_store(304, false, "Cache-Control: max-age=60"));
    assert_false(may_store(200, false, "Cache-Control: max-age=60, no-store"));
    assert_false(may_store(200, false, "Cache-Control: max-age=60|Cache-Control: nO-StOrE"));
    assert_false(may_store(200, false, "Cache-Control: s-maxage=60, private"));
    assert_false(may_store(200, false, "Cache-Control: private=\"x\""));
    assert_true(may_store(200, false, "Cache-Control: no-cache"));
    assert_true(may_store(200, false, "Cache-Control: x=\"no-store\""));
}

static void test_must_understand(void **state)
{
    (void)state;
    assert_true(may_store(200, false, "Cache-Control: must-understand, no-store"));
    assert_false(may_store(599, false, "Cache-Control: must-understand, max-age=60"));
    assert_true(may_store(302, false, "Cache-Control: must-understand, max-age=60"));
    assert_false(may_store(200, false, "Cache-Control: must-understand, private"));
}

static void test_answers_to_requests_with_credentials(void **state)
{
    (void)state;
    assert_false(may_store(200, true, "Cache-Control: max-age=60"));
    assert_false(may_store(200, true, "Expires: " HOUR_LATER));
    assert_true(may_store(200, true, "Cache-Control: public, max-age=60"));
    assert_true(may_store(200, true, "Cache-Control: s-maxage=60"));
    assert_true(may_store(200, true, "Cache-Control: max-age=60, must-revalidate"));
}

static void test_what_forbids_stale_answers(void **state)
{
    (void)state;
    assert_true(forbids_stale("Cache-Control: must-revalidate"));
    assert_true(forbids_stale("Cache-Control: Proxy-Revalidate"));
    assert_true(forbids_stale("Cache-Control: s-maxage=5"));
    assert_true(forbids_stale("Cache-Control: no-cache"));
    assert_false(forbids_stale("Cache-Control: max-age=5, public"));
    assert_false(forbids_stale(""));
}

static void test_the_age_that_an_answer_comes_with(void **state)
{
    (void)state;
    assert_int_equal(age("Date: " AT_NOW, 0), 0);
    assert_int_equal(age("", 0), 0);
    assert_int_equal(age("Age: 5", 0), 5);
    assert_int_equal(age("Age: 5", 2), 7);
    assert_int_equal(age("Date: " HOUR_EARLIER "|Age: 5", 0), 3600);
    assert_int_equal(age("Date: " HOUR_EARLIER "|Age: 7200", 0), 7200);
    assert_int_equal(age("Date: " HOUR_LATER, 3), 3);
}

static void test_an_age_that_is_no_number_is_the_greatest(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "Age: x",   "Age: -1",          "Age: 0.5", "Age: 0, 0",     "Age: old, 0",
        "Age: 0;a", "Age: 0|Age: 3600", "Age: ",    "Age: 0|Age: 0", "Age: 99999999999999999999"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        if (age(bad[i], 0) != HTTP_SECONDS_MAX)
            fail_msg("%s: %lld", bad[i], (long long)age(bad[i], 0));
}

static void test_demands(void **state)
{
    (void)state;
    struct http_demands d;
    http_demands_read(fields_of("Cache-Control: max-age=5, min-fresh=\"7\"|Cache-Control: no-store,"
                                "only-if-cached, max-stale=9"),
                      &d);
    assert_true(d.no_store && d.only_if_cached && !d.no_cache);
    assert_true(d.max_age.given && d.max_age.seconds == 5);
    assert_true(d.min_fresh.given && d.min_fresh.seconds == 7);
    assert_true(d.max_stale.given && d.max_stale.seconds == 9);
    http_demands_read(fields_of("Cache-Control: max-stale, max-age=bad"), &d);
    assert_true(d.max_stale.given && d.max_stale.seconds == HTTP_SECONDS_MAX);
    assert_true(d.max_age.given && d.max_age.seconds == 0);
    http_demands_read(fields_of("Cache-Control: nothing-to-see-here"), &d);
    assert_false(d.no_cache || d.no_store || d.only_if_cached || d.max_age.given);
}

static void test_pragma_counts_without_cache_control(void **state)
{
    (void)state;
    struct http_demands d;
    http_demands_read(fields_of("Pragma: x, No-Cache"), &d);
    assert_true(d.no_cache);
    http_demands_read(fields_of("Pragma: no-cache|Cache-Control: max-age=60"), &d);
    assert_false(d.no_cache);
    http_demands_read(fields_of("Pragma: foo"), &d);
    assert_false(d.no_cache);
}

static void test_answers_that_say_how_to_cache(void **state)
{
    (void)state;
    assert_false(http_says_how_to_cache(fields_of("Date: " AT_NOW "|ETag: \"a\"")));
    assert_true(http_says_how_to_cache(fields_of("Cache-Control: x")));
    assert_true(http_says_how_to_cache(fields_of("Expires: 0")));
    assert_true(http_says_how_to_cache(fields_of("Last-Modified: " AT_NOW)));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_forms_of_max_age),
        cmocka_unit_test(test_what_lifetime_goes_before_what),
        cmocka_unit_test(test_expires),
        cmocka_unit_test(test_guesses),
        cmocka_unit_test(test_what_may_be_stored),
        cmocka_unit_test(test_must_understand),
        cmocka_unit_test(test_answers_to_requests_with_credentials),
        cmocka_unit_test(test_what_forbids_stale_answers),
        cmocka_unit_test(test_the_age_that_an_answer_comes_with),
        cmocka_unit_test(test_an_age_that_is_no_number_is_the_greatest),
        cmocka_unit_test(test_demands),
        cmocka_unit_test(test_pragma_counts_without_cache_control),
        cmocka_unit_test(test_answers_that_say_how_to_cache),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
