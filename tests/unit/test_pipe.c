#include "daemon/base/pipe.c"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

/* Both ends, and what they were told. */
struct ends {
    struct pipe *writer, *reader;
    int rooms, arrivals;
    bool reader_leaves, writer_leaves; /* when told */
    bool reads_all;                    /* when told */
    size_t taken;
};

static void on_room(void *arg)
{
    struct ends *ends = arg;

    ends->rooms++;
    if (ends->writer_leaves)
        pipe_writer_leave(&ends->writer);
}

static void on_bytes(void *arg)
{
    struct ends *ends = arg;
    char bytes[1000];

    ends->arrivals++;
    for (size_t n = 1; ends->reads_all && n; ends->taken += n)
        n = pipe_read(ends->reader, bytes, sizeof bytes);
    if (ends->reader_leaves)
        pipe_reader_leave(&ends->reader);
}

static void open_ends(struct ends *ends)
{
    *ends = (struct ends){.writer = pipe_new()};
    assert_non_null(ends->writer);
    ends->reader = ends->writer;
    pipe_on_room(ends->writer, on_room, ends);
    pipe_on_bytes(ends->reader, on_bytes, ends);
}

static void close_ends(struct ends *ends)
{
    pipe_writer_leave(&ends->writer);
    pipe_reader_leave(&ends->reader);
    assert_null(ends->writer);
    assert_null(ends->reader);
}

static void test_bytes_come_out_as_they_went_in(void **state)
{
    static const size_t steps[] = {1, 70000, 3, 65536, 40000, 127, 131072};
    static char out[PIPE_CAPACITY], in[PIPE_CAPACITY];
    struct ends ends;
    size_t written = 0, taken = 0;

    (void)state;
    open_ends(&ends);
    for (size_t i = 0; i < 400; i++) {
        size_t n = steps[i % 7] < pipe_room(ends.writer) ? steps[i % 7] : pipe_room(ends.writer);
        for (size_t k = 0; k < n; k++)
            in[k] = (char)((written + k) * 31 >> 3);
        pipe_write(ends.writer, slice_of(in, n));
        written += n;
        n = pipe_read(ends.reader, out, steps[i % 5]);
        for (size_t k = 0; k < n; k++)
            if (out[k] != (char)((taken + k) * 31 >> 3))
                fail_msg("byte %zu", taken + k);
        taken += n;
        assert_int_equal(pipe_room(ends.writer), PIPE_CAPACITY - (written - taken));
    }
    assert_true(written > 30 * PIPE_CAPACITY);
    close_ends(&ends);
}

static void test_it_is_bounded(void **state)
{
    static char bytes[PIPE_CAPACITY];
    struct ends ends;

    (void)state;
    open_ends(&ends);
    assert_int_equal(pipe_room(ends.writer), PIPE_CAPACITY);
    pipe_write(ends.writer, slice_of(bytes, sizeof bytes));
    assert_int_equal(pipe_room(ends.writer), 0);
    assert_int_equal(ends.rooms, 0);
    assert_int_equal(pipe_read(ends.reader, bytes, 10), 10);
    assert_int_equal(ends.rooms, 1);
    assert_int_equal(pipe_room(ends.writer), 10);
    assert_int_equal(pipe_read(ends.reader, bytes, sizeof bytes), sizeof bytes - 10);
    assert_int_equal(pipe_read(ends.reader, bytes, sizeof bytes), 0);
    assert_int_equal(ends.rooms, 2); /* nothing was taken: no more room than before */
    close_ends(&ends);
}

static void test_reader_is_told_of_bytes_and_of_the_end(void **state)
{
    struct ends ends;
    char bytes[10];

    (void)state;
    open_ends(&ends);
    pipe_write(ends.writer, SLICE(""));
    assert_int_equal(ends.arrivals, 0);
    pipe_write(ends.writer, SLICE("abc"));
    assert_int_equal(ends.arrivals, 1);
    assert_int_equal(pipe_state(ends.reader), PIPE_OPEN);
    pipe_end(ends.writer, true);
    assert_int_equal(ends.arrivals, 2);
    assert_int_equal(pipe_state(ends.reader), PIPE_WHOLE);
    pipe_end(ends.writer, false); /* the first word counts */
    assert_int_equal(ends.arrivals, 2);
    pipe_writer_leave(&ends.writer);
    assert_int_equal(ends.arrivals, 2);
    assert_int_equal(pipe_state(ends.reader), PIPE_WHOLE);
    assert_int_equal(pipe_read(ends.reader, bytes, sizeof bytes), 3);
    assert_memory_equal(bytes, "abc", 3);
    close_ends(&ends);
}

static void test_writer_that_leaves_without_an_end_breaks_it(void **state)
{
    struct ends ends;
    char bytes[10];

    (void)state;
    open_ends(&ends);
    pipe_write(ends.writer, SLICE("abc"));
    pipe_writer_leave(&ends.writer);
    assert_null(ends.writer);
    assert_int_equal(ends.arrivals, 2);
    assert_int_equal(pipe_state(ends.reader), PIPE_BROKEN);
    assert_int_equal(pipe_read(ends.reader, bytes, sizeof bytes), 3);
    assert_int_equal(ends.rooms, 0); /* nobody is there to be told */
    close_ends(&ends);
    open_ends(&ends);
    pipe_end(ends.writer, false);
    assert_int_equal(pipe_state(ends.reader), PIPE_BROKEN);
    close_ends(&ends);
}

static void test_reader_that_leaves_takes_the_room_with_it(void **state)
{
    struct ends ends;

    (void)state;
    open_ends(&ends);
    assert_true(pipe_is_read(ends.writer));
    pipe_write(ends.writer, SLICE("abc"));
    pipe_reader_leave(&ends.reader);
    assert_null(ends.reader);
    assert_int_equal(ends.rooms, 1);
    assert_false(pipe_is_read(ends.writer));
    assert_int_equal(pipe_room(ends.writer), 0);
    pipe_end(ends.writer, true);
    assert_int_equal(ends.arrivals, 1); /* nobody is there to be told */
    close_ends(&ends);
}

/* The sanitizer sees to it that nothing is touched behind the last one who leaves. */
static void test_either_end_may_leave_when_told(void **state)
{
    struct ends ends;

    (void)state;
    open_ends(&ends);
    ends.reader_leaves = true;
    pipe_write(ends.writer, SLICE("abc"));
    assert_null(ends.reader);
    close_ends(&ends);

    open_ends(&ends);
    ends.reader_leaves = true;
    pipe_writer_leave(&ends.writer);
    assert_null(ends.reader);

    open_ends(&ends);
    ends.writer_leaves = true;
    pipe_reader_leave(&ends.reader);
    assert_null(ends.writer);

    open_ends(&ends);
    pipe_write(ends.writer, SLICE("abc"));
    ends.writer_leaves = true;
    char bytes[2];
    assert_int_equal(pipe_read(ends.reader, bytes, 2), 2);
    assert_null(ends.writer);
    assert_int_equal(pipe_state(ends.reader), PIPE_BROKEN);
    close_ends(&ends);
}

static void test_reader_may_read_when_told(void **state)
{
    static char bytes[PIPE_CAPACITY];
    struct ends ends;

    (void)state;
    open_ends(&ends);
    ends.reads_all = true;
    for (size_t i = 0; i < 5; i++)
        pipe_write(ends.writer, slice_of(bytes, sizeof bytes - i));
    assert_int_equal(ends.taken, 5 * sizeof bytes - 10);
    assert_int_equal(pipe_room(ends.writer), PIPE_CAPACITY);
    /* The one who is told may be changed, and there may be none. */
    pipe_on_bytes(ends.reader, NULL, NULL);
    pipe_write(ends.writer, SLICE("abc"));
    assert_int_equal(pipe_room(ends.writer), PIPE_CAPACITY - 3);
    close_ends(&ends);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_bytes_come_out_as_they_went_in),
        cmocka_unit_test(test_it_is_bounded),
        cmocka_unit_test(test_reader_is_told_of_bytes_and_of_the_end),
        cmocka_unit_test(test_writer_that_leaves_without_an_end_breaks_it),
        cmocka_unit_test(test_reader_that_leaves_takes_the_room_with_it),
        cmocka_unit_test(test_either_end_may_leave_when_told),
        cmocka_unit_test(test_reader_may_read_when_told),
    };
    return cmocka_run_group_tests_name("pipe", tests, NULL, NULL);
}
