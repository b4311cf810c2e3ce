/* What several of these programs do: TCP on 127.0.0.1, and the length that a head announces. */
#ifndef YT_BENCH_WIRE_H
#define YT_BENCH_WIRE_H

#include <arpa/inet.h>
#include <err.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

enum { BACKLOG = 4096 };

static inline struct sockaddr_in loopback(uint16_t port)
{
    return (struct sockaddr_in){
        .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
}

/* flags: SOCK_NONBLOCK or 0. shared: several sockets of the program listen on the port. */
static inline int listen_on(uint16_t port, int flags, bool shared)
{
    struct sockaddr_in address = loopback(port);
    int on = 1, fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | flags, 0);
    if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) != 0 ||
        (shared && setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof on) != 0) ||
        bind(fd, (struct sockaddr *)&address, sizeof address) != 0 || listen(fd, BACKLOG) != 0)
        err(1, "port %u", port);
    return fd;
}

/* Waits for the connection. */
static inline int connect_to(uint16_t port)
{
    struct sockaddr_in to = loopback(port);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || connect(fd, (struct sockaddr *)&to, sizeof to) != 0)
        err(1, "connect to port %u", port);
    return fd;
}

static inline bool read_length(const char *head, uint64_t *length)
{
    const char *field = strcasestr(head, "\r\ncontent-length:");
    if (!field)
        return false;
    *length = strtoull(strchr(field, ':') + 1, NULL, 10);
    return true;
}

#endif
