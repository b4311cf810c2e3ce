#include "daemon/cli/start_pages.c"

#include <dlfcn.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

/* Resident pages of files, in KiB. */
static long resident_of_files(void)
{
    char line[200];
    long kib = -1;
    FILE *status = fopen("/proc/self/status", "re");
    assert_non_null(status);
    while (fgets(line, sizeof line, status))
        if (sscanf(line, "RssFile: %ld kB", &kib) == 1)
            break;
    fclose(status);
    return kib;
}

/* Touches the code of the C library from end to end. */
static unsigned sum_of_code(void)
{
    Dl_info info;
    assert_true(dladdr((void *)(uintptr_t)&fopen, &info));
    const volatile char *first = info.dli_fbase;
    unsigned sum = 0;
    for (size_t i = 0; i < 1024 * 1024; i += 4096)
        sum += (unsigned char)first[i];
    return sum;
}

static void test_pages_go_and_come_back_as_they_were(void **state)
{
    (void)state;
    unsigned sum = sum_of_code();
    long before = resident_of_files();
    start_pages_release();
    long after = resident_of_files();
    assert_true(after < before - 512);
    assert_int_equal(sum_of_code(), sum);
    assert_true(resident_of_files() > after);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_pages_go_and_come_back_as_they_were),
    };
    return cmocka_run_group_tests_name("start_pages", tests, NULL, NULL);
}
