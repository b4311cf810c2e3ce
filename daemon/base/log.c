#include "base/log.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/bytes16.h"
#include "base/clock.h"
#include "escape.h"

enum {
    /* What a pipe takes in one piece (PIPE_BUF), so that lines never mix. */
    LINE_MAX_BYTES = 4096,
    /* What is written to a file at once, which takes any length in one piece. */
    FILE_WRITE_BYTES = 16384,
    /* A value is cut after so many bytes as written: one value cannot push out the others. */
    VALUE_MAX_BYTES = 1024,
    /* Kept free for the end of a line: the mark that fields were dropped, brace, line end. */
    TAIL_BYTES = 16,
};

static const char CUT_MARK[] = "...";

static enum log_level setup_level = LOG_LEVEL_INFO;
static enum log_format setup_format = LOG_FORMAT_TEXT;

/* A line in the making. An append that does not fit leaves it as it was and sets `over`. */
struct line {
    char p[LINE_MAX_BYTES];
    size_t n;
    bool over;
};

/* The lines of a thread that wait to be written: no more than can be in one piece. */
struct collection {
    void (*waiting)(void *arg);
    void *arg;
    size_t n, cap;
    char p[];
};

static _Thread_local struct collection *collected;

void log_setup(enum log_level level, enum log_format format)
{
    setup_level = level;
    setup_format = format;
}

bool log_enabled(enum log_level level)
{
    return level <= setup_level;
}

static struct slice level_name(enum log_level level)
{
    static const struct slice names[] = {{"error", 5}, {"warn", 4}, {"info", 4}, {"debug", 5}};
    return names[level];
}

static void append(struct line *line, struct slice s)
{
    if (s.n > LINE_MAX_BYTES - TAIL_BYTES - line->n) {
        line->over = true;
        return;
    }
    if (s.n)
        memcpy(line->p + line->n, s.p, s.n);
    line->n += s.n;
}

/* A second is turned into text once by each thread: gmtime_r takes a process-wide lock. */
static void append_time(struct line *line)
{
    static _Thread_local time_t cached_second = -1;
    static _Thread_local char cached[sizeof "2026-11-22T21:30:00"];
    int64_t now = clock_wall_ms();
    time_t second = (time_t)(now / 1000);
    unsigned ms = (unsigned)(now % 1000);
    const char fraction[] = {'.', (char)('0' + ms / 100), (char)('0' + ms / 10 % 10),
                             (char)('0' + ms % 10), 'Z'};

    if (second != cached_second) {
        struct tm tm;
        if (!gmtime_r(&second, &tm) || !strftime(cached, sizeof cached, "%Y-%m-%dT%H:%M:%S", &tm))
            cached[0] = '\0';
        cached_second = second;
    }
    append(line, slice_str(cached));
    append(line, slice_of(fraction, sizeof fraction));
}

static void append_int(struct line *line, int64_t value)
{
    char digits[DECIMAL_MAX];

    if (value < 0)
        append(line, SLICE("-"));
    append(line, slice_decimal(value < 0 ? -(uint64_t)value : (uint64_t)value, digits));
}

/* The escaped bytes of a value, cut at the bound. */
static void append_escaped(struct line *line, struct slice s)
{
    size_t room = VALUE_MAX_BYTES;
    char piece[ESCAPE_MAX];

    for (;;) {
        size_t plain = escape_plain(slice_to(s, room));
        append(line, slice_to(s, plain));
        room -= plain;
        s = slice_from(s, plain);
        if (s.n == 0)
            return;
        size_t n = escape_next(&s, piece);
        if (n > room)
            break;
        append(line, slice_of(piece, n));
        room -= n;
    }
    append(line, slice_str(CUT_MARK));
}

static bool are_bare(bytes16 v)
{
    return bytes16_all(bytes16_visible(v) & (bytes16)(v != '"') & (bytes16)(v != '=') &
                       (bytes16)(v != '\\'));
}

/* In text, a value without anything that could be taken for the end of it stands bare. */
static bool is_bare(struct slice s)
{
    /* All that can be seen, but for quote, equals sign and backslash. */
    static const bool bare[256] = {
        ['!'] = true,
        ['#' ... '<'] = true,
        ['>' ... '['] = true,
        [']' ... '~'] = true,
    };
    bool all = s.n > 0;

    if (s.n >= sizeof(bytes16))
        return bytes16_each(s.p, s.n, are_bare);
    for (size_t i = 0; i < s.n; i++)
        all &= bare[(unsigned char)s.p[i]];
    return all;
}

static void append_bare(struct line *line, struct slice s)
{
    append(line, slice_to(s, VALUE_MAX_BYTES));
    if (s.n > VALUE_MAX_BYTES)
        append(line, slice_str(CUT_MARK));
}

static void append_quoted(struct line *line, struct slice s)
{
    append(line, SLICE("\""));
    append_escaped(line, s);
    append(line, SLICE("\""));
}

static void append_value(struct line *line, const struct log_field *field, enum log_format format)
{
    bool word = field->kind == LOG_KIND_WORD;

    if (field->kind == LOG_KIND_INT)
        append_int(line, field->num);
    else if (format == LOG_FORMAT_TEXT && (word || is_bare(field->str)))
        append_bare(line, field->str);
    else
        append_quoted(line, field->str);
}

/* A field that does not fit is left out whole; true when it was. */
static bool append_field(struct line *line, const struct log_field *field, enum log_format format)
{
    size_t before = line->n;
    bool json = format == LOG_FORMAT_JSON;

    if (json) {
        append(line, SLICE(",\""));
        append(line, slice_of(field->text_key.p + 1, field->text_key.n - 2));
        append(line, SLICE("\":"));
    } else {
        append(line, field->text_key);
    }
    append_value(line, field, format);
    if (!line->over)
        return false;
    line->n = before;
    line->over = false;
    return true;
}

static void append_head(struct line *line, enum log_level level, const char *event,
                        enum log_format format)
{
    bool json = format == LOG_FORMAT_JSON;

    append(line, json ? SLICE("{\"time\":\"") : SLICE(""));
    append_time(line);
    append(line, json ? SLICE("\",\"level\":\"") : SLICE(" "));
    append(line, level_name(level));
    append(line, json ? SLICE("\",\"event\":\"") : SLICE(" "));
    append(line, slice_str(event));
    append(line, json ? SLICE("\"") : SLICE(""));
}

/* Into the reserved tail, which always has room. */
static void append_tail(struct line *line, bool dropped, enum log_format format)
{
    bool json = format == LOG_FORMAT_JSON;
    char *end = line->p + line->n;

    if (dropped)
        end = stpcpy(end, json ? ",\"cut\":true" : " cut=true");
    if (json)
        *end++ = '}';
    *end++ = '\n';
    line->n = (size_t)(end - line->p);
}

/* What cannot be written is lost: there is no other place to say so. */
static void write_out(const char *p, size_t n)
{
    ssize_t put;

    do
        put = write(STDERR_FILENO, p, n);
    while (put < 0 && errno == EINTR);
}

void log_flush(void)
{
    struct collection *c = collected;
    int saved = errno;

    if (c && c->n)
        write_out(c->p, c->n);
    if (c)
        c->n = 0;
    errno = saved;
}

static bool goes_to_file(void)
{
    struct stat st;

    return fstat(STDERR_FILENO, &st) == 0 && S_ISREG(st.st_mode);
}

/* Without memory for it each line goes on being written by itself. */
void log_collect(void (*waiting)(void *arg), void *arg)
{
    size_t cap = goes_to_file() ? FILE_WRITE_BYTES : LINE_MAX_BYTES;

    collected = malloc(sizeof *collected + cap);
    if (collected)
        *collected = (struct collection){.waiting = waiting, .arg = arg, .cap = cap};
}

void log_collect_end(void)
{
    log_flush();
    free(collected);
    collected = NULL;
}

static void collect(struct collection *c, const struct line *line, bool urgent)
{
    if (line->n > c->cap - c->n)
        log_flush();
    bool first = c->n == 0;
    memcpy(c->p + c->n, line->p, line->n);
    c->n += line->n;
    if (urgent)
        log_flush();
    else if (first)
        c->waiting(c->arg);
}

void log_event(enum log_level level, const char *event, const struct log_field *fields, size_t n)
{
    int saved = errno;
    struct line line;
    bool dropped = false;

    if (!log_enabled(level))
        return;
    line.n = 0;
    line.over = false;
    append_head(&line, level, event, setup_format);
    for (size_t i = 0; i < n; i++)
        if (append_field(&line, &fields[i], setup_format))
            dropped = true;
    append_tail(&line, dropped, setup_format);
    if (collected)
        collect(collected, &line, level <= LOG_LEVEL_WARN);
    else
        write_out(line.p, line.n);
    errno = saved;
}
