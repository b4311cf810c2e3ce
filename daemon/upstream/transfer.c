#include "transfer.h"
#include "base/container.h"
#include <curl/curl.h>
#include <stdlib.h>
#include <unistd.h>

enum { READ_BUFFER = 256 * 1024, IDLE_CONNECTIONS_MAX = 64 };

/* A descriptor that libcurl wants watched. */
struct curl_watch {
    struct watch watch;
    struct transfers *transfers;
    struct curl_watch *next_spare;
};

struct transfers {
    CURLM *multi;
    struct reactor *reactor;
    struct timer timer;
    struct curl_watch *spares; /* not freed: their own callback may be running */
    char *ca_file;
    long connect_timeout_ms;
};

struct transfer {
    struct transfers *owner;
    CURL *easy;
    struct curl_slist *lines;
    const struct transfer_ops *ops;
    void *arg;
    bool no_body;
    struct answer_head *head;
    uint64_t received; /* of the answer's body */
    bool stopped;      /* a callback ended it; why stands in `info` */
    bool fresh;        /* tried once more, on a connection of its own */
    bool deaf;         /* the answer is paused */
    /* Of the request's body. */
    struct pipe *body; /* or NULL */
    bool has_body_left;
    uint64_t body_left;
    bool starved;      /* libcurl has been told to wait for more */
    struct timer wake; /* libcurl is not entered from the pipe's calls, nor from its own */
    struct errinfo info;
    char error[CURL_ERROR_SIZE];
};

enum err uplink_global_init(struct errinfo *info)
{
    CURLcode rc = curl_global_init(CURL_GLOBAL_DEFAULT);
    return rc ? err_set(info, ERR_IO, "libcurl: %s", curl_easy_strerror(rc)) : ERR_OK;
}

/* --- what libcurl calls while it works --- */

static void stop(struct transfer *t, enum err code, const char *why)
{
    t->stopped = true;
    err_set(&t->info, code, "%s", why);
}

/* Connected, nothing sent. */
static int on_prereq(void *arg, char *remote, char *local, int remote_port, int local_port)
{
    struct transfer *t = arg;
    (void)local;
    (void)remote_port;
    (void)local_port;
    if (t->ops->on_connected(t->arg, remote))
        return CURL_PREREQFUNC_OK;
    stop(t, ERR_CLOSED, "ended");
    return CURL_PREREQFUNC_ABORT;
}

static size_t on_header(char *p, size_t size, size_t n, void *arg)
{
    struct transfer *t = arg;
    (void)size; /* always 1 */
    if (t->head->complete)
        return n; /* a trailer */
    if (answer_head_line(t->head, slice_of(p, n), t->no_body, &t->info) != ERR_OK) {
        t->stopped = true;
        return CURL_WRITEFUNC_ERROR;
    }
    if (t->head->complete && t->ops->on_head(t->arg, t->head) != FETCH_CONTINUE) {
        stop(t, ERR_CLOSED, "ended");
        return CURL_WRITEFUNC_ERROR;
    }
    if (t->head->complete && t->starved)
        timer_set(&t->wake, 0); /* libcurl ends no transfer whose sending is paused */
    return n;
}

static size_t on_write(char *p, size_t size, size_t n, void *arg)
{
    struct transfer *t = arg;
    (void)size; /* always 1 */
    switch (t->ops->on_body(t->arg, p, n)) {
    case FETCH_CONTINUE:
        t->received += n;
        return n;
    case FETCH_PAUSE:
        t->deaf = true;
        return CURL_WRITEFUNC_PAUSE;
    case FETCH_ABORT:
        break;
    }
    stop(t, ERR_CLOSED, "ended");
    return CURL_WRITEFUNC_ERROR;
}

/* Nothing more is in the pipe: is that the end of the body? */
static size_t on_read_nothing(struct transfer *t)
{
    enum pipe_state state = pipe_state(t->body);
    bool whole = t->has_body_left ? t->body_left == 0 : state == PIPE_WHOLE;
    if (!whole && state != PIPE_OPEN) {
        stop(t, ERR_CLOSED, "the body of the request broke off");
        return CURL_READFUNC_ABORT;
    }
    t->starved = !whole;
    t->ops->on_upload(t->arg, t->starved);
    return whole ? 0 : CURL_READFUNC_PAUSE;
}

static size_t on_read(char *p, size_t size, size_t n, void *arg)
{
    struct transfer *t = arg;
    (void)size; /* always 1 */
    if (t->has_body_left && n > t->body_left)
        n = (size_t)t->body_left;
    size_t got = pipe_read(t->body, p, n);
    if (got == 0)
        return on_read_nothing(t);
    t->body_left -= t->has_body_left ? got : 0;
    t->ops->on_upload(t->arg, false);
    return got;
}

/* --- the end of a transfer --- */

static void let_go_of_body(struct transfer *t)
{
    if (t->body)
        pipe_on_bytes(t->body, NULL, NULL);
    t->body = NULL;
}

static void transfer_free(struct transfer *t)
{
    let_go_of_body(t);
    timer_clear(&t->wake);
    curl_easy_cleanup(t->easy);
    curl_slist_free_all(t->lines);
    answer_head_free(&t->head);
    free(t);
}

static enum err code_of(CURLcode rc)
{
    switch (rc) {
    case CURLE_OK:
        return ERR_OK;
    case CURLE_OUT_OF_MEMORY:
        return ERR_NOMEM;
    case CURLE_WEIRD_SERVER_REPLY:
    case CURLE_UNSUPPORTED_PROTOCOL: /* HTTP/0.9, which is any bytes at all */
    case CURLE_BAD_CONTENT_ENCODING:
        return ERR_PROTO;
    default:
        return ERR_UPSTREAM;
    }
}

bool transfer_is_answered(const struct transfer *t)
{
    const struct answer_head *h = t->head;
    bool none = t->no_body || h->status == 204 || h->status == 304;
    return h->complete && (none || (h->has_length && h->length == t->received));
}

static enum err result_of(struct transfer *t, CURLcode rc)
{
    if (t->stopped)
        return t->info.code;
    if (rc == CURLE_SEND_ERROR && transfer_is_answered(t))
        return ERR_OK; /* the upstream did not want the rest of the request */
    if (rc == CURLE_OK && !t->head->complete)
        return err_set(&t->info, ERR_PROTO, "the head of the answer is not complete");
    const char *text = t->error[0] ? t->error : curl_easy_strerror(rc);
    return rc == CURLE_OK ? ERR_OK : err_set(&t->info, code_of(rc), "%s", text);
}

/* Not from within libcurl. */
static void finish(struct transfer *t, CURLcode rc)
{
    curl_multi_remove_handle(t->owner->multi, t->easy);
    enum err result = result_of(t, rc);
    let_go_of_body(t); /* its owner may leave it now */
    t->ops->on_done(t->arg, result, result ? &t->info : NULL);
    transfer_free(t);
}

/*
 * A kept connection may have been closed, or spoilt by bytes that an earlier answer had too many:
 * that says nothing of this request, which is then sent once more on a new one.
 */
static bool try_afresh(struct transfer *t, CURLcode rc)
{
    long connects = 1; /* as it is for a method that is sent once */
    bool spoilt = rc == CURLE_UNSUPPORTED_PROTOCOL || rc == CURLE_WEIRD_SERVER_REPLY ||
                  rc == CURLE_RECV_ERROR || rc == CURLE_SEND_ERROR || rc == CURLE_GOT_NOTHING;
    curl_easy_getinfo(t->easy, CURLINFO_NUM_CONNECTS, &connects);
    if (!spoilt || connects > 0 || t->fresh || t->stopped || t->head->bytes > 0)
        return false;
    t->fresh = true;
    t->error[0] = '\0';
    curl_multi_remove_handle(t->owner->multi, t->easy);
    curl_easy_setopt(t->easy, CURLOPT_FRESH_CONNECT, 1L);
    return curl_multi_add_handle(t->owner->multi, t->easy) == CURLM_OK;
}

static void finish_all_done(struct transfers *ts)
{
    int left;
    CURLMsg *m;
    while ((m = curl_multi_info_read(ts->multi, &left))) {
        struct transfer *t;
        CURLcode rc = m->data.result;
        curl_easy_getinfo(m->easy_handle, CURLINFO_PRIVATE, (char **)&t);
        if (!try_afresh(t, rc))
            finish(t, rc);
    }
}

/* --- the body of the request comes, or ends --- */

static void unpause(struct transfer *t)
{
    int paused = (t->deaf ? CURLPAUSE_RECV : 0) | (t->starved ? CURLPAUSE_SEND : 0);
    CURLcode rc = curl_easy_pause(t->easy, paused);
    /* BAD_FUNCTION_ARGUMENT: it is over already, and its message waits to be read. */
    if (rc != CURLE_OK && rc != CURLE_BAD_FUNCTION_ARGUMENT)
        finish(t, rc);
}

static void on_wake(struct timer *timer)
{
    struct transfer *t = container_of(timer, struct transfer, wake);
    if (pipe_state(t->body) == PIPE_BROKEN) {
        stop(t, ERR_CLOSED, "the body of the request broke off");
        finish(t, CURLE_ABORTED_BY_CALLBACK);
        return;
    }
    t->starved = false;
    unpause(t);
}

static void on_pipe(void *arg)
{
    struct transfer *t = arg;
    if (t->starved || pipe_state(t->body) == PIPE_BROKEN)
        timer_set(&t->wake, 0);
}

/* --- libcurl on the reactor --- */

static void act(struct transfers *ts, curl_socket_t fd, int what)
{
    int running;
    curl_multi_socket_action(ts->multi, fd, what, &running);
    finish_all_done(ts);
}

static void on_ready(struct watch *w, unsigned what)
{
    struct curl_watch *cw = container_of(w, struct curl_watch, watch);
    act(cw->transfers, w->fd,
        (what & WATCH_READ ? CURL_CSELECT_IN : 0) | (what & WATCH_WRITE ? CURL_CSELECT_OUT : 0));
}

static void on_timer(struct timer *timer)
{
    act(container_of(timer, struct transfers, timer), CURL_SOCKET_TIMEOUT, 0);
}

/* 0 ms means the next turn of the loop: libcurl must not be entered from its own callback. */
static int set_timer(CURLM *multi, long ms, void *arg)
{
    struct transfers *ts = arg;
    (void)multi;
    if (ms < 0)
        timer_clear(&ts->timer);
    else
        timer_set(&ts->timer, ms);
    return 0;
}

static struct curl_watch *watch_take(struct transfers *ts, curl_socket_t fd)
{
    struct curl_watch *cw = ts->spares;
    if (cw)
        ts->spares = cw->next_spare;
    else
        cw = calloc(1, sizeof *cw);
    if (!cw)
        abort();
    cw->transfers = ts;
    watch_init(&cw->watch, ts->reactor, fd, on_ready);
    return cw;
}

static int set_socket(CURL *easy, curl_socket_t fd, int what, void *arg, void *socket_arg)
{
    struct transfers *ts = arg;
    struct curl_watch *cw = socket_arg;
    (void)easy;
    if (what == CURL_POLL_REMOVE) {
        if (cw) {
            watch_set(&cw->watch, 0);
            cw->next_spare = ts->spares;
            ts->spares = cw;
        }
        return 0;
    }
    if (!cw) {
        cw = watch_take(ts, fd);
        curl_multi_assign(ts->multi, fd, cw);
    }
    watch_set(&cw->watch, (what & CURL_POLL_IN ? (unsigned)WATCH_READ : 0) |
                              (what & CURL_POLL_OUT ? (unsigned)WATCH_WRITE : 0));
    return 0;
}

enum err transfers_new(struct reactor *reactor, const struct uplink_options *options,
                       struct transfers **out, struct errinfo *info)
{
    struct transfers *ts = calloc(1, sizeof *ts);
    if (!ts)
        abort();
    if (options->ca_file && access(options->ca_file, R_OK) != 0) {
        free(ts);
        return err_sys(info, "cannot read %s", options->ca_file);
    }
    ts->multi = curl_multi_init();
    if (!ts->multi) {
        free(ts);
        return err_set(info, ERR_NOMEM, "libcurl: no multi handle");
    }
    ts->reactor = reactor;
    ts->connect_timeout_ms = (long)options->connect_timeout_ms;
    ts->ca_file = options->ca_file ? strdup(options->ca_file) : NULL;
    timer_init(&ts->timer, reactor, on_timer);
    curl_multi_setopt(ts->multi, CURLMOPT_SOCKETFUNCTION, set_socket);
    curl_multi_setopt(ts->multi, CURLMOPT_SOCKETDATA, ts);
    curl_multi_setopt(ts->multi, CURLMOPT_TIMERFUNCTION, set_timer);
    curl_multi_setopt(ts->multi, CURLMOPT_TIMERDATA, ts);
    curl_multi_setopt(ts->multi, CURLMOPT_PIPELINING, CURLPIPE_NOTHING);
    /* No limit per host here: what waited in libcurl's queue would look like a slow upstream. */
    curl_multi_setopt(ts->multi, CURLMOPT_MAXCONNECTS, (long)IDLE_CONNECTIONS_MAX);
    *out = ts;
    return ERR_OK;
}

void transfers_free(struct transfers **tp)
{
    struct transfers *ts = *tp;
    if (!ts)
        return;
    curl_multi_cleanup(ts->multi); /* closes the idle connections through set_socket */
    timer_clear(&ts->timer);
    while (ts->spares) {
        struct curl_watch *cw = ts->spares;
        ts->spares = cw->next_spare;
        free(cw);
    }
    free(ts->ca_file);
    free(ts);
    *tp = NULL;
}

/* --- one transfer --- */

static bool set_lines(struct transfer *t, const struct transfer_request *r)
{
    for (size_t i = 0; i < r->line_count; i++) {
        struct curl_slist *longer = curl_slist_append(t->lines, r->lines[i].p);
        if (!longer)
            return false;
        t->lines = longer;
    }
    if (!r->body)
        return true;
    /* libcurl would ask for leave to send a long body, and wait. */
    struct curl_slist *longer = curl_slist_append(t->lines, "Expect:");
    t->lines = longer ? longer : t->lines;
    return longer != NULL;
}

/*
 * A method that may change something goes out on a new connection: on a kept one that is found
 * closed libcurl would send it again, and nobody can tell whether it had arrived.
 */
static void set_method(struct transfer *t, const struct transfer_request *r)
{
    if (r->method) {
        curl_easy_setopt(t->easy, CURLOPT_CUSTOMREQUEST, r->method);
        curl_easy_setopt(t->easy, CURLOPT_FRESH_CONNECT, 1L);
    }
    if (!t->body)
        return;
    curl_off_t length = r->has_body_length ? (curl_off_t)r->body_length : -1;
    curl_easy_setopt(t->easy, CURLOPT_UPLOAD, 1L);
    curl_easy_setopt(t->easy, CURLOPT_INFILESIZE_LARGE, length); /* -1: in chunks */
    curl_easy_setopt(t->easy, CURLOPT_READFUNCTION, on_read);
    curl_easy_setopt(t->easy, CURLOPT_READDATA, t);
}

static void set_wire_options(CURL *e, const struct transfers *ts)
{
    curl_easy_setopt(e, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(e, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
    curl_easy_setopt(e, CURLOPT_HTTP09_ALLOWED, 0L);
    curl_easy_setopt(e, CURLOPT_FOLLOWLOCATION, 0L);
    curl_easy_setopt(e, CURLOPT_HTTP_CONTENT_DECODING, 0L);
    curl_easy_setopt(e, CURLOPT_PATH_AS_IS, 1L);
    curl_easy_setopt(e, CURLOPT_SUPPRESS_CONNECT_HEADERS, 1L);
    curl_easy_setopt(e, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(e, CURLOPT_QUICK_EXIT, 1L); /* never waits for a resolver thread */
    curl_easy_setopt(e, CURLOPT_TCP_NODELAY, 1L);
    curl_easy_setopt(e, CURLOPT_TCP_KEEPALIVE, 1L);
    curl_easy_setopt(e, CURLOPT_BUFFERSIZE, (long)READ_BUFFER);
    curl_easy_setopt(e, CURLOPT_CONNECTTIMEOUT_MS, ts->connect_timeout_ms);
    curl_easy_setopt(e, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
    curl_easy_setopt(e, CURLOPT_SSL_VERIFYPEER, 1L);
    curl_easy_setopt(e, CURLOPT_SSL_VERIFYHOST, 2L);
    if (ts->ca_file)
        curl_easy_setopt(e, CURLOPT_CAINFO, ts->ca_file);
}

static bool set_request_options(struct transfer *t, const struct transfer_request *r)
{
    CURL *e = t->easy;
    curl_easy_setopt(e, CURLOPT_PRIVATE, t);
    curl_easy_setopt(e, CURLOPT_ERRORBUFFER, t->error);
    curl_easy_setopt(e, CURLOPT_PREREQFUNCTION, on_prereq);
    curl_easy_setopt(e, CURLOPT_PREREQDATA, t);
    curl_easy_setopt(e, CURLOPT_HEADERFUNCTION, on_header);
    curl_easy_setopt(e, CURLOPT_HEADERDATA, t);
    curl_easy_setopt(e, CURLOPT_WRITEFUNCTION, on_write);
    curl_easy_setopt(e, CURLOPT_WRITEDATA, t);
    curl_easy_setopt(e, CURLOPT_NOBODY, r->head ? 1L : 0L);
    set_method(t, r);
    curl_easy_setopt(e, CURLOPT_HTTPHEADER, t->lines);
    curl_easy_setopt(e, CURLOPT_NOPROXY, ""); /* the choice was made by the caller */
    return curl_easy_setopt(e, CURLOPT_PROXY, r->proxy ? r->proxy : "") == CURLE_OK &&
           curl_easy_setopt(e, CURLOPT_URL, r->url) == CURLE_OK;
}

enum err transfer_start(struct transfers *ts, const struct transfer_request *request,
                        const struct transfer_ops *ops, void *arg, struct transfer **out)
{
    struct transfer *t = calloc(1, sizeof *t);
    if (!t)
        abort();
    t->owner = ts;
    t->ops = ops;
    t->arg = arg;
    t->no_body = request->head;
    t->has_body_left = request->has_body_length;
    t->body_left = request->body_length;
    t->head = answer_head_new();
    timer_init(&t->wake, ts->reactor, on_wake);
    t->easy = curl_easy_init();
    *out = NULL;
    if (!t->easy || !set_lines(t, request)) {
        transfer_free(t);
        return ERR_NOMEM;
    }
    t->body = request->body;
    if (t->body)
        pipe_on_bytes(t->body, on_pipe, t);
    set_wire_options(t->easy, ts);
    if (!set_request_options(t, request) || curl_multi_add_handle(ts->multi, t->easy) != CURLM_OK) {
        transfer_free(t);
        return ERR_NOMEM;
    }
    *out = t;
    return ERR_OK;
}

void transfer_resume(struct transfer *t)
{
    t->deaf = false;
    unpause(t);
}

void transfer_end(struct transfer **tp)
{
    struct transfer *t = *tp;
    if (!t)
        return;
    *tp = NULL;
    curl_multi_remove_handle(t->owner->multi, t->easy);
    transfer_free(t);
}

struct answer_head *transfer_take_head(struct transfer *t)
{
    struct answer_head *head = t->head;
    t->head = NULL;
    return head;
}
