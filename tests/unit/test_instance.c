#include "daemon/base/instance.c"

#include "base/digest.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <sys/wait.h>

#include <cmocka.h>
#include <unistd.h>

static void test_the_name_stays_and_stands_in_via(void **state)
{
    (void)state;
    struct slice name = instance_name();
    unsigned char number[4];
    assert_true(slice_starts(name, SLICE("yantian-")));
    assert_true(hex_decode(slice_from(name, 8), number, sizeof number));
    assert_true(slice_eq(name, instance_name()));
    assert_true(slice_ends(instance_via(), name));
    assert_int_equal(instance_via().n, name.n + 4);
}

/* A child that makes its own name must not get the parent's: each process is its own hop. */
static void test_two_processes_have_two_names(void **state)
{
    (void)state;
    char names[2][32] = {{0}};
    for (int i = 0; i < 2; i++) {
        int ends[2];
        assert_int_equal(pipe(ends), 0);
        pid_t child = fork();
        if (child == 0) {
            make_name();
            ssize_t n = write(ends[1], via, strlen(via));
            _exit(n > 0 ? 0 : 1);
        }
        close(ends[1]);
        assert_true(read(ends[0], names[i], sizeof names[i] - 1) > 0);
        close(ends[0]);
        int status;
        assert_int_equal(waitpid(child, &status, 0), child);
        assert_int_equal(status, 0);
    }
    assert_string_not_equal(names[0], names[1]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_two_processes_have_two_names),
        cmocka_unit_test(test_the_name_stays_and_stands_in_via),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
