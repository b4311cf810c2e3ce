/*
 * A long link on loopback: a relay with a rate and a delay.
 *
 *     link PORT UPSTREAM_PORT BYTES_PER_SECOND DELAY_MS
 *
 * Connections to 127.0.0.1:PORT lead to 127.0.0.1:UPSTREAM_PORT. Each direction is a line of its
 * own: a quantum from each connection in turn is put on it at the rate, and comes out DELAY_MS
 * later. A new connection costs a round trip (twice DELAY_MS) before its first byte is sent. Not
 * emulated: loss, TCP's slow start, the bytes of packet heads.
 *
 * When a byte is due is computed, not waited for, so a relay that is late for a moment neither
 * changes the rate nor adds to the delays.
 */
#include "wire.h"

#include <errno.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <sys/epoll.h>
#include <time.h>
#include <unistd.h>

enum {
    CONNECTIONS_MAX = 512,
    CHUNKS_MAX = 4096,              /* of one pipe on their way */
    QUANTUM = 32 * 1024,            /* from one connection before it is another's turn */
    SPARE_BYTES = 1024 * 1024,      /* a pipe's room beyond what a round trip takes */
    SOCKET_BYTES = 2 * 1024 * 1024, /* so that the kernel's buffers do not bound the rate */
    AHEAD_NS = 1000 * 1000,         /* bytes are put on the line so long before their time */
    TICK_NS = 250 * 1000,           /* the pause while a line is busy */
    EVENTS = 128,
};

static const int64_t SECOND_NS = 1000000000;

enum direction { UP, DOWN }; /* to the upstream, and back */

struct chunk {
    int64_t arrives_ns;
    size_t n;
};

/* One direction of a connection: a ring of bytes that are on their way or wait for their reader. */
struct pipe {
    bool readable, writable; /* as far as is known */
    bool over;               /* the source has ended, at ends_ns */
    bool closed;             /* its end was passed on */
    int64_t ends_ns;
    char *ring;
    size_t begin, held;
    struct chunk chunks[CHUNKS_MAX];
    unsigned first, count;
};

struct connection {
    int fds[2];           /* pipe UP reads the first and writes the second, DOWN the reverse */
    struct pipe pipes[2]; /* by direction */
    int64_t opens_ns;     /* when the first byte may be sent */
    bool broken;
};

struct line {
    int64_t free_ns; /* when the last byte has been put on it */
    bool busy;       /* there was more to send when it was last looked at */
    unsigned turn;
};

static struct {
    double rate;
    int64_t delay_ns;
    size_t ring_bytes;
    uint16_t upstream_port;
    int epoll, listener;
    struct line lines[2];
    struct connection *connections[CONNECTIONS_MAX];
    unsigned count; /* slots in use or used before */
} relay;

static int64_t now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * SECOND_NS + t.tv_nsec;
}

static size_t least(size_t a, size_t b)
{
    return a < b ? a : b;
}

static struct timespec span(int64_t ns)
{
    return (struct timespec){.tv_sec = ns / SECOND_NS, .tv_nsec = ns % SECOND_NS};
}

/* --- connections --- */

/* Events name the slot and the side. */
static void watch(int fd, unsigned slot, unsigned side)
{
    struct epoll_event e = {.events = EPOLLIN | EPOLLOUT | EPOLLET, .data.u32 = slot * 2 + side};
    int on = 1, bytes = SOCKET_BYTES;
    if (setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on) != 0 ||
        setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &bytes, sizeof bytes) != 0 ||
        epoll_ctl(relay.epoll, EPOLL_CTL_ADD, fd, &e) != 0)
        err(1, "connection");
}

static int connect_upstream(void)
{
    struct sockaddr_in to = loopback(relay.upstream_port);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd >= 0 && connect(fd, (struct sockaddr *)&to, sizeof to) != 0 && errno != EINPROGRESS) {
        close(fd);
        return -1;
    }
    return fd;
}

static unsigned free_slot(void)
{
    unsigned i = 0;
    while (i < relay.count && relay.connections[i])
        i++;
    if (i == CONNECTIONS_MAX)
        errx(1, "too many connections");
    if (i == relay.count)
        relay.count++;
    return i;
}

static void open_connection(int client)
{
    int upstream = connect_upstream();
    if (upstream < 0) {
        close(client);
        return;
    }
    struct connection *c = calloc(1, sizeof *c);
    unsigned slot = free_slot();
    if (!c)
        err(1, "calloc");
    c->fds[UP] = client;
    c->fds[DOWN] = upstream;
    c->opens_ns = now_ns() + 2 * relay.delay_ns;
    for (unsigned d = UP; d <= DOWN; d++)
        if (!(c->pipes[d].ring = malloc(relay.ring_bytes)))
            err(1, "malloc");
    relay.connections[slot] = c;
    watch(client, slot, UP);
    watch(upstream, slot, DOWN);
}

static void accept_all(void)
{
    int fd;
    while ((fd = accept4(relay.listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0)
        open_connection(fd);
}

static void remove_ended(void)
{
    for (unsigned i = 0; i < relay.count; i++) {
        struct connection *c = relay.connections[i];
        if (!c || (!c->broken && !(c->pipes[UP].closed && c->pipes[DOWN].closed)))
            continue;
        for (unsigned d = UP; d <= DOWN; d++) {
            close(c->fds[d]);
            free(c->pipes[d].ring);
        }
        free(c);
        relay.connections[i] = NULL;
    }
}

/* --- onto the line --- */

static bool can_send(const struct connection *c, enum direction d, int64_t now)
{
    const struct pipe *p = &c->pipes[d];
    return p->readable && !p->over && p->held < relay.ring_bytes && p->count < CHUNKS_MAX &&
           c->opens_ns <= now;
}

/* A quantum at most, and not across the ring's end; false: there was nothing. */
static bool send_quantum(struct connection *c, enum direction d)
{
    struct pipe *p = &c->pipes[d];
    struct line *line = &relay.lines[d];
    size_t at = (p->begin + p->held) % relay.ring_bytes;
    size_t most = least(least(relay.ring_bytes - p->held, relay.ring_bytes - at), QUANTUM);
    ssize_t n = recv(c->fds[d], p->ring + at, most, 0);
    if (n < 0 && errno == EAGAIN) {
        p->readable = false;
        return false;
    }
    if (n < 0) {
        c->broken = true;
        return false;
    }
    if (n == 0) {
        p->over = true;
        p->ends_ns = line->free_ns + relay.delay_ns;
        return false;
    }
    line->free_ns += (int64_t)((double)n / relay.rate * 1e9);
    p->chunks[(p->first + p->count++) % CHUNKS_MAX] =
        (struct chunk){.arrives_ns = line->free_ns + relay.delay_ns, .n = (size_t)n};
    p->held += (size_t)n;
    return true;
}

/* Fills the line for the next moment. A line that has been idle begins now, not in the past. */
static void transmit(enum direction d, int64_t now)
{
    struct line *line = &relay.lines[d];
    if (!line->busy && line->free_ns < now)
        line->free_ns = now;
    line->busy = true;
    for (unsigned idle = 0; line->free_ns < now + AHEAD_NS; line->turn++) {
        if (idle++ == relay.count) {
            line->busy = false;
            return;
        }
        struct connection *c = relay.count ? relay.connections[line->turn % relay.count] : NULL;
        if (c && can_send(c, d, now) && send_quantum(c, d))
            idle = 0;
    }
}

/* --- off the line --- */

/* The bytes that have arrived and lie in one piece. */
static size_t arrived(const struct pipe *p, int64_t now)
{
    size_t n = 0;
    for (unsigned i = 0; i < p->count; i++) {
        const struct chunk *chunk = &p->chunks[(p->first + i) % CHUNKS_MAX];
        if (chunk->arrives_ns > now)
            break;
        n += chunk->n;
    }
    return least(n, relay.ring_bytes - p->begin);
}

static void taken(struct pipe *p, size_t n)
{
    p->begin = (p->begin + n) % relay.ring_bytes;
    p->held -= n;
    while (n) {
        struct chunk *chunk = &p->chunks[p->first];
        size_t part = least(n, chunk->n);
        chunk->n -= part;
        n -= part;
        if (chunk->n == 0) {
            p->first = (p->first + 1) % CHUNKS_MAX;
            p->count--;
        }
    }
}

static void deliver(struct connection *c, enum direction d, int64_t now)
{
    struct pipe *p = &c->pipes[d];
    int to = c->fds[d == UP ? DOWN : UP];
    size_t n;
    while (p->writable && (n = arrived(p, now)) > 0) {
        ssize_t sent = send(to, p->ring + p->begin, n, MSG_NOSIGNAL);
        if (sent > 0)
            taken(p, (size_t)sent);
        else if (errno == EAGAIN)
            p->writable = false;
        else
            c->broken = true;
        if (sent <= 0)
            return;
    }
    if (p->over && !p->closed && p->held == 0 && p->ends_ns <= now) {
        shutdown(to, SHUT_WR);
        p->closed = true;
    }
}

/* --- the loop --- */

static void note(const struct epoll_event *e)
{
    struct connection *c = relay.connections[e->data.u32 / 2];
    enum direction from = e->data.u32 % 2, to = from == UP ? DOWN : UP;
    if (e->events & (EPOLLIN | EPOLLHUP | EPOLLERR))
        c->pipes[from].readable = true;
    if (e->events & (EPOLLOUT | EPOLLHUP | EPOLLERR))
        c->pipes[to].writable = true;
}

static void earlier(int64_t *due, int64_t at)
{
    if (at < *due)
        *due = at;
}

/* When something happens without an event: a chunk or an end arrives, a connection stands. */
static int64_t next_due(int64_t now)
{
    int64_t due = now + SECOND_NS;
    for (unsigned i = 0; i < relay.count; i++) {
        struct connection *c = relay.connections[i];
        for (unsigned d = UP; c && d <= DOWN; d++) {
            struct pipe *p = &c->pipes[d];
            if (p->count && p->writable)
                earlier(&due, p->chunks[p->first].arrives_ns);
            else if (p->over && !p->closed && p->held == 0)
                earlier(&due, p->ends_ns);
            if (p->readable && c->opens_ns > now)
                earlier(&due, c->opens_ns);
        }
    }
    return due > now + TICK_NS ? due : now + TICK_NS;
}

/* While a line is busy every byte that comes in would be an event: then by ticks only. */
static void wait_for_events(int64_t now)
{
    struct epoll_event events[EVENTS];
    bool busy = relay.lines[UP].busy || relay.lines[DOWN].busy;
    struct timespec pause = span(busy ? TICK_NS : next_due(now) - now), none = {0};
    if (busy)
        nanosleep(&pause, NULL);
    int n = epoll_pwait2(relay.epoll, events, EVENTS, busy ? &none : &pause, NULL);
    for (int i = 0; i < n; i++) {
        if (events[i].data.u32 == UINT32_MAX)
            accept_all();
        else
            note(&events[i]);
    }
}

static void run(void)
{
    for (;;) {
        int64_t now = now_ns();
        for (unsigned d = UP; d <= DOWN; d++) {
            transmit(d, now);
            for (unsigned i = 0; i < relay.count; i++)
                if (relay.connections[i])
                    deliver(relay.connections[i], d, now);
        }
        remove_ended();
        wait_for_events(now);
    }
}

int main(int argc, char **argv)
{
    if (argc != 5)
        errx(2, "usage: link PORT UPSTREAM_PORT BYTES_PER_SECOND DELAY_MS");
    relay.upstream_port = (uint16_t)atoi(argv[2]);
    relay.rate = atof(argv[3]);
    relay.delay_ns = (int64_t)(atof(argv[4]) * 1e6);
    if (relay.rate < 1 || relay.delay_ns < 0)
        errx(2, "a rate of at least one byte per second, and no negative delay");
    relay.ring_bytes = (size_t)(relay.rate * 2 * (double)relay.delay_ns / 1e9) + SPARE_BYTES;
    relay.epoll = epoll_create1(EPOLL_CLOEXEC);
    relay.listener = listen_on((uint16_t)atoi(argv[1]), SOCK_NONBLOCK, false);
    struct epoll_event e = {.events = EPOLLIN, .data.u32 = UINT32_MAX};
    if (relay.epoll < 0 || epoll_ctl(relay.epoll, EPOLL_CTL_ADD, relay.listener, &e) != 0)
        err(1, "epoll");
    run();
}
