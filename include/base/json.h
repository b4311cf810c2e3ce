/*
 * The one user of yajl: a bounded walk over a JSON text (RFC 8259). yajl itself bounds neither
 * nesting nor the length of a string, so the bounds stand here.
 */
#ifndef YT_BASE_JSON_H
#define YT_BASE_JSON_H

#include "base/err.h"
#include "base/slice.h"

enum json_kind {
    JSON_NULL,
    JSON_BOOL,
    JSON_NUMBER, /* text is the number as written */
    JSON_STRING, /* text is unescaped UTF-8; half of an escaped surrogate pair is '?' or U+FFFD */
    JSON_OBJECT, /* begin */
    JSON_ARRAY,  /* begin */
    JSON_END,    /* of the innermost object or array */
};

struct json_event {
    enum json_kind kind;
    /*
     * Where in the text its key and it end (begin and END: the bracket): counted from the first
     * byte of all. Between the two stand a colon, blanks and the value as it is written. Without a
     * key (in an array, at the top, END) key_end is 0.
     */
    uint64_t key_end, end;
    unsigned depth;    /* 0 for the top value; END has the depth of its begin */
    struct slice key;  /* key within the parent object, empty in an array, at the top and for END */
    struct slice text; /* for NUMBER and STRING; "true" or "false" for BOOL */
};

/* Returns false to stop the walk early (which is success). Slices live during the call only. */
typedef bool json_event_f(void *arg, const struct json_event *event);

/*
 * Walks a complete text. ERR_PROTO: not JSON, or bytes after the value; ERR_LIMIT: more than
 * `max_depth` (at most 64) objects and arrays within each other; ERR_NOMEM. Events before the fault
 * have been delivered. Duplicate keys are reported as they come. Any thread.
 */
YT_MUST_CHECK enum err json_walk(struct slice text, unsigned max_depth, json_event_f *on_event,
                                 void *arg);

/*
 * The same for a text that comes in pieces, in memory that does not grow with it: besides the
 * nesting only the token that is under way is held, and one of more than `max_token` bytes, quotes
 * and escapes included, is refused (ERR_LIMIT). What is reported does not depend on the pieces. A
 * walk that on_event stopped goes on to take bytes and looks at them no more. After an error the
 * same error is given again.
 */
struct json_stream;

/* NULL: no memory. */
struct json_stream *json_stream_new(unsigned max_depth, size_t max_token, json_event_f *on_event,
                                    void *arg);
YT_MUST_CHECK enum err json_stream_feed(struct json_stream *s, struct slice bytes);
/* ERR_PROTO when the text is not complete. */
YT_MUST_CHECK enum err json_stream_finish(struct json_stream *s);
void json_stream_free(struct json_stream **s);

#endif
