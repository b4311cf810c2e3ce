#include "io/listener.h"
#include "base/container.h"
#include <arpa/inet.h>
#include <assert.h>
#include <errno.h>
#include <netdb.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { LISTEN_BACKLOG = 4096, ACCEPTS_PER_TURN = 64, ACCEPT_PAUSE_MS = 100 };

struct listener {
    struct watch watch;
    struct timer pause; /* descriptors ran out */
    listener_accept_f *on_accept;
    void *arg;
};

/* "host:port" or "[v6]:port" into an address. A name may block on DNS: at start-up only. */
static enum err resolve(const char *address, struct addrinfo **out, struct errinfo *info)
{
    char host[256];
    const char *colon = strrchr(address, ':');
    size_t n = colon ? (size_t)(colon - address) : 0;
    if (!colon || n >= sizeof host)
        return err_set(info, ERR_CONFIG, "listen on %s: not host:port", address);
    bool v6 = n >= 2 && address[0] == '[' && address[n - 1] == ']';
    snprintf(host, sizeof host, "%.*s", (int)(v6 ? n - 2 : n), address + (v6 ? 1 : 0));
    struct addrinfo hints = {.ai_family = AF_UNSPEC,
                             .ai_socktype = SOCK_STREAM,
                             .ai_flags = AI_PASSIVE | AI_NUMERICSERV};
    int rc = getaddrinfo(*host ? host : NULL, colon + 1, &hints, out);
    if (rc != 0)
        return err_set(info, ERR_CONFIG, "listen on %s: %s", address, gai_strerror(rc));
    return ERR_OK;
}

/* One bound socket; `share` sets SO_REUSEPORT. */
static enum err bound_socket(const char *address, bool share, int *out, struct errinfo *info)
{
    struct addrinfo *ai = NULL;
    enum err rc = resolve(address, &ai, info);
    if (rc)
        return rc;
    assert(ai);
    int one = 1;
    int fd = socket(ai->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0) {
        rc = err_sys(info, "listen on %s", address);
        goto out;
    }
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    if (share)
        setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &one, sizeof one);
    if (ai->ai_family == AF_INET6)
        setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &one, sizeof one);
    /* Inherited by what is accepted; saves a call for each connection. */
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    if (bind(fd, ai->ai_addr, ai->ai_addrlen) != 0) {
        rc = err_sys(info, "listen on %s", address);
        close(fd);
        goto out;
    }
    *out = fd;
out:
    freeaddrinfo(ai);
    return rc;
}

enum err listen_probe(const char *address, struct errinfo *info)
{
    int fd = -1;
    enum err rc = bound_socket(address, false, &fd, info);
    if (rc)
        return rc;
    close(fd);
    return ERR_OK;
}

enum err listen_socket(const char *address, int *fd, struct errinfo *info)
{
    enum err rc = bound_socket(address, true, fd, info);
    if (rc)
        return rc;
    if (listen(*fd, LISTEN_BACKLOG) != 0) {
        rc = err_sys(info, "listen on %s", address);
        close(*fd);
        *fd = -1;
    }
    return rc;
}

static void on_pause_over(struct timer *t)
{
    struct listener *l = container_of(t, struct listener, pause);
    watch_set(&l->watch, WATCH_READ);
}

static void on_acceptable(struct watch *w, unsigned what)
{
    struct listener *l = container_of(w, struct listener, watch);
    (void)what;
    for (int i = 0; i < ACCEPTS_PER_TURN; i++) {
        struct sockaddr_storage address = {.ss_family = AF_UNSPEC};
        socklen_t size = sizeof address;
        int fd = accept4(w->fd, (struct sockaddr *)&address, &size, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd >= 0) {
            struct peer peer = peer_of(&address);
            l->on_accept(l->arg, fd, &peer);
            continue;
        }
        if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM) {
            watch_set(&l->watch, 0);
            timer_set(&l->pause, ACCEPT_PAUSE_MS);
            return;
        }
        if (errno != ECONNABORTED && errno != EINTR)
            return; /* EAGAIN: all taken */
    }
}

enum err listener_new(struct reactor *r, int fd, listener_accept_f *on_accept, void *arg,
                      struct listener **out)
{
    struct listener *l = calloc(1, sizeof *l);
    if (!l)
        return ERR_NOMEM;
    l->on_accept = on_accept;
    l->arg = arg;
    watch_init(&l->watch, r, fd, on_acceptable);
    timer_init(&l->pause, r, on_pause_over);
    watch_set(&l->watch, WATCH_READ);
    *out = l;
    return ERR_OK;
}

void listener_free(struct listener **lp)
{
    struct listener *l = *lp;
    if (!l)
        return;
    watch_set(&l->watch, 0);
    timer_clear(&l->pause);
    close(l->watch.fd);
    free(l);
    *lp = NULL;
}
