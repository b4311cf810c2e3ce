#include "html_splice.h"

#include <stdlib.h>

#include "html_text.h"

/* Where the next byte belongs. Only a start tag, and the "<" that may open one, is held. */
enum place {
    TEXT,
    OPEN,        /* behind "<" */
    MARK,        /* behind "<!" */
    MARK_DASH,   /* behind "<!-" */
    COMMENT,     /* behind "<!--" */
    UNTIL_CLOSE, /* declarations and end tags: nothing but ">" matters */
    RAW,         /* in a script or a style */
    TAG_NAME,    /* from here on: in a start tag */
    BETWEEN,     /* attributes */
    NAME,        /* of an attribute */
    BEHIND_NAME,
    BEFORE_VALUE,
    DOUBLE_QUOTED,
    SINGLE_QUOTED,
    UNQUOTED,
};

struct span {
    size_t begin; /* offsets in what is held */
    size_t end;
};

struct attribute_span {
    struct span name;
    struct span value; /* without quotes */
    struct span whole; /* with quotes */
};

struct html_splice {
    html_splice_f *on_tag;
    void *arg;
    struct buf *out; /* during a call */
    enum place place;
    struct buf held;
    bool closed;     /* the start tag is complete */
    size_t name_end; /* of the tag */
    struct attribute_span spans[HTML_ATTRIBUTES_MAX];
    size_t count;
    unsigned dashes;      /* in a comment: the last bytes, two at most count */
    bool only_dashes;     /* since the comment's beginning */
    bool bang;            /* behind "--!" */
    struct slice raw_end; /* "</script" or "</style" */
    size_t raw_matched;   /* bytes of it */
    enum err error;
};

static bool is_space(char c)
{
    return c == ' ' || c == '\t' || c == '\n' || c == '\r' || c == '\f';
}

static bool is_letter(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

/* --- a whole tag --- */

static struct slice cut(const struct html_splice *s, struct span span)
{
    return slice_of(s->held.p + span.begin, span.end - span.begin);
}

static void pass(struct html_splice *s, struct slice bytes)
{
    if (s->out)
        buf_add(s->out, bytes);
}

static void write_edited(struct html_splice *s, const struct html_edit *edit)
{
    const struct attribute_span *span = &s->spans[edit->attribute];
    struct span whole = span->whole;

    buf_add(s->out, slice_to(buf_slice(&s->held), whole.begin));
    if (whole.begin == span->name.end) /* it has no value yet */
        buf_addc(s->out, '=');
    buf_addc(s->out, '"');
    html_encode(edit->value, s->out);
    buf_addc(s->out, '"');
    buf_add(s->out, slice_from(buf_slice(&s->held), whole.end));
}

/* In the text of scripts and styles "<" opens nothing. */
static void go_on_behind(struct html_splice *s, struct slice tag_name)
{
    s->raw_matched = 0;
    s->place = RAW;
    if (slice_ieq(tag_name, SLICE("script")))
        s->raw_end = SLICE("</script");
    else if (slice_ieq(tag_name, SLICE("style")))
        s->raw_end = SLICE("</style");
    else
        s->place = TEXT;
}

static void end_tag(struct html_splice *s)
{
    struct html_attribute attributes[HTML_ATTRIBUTES_MAX];
    struct html_tag tag = {
        .name = cut(s, (struct span){1, s->name_end}), .attributes = attributes, .count = s->count};
    struct html_edit edit = {.drop = false};

    for (size_t i = 0; i < s->count; i++)
        attributes[i] = (struct html_attribute){.name = cut(s, s->spans[i].name),
                                                .value = cut(s, s->spans[i].value)};
    s->error = s->on_tag(s->arg, &tag, &edit);
    if (s->out && edit.value.p && edit.attribute < s->count)
        write_edited(s, &edit);
    else if (!edit.drop)
        pass(s, buf_slice(&s->held));
    go_on_behind(s, tag.name);
    buf_clear(&s->held);
}

/* --- a start tag, byte by byte; `at` is the byte's offset in what is held --- */

static void value_begins(struct html_splice *s, size_t at, enum place place)
{
    size_t first = place == UNQUOTED ? at : at + 1;

    s->spans[s->count].value = (struct span){first, first};
    s->spans[s->count].whole = (struct span){at, at};
    s->place = place;
}

static void value_ends(struct html_splice *s, size_t at)
{
    s->spans[s->count].value.end = at;
    s->spans[s->count].whole.end = s->place == UNQUOTED ? at : at + 1;
    s->count++;
    s->place = BETWEEN;
}

static void between(struct html_splice *s, char c, size_t at)
{
    if (is_space(c) || c == '/')
        return;
    if (c == '>') {
        s->closed = true;
    } else if (s->count == HTML_ATTRIBUTES_MAX) {
        s->error = ERR_CORRUPT;
    } else {
        s->spans[s->count] = (struct attribute_span){.name = {at, at}};
        s->place = NAME;
    }
}

static void behind_name(struct html_splice *s, char c, size_t at)
{
    if (is_space(c))
        return;
    if (c == '=') {
        s->place = BEFORE_VALUE;
        return;
    }
    s->count++;
    s->place = BETWEEN;
    between(s, c, at);
}

static void in_name(struct html_splice *s, char c, size_t at)
{
    struct attribute_span *span = &s->spans[s->count];
    bool is_first = at == span->name.begin; /* a name may begin with '=' */

    if (!is_space(c) && c != '/' && c != '>' && (c != '=' || is_first))
        return;
    span->name.end = at;
    span->value = span->whole = (struct span){at, at};
    s->place = BEHIND_NAME;
    behind_name(s, c, at);
}

static void in_unquoted(struct html_splice *s, char c, size_t at)
{
    if (is_space(c) || c == '>')
        value_ends(s, at);
    s->closed = c == '>';
}

static void before_value(struct html_splice *s, char c, size_t at)
{
    if (is_space(c))
        return;
    if (c == '"' || c == '\'') {
        value_begins(s, at, c == '"' ? DOUBLE_QUOTED : SINGLE_QUOTED);
        return;
    }
    value_begins(s, at, UNQUOTED);
    in_unquoted(s, c, at);
}

static void in_tag_name(struct html_splice *s, char c, size_t at)
{
    if (!is_space(c) && c != '/' && c != '>')
        return;
    s->name_end = at;
    s->count = 0;
    s->place = BETWEEN;
    between(s, c, at);
}

static void in_tag(struct html_splice *s, char c, size_t at)
{
    switch (s->place) {
    case TAG_NAME:
        in_tag_name(s, c, at);
        return;
    case NAME:
        in_name(s, c, at);
        return;
    case BEHIND_NAME:
        behind_name(s, c, at);
        return;
    case BEFORE_VALUE:
        before_value(s, c, at);
        return;
    case UNQUOTED:
        in_unquoted(s, c, at);
        return;
    case DOUBLE_QUOTED:
    case SINGLE_QUOTED:
        if (c == (s->place == DOUBLE_QUOTED ? '"' : '\''))
            value_ends(s, at);
        return;
    default:
        between(s, c, at);
        return;
    }
}

static void hold(struct html_splice *s, struct slice bytes)
{
    buf_add(&s->held, bytes);
    if (s->held.failed && s->error == ERR_OK)
        s->error = bytes.n > HTML_TAG_MAX - s->held.n ? ERR_CORRUPT : ERR_NOMEM;
}

/* --- the parts of a text; each takes some bytes off the front and says how many --- */

static size_t take_tag(struct html_splice *s, struct slice bytes)
{
    size_t n = 0;

    s->closed = false;
    while (n < bytes.n && !s->closed && s->error == ERR_OK) {
        in_tag(s, bytes.p[n], s->held.n + n);
        n++;
    }
    hold(s, slice_to(bytes, n));
    if (s->closed && s->error == ERR_OK)
        end_tag(s);
    return n;
}

static size_t take_text(struct html_splice *s, struct slice bytes)
{
    size_t n = slice_find(bytes, '<');

    pass(s, slice_to(bytes, n));
    if (n == bytes.n)
        return n;
    hold(s, SLICE("<"));
    s->place = OPEN;
    return n + 1;
}

/* The byte itself is left to whoever comes next. */
static size_t take_open(struct html_splice *s, char c)
{
    s->place = is_letter(c) ? TAG_NAME : c == '!' ? MARK : TEXT;
    if (c == '/' || c == '?')
        s->place = UNTIL_CLOSE;
    if (s->place == TAG_NAME)
        return 0;
    pass(s, buf_slice(&s->held));
    buf_clear(&s->held);
    if (s->place == MARK)
        pass(s, SLICE("!"));
    return s->place == MARK;
}

/* Behind "<!": a comment needs two dashes. */
static size_t take_mark(struct html_splice *s, char c)
{
    bool was_dash = s->place == MARK_DASH;

    if (c != '-') {
        s->place = UNTIL_CLOSE;
        return 0;
    }
    pass(s, SLICE("-"));
    s->place = was_dash ? COMMENT : MARK_DASH;
    s->only_dashes = true;
    s->dashes = 0;
    s->bang = false;
    return 1;
}

/* Ends with "-->" or "--!>"; "<!-->" and "<!--->" are whole comments. */
static bool comment_ends(struct html_splice *s, char c)
{
    if (c == '>' && (s->dashes == 2 || s->bang || s->only_dashes))
        return true;
    if (c == '-') {
        s->dashes += s->dashes < 2;
        s->bang = false;
        return false;
    }
    s->bang = c == '!' && s->dashes == 2;
    s->dashes = 0;
    s->only_dashes = false;
    return false;
}

static size_t take_comment(struct html_splice *s, struct slice bytes)
{
    size_t n = 0;

    while (n < bytes.n && s->place == COMMENT)
        if (comment_ends(s, bytes.p[n++]))
            s->place = TEXT;
    pass(s, slice_to(bytes, n));
    return n;
}

static size_t take_until_close(struct html_splice *s, struct slice bytes)
{
    size_t n = slice_find(bytes, '>');

    if (n < bytes.n) {
        s->place = TEXT;
        n++;
    }
    pass(s, slice_to(bytes, n));
    return n;
}

static size_t take_raw(struct html_splice *s, struct slice bytes)
{
    size_t n = 0;

    for (; n < bytes.n; n++) {
        struct slice c = slice_of(bytes.p + n, 1);
        bool whole = s->raw_matched == s->raw_end.n;
        if (whole && (is_space(*c.p) || *c.p == '/' || *c.p == '>')) {
            s->place = UNTIL_CLOSE;
            break;
        }
        if (!whole && slice_ieq(c, slice_to(slice_from(s->raw_end, s->raw_matched), 1)))
            s->raw_matched++;
        else
            s->raw_matched = *c.p == '<';
    }
    pass(s, slice_to(bytes, n));
    return n;
}

static size_t take(struct html_splice *s, struct slice bytes)
{
    switch (s->place) {
    case TEXT:
        return take_text(s, bytes);
    case OPEN:
        return take_open(s, bytes.p[0]);
    case MARK:
    case MARK_DASH:
        return take_mark(s, bytes.p[0]);
    case COMMENT:
        return take_comment(s, bytes);
    case UNTIL_CLOSE:
        return take_until_close(s, bytes);
    case RAW:
        return take_raw(s, bytes);
    default:
        return take_tag(s, bytes);
    }
}

/* --- the splice --- */

struct html_splice *html_splice_new(html_splice_f *on_tag, void *arg)
{
    struct html_splice *s = calloc(1, sizeof *s);

    if (!s)
        return NULL;
    s->on_tag = on_tag;
    s->arg = arg;
    buf_init(&s->held, HTML_TAG_MAX);
    return s;
}

enum err html_splice_feed(struct html_splice *s, struct slice bytes, struct buf *out)
{
    s->out = out;
    while (bytes.n && s->error == ERR_OK) {
        bytes = slice_from(bytes, take(s, bytes));
        if (out && out->failed && s->error == ERR_OK)
            s->error = ERR_NOMEM;
    }
    return s->error;
}

enum err html_splice_finish(struct html_splice *s, struct buf *out)
{
    s->out = out;
    if (s->error != ERR_OK)
        return s->error;
    if (s->place == OPEN)
        pass(s, buf_slice(&s->held)); /* "<" at the very end is text */
    else if (s->place != TEXT)
        s->error = ERR_CORRUPT;
    if (out && out->failed && s->error == ERR_OK)
        s->error = ERR_NOMEM;
    return s->error;
}

void html_splice_free(struct html_splice **s)
{
    if (!*s)
        return;
    buf_free(&(*s)->held);
    free(*s);
    *s = NULL;
}
