/*
 * The limit of this machine: a server that sends one fixed answer to whatever is asked.
 *
 *     raw [-l LOG] PORT HEAD BODY
 *
 * HEAD is a file with the head of the answer as it goes on the wire, BODY a file with the body. One
 * thread per CPU, each with its own epoll and SO_REUSEPORT listener. A small body leaves in one
 * call together with the head, a big one by sendfile. With LOG each answer adds a line to that
 * file, always the same one; a thread's lines are written so many at a time as a pipe takes.
 */
#include "wire.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    SMALL_MAX = 16 * 1024,
    TURN_BYTES = 4096 * 1024, /* of a big body at one time: all that a socket takes */
    READ_BYTES = 16 * 1024,
    EVENTS = 256,
};

static struct {
    char *text; /* the head, and a small body behind it */
    size_t text_n;
    int body_fd;
    off_t body_n; /* sent by sendfile; 0: the body is part of the text */
} answer;

static const char log_line[] =
    "2026-11-22T21:30:00.000Z info request id=0123456789abcdef client=127.0.0.1:54321 method=GET "
    "target=/v2/library/bench/manifests/sha256:"
    "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef "
    "status=200 bytes=1234 route=hub cache=hit ms=0 end=complete\n";

static int log_fd = -1; /* -1: there is no log */

static _Thread_local struct {
    char text[PIPE_BUF];
    size_t n;
} log_lines;

struct conn {
    int fd;
    unsigned matched; /* bytes of the blank line seen so far */
    unsigned asked;   /* requests that wait for their answer */
    bool writing;     /* epoll says when it can take more */
    size_t text_sent;
    off_t body_sent;
};

/* --- the answer --- */

static size_t file_size(int fd, const char *path)
{
    struct stat st;
    if (fstat(fd, &st) != 0)
        err(1, "%s", path);
    return (size_t)st.st_size;
}

static void append_file(int fd, size_t n, const char *path)
{
    answer.text = realloc(answer.text, answer.text_n + n);
    if (!answer.text)
        err(1, "realloc");
    if (read(fd, answer.text + answer.text_n, n) != (ssize_t)n)
        err(1, "%s", path);
    answer.text_n += n;
}

static int open_file(const char *path)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        err(1, "%s", path);
    return fd;
}

static void load_answer(const char *head, const char *body)
{
    int fd = open_file(head);
    append_file(fd, file_size(fd, head), head);
    close(fd);
    answer.body_fd = open_file(body);
    size_t n = file_size(answer.body_fd, body);
    if (n <= SMALL_MAX)
        append_file(answer.body_fd, n, body);
    else
        answer.body_n = (off_t)n;
}

/* --- the log --- */

static void log_answer(void)
{
    if (log_fd < 0)
        return;
    if (sizeof log_lines.text - log_lines.n < sizeof log_line - 1) {
        if (write(log_fd, log_lines.text, log_lines.n) != (ssize_t)log_lines.n)
            err(1, "log");
        log_lines.n = 0;
    }
    memcpy(log_lines.text + log_lines.n, log_line, sizeof log_line - 1);
    log_lines.n += sizeof log_line - 1;
}

/* --- one connection --- */

static void end(struct conn *c)
{
    close(c->fd);
    free(c);
}

static void watch(int epoll, struct conn *c, bool writing)
{
    struct epoll_event e = {.events = writing ? EPOLLOUT : EPOLLIN, .data.ptr = c};
    c->writing = writing;
    if (epoll_ctl(epoll, EPOLL_CTL_MOD, c->fd, &e) != 0)
        err(1, "epoll_ctl");
}

/* One call's worth of the answer; false: the socket takes no more, or (errno) is broken. */
static bool send_some(struct conn *c)
{
    ssize_t n;
    if (c->text_sent < answer.text_n) {
        n = send(c->fd, answer.text + c->text_sent, answer.text_n - c->text_sent,
                 MSG_NOSIGNAL | (answer.body_n ? MSG_MORE : 0));
        c->text_sent += n > 0 ? (size_t)n : 0;
    } else {
        off_t left = answer.body_n - c->body_sent;
        n = sendfile(c->fd, answer.body_fd, &c->body_sent,
                     left < TURN_BYTES ? (size_t)left : TURN_BYTES);
    }
    if (n <= 0)
        return false;
    if (c->text_sent == answer.text_n && c->body_sent == answer.body_n) {
        log_answer();
        c->asked--;
        c->text_sent = 0;
        c->body_sent = 0;
    }
    return true;
}

static void send_answers(int epoll, struct conn *c)
{
    off_t turn_end = c->body_sent + TURN_BYTES;
    bool open = true;
    while (c->asked && open && c->body_sent < turn_end)
        open = send_some(c);
    if (!open && errno != EAGAIN)
        end(c);
    else if (c->writing != (c->asked > 0))
        watch(epoll, c, c->asked > 0);
}

static void count_requests(struct conn *c, const char *p, size_t n)
{
    static const char blank_line[] = "\r\n\r\n";
    for (size_t i = 0; i < n; i++) {
        if (p[i] == blank_line[c->matched])
            c->matched++;
        else
            c->matched = p[i] == '\r';
        if (c->matched == 4) {
            c->asked++;
            c->matched = 0;
        }
    }
}

static void receive(int epoll, struct conn *c, char *buffer)
{
    ssize_t n = recv(c->fd, buffer, READ_BYTES, 0);
    if (n > 0) {
        count_requests(c, buffer, (size_t)n);
        send_answers(epoll, c);
    } else if (n == 0 || errno != EAGAIN) {
        end(c);
    }
}

/* --- one thread --- */

static void add(int epoll, int fd, struct conn *c)
{
    struct epoll_event e = {.events = EPOLLIN, .data.ptr = c};
    if (epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &e) != 0)
        err(1, "epoll_ctl");
}

static void accept_all(int epoll, int listener)
{
    int fd, on = 1;
    while ((fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0) {
        struct conn *c = calloc(1, sizeof *c);
        if (!c)
            err(1, "calloc");
        c->fd = fd;
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
        add(epoll, fd, c);
    }
}

static void *serve(void *arg)
{
    int listener = *(const int *)arg;
    char *buffer = malloc(READ_BYTES);
    struct epoll_event events[EVENTS];
    int epoll = epoll_create1(EPOLL_CLOEXEC);
    if (!buffer || epoll < 0)
        err(1, "start");
    add(epoll, listener, NULL);
    for (;;) {
        int n = epoll_wait(epoll, events, EVENTS, -1);
        for (int i = 0; i < n; i++) {
            struct conn *c = events[i].data.ptr;
            if (!c)
                accept_all(epoll, listener);
            else if (c->writing)
                send_answers(epoll, c);
            else
                receive(epoll, c, buffer);
        }
    }
}

static void open_log(const char *path)
{
    log_fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
    if (log_fd < 0)
        err(1, "%s", path);
}

int main(int argc, char **argv)
{
    if (argc == 6 && strcmp(argv[1], "-l") == 0) {
        open_log(argv[2]);
        argv += 2;
    } else if (argc != 4) {
        errx(2, "usage: raw [-l LOG] PORT HEAD BODY");
    }
    signal(SIGPIPE, SIG_IGN); /* sendfile has no MSG_NOSIGNAL */
    load_answer(argv[2], argv[3]);
    long threads = sysconf(_SC_NPROCESSORS_ONLN);
    int *listeners = calloc((size_t)threads, sizeof *listeners);
    if (!listeners)
        err(1, "calloc");
    for (long i = 0; i < threads; i++)
        listeners[i] = listen_on((uint16_t)atoi(argv[1]), SOCK_NONBLOCK, true);
    pthread_t thread;
    for (long i = 1; i < threads; i++)
        if ((errno = pthread_create(&thread, NULL, serve, &listeners[i])) != 0)
            err(1, "pthread_create");
    serve(&listeners[0]);
    return 0;
}
