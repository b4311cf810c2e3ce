#include "daemon/http/date.c"

#include <time.h>

#include "http_test.h"

static void check_format(int64_t seconds, const char *want)
{
    char out[HTTP_DATE_LENGTH + 1];
    memset(out, 'x', sizeof out);
    http_date_format(seconds, out);
    assert_string_equal(out, want);
}

static void test_format(void **state)
{
    (void)state;
    check_format(0, "Thu, 01 Jan 1970 00:00:00 GMT");
    check_format(784111777, "Sun, 06 Nov 1994 08:49:37 GMT");
    check_format(1795383000, "Sun, 22 Nov 2026 21:30:00 GMT");
    check_format(951782400, "Tue, 29 Feb 2000 00:00:00 GMT");
    check_format(951868799, "Tue, 29 Feb 2000 23:59:59 GMT");
    check_format(4107542400, "Mon, 01 Mar 2100 00:00:00 GMT");
    check_format(-1, "Wed, 31 Dec 1969 23:59:59 GMT");
    check_format(253402300799, "Fri, 31 Dec 9999 23:59:59 GMT");
}

static void test_format_is_clamped(void **state)
{
    (void)state;
    check_format(INT64_MAX, "Fri, 31 Dec 9999 23:59:59 GMT");
    check_format(253402300800, "Fri, 31 Dec 9999 23:59:59 GMT");
    check_format(INT64_MIN, "Mon, 01 Jan 0001 00:00:00 GMT");
}

/* Against the C library, a day in every week of the 400 years in which the calendar repeats. */
static void test_format_agrees_with_the_c_library(void **state)
{
    (void)state;
    for (time_t t = -200LL * 366 * DAY_SECONDS; t < 250LL * 366 * DAY_SECONDS;
         t += 7 * DAY_SECONDS - 3607) {
        struct tm tm;
        char want[64], got[HTTP_DATE_LENGTH + 1];
        int64_t back;
        assert_non_null(gmtime_r(&t, &tm));
        strftime(want, sizeof want, "%a, %d %b %Y %H:%M:%S GMT", &tm);
        http_date_format(t, got);
        assert_string_equal(got, want);
        assert_true(http_date_parse(slice_str(got), &back));
        assert_true(back == t);
    }
}

static void test_parse(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int64_t seconds;
    } rows[] = {
        {"Sun, 06 Nov 1994 08:49:37 GMT", 784111777},
        {"Sunday, 06-Nov-94 08:49:37 GMT", 784111777},
        {"Sun Nov  6 08:49:37 1994", 784111777},
        {"Wed Nov 16 08:49:37 1994", 784975777},
        {"Mon, 06 Nov 1994 08:49:37 GMT", 784111777},
        {"Thu, 01 Jan 1970 00:00:00 GMT", 0},
        {"Wednesday, 31-Dec-69 23:59:59 GMT", -1},
        {"Sunday, 01-Jan-68 00:00:00 GMT", 3092601600},
        {"Sat, 31 Dec 2016 23:59:60 GMT", 1483228800},
        {"Tue, 29 Feb 2000 00:00:00 GMT", 951782400},
        {"Mon, 01 Jan 0001 00:00:00 GMT", -62135596800},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        int64_t seconds = 42;
        if (!http_date_parse(slice_str(rows[i].text), &seconds) || seconds != rows[i].seconds)
            fail_msg("%s: %lld", rows[i].text, (long long)seconds);
    }
}

static void test_parse_refuses(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "",
        "0",
        "Sun",
        "Sun, 06 Nov 1994 08:49:37",
        "Sun, 06 Nov 1994 :49:37 GMT",
        ", 06 Nov 1994 08:49:37 GMT",
        ", 06-Nov-94 08:49:37 GMT",
        " Nov  6 08:49:37 1994",
        "Sun, 06 Nov 1994 08:49:37 UTC",
        "Sun, 06 Nov 1994 08:49:37 GMT ",
        "Sun, 06 Nov 1994 08:49:37 +0000",
        "sun, 06 nov 1994 08:49:37 gmt",
        "Son, 06 Nov 1994 08:49:37 GMT",
        "Sun, 6 Nov 1994 08:49:37 GMT",
        "Sun, 06 Nvo 1994 08:49:37 GMT",
        "Sun, 06 Nov 94 08:49:37 GMT",
        "Sun, 00 Nov 1994 08:49:37 GMT",
        "Sun, 31 Nov 1994 08:49:37 GMT",
        "Sun, 29 Feb 2001 08:49:37 GMT",
        "Sun, 29 Feb 2100 08:49:37 GMT",
        "Sun, 99 Dec 1994 08:49:37 GMT",
        "Sun, 06 Nov 1994 24:00:00 GMT",
        "Sun, 06 Nov 1994 08:60:00 GMT",
        "Sun, 06 Nov 1994 08:49:61 GMT",
        "Sun, 06 Nov 1994 08:49:-1 GMT",
        "Sun, 06 Nov 0000 08:49:37 GMT",
        "Sun, +6 Nov 1994 08:49:37 GMT",
        "Sunday, 06-Nov-1994 08:49:37 GMT",
        "Sun, 06-Nov-94 08:49:37 GMT",
        "Sun Nov 6 08:49:37 1994",
        "Sun Nov  6 08:49:37 1994 GMT",
        "Sun Nov 06 08:49:37 19940",
    };
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        int64_t seconds;
        if (http_date_parse(slice_str(texts[i]), &seconds))
            fail_msg("%s is read as a date", texts[i]);
    }
}

static void test_retry_after(void **state)
{
    (void)state;
    const int64_t now = 784111777;
    static const struct {
        const char *text;
        int64_t delay; /* -1: refused */
    } rows[] = {
        {"0", 0},
        {"120", 120},
        {"2147483646", 2147483646},
        {"2147483648", INT32_MAX},
        {"99999999999999999999999999", INT32_MAX},
        {"Sun, 06 Nov 1994 08:49:47 GMT", 10},
        {"Sun, 06 Nov 1994 08:49:27 GMT", 0},
        {"Sunday, 06-Nov-94 09:49:37 GMT", 3600},
        {"Fri, 31 Dec 9999 23:59:59 GMT", INT32_MAX},
        {"", -1},
        {"-1", -1},
        {"+1", -1},
        {"1.5", -1},
        {"1s", -1},
        {"soon", -1},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        int64_t delay = -1;
        bool ok = http_retry_after_parse(slice_str(rows[i].text), now, &delay);
        if (ok != (rows[i].delay >= 0) || delay != rows[i].delay)
            fail_msg("%s: %lld", rows[i].text, (long long)delay);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_format),
        cmocka_unit_test(test_format_is_clamped),
        cmocka_unit_test(test_format_agrees_with_the_c_library),
        cmocka_unit_test(test_parse),
        cmocka_unit_test(test_parse_refuses),
        cmocka_unit_test(test_retry_after),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
