#include "daemon/io/stream.c"

#include "loop.h"

#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>

static struct loop loop;
static struct stream stream;
static int theirs;

static void ignore(struct watch *w, unsigned what)
{
    (void)w;
    (void)what;
}

/* Over TCP, since only there a reset is what it is. */
static int set_up(void **state)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t n = sizeof a;
    int listener = socket(AF_INET, SOCK_STREAM, 0);
    (void)state;
    loop_open(&loop);
    theirs = socket(AF_INET, SOCK_STREAM, 0);
    if (bind(listener, (struct sockaddr *)&a, sizeof a) != 0 || listen(listener, 1) != 0 ||
        getsockname(listener, (struct sockaddr *)&a, &n) != 0 ||
        connect(theirs, (struct sockaddr *)&a, n) != 0)
        return -1;
    stream_open(&stream, loop.reactor, accept4(listener, NULL, NULL, SOCK_NONBLOCK), ignore);
    close(listener);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    if (stream.watch.fd >= 0)
        stream_close(&stream);
    if (theirs >= 0)
        close(theirs);
    loop_close(&loop);
    return 0;
}

static void peer_resets(void)
{
    struct linger now = {.l_onoff = 1, .l_linger = 0};
    setsockopt(theirs, SOL_SOCKET, SO_LINGER, &now, sizeof now);
    close(theirs);
    theirs = -1;
}

static void check_peer_gets(const char *want)
{
    char got[64] = "";
    size_t n = strlen(want);
    assert_int_equal(recv(theirs, got, n, MSG_WAITALL), n);
    assert_memory_equal(got, want, n);
}

static void test_reading(void **state)
{
    (void)state;
    char p[8];
    size_t moved = 9;
    assert_int_equal(stream_read(&stream, p, sizeof p, &moved), IO_AGAIN);
    assert_int_equal(moved, 0);
    assert_int_equal(write(theirs, "abc", 3), 3);
    assert_int_equal(stream_read(&stream, p, 2, &moved), IO_DONE);
    assert_int_equal(moved, 2);
    assert_memory_equal(p, "ab", 2);
    shutdown(theirs, SHUT_WR);
    assert_int_equal(stream_read(&stream, p, sizeof p, &moved), IO_DONE);
    assert_int_equal(moved, 1);
    assert_int_equal(stream_read(&stream, p, sizeof p, &moved), IO_EOF);
    assert_int_equal(moved, 0);
}

static void test_a_reset_is_an_error_to_the_reader(void **state)
{
    (void)state;
    char p[8];
    size_t moved = 9;
    peer_resets();
    assert_int_equal(stream_read(&stream, p, sizeof p, &moved), IO_ERROR);
    assert_int_equal(moved, 0);
}

static void test_several_pieces_are_written_in_one_call(void **state)
{
    (void)state;
    const struct iovec iov[2] = {{.iov_base = (char[]){'a', 'b'}, .iov_len = 2},
                                 {.iov_base = (char[]){'c'}, .iov_len = 1}};
    size_t moved;
    assert_int_equal(stream_writev(&stream, iov, 2, false, &moved), IO_DONE);
    assert_int_equal(moved, 3);
    check_peer_gets("abc");
}

/* Whoever says `more` and then has no more must not leave the packet in the kernel for ever. */
static void test_what_is_held_back_goes_with_the_next_bytes(void **state)
{
    (void)state;
    const struct iovec head = {.iov_base = (char[]){'h'}, .iov_len = 1};
    const struct iovec body = {.iov_base = (char[]){'b'}, .iov_len = 1};
    size_t moved;
    assert_int_equal(stream_writev(&stream, &head, 1, true, &moved), IO_DONE);
    assert_int_equal(stream_writev(&stream, &body, 1, false, &moved), IO_DONE);
    check_peer_gets("hb");
}

static void test_a_full_socket_says_again(void **state)
{
    (void)state;
    static char block[256 * 1024];
    const struct iovec iov = {.iov_base = block, .iov_len = sizeof block};
    size_t moved, sum = 0;
    enum io_result r;
    while ((r = stream_writev(&stream, &iov, 1, false, &moved)) == IO_DONE)
        sum += moved;
    assert_int_equal(r, IO_AGAIN);
    assert_int_equal(moved, 0);
    assert_true(sum > 0);
}

/* The process does not ignore SIGPIPE here: it would die. */
static void test_writing_to_a_peer_that_has_gone_is_an_error_and_no_signal(void **state)
{
    (void)state;
    const struct iovec iov = {.iov_base = (char[]){'x'}, .iov_len = 1};
    size_t moved;
    signal(SIGPIPE, SIG_DFL);
    peer_resets();
    assert_int_equal(stream_writev(&stream, &iov, 1, false, &moved), IO_ERROR);
    assert_int_equal(stream_writev(&stream, &iov, 1, false, &moved), IO_ERROR);
}

static int file_of(const char *text)
{
    char path[] = "/tmp/yantian-test-XXXXXX";
    int fd = mkstemp(path);
    unlink(path);
    assert_int_equal(write(fd, text, strlen(text)), strlen(text));
    return fd;
}

static void test_a_stretch_of_a_file_is_sent(void **state)
{
    (void)state;
    int fd = file_of("0123456789");
    size_t moved;
    assert_int_equal(stream_sendfile(&stream, fd, 3, 4, &moved), IO_DONE);
    assert_int_equal(moved, 4);
    check_peer_gets("3456");
    assert_int_equal(lseek(fd, 0, SEEK_CUR), 10); /* shared by many: its position is left alone */
    close(fd);
}

/* A file that was cut must not look like a socket that is full: that would hang. */
static void test_a_file_shorter_than_promised_is_an_error(void **state)
{
    (void)state;
    int fd = file_of("0123");
    size_t moved;
    assert_int_equal(stream_sendfile(&stream, fd, 2, 10, &moved), IO_DONE);
    assert_int_equal(moved, 2);
    assert_int_equal(stream_sendfile(&stream, fd, 4, 8, &moved), IO_ERROR);
    assert_int_equal(moved, 0);
    close(fd);
}

static void test_closing_sends_what_is_in_the_kernel(void **state)
{
    (void)state;
    char got[4];
    const struct iovec iov = {.iov_base = (char[]){'e', 'n', 'd'}, .iov_len = 3};
    size_t moved;
    assert_int_equal(stream_writev(&stream, &iov, 1, false, &moved), IO_DONE);
    stream_close(&stream);
    check_peer_gets("end");
    assert_int_equal(recv(theirs, got, sizeof got, 0), 0);
}

static void test_a_reset_tells_the_peer_that_it_was_no_end(void **state)
{
    (void)state;
    char got[4];
    stream_reset(&stream);
    assert_int_equal(recv(theirs, got, sizeof got, 0), -1);
    assert_int_equal(errno, ECONNRESET);
}

static void check_peer(const struct sockaddr_storage *a, const char *want)
{
    char text[PEER_TEXT_MAX];
    struct peer peer = peer_of(a);
    peer_text(&peer, text);
    assert_string_equal(text, want);
}

static void test_addresses_as_text(void **state)
{
    (void)state;
    struct sockaddr_storage a = {.ss_family = AF_UNSPEC};
    struct sockaddr_in *v4 = (struct sockaddr_in *)(void *)&a;
    struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)(void *)&a;
    v4->sin_family = AF_INET;
    v4->sin_port = htons(80);
    assert_int_equal(inet_pton(AF_INET, "192.0.2.1", &v4->sin_addr), 1);
    check_peer(&a, "192.0.2.1:80");
    memset(&a, 0, sizeof a);
    v6->sin6_family = AF_INET6;
    v6->sin6_port = htons(65535);
    assert_int_equal(inet_pton(AF_INET6, "2001:db8:ffff:ffff:ffff:ffff:ffff:ffff", &v6->sin6_addr),
                     1);
    check_peer(&a, "[2001:db8:ffff:ffff:ffff:ffff:ffff:ffff]:65535");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_reading),
        TEST(test_a_reset_is_an_error_to_the_reader),
        TEST(test_several_pieces_are_written_in_one_call),
        TEST(test_what_is_held_back_goes_with_the_next_bytes),
        TEST(test_a_full_socket_says_again),
        TEST(test_writing_to_a_peer_that_has_gone_is_an_error_and_no_signal),
        TEST(test_a_stretch_of_a_file_is_sent),
        TEST(test_a_file_shorter_than_promised_is_an_error),
        TEST(test_closing_sends_what_is_in_the_kernel),
        TEST(test_a_reset_tells_the_peer_that_it_was_no_end),
        TEST(test_addresses_as_text),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
