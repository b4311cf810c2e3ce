#include "daemon/base/err.c"

#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static void test_every_code_has_a_name_of_its_own(void **state)
{
    (void)state;
    for (int i = ERR_OK; i <= ERR_CONFIG; i++) {
        assert_string_not_equal(err_name((enum err)i), "unknown");
        for (int j = ERR_OK; j < i; j++)
            assert_string_not_equal(err_name((enum err)i), err_name((enum err)j));
    }
    assert_string_equal(err_name((enum err)999), "unknown");
}

static void test_set_fills_and_returns(void **state)
{
    struct errinfo info = {.sys = 5};

    (void)state;
    errno = EBADF;
    assert_int_equal(err_set(&info, ERR_PROTO, "line %d", 7), ERR_PROTO);
    assert_int_equal(info.code, ERR_PROTO);
    assert_int_equal(info.sys, 0);
    assert_string_equal(info.msg, "line 7");
    assert_int_equal(errno, EBADF);
    assert_int_equal(err_set(NULL, ERR_LIMIT, "x"), ERR_LIMIT);
}

static void test_sys_says_what_the_kernel_said(void **state)
{
    struct errinfo info;

    (void)state;
    errno = ENOENT;
    assert_int_equal(err_sys(&info, "open %s", "index"), ERR_IO);
    assert_int_equal(info.sys, ENOENT);
    assert_string_equal(info.msg, "open index: No such file or directory");
    assert_int_equal(errno, ENOENT);
}

static void test_sys_tells_a_full_disk(void **state)
{
    static const int full[] = {ENOSPC, EDQUOT, EFBIG};
    struct errinfo info;

    (void)state;
    for (size_t i = 0; i < sizeof full / sizeof full[0]; i++) {
        errno = full[i];
        assert_int_equal(err_sys(&info, "write"), ERR_FULL);
        assert_int_equal(info.code, ERR_FULL);
        errno = full[i];
        assert_int_equal(err_sys(NULL, "write"), ERR_FULL);
    }
}

static void test_long_texts_are_cut(void **state)
{
    struct errinfo info;
    char text[1000];

    (void)state;
    memset(text, 'x', sizeof text - 1);
    text[sizeof text - 1] = '\0';
    errno = EIO;
    assert_int_equal(err_sys(&info, "%s", text), ERR_IO);
    assert_int_equal(strlen(info.msg), sizeof info.msg - 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_code_has_a_name_of_its_own),
        cmocka_unit_test(test_set_fills_and_returns),
        cmocka_unit_test(test_sys_says_what_the_kernel_said),
        cmocka_unit_test(test_sys_tells_a_full_disk),
        cmocka_unit_test(test_long_texts_are_cut),
    };
    return cmocka_run_group_tests_name("err", tests, NULL, NULL);
}
