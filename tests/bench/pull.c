/*
 * Downloads over many connections at once, for what wrk cannot do: bodies of many MiB, the time of
 * the first byte on each connection, a check of the digest, slow readers.
 *
 *     pull [-c CONNECTIONS] [-n TIMES] [-t THREADS] [-s SECONDS] [-r BYTES_PER_SECOND]
 *          [-d SHA256_HEX] [-H FIELD]... PORT TARGET
 *
 * Every connection to 127.0.0.1:PORT asks TIMES for TARGET, one request after the other. It ends
 * after SECONDS in any case; with -r each connection reads at that rate only. Prints one line of
 * JSON; times are counted from the moment when all connections stand and the first request leaves.
 */
#include "wire.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/evp.h>
#include <pthread.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <time.h>
#include <unistd.h>

enum {
    HEAD_MAX = 8 * 1024,
    REQUEST_MAX = 8 * 1024,
    READ_BYTES = 256 * 1024,
    EVENTS = 64,
    THREADS_MAX = 64,
    SLOW_TICK_MS = 20,
    SHA256_BYTES = 32,
};

struct client {
    int fd;
    unsigned times_left;
    char head[HEAD_MAX + 1];
    size_t head_n;
    bool in_body;
    uint64_t left;
    uint64_t bytes;              /* of bodies, so far */
    double first_byte_s, done_s; /* of the first and the last body; 0: has not come */
    unsigned complete;
    const char *failure;
    EVP_MD_CTX *hash;
};

struct share { /* what one thread does */
    pthread_t thread;
    struct client *clients;
    unsigned count, open;
};

static struct {
    unsigned connections, times, threads;
    double seconds;
    uint64_t rate; /* 0: as fast as it comes */
    bool check;
    unsigned char digest[SHA256_BYTES];
    uint16_t port;
    char request[REQUEST_MAX];
    size_t request_n;
} options = {.connections = 1, .times = 1, .threads = 1, .seconds = 60};

static double start_s;

static double now_s(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* --- one answer --- */

static void stop(struct share *s, struct client *c, const char *failure)
{
    c->failure = failure;
    close(c->fd);
    c->fd = -1;
    s->open--;
}

static void ask(struct share *s, struct client *c)
{
    c->head_n = 0;
    c->in_body = false;
    if (options.check && !EVP_DigestInit_ex(c->hash, EVP_sha256(), NULL))
        errx(1, "EVP_DigestInit_ex");
    if (send(c->fd, options.request, options.request_n, MSG_NOSIGNAL) != (ssize_t)options.request_n)
        stop(s, c, "the request cannot be sent");
}

static bool digest_is_right(struct client *c)
{
    unsigned char found[EVP_MAX_MD_SIZE];
    if (!options.check)
        return true;
    if (!EVP_DigestFinal_ex(c->hash, found, NULL))
        errx(1, "EVP_DigestFinal_ex");
    return memcmp(found, options.digest, SHA256_BYTES) == 0;
}

static void body_over(struct share *s, struct client *c)
{
    c->done_s = now_s() - start_s;
    if (!digest_is_right(c)) {
        stop(s, c, "the digest is wrong");
        return;
    }
    c->complete++;
    if (--c->times_left == 0)
        stop(s, c, NULL);
    else
        ask(s, c);
}

static void take_body(struct share *s, struct client *c, const char *p, size_t n)
{
    if (n > c->left) {
        stop(s, c, "bytes behind the body");
        return;
    }
    if (n && c->first_byte_s == 0)
        c->first_byte_s = now_s() - start_s;
    if (options.check && !EVP_DigestUpdate(c->hash, p, n))
        errx(1, "EVP_DigestUpdate");
    c->bytes += n;
    c->left -= n;
    if (c->left == 0)
        body_over(s, c);
}

static void take_head(struct share *s, struct client *c, const char *p, size_t n)
{
    size_t room = HEAD_MAX - c->head_n, before = c->head_n;
    size_t take = n < room ? n : room;
    memcpy(c->head + c->head_n, p, take);
    c->head_n += take;
    c->head[c->head_n] = '\0';
    char *blank = strstr(c->head, "\r\n\r\n");
    if (!blank) {
        if (c->head_n == HEAD_MAX)
            stop(s, c, "the head is too long");
        return;
    }
    blank[2] = '\0';
    if (strncmp(c->head, "HTTP/1.1 200", 12) != 0) {
        stop(s, c, "the status is not 200");
    } else if (!read_length(c->head, &c->left)) {
        stop(s, c, "no Content-Length");
    } else {
        size_t of_head = (size_t)(blank + 4 - c->head) - before;
        c->in_body = true;
        take_body(s, c, p + of_head, n - of_head);
    }
}

/* Reads once, at most n bytes; false: there is nothing to read now. */
static bool receive(struct share *s, struct client *c, char *buffer, size_t n)
{
    ssize_t got = recv(c->fd, buffer, n, 0);
    if (got < 0 && errno == EAGAIN)
        return false;
    if (got <= 0)
        stop(s, c, got == 0 ? "closed too early" : strerror(errno));
    else if (c->in_body)
        take_body(s, c, buffer, (size_t)got);
    else
        take_head(s, c, buffer, (size_t)got);
    return true;
}

/* --- the two ways to read --- */

static void read_fast(struct share *s, char *buffer)
{
    struct epoll_event events[EVENTS];
    int epoll = epoll_create1(EPOLL_CLOEXEC);
    for (unsigned i = 0; i < s->count; i++) {
        struct epoll_event e = {.events = EPOLLIN, .data.ptr = &s->clients[i]};
        if (s->clients[i].fd >= 0 && epoll_ctl(epoll, EPOLL_CTL_ADD, s->clients[i].fd, &e) != 0)
            err(1, "epoll");
    }
    while (s->open && now_s() - start_s < options.seconds) {
        int n = epoll_wait(epoll, events, EVENTS, 100);
        for (int i = 0; i < n; i++)
            receive(s, events[i].data.ptr, buffer, READ_BYTES);
    }
    close(epoll);
}

static void read_slowly(struct share *s, char *buffer)
{
    double passed;
    while (s->open && (passed = now_s() - start_s) < options.seconds) {
        uint64_t allowed = (uint64_t)(passed * (double)options.rate);
        for (unsigned i = 0; i < s->count; i++) {
            struct client *c = &s->clients[i];
            while (c->fd >= 0 && c->bytes < allowed) {
                uint64_t n = allowed - c->bytes;
                if (!receive(s, c, buffer, n < READ_BYTES ? (size_t)n : READ_BYTES))
                    break;
            }
        }
        usleep(SLOW_TICK_MS * 1000);
    }
}

static void *run(void *arg)
{
    struct share *s = arg;
    char *buffer = malloc(READ_BYTES);
    if (!buffer)
        err(1, "malloc");
    for (unsigned i = 0; i < s->count; i++)
        ask(s, &s->clients[i]);
    if (options.rate)
        read_slowly(s, buffer);
    else
        read_fast(s, buffer);
    free(buffer);
    return NULL;
}

/* --- all of it --- */

static void open_client(struct client *c)
{
    c->times_left = options.times;
    c->fd = connect_to(options.port);
    if (fcntl(c->fd, F_SETFL, O_NONBLOCK) != 0)
        err(1, "O_NONBLOCK");
    if (options.check && !(c->hash = EVP_MD_CTX_new()))
        errx(1, "EVP_MD_CTX_new");
}

static void print_times(const char *name, const struct client *clients, bool first)
{
    printf(", \"%s\": [", name);
    for (unsigned i = 0, shown = 0; i < options.connections; i++) {
        double s = first ? clients[i].first_byte_s : clients[i].done_s;
        if (s > 0)
            printf("%s%.3f", shown++ ? ", " : "", s * 1e3);
    }
    printf("]");
}

static int report(const struct client *clients, double seconds)
{
    uint64_t bytes = 0;
    unsigned complete = 0, failed = 0;
    const char *failure = "";
    for (unsigned i = 0; i < options.connections; i++) {
        bytes += clients[i].bytes;
        complete += clients[i].complete;
        failed += clients[i].failure != NULL;
        failure = clients[i].failure ? clients[i].failure : failure;
    }
    printf("{\"complete\": %u, \"failed\": %u, \"failure\": \"%s\", \"bytes\": %llu, "
           "\"seconds\": %.6f",
           complete, failed, failure, (unsigned long long)bytes, seconds);
    print_times("first_byte_ms", clients, true);
    print_times("done_ms", clients, false);
    puts("}");
    return failed ? 1 : 0;
}

static int pull(void)
{
    struct client *clients = calloc(options.connections, sizeof *clients);
    struct share shares[THREADS_MAX] = {0};
    unsigned given = 0;
    if (!clients)
        err(1, "calloc");
    for (unsigned i = 0; i < options.connections; i++)
        open_client(&clients[i]);
    start_s = now_s();
    for (unsigned i = 0; i < options.threads; i++) {
        struct share *s = &shares[i];
        s->clients = clients + given;
        s->count = s->open = (options.connections - given) / (options.threads - i);
        given += s->count;
        if ((errno = pthread_create(&s->thread, NULL, run, s)) != 0)
            err(1, "pthread_create");
    }
    for (unsigned i = 0; i < options.threads; i++)
        pthread_join(shares[i].thread, NULL);
    return report(clients, now_s() - start_s);
}

/* --- options --- */

static void usage(void)
{
    errx(2, "usage: pull [-c CONNECTIONS] [-n TIMES] [-t THREADS] [-s SECONDS] "
            "[-r BYTES_PER_SECOND] [-d SHA256_HEX] [-H FIELD]... PORT TARGET");
}

static void set_digest(const char *hex)
{
    size_t n;
    unsigned char *bytes = OPENSSL_hexstr2buf(hex, NULL);
    n = strlen(hex) / 2;
    if (!bytes || n != SHA256_BYTES)
        errx(2, "not a sha256: %s", hex);
    memcpy(options.digest, bytes, n);
    OPENSSL_free(bytes);
    options.check = true;
}

static void add_text(const char *before, const char *text, const char *after)
{
    size_t room = REQUEST_MAX - options.request_n;
    int n = snprintf(options.request + options.request_n, room, "%s%s%s", before, text, after);
    if (n < 0 || (size_t)n >= room)
        errx(2, "the request is too long");
    options.request_n += (size_t)n;
}

static void set_option(int option, const char *value)
{
    switch (option) {
    case 'c':
        options.connections = (unsigned)atoi(value);
        break;
    case 'n':
        options.times = (unsigned)atoi(value);
        break;
    case 't':
        options.threads = (unsigned)atoi(value);
        break;
    case 's':
        options.seconds = atof(value);
        break;
    case 'r':
        options.rate = strtoull(value, NULL, 10);
        break;
    case 'd':
        set_digest(value);
        break;
    default:
        usage();
    }
}

int main(int argc, char **argv)
{
    const char *fields[16];
    unsigned field_count = 0;
    int option;
    while ((option = getopt(argc, argv, "c:n:t:s:r:d:H:")) != -1) {
        if (option != 'H')
            set_option(option, optarg);
        else if (field_count < sizeof fields / sizeof fields[0])
            fields[field_count++] = optarg;
        else
            usage();
    }
    if (argc - optind != 2 || !options.connections || !options.times || !options.threads ||
        options.threads > THREADS_MAX)
        usage();
    options.port = (uint16_t)atoi(argv[optind]);
    add_text("GET ", argv[optind + 1], " HTTP/1.1\r\nHost: 127.0.0.1\r\n");
    for (unsigned i = 0; i < field_count; i++)
        add_text("", fields[i], "\r\n");
    add_text("", "", "\r\n");
    return pull();
}
