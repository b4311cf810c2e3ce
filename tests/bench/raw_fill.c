/*
 * The limit of a miss on this machine: a relay that stores what it passes on, and nothing else.
 *
 *     raw_fill [-n] PORT UPSTREAM_PORT FILE
 *
 * Serves one client at a time. A GET is sent on to 127.0.0.1:UPSTREAM_PORT as it came. One thread
 * receives the body, hashes it and writes it to FILE, by way of a buffer that stays in the CPU's
 * cache; another one follows with sendfile. The last piece waits until the SHA-256 of all is found
 * to be that in the request's path. -n: without the hash. FILE begins anew with each request. Every
 * failure, a wrong digest too, ends the program.
 */
#include "wire.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <openssl/evp.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/eventfd.h>
#include <sys/sendfile.h>
#include <unistd.h>

enum {
    PIECE_BYTES = 1024 * 1024, /* fits a CPU's own cache; smaller ones cost more turns */
    REQUEST_MAX = 8 * 1024,
    SHA256_BYTES = 32,
};

static struct {
    bool hashes;
    uint16_t upstream_port;
    const char *path;
} options = {.hashes = true};

struct fill {
    int client, upstream, file;
    int news;           /* an eventfd: more is stored */
    uint64_t size;      /* of the body */
    uint64_t received;  /* and written */
    _Atomic off_t sure; /* what may go to the client */
    EVP_MD_CTX *hash;   /* NULL: none */
    const char *digest; /* what it must be, in hexadecimal */
};

/* --- heads --- */

/* Reads until the blank line is there, and maybe more: the bytes read, with '\0' behind them.
   0: the connection ended before, or the head is too long. */
static size_t read_head(int fd, char *buffer, size_t size)
{
    size_t n = 0;
    ssize_t got;
    while ((got = recv(fd, buffer + n, size - 1 - n, 0)) > 0) {
        n += (size_t)got;
        buffer[n] = '\0';
        if (strstr(buffer, "\r\n\r\n"))
            return n;
    }
    if (got < 0)
        err(1, "recv");
    return 0;
}

static void send_all(int fd, const char *p, size_t n)
{
    if (send(fd, p, n, MSG_NOSIGNAL) != (ssize_t)n)
        err(1, "send");
}

/* Passes the answer's head on; what was read of the body moves to the buffer's begin: its length.
 */
static size_t relay_head(struct fill *f, char *buffer)
{
    size_t n = read_head(f->upstream, buffer, PIECE_BYTES);
    if (n == 0 || strncmp(buffer, "HTTP/1.1 200", 12) != 0 || !read_length(buffer, &f->size))
        errx(1, "upstream: no answer with status 200 and Content-Length");
    size_t head_n = (size_t)(strstr(buffer, "\r\n\r\n") + 4 - buffer);
    send_all(f->client, buffer, head_n);
    memmove(buffer, buffer + head_n, n - head_n);
    return n - head_n;
}

/* --- the body --- */

static void check_digest(struct fill *f)
{
    unsigned char found[EVP_MAX_MD_SIZE];
    char text[2 * SHA256_BYTES + 1];
    if (!EVP_DigestFinal_ex(f->hash, found, NULL))
        errx(1, "EVP_DigestFinal_ex");
    for (unsigned i = 0; i < SHA256_BYTES; i++)
        snprintf(text + 2 * i, 3, "%02x", found[i]);
    if (strncmp(f->digest, text, 2 * SHA256_BYTES) != 0)
        errx(1, "the digest is wrong: %s", text);
}

static void store(struct fill *f, const char *piece, size_t n)
{
    if (n > f->size - f->received)
        errx(1, "upstream: bytes behind the body");
    if (f->hash && !EVP_DigestUpdate(f->hash, piece, n))
        errx(1, "EVP_DigestUpdate");
    if (pwrite(f->file, piece, n, (off_t)f->received) != (ssize_t)n)
        err(1, "%s", options.path);
    f->received += n;
    if (f->hash && f->received == f->size)
        check_digest(f);
    f->sure = (off_t)f->received;
    if (eventfd_write(f->news, 1) != 0)
        err(1, "eventfd");
}

/* The first n bytes are in the buffer already. */
static void receive_body(struct fill *f, char *buffer, size_t n)
{
    store(f, buffer, n);
    while (f->received < f->size) {
        uint64_t left = f->size - f->received;
        ssize_t got =
            recv(f->upstream, buffer, left < PIECE_BYTES ? left : PIECE_BYTES, MSG_WAITALL);
        if (got < 0)
            err(1, "upstream");
        if (got == 0)
            errx(1, "upstream: closed in the body");
        store(f, buffer, (size_t)got);
    }
}

static void *send_body(void *arg)
{
    struct fill *f = arg;
    eventfd_t count;
    off_t sent = 0;
    while ((uint64_t)sent < f->size) {
        if (eventfd_read(f->news, &count) != 0)
            err(1, "eventfd");
        for (off_t end = f->sure; sent < end; end = f->sure)
            if (sendfile(f->client, f->file, &sent, (size_t)(end - sent)) <= 0)
                err(1, "sendfile");
    }
    return NULL;
}

/* --- requests --- */

static EVP_MD_CTX *start_hash(void)
{
    EVP_MD_CTX *hash = EVP_MD_CTX_new();
    if (!hash || !EVP_DigestInit_ex(hash, EVP_sha256(), NULL))
        errx(1, "EVP_DigestInit_ex");
    return hash;
}

static const char *digest_in(const char *request)
{
    const char *digest = strstr(request, "sha256:");
    if (!digest)
        errx(1, "no digest in the request");
    return strchr(digest, ':') + 1;
}

static void answer(int client, const char *request, size_t request_n, char *buffer)
{
    struct fill f = {.client = client, .upstream = connect_to(options.upstream_port)};
    pthread_t sender;
    if (options.hashes) {
        f.digest = digest_in(request);
        f.hash = start_hash();
    }
    f.file = open(options.path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    f.news = eventfd(0, EFD_CLOEXEC);
    if (f.file < 0 || f.news < 0)
        err(1, "%s", options.path);
    send_all(f.upstream, request, request_n);
    size_t n = relay_head(&f, buffer);
    if ((errno = pthread_create(&sender, NULL, send_body, &f)) != 0)
        err(1, "pthread_create");
    receive_body(&f, buffer, n);
    pthread_join(sender, NULL);
    EVP_MD_CTX_free(f.hash);
    close(f.upstream);
    close(f.file);
    close(f.news);
}

static void serve(int client, char *buffer)
{
    char request[REQUEST_MAX];
    size_t n;
    int on = 1;
    if (setsockopt(client, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on) != 0)
        err(1, "TCP_NODELAY");
    while ((n = read_head(client, request, sizeof request)) > 0)
        answer(client, request, n, buffer);
    close(client);
}

static void usage(void)
{
    errx(2, "usage: raw_fill [-n] PORT UPSTREAM_PORT FILE");
}

int main(int argc, char **argv)
{
    int option;
    while ((option = getopt(argc, argv, "n")) != -1) {
        if (option != 'n')
            usage();
        options.hashes = false;
    }
    if (argc - optind != 3)
        usage();
    options.upstream_port = (uint16_t)strtoul(argv[optind + 1], NULL, 10);
    options.path = argv[optind + 2];
    signal(SIGPIPE, SIG_IGN); /* sendfile has no MSG_NOSIGNAL */
    int listener = listen_on((uint16_t)strtoul(argv[optind], NULL, 10), 0, false);
    char *buffer = aligned_alloc(4096, PIECE_BYTES);
    if (!buffer)
        err(1, "aligned_alloc");
    for (;;) {
        int client = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
        if (client < 0)
            err(1, "accept4");
        serve(client, buffer);
    }
}
