/*
 * Copies an HTML text that comes in pieces and lets attributes of chosen start tags have other
 * values; all other bytes go through as they are. Tags, comments, declarations and the raw text of
 * scripts and styles are told apart as the HTML standard (section "Tokenization") does. What is
 * held is one tag. Pure; one thread at a time.
 */
#ifndef YT_PROTOCOL_HTML_SPLICE_H
#define YT_PROTOCOL_HTML_SPLICE_H

#include "base/buf.h"
#include "base/err.h"

enum { HTML_TAG_MAX = 64 * 1024, HTML_ATTRIBUTES_MAX = 64 };

struct html_attribute {
    struct slice name;  /* as written: compare without case */
    struct slice value; /* as written, without quotes: see html_text.h */
};

/* A start tag. Slices live during the call only. */
struct html_tag {
    struct slice name; /* as written: compare without case */
    const struct html_attribute *attributes;
    size_t count;
};

/* What becomes of the tag; all zero: it stays as it is. */
struct html_edit {
    bool drop;
    size_t attribute;   /* its index */
    struct slice value; /* its new value, not escaped, used before the next call; p NULL: none */
};

/* Called for every start tag, in order. An error ends the copy and is returned from then on. */
typedef enum err html_splice_f(void *arg, const struct html_tag *tag, struct html_edit *edit);

struct html_splice;

/* NULL: no memory. */
struct html_splice *html_splice_new(html_splice_f *on_tag, void *arg);
/*
 * Appends what is ready to `out`; NULL: nothing is written, the callback alone matters.
 * ERR_CORRUPT: a tag that is too long or has too many attributes; ERR_NOMEM: memory or the bound of
 * `out`; or what the callback returned.
 */
YT_MUST_CHECK enum err html_splice_feed(struct html_splice *s, struct slice bytes, struct buf *out);
/* ERR_CORRUPT: the text ends within a tag, a comment, a script or a style. */
YT_MUST_CHECK enum err html_splice_finish(struct html_splice *s, struct buf *out);
void html_splice_free(struct html_splice **s);

#endif
