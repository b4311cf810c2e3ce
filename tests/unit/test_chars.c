#include "daemon/http/chars.c"

#include "http_test.h"

static bool is_letter_or_digit(int c)
{
    return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z');
}

/* The classes as the RFCs and chars.h word them, byte by byte. */
static int expected_classes(int c)
{
    int classes = 0;
    bool visible = c > 0x20 && c < 0x7f;
    if (is_letter_or_digit(c) || (c && strchr("!#$%&'*+-.^_`|~", c)))
        classes |= HTTP_CHAR_TOKEN;
    if (visible || c == ' ' || c == '\t' || c >= 0x80)
        classes |= HTTP_CHAR_VALUE;
    if (visible && c != '#')
        classes |= HTTP_CHAR_TARGET;
    if (is_letter_or_digit(c) || c == '-' || c == '_' || c == '.')
        classes |= HTTP_CHAR_HOST;
    if (c >= '0' && c <= '9')
        classes |= HTTP_CHAR_DIGIT;
    if (is_letter_or_digit(c) || c == '+' || c == '-' || c == '.')
        classes |= HTTP_CHAR_SCHEME;
    if ((classes & HTTP_CHAR_TARGET) && !strchr("%./\\", c))
        classes |= HTTP_CHAR_PLAIN;
    return classes;
}

static void test_every_byte_has_its_classes(void **state)
{
    (void)state;
    for (int c = 0; c < 256; c++)
        if (http_chars[c] != expected_classes(c))
            fail_msg("byte 0x%02x: 0x%02x, want 0x%02x", (unsigned)c, http_chars[c],
                     (unsigned)expected_classes(c));
}

static void test_all_of_a_class(void **state)
{
    (void)state;
    assert_true(http_chars_all(SLICE("0123456789"), HTTP_CHAR_DIGIT));
    assert_false(http_chars_all(SLICE("01234 56789"), HTTP_CHAR_DIGIT));
    assert_true(http_chars_all(SLICE("a-1"), HTTP_CHAR_DIGIT | HTTP_CHAR_HOST));
    assert_true(http_chars_all(slice_of(NULL, 0), HTTP_CHAR_DIGIT));
}

static void test_hex_and_escapes(void **state)
{
    (void)state;
    static const char digits[] = "0123456789abcdef", upper[] = "0123456789ABCDEF";
    for (int i = 0; i < 16; i++) {
        assert_int_equal(http_hex_value(digits[i]), i);
        assert_int_equal(http_hex_value(upper[i]), i);
    }
    assert_int_equal(http_hex_value('g'), -1);
    assert_int_equal(http_hex_value('G'), -1);
    assert_int_equal(http_hex_value('/'), -1);
    assert_int_equal(http_hex_value(':'), -1);
    assert_int_equal(http_hex_value('@'), -1);
    assert_int_equal(http_hex_value('`'), -1);

    assert_int_equal(http_escape_value(SLICE("a%2Fb"), 1), '/');
    assert_int_equal(http_escape_value(SLICE("%fF"), 0), 0xff);
    assert_int_equal(http_escape_value(SLICE("%00"), 0), 0);
    assert_int_equal(http_escape_value(SLICE("%2"), 0), -1);
    assert_int_equal(http_escape_value(SLICE("%"), 0), -1);
    assert_int_equal(http_escape_value(SLICE("%g0"), 0), -1);
    assert_int_equal(http_escape_value(SLICE("%0g"), 0), -1);
    assert_int_equal(http_escape_value(SLICE("%-1"), 0), -1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_byte_has_its_classes),
        cmocka_unit_test(test_all_of_a_class),
        cmocka_unit_test(test_hex_and_escapes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
