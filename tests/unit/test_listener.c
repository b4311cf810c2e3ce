#include "daemon/io/listener.c"

#include "loop.h"

#include <fcntl.h>
#include <sys/resource.h>
#include <time.h>

static struct loop loop;

static int set_up(void **state)
{
    (void)state;
    loop_open(&loop);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    loop_close(&loop);
    return 0;
}

/* A listening socket on a port that the kernel picks; `address` is then how it is reached. */
static int listen_somewhere(char address[32])
{
    struct sockaddr_in a;
    socklen_t n = sizeof a;
    int fd = -1;
    assert_int_equal(listen_socket("127.0.0.1:0", &fd, NULL), ERR_OK);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&a, &n), 0);
    snprintf(address, 32, "127.0.0.1:%u", ntohs(a.sin_port));
    return fd;
}

static int connect_to(int listener)
{
    struct sockaddr_in a;
    socklen_t n = sizeof a;
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(getsockname(listener, (struct sockaddr *)&a, &n), 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&a, n), 0);
    return fd;
}

/* --- addresses --- */

static void test_addresses_that_are_none_are_refused_by_name(void **state)
{
    (void)state;
    char longest[400];
    memset(longest, 'a', sizeof longest);
    memcpy(longest + sizeof longest - 4, ":80", 4);
    const char *const bad[] = {"", "127.0.0.1", "127.0.0.1:http", "[::1:80", longest};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct errinfo info = {.msg = ""};
        int fd = -1;
        assert_int_not_equal(listen_socket(bad[i], &fd, &info), ERR_OK);
        assert_int_equal(fd, -1);
        assert_non_null(strstr(info.msg, "listen on "));
        if (bad[i] != longest)
            assert_non_null(strstr(info.msg, bad[i]));
    }
}

static void test_v6_in_brackets(void **state)
{
    (void)state;
    int fd = -1;
    struct sockaddr_in6 a;
    socklen_t n = sizeof a;
    assert_int_equal(listen_socket("[::1]:0", &fd, NULL), ERR_OK);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&a, &n), 0);
    assert_int_equal(a.sin6_family, AF_INET6);
    close(fd);
}

static void test_an_address_that_is_not_ours_is_refused(void **state)
{
    (void)state;
    struct errinfo info = {.msg = ""};
    int fd = -1;
    assert_int_equal(listen_socket("192.0.2.1:5000", &fd, &info), ERR_IO);
    assert_int_equal(info.sys, EADDRNOTAVAIL);
}

static void test_every_reactor_gets_its_own_socket_on_one_port(void **state)
{
    (void)state;
    char address[32];
    int first = listen_somewhere(address), second = -1;
    assert_int_equal(listen_socket(address, &second, NULL), ERR_OK);
    close(first);
    close(second);
}

/* SO_REUSEPORT alone would let a second daemon take half of the connections. */
static void test_the_probe_finds_whoever_listens_already(void **state)
{
    (void)state;
    char address[32];
    struct errinfo info = {.msg = ""};
    int fd = listen_somewhere(address);
    assert_int_equal(listen_probe(address, &info), ERR_IO);
    assert_int_equal(info.sys, EADDRINUSE);
    assert_non_null(strstr(info.msg, address));
    close(fd);
    assert_int_equal(listen_probe(address, &info), ERR_OK);
    assert_int_equal(listen_probe(address, &info), ERR_OK);
}

/* --- accepting --- */

enum { GUESTS_MAX = 200 };

struct door {
    int fds[GUESTS_MAX];
    unsigned n;
    unsigned wanted; /* the loop ends when so many came */
    struct peer last;
};

static void on_accept(void *arg, int fd, const struct peer *peer)
{
    struct door *d = arg;
    assert_true(d->n < GUESTS_MAX);
    d->fds[d->n++] = fd;
    d->last = *peer;
    if (d->n == d->wanted)
        reactor_stop(loop.reactor);
}

static void close_all(const int *fds, unsigned n)
{
    for (unsigned i = 0; i < n; i++)
        close(fds[i]);
}

static void test_what_is_accepted_does_not_block_nor_delay_nor_leak(void **state)
{
    (void)state;
    char address[32], text[PEER_TEXT_MAX], want[64];
    int no_delay = 0, fd = listen_somewhere(address);
    struct door door = {.wanted = 1};
    struct listener *l = NULL;
    assert_int_equal(listener_new(loop.reactor, fd, on_accept, &door, &l), ERR_OK);
    int guest = connect_to(fd);
    struct sockaddr_in a;
    socklen_t n = sizeof a;
    assert_int_equal(getsockname(guest, (struct sockaddr *)&a, &n), 0);
    snprintf(want, sizeof want, "127.0.0.1:%u", ntohs(a.sin_port));
    reactor_run(loop.reactor);
    peer_text(&door.last, text);
    assert_string_equal(text, want);
    assert_true(fcntl(door.fds[0], F_GETFL) & O_NONBLOCK);
    assert_true(fcntl(door.fds[0], F_GETFD) & FD_CLOEXEC);
    n = sizeof no_delay;
    assert_int_equal(getsockopt(door.fds[0], IPPROTO_TCP, TCP_NODELAY, &no_delay, &n), 0);
    assert_true(no_delay);
    close_all(door.fds, 1);
    close(guest);
    listener_free(&l);
    assert_null(l);
}

/* More than are accepted in one turn. */
static void test_a_crowd_is_accepted(void **state)
{
    (void)state;
    char address[32];
    int guests[ACCEPTS_PER_TURN + 20], fd = listen_somewhere(address);
    struct door door = {.wanted = ACCEPTS_PER_TURN + 20};
    struct listener *l = NULL;
    for (unsigned i = 0; i < door.wanted; i++)
        guests[i] = connect_to(fd);
    assert_int_equal(listener_new(loop.reactor, fd, on_accept, &door, &l), ERR_OK);
    reactor_run(loop.reactor);
    assert_int_equal(door.n, door.wanted);
    close_all(door.fds, door.n);
    close_all(guests, door.wanted);
    listener_free(&l);
}

struct shortage {
    struct timer timer;
    struct rlimit before;
    struct door *door;
    clock_t spent;
};

static void on_relief(struct timer *t)
{
    struct shortage *s = container_of(t, struct shortage, timer);
    assert_int_equal(s->door->n, 0);
    s->spent = clock() - s->spent;
    setrlimit(RLIMIT_NOFILE, &s->before);
}

/* Without descriptors accept() fails at once and for ever: that must be no busy loop. */
static void test_a_lack_of_descriptors_is_waited_out(void **state)
{
    (void)state;
    char address[32];
    int fd = listen_somewhere(address);
    struct door door = {.wanted = 1};
    struct shortage s = {.door = &door};
    struct listener *l = NULL;
    assert_int_equal(listener_new(loop.reactor, fd, on_accept, &door, &l), ERR_OK);
    int guest = connect_to(fd);
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &s.before), 0);
    struct rlimit none = s.before;
    none.rlim_cur = (rlim_t)guest;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
    timer_init(&s.timer, loop.reactor, on_relief);
    timer_set(&s.timer, 350);
    s.spent = clock();
    reactor_run(loop.reactor);
    assert_int_equal(door.n, 1);
    assert_true(s.spent < CLOCKS_PER_SEC / 10);
    close_all(door.fds, 1);
    close(guest);
    listener_free(&l);
}

static void test_a_freed_listener_refuses(void **state)
{
    (void)state;
    char address[32];
    int fd = listen_somewhere(address);
    struct sockaddr_in a;
    socklen_t n = sizeof a;
    struct door door = {.wanted = 1};
    struct listener *l = NULL;
    assert_int_equal(getsockname(fd, (struct sockaddr *)&a, &n), 0);
    assert_int_equal(listener_new(loop.reactor, fd, on_accept, &door, &l), ERR_OK);
    listener_free(&l);
    listener_free(&l);
    int guest = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(connect(guest, (struct sockaddr *)&a, n), -1);
    assert_int_equal(errno, ECONNREFUSED);
    close(guest);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_addresses_that_are_none_are_refused_by_name),
        TEST(test_v6_in_brackets),
        TEST(test_an_address_that_is_not_ours_is_refused),
        TEST(test_every_reactor_gets_its_own_socket_on_one_port),
        TEST(test_the_probe_finds_whoever_listens_already),
        TEST(test_what_is_accepted_does_not_block_nor_delay_nor_leak),
        TEST(test_a_crowd_is_accepted),
        TEST(test_a_lack_of_descriptors_is_waited_out),
        TEST(test_a_freed_listener_refuses),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
