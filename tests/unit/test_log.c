#include "daemon/base/log.c"

#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

enum { PACKET = 8192, THREADS = 4, LINES = 200 };

static int saved_stderr = -1;
static int log_end = -1; /* where the test reads what was logged */

/* A pipe in packet mode gives each write(2) back on its own. */
static int capture(void **state)
{
    int ends[2];

    (void)state;
    if (pipe2(ends, O_CLOEXEC | O_DIRECT | O_NONBLOCK) < 0)
        return -1;
    saved_stderr = dup(STDERR_FILENO);
    dup2(ends[1], STDERR_FILENO);
    close(ends[1]);
    log_end = ends[0];
    return 0;
}

static int release(void **state)
{
    (void)state;
    dup2(saved_stderr, STDERR_FILENO);
    close(saved_stderr);
    close(log_end);
    log_setup(LOG_LEVEL_INFO, LOG_FORMAT_TEXT);
    return 0;
}

/* The next line without its end; "" when nothing was written. */
static const char *next_line(void)
{
    static char line[PACKET + 1];
    ssize_t n = read(log_end, line, PACKET);

    if (n <= 0)
        return "";
    assert_int_equal(line[n - 1], '\n');
    line[n - 1] = '\0';
    assert_null(strchr(line, '\n'));
    return line;
}

/* What follows the time of a text line. */
static const char *next_text(void)
{
    const char *line = next_line();
    const char *space = strchr(line, ' ');

    assert_non_null(space);
    return space + 1;
}

static void test_text_line(void **state)
{
    (void)state;
    log_setup(LOG_LEVEL_INFO, LOG_FORMAT_TEXT);
    log_info("request", LF_STR("id", "1f3c"), LF_INT("status", 200), LF_STR("target", "/v2/ a"));
    assert_string_equal(next_text(), "info request id=1f3c status=200 target=\"/v2/ a\"");
    log_info("request", LF_WORD("id", SLICE("1f3c")), LF_WORD("none", SLICE("")));
    assert_string_equal(next_text(), "info request id=1f3c none=");
    log_error("stopped");
    assert_string_equal(next_text(), "error stopped");
    log_warn("x", LF_INT("a", INT64_MIN), LF_INT("b", INT64_MAX));
    assert_string_equal(next_text(), "warn x a=-9223372036854775808 b=9223372036854775807");
    assert_string_equal(next_line(), "");
}

static void test_json_line(void **state)
{
    (void)state;
    log_setup(LOG_LEVEL_INFO, LOG_FORMAT_JSON);
    log_info("request", LF_WORD("id", SLICE("1f3c")), LF_INT("status", -1),
             LF_STR("target", "\"\n"));
    const char *line = next_line();
    static const char head[] = "{\"time\":\"";
    assert_memory_equal(line, head, strlen(head));
    assert_string_equal(line + strlen(head) + strlen("2026-11-22T21:30:00.123Z"),
                        "\",\"level\":\"info\",\"event\":\"request\",\"id\":\"1f3c\","
                        "\"status\":-1,\"target\":\"\\\"\\n\"}");
}

/* The time is UTC and is now: it lies between two looks at the clock. */
static void test_time(void **state)
{
    struct tm tm = {0};
    int ms;

    (void)state;
    int64_t before = clock_wall_ms();
    log_info("x");
    int64_t after = clock_wall_ms();
    const char *rest = strptime(next_line(), "%Y-%m-%dT%H:%M:%S", &tm);
    assert_non_null(rest);
    assert_int_equal(sscanf(rest, ".%03dZ info x", &ms), 1);
    int64_t logged = (int64_t)timegm(&tm) * 1000 + ms;
    assert_true(before <= logged && logged <= after);
}

static void test_values_are_quoted_only_if_need_be(void **state)
{
    (void)state;
    log_info("x", LF_STR("a", "/v2/library/nginx:1.27"), LF_STR("b", ""), LF_STR("c", "a=b"),
             LF_STR("d", "a\"b"), LF_STR("e", "a\\b"), LF_STR("f", NULL), LF_STR("g", "盐"));
    assert_string_equal(next_text(), "info x a=/v2/library/nginx:1.27 b=\"\" c=\"a=b\" "
                                     "d=\"a\\\"b\" e=\"a\\\\b\" f=\"\" g=\"盐\"");
}

/* Wherever in a long value the byte is that asks for it. */
static void test_one_byte_is_enough_for_quotes(void **state)
{
    static const char asks[] = {' ', '"', '=', '\\', '\x7f', '\x1f', '\x80'};
    char value[50];

    (void)state;
    for (size_t n = 1; n < sizeof value; n++)
        for (size_t at = 0; at < n; at++)
            for (size_t i = 0; i < sizeof asks; i++) {
                memset(value, 'v', n);
                log_info("x", LF_SLICE("a", slice_of(value, n)));
                assert_memory_equal(next_text(), "info x a=v", 10);
                value[at] = asks[i];
                log_info("x", LF_SLICE("a", slice_of(value, n)));
                assert_memory_equal(next_text(), "info x a=\"", 10);
            }
}

static void test_hostile_bytes_are_escaped(void **state)
{
    (void)state;
    log_info("x", LF_SLICE("a", slice_of("\n2026 info y\0\x1b[2J\xff\xc2\x9b", 20)));
    assert_string_equal(next_text(), "info x a=\"\\n2026 info y\\u0000\\u001b[2J\\u00ff\\u009b\"");
}

static void test_levels(void **state)
{
    (void)state;
    log_setup(LOG_LEVEL_WARN, LOG_FORMAT_TEXT);
    assert_true(log_enabled(LOG_LEVEL_ERROR));
    assert_true(log_enabled(LOG_LEVEL_WARN));
    assert_false(log_enabled(LOG_LEVEL_INFO));
    log_info("x");
    log_debug("x");
    log_event(LOG_LEVEL_INFO, "x", NULL, 0);
    assert_string_equal(next_line(), "");
    log_setup(LOG_LEVEL_DEBUG, LOG_FORMAT_TEXT);
    log_debug("x");
    assert_string_equal(next_text(), "debug x");
}

static void test_long_value_is_cut_and_the_rest_stays(void **state)
{
    char value[5000];
    char expected[VALUE_MAX_BYTES + 64];

    (void)state;
    memset(value, 'v', sizeof value);
    log_info("x", LF_SLICE("a", slice_of(value, sizeof value)), LF_INT("b", 1));
    snprintf(expected, sizeof expected, "info x a=%.*s... b=1", VALUE_MAX_BYTES, value);
    assert_string_equal(next_text(), expected);
    log_info("x", LF_SLICE("a", slice_of(value, VALUE_MAX_BYTES)));
    snprintf(expected, sizeof expected, "info x a=%.*s", VALUE_MAX_BYTES, value);
    assert_string_equal(next_text(), expected);
}

/* An escape is never cut in two: 170 of six bytes are 1020, one more would be past the bound. */
static void test_cut_falls_between_characters(void **state)
{
    char value[200];

    (void)state;
    memset(value, 1, sizeof value);
    log_info("x", LF_SLICE("a", slice_of(value, sizeof value)));
    const char *line = next_text();
    assert_int_equal(strlen(line), strlen("info x a=\"") + 1020 + strlen("...\""));
    assert_string_equal(line + strlen(line) - 10, "\\u0001...\"");
}

static void check_full_line(enum log_format format, const char *end)
{
    struct log_field fields[12];
    char value[1000];

    memset(value, 'v', sizeof value);
    for (size_t i = 0; i < 12; i++)
        fields[i] = LF_SLICE("k", slice_of(value, sizeof value));
    fields[11] = LF_INT("last", 1);
    log_setup(LOG_LEVEL_INFO, format);
    log_event(LOG_LEVEL_INFO, "x", fields, 12);
    const char *line = next_line();
    assert_true(strlen(line) < LINE_MAX_BYTES);
    assert_true(strlen(line) > 3000);
    assert_true(slice_ends(slice_str(line), slice_str(end)));
}

static void test_full_line_drops_whole_fields_and_says_so(void **state)
{
    (void)state;
    check_full_line(LOG_FORMAT_TEXT, "v last=1 cut=true");
    check_full_line(LOG_FORMAT_JSON, "v\",\"last\":1,\"cut\":true}");
}

static void test_errno_is_kept(void **state)
{
    (void)state;
    errno = ENOTTY;
    log_info("x");
    assert_int_equal(errno, ENOTTY);
    close(log_end);
    log_end = open("/dev/null", O_RDONLY);
    int pipe_without_reader = dup(STDERR_FILENO);
    dup2(open("/dev/full", O_WRONLY | O_CLOEXEC), STDERR_FILENO);
    errno = ENOTTY;
    log_info("x");
    assert_int_equal(errno, ENOTTY);
    close(pipe_without_reader);
}

static void *log_lines(void *arg)
{
    char value[900];

    memset(value, *(const char *)arg, sizeof value);
    for (int i = 0; i < LINES; i++) {
        /* Twice the pipe's default room; the reader below makes it. */
        log_info("x", LF_SLICE("a", slice_of(value, sizeof value)));
    }
    return NULL;
}

static void assert_whole(const char *text)
{
    static const char head[] = "info x a=";

    assert_memory_equal(text, head, strlen(head));
    text += strlen(head);
    assert_int_equal(strlen(text), 900);
    assert_int_equal(strspn(text, (char[]){text[0], '\0'}), 900);
}

static void test_lines_of_threads_do_not_mix(void **state)
{
    static const char letters[THREADS] = {'a', 'b', 'c', 'd'};
    pthread_t threads[THREADS];

    (void)state;
    assert_int_equal(fcntl(STDERR_FILENO, F_SETFL, 0), 0);
    assert_int_equal(fcntl(log_end, F_SETFL, 0), 0);
    for (int i = 0; i < THREADS; i++)
        assert_int_equal(
            pthread_create(&threads[i], NULL, log_lines, (void *)(uintptr_t)&letters[i]), 0);
    for (int i = 0; i < THREADS * LINES; i++) {
        char line[PACKET + 1];
        size_t n = 0;
        do {
            assert_int_equal(read(log_end, line + n, 1), 1);
        } while (line[n++] != '\n' && n < PACKET);
        line[n - 1] = '\0';
        assert_whole(strchr(line, ' ') + 1);
    }
    for (int i = 0; i < THREADS; i++)
        assert_int_equal(pthread_join(threads[i], NULL), 0);
}

static void count_call(void *arg)
{
    ++*(int *)arg;
}

/* What one write(2) has brought. */
static const char *next_write(void)
{
    static char text[PACKET + 1];
    ssize_t n = read(log_end, text, PACKET);

    text[n > 0 ? n : 0] = '\0';
    return text;
}

static unsigned lines_in(const char *text)
{
    unsigned n = 0;

    for (; *text; text++)
        n += *text == '\n';
    return n;
}

static void test_collected_lines_are_written_together(void **state)
{
    int calls = 0;

    (void)state;
    log_collect(count_call, &calls);
    for (int i = 0; i < 3; i++)
        log_info("x", LF_INT("i", i));
    assert_int_equal(calls, 1);
    assert_string_equal(next_line(), "");
    log_flush();
    const char *text = next_write();
    assert_int_equal(lines_in(text), 3);
    assert_true(strstr(text, "i=0\n") < strstr(text, "i=1\n"));
    assert_non_null(strstr(text, "i=2\n"));
    log_info("y");
    assert_int_equal(calls, 2);
    log_collect_end();
    assert_string_equal(next_text(), "info y");
    log_info("z");
    assert_string_equal(next_text(), "info z");
    assert_int_equal(calls, 2);
}

static void test_an_error_takes_what_waits_along(void **state)
{
    int calls = 0;

    (void)state;
    log_collect(count_call, &calls);
    log_info("first");
    log_warn("second");
    assert_int_equal(lines_in(next_write()), 2);
    log_error("third");
    assert_int_equal(lines_in(next_write()), 1);
    log_collect_end();
    assert_string_equal(next_line(), "");
}

/* Never more at once than a pipe takes in one piece, never a part of a line, and none is lost. */
static void test_many_collected_lines_are_written_whole(void **state)
{
    int calls = 0;
    unsigned lines = 0, writes = 0;
    char value[301];

    (void)state;
    memset(value, 'v', sizeof value - 1);
    value[sizeof value - 1] = '\0';
    log_collect(count_call, &calls);
    for (int i = 0; i < 40; i++)
        log_info("x", LF_STR("v", value));
    log_collect_end();
    for (const char *text; *(text = next_write()); writes++) {
        assert_true(strlen(text) <= LINE_MAX_BYTES);
        assert_int_equal(text[strlen(text) - 1], '\n');
        lines += lines_in(text);
    }
    assert_int_equal(lines, 40);
    assert_true(writes < 5);
    assert_int_equal((unsigned)calls, writes);
}

/* The same in a file, which takes longer pieces. */
static void test_a_file_gets_every_collected_line(void **state)
{
    static char text[64 * 1024];
    FILE *file = tmpfile();
    int calls = 0, lines = 2 * FILE_WRITE_BYTES / 100;
    size_t last = 0;

    (void)state;
    assert_non_null(file);
    assert_int_equal(dup2(fileno(file), STDERR_FILENO), STDERR_FILENO);
    log_collect(count_call, &calls);
    for (int i = 0; i < lines; i++)
        log_info("x", LF_STR("v", "a value that makes lines of about a hundred bytes in all"),
                 LF_INT("i", i));
    log_collect_end();
    ssize_t n = pread(fileno(file), text, sizeof text - 1, 0);
    assert_in_range(n, 1, sizeof text - 1);
    text[n] = '\0';
    assert_int_equal(lines_in(text), lines);
    for (int i = 0; i < lines; i++) {
        char field[32];
        snprintf(field, sizeof field, " i=%d\n", i);
        const char *at = strstr(text + last, field);
        assert_non_null(at);
        last = (size_t)(at - text);
    }
    assert_in_range(calls, 2, 4);
    fclose(file);
}

#define CASE(f) cmocka_unit_test_setup_teardown(f, capture, release)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(test_text_line),
        CASE(test_json_line),
        CASE(test_time),
        CASE(test_values_are_quoted_only_if_need_be),
        CASE(test_one_byte_is_enough_for_quotes),
        CASE(test_hostile_bytes_are_escaped),
        CASE(test_levels),
        CASE(test_long_value_is_cut_and_the_rest_stays),
        CASE(test_cut_falls_between_characters),
        CASE(test_full_line_drops_whole_fields_and_says_so),
        CASE(test_errno_is_kept),
        CASE(test_lines_of_threads_do_not_mix),
        CASE(test_collected_lines_are_written_together),
        CASE(test_an_error_takes_what_waits_along),
        CASE(test_many_collected_lines_are_written_whole),
        CASE(test_a_file_gets_every_collected_line),
    };
    return cmocka_run_group_tests_name("log", tests, NULL, NULL);
}
