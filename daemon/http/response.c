#include "http/response.h"

#include "base/bytes16.h"

/* In ascending order. */
static const struct {
    int status;
    const char *phrase;
} reasons[] = {
    {100, "Continue"},
    {101, "Switching Protocols"},
    {200, "OK"},
    {201, "Created"},
    {202, "Accepted"},
    {203, "Non-Authoritative Information"},
    {204, "No Content"},
    {205, "Reset Content"},
    {206, "Partial Content"},
    {300, "Multiple Choices"},
    {301, "Moved Permanently"},
    {302, "Found"},
    {303, "See Other"},
    {304, "Not Modified"},
    {307, "Temporary Redirect"},
    {308, "Permanent Redirect"},
    {400, "Bad Request"},
    {401, "Unauthorized"},
    {402, "Payment Required"},
    {403, "Forbidden"},
    {404, "Not Found"},
    {405, "Method Not Allowed"},
    {406, "Not Acceptable"},
    {407, "Proxy Authentication Required"},
    {408, "Request Timeout"},
    {409, "Conflict"},
    {410, "Gone"},
    {411, "Length Required"},
    {412, "Precondition Failed"},
    {413, "Content Too Large"},
    {414, "URI Too Long"},
    {415, "Unsupported Media Type"},
    {416, "Range Not Satisfiable"},
    {417, "Expectation Failed"},
    {421, "Misdirected Request"},
    {422, "Unprocessable Content"},
    {425, "Too Early"},
    {426, "Upgrade Required"},
    {428, "Precondition Required"},
    {429, "Too Many Requests"},
    {431, "Request Header Fields Too Large"},
    {451, "Unavailable For Legal Reasons"},
    {500, "Internal Server Error"},
    {501, "Not Implemented"},
    {502, "Bad Gateway"},
    {503, "Service Unavailable"},
    {504, "Gateway Timeout"},
    {505, "HTTP Version Not Supported"},
    {507, "Insufficient Storage"},
    {508, "Loop Detected"},
    {511, "Network Authentication Required"},
};

const char *http_reason(int status)
{
    size_t low = 0, high = sizeof reasons / sizeof reasons[0];
    while (low < high) {
        size_t middle = (low + high) / 2;
        if (reasons[middle].status == status)
            return reasons[middle].phrase;
        if (reasons[middle].status < status)
            low = middle + 1;
        else
            high = middle;
    }
    return "Unknown";
}

static void put(struct head_writer *w, struct slice s)
{
    if (w->failed || s.n > w->cap - w->n) {
        w->failed = true;
        return;
    }
    if (s.n > 0)
        memcpy(w->p + w->n, s.p, s.n);
    w->n += s.n;
}

static void put_i64(struct head_writer *w, int64_t value)
{
    char digits[DECIMAL_MAX];
    if (value < 0)
        put(w, SLICE("-"));
    put(w, slice_decimal(value < 0 ? -(uint64_t)value : (uint64_t)value, digits));
}

static bool are_in_line(bytes16 v)
{
    return bytes16_all((bytes16)(v != '\n') & (bytes16)(v != '\r') & (bytes16)(v != 0));
}

/* Or would the bytes end the line, or hide its end from somebody? */
static bool stays_in_line(struct slice value)
{
    bool stays = true;
    if (value.n >= sizeof(bytes16))
        return bytes16_each(value.p, value.n, are_in_line);
    for (size_t i = 0; i < value.n; i++)
        stays &= value.p[i] != '\n' && value.p[i] != '\r' && value.p[i] != '\0';
    return stays;
}

void head_begin(struct head_writer *w, char *memory, size_t cap, int status)
{
    *w = (struct head_writer){.p = memory, .cap = cap, .failed = status < 100 || status > 999};
    if (status == 200) { /* nearly always */
        put(w, SLICE("HTTP/1.1 200 OK\r\n"));
        return;
    }
    put(w, SLICE("HTTP/1.1 "));
    put_i64(w, status);
    put(w, SLICE(" "));
    put(w, slice_str(http_reason(status)));
    put(w, SLICE("\r\n"));
}

void head_add(struct head_writer *w, struct slice name, struct slice value)
{
    if (!stays_in_line(value))
        w->failed = true;
    head_add_own(w, name, value);
}

void head_add_raw(struct head_writer *w, struct slice lines)
{
    put(w, lines);
}

bool head_done(struct head_writer *w)
{
    put(w, SLICE("\r\n"));
    return !w->failed;
}

static void put_if(struct head_writer *w, bool wanted, struct slice text)
{
    if (wanted)
        put(w, text);
}

struct slice cache_status_format(const struct cache_status *cs, char out[CACHE_STATUS_MAX])
{
    struct head_writer w = {.p = out, .cap = CACHE_STATUS_MAX - 1};
    put(&w, SLICE("yantian"));
    put_if(&w, cs->hit, SLICE("; hit"));
    if (cs->has_ttl) {
        put(&w, SLICE("; ttl="));
        put_i64(&w, cs->ttl);
    }
    if (cs->fwd) {
        put(&w, SLICE("; fwd="));
        put(&w, slice_str(cs->fwd));
    }
    if (cs->fwd_status > 0) {
        put(&w, SLICE("; fwd-status="));
        put_i64(&w, cs->fwd_status);
    }
    put_if(&w, cs->stored, SLICE("; stored"));
    put_if(&w, cs->collapsed, SLICE("; collapsed"));
    out[w.n] = 0;
    return slice_of(out, w.n);
}
